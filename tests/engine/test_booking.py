"""Booking, holding, confirming and cancelling, through the lanes, on PostgreSQL."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from rowlock.domain.commands import Actor
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


async def test_a_seat_is_sold_once(context: Context) -> None:
    """Two people would stand before one chair."""
    show = await make_show(context)
    first = await try_book(context, show, ["3", "4"])
    second = await try_book(context, show, ["4", "5"], "bob")
    assert first.outcome is Outcome.CONFIRMED
    assert second.outcome is Outcome.SEATS_TAKEN
    assert second.conflicts == ["4"]
    assert second.booking is not None
    assert second.booking.conflicts == ["4"]
    third = await try_book(context, show, ["5"], "bob")
    assert third.outcome is Outcome.CONFIRMED
    view = await find_show(context, show)
    assert (view.available_seats, view.booked_seats) == (7, 3)
    await audit(context)


async def test_hold_confirm_cancel(context: Context) -> None:
    """A held seat would be lost, or a returned one never sold again."""
    show = await make_show(context)
    held = await try_book(context, show, ["1"], confirm=False)
    assert held.outcome is Outcome.HELD
    row = await owner_of(context, id_of(held))
    confirmed = await confirm_booking(context, row, by=Actor.OWNER)
    assert confirmed.outcome is Outcome.CONFIRMED
    assert [step.status.value for step in confirmed.booking.history] == ["PENDING", "CONFIRMED"]
    assert (await confirm_booking(context, row, by=Actor.OWNER)).booking == confirmed.booking
    assert (await cancel_booking(context, row, by=Actor.OWNER)).outcome is Outcome.CANCELLED
    assert (await cancel_booking(context, row, by=Actor.OWNER)).outcome is Outcome.WRONG_STATE
    assert (await find_show(context, show)).available_seats == 10
    await audit(context)


async def test_count_takes_the_best_and_says_truly_when_too_few_are_left(context: Context) -> None:
    """A party would be split for no reason, or sent away from free seats."""
    show = await make_show(context, 12)
    first = await try_book(context, show, 4)
    assert first.booking is not None
    assert first.booking.seats == ["4", "5", "6", "7"]
    assert (await try_book(context, show, 9)).outcome is Outcome.NOT_ENOUGH_SEATS
    assert (await try_book(context, show, 8)).outcome is Outcome.CONFIRMED
    assert (await try_book(context, show, 1)).outcome is Outcome.NOT_ENOUGH_SEATS
    await audit(context)


async def test_a_lapsed_hold_is_free_before_anyone_sweeps(context: Context) -> None:
    """A seat would stay unsold for as long as the sweeper sleeps."""
    show = await make_show(context, 3)
    held = await try_book(context, show, ["1", "2"], confirm=False)
    await let_lapse(context, id_of(held))
    assert (await find_booking(context, id_of(held))).status == "FAILED"
    taken = await try_book(context, show, ["2"], "bob")
    assert taken.outcome is Outcome.CONFIRMED
    late = await confirm_booking(context, await owner_of(context, id_of(held)), by=Actor.OWNER)
    assert late.outcome is Outcome.HOLD_EXPIRED
    # Its other seat keeps its name until the sweeper comes, and is as free as the first one was.
    assert (await Sweeper(context, 30).run_once()).expired == 1
    view = await find_show(context, show)
    assert (view.available_seats, view.reserved_seats, view.booked_seats) == (2, 0, 1)
    release_at = await context.pool.fetchval("SELECT max(release_at) FROM bookings")
    assert release_at is None
    await audit(context)


async def test_lapsed_seats_count_for_best_available(context: Context) -> None:
    """A sold-out sign would hang over seats whose holds ran out."""
    show = await make_show(context, 2)
    held = await try_book(context, show, 2, confirm=False)
    assert (await try_book(context, show, 1, "bob")).outcome is Outcome.NOT_ENOUGH_SEATS
    await let_lapse(context, id_of(held))
    assert (await try_book(context, show, 2, "bob")).outcome is Outcome.CONFIRMED
    assert (await find_booking(context, id_of(held))).reason == "hold_expired"
    await audit(context)


async def test_the_sweeper_settles_and_frees(context: Context) -> None:
    """Counts would show seats as held that nobody holds."""
    show = await make_show(context, 20)
    held = [await try_book(context, show, [str(n)], confirm=False) for n in range(1, 11)]
    await let_lapse(context, *(id_of(booked) for booked in held[:7]))
    sweeper = Sweeper(context, 30)
    assert (await sweeper.run_once()).expired == 7
    assert (await sweeper.run_once()).expired == 0
    view = await find_show(context, show)
    assert (view.available_seats, view.reserved_seats) == (17, 3)
    booking = await find_booking(context, id_of(held[0]))
    assert (booking.status.value, booking.reason) == ("FAILED", "hold_expired")
    await audit(context)


async def test_one_key_one_booking(context: Context) -> None:
    """Whoever presses twice would pay twice."""
    show = await make_show(context)
    answers = await asyncio.gather(*(try_book(context, show, 2, key="k") for _ in range(20)))
    assert len({id_of(answer) for answer in answers}) == 1
    assert sum(answer.replayed for answer in answers) == 19
    again = await try_book(context, show, 2, key="k")
    assert again.replayed
    assert again.outcome is Outcome.CONFIRMED
    other = await try_book(context, show, 3, key="k")
    assert other.outcome is Outcome.IDEMPOTENCY_KEY_REUSED
    assert (await find_show(context, show)).booked_seats == 2
    await audit(context)


async def test_cancelling_a_show_settles_its_bookings(context: Context) -> None:
    """People would hold tickets to a show that will not be."""
    show = await make_show(context, 30)
    firm = await try_book(context, show, ["1"])
    held = await try_book(context, show, ["2"], confirm=False)
    view = await cancel_show(context, show)
    assert (view.status.value, view.available_seats) == ("cancelled", 30)
    assert (await find_booking(context, id_of(firm))).status == "CANCELLED"
    assert (await find_booking(context, id_of(held))).reason == "show_cancelled"
    assert (await try_book(context, show, ["3"])).outcome is Outcome.SHOW_CANCELLED
    assert await cancel_show(context, show) == view
    assert not await context.pool.fetchval("SELECT settling FROM inventory WHERE show_id = $1", show)
    await audit(context)
