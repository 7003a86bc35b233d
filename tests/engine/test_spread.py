"""Where tables are spread by show: a lane a show, a batch about one, and what looks at all shows done show by show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.outcomes import Outcome
from rowlock.engine import lanes
from rowlock.engine.batch import Batch, Locked
from rowlock.engine.engine import Busy
from rowlock.engine.lanes import ShowLanes
from rowlock.engine.sharded import ShardedBatch
from rowlock.operations.book import BookRequest
from rowlock.operations.book_later import book_later
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_bookings import find_booking
from rowlock.operations.queueing import QueuedView
from rowlock.postgres.pool import Database
from rowlock.postgres.spread import AT_COORDINATOR, BY_SHOW, EVERYWHERE
from rowlock.workers.sweeper import Sweeper
from rowlock.workers.table_consumer import TableConsumer
from tests.support import audit, make_show, try_book

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("sharded", ["sharded"], indirect=True)]


@pytest.fixture
async def narrow(dsn: str) -> AsyncIterator[Context]:
    """A process whose lanes share one connection."""
    async with open_context(Database(dsn), lanes=1) as context:
        yield context


def lanes_of(context: Context) -> ShowLanes:
    """The lanes of a process."""
    found = context.engine._lanes
    assert isinstance(found, ShowLanes)
    return found


async def test_a_batch_is_about_one_show(narrow: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node would be asked about shows that are on another, and refuse."""
    locked: list[list[int]] = []

    async def lock(self: ShardedBatch, seats: Iterable[Any], shows: Iterable[int]) -> Locked:
        locked.append(list(shows))
        return await real_lock(self, seats, shows)

    real_lock = ShardedBatch.lock
    monkeypatch.setattr(ShardedBatch, "lock", lock)
    shows = [await make_show(narrow, 20) for _ in range(5)]
    answers = await asyncio.gather(
        *(try_book(narrow, show, [str(n)]) for n in range(1, 11) for show in shows)
    )
    assert {answer.outcome for answer in answers} == {Outcome.CONFIRMED}
    assert all(len(of_batch) == 1 for of_batch in locked)
    assert len(locked) < 50, "those of a show share batches"
    await audit(narrow)


async def test_lanes_of_shows_that_rest_make_room(narrow: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has sold a thousand shows would sell no more, or keep a task for each for ever."""
    monkeypatch.setattr(lanes, "SHOW_LANES_MAX", 2)
    shows = [await make_show(narrow) for _ in range(5)]
    for show in shows:
        assert (await try_book(narrow, show, ["1"])).outcome is Outcome.CONFIRMED
        await asyncio.sleep(0)
        assert len(lanes_of(narrow)._lanes) <= 2
    assert (await try_book(narrow, shows[0], ["2"])).outcome is Outcome.CONFIRMED


async def test_more_than_can_wait_are_told_to_come_again(
    narrow: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many shows on sale at once would fill the memory with those who wait."""
    shows = [await make_show(narrow) for _ in range(3)]
    monkeypatch.setattr(lanes_of(narrow), "_waiting_max", 2)
    blocker = await asyncpg.connect(dsn)
    async with blocker.transaction():
        await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", shows[0])
        waiting = [asyncio.create_task(try_book(narrow, show, ["1"])) for show in shows[:2]]
        await asyncio.sleep(0.1)
        with pytest.raises(Busy):
            await try_book(narrow, shows[2], ["1"])
    await blocker.close()
    assert [(await one).outcome for one in waiting] == [Outcome.CONFIRMED] * 2
    assert (await try_book(narrow, shows[2], ["1"])).outcome is Outcome.CONFIRMED


async def test_who_gives_up_takes_nobody_s_place_for_ever(narrow: Context, dsn: str) -> None:
    """After so many clients that hung up nothing more would be taken until a restart."""
    show = await make_show(narrow)
    blocker = await asyncpg.connect(dsn)
    async with blocker.transaction():
        await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
        gone = asyncio.create_task(try_book(narrow, show, ["1"]))
        waiting = asyncio.create_task(try_book(narrow, show, ["2"]))
        await asyncio.sleep(0.1)
        gone.cancel()
        await asyncio.sleep(0.1)
        assert lanes_of(narrow)._waiting == 2, "it is in the lane all the same"
    await blocker.close()
    assert (await waiting).outcome is Outcome.CONFIRMED
    assert (await try_book(narrow, show, ["1"])).outcome is Outcome.SEATS_TAKEN
    assert lanes_of(narrow)._waiting == 0


async def test_an_error_at_commit_is_looked_up(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """The show's node has committed, and could not say so: a buyer would be told of failure and hold the seat."""
    show = await make_show(context)
    commit = Batch.commit
    failures = [asyncpg.InternalServerError("connection to the remote node failed")]

    async def commit_unheard(self: Batch, locked: Locked) -> None:
        await commit(self, locked)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(Batch, "commit", commit_unheard)
    booked = await try_book(context, show, ["1", "2"])
    assert not failures
    assert booked.outcome is Outcome.CONFIRMED
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 1
    await audit(context)


async def test_old_failures_are_pruned_show_by_show(context: Context) -> None:
    """They would be kept for ever, or all nodes be locked together."""
    shows = [await make_show(context) for _ in range(3)]
    for show in shows:
        await try_book(context, show, ["1"])
        assert (await try_book(context, show, ["1"], "bob")).outcome is Outcome.SEATS_TAKEN
    await context.pool.execute(
        """UPDATE bookings SET created_at = created_at - interval '9 days', settled_at = settled_at - interval '9 days'
        WHERE status = 'FAILED'"""
    )
    assert (await Sweeper(context, 10).run_once()).pruned == 0
    assert (await Sweeper(context, 8).run_once()).pruned == 3
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 3


async def test_queued_requests_are_decided_show_by_show(context: Context) -> None:
    """Whoever queued for a seat would never hear of it."""
    shows = [await make_show(context) for _ in range(3)]
    queued = [
        await book_later(context, BookRequest(show, f"u{n}", seats=(str(n),)), by=Actor.STAFF)
        for show in shows
        for n in (1, 2)
    ]
    consumer = TableConsumer(context)
    for _ in range(len(shows) + 1):
        await consumer.round()
    for one in queued:
        assert isinstance(one, QueuedView)
        assert (await find_booking(context, one.id)).status == "CONFIRMED"
    await audit(context)


async def test_every_table_has_its_place(context: Context) -> None:
    """A table that was forgotten would stay with the coordinator, and every booking that needs it would go there."""
    rows = await context.pool.fetch("SELECT relname FROM pg_stat_user_tables")
    placed = [name for name, _ in BY_SHOW] + [*EVERYWHERE, *AT_COORDINATOR]
    assert sorted(placed) == sorted(row["relname"] for row in rows)
