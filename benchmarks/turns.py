"""Turns: buyers who book two seats and give them back, and staff who take forty off sale and put them back, for as long as
it lasts. The seats of a show change without end, and it is after each turn what it was before: what its server then
holds more than before, it holds for nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator, Sequence
from time import monotonic
from typing import Any, Final, cast

import httptools
import uvloop

from benchmarks import clients
from benchmarks.servers import HOST

BOOKED: Final = 2
SET_ASIDE: Final = 40

Asking = Generator[bytes, bytes, None]  # yields requests, is sent the bodies of answers


class _Connection(asyncio.Protocol):
    """One connection: what one buyer, or one of the staff, asks, one after the other."""

    def __init__(self, asking: Asking, crowd: Crowd) -> None:
        self._asking = asking
        self._crowd = crowd
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def begin(self) -> None:
        """Ask for the first time."""
        self._transport.write(next(self._asking))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body, self._body = self._body, b""
        status = self._parser.get_status_code()
        if status >= 300:
            self._crowd.fail(RuntimeError(f"{status} {body[:300]!r}"))
            return
        try:
            self._transport.write(self._asking.send(body))
        except StopIteration:
            self._transport.abort()
            self._crowd.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.fail(exc or ConnectionError("the server has hung up"))


class Crowd:
    """All of them."""

    def __init__(self, show: int, seconds: float) -> None:
        self._show = show
        self._seconds = seconds
        self._until = 0.0
        self._left = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.changed_seats = 0
        self.requests = 0

    async def run(self, port: int, buyers: int, staff: int) -> None:
        """Connect, wait for the word, and go on until the time is over."""
        loop = asyncio.get_running_loop()
        asking = [self._books(n * BOOKED) for n in range(buyers)]
        asking += [self._sets_aside(buyers * BOOKED + n * SET_ASIDE) for n in range(staff)]
        self._left = len(asking)
        connections = []
        for each in asking:
            _, connection = await loop.create_connection(
                lambda each=each: _Connection(each, self),  # type: ignore[misc]  # mypy infers no lambda with a default
                HOST,
                port,
            )
            connections.append(connection)
        clients.ready()
        self._until = monotonic() + self._seconds
        for connection in connections:
            connection.begin()
        await self._done

    def leave(self) -> None:
        """One has ended."""
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Something was not as it must be."""
        if self._left and not self._done.done() and monotonic() < self._until:
            self._done.set_exception(error)

    def _books(self, first: int) -> Asking:
        wish = {"show_id": self._show, "user_id": f"buyer-{first}", "seats": _labels(first, BOOKED)}
        book = _post("/api/bookings", wish)
        while monotonic() < self._until:
            booking = json.loads((yield book))
            yield _post(f"/api/bookings/{booking['id']}/cancel", {})
            self._count(BOOKED)

    def _sets_aside(self, first: int) -> Asking:
        path, seats = f"/api/shows/{self._show}", {"seats": _labels(first, SET_ASIDE)}
        block, unblock = _post(f"{path}/block", seats), _post(f"{path}/unblock", seats)
        while monotonic() < self._until:
            yield block
            yield unblock
            self._count(SET_ASIDE)

    def _count(self, seats: int) -> None:
        self.requests += 2
        self.changed_seats += 2 * seats


def _labels(first: int, count: int) -> Sequence[str]:
    return [str(n + 1) for n in range(first, first + count)]


def _post(path: str, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (path.encode(), len(content), content)
    )


async def _run(wished: dict[str, Any]) -> None:
    crowd = Crowd(wished["show"], wished["seconds"])
    await crowd.run(wished["port"], wished["buyers"], wished["staff"])
    clients.tell(changed_seats=crowd.changed_seats, requests=crowd.requests)


if __name__ == "__main__":
    wished = clients.wishes()
    clients.allow_connections(wished["buyers"] + wished["staff"] + 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(wished))
