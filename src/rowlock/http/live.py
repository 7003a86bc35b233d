"""Live seat maps over HTTP: server-sent events, for as long as the reader stays.

A stream costs two small tasks: one sends, one waits to hear that the reader has gone. What is sent is encoded once for
all readers (seatmap/live.py). A reader that takes nothing holds up only its own stream.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from litestar import Litestar, Request, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from rowlock.http.documentation import EVENT_STREAM, EventStreamOperation
from rowlock.http.identifiers import show_number
from rowlock.http.observing import asks_for_headers_only
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound

STREAMS_MAX = (
    10_000  # of a process; the server takes more connections than that, so that booking always has some
)

# When to come back, in milliseconds: spread, so that not everyone does at once where a process ends.
RETRY_MS_MIN, RETRY_MS_MAX = 1_000, 5_000

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until some kilobytes are full
}
_VERSION = re.compile(rb"[0-9]{1,18}")


class Streams:
    """The streams of one application."""

    def __init__(self) -> None:
        self.count = 0
        self.ending = False


def end_streams(app: Litestar) -> None:
    """Have all streams end, each after a whole event, and let none begin: the server is about to end."""
    app.state.streams.ending = True
    context: Context | None = app.state.get("context")
    if context is not None:
        context.live.close()


class _Stream(ASGIResponse):
    """An answer that goes on until its events end or its reader goes."""

    _should_set_content_length = False

    def __init__(self, events: AsyncGenerator[bytes] | None, streams: Streams, *, headers_only: bool) -> None:
        super().__init__(
            headers=dict(_HEADERS), media_type=EVENT_STREAM, is_head_response=headers_only, status_code=200
        )
        if headers_only:
            self.headers["content-type"] = f"{EVENT_STREAM}; charset=utf-8"
        self._events = events
        self._streams = streams

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Send events; stop at once when the reader is gone."""
        self._streams.count += 1
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send_events(send))
                # The server says "disconnect" also when the answer is complete.
                while (await receive())["type"] != "http.disconnect":
                    pass
                sending.cancel()
        finally:
            self._streams.count -= 1

    async def _send_events(self, send: Send) -> None:
        # A field of the first event; where there is none, the end of the stream is what makes it count.
        retry = b"retry: %d\n" % random.randint(RETRY_MS_MIN, RETRY_MS_MAX)
        await send({"type": "http.response.body", "body": retry, "more_body": True})
        if self._events is not None:
            async with aclosing(self._events) as events:
                async for event in events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@get(
    "/{show_id:str}/live",
    summary="Watch a show's seat map",
    description="Server-sent events: a `snapshot`, then a `delta` for whatever changes, at most ten a second, and fewer where thousands watch. Each delta "
    "begins at the version where the one before ended; an event's id is its version. An `EventSource` that has lost its "
    "connection sends `Last-Event-ID` by itself, and goes on from there; one that was away for too long gets a "
    "snapshot. A comment every 15 seconds keeps the connection awake. Where too many watch, or the server is about to "
    "end, the stream ends at once; `retry` says when to come back, as an `EventSource` does by itself.",
    operation_id="watch_show",
    operation_class=EventStreamOperation,
)
async def live(request: Request[Any, Any, Any], show_id: FromPath[str]) -> ASGIResponse:
    """A show's changes as they happen."""
    number = show_number(show_id)
    streams: Streams = request.app.state.streams
    headers_only = asks_for_headers_only(request.scope)
    if streams.ending or streams.count >= STREAMS_MAX:
        # Not 503: an EventSource never comes back after that.
        return _Stream(None, streams, headers_only=headers_only)
    context: Context = request.app.state.context
    events = await context.live.read(number, _last_version(request.scope))
    if events is None:
        raise NotFound(f"show {number}")
    return _Stream(cast("AsyncGenerator[bytes]", events), streams, headers_only=headers_only)


def _last_version(scope: Scope) -> int | None:
    """The version that the reader has seen. What can't be one is ignored, for a snapshot is always right."""
    for name, value in scope["headers"]:
        if name == b"last-event-id":
            return int(value) if _VERSION.fullmatch(value) else None
    return None
