"""Races between two processes that share nothing but PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from uuid import UUID

import pytest

from rowlock.domain.commands import Actor, Expire
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.outcomes import Outcome
from rowlock.operations.book import Booked
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.context import Context
from rowlock.operations.find_bookings import find_booking
from rowlock.operations.find_shows import find_show
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.workers.sweeper import Sweeper
from tests.support import audit, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


def id_of(booked: Booked) -> UUID:
    """The id of a booking that was recorded."""
    assert booked.booking is not None
    return booked.booking.id


async def test_random_overlapping_sets(context: Context, other: Context) -> None:
    """A seat would be sold twice in the first stampede."""
    show = await make_show(context, 60)
    dice = random.Random(7)
    wishes = [[str(n) for n in dice.sample(range(1, 61), dice.randint(1, 4))] for _ in range(400)]
    answers = await asyncio.gather(
        *(
            try_book(dice.choice((context, other)), show, wish, f"u{n}", confirm=dice.random() < 0.7)
            for n, wish in enumerate(wishes)
        )
    )
    taken = Counter(
        seat for answer in answers if answer.booking and not answer.conflicts for seat in answer.booking.seats
    )
    assert set(taken.values()) == {1}
    won = sum(answer.outcome in {Outcome.CONFIRMED, Outcome.HELD} for answer in answers)
    lost = [answer for answer in answers if answer.outcome is Outcome.SEATS_TAKEN]
    assert won + len(lost) == 400
    assert all(answer.conflicts for answer in lost)
    await audit(context)


async def test_shows_in_opposite_order(context: Context, other: Context) -> None:
    """Two batches over the same shows would deadlock, and everyone would wait a second."""
    shows = [await make_show(context, 100) for _ in range(8)]
    dice = random.Random(3)
    deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    async with asyncio.TaskGroup() as group:
        tasks = []
        for n in range(600):
            wish = [str(seat) for seat in dice.sample(range(1, 101), 2)]
            place = dice.choice((context, other))
            tasks.append(group.create_task(try_book(place, dice.choice(shows), wish, f"u{n}")))
    assert await context.pool.fetchval(deadlocks) == 0
    await audit(context)


async def test_counts_are_never_refused_falsely(context: Context, other: Context) -> None:
    """People would be told "sold out" before seats that stay empty."""
    show = await make_show(context, 200)
    dice = random.Random(11)
    answers = await asyncio.gather(
        *(try_book(dice.choice((context, other)), show, dice.randint(1, 6), f"u{n}") for n in range(150))
    )
    assert {a.outcome for a in answers} <= {Outcome.CONFIRMED, Outcome.NOT_ENOUGH_SEATS}
    bookings = [a.booking for a in answers if a.booking is not None]
    assert any(b.status is BookingStatus.FAILED for b in bookings), "the hall must have been full"
    for refused in (b for b in bookings if b.status is BookingStatus.FAILED):
        sold = sum(
            b.seat_count
            for b in bookings
            if b.status is BookingStatus.CONFIRMED and b.created_at <= refused.created_at
        )
        assert 200 - sold < refused.seat_count, f"{200 - sold} seats were left for {refused.seat_count}"
    await audit(context)


async def test_counts_beside_named_seats_holds_and_cancels(context: Context, other: Context) -> None:
    """A count request would collide with those who name their seats, and neither be served nor truly refused."""
    show = await make_show(context, 120)
    dice = random.Random(5)

    async def buyer(n: int) -> None:
        place = dice.choice((context, other))
        for _ in range(4):
            wish: list[str] | int = dice.randint(1, 5)
            if dice.random() < 0.5:
                wish = [str(seat) for seat in dice.sample(range(1, 121), dice.randint(1, 3))]
            confirm = dice.random() < 0.5
            booked = await try_book(place, show, wish, f"u{n}", confirm=confirm)
            if booked.outcome not in {Outcome.CONFIRMED, Outcome.HELD}:
                continue
            row = await owner_of(place, id_of(booked))
            if not confirm and dice.random() < 0.5:
                await confirm_booking(place, row, by=Actor.OWNER)
            if dice.random() < 0.5:
                await cancel_booking(place, row, by=Actor.OWNER)

    await asyncio.gather(*(buyer(n) for n in range(60)))
    await audit(context)
    view = await find_show(context, show)
    if view.available_seats:
        last = await try_book(other, show, min(view.available_seats, 10), "last")
        assert last.outcome is Outcome.CONFIRMED
    await audit(context)


async def test_one_key_with_counts_on_two_processes(context: Context, other: Context) -> None:
    """Two processes would pick different seats for the same request, and book both."""
    show = await make_show(context, 100)
    for round_number in range(5):
        answers = await asyncio.gather(
            *(try_book((context, other)[n % 2], show, 3, key=f"key {round_number}") for n in range(50))
        )
        assert len({id_of(answer) for answer in answers}) == 1
        assert len({str(answer.booking) for answer in answers}) == 1
        assert sum(not answer.replayed for answer in answers) == 1
    assert (await find_show(context, show)).booked_seats == 15
    await audit(context)


async def test_cancelling_a_show_under_bookings(context: Context, other: Context) -> None:
    """Someone would be sold a seat at a show that was cancelled a moment before."""
    show = await make_show(context, 300)
    buying = [
        asyncio.create_task(try_book((context, other)[n % 2], show, [str(n + 1)], confirm=n % 3 > 0))
        for n in range(300)
    ]
    await asyncio.sleep(0.005)
    await cancel_show(other, show)
    outcomes = {answer.outcome for answer in await asyncio.gather(*buying)}
    assert outcomes <= {Outcome.CONFIRMED, Outcome.HELD, Outcome.SHOW_CANCELLED}
    view = await find_show(context, show)
    assert (view.available_seats, view.booked_seats, view.reserved_seats) == (300, 0, 0)
    left = await context.pool.fetchval(
        "SELECT count(*) FROM bookings WHERE status IN ('PENDING', 'CONFIRMED')"
    )
    assert left == 0
    await audit(context)


async def test_confirm_against_expire_at_the_same_instant(context: Context, other: Context) -> None:
    """A hold that was confirmed in time would be swept, or one that was swept be confirmed."""
    seen: set[Outcome] = set()
    rounds = 0
    while seen != {Outcome.CONFIRMED, Outcome.HOLD_EXPIRED}:  # a busy machine may miss the instant
        rounds += 1
        assert rounds <= 15, "both must occur"
        seen |= await _confirm_against_expire(context, other)
    await audit(context)


async def _confirm_against_expire(context: Context, other: Context) -> set[Outcome]:
    """Confirm and expire holds around the moment at which they lapse; what confirming came to."""
    show = await make_show(context, 60, hold_seconds=1)
    held = await asyncio.gather(
        *(try_book(context, show, [str(n)], f"u{n}", confirm=False) for n in range(1, 61))
    )
    rows = [await owner_of(context, id_of(booked)) for booked in held]
    last_second = rows[-1].expires_at
    assert last_second is not None
    now = await context.pool.fetchval("SELECT clock_timestamp()")
    await asyncio.sleep(max(0.0, (last_second - now).total_seconds() - 0.03))

    async def fight(n: int) -> tuple[Outcome, Outcome]:
        await asyncio.sleep(n * 0.001)
        row = rows[n]
        confirmed, expired = await asyncio.gather(
            confirm_booking(context, row, by=Actor.OWNER),
            other.engine.submit(Expire(show, row.id, row.seats)),
        )
        return confirmed.outcome, expired.outcome

    results = await asyncio.gather(*(fight(n) for n in range(60)))
    for row, (confirmed, expired) in zip(rows, results, strict=True):
        booking = await find_booking(context, row.id)
        if confirmed is Outcome.CONFIRMED:
            assert expired is Outcome.UNCHANGED
            assert booking.status is BookingStatus.CONFIRMED
            assert booking.settled_at is not None
            assert row.expires_at is not None
            assert booking.settled_at < row.expires_at
        else:
            assert confirmed is Outcome.HOLD_EXPIRED
            assert booking.status is BookingStatus.FAILED
    return {confirmed for confirmed, _ in results}


async def test_a_lapsed_hold_overtaken_swept_and_confirmed_at_once(context: Context, other: Context) -> None:
    """Its owner would get a seat that was just sold to another, or the rest of its seats be lost for ever."""
    for _ in range(15):
        show = await make_show(context, 3)
        held = await try_book(context, show, ["1", "2", "3"], confirm=False)
        await let_lapse(context, id_of(held))
        row = await owner_of(context, id_of(held))
        taken, late, _ = await asyncio.gather(
            try_book(other, show, ["2"], "bob"),
            confirm_booking(context, row, by=Actor.OWNER),
            Sweeper(other, 30).run_once(),
        )
        assert taken.outcome is Outcome.CONFIRMED
        assert late.outcome is Outcome.HOLD_EXPIRED
        await Sweeper(context, 30).run_once()
        view = await find_show(context, show)
        assert (view.available_seats, view.reserved_seats, view.booked_seats) == (2, 0, 1)
        assert await context.pool.fetchval("SELECT count(*) FROM bookings WHERE release_at IS NOT NULL") == 0
        await audit(context)
