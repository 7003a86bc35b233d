"""Answers that need not be made or sent again: strong ETags, `If-None-Match`, compression, and the list of shows.

An ETag is of one show, version, kind and encoding, and of what versions mean: a database that was set back comes to the
same ones again by other changes. A layout never changes, but a browser must notice that the same address has another
database, with other halls: so it, too, is asked about each time. Whether a caller has the answer already is known from the version
alone, before anything is encoded.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from litestar import Request, Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header, parse_etags

from rowlock.http.observing import vary_by_encoding
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.seats import plan_of
from rowlock.seatmap.encoded import Bodies, Coding, Letters, Reading, SeatList, Source, WholeLayout, read
from rowlock.seatmap.maps import SeatMap

NO_CACHE = b"no-cache"  # may be kept, but must be asked about each time
FOREVER = b"public, max-age=31536000, immutable"
COMPRESSED_BYTES_MIN = 1_000  # below this the answer fits into one packet anyway

LIST_SECONDS = 1.0  # a list of shows is as current as a live map is
LISTS_MAX = 500  # filters that are asked for at the same time; 50 shows are some 30 kB
LISTS_BYTES_MAX = 16_000_000  # 500 of those; 200 shows with many categories can be 5 MB

# What a seat takes at least: whether a body is compressed must be known before it is made.
_LETTER_BYTES, _LISTED_SEAT_BYTES, _PLANNED_SEAT_BYTES = 1, 100, 60


class Encoded(Response[Any]):
    """An answer whose bytes are all there: whatever a framework does on the way to them is left out.

    The looks of a crowd are the most of all requests, and cost more to dress up than to answer.
    """

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
        self.status_code = status
        self.raw = headers
        self.content = content

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Itself, as an ASGI application: what routes and hooks add to other answers would have to be encoded anew."""
        return self._send  # type: ignore[return-value]  # Litestar only calls it

    async def _send(self, scope: Scope, receive: Receive, send: Any) -> None:  # noqa: ARG002 (passed by name, too)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def has_already(scope: Scope, etag: str) -> bool:
    """Whether the caller has the answer of this tag (RFC 9110, section 13.1.2: weakness makes no difference)."""
    values = [value for name, value in scope["headers"] if name == b"if-none-match"]
    if not values:
        return False
    if len(values) == 1 and values[0] == b'"%b"' % etag.encode():
        return True  # as a browser says it: nothing needs to be parsed
    return parse_etags(_joined(values)).contains_weak(etag)


def coding_for(scope: Scope, body_bytes: int) -> Coding:
    """How an answer of about that size is sent (RFC 9110, section 12.5.3)."""
    values = [value for name, value in scope["headers"] if name == b"accept-encoding"]
    large, small = _codings(_joined(values))
    return large if body_bytes >= COMPRESSED_BYTES_MIN else small


def _joined(values: list[bytes]) -> str:
    """A header that came in several lines, as one."""
    return b",".join(values).decode("latin-1")


@lru_cache(256)  # there are few browsers
def _codings(accepted: str) -> tuple[Coding, Coding]:
    """What a caller takes for a large answer, and for one that is not worth compressing.

    One that would have none of ours gets its answer as it is, for the standard leaves that to us. `*` never means
    zstd: whoever says it may well be from before there was any.
    """
    accept = parse_accept_header(accepted, Accept)
    named = {name.lower() for name in accept.values()}
    weights = {
        Coding.ZSTD: accept.quality("zstd") if "zstd" in named else 0,
        Coding.GZIP: accept.quality("x-gzip" if "x-gzip" in named else "gzip"),
    }
    best = max(weights, key=weights.__getitem__)  # zstd, where both are as welcome
    plain = accept.quality("identity")
    if not weights[best]:
        return Coding.PLAIN, Coding.PLAIN
    plain_refused = (
        not plain and accept.find("identity") >= 0
    )  # by name or by `*`; not being named is no refusal
    return best if weights[best] >= plain else Coding.PLAIN, best if plain_refused else Coding.PLAIN


class Caches:
    """What one process's HTTP side keeps."""

    def __init__(self) -> None:
        self.bodies = Bodies()
        self.lists = Lists()


def caches_of(request: Request[Any, Any, Any]) -> Caches:
    """The caches of the application that is asked."""
    caches: Caches = request.app.state.caches
    return caches


@contextmanager
def changing_lists(request: Request[Any, Any, Any]) -> Iterator[None]:
    """What happens within may change lists: from its end on, whatever comes of it, they are read anew."""
    try:
        yield
    finally:
        caches_of(request).lists.clear()


async def letters_answer(request: Request[Any, Any, Any], context: Context, show_id: int) -> Response[Any]:
    """`GET …/availability`. Raises `NotFound`."""
    seat_map = await _map_of(context, show_id)
    source = Source(
        "letters", show_id, seat_map.version, lambda: read(seat_map), Letters, context.maps.history
    )
    return await _answer(request, source, len(seat_map.letters) * _LETTER_BYTES)


async def seat_list_answer(request: Request[Any, Any, Any], context: Context, show_id: int) -> Response[Any]:
    """`GET …/seats`. Raises `NotFound`."""
    seat_map = await _map_of(context, show_id)
    layout = (await plan_of(context, show_id)).layout
    source = Source(
        "seats",
        show_id,
        seat_map.version,
        lambda: read(seat_map),
        lambda: SeatList(layout),
        context.maps.history,
    )
    return await _answer(request, source, layout.total_seats * _LISTED_SEAT_BYTES)


async def layout_answer(request: Request[Any, Any, Any], context: Context, show_id: int) -> Response[Any]:
    """`GET …/layout`. Raises `NotFound`."""
    await _map_of(context, show_id)  # so that it is known of which history the layout is
    layout = (await plan_of(context, show_id)).layout
    source = Source(
        "layout",
        show_id,
        0,  # the only version
        lambda: Reading(show_id, 0, 0, bytes(layout.total_seats)),
        lambda: WholeLayout(layout),
        context.maps.history,
    )
    return await _answer(request, source, layout.total_seats * _PLANNED_SEAT_BYTES, FOREVER)


async def _map_of(context: Context, show_id: int) -> SeatMap:
    seat_map = await context.maps.get(show_id)
    if seat_map is None:
        raise NotFound(f"show {show_id}")
    return seat_map


async def _answer(
    request: Request[Any, Any, Any], source: Source, size: int, cache_control: bytes = NO_CACHE
) -> Response[Any]:
    """200 with the body as the caller takes it, or 304. `size`: about how many bytes it has."""
    vary_by_encoding(request.scope)
    coding = coding_for(request.scope, size)
    etag = _etag(source, source.version, coding)
    if has_already(request.scope, etag):
        return Encoded(304, [(b"etag", b'"%b"' % etag.encode()), (b"cache-control", cache_control)], b"")
    body = await caches_of(request).bodies.get(source, coding)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body.content)),
        (b"etag", b'"%b"' % _etag(source, body.version, coding).encode()),
        (b"cache-control", cache_control),
    ]
    if coding is not Coding.PLAIN:
        headers.append((b"content-encoding", coding.encode()))
    return Encoded(200, headers, body.content)


def _etag(source: Source, version: int, coding: Coding) -> str:
    form = "" if coding is Coding.PLAIN else f"-{coding}"
    return f"{source.show_id}-{version}-{source.history}-{source.kind}{form}"


class Lists:
    """Encoded lists, kept for a second; whoever asks while one is read waits for it, however long that takes."""

    def __init__(
        self,
        entries_max: int = LISTS_MAX,
        seconds: float = LIST_SECONDS,
        bytes_max: int = LISTS_BYTES_MAX,
    ) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._seconds = seconds
        self._entries: OrderedDict[Hashable, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def get(self, query: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `query` finds, as of at most a second ago, or of when its reading began."""
        now = asyncio.get_running_loop().time()
        entry = self._entries.get(query)
        if entry is None or _lapsed(entry, now):
            for each in [each for each, kept in self._entries.items() if _lapsed(kept, now)]:
                del self._entries[each]
            task: asyncio.Task[bytes] = asyncio.ensure_future(_run(load))
            task.add_done_callback(lambda done: self._weigh(query, done))
            entry = self._entries[query] = now + self._seconds, task
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
        return await asyncio.shield(entry[1])  # one caller that gives up takes nothing from the others

    def clear(self) -> None:
        """Something has changed: what is kept, and what is being read now, is no more for those who ask from now on."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _weigh(self, query: Hashable, task: asyncio.Task[bytes]) -> None:
        """Keep what was read as far as there is room, at the cost of the oldest; a failure is not kept."""
        if not _is_read(task):
            entry = self._entries.get(query)
            if entry is not None and entry[1] is task:
                del self._entries[query]
            return
        read = {each: len(kept[1].result()) for each, kept in self._entries.items() if _is_read(kept[1])}
        size = sum(read.values())
        for each, weight in read.items():  # the order is that of their ages
            if size <= self._bytes_max:
                break
            del self._entries[each]
            size -= weight


def _is_read(task: asyncio.Task[bytes]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _lapsed(entry: tuple[float, asyncio.Task[bytes]], now: float) -> bool:
    return entry[0] <= now and entry[1].done()


async def _run(load: Callable[[], Awaitable[bytes]]) -> bytes:
    return await load()
