"""Seat maps out of Redis: a process that has just started need not read them, and never believes a wrong one."""

from __future__ import annotations

import asyncio
import secrets
from time import perf_counter
from typing import Any

import asyncpg
import msgspec
import pytest

from rowlock.brokers import redis_maps
from rowlock.operations.context import Context
from rowlock.postgres.queries import load
from rowlock.seatmap import shared
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.shared import SharedMaps
from tests.brokers.conftest import SECONDS_MAX, hearing, link_of, until
from tests.redis_server import RedisServer
from tests.seatmap.test_maps import committed, shown
from tests.support import make_show, try_book

SQL = load("maps")


@pytest.fixture(autouse=True)
def _only_who_looks_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookings have no map read for themselves."""
    monkeypatch.setattr(Maps, "letters_of", lambda *_: None)


class Queries:
    """A pool that remembers what it was asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.asked: list[str] = []

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        """One row."""
        self.asked.append(query)
        return await self.pool.fetchrow(query, *arguments)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows."""
        self.asked.append(query)
        rows: list[asyncpg.Record] = await self.pool.fetch(query, *arguments)
        return rows

    @property
    def seats_read(self) -> int:
        """How often seats were read, and not only a version."""
        return sum("FROM seats" in query for query in self.asked)


def cold(context: Context) -> tuple[Maps, Queries]:
    """The maps of a process that has just started, in the place of `context`'s; and what they ask PostgreSQL."""
    queries = Queries(context.pool)
    store = redis_maps.RedisMaps(link_of(context))
    return Maps(queries, SharedMaps(store, queries)), queries


def key_of(context: Context, show: int) -> str:
    """Where a show's map lies."""
    return f"{link_of(context).prefix}map:{show}"


async def test_a_cold_process_asks_for_a_version_and_nothing_else(
    here: Context, redis_server: RedisServer
) -> None:
    """Each process of a roll-out would read every seat of every show that is being looked at."""
    show = await make_show(here, 500)
    await try_book(here, show, ["7", "8"])
    wanted = await committed(here, show)
    assert await shown(here.maps, show) == wanted
    with redis_server.client as client:
        assert 0 < client.pttl(key_of(here, show)) <= redis_maps.KEEP_MS
    maps, queries = cold(here)
    assert await shown(maps, show) == wanted
    assert queries.asked == [SQL.standing]
    assert queries.seats_read == 0


async def test_many_shows_at_once(here: Context) -> None:
    """A process that is thrown into a sale would ask Redis for a few maps, and PostgreSQL for all others."""
    shows = [await make_show(here, 10) for _ in range(60)]
    wanted = [await shown(here.maps, show) for show in shows]
    maps, queries = cold(here)
    assert await asyncio.gather(*(shown(maps, show) for show in shows)) == wanted
    assert queries.seats_read == 0


async def test_what_has_come_to_rest_is_shared(here: Context, redis_server: RedisServer) -> None:
    """What lies in Redis would be as old as the first who looked, and no cold process could use it."""
    show = await make_show(here, 50)
    await shown(here.maps, show)
    for seat in range(1, 4):
        await try_book(here, show, [str(seat)])
    await here.maps.check()
    await here.maps.share()  # it may still be in a rush
    maps, queries = cold(here)
    await try_book(here, show, ["4"])
    for _ in range(2):
        await here.maps.check()
        await here.maps.share()
    wanted = await committed(here, show)
    assert await shown(maps, show) == wanted
    assert queries.seats_read == 0
    with redis_server.client as client:
        client.flushall()
    await here.maps.check()
    await here.maps.share()
    with redis_server.client as client:
        assert not client.exists(key_of(here, show)), "put there again each second"


async def test_an_old_entry_is_read_anew(here: Context) -> None:
    """People would be shown seats that are long sold."""
    show = await make_show(here, 50)
    await shown(here.maps, show)
    await try_book(here, show, ["1"])
    for expected in (1, 0):
        maps, queries = cold(here)
        assert await shown(maps, show) == await committed(here, show)
        assert queries.seats_read == expected  # and shared, by whoever read it


async def test_many_cold_processes_read_it_once(
    here: Context, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a whole fleet starts, or Redis was emptied, all would read the same seats at the same moment."""
    monkeypatch.setattr(
        shared, "WAIT_SECONDS_MAX", SECONDS_MAX
    )  # as many in one process are slower than as many
    monkeypatch.setattr(redis_maps, "CLAIM_MS", 10_000)
    monkeypatch.setattr(redis_maps, "GET_SECONDS_MAX", SECONDS_MAX)
    show = await make_show(here, 2_000)
    await try_book(here, show, ["1"])
    wanted = await committed(here, show)
    for _ in range(3):
        with redis_server.client as client:
            client.flushall()
        fleet = [cold(here) for _ in range(12)]
        assert set(await asyncio.gather(*(shown(maps, show) for maps, _ in fleet))) == {wanted}
        assert sum(queries.seats_read for _, queries in fleet) == 1


async def test_a_reader_that_dies_holds_the_others_up_for_a_moment(
    here: Context, redis_server: RedisServer
) -> None:
    """A process that is ended while it reads would leave a show without a map."""
    show = await make_show(here, 50)
    with redis_server.client as client:
        client.set(
            f"{link_of(here).prefix}map-claim:{show}", "", px=60_000
        )  # never released, not even by time
    maps, queries = cold(here)
    started = perf_counter()
    assert await shown(maps, show) == await committed(here, show)
    assert perf_counter() - started >= shared.WAIT_SECONDS_MAX * 0.9
    assert queries.seats_read == 1


def spoil(how: str, entry: bytes, other: bytes) -> bytes:
    """An entry as it must not be believed."""
    match how:
        case "empty":
            return b""
        case "short":
            return entry[:10]
        case "truncated":
            return entry[:-1]
        case "longer":
            return entry + b"A"
        case "garbage":
            return secrets.token_bytes(2_000)
        case "huge":
            return secrets.token_bytes(5_000_000)
        case "a bit":
            return entry[:-20] + bytes([entry[-20] ^ 1]) + entry[-19:]
        case _:
            return other


SPOILT = ["empty", "short", "truncated", "longer", "garbage", "huge", "a bit", "of another show"]


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_entry_is_nothing(here: Context, redis_server: RedisServer, how: str) -> None:
    """Whoever can write to Redis would decide what people see; or a broken one stop us."""
    show, other = await make_show(here, 50), await make_show(here, 50)
    for each in (show, other):
        await shown(here.maps, each)
    await try_book(here, show, ["1"])
    for _ in range(2):
        await here.maps.check()
        await here.maps.share()
    with redis_server.client as client:
        entries: list[Any] = client.mget(key_of(here, show), key_of(here, other))
        client.set(key_of(here, show), spoil(how, *entries))
    maps, queries = cold(here)
    assert await shown(maps, show) == await committed(here, show)
    assert queries.seats_read == 1
    booked = await try_book(here, show, ["1"])
    assert booked.conflicts == ["1"]


async def test_a_key_of_another_kind(here: Context, redis_server: RedisServer) -> None:
    """One key that holds something else would make us give Redis up, again and again."""
    show = await make_show(here, 50)
    with redis_server.client as client:
        client.rpush(key_of(here, show), "a", "b")
        maps, queries = cold(here)
        assert await shown(maps, show) == await committed(here, show)
        assert client.type(key_of(here, show)) == b"string"
    assert link_of(here).connected
    assert queries.seats_read == 1


@pytest.mark.parametrize("field", ["version", "letters", "lineage", "shape"])
async def test_a_sealed_entry_that_is_not_of_now(
    here: Context, redis_server: RedisServer, field: str
) -> None:
    """After a restore from a backup, what Redis kept would be shown: sold seats free, or free ones sold."""
    show = await make_show(here, 50)
    await shown(here.maps, show)
    link, key = link_of(here), key_of(here, show)
    with redis_server.client as client:
        raw: Any = client.get(key)
        entry: list[Any] = msgspec.msgpack.decode(link.opened(key, raw) or b"")
        assert entry[0] == show
        match field:
            case "version":
                entry[2] += 5
            case "letters":
                entry[4] = entry[4][:-1]
            case "lineage":
                entry[1] += "0"
            case "shape":
                entry.append(1)
                entry[0] = "7"
        client.set(key, link.sealed(key, msgspec.msgpack.encode(entry)))
    maps, queries = cold(here)
    assert await shown(maps, show) == await committed(here, show)
    assert queries.seats_read == 1


async def test_a_database_that_was_set_back(here: Context, redis_server: RedisServer) -> None:
    """A database restored from a backup comes to the same versions again, by other sales: they would be shown as the old."""
    show = await make_show(here, 10)
    backup = await here.pool.fetch("SELECT * FROM seats WHERE show_id = $1", show)
    counts = await here.pool.fetchrow("SELECT * FROM inventory WHERE show_id = $1", show)
    assert counts is not None
    await try_book(here, show, ["1"])
    before = await committed(here, show)
    assert await shown(here.maps, show) == before  # and it lies in Redis
    async with here.pool.acquire() as connection, connection.transaction():
        await connection.execute("TRUNCATE seats, inventory, bookings, outbox CASCADE")
        await connection.copy_records_to_table("inventory", records=[tuple(counts)])
        await connection.copy_records_to_table("seats", records=[tuple(row) for row in backup])
    await here.maps.check()  # as each second: it is ahead, and forgotten
    await try_book(here, show, ["9"])
    after = await committed(here, show)
    assert after[0] == before[0]
    assert after[2] != before[2]
    maps, queries = cold(here)
    assert await shown(maps, show) == after
    assert queries.seats_read == 1


@pytest.mark.usefixtures("real_limits")
async def test_without_redis_maps_come_from_postgresql(here: Context, redis_server: RedisServer) -> None:
    """A show that nobody has looked at yet could not be sold by count while Redis is away, or hangs."""
    shows = [await make_show(here, 50) for _ in range(4)]
    await hearing(redis_server, here)
    redis_server.freeze()
    try:
        for show in shows[:2]:
            started = perf_counter()
            booked = await try_book(here, show, 2)
            assert booked.booking is not None
            assert booked.booking.status.value == "CONFIRMED"
            assert perf_counter() - started < 2
        await until(lambda: not link_of(here).connected)
    finally:
        redis_server.thaw()
    redis_server.stop()
    for show in shows[2:]:
        booked = await try_book(here, show, 2)
        assert booked.booking is not None
        assert await shown(here.maps, show) == await committed(here, show)


async def test_redis_emptied_in_the_middle(here: Context, there: Context, redis_server: RedisServer) -> None:
    """FLUSHALL on a shared Redis is somebody's daily business, and would be our outage."""
    show = await make_show(here, 50)
    await hearing(redis_server, here, there)
    for seat in range(1, 11):
        await try_book((here, there)[seat % 2], show, [str(seat)])
        with redis_server.client as client:
            client.flushall()
        maps, _ = cold(here)
        assert await shown(maps, show) == await committed(here, show)
    wanted = await committed(here, show)

    async def alike() -> bool:
        return await shown(here.maps, show) == wanted == await shown(there.maps, show)

    await until(alike, SECONDS_MAX)
    assert link_of(here).connected


async def test_a_show_that_is_not_there(here: Context, redis_server: RedisServer) -> None:
    """Whoever asks for shows that don't exist would get an error, or wait for nobody."""
    assert await here.maps.get(4711) is None
    with redis_server.client as client:
        client.set(f"{link_of(here).prefix}map-claim:4712", "", px=60_000)
    assert await here.maps.get(4712) is None


async def test_a_frozen_redis_is_waited_for_once(
    here: Context, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A show that nobody has looked at yet would be sold by count only after Redis has been asked over and over."""
    monkeypatch.setattr(
        redis_maps, "GET_SECONDS_MAX", 0.05
    )  # every other patience is SECONDS_MAX / 2 or more
    monkeypatch.setattr(shared, "WAIT_SECONDS_MAX", SECONDS_MAX)
    show = await make_show(here, 50)
    await hearing(redis_server, here)
    redis_server.freeze()
    try:
        began = perf_counter()
        assert await shown(here.maps, show) == await committed(here, show)
        assert perf_counter() - began < SECONDS_MAX / 2
    finally:
        redis_server.thaw()
