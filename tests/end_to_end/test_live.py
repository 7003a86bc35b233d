"""Live maps of real server processes: what readers see is what the database has, and nobody waits for anybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rowlock.operations.context import Context
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_stampede import context, create  # noqa: F401 (a fixture)

pytestmark = pytest.mark.anyio

LETTERS = """
    SELECT i.version, string_agg(s.status::text, '' ORDER BY s.seat_no) AS statuses
    FROM inventory i JOIN seats s USING (show_id) WHERE show_id = $1 GROUP BY i.version"""
SECONDS_MAX = 10.0


class Page:
    """What a page does with the events: keeps a map, and demands that they follow each other."""

    def __init__(self, statuses: str = "", version: int = -1) -> None:
        self.letters = list(statuses)
        self.version = version
        self.names: list[str] = []
        self.ended = asyncio.Event()
        self._moved = asyncio.Event()

    @property
    def statuses(self) -> str:
        """The map."""
        return "".join(self.letters)

    def take(self, event: str) -> None:
        """One event, as it came."""
        fields = dict(line.split(": ", 1) for line in event.split("\n") if not line.startswith(":"))
        if not fields:
            return
        data: dict[str, Any] = json.loads(fields["data"])
        assert int(fields["id"]) == data["version"]
        if fields["event"] == "snapshot":
            self.letters = list(data["statuses"])
        else:
            assert data["from_version"] == self.version, "a gap, or a repeat"
            assert data["version"] > self.version
            for position, letter in data["changes"]:
                self.letters[position] = letter
        assert data["available"] == self.letters.count("A")
        self.version = data["version"]
        self.names.append(fields["event"])
        self._moved.set()

    async def read(self, response: httpx.Response) -> None:
        """Take all events until the stream ends, which must be after a whole one."""
        rest = ""
        async for text in response.aiter_text():
            *events, rest = (rest + text).split("\n\n")
            for event in events:
                self.take(event)
        assert rest == ""
        self.ended.set()

    async def shows(self, version: int) -> None:
        """Wait until it shows a version."""
        async with asyncio.timeout(SECONDS_MAX):
            while self.version < version:
                self._moved.clear()
                await self._moved.wait()


@contextlib.asynccontextmanager
async def watching(
    client: httpx.AsyncClient, show: int, page: Page | None = None, *, last: str | None = None
) -> AsyncIterator[Page]:
    """A page that watches a show."""
    page = page or Page()
    headers = {} if last is None else {"Last-Event-ID": last}
    async with client.stream(
        "GET", f"/api/shows/{show}/live", headers=headers, timeout=httpx.Timeout(5, read=None)
    ) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Accel-Buffering"] == "no"
        task = asyncio.create_task(page.read(response))
        try:
            yield page
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def book(client: httpx.AsyncClient, show: int, *seats: int) -> None:
    """Book seats."""
    answer = await client.post("/api/bookings", json={"show_id": show, "seats": [*map(str, seats)]})
    assert answer.status_code == 201, answer.text


async def in_database(context: Context, show: int) -> tuple[int, str]:  # noqa: F811
    """What the map should be."""
    row = await context.pool.fetchrow(LETTERS, show)
    return row["version"], row["statuses"]


async def gauge(client: httpx.AsyncClient) -> float:
    """How many read live, as the metrics say."""
    found = re.search(r"^rowlock_live_readers (\S+)$", (await client.get("/metrics")).text, re.MULTILINE)
    assert found is not None
    return float(found[1])


async def gauge_becomes(client: httpx.AsyncClient, readers: int) -> None:
    """Wait until so many read."""
    for _ in range(200):
        if (now := await gauge(client)) == readers:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{now} readers, not {readers}")


async def test_readers_of_two_processes_see_every_booking(
    clients: list[httpx.AsyncClient],
    context: Context,  # noqa: F811
) -> None:
    """People would choose seats that are long gone, depending on which process they hit."""
    show = await create(clients[0], 60)
    async with watching(clients[0], show) as here, watching(clients[1], show) as there:
        for n in range(40):
            await book(clients[n % 2], show, n + 1)
            if n % 10 == 0:
                await asyncio.sleep(0.15)  # past a tick, so that there are several deltas
        version, statuses = await in_database(context, show)
        for page in (here, there):
            await page.shows(version)
            assert (page.version, page.statuses) == (version, statuses)
            assert page.names[0] == "snapshot"
            assert set(page.names[1:]) == {"delta"}


async def test_a_reader_goes_on_where_it_was(clients: list[httpx.AsyncClient], context: Context) -> None:  # noqa: F811
    """After each tunnel a phone would load the whole map, or miss what happened meanwhile."""
    client = clients[0]
    show = await create(client, 60)
    async with watching(client, show):  # somebody else, so that the show stays watched
        async with watching(client, show) as page:
            await book(client, show, 1)
            await page.shows(1)
        for n in range(2, 6):
            await book(client, show, n)
            await asyncio.sleep(0.12)
        version, statuses = await in_database(context, show)
        page.names.clear()
        async with watching(client, show, page, last="1"):
            await page.shows(version)
            assert page.statuses == statuses
            assert set(page.names) == {"delta"}
        for nonsense in ("", "-1", "1.0", "x", "9" * 40, str(version + 1000)):
            async with watching(client, show, last=nonsense) as fresh:
                await fresh.shows(version)
                assert (fresh.names[0], fresh.statuses) == ("snapshot", statuses), nonsense


async def test_readers_who_leave_are_forgotten(clients: list[httpx.AsyncClient]) -> None:
    """A day of visitors would fill the memory, and then the server would take nobody."""
    client = clients[0]
    show = await create(client, 20)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            page = await stack.enter_async_context(watching(client, show))
            await page.shows(0)
        await gauge_becomes(client, 20)
    await gauge_becomes(client, 0)
    text = (await client.get("/metrics")).text
    assert "rowlock_http_request_seconds_count" in text
    for line in text.splitlines():
        if line.startswith("rowlock_http_request_seconds"):
            assert "/live" not in line, "a reader's stay is no latency"
    assert re.search(r'^rowlock_http_requests_total\{.*/live".*\} 20\.0$', text, re.MULTILINE)


async def test_who_does_not_read_holds_up_nobody(
    processes: list[Server],
    clients: list[httpx.AsyncClient],
    context: Context,  # noqa: F811
) -> None:
    """One sleeping laptop would stop the map for all, or fill the server's memory."""
    client, server = clients[0], processes[0]
    seats = 20_000
    show = await create(client, seats, max_seats_per_booking=500)
    stalled = [await asyncio.open_connection("127.0.0.1", server.port, limit=1024) for _ in range(5)]
    for _, writer in stalled:
        writer.write(f"GET /api/shows/{show}/live HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await gauge_becomes(client, 5)
    async with watching(client, show) as page:
        for n in range(20):
            await book(client, show, *range(n * 500 + 1, n * 500 + 501))
        version, statuses = await in_database(context, show)
        began = time.monotonic()
        await page.shows(version)
        assert time.monotonic() - began < 1
        assert page.statuses == statuses
    for _, writer in stalled:
        writer.transport.abort()
    await gauge_becomes(client, 0)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_streams_end_with_the_server(
    dsn: str, tmp_path: Path, tokens: dict[str, str], workers: str
) -> None:
    """Each restart would take ten seconds, in which nobody books."""
    server = Server(dsn, tmp_path, ROWLOCK_WORKERS=workers)
    try:
        await server.ready()
        async with contextlib.AsyncExitStack() as stack:
            pages = []
            headers = {"Authorization": tokens["admin"]}
            async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
                show = await create(client, 20)
            for _ in range(10):
                client = await stack.enter_async_context(
                    httpx.AsyncClient(base_url=server.url, headers=headers)
                )
                pages.append(await stack.enter_async_context(watching(client, show)))
            await asyncio.gather(*(page.shows(0) for page in pages))
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(2):
                for page in pages:
                    await page.ended.wait()
            await asyncio.to_thread(server.process.wait, 20)
            assert time.monotonic() - began < 5
        assert server.process.returncode == 0
        assert "Traceback" not in server.log.read_text()
        assert "error" not in server.log.read_text()
    finally:
        if server.process.poll() is None:
            server.stop()


async def test_no_such_show(clients: list[httpx.AsyncClient]) -> None:
    """A page would wait forever for a show that isn't there."""
    for name in ("1", "0", "x"):
        answer = await clients[0].get(f"/api/shows/{name}/live")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
