"""Queued requests keep their place in the line of their show, whatever must be tried again."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import asyncpg
import pytest

from rowlock.domain.commands import Book
from rowlock.domain.ids import TAIL_BITS, booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.engine import lane as lanes
from rowlock.engine.engine import Busy
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from tests.support import audit, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


def wish(show: int, *seats: int, count: int = 0, **fields: Any) -> Book:
    """A queued request for seats by number, or for a count."""
    usual: dict[str, Any] = {"request_hash": b"h", "queued": True}
    identifier = booking_id(show, secrets.randbits(TAIL_BITS))
    return Book(show, identifier, "ada", seats, 0, wanted_count=count, **usual | fields)


async def outcomes(context: Context, *commands: Book) -> list[Outcome]:
    """What commands come to that are queued at once."""
    answers = [context.engine.submit(command) for command in commands]
    return [decision.outcome for decision in await asyncio.gather(*answers)]


async def test_nobody_overtakes_one_that_must_be_picked_again(context: Context) -> None:
    """Three lapsed seats are not seen without locks: the request for all would lose them to those behind it."""
    show = await make_show(context, 4)
    held = await try_book(context, show, 3, "bob", confirm=False)
    assert held.booking is not None
    await let_lapse(context, held.booking.id)
    assert await outcomes(context, wish(show, count=4), wish(show, count=1), wish(show, 3)) == [
        Outcome.CONFIRMED,
        Outcome.NOT_ENOUGH_SEATS,
        Outcome.SEATS_TAKEN,
    ]
    await audit(context)


async def test_nobody_overtakes_one_that_waits_for_locks(dsn: str) -> None:
    """A stranger's lock on one seat would turn the line round."""
    async with open_context(Database(dsn), lanes=1) as context:
        show, elsewhere = await make_show(context, 4), await make_show(context, 4)
        blocker = await asyncpg.connect(dsn)
        async with blocker.transaction():
            await blocker.fetch("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", show)
            line = [wish(show, count=4), wish(show, 3), wish(show, count=1), wish(show, 2)]
            answers = [context.engine.submit(command) for command in line]
            other = context.engine.submit(wish(elsewhere, 0))
            await asyncio.sleep(0.3)
            answers.append(context.engine.submit(wish(show, 1)))
            await asyncio.sleep(0.3)
            done = [answer.done() for answer in answers]
        await blocker.close()
        assert not any(done), "somebody was decided before the first"
        assert [decision.outcome for decision in await asyncio.gather(*answers)] == [
            Outcome.CONFIRMED,
            Outcome.SEATS_TAKEN,
            Outcome.NOT_ENOUGH_SEATS,
            Outcome.SEATS_TAKEN,
            Outcome.SEATS_TAKEN,
        ]
        assert (await other).outcome is Outcome.CONFIRMED
        await audit(context)


async def test_a_line_that_can_not_move_goes_back_to_its_queue(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One show's locks, or one decided before those in front of it, would be everybody's: a lane serves many shows."""
    monkeypatch.setattr(lanes, "WAIT_SECONDS_MAX", 1.0)
    async with open_context(Database(dsn, lock_timeout=0.2), lanes=1) as context:
        show, elsewhere = await make_show(context), await make_show(context)
        blocker = await asyncpg.connect(dsn)
        async with blocker.transaction():
            await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
            first, second = wish(show, 0), wish(show, 0)
            line = [context.engine.submit(first), context.engine.submit(second)]
            await asyncio.sleep(0.5)
            line.append(context.engine.submit(wish(show, 1)))  # younger, and behind the others all the same
            async with asyncio.timeout(20):
                told = await asyncio.gather(*line, return_exceptions=True)
                direct = await context.engine.submit(wish(elsewhere, 0, queued=False))
        await blocker.close()
        assert [type(answer) for answer in told] == [Busy] * 3
        assert direct.outcome is Outcome.CONFIRMED
        assert await outcomes(context, first, second) == [Outcome.CONFIRMED, Outcome.SEATS_TAKEN]
        await audit(context)


async def test_the_same_request_again_finds_its_booking(context: Context) -> None:
    """A request that is delivered twice would be booked twice."""
    show = await make_show(context)
    once = wish(show, count=2)
    first, second = await asyncio.gather(context.engine.submit(once), context.engine.submit(once))
    third = await context.engine.submit(once)
    assert first.booking == second.booking == third.booking
    assert (first.replayed, second.replayed, third.replayed) == (False, True, True)
    await audit(context)


async def test_a_shutdown_does_not_wait_for_them_for_ever(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server could not be restarted while the database, or somebody's lock, stands in the way of the queue."""
    monkeypatch.setattr(lanes, "DRAIN_SECONDS_MAX", 0.3)
    blocker = await asyncpg.connect(dsn)
    try:
        async with open_context(Database(dsn), lanes=1) as context:
            show = await make_show(context, 4)
            await blocker.execute("BEGIN")
            await blocker.fetch("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", show)
            answers = [context.engine.submit(command) for command in (wish(show, count=4), wish(show, 3))]
            await asyncio.sleep(0.2)
    finally:
        await blocker.close()
    told = await asyncio.gather(*answers, return_exceptions=True)
    assert [isinstance(answer, Busy) for answer in told] == [True, True]
