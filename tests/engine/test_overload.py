"""More than a lane can do, and no end of it: who is taken waits no longer than before, and the others hear so at once."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from rowlock.domain.commands import Book, Cancel
from rowlock.engine import lane as lanes
from rowlock.engine.engine import Busy
from rowlock.operations.context import Context
from tests.support import lane_of, make_show

pytestmark = pytest.mark.anyio


def book(show: int, *, queued: bool = False) -> Book:
    """A request for the best seat."""
    return Book(show, uuid4(), "ada", (), 0, wanted_count=1, queued=queued)


async def test_a_rush_is_taken_and_a_standing_load_is_bounded(context: Context) -> None:
    """Everybody would wait for seconds under a load that lasts, or be sent away by one that doesn't."""
    lane = lane_of(context, 2)
    loop = asyncio.get_running_loop()
    lane._wanted.set()  # it works on a batch
    lane._rested_at = loop.time()
    taken = [lane.put(book(2)) for _ in range(1_000)]
    assert lane.depth == 1_000, "a rush waits"
    lane._rested_at = loop.time() - 2 * lanes.RUSH_SECONDS_MAX  # and doesn't pass
    with pytest.raises(Busy) as busy:
        lane.put(book(2))
    assert busy.value.retry_after_seconds >= 1
    taken.append(lane.put(Cancel(2, UUID(int=1), ())))
    taken.append(lane.put(book(2, queued=True)))
    assert lane.depth == 1_002, "who gives back, or has waited in a queue, is taken"
    lane._queue.clear()
    for answer in taken:
        answer.cancel()


async def test_the_bound_follows_the_pace(context: Context) -> None:
    """A slow database would make a few hundred wait as long as thousands do at a fast one."""
    lane = lane_of(context, 2)
    lane._pace = 3_000
    assert lane._standing_max == 120
    lane._pace = 100
    assert lane._standing_max == lanes.STANDING_COMMANDS_MIN
    lane._pace = 1_000_000
    assert lane._standing_max == lanes.BATCH_COMMANDS_MAX


async def test_it_serves_and_comes_to_rest_again(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was overloaded once would go on to refuse."""
    monkeypatch.setattr(lanes, "RUSH_SECONDS_MAX", 0.0)
    show = await make_show(context, 5_000)
    lane = lane_of(context, show)
    booked = refused = 0

    async def ask_again() -> None:
        nonlocal booked, refused
        for _ in range(5):
            try:
                await context.engine.submit(book(show))
                booked += 1
            except Busy:
                refused += 1
                await asyncio.sleep(0.01)

    await asyncio.gather(*(ask_again() for _ in range(600)))
    assert refused > 0
    assert booked > 100, "who was taken was served"
    assert lane._pace != lanes.BATCH_COMMANDS_MAX / lanes.STANDING_WAIT_SECONDS_MAX, "the pace is measured"
    monkeypatch.undo()
    await asyncio.gather(*(context.engine.submit(book(show)) for _ in range(300)))
