"""A webhook's receiver for tests: a real HTTP server on loopback, which does what a test wants it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops"


class Heard(NamedTuple):
    """A request."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The event."""
        return msgspec.json.decode(self.body)


class Receiver:
    """`answer` says what is answered to a request; None: never an answer."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.heard: list[Heard] = []
        self.answer: Callable[[Heard], bytes | None] = lambda _: OK
        self.port = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{self.host}:{self.port}/hooks"

    def ids(self, show: int) -> list[str]:
        """The ids of a show's events, as they came."""
        return [heard.id for heard in self.heard if heard.id.startswith(f"{show}-")]

    def verify(self, secret: str) -> None:
        """That every request was signed with a secret, as the library of the specification sees it."""
        for heard in self.heard:
            Webhook(secret).verify(heard.body, heard.headers)

    async def open(self) -> None:
        """Listen: on the same port as before, if it did before."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and break those there are."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")[1:-2]
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                heard = Heard(headers, body)
                self.heard.append(heard)
                answer = self.answer(heard)
                if answer is None:
                    await asyncio.sleep(3600)
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            with contextlib.suppress(RuntimeError):  # the loop may be closing
                writer.close()


@asynccontextmanager
async def receiving(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver(host)
    await receiver.open()
    try:
        yield receiver
    finally:
        await receiver.close()
