"""The change feed over Redis: it is used while it is there, and never missed while it isn't."""

from __future__ import annotations

import asyncio
import gc
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import asyncpg
import pytest
import structlog

from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context, open_context
from rowlock.postgres import migrate
from rowlock.postgres.pool import Database
from rowlock.seatmap.changes import Change
from rowlock.seatmap.feed import CHANNEL, decode, encode
from tests.brokers.conftest import SECONDS_MAX, hearing, link_of, until
from tests.redis_server import RedisServer, running_redis
from tests.seatmap.test_feed import until_shown
from tests.seatmap.test_maps import committed, shown
from tests.support import make_show, try_book


@asynccontextmanager
async def notified(dsn: str) -> AsyncIterator[list[str]]:
    """What is told over NOTIFY meanwhile, but for who listens."""
    heard: list[str] = []

    def hear(_connection: object, _pid: int, _channel: str, payload: str) -> None:
        message = decode(payload)
        if message is None or message.changes or message.large:
            heard.append(payload)

    connection = await asyncpg.connect(dsn)
    await connection.add_listener(CHANNEL, hear)
    try:
        yield heard
    finally:
        await connection.close()


async def test_the_other_process_hears_of_it_through_redis_alone(
    here: Context,
    there: Context,
    dsn: str,
    redis_server: RedisServer,
    record_property: Callable[[str, object], None],
) -> None:
    """PostgreSQL would go on carrying every message, and Redis be there for nothing."""
    show = await make_show(here, 100)
    await hearing(redis_server, here, there)
    await shown(there.maps, show)
    async with notified(dsn) as heard:
        took = []
        for seat in range(1, 31):
            await try_book((here, there)[seat % 2], show, [str(seat)])
            took.append(await until_shown(there, show, SECONDS_MAX))
            took.append(await until_shown(here, show, SECONDS_MAX))
        await here.pool.execute("SELECT pg_notify($1, 'the last')", CHANNEL)
        await until(lambda: "the last" in heard)
        assert heard == ["the last"]
    record_property("ms_to_the_other_process_max", max(took) * 1000)
    assert await here.maps.check() == await there.maps.check() == 0


async def test_redis_stops_and_comes_back(
    here: Context, there: Context, dsn: str, redis_server: RedisServer
) -> None:
    """An outage of Redis would stop the maps of all processes, or its return go unnoticed."""
    show = await make_show(here, 100)
    with structlog.testing.capture_logs() as logs:
        for round_ in range(2):
            first = 1 + 20 * round_
            await hearing(redis_server, here, there)
            await shown(there.maps, show)
            redis_server.stop()
            for seat in range(first, first + 5):
                await try_book(here, show, [str(seat)])
                await until_shown(there, show, SECONDS_MAX)
            await until(lambda: not link_of(here).connected and not link_of(there).connected)
            async with notified(dsn) as heard:
                await try_book(here, show, [str(first + 5)])
                await until_shown(there, show, SECONDS_MAX)
                await until(lambda heard=heard: bool(heard))  # type: ignore[misc]
            redis_server.start()
            await hearing(redis_server, here, there)
            async with notified(dsn) as heard:
                await try_book(here, show, [str(first + 6)])
                await until_shown(there, show, SECONDS_MAX)
                await here.pool.execute("SELECT pg_notify($1, 'the last')", CHANNEL)
                await until(lambda heard=heard: "the last" in heard)  # type: ignore[misc]
                assert heard == ["the last"]
    said = [line["event"] for line in logs if line["log_level"] in {"warning", "info", "error"}]
    assert said.count("redis_away") == said.count("redis_back") == 4, (
        "one each, for two processes and two outages"
    )
    assert set(said) == {"redis_away", "redis_back"}


async def test_a_redis_that_hangs_holds_no_booking_up(here: Context, redis_server: RedisServer) -> None:
    """A Redis that takes connections and never answers would make every booking wait."""
    show = await make_show(here, 100)
    await hearing(redis_server, here)
    redis_server.freeze()
    try:
        waited: list[float] = []
        for seat in range(1, 21):
            started = perf_counter()
            booked = await try_book(here, show, [str(seat)])
            waited.append(perf_counter() - started)
            assert booked.outcome is Outcome.CONFIRMED
        # Whoever waited for Redis would have waited for as long as the tests' patience lasts.
        assert max(waited) < SECONDS_MAX / 2, waited
    finally:
        redis_server.thaw()


@pytest.mark.usefixtures("real_limits")
async def test_a_redis_that_hangs_is_gone_round(
    here: Context, there: Context, redis_server: RedisServer
) -> None:
    """What people see would stand still for as long as Redis does."""
    show = await make_show(here, 100)
    for first in (1, 11):
        await hearing(redis_server, here, there)
        await shown(there.maps, show)
        redis_server.freeze()
        try:
            await try_book(here, show, [str(first)])
            await until_shown(there, show, SECONDS_MAX)
            await until(lambda: not link_of(here).connected and not link_of(there).connected)
            await try_book(here, show, [str(first + 1)])
            await until_shown(there, show, SECONDS_MAX)
        finally:
            redis_server.thaw()


async def test_a_listener_that_is_cut_off_alone(
    here: Context, there: Context, redis_server: RedisServer
) -> None:
    """A process whose one connection broke would be deaf until its restart."""
    show = await make_show(here, 100)
    for seat in range(1, 4):
        await hearing(redis_server, here, there)
        await shown(there.maps, show)
        with redis_server.client as client:
            client.client_kill_filter(_type="pubsub")
        await try_book(here, show, [str(seat)])  # while nobody may hear
        await until_shown(there, show, SECONDS_MAX)
    assert link_of(there).connected


async def test_a_listener_that_broke_silently(
    here: Context, there: Context, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that forgets a silent connection would leave a process deaf."""
    monkeypatch.setattr("rowlock.brokers.redis_feed.PING_SECONDS", 0.3)
    monkeypatch.setattr("rowlock.brokers.redis_feed.LISTEN_SECONDS", 0.1)
    show = await make_show(here, 100)
    await hearing(redis_server, here, there)
    await asyncio.sleep(1.5)  # pinged, and answered
    await hearing(redis_server, here, there)
    await shown(there.maps, show)
    await try_book(here, show, ["1"])
    await until_shown(there, show, SECONDS_MAX)

    subscribed = []

    class Deaf:
        async def subscribe(self, channel: str) -> None:
            subscribed.append(channel)

        async def get_message(self, *, timeout: float) -> None:  # noqa: ASYNC109
            await asyncio.sleep(timeout)

        async def ping(self) -> None:
            """Into the void."""

        async def aclose(self) -> None:
            """Nothing to close."""

    monkeypatch.setattr(link_of(there), "subscriber", Deaf)
    with redis_server.client as client:
        client.client_kill_filter(_type="pubsub")
    await until(lambda: len(subscribed) >= 2)


async def test_made_up_changes_are_not_heard(
    here: Context, there: Context, redis_server: RedisServer
) -> None:
    """Whoever may PUBLISH could draw what they like into everybody's map; or end our listening with junk."""
    show = await make_show(here, 10)
    await hearing(redis_server, here, there)
    version = (await shown(there.maps, show))[0]
    link = link_of(here)
    channel = f"{link.prefix}changes"
    forged = encode("cafe0123", [Change(show, version + 1, 0, tuple(range(10)), "B" * 10)])[0].encode()
    with redis_server.client as client:
        for junk in (
            b"",
            b"\x00" * 15,
            secrets.token_bytes(5_000),
            forged,
            link.sealed("elsewhere", forged),
            link.sealed(channel, forged)[:-1],
            link.sealed(channel, b"no message"),
        ):
            assert client.publish(channel, junk) == 2
    await try_book(here, show, ["1"])
    await until_shown(there, show, SECONDS_MAX)
    assert (await shown(there.maps, show))[2] == "B" + "A" * 9
    assert await there.maps.check() == 0


async def test_two_databases_on_one_redis(here: Context, redis_server: RedisServer, empty_dsn: str) -> None:
    """The seats of one theatre would be shown at another."""
    await migrate.upgrade(empty_dsn)
    secret = await here.pool.fetchval("SELECT value FROM secrets WHERE name = 'ids'")
    async with open_context(Database(empty_dsn)) as elsewhere:  # a copy of the first, made by pg_dump
        await elsewhere.pool.execute("UPDATE secrets SET value = $1 WHERE name = 'ids'", secret)
    async with open_context(Database(empty_dsn), redis_url=redis_server.url) as elsewhere:
        shows = [await make_show(each, 10) for each in (here, elsewhere)]
        assert shows[0] == shows[1]
        for each in (here, elsewhere):
            await shown(each.maps, shows[0])
            await hearing(redis_server, each)
        await try_book(here, shows[0], ["1"])
        await asyncio.sleep(0.1)
        assert (await shown(elsewhere.maps, shows[0]))[2] == "A" * 10
        assert await shown(elsewhere.maps, shows[0]) == await committed(elsewhere, shows[0])
        other_number = f"{redis_server.url}?db=3"
        async with open_context(Database(empty_dsn), redis_url=other_number) as third:
            prefixes = {link_of(each).prefix for each in (here, elsewhere, third)}
    assert len(prefixes) == 3


@pytest.mark.usefixtures("real_limits")
async def test_a_server_that_starts_and_ends_without_redis(
    dsn: str, redis_server: RedisServer, here: Context
) -> None:
    """A server could not start, or end, while Redis is away; or would tell nobody what it sold last."""
    redis_server.stop()
    with structlog.testing.capture_logs() as logs:
        async with open_context(Database(dsn), redis_url=redis_server.url) as context:
            show = await make_show(context, 10)
            await shown(here.maps, show)
            await try_book(context, show, ["1"])
        await until_shown(here, show, SECONDS_MAX)
    assert [line["event"] for line in logs if line["log_level"] == "warning"].count("redis_away") >= 1
    redis_server.start()
    await hearing(redis_server, here)
    async with open_context(Database(dsn), redis_url=redis_server.url) as context:
        await hearing(redis_server, here, context)
        redis_server.freeze()
        await try_book(context, show, ["2"])
    redis_server.thaw()
    await until_shown(here, show, SECONDS_MAX)
    async with open_context(Database(dsn), redis_url="redis://127.0.0.1:1/0") as context:
        assert not link_of(context).connected
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if "redis" in task.get_name()]
    assert [name for name in left if name != "redis watcher"] == []
    gc.collect()


@pytest.mark.parametrize("options", [("--maxmemory", "1mb"), ("--replicaof", "127.0.0.1 1")])
async def test_a_redis_that_takes_nothing(dsn: str, short_dir: Path, options: tuple[str, str]) -> None:
    """A Redis that is full, or a replica, answers a PING, and would be believed to work."""
    folder = Path(tempfile.mkdtemp(prefix="redis-", dir=short_dir))
    with running_redis(folder, *options) as useless, structlog.testing.capture_logs() as logs:
        if options[0] == "--maxmemory":
            with useless.client as client:
                client.config_set("maxmemory", 1)
        async with (
            open_context(Database(dsn), redis_url=useless.url) as one,
            open_context(Database(dsn), redis_url=useless.url) as two,
        ):
            show = await make_show(one, 10)
            await shown(two.maps, show)
            for seat in range(1, 6):
                await try_book(one, show, [str(seat)])
                await until_shown(two, show, SECONDS_MAX)
            await asyncio.sleep(1)  # it is tried again meanwhile, and not complained of
    assert [line["event"] for line in logs].count("redis_away") == 2
