"""Cancel a show: close its sale, then settle its bookings.

The close is one command: once it is committed nothing more of the show is sold or confirmed, at any process. Its
bookings are settled after that, some hundred at a time, so that no lock is held for long. Whoever finds a closed show
that still is `settling` (the sweeper looks) goes on where another stopped.
"""

from __future__ import annotations

import asyncio

from rowlock.domain.commands import Actor, Cancel, CloseSale
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import Trail
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.find_shows import find_show
from rowlock.operations.views import ShowView
from rowlock.postgres.queries import load

SQL = load("shows")
SETTLE_AT_ONCE = 500


async def cancel_show(context: Context, show_id: int, *, trail: Trail | None = None) -> ShowView:
    """Cancel a show; again does no harm. Raises `NotFound`, or `Busy` (the show may then be closed, and settled later)."""
    decision = await context.engine.submit(CloseSale(show_id, trail=trail))
    if decision.outcome is Outcome.SHOW_NOT_FOUND:
        raise NotFound(f"show {show_id}")
    while not await settle_some(context, show_id):
        pass
    return await find_show(context, show_id)


async def settle_some(context: Context, show_id: int) -> bool:
    """End some of the bookings of a show whose sale is closed. Returns whether none are left."""
    rows = await context.pool.fetch(SQL.to_settle, show_id, SETTLE_AT_ONCE)
    await asyncio.gather(
        *(
            context.engine.submit(Cancel(show_id, row["id"], tuple(row["seats"]), by=Actor.SHOW))
            for row in rows
        )
    )
    if len(rows) < SETTLE_AT_ONCE:
        await context.pool.execute(SQL.settled, show_id)
        return True
    return False
