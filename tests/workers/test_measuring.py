"""What operators are told of the database."""

from __future__ import annotations

import pytest

from rowlock import telemetry
from rowlock.operations.context import Context
from rowlock.workers.measuring import Measuring
from rowlock.workers.sweeper import Sweeper
from tests.support import let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


async def test_a_hold_that_nobody_sweeps_is_seen(context: Context) -> None:
    """Counts would be wrong for hours, and nobody be told that their holds have ended."""
    measuring = Measuring(context)
    show = await make_show(context)
    held = (await try_book(context, show, ["1"], confirm=False)).booking
    assert held is not None
    assert not await measuring.round()
    assert telemetry.HOLDS_OVERDUE._value.get() == 0
    await let_lapse(context, held.id)
    await measuring.round()
    assert 1 <= telemetry.HOLDS_OVERDUE._value.get() < 60
    await Sweeper(context, 30).run_once()
    await measuring.round()
    assert telemetry.HOLDS_OVERDUE._value.get() == 0
    assert telemetry.STANDBYS._value.get() == 0
