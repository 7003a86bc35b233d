"""Answers that need not be made or sent again: strong ETags, `If-None-Match`, compression, and the list of shows.

An ETag is of one show, version, kind and encoding. Whether a caller has the answer already is known from the version
alone, before anything is encoded.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from litestar import MediaType, Request, Response
from litestar.types import Scope

from rowlock.http.observing import vary_by_encoding
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.seats import plan_of
from rowlock.seatmap.encoded import Bodies, Letters, Reading, SeatList, Source, WholeLayout, read
from rowlock.seatmap.maps import SeatMap

NO_CACHE = "no-cache"  # may be kept, but must be asked about each time
FOREVER = "public, max-age=31536000, immutable"
COMPRESSED_BYTES_MIN = 1_000  # below this the answer fits into one packet anyway

LIST_SECONDS = 1.0  # a list of shows is as current as a live map is
LISTS_MAX = 500  # filters that are asked for at the same time; 50 shows are some 30 kB

# What a seat takes at least: whether a body is compressed must be known before it is made.
_LETTER_BYTES, _LISTED_SEAT_BYTES, _PLANNED_SEAT_BYTES = 1, 100, 60

_CODING = re.compile(
    r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?"
)


def asks_for_other_than(scope: Scope) -> list[str] | None:
    """The ETags in If-None-Match, without their weakness; None if the header is not there."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
    if not values:
        return None
    return [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]


def matches(wanted: list[str] | None, etag: str) -> bool:
    """Whether the caller has this already."""
    return wanted is not None and ("*" in wanted or etag in wanted)


def not_modified(etag: str, cache_control: str) -> Response[Any]:
    """304."""
    return Response(None, status_code=304, headers={"ETag": etag, "Cache-Control": cache_control})


def takes_gzip(scope: Scope, body_bytes: int) -> bool:
    """Whether an answer of about that size goes out compressed (RFC 9110, section 12.5.3)."""
    accepted = ",".join(
        value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-encoding"
    )
    preferred, possible = _gzip_accepted(accepted)
    return preferred if body_bytes >= COMPRESSED_BYTES_MIN else possible


@lru_cache(256)  # there are few browsers
def _gzip_accepted(accepted: str) -> tuple[bool, bool]:
    """Whether a caller would rather have gzip than none, and whether it would have nothing else.

    One that would have neither gets its answer as it is, for the standard leaves that to us.
    """
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        found = _CODING.fullmatch(part)
        if found is not None:
            weights[found[1].lower().removeprefix("x-")] = 1.0 if found[2] is None else float(found[2])
    others = weights.get("*", 0.0)
    gzip = weights.get("gzip", others)
    plain = weights.get("identity", 0.0)  # acceptable without being named, but the last choice
    plain_refused = plain == 0 and ("identity" in weights or weights.get("*") == 0.0)
    return 0 < gzip >= plain, gzip > 0 and plain_refused


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
    source = Source("letters", show_id, seat_map.version, lambda: read(seat_map), Letters)
    return await _answer(request, source, len(seat_map.letters) * _LETTER_BYTES, NO_CACHE)


async def seat_list_answer(request: Request[Any, Any, Any], context: Context, show_id: int) -> Response[Any]:
    """`GET …/seats`. Raises `NotFound`."""
    layout = (await plan_of(context, show_id)).layout
    seat_map = await _map_of(context, show_id)
    source = Source("seats", show_id, seat_map.version, lambda: read(seat_map), lambda: SeatList(layout))
    return await _answer(request, source, layout.total_seats * _LISTED_SEAT_BYTES, NO_CACHE)


async def layout_answer(request: Request[Any, Any, Any], context: Context, show_id: int) -> Response[Any]:
    """`GET …/layout`. Raises `NotFound`."""
    layout = (await plan_of(context, show_id)).layout
    source = Source(
        "layout",
        show_id,
        0,  # the only version
        lambda: Reading(show_id, 0, 0, bytes(layout.total_seats)),
        lambda: WholeLayout(layout),
    )
    return await _answer(request, source, layout.total_seats * _PLANNED_SEAT_BYTES, FOREVER)


async def _map_of(context: Context, show_id: int) -> SeatMap:
    seat_map = await context.maps.get(show_id)
    if seat_map is None:
        raise NotFound(f"show {show_id}")
    return seat_map


async def _answer(
    request: Request[Any, Any, Any], source: Source, size: int, cache_control: str
) -> Response[Any]:
    """200 with the body as the caller takes it, or 304. `size`: about how many bytes it has."""
    vary_by_encoding(request.scope)
    gzip = takes_gzip(request.scope, size)
    etag = _etag(source, source.version, gzip=gzip)
    if matches(asks_for_other_than(request.scope), etag):
        return not_modified(etag, cache_control)
    body = await caches_of(request).bodies.get(source, gzip=gzip)
    headers = {"ETag": _etag(source, body.version, gzip=gzip), "Cache-Control": cache_control}
    if gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(body.content, headers=headers, media_type=MediaType.JSON)


def _etag(source: Source, version: int, *, gzip: bool) -> str:
    return f'"{source.show_id}-{version}-{source.kind}{"-gzip" if gzip else ""}"'


class Lists:
    """Encoded lists, kept for a second; whoever asks while one is read waits for it."""

    def __init__(self, entries_max: int = LISTS_MAX, seconds: float = LIST_SECONDS) -> None:
        self._entries_max = entries_max
        self._seconds = seconds
        self._entries: OrderedDict[Hashable, tuple[float, asyncio.Task[bytes]]] = OrderedDict()

    async def get(self, query: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `query` finds, as of at most a second ago."""
        now = asyncio.get_running_loop().time()
        entry = self._entries.get(query)
        if entry is None or entry[0] <= now:
            task: asyncio.Task[bytes] = asyncio.ensure_future(_run(load))
            task.add_done_callback(lambda done: self._forget_failed(query, done))
            entry = self._entries[query] = now + self._seconds, task
            self._entries.move_to_end(query)  # the order is that of their ages
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)
        return await asyncio.shield(entry[1])  # one caller that gives up takes nothing from the others

    def clear(self) -> None:
        """Something has changed: what is kept, and what is being read now, is no more for those who ask from now on."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _forget_failed(self, query: Hashable, task: asyncio.Task[bytes]) -> None:
        if task.cancelled() or task.exception() is not None:
            entry = self._entries.get(query)
            if entry is not None and entry[1] is task:
                del self._entries[query]


async def _run(load: Callable[[], Awaitable[bytes]]) -> bytes:
    return await load()
