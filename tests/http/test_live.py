"""The stream of a show's changes, as far as one application goes; end_to_end/test_live.py has real servers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from rowlock.telemetry import LIVE_READERS
from tests.http.api import build, new_booking, new_show, problem, running

pytestmark = pytest.mark.anyio


def scope(path: str, **headers: str) -> dict[str, Any]:
    """A request, as a server hands it over."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *((n.encode(), v.encode()) for n, v in headers.items())],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }


async def test_a_head_has_an_end(dsn: str) -> None:
    """A monitor that asks for headers only would hang."""
    async with running(build(dsn)) as client:
        await new_show(client)
        answer = await client.head("/api/shows/1/live")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        problem(await client.get("/api/shows/2/live"), 404, "not_found")
        problem(await client.get("/api/shows/1/live?last_event_id=1"), 400, "invalid_request")


@pytest.mark.parametrize("stalled", [False, True])
async def test_a_reader_who_goes_is_gone(dsn: str, stalled: bool) -> None:
    """Each visitor would leave a stream behind, most of all one whose connection was stuck."""
    app: Any = build(dsn)
    async with running(app) as client:
        await new_show(client)
        before = LIVE_READERS._value.get()
        gone, sent = asyncio.Event(), asyncio.Event()
        bodies: list[bytes] = []

        async def receive() -> dict[str, Any]:
            if not asked:
                asked.append(True)
                return {"type": "http.request", "body": b"", "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                bodies.append(message["body"])
            if len(bodies) == 2:
                sent.set()
                if stalled:
                    await asyncio.Event().wait()

        asked: list[bool] = []
        reading = asyncio.create_task(app(scope("/api/shows/1/live"), receive, send))
        await asyncio.wait_for(sent.wait(), 5)
        assert re.fullmatch(rb"retry: [1-5]\d{3}\n", bodies[0])
        assert bodies[1].startswith(b"event: snapshot\nid: 0\n")
        assert app.state.streams.count == 1
        assert LIVE_READERS._value.get() == before + 1
        await new_booking(client, 1, seats=["1"])  # a stuck reader holds up nobody
        gone.set()
        await asyncio.wait_for(reading, 5)
        assert app.state.streams.count == 0
        assert LIVE_READERS._value.get() == before


async def test_who_only_asks_for_headers_keeps_no_map(dsn: str) -> None:
    """A monitor that asks for each show would fill the memory with maps that nobody reads."""
    app: Any = build(dsn)
    async with running(app) as client:
        await new_show(client)
        assert (await client.head("/api/shows/1/live")).status_code == 200
        context = app.state.context
        assert context.live._hubs == {}
        assert not context.maps.known(1).in_use
