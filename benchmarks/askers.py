"""Askers: so many connections, each asking to book two seats, and again as soon as it is answered, for so many seconds.

What is told: how many were booked and how many refused, the delays of each kind, and how many refusals said when to come again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from time import perf_counter
from typing import Any, cast

import httptools
import uvloop

from benchmarks import clients
from benchmarks.servers import HOST

_HEAD = b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class _Asker(asyncio.Protocol):
    """One connection."""

    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._request = b""
        self._parser = httptools.HttpResponseParser(self)
        self._retry_after = False
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, again: bool = False) -> None:
        """Send a request, or the last one again."""
        self._retry_after = False
        if not again:
            self._request = self._crowd.request()
        self._transport.write(self._request)
        self._sent = perf_counter()

    def data_received(self, data: bytes) -> None:
        self._retry_after = self._retry_after or b"\r\nretry-after: " in data
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._crowd.take(status, perf_counter() - self._sent, self._retry_after)
        if not self._crowd.ending:
            self.ask(again=status == 503)

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self._crowd.ending:
            self._crowd.counts["lost"] += 1


class _Crowd:
    """All of them."""

    def __init__(self, shows: list[int], seats: int) -> None:
        """`seats` of each of the shows are named, two by two; 0: any two are wanted."""
        self._shows = shows
        self._pairs = seats // 2
        self._asked = 0
        self.counts: Counter[str] = Counter()
        self.delays: dict[int, list[float]] = {201: [], 503: []}
        self.ending = False

    def request(self) -> bytes:
        """What is asked next: of two shows in turns, until they are sold, then of the next two."""
        number, turn = divmod(self._asked, 2)
        self._asked += 1
        if self._pairs:
            two, pair = divmod(number, self._pairs)
            show = self._shows[(2 * two + turn) % len(self._shows)]
            content = b'{"show_id":%d,"seats":["%d","%d"],"user_id":"asker"}' % (
                show,
                2 * pair + 1,
                2 * pair + 2,
            )
        else:
            content = b'{"show_id":%d,"seat_count":2,"user_id":"asker"}' % self._shows[turn]
        return _HEAD % len(content) + content

    def take(self, status: int, seconds: float, retry_after: bool) -> None:
        """An answer has come."""
        self.counts[str(status)] += 1
        self.counts["without Retry-After"] += status == 503 and not retry_after
        if status in self.delays:
            self.delays[status].append(seconds * 1000)


def _at(delays: list[float], share: float) -> float | None:
    return sorted(delays)[int(len(delays) * share)] if delays else None


async def _run(wished: dict[str, Any]) -> None:
    crowd = _Crowd(wished["shows"], wished["seats"])
    loop = asyncio.get_running_loop()
    askers = []
    for _ in range(wished["connections"]):
        _, asker = await loop.create_connection(lambda: _Asker(crowd), HOST, wished["port"])
        askers.append(asker)
    clients.ready()
    for asker in askers:
        asker.ask()
    await asyncio.sleep(wished["warm_seconds"])
    crowd.counts.clear()
    for delays in crowd.delays.values():
        delays.clear()
    await asyncio.sleep(wished["seconds"])
    crowd.ending = True
    clients.tell(
        counts=crowd.counts,
        booked_p50_ms=_at(crowd.delays[201], 0.5),
        booked_p99_ms=_at(crowd.delays[201], 0.99),
        refused_p50_ms=_at(crowd.delays[503], 0.5),
        refused_p99_ms=_at(crowd.delays[503], 0.99),
    )


if __name__ == "__main__":
    wished = clients.wishes()
    clients.allow_connections(wished["connections"] + 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(wished))
