"""The sweeper gives way: nothing waits for it, and buyers must not feel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rowlock.domain.outcomes import Outcome
from rowlock.engine.engine import Engine
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from rowlock.workers import sweeper
from rowlock.workers.sweeper import Sweeper
from tests.support import audit, make_show, try_book

pytestmark = pytest.mark.anyio
HOLDS = 7


@pytest.fixture
async def context(dsn: str) -> AsyncIterator[Context]:
    """The operations, on a fresh database."""
    async with open_context(Database(dsn)) as context:
        yield context


async def lapsed_holds(context: Context) -> None:
    """So many holds past their time."""
    show = await make_show(context, 2 * HOLDS)
    for seat in range(1, HOLDS + 1):
        await try_book(context, show, [str(seat)], confirm=False)
    await context.pool.execute(
        "UPDATE bookings SET expires_at = now() - interval '1 s', release_at = now() - interval '1 s'"
    )
    await context.pool.execute("UPDATE seats SET held_until = now() - interval '1 s' WHERE status = 'R'")


@pytest.mark.parametrize(("busy", "rests"), [(True, 3), (False, 0)])
async def test_it_rests_while_buyers_are_served(
    context: Context, monkeypatch: pytest.MonkeyPatch, busy: bool, rests: int
) -> None:
    """Ten thousand holds that lapse at once would take half of a sale's speed for seconds."""
    await lapsed_holds(context)
    rested: list[float] = []

    async def rest(worked_seconds: float) -> None:
        rested.append(worked_seconds)

    monkeypatch.setattr(sweeper, "SWEEP_TOGETHER", 3)
    monkeypatch.setattr(Engine, "working", busy)
    monkeypatch.setattr(Sweeper, "_rest", staticmethod(rest))
    assert (await Sweeper(context, 30).run_once()).expired == HOLDS
    monkeypatch.undo()
    assert len(rested) == rests
    await audit(context)


async def test_the_engine_knows_whether_it_works(context: Context) -> None:
    """The sweeper would rest for nobody, or for no one who is there."""
    show = await make_show(context, 10)
    assert not context.engine.working
    booking = asyncio.create_task(try_book(context, show, ["1"]))
    while not context.engine.working:  # noqa: ASYNC110 (there is nothing to wait on)
        await asyncio.sleep(0)
    await booking
    await asyncio.sleep(0)
    assert not context.engine.working


async def test_what_cannot_be_pruned_keeps_nothing_else_from_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of the audit trail that must stay would leave cancelled shows unsettled for months."""
    show = await make_show(context, 4)
    await try_book(context, show, ["1"])
    assert (await try_book(context, show, ["1"], "bob")).outcome is Outcome.SEATS_TAKEN
    await context.pool.execute(
        """UPDATE bookings SET created_at = created_at - interval '9 days', settled_at = settled_at - interval '9 days'
        WHERE status = 'FAILED'"""
    )
    await context.pool.execute("UPDATE inventory SET closed = true, settling = true")
    monkeypatch.setattr(sweeper.AUDIT, "prune_audit", "SELECT 1 / ($1::float8 - $1::float8)::integer")
    swept = await Sweeper(context, 8).run_once()
    assert swept.pruned == 1
    assert await context.pool.fetchval("SELECT count(*) FROM bookings WHERE status = 'CANCELLED'") == 1


async def test_the_trail_is_kept_by_the_hour(context: Context) -> None:
    """Where clocks are turned back, the trigger would refuse for months what the sweeper finds old enough."""
    function = await context.pool.fetchval(
        "SELECT prosrc FROM pg_proc WHERE proname = 'audit_is_append_only'"
    )
    assert "2160 hours" in function
    for zone in ("UTC", "Europe/Berlin", "Australia/Lord_Howe"):
        async with context.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL timezone = '{zone}'")
            await connection.execute(
                """INSERT INTO audit (show_id, at, user_id, role, action, target)
                VALUES (1, now() - interval '2160 hours' - interval '1 minute', 'ada', 'admin', 'x', 'y')"""
            )
            await connection.execute(sweeper.AUDIT.prune_audit, 90.0)
            assert await connection.fetchval("SELECT count(*) FROM audit WHERE user_id = 'ada'") == 0
