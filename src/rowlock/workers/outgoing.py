"""Requests to addresses that somebody else chose: only to where they may lead, and never for long.

A name is looked up here and nowhere else, every address of it is checked, and the connection is made to an address
that was checked: there is no moment in which a name could come to mean another address (DNS rebinding). Redirects are
not followed, proxies of the environment are not used, and of an answer only so much is read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpcore
import httpx
import msgspec

from rowlock import __version__
from rowlock.operations.targets import TargetRefused, assert_public

ATTEMPT_SECONDS_MAX: Final = 10.0  # from looking up the name to the end of the answer
ANSWER_BYTES_MAX: Final = 16_384  # read, so that the connection can be kept; longer answers end it
ANSWER_CHARS_KEPT: Final = 500
CONNECTIONS_MAX: Final = 100
KEEP_ALIVE_SECONDS: Final = 30.0
RETRY_AFTER_SECONDS_MAX: Final = 3600.0


class Answer(msgspec.Struct, frozen=True):
    """What came of a request. `status` None: no answer, and `error` says why."""

    status: int | None = None
    text: str | None = None
    error: str | None = None
    retry_after_seconds: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the other side has taken it."""
        return self.status is not None and 200 <= self.status < 300


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that it has checked itself."""

    def __init__(self, *, allow_private: bool) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own interface)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look up, check, connect: to the first address that takes us."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} can't be found: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._allow_private:
            for address in addresses:
                assert_public(address)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Never: a socket of this machine is nobody's webhook."""
        raise TargetRefused("a unix socket is not a public address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class _CheckedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport with a backend of ours, which its own constructor has no argument for."""

    def __init__(self, *, allow_private: bool) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=CONNECTIONS_MAX,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=_CheckedBackend(allow_private=allow_private),
        )


class Outgoing:
    """A client for such requests."""

    def __init__(self, *, allow_private: bool) -> None:
        self._client = httpx.AsyncClient(
            transport=_CheckedTransport(allow_private=allow_private),
            follow_redirects=False,
            trust_env=False,
            timeout=ATTEMPT_SECONDS_MAX,
            headers={"User-Agent": f"Rowlock/{__version__}", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send `body`. Whatever goes wrong with the other side is an answer, too."""
        try:
            async with (
                asyncio.timeout(ATTEMPT_SECONDS_MAX),
                self._client.stream("POST", url, headers=dict(headers), content=body) as response,
            ):
                begin = await _begin(response)
                return Answer(
                    response.status_code,
                    begin.decode("utf-8", "replace").replace("\0", "")[:ANSWER_CHARS_KEPT],
                    None if response.is_success else f"answered {response.status_code}",
                    _retry_after(response),
                )
        except TargetRefused as refused:
            return Answer(error=f"refused: {refused}")
        except (TimeoutError, httpx.TimeoutException):
            return Answer(error=f"no answer within {ATTEMPT_SECONDS_MAX:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            return Answer(error=text[:ANSWER_CHARS_KEPT])


async def _begin(response: httpx.Response) -> bytes:
    """The beginning of an answer, undecoded: no bomb unpacks here."""
    begin = b""
    async for chunk in response.aiter_raw():
        begin += chunk
        if len(begin) >= ANSWER_BYTES_MAX:
            break
    return begin[:ANSWER_BYTES_MAX]


def _retry_after(response: httpx.Response) -> float:
    """How long the other side asks to be left alone, in seconds; as a date it is not looked at."""
    text = response.headers.get("Retry-After", "")
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
