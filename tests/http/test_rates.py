"""Rate limits: exact in one process and over several, and never in the way where Redis is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import httpx
import pytest

from rowlock.brokers.redis_counts import RedisCounts
from rowlock.http import rates
from rowlock.http.rates import Count, Counts
from rowlock.operations.context import open_context
from rowlock.postgres.pool import Database
from tests.brokers.conftest import SECONDS_MAX, link_of, until
from tests.http.api import ADA, build, new_show, running
from tests.redis_server import RedisServer

LIMIT = 10


async def allowed(counts: Counts, times: int, caller: str = "olga") -> int:
    """How many of so many requests, all at once, are within the limit."""
    hits: list[Count] = await asyncio.gather(*(counts.hit(caller, LIMIT) for _ in range(times)))
    return sum(hit.number <= LIMIT for hit in hits)


class Others:
    """Shared counts that answer when they are told to."""

    def __init__(self) -> None:
        self.up = True
        self.asked: list[dict[bytes, int]] = []
        self.counts: dict[bytes, int] = {}
        self.answering = asyncio.Event()
        self.answering.set()
        self.away = False

    async def add(
        self, hits: Mapping[bytes, int], window_seconds: float
    ) -> Mapping[bytes, tuple[int, float]] | None:
        """Count."""
        self.asked.append(dict(hits))
        await self.answering.wait()
        if self.away:
            return None
        for key, number in hits.items():
            self.counts[key] = self.counts.get(key, 0) + number
        return {key: (self.counts[key], window_seconds) for key in hits}


@pytest.fixture
def others() -> Others:
    """The other processes."""
    return Others()


@pytest.fixture
def counts(others: Others) -> Counts:
    """Our counts, shared with them."""
    counts = Counts()
    counts.shared = others
    return counts


async def test_one_process_counts_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A customer would get less than was promised, or one script everything."""
    counts = Counts()
    assert await allowed(counts, 25) == LIMIT
    assert await allowed(counts, 5, "bob") == 5
    assert await allowed(counts, 25, "bob") == 5
    count = await counts.hit("olga", LIMIT)
    assert 0 < count.seconds_left <= rates.WINDOW_SECONDS
    monkeypatch.setattr(rates, "WINDOW_SECONDS", 0.0)
    counts = Counts()
    assert await allowed(counts, 25) == 25  # each is the first of its minute


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody who ever called would stay in memory for good."""
    counts = Counts(callers_max=100)
    for n in range(500):
        await counts.hit(f"caller {n}", LIMIT)
    assert len(counts) == 100
    assert await allowed(counts, 20, "caller 499") == LIMIT - 1
    monkeypatch.setattr(rates, "WINDOW_SECONDS", 0.01)
    counts = Counts()
    for n in range(20):
        await counts.hit(f"caller {n}", LIMIT)
    await asyncio.sleep(0.05)
    await counts.hit("another", LIMIT)
    assert len(counts) == 1


async def test_what_gathers_goes_together(counts: Counts, others: Others) -> None:
    """Each booking of a stampede would cost a round trip of its own."""
    others.answering.clear()
    first = asyncio.create_task(counts.hit("olga", LIMIT))
    await until(lambda: len(others.asked) == 1)
    rest = [asyncio.create_task(counts.hit(f"user {n % 50}", LIMIT)) for n in range(200)]
    await asyncio.sleep(0)
    others.answering.set()
    hits = await asyncio.gather(first, *rest)
    assert len(others.asked) == 2
    assert sorted(hit.number for hit in hits[1:]) == sorted([1, 2, 3, 4] * 50)


async def test_the_limit_holds_over_all_processes(counts: Counts, others: Others) -> None:
    """With n processes a caller could come n times as often."""
    second = Counts()
    second.shared = others
    assert sum(await asyncio.gather(allowed(counts, 8), allowed(second, 8))) == LIMIT
    asked = len(others.asked)
    assert await allowed(counts, 50) + await allowed(second, 50) == 0
    assert len(others.asked) - asked <= 2, "whoever is over the limit is known"


async def test_nobody_waits_for_an_answer_that_is_late(counts: Counts, others: Others) -> None:
    """A Redis that hangs would hold up every booking."""
    others.answering.clear()
    assert await asyncio.wait_for(allowed(counts, 3), SECONDS_MAX) == 3
    asked = len(others.asked)
    for _ in range(4):  # from here on nobody waits at all
        await counts.hit("olga", LIMIT)
    assert len(others.asked) == asked
    assert await allowed(counts, 20) == LIMIT - 7
    others.answering.set()
    await until(lambda: not counts._overdue)
    assert await allowed(counts, 1, "bob") == 1
    assert max(others.counts.values()) == 3


async def test_what_was_counted_alone_is_told_later(counts: Counts, others: Others) -> None:
    """Each outage of Redis would give everyone a fresh minute."""
    others.away = True
    assert await allowed(counts, 3) == 3
    others.up = False
    assert await allowed(counts, 2) == 2
    others.away, others.up = False, True
    assert await allowed(counts, 2) == 2
    assert list(others.counts.values()) == [7]
    second = Counts()
    second.shared = others
    assert await allowed(second, 20) == LIMIT - 7
    others.up = False
    assert await allowed(counts, 20, "bob") == LIMIT
    others.up = True
    assert await allowed(counts, 1, "bob") == 0  # and with this all know
    assert await allowed(second, 20, "bob") == 0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a Redis that works may take long."""
    monkeypatch.setattr(rates, "WAIT_SECONDS_MAX", SECONDS_MAX / 2)
    monkeypatch.setattr("rowlock.brokers.redis.ANSWER_SECONDS_MAX", SECONDS_MAX / 2)
    monkeypatch.setattr("rowlock.brokers.redis_counts.ANSWER_SECONDS_MAX", SECONDS_MAX / 2)


async def test_two_processes_on_a_real_redis(patient: None, dsn: str, redis_server: RedisServer) -> None:
    """What holds in a test's own counts might not in Redis."""
    async with (
        open_context(Database(dsn), redis_url=redis_server.url) as one,
        open_context(Database(dsn), redis_url=redis_server.url) as two,
    ):
        both = [Counts(), Counts()]
        for counts, context in zip(both, (one, two), strict=True):
            counts.shared = RedisCounts(link_of(context))
        for caller in ("olga", "bob\n:*", "ü" * 200, "\ud800"):
            got = await asyncio.gather(*(allowed(both[n % 2], 1, caller) for n in range(40)))
            assert sum(got) == LIMIT
        with redis_server.client as client:
            keys: list[bytes] = client.keys("*rate:*")
            assert len(keys) == 4
            assert all(key.startswith(link_of(one).prefix.encode()) and b"olga" not in key for key in keys)
            assert all(0 < client.pttl(key) <= rates.WINDOW_SECONDS * 1000 for key in keys)

            for key in keys:  # what is there is none of ours
                client.delete(key)
                client.rpush(key, "x")
            fresh = [Counts(), Counts()]
            for counts, context in zip(fresh, (one, two), strict=True):
                counts.shared = RedisCounts(link_of(context))
            got = await asyncio.gather(*(allowed(fresh[n % 2], 1) for n in range(40)))
            assert sum(got) == LIMIT
            for key in keys:
                client.set(key, 3)  # without an end
            fresh[0] = Counts()
            fresh[0].shared = RedisCounts(link_of(one))
            assert await allowed(fresh[0], 40) == LIMIT - 3
            assert sum(client.pttl(key) != -1 for key in keys) == 1
            client.script_flush()
            client.flushall()
        assert await allowed(fresh[0], 2, "cleo") == 2
        assert link_of(one).connected


async def test_redis_stopped_frozen_and_back(dsn: str, redis_server: RedisServer) -> None:
    """While Redis is away nobody could book; or everybody as often as they like."""
    async with open_context(Database(dsn), redis_url=redis_server.url) as context:
        counts = Counts()
        counts.shared = RedisCounts(link_of(context))
        await until(lambda: link_of(context).up)
        redis_server.freeze()
        try:
            started = asyncio.get_running_loop().time()
            assert await allowed(counts, 25) == LIMIT
            assert await allowed(counts, 25, "bob") == LIMIT
            assert asyncio.get_running_loop().time() - started < 5
            await until(lambda: not link_of(context).connected)
        finally:
            redis_server.thaw()
        redis_server.stop()
        assert await allowed(counts, 25, "cleo") == LIMIT
        redis_server.start()
        await until(lambda: link_of(context).up)

        async def counted() -> bool:
            await counts.hit(f"dan {asyncio.get_running_loop().time()}", LIMIT)
            with redis_server.client as client:
                return bool(client.keys("*rate:*"))

        await until(counted)


async def test_two_servers_over_http(patient: None, dsn: str, redis_server: RedisServer) -> None:
    """The answers would say that more is left than there is."""
    settings = {"rate_bookings_per_minute": 4, "redis_url": redis_server.url}
    async with running(build(dsn, **settings)) as one, running(build(dsn, **settings)) as two:
        await new_show(one)
        left = []
        for n in range(4):
            answer = await (one, two)[n % 2].post(
                "/api/shows/1/bookings", json={"seats": [str(n + 1)]}, headers=ADA
            )
            assert answer.status_code == 201, answer.text
            left.append(int(answer.headers["RateLimit-Remaining"]))
            assert answer.headers["RateLimit-Limit"] == "4"
            assert answer.headers["RateLimit-Policy"] == "4; w=60"
            assert 0 < int(answer.headers["RateLimit-Reset"]) <= math.ceil(rates.WINDOW_SECONDS)
        assert left == [3, 2, 1, 0]
        for server in (one, two):
            answer = await server.post("/api/shows/1/bookings", json={"seats": ["9"]}, headers=ADA)
            assert answer.status_code == 429
            assert 0 < int(answer.headers["Retry-After"]) <= 60
            assert answer.headers["RateLimit-Remaining"] == "0"


async def test_holds_have_a_limit_of_their_own(dsn: str) -> None:
    """One customer would hold and release for ever, and keep the seats from the others by it."""
    async with running(build(dsn, rate_holds_per_minute=3)) as client:
        show = await new_show(client, total_seats=50)
        at = f"/api/shows/{show['id']}/bookings"
        held = [
            await client.post(at, json={"seat_count": 1, "confirm": False}, headers=ADA) for _ in range(4)
        ]
        assert [answer.status_code for answer in held] == [201, 201, 201, 429]
        assert held[3].headers["Retry-After"]
        assert (await client.post(at, json={"seat_count": 1}, headers=ADA)).status_code == 201
        classic = f"/classic/1/shows/{show['id']}/book"
        body = {"seat_nos": ["40"], "user_id": "ada", "immediate_confirm": False}
        assert (await client.post(classic, json=body, headers=ADA)).status_code == 429


@pytest.mark.parametrize("hold", [False, True])
async def test_guests_of_one_address_are_counted_together(dsn: str, hold: bool) -> None:
    """Whoever is over the limit would become another guest, and go on."""
    limits = {"rate_holds_per_minute": 3} if hold else {"rate_guests_per_minute": 3}
    async with running(build(dsn, **limits)) as client:
        show = await new_show(client, total_seats=50)
        statuses = []
        for _ in range(5):
            client.cookies.clear()
            assert (await client.post("/api/session", json={"name": "Gina"})).status_code == 201
            answer = await client.post(
                f"/api/shows/{show['id']}/bookings",
                json={"seat_count": 1, "confirm": not hold},
                headers={"Sec-Fetch-Site": "same-origin"},
            )
            statuses.append(answer.status_code)
        assert statuses == [201, 201, 201, 429, 429]
        client.cookies.clear()
        body = {"seat_count": 1, "confirm": not hold}
        assert (
            await client.post(f"/api/shows/{show['id']}/bookings", json=body, headers=ADA)
        ).status_code == 201


async def test_sign_ins_as_one_user_are_counted(dsn: str) -> None:
    """A stolen token would make sessions from a thousand addresses."""
    async with running(build(dsn, rate_sign_ins_per_minute=2)) as client:
        token = ADA["Authorization"].removeprefix("Bearer ")
        statuses = []
        for number in range(3):
            client._transport = httpx.ASGITransport(client._transport.app, client=(f"198.51.100.{number}", 1))  # type: ignore[attr-defined]
            client.cookies.clear()
            statuses.append((await client.post("/api/session", json={"token": token})).status_code)
        assert statuses == [201, 201, 429]
