"""Plans are remembered, once, and within bounds."""

from __future__ import annotations

import asyncio

import pytest

from rowlock.operations.context import Context
from rowlock.seatmap.plans import PLAN_SEATS_LEAST, Plans
from tests.support import make_show

pytestmark = pytest.mark.anyio


async def test_many_callers_read_a_plan_once(context: Context) -> None:
    """The first second of an on-sale would be spent reading one layout a thousand times."""
    show = await make_show(context, 30)
    plans = Plans(context.pool)
    found = await asyncio.gather(*(plans.get(show) for _ in range(50)))
    assert all(plan is found[0] for plan in found)
    assert found[0] is not None
    assert found[0].layout.total_seats == 30
    assert await plans.get(2**40) is None


async def test_the_least_recently_used_plans_are_forgotten(context: Context) -> None:
    """A server that has seen every show of a year would have all of them in memory."""
    shows = [await make_show(context, 100) for _ in range(4)]
    plans = Plans(context.pool, seats_max=3 * (100 + PLAN_SEATS_LEAST))
    for show in shows[:3]:
        await plans.get(show)
    assert plans.known(shows[0]) is not None  # used again: the second is now the one longest unused
    await plans.get(shows[3])
    assert [plans.known(show) is not None for show in shows] == [True, False, True, True]


async def test_what_is_read_while_all_is_forgotten_is_not_kept(context: Context) -> None:
    """After a restore, seats would be sold by the plan of a show that is no more."""
    show = await make_show(context, 30)
    plans = Plans(context.pool)
    reading = asyncio.create_task(plans.get(show))
    await asyncio.sleep(0)
    plans.clear()
    again = asyncio.create_task(plans.get(show))
    assert await reading is not None
    assert await again is not None
    assert plans.known(show) is await again
    assert plans._loading == {}
    plans.clear()
    assert plans.known(show) is None
