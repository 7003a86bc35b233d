"""Take seats off sale, or put them back: all or none."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rowlock.domain.commands import Block, Unblock
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import Trail
from rowlock.operations.context import Context
from rowlock.operations.find_shows import find_show
from rowlock.operations.seats import plan_of, seat_numbers
from rowlock.operations.views import ShowView


async def block_seats(
    context: Context, show_id: int, labels: Sequence[str], *, blocked: bool, trail: Trail | None = None
) -> tuple[Outcome, ShowView, list[str]]:
    """Block (or unblock) seats. Returns the outcome, the show, and the labels that stood in the way.

    Raises `NotFound` for a show or seat that isn't there, `Busy` when nothing was done.
    """
    layout = (await plan_of(context, show_id)).layout
    numbers = seat_numbers(layout, labels)
    if trail is not None:
        said = msgspec.json.encode({"seats": layout.labels(numbers)}).decode()
        trail = msgspec.structs.replace(trail, detail=said)
    command = Block(show_id, numbers, trail) if blocked else Unblock(show_id, numbers, trail)
    decision = await context.engine.submit(command)
    return decision.outcome, await find_show(context, show_id), layout.labels(decision.conflicts)
