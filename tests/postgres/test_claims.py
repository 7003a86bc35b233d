"""Claims: kept by whoever is at work, lost by whoever is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from rowlock.postgres import claims
from rowlock.postgres.claims import keep_claim

pytestmark = pytest.mark.anyio

CLAIM = "SELECT pg_try_advisory_xact_lock(1)"
LOST = (OSError, asyncpg.InterfaceError, asyncpg.PostgresError)


@pytest.fixture
async def first(empty_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Whoever has the claim."""
    connection = await asyncpg.connect(empty_dsn)
    yield connection
    connection.terminate()


@pytest.fixture
async def second(empty_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Whoever wants it, too."""
    connection = await asyncpg.connect(empty_dsn)
    yield connection
    connection.terminate()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim is lost in a second and a half."""
    monkeypatch.setattr(claims, "CLAIM_SECONDS", 1.5)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.2)


async def freed(second: asyncpg.Connection) -> None:
    """Wait until somebody else can have it."""
    async with asyncio.timeout(10):
        while not await second.fetchval(CLAIM):  # noqa: ASYNC110 (PostgreSQL tells nobody)
            await asyncio.sleep(0.05)


async def test_it_is_kept_for_as_long_as_somebody_is_at_work(
    first: asyncpg.Connection, second: asyncpg.Connection
) -> None:
    """Under load everything would be done twice, by ever more processes."""
    async with first.transaction():
        assert await first.fetchval(CLAIM)
        async with keep_claim(first):
            for _ in range(30):
                await asyncio.sleep(0.1)
                assert not await second.fetchval(CLAIM)
        assert not await second.fetchval(CLAIM), "until the transaction ends"
    await freed(second)


async def test_who_hangs_loses_it(
    first: asyncpg.Connection, second: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that waits for what never comes would keep all others from its work for ever."""
    monkeypatch.setattr(claims, "CLAIM_SECONDS_MAX", 0.5)

    async def work() -> None:
        async with first.transaction():
            assert await first.fetchval(CLAIM)
            async with keep_claim(first):
                await freed(second)

    with pytest.raises(LOST):
        await work()


async def test_who_has_lost_it_hears_of_it(first: asyncpg.Connection, second: asyncpg.Connection) -> None:
    """What was done would count as done, though somebody else is at it."""

    async def work() -> None:
        async with first.transaction():
            assert await first.fetchval(CLAIM)
            async with keep_claim(first):
                await second.execute("SELECT pg_terminate_backend($1)", first.get_server_pid())
                await asyncio.sleep(0.5)

    with pytest.raises(LOST):
        await work()


async def test_a_failure_at_work_is_what_is_raised(first: asyncpg.Connection) -> None:
    """An operator would read of a lost connection, and not of the cause."""
    with pytest.raises(ValueError, match="ours"):
        async with first.transaction(), keep_claim(first):
            raise ValueError("ours")
    assert await first.fetchval("SELECT 1") == 1
