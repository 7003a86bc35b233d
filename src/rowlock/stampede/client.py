"""An HTTP/1.1 client for a crowd: one request at a time on a connection, as many connections as there are requests.

It is our own because the load must not be its own bottleneck where it shares two cores with servers and PostgreSQL:
httpx and aiohttp, measured in its place, take several times as much of them for a request. And a buyer who hangs up in
the middle of a request needs the connection itself. httptools reads the answers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, cast
from urllib.parse import SplitResult, urlsplit

import httptools

ANSWER_SECONDS_MAX = 30.0  # the server itself says 503 long before
CONNECT_SECONDS_MAX = 10.0


class Lost(Exception):  # noqa: N818
    """The connection ended before the answer came: what was asked for was done, or it was not."""


class Unanswered(Lost):
    """The connection held, and no answer came in all the time there was."""


class Unreachable(Exception):  # noqa: N818
    """Nothing was sent: there is no such address, or nobody listens there."""


class Reply(NamedTuple):
    """An answer. `retry_after` is in seconds; `replayed`: given before, under the same Idempotency-Key."""

    status: int
    body: bytes
    retry_after: float | None
    replayed: bool


class Client:
    """A client of one server. `token` is a bearer token. Raises ValueError where `url` is no web address."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path.rstrip("/")
        self._headers = _headers(parts, token)
        self._idle: list[_Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", key: str | None = None) -> Reply:
        """Send a request and wait for its answer. Raises `Lost` or `Unreachable`."""
        connection = await self._connection()
        with _closing_unless_done(connection):
            try:
                async with asyncio.timeout(ANSWER_SECONDS_MAX):
                    reply = await connection.exchange(self._request(method, path, body, key))
            except TimeoutError:
                raise Unanswered(f"no answer within {ANSWER_SECONDS_MAX:g} s") from None
        if connection.reusable:
            self._idle.append(connection)
        return reply

    async def hang_up(self, path: str, body: bytes, key: str | None, *, after: float, seconds: float) -> None:
        """Send a part of a POST, from 0 to 1, wait so many seconds, and close the connection without an answer."""
        with suppress(Lost, Unreachable):
            connection = await self._connection()
            with _closing_unless_done(connection, always=True):
                request = self._request("POST", path, body, key)
                connection.send(request[: max(1, int(len(request) * after))])
                await asyncio.sleep(seconds)

    async def connect(self, count: int) -> None:
        """Have so many connections open, so that as many requests can leave at once. Raises `Unreachable`."""
        self._idle += await asyncio.gather(*(self._connect() for _ in range(count - len(self._idle))))

    def close(self) -> None:
        """Close what is open."""
        while self._idle:
            self._idle.pop().close()

    def _request(self, method: str, path: str, body: bytes, key: str | None) -> bytes:
        lines = f"{method} {self._path}{path} HTTP/1.1\r\n{self._headers}"
        if key is not None:
            lines += f"Idempotency-Key: {key}\r\n"
        if body:
            lines += "Content-Type: application/json\r\n"
        if method != "GET":
            lines += f"Content-Length: {len(body)}\r\n"
        return f"{lines}\r\n".encode() + body

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return await self._connect()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise Unreachable("can't be reached: no answer") from None
        except OSError as error:
            raise Unreachable(f"can't be reached: {_cause(error)}") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection, which reads one answer at a time."""

    def __init__(self) -> None:
        self.reusable = True
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Reply] | None = None
        self._begin()

    def _begin(self) -> None:
        self._body: list[bytes] = []
        self._retry_after: float | None = None
        self._replayed = False

    def send(self, data: bytes) -> None:
        """Send bytes, whole requests or not."""
        self._transport.write(data)

    async def exchange(self, request: bytes) -> Reply:
        """Send a request, and read its answer. Raises `Lost`."""
        if self._transport.is_closing():
            raise Lost("the connection was closed")
        self._begin()
        self._answer = asyncio.get_running_loop().create_future()
        self.send(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: the connection is there."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's: part of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._lose("what answers does not speak HTTP")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: the connection has ended."""
        self._lose(_cause(exc) if isinstance(exc, OSError) else "the connection was closed")

    def _lose(self, why: str) -> None:
        self.reusable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Lost(why))

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools': a header."""
        match name.lower():
            case b"retry-after" if value.isdigit():
                self._retry_after = float(value)
            case b"idempotency-replayed":
                self._replayed = value == b"true"

    def on_body(self, body: bytes) -> None:
        """httptools': a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools': the answer is whole."""
        self.reusable = self.reusable and self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            status = self._parser.get_status_code()
            self._answer.set_result(Reply(status, b"".join(self._body), self._retry_after, self._replayed))


@contextmanager
def _closing_unless_done(connection: _Connection, *, always: bool = False) -> Iterator[None]:
    """Close a connection whose answer nobody waits for any more: it must not be taken for the next one's."""
    done = False
    try:
        yield
        done = not always
    finally:
        if not done:
            connection.close()


def _headers(parts: SplitResult, token: str | None) -> str:
    host = parts.netloc.rpartition("@")[2]
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"Host: {host}\r\nUser-Agent: rowlock-stampede\r\nAccept: application/json\r\n{authorization}"


def _cause(error: OSError) -> str:
    """Why, without the address, which whoever reads it has named."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    text = error.strerror or str(error) or type(error).__name__
    return text.partition("[Errno")[0].strip(" :") or text
