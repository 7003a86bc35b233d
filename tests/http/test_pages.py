"""Lists of shows out of Redis: encoded once for all processes, and never older than a list may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rowlock.http import shows
from rowlock.http.caching import LIST_SECONDS
from rowlock.operations.find_shows import list_shows
from tests.http.api import ADMIN, build, new_show, running
from tests.redis_server import RedisServer

HOUR = 3600.0


@pytest.fixture
async def both(dsn: str, redis_server: RedisServer) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two servers."""
    async with (
        running(build(dsn, redis_url=redis_server.url)) as one,
        running(build(dsn, redis_url=redis_server.url)) as two,
    ):
        yield [one, two]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each reading of a list from PostgreSQL."""
    found: list[Any] = []

    async def counted(*arguments: Any, **named: Any) -> Any:
        found.append(named)
        return await list_shows(*arguments, **named)

    monkeypatch.setattr(shows, "list_shows", counted)
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's Redis may take long, and its lists are not old before they are looked at."""
    monkeypatch.setattr("rowlock.brokers.redis.ANSWER_SECONDS_MAX", 10.0)
    monkeypatch.setattr("rowlock.brokers.redis_pages.GET_SECONDS_MAX", 10.0)
    monkeypatch.setattr("rowlock.brokers.redis_pages.PUT_SECONDS_MAX", 10.0)


def keep_for(client: httpx.AsyncClient, seconds: float) -> Any:
    """Let a server's lists last for so long. Returns them."""
    lists = client._transport.app.state.caches.lists  # type: ignore[attr-defined]
    lists._seconds = seconds
    return lists


async def test_one_reads_for_all(both: list[httpx.AsyncClient], reads: list[Any]) -> None:
    """Each process would ask PostgreSQL for the same page each second."""
    await new_show(both[0])
    for client in both:
        keep_for(client, HOUR)
    keep_for(both[0], HOUR)._changed_at = -2 * HOUR
    pages = [(await client.get("/api/shows", params={"q": q})).text for q in ("", "Ü*") for client in both]
    assert pages[0] == pages[1] != pages[2] == pages[3]
    assert len(reads) == 2


async def test_who_changes_a_show_sees_it(both: list[httpx.AsyncClient], reads: list[Any]) -> None:
    """An admin would make a show, and not find it."""
    for client in both:
        keep_for(client, HOUR)
    assert (await both[0].get("/api/shows")).json()["items"] == []
    show = await new_show(both[1])
    assert [each["id"] for each in (await both[1].get("/api/shows")).json()["items"]] == [show["id"]]
    assert len(reads) == 2


async def test_a_page_does_not_grow_old_twice(both: list[httpx.AsyncClient]) -> None:
    """What is a second old in Redis would be shown for a second more."""
    assert (await both[0].get("/api/shows")).json()["items"] == []
    await asyncio.sleep(LIST_SECONDS / 2)
    assert (await both[1].get("/api/shows")).json()["items"] == []
    await new_show(both[0])
    await asyncio.sleep(LIST_SECONDS / 2 + 0.05)
    assert len((await both[1].get("/api/shows")).json()["items"]) == 1


async def test_a_page_read_during_a_change_is_not_shared(
    both: list[httpx.AsyncClient], reads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process would go on showing what was read just before."""
    for client in both:
        keep_for(client, HOUR)
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any, **named: Any) -> Any:
        page = await list_shows(*arguments, **named)
        if not reading.is_set():
            reading.set()
            await go_on.wait()
        return page

    monkeypatch.setattr(shows, "list_shows", slow)
    asking = asyncio.create_task(both[0].get("/api/shows"))
    await reading.wait()
    await new_show(both[0])
    go_on.set()
    await asking
    assert len((await both[1].get("/api/shows")).json()["items"]) == 1


async def test_spoilt_pages_and_no_redis(
    both: list[httpx.AsyncClient], reads: list[Any], redis_server: RedisServer, tmp_path: Path
) -> None:
    """Whoever can write to Redis would write our pages; or its end be the end of the list."""
    show = await new_show(both[0])
    for client in both:
        keep_for(client, HOUR)
    lists = keep_for(both[0], HOUR)
    lists._changed_at = -2 * HOUR
    wanted = (await both[0].get("/api/shows")).text
    with redis_server.client as client:
        (key,) = client.keys("*page:*")
        for junk in (b"", b"{}", b"x" * 1_000_000, client.get(key)[:-1], client.get(key) + b"x"):
            client.set(key, junk, px=60_000)
            assert (await both[1].get("/api/shows")).text == wanted
            keep_for(both[1], HOUR).clear()
            keep_for(both[1], HOUR)._changed_at = -2 * HOUR
        client.delete(key)
        client.rpush(key, "x")
        assert (await both[1].get("/api/shows")).text == wanted
    redis_server.stop()
    for client in both:
        keep_for(client, HOUR).clear()
        keep_for(client, HOUR)._changed_at = -2 * HOUR
        answer = await client.get("/api/shows", headers=ADMIN)
        assert [each["id"] for each in answer.json()["items"]] == [show["id"]]
