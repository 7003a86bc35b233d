"""Every cell of both lifecycle tables, legal and illegal, against PostgreSQL.

A cell is a status and an event. Each test brings a seat (or a booking) into the status by the ordinary way, sends the
command that the event is, and looks at the rows: a legal move ends where the table says, an illegal one leaves every
row as it was.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from rowlock.domain.commands import Block, Book, Cancel, Command, Confirm, Expire, Unblock
from rowlock.domain.ids import TAIL_BITS, booking_id
from rowlock.domain.lifecycles import (
    BOOKING_MOVES,
    SEAT_MOVES,
    BookingEvent,
    BookingStatus,
    SeatEvent,
    SeatStatus,
)
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision
from rowlock.operations.context import Context
from tests.support import audit, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio

Rows = dict[str, list[dict[str, Any]]]


async def rows_of(context: Context) -> Rows:
    """All that a command could change."""
    queries = {
        "seats": "SELECT * FROM seats ORDER BY show_id, seat_no",
        "inventory": "SELECT * FROM inventory ORDER BY show_id",
        "bookings": "SELECT * FROM bookings ORDER BY show_id, id",
    }
    return {name: [dict(row) for row in await context.pool.fetch(query)] for name, query in queries.items()}


def without(rows: Rows, booking: UUID) -> Rows:
    """The rows but for one booking's: a refused attempt is kept, as an attempt, and an event tells of it."""
    return {
        "seats": rows["seats"],
        "inventory": [row | {"told_events": None} for row in rows["inventory"]],
        "bookings": [row for row in rows["bookings"] if row["id"] != booking],
    }


async def seat_status(context: Context, show: int) -> SeatStatus:
    """The status of the first seat in the database."""
    letter = await context.pool.fetchval(
        "SELECT status::text FROM seats WHERE show_id = $1 AND seat_no = 0", show
    )
    return SeatStatus(letter)


async def held(context: Context, show: int, user: str = "ada", seat: str = "1") -> UUID:
    """A hold."""
    answer = await try_book(context, show, [seat], user, confirm=False)
    assert answer.outcome is Outcome.HELD
    assert answer.booking is not None
    return answer.booking.id


def new_id(show: int) -> UUID:
    """An id for a booking to be made."""
    return booking_id(show, secrets.randbits(TAIL_BITS))


# ---- seats


async def make_available(context: Context, show: int) -> UUID:
    """A seat that was held once, and the booking that still names it."""
    claim = await held(context, show)
    await context.engine.submit(Cancel(show, claim, (0,)))
    return claim


async def make_reserved(context: Context, show: int) -> UUID:
    """A held seat, and its booking."""
    return await held(context, show)


async def make_booked(context: Context, show: int) -> UUID:
    """A sold seat, and a hold that lapsed and was overtaken at it."""
    claim = await held(context, show)
    await let_lapse(context, claim)
    assert (await try_book(context, show, ["1"], "eve")).outcome is Outcome.CONFIRMED
    return claim


async def make_blocked(context: Context, show: int) -> UUID:
    """A seat off sale, and a hold that lapsed and was overtaken at it."""
    claim = await held(context, show)
    await let_lapse(context, claim)
    assert (await context.engine.submit(Block(show, (0,)))).outcome is Outcome.BLOCKED
    return claim


MAKE_SEAT: dict[SeatStatus, Callable[[Context, int], Awaitable[UUID]]] = {
    SeatStatus.AVAILABLE: make_available,
    SeatStatus.RESERVED: make_reserved,
    SeatStatus.BOOKED: make_booked,
    SeatStatus.BLOCKED: make_blocked,
}

SEAT_OUTCOMES = {
    (SeatStatus.AVAILABLE, SeatEvent.HOLD): Outcome.HELD,
    (SeatStatus.AVAILABLE, SeatEvent.BOOK): Outcome.CONFIRMED,
    (SeatStatus.AVAILABLE, SeatEvent.CONFIRM): Outcome.WRONG_STATE,  # it was released
    (SeatStatus.AVAILABLE, SeatEvent.FREE): Outcome.WRONG_STATE,
    (SeatStatus.AVAILABLE, SeatEvent.BLOCK): Outcome.BLOCKED,
    (SeatStatus.AVAILABLE, SeatEvent.UNBLOCK): Outcome.UNBLOCKED,
    (SeatStatus.RESERVED, SeatEvent.HOLD): Outcome.SEATS_TAKEN,
    (SeatStatus.RESERVED, SeatEvent.BOOK): Outcome.SEATS_TAKEN,
    (SeatStatus.RESERVED, SeatEvent.CONFIRM): Outcome.CONFIRMED,
    (SeatStatus.RESERVED, SeatEvent.FREE): Outcome.RELEASED,
    (SeatStatus.RESERVED, SeatEvent.BLOCK): Outcome.SEATS_TAKEN,
    (SeatStatus.RESERVED, SeatEvent.UNBLOCK): Outcome.WRONG_STATE,
    (SeatStatus.BOOKED, SeatEvent.HOLD): Outcome.SEATS_TAKEN,
    (SeatStatus.BOOKED, SeatEvent.BOOK): Outcome.SEATS_TAKEN,
    (SeatStatus.BOOKED, SeatEvent.CONFIRM): Outcome.HOLD_EXPIRED,
    (SeatStatus.BOOKED, SeatEvent.FREE): Outcome.CANCELLED,
    (SeatStatus.BOOKED, SeatEvent.BLOCK): Outcome.SEATS_TAKEN,
    (SeatStatus.BOOKED, SeatEvent.UNBLOCK): Outcome.WRONG_STATE,
    (SeatStatus.BLOCKED, SeatEvent.HOLD): Outcome.SEATS_TAKEN,
    (SeatStatus.BLOCKED, SeatEvent.BOOK): Outcome.SEATS_TAKEN,
    (SeatStatus.BLOCKED, SeatEvent.CONFIRM): Outcome.HOLD_EXPIRED,
    (SeatStatus.BLOCKED, SeatEvent.FREE): Outcome.HOLD_EXPIRED,
    (SeatStatus.BLOCKED, SeatEvent.BLOCK): Outcome.BLOCKED,
    (SeatStatus.BLOCKED, SeatEvent.UNBLOCK): Outcome.UNBLOCKED,
}


async def seat_command(context: Context, show: int, event: SeatEvent, claim: UUID, fresh: UUID) -> Command:
    """The command that a seat's event comes with."""
    match event:
        case SeatEvent.HOLD | SeatEvent.BOOK:
            return Book(show, fresh, "bob", (0,), 0, confirm=event is SeatEvent.BOOK)
        case SeatEvent.CONFIRM:
            return Confirm(show, claim, (0,))
        case SeatEvent.FREE:
            owner = await context.pool.fetchval(
                "SELECT booking_id FROM seats WHERE show_id = $1 AND seat_no = 0", show
            )
            return Cancel(show, owner or claim, (0,))
        case SeatEvent.BLOCK:
            return Block(show, (0,))
        case SeatEvent.UNBLOCK:
            return Unblock(show, (0,))


@pytest.mark.parametrize("status", list(SeatStatus))
@pytest.mark.parametrize("event", list(SeatEvent))
async def test_a_seat_moves_as_the_table_says(context: Context, status: SeatStatus, event: SeatEvent) -> None:
    """A sold seat could be sold again, or a free one could be stuck."""
    show = await make_show(context, 3)
    claim = await MAKE_SEAT[status](context, show)
    assert await seat_status(context, show) is status
    before = await rows_of(context)
    fresh = new_id(show)
    decision = await context.engine.submit(await seat_command(context, show, event, claim, fresh))
    assert decision.outcome is SEAT_OUTCOMES[status, event]
    after = await rows_of(context)
    move = SEAT_MOVES.get((status, event))
    if move is None:
        assert without(after, fresh) == without(before, fresh)
    else:
        assert await seat_status(context, show) is move
        assert (after["seats"] == before["seats"]) == (move is status)
    await audit(context)


@pytest.mark.parametrize("event", list(SeatEvent))
async def test_a_lapsed_seat_is_freed_first(context: Context, event: SeatEvent) -> None:
    """A seat whose hold ran out would be refused, or confirmed too late."""
    show = await make_show(context, 3)
    claim = await held(context, show)
    await let_lapse(context, claim)
    decision = await context.engine.submit(await seat_command(context, show, event, claim, new_id(show)))
    if event in (SeatEvent.CONFIRM, SeatEvent.FREE):
        assert decision.outcome is Outcome.HOLD_EXPIRED
        assert await seat_status(context, show) is SeatStatus.AVAILABLE
    else:
        assert decision.outcome is SEAT_OUTCOMES[SeatStatus.AVAILABLE, event]
        assert await seat_status(context, show) is SEAT_MOVES[SeatStatus.AVAILABLE, event]
    row = await context.pool.fetchrow("SELECT * FROM bookings WHERE id = $1", claim)
    assert (row["status"], row["reason"]) == ("FAILED", "hold_expired")
    await audit(context)


# ---- bookings

BOOKING_OUTCOMES: dict[tuple[BookingStatus | None, BookingEvent], Outcome] = {
    (None, BookingEvent.HOLD): Outcome.HELD,
    (None, BookingEvent.CONFIRM): Outcome.CONFIRMED,
    (None, BookingEvent.REFUSE): Outcome.SEATS_TAKEN,
    (None, BookingEvent.EXPIRE): Outcome.UNCHANGED,
    (None, BookingEvent.CANCEL): Outcome.BOOKING_NOT_FOUND,
    (BookingStatus.PENDING, BookingEvent.HOLD): Outcome.HELD,  # the first answer, again
    (BookingStatus.PENDING, BookingEvent.CONFIRM): Outcome.CONFIRMED,
    (BookingStatus.PENDING, BookingEvent.REFUSE): Outcome.HELD,
    (BookingStatus.PENDING, BookingEvent.EXPIRE): Outcome.EXPIRED,
    (BookingStatus.PENDING, BookingEvent.CANCEL): Outcome.RELEASED,
    (BookingStatus.CONFIRMED, BookingEvent.HOLD): Outcome.CONFIRMED,
    (BookingStatus.CONFIRMED, BookingEvent.CONFIRM): Outcome.CONFIRMED,
    (BookingStatus.CONFIRMED, BookingEvent.REFUSE): Outcome.CONFIRMED,
    (BookingStatus.CONFIRMED, BookingEvent.EXPIRE): Outcome.UNCHANGED,
    (BookingStatus.CONFIRMED, BookingEvent.CANCEL): Outcome.CANCELLED,
    (BookingStatus.FAILED, BookingEvent.HOLD): Outcome.SEATS_TAKEN,
    (BookingStatus.FAILED, BookingEvent.CONFIRM): Outcome.WRONG_STATE,
    (BookingStatus.FAILED, BookingEvent.REFUSE): Outcome.SEATS_TAKEN,
    (BookingStatus.FAILED, BookingEvent.EXPIRE): Outcome.UNCHANGED,
    (BookingStatus.FAILED, BookingEvent.CANCEL): Outcome.WRONG_STATE,
    (BookingStatus.CANCELLED, BookingEvent.HOLD): Outcome.CONFIRMED,
    (BookingStatus.CANCELLED, BookingEvent.CONFIRM): Outcome.WRONG_STATE,
    (BookingStatus.CANCELLED, BookingEvent.REFUSE): Outcome.CONFIRMED,
    (BookingStatus.CANCELLED, BookingEvent.EXPIRE): Outcome.UNCHANGED,
    (BookingStatus.CANCELLED, BookingEvent.CANCEL): Outcome.WRONG_STATE,
}
KEYED = b"the hash of what was asked"


def book_as(show: int, identifier: UUID, *, seat: int = 0, confirm: bool = False) -> Book:
    """Book under an id that comes from an Idempotency-Key, so that asking again is possible."""
    return Book(show, identifier, "ada", (seat,), 0, confirm=confirm, request_hash=KEYED)


async def make_booking(context: Context, show: int, status: BookingStatus | None, identifier: UUID) -> None:
    """Bring a booking of the first seat into a status; seat "2" is somebody else's."""
    submit = context.engine.submit
    assert (await try_book(context, show, ["2"], "eve")).outcome is Outcome.CONFIRMED
    match status:
        case BookingStatus.PENDING:
            await submit(book_as(show, identifier))
        case BookingStatus.CONFIRMED:
            await submit(book_as(show, identifier, confirm=True))
        case BookingStatus.FAILED:
            await submit(book_as(show, identifier, seat=1))
        case BookingStatus.CANCELLED:
            await submit(book_as(show, identifier, confirm=True))
            await submit(Cancel(show, identifier, (0,)))


async def send(
    context: Context, show: int, status: BookingStatus | None, event: BookingEvent, identifier: UUID
) -> Decision:
    """Send the command that a booking's event comes with."""
    submit = context.engine.submit
    match event:
        case BookingEvent.HOLD:
            return await submit(book_as(show, identifier))
        case BookingEvent.CONFIRM if status is None:
            return await submit(book_as(show, identifier, confirm=True))
        case BookingEvent.CONFIRM:
            return await submit(Confirm(show, identifier, (0,)))
        case BookingEvent.REFUSE:
            return await submit(book_as(show, identifier, seat=1))
        case BookingEvent.EXPIRE:
            return await submit(Expire(show, identifier, (0,)))
        case BookingEvent.CANCEL:
            return await submit(Cancel(show, identifier, (0,)))


async def status_of(context: Context, identifier: UUID) -> BookingStatus | None:
    """The status of a booking in the database."""
    status = await context.pool.fetchval("SELECT status FROM bookings WHERE id = $1", identifier)
    return None if status is None else BookingStatus(status)


@pytest.mark.parametrize("status", [None, *BookingStatus], ids=str)
@pytest.mark.parametrize("event", list(BookingEvent))
async def test_a_booking_moves_as_the_table_says(
    context: Context, status: BookingStatus | None, event: BookingEvent
) -> None:
    """A cancelled ticket would admit again, or a paid one would vanish."""
    show = await make_show(context, 3)
    identifier = new_id(show)
    await make_booking(context, show, status, identifier)
    if event is BookingEvent.EXPIRE and status is BookingStatus.PENDING:
        await let_lapse(context, identifier)
    assert await status_of(context, identifier) is status
    before = await rows_of(context)
    decision = await send(context, show, status, event, identifier)
    assert decision.outcome is BOOKING_OUTCOMES[status, event]
    after = await rows_of(context)
    move = BOOKING_MOVES.get((status, event))
    if move is None or move is status:
        assert after == before
    else:
        assert await status_of(context, identifier) is move
    await audit(context)


async def test_a_hold_does_not_expire_before_its_time(context: Context) -> None:
    """A sweeper with a wrong clock would take seats from people who are paying."""
    show = await make_show(context, 3)
    identifier = await held(context, show)
    before = await rows_of(context)
    decision = await context.engine.submit(Expire(show, identifier, (0,)))
    assert decision.outcome is Outcome.UNCHANGED
    assert await rows_of(context) == before


async def test_a_hold_ends_at_its_time_however_late_it_is_found(context: Context) -> None:
    """The record would say that a hold lasted until somebody swept."""
    show = await make_show(context, 3)
    identifier = await held(context, show)
    await let_lapse(context, identifier)
    expires_at: datetime = await context.pool.fetchval("SELECT expires_at FROM bookings")
    await context.engine.submit(Expire(show, identifier, (0,)))
    row = await context.pool.fetchrow("SELECT settled_at, expires_at, release_at FROM bookings")
    assert tuple(row) == (expires_at, None, None)


@pytest.mark.parametrize("status", list(BookingStatus))
async def test_a_key_that_was_used_for_something_else_moves_nothing(
    context: Context, status: BookingStatus
) -> None:
    """A key used again by mistake would change an old booking, or answer with the wrong one."""
    show = await make_show(context, 3)
    identifier = new_id(show)
    await make_booking(context, show, status, identifier)
    before = await rows_of(context)
    for other in (
        Book(show, identifier, "ada", (2,), 0, request_hash=b"another"),
        Book(show, identifier, "bob", (2,), 0, request_hash=KEYED),
    ):
        decision = await context.engine.submit(other)
        assert (decision.outcome, decision.booking) == (Outcome.IDEMPOTENCY_KEY_REUSED, None)
    assert await rows_of(context) == before


def test_every_cell_is_walked() -> None:
    """A status added later would have moves that nobody has tried."""
    assert set(SEAT_OUTCOMES) == {(status, event) for status in SeatStatus for event in SeatEvent}
    statuses = [None, *BookingStatus]
    assert set(BOOKING_OUTCOMES) == {(status, event) for status in statuses for event in BookingEvent}
    assert set(SEAT_MOVES) <= set(SEAT_OUTCOMES)
    assert set(BOOKING_MOVES) <= set(BOOKING_OUTCOMES)
