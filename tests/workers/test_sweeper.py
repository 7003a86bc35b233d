"""The sweeper gives way: nothing waits for it, and buyers must not feel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

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
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        rested.append(seconds)
        await sleep(0)

    monkeypatch.setattr(sweeper, "SWEEP_TOGETHER", 3)
    monkeypatch.setattr(Engine, "working", busy)
    monkeypatch.setattr("rowlock.workers.sweeper.asyncio.sleep", rest)
    assert (await Sweeper(context, 30).run_once()).expired == HOLDS
    monkeypatch.undo()
    pauses = [seconds for seconds in rested if seconds > 0]
    assert len(pauses) == rests
    assert all(seconds <= sweeper.REST_SECONDS_MAX for seconds in pauses)
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
