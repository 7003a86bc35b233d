"""Buyers: bookings by HTTP, at a rate that does not wait for answers, or as fast as answers come.

All requests are made beforehand. At a rate, each is due at its moment and is sent then, whether or not those before it
were answered (by the next free connection, where all wait). What is told of each booking: its first seat, and when it
was sent and answered, and when the database decided it, by the answer's own `settled_at`.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic_ns, time_ns
from typing import Any, Final, cast

import httptools
import uvloop

from benchmarks import clients
from benchmarks.servers import HOST

TICK_SECONDS: Final = 0.002  # how finely a rate is kept
ANSWERS_SECONDS_MAX: Final = 60.0


class _Connection(asyncio.Protocol):
    """One connection: one request, one answer, and again."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._number = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, number: int) -> None:
        """Send a request."""
        self._number = number
        self._crowd.sent[number] = monotonic_ns()
        self._transport.write(self._crowd.requests[number])

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        number, body, self._body = self._number, self._body, b""
        self._crowd.take(self, number, self._parser.get_status_code(), body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.fail(exc or ConnectionError("the server has hung up"))

    def close(self) -> None:
        """Hang up."""
        self._crowd.leave(self)
        self._transport.abort()


class Crowd:
    """All buyers."""

    def __init__(self, requests: Sequence[bytes], rate: float) -> None:
        self.requests = requests
        self.sent = [0] * len(requests)
        self.answered = [0] * len(requests)
        self.due = [0] * len(requests)
        self.bodies = [b""] * len(requests)
        self.outcomes: Counter[str] = Counter()
        self._rate = rate
        self._idle: deque[_Connection] = deque()
        self._next = 0
        self._left = len(requests)
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending = False

    async def connect(self, port: int, connections: int) -> None:
        """Open all connections."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), HOST, port)
            self._idle.append(connection)

    async def run(self) -> float:
        """Send all, and wait for all answers. Returns how many seconds that took."""
        began = monotonic_ns()
        if self._rate:
            self.due = [began + int(n / self._rate * 1e9) for n in range(len(self.requests))]
            while self._next < len(self.requests):
                self._send_due()
                await asyncio.sleep(TICK_SECONDS)
        else:
            self._send_due()
        await asyncio.wait_for(asyncio.shield(self._done), ANSWERS_SECONDS_MAX)
        self._ending = True
        for connection in list(self._idle):
            connection.close()
        return (max(self.answered) - began) / 1e9

    def _send_due(self) -> None:
        now = monotonic_ns()
        while self._idle and self._next < len(self.requests) and self.due[self._next] <= now:
            self._next += 1
            self._idle.popleft().ask(self._next - 1)

    def take(self, connection: _Connection, number: int, status: int, body: bytes) -> None:
        """An answer has come."""
        self.answered[number] = monotonic_ns()
        self.bodies[number] = body
        self.outcomes["201" if status == 201 else _code(status, body)] += 1
        self._idle.append(connection)
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)
        self._send_due()

    def leave(self, connection: _Connection) -> None:
        """A connection is not to be used any more."""
        self._idle.remove(connection)

    def fail(self, error: Exception) -> None:
        """A connection was lost."""
        if not self._ending and not self._done.done():
            self._done.set_exception(error)


def _code(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["code"])
    except (ValueError, KeyError):
        return str(status)


def _decided(bodies: Sequence[bytes]) -> list[int]:
    """When each booking was decided, by the monotonic clock: the database is on this machine, and has its clock."""
    offset = time_ns() - monotonic_ns()
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    decided = []
    for body in bodies:
        settled_at = json.loads(body).get("settled_at")
        since = datetime.fromisoformat(settled_at) - epoch if settled_at else timedelta()
        decided.append(since // timedelta(microseconds=1) * 1_000 - offset)
    return decided


def _requests(show: int, bookings: int, each: int, first: int, by: str) -> list[bytes]:
    requests = []
    for n in range(bookings):
        body: dict[str, Any] = {"show_id": show, "user_id": f"buyer-{n}"}
        if by == "count":
            body["seat_count"] = each
        else:
            body["seats"] = [str(first + n * each + k + 1) for k in range(each)]
        content = json.dumps(body).encode()
        requests.append(
            b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
        )
    return requests


async def _run(wished: dict[str, Any]) -> None:
    requests = _requests(wished["show"], wished["bookings"], wished["each"], wished["first"], wished["by"])
    crowd = Crowd(requests, wished["rate"])
    await crowd.connect(wished["port"], wished["connections"])
    clients.ready()
    cpu_before = clients.own_cpu_seconds()
    seconds = await crowd.run()
    begun = crowd.due if wished["rate"] else crowd.sent  # who was to be sent and wasn't, has waited too
    delays = sorted((done - begin) / 1e6 for done, begin in zip(crowd.answered, begun, strict=True))
    clients.tell(
        seconds=seconds,
        outcomes=crowd.outcomes,
        cpu_seconds=clients.own_cpu_seconds() - cpu_before,
        p50_ms=delays[len(delays) // 2],
        p99_ms=delays[len(delays) * 99 // 100],
        sent=crowd.sent,
        answered=crowd.answered,
        decided=_decided(crowd.bodies),
    )


if __name__ == "__main__":
    wished = clients.wishes()
    clients.allow_connections(wished["connections"] + 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(wished))
