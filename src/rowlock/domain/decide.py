"""Who gets what: the one decision that Rowlock exists for.

`decide(command, world, now)` is pure. It reads a `World`, the state that its caller holds locked in PostgreSQL, and
answers with a `Decision`: the outcome, and the changes that follow from it. It changes nothing. A batch is decided by
taking its commands in order, each against the world as the ones before it left it (`World.apply`).

What holds:

 1. A seat has at most one owner. It goes to a booking only from AVAILABLE, or from a hold that has lapsed.
 2. A hold has lapsed from its `held_until` on, that instant included. It is then free to anyone, swept or not.
 3. A booking is all or nothing: every seat, or none and the labels that stood in the way.
 4. A lapsed hold that is overtaken at one seat loses its booking there and then: it can't be confirmed any more.
    Its other seats keep its name until the sweeper comes, and are as free as rule 2 says.
 5. Confirm makes a booking firm only if it still holds every one of its seats, in time.
 6. What already has an answer keeps it: a booking id that exists is not booked again.
 7. A queued request ends in a row, whatever it comes to: nobody waits for its answer.
 8. `now` was read from the database's clock after every lock was held. No other clock is asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from rowlock.domain.commands import Actor, Block, Book, Cancel, CloseSale, Command, Confirm, Expire, Unblock
from rowlock.domain.fair_play import holds_too_much, is_bound
from rowlock.domain.lifecycles import (
    BOOKING_MOVES,
    SEAT_MOVES,
    BookingEvent,
    BookingStatus,
    Reason,
    SeatEvent,
    SeatStatus,
)
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import AVAILABLE, BLOCKED, Booking, Sale, Seat, changed, lapsed
from rowlock.domain.world import Decision, World

# The reasons of bookings that failed at once, and what was said then.
_REFUSED = {
    Reason.SHOW_CANCELLED: Outcome.SHOW_CANCELLED,
    Reason.NOT_ON_SALE: Outcome.NOT_ON_SALE,
    Reason.FORBIDDEN: Outcome.FORBIDDEN,
    Reason.TOO_MANY_SEATS: Outcome.TOO_MANY_SEATS,
    Reason.TOO_MANY_HOLDS: Outcome.TOO_MANY_HOLDS,
    Reason.SEATS_TAKEN: Outcome.SEATS_TAKEN,
    Reason.NOT_ENOUGH_SEATS: Outcome.NOT_ENOUGH_SEATS,
    Reason.DROPPED: Outcome.DROPPED,
}

_FIRM = BOOKING_MOVES[None, BookingEvent.CONFIRM]
_HELD = BOOKING_MOVES[None, BookingEvent.HOLD]
_FAILED = BOOKING_MOVES[None, BookingEvent.REFUSE]


def decide(command: Command, world: World, now: datetime) -> Decision:
    """What `command` comes to in `world` at `now`."""
    sale = world.sales.get(command.show_id)
    if sale is None:
        return Decision(Outcome.SHOW_NOT_FOUND)
    match command:
        case Book():
            return _book(command, world, sale, now)
        case Confirm():
            return _confirm(command, world, sale, now)
        case Cancel():
            return _cancel(command, world, now)
        case Expire():
            return _expire(command, world, now)
        case Block():
            return _set_aside(command, SeatEvent.BLOCK, world, sale, now)
        case Unblock():
            return _set_aside(command, SeatEvent.UNBLOCK, world, sale, now)
        case CloseSale():
            return Decision(
                Outcome.UNCHANGED if sale.closed else Outcome.SALE_CLOSED, close_sale=not sale.closed
            )
        case _:  # pragma: no cover
            assert_never(command)


def first_outcome(booking: Booking) -> Outcome:
    """The outcome that a booking was made with, read back from its row."""
    if booking.reason is not None and _failed_at_once(booking):
        return _REFUSED[booking.reason]
    return Outcome.HELD if booking.held else Outcome.CONFIRMED


def _failed_at_once(booking: Booking) -> bool:
    """Whether it never had seats."""
    return booking.status is BookingStatus.FAILED and not booking.held


def _book(command: Book, world: World, sale: Sale, now: datetime) -> Decision:
    known = world.bookings.get(command.booking_id)
    if known is not None:
        if known.request_hash != command.request_hash or known.user_id != command.user_id:
            return Decision(Outcome.IDEMPOTENCY_KEY_REUSED)
        as_it_is = lapsed(known) if known.overdue(now) else known
        return Decision(first_outcome(known), booking=as_it_is, replayed=True)
    against = _against_terms(command, sale, world, now)
    if against is not None:
        row = refused(command, against, (), now) if command.queued else None
        return Decision(_REFUSED[against], booking=row)
    if command.wanted_count and not command.seats:
        if not world.proved_short(sale, command):
            return Decision(Outcome.REPICK)
        return Decision(Outcome.NOT_ENOUGH_SEATS, booking=refused(command, Reason.NOT_ENOUGH_SEATS, (), now))

    event = SeatEvent.BOOK if command.confirm else SeatEvent.HOLD
    until = None if command.confirm else now + timedelta(seconds=sale.hold_seconds)
    conflicts = []
    changes = []
    for number in command.seats:
        move = _move(world.seats[command.show_id, number], event, now)
        if move is None:
            conflicts.append(number)
        else:
            changes.append((number, Seat(move, command.booking_id, until)))
    if conflicts and command.wanted_count:
        return Decision(Outcome.REPICK)
    if conflicts:
        taken = tuple(conflicts)
        return Decision(
            Outcome.SEATS_TAKEN,
            booking=refused(command, Reason.SEATS_TAKEN, taken, now),
            conflicts=taken,
        )
    booking = booked(command, now, until)
    return Decision(
        Outcome.CONFIRMED if command.confirm else Outcome.HELD,
        booking=booking,
        seats=tuple(changes),
        overtaken=_lapsed_owners(command.show_id, command.seats, world),
    )


def _against_terms(command: Book, sale: Sale, world: World, now: datetime) -> Reason | None:
    """Why a request can't be had at all, whatever seats are free; None if it can."""
    if command.dropped:
        return Reason.DROPPED
    if sale.closed:
        return Reason.SHOW_CANCELLED
    if sale.on_sale_at is not None and now < sale.on_sale_at:
        return Reason.NOT_ON_SALE
    if command.confirm and sale.confirm_by_service and command.by is Actor.OWNER:
        return Reason.FORBIDDEN
    if command.seat_count > sale.max_seats:
        return Reason.TOO_MANY_SEATS
    fair_play = world.fair_play
    if (
        not command.confirm
        and fair_play is not None
        and is_bound(command)
        and holds_too_much(fair_play, command, world.holds_of(command), sale, now)
    ):
        return Reason.TOO_MANY_HOLDS
    return None


def booked(command: Book, now: datetime, until: datetime | None = None) -> Booking:
    """The row of a booking that has its seats: firm, or held `until` then."""
    seats, firm = command.seats, until is None
    # By position: so many keywords cost five times as much, and this is on every booking's path.
    return Booking(
        command.booking_id,
        command.show_id,
        command.user_id,
        command.customer_name,
        command.email,
        _FIRM if firm else _HELD,
        None,  # reason
        seats,
        (),  # conflicts
        len(seats),
        command.amount_cents,
        not firm,  # held
        command.request_hash,
        now,  # created_at
        until,  # expires_at
        now if firm else None,  # confirmed_at
        now if firm else None,  # settled_at
        until,  # release_at
    )


def refused(command: Book, reason: Reason, conflicts: tuple[int, ...], now: datetime) -> Booking:
    """The row of a booking that failed at once: attempts are kept, they are the audit.

    Where only a count was asked for, a pick that came to nothing is not part of it.
    """
    seats = () if command.wanted_count else command.seats
    return Booking(
        id=command.booking_id,
        show_id=command.show_id,
        user_id=command.user_id,
        customer_name=command.customer_name,
        email=command.email,
        status=_FAILED,
        reason=reason,
        seats=seats,
        conflicts=conflicts,
        seat_count=command.seat_count,
        amount_cents=command.amount_cents if seats else 0,
        held=False,
        request_hash=command.request_hash,
        created_at=now,
        expires_at=None,
        confirmed_at=None,
        settled_at=now,
        release_at=None,
    )


def _confirm(command: Confirm, world: World, sale: Sale, now: datetime) -> Decision:
    booking = world.bookings.get(command.booking_id)
    if booking is None:
        return Decision(Outcome.BOOKING_NOT_FOUND)
    if sale.closed and booking.status is not BookingStatus.CONFIRMED:
        return Decision(Outcome.SHOW_CANCELLED, booking=booking)
    if sale.confirm_by_service and command.by is Actor.OWNER:
        return Decision(Outcome.FORBIDDEN, booking=booking)
    status = BOOKING_MOVES.get((booking.status, BookingEvent.CONFIRM))
    if status is None:
        expired = booking.reason is Reason.HOLD_EXPIRED
        return Decision(Outcome.HOLD_EXPIRED if expired else Outcome.WRONG_STATE, booking=booking)
    if booking.status is status:
        return Decision(Outcome.CONFIRMED, booking=booking)
    changes = [
        (number, Seat(SEAT_MOVES[seat.status, SeatEvent.CONFIRM], seat.owner))
        for number in booking.seats
        if (seat := world.seats[command.show_id, number]).owner == booking.id and not seat.lapsed(now)
    ]
    if booking.overdue(now) or len(changes) < len(booking.seats):
        return _lapse(booking, world, Outcome.HOLD_EXPIRED)
    firm = changed(booking, status=status, confirmed_at=now, settled_at=now, expires_at=None, release_at=None)
    return Decision(Outcome.CONFIRMED, booking=firm, seats=tuple(changes))


def _cancel(command: Cancel, world: World, now: datetime) -> Decision:
    booking = world.bookings.get(command.booking_id)
    if booking is None:
        return Decision(Outcome.BOOKING_NOT_FOUND)
    status = BOOKING_MOVES.get((booking.status, BookingEvent.CANCEL))
    if status is None:
        if booking.reason is Reason.HOLD_EXPIRED:
            return Decision(Outcome.HOLD_EXPIRED, booking=booking)
        if booking.settled_at in command.earlier_attempts and not _failed_at_once(booking):
            released = booking.status is BookingStatus.FAILED
            return Decision(Outcome.RELEASED if released else Outcome.CANCELLED, booking=booking)
        return Decision(Outcome.WRONG_STATE, booking=booking)
    if booking.overdue(now):
        return _lapse(booking, world, Outcome.HOLD_EXPIRED)
    if command.by is Actor.SHOW:
        reason = Reason.SHOW_CANCELLED
    elif booking.status is BookingStatus.PENDING:
        reason = Reason.RELEASED
    else:
        by_owner = command.by is Actor.OWNER
        reason = Reason.CANCELLED_BY_CUSTOMER if by_owner else Reason.CANCELLED_BY_ADMIN
    ended = changed(booking, status=status, reason=reason, settled_at=now, expires_at=None, release_at=None)
    released = status is BookingStatus.FAILED
    return Decision(
        Outcome.RELEASED if released else Outcome.CANCELLED, booking=ended, seats=_freed(booking, world)
    )


def _expire(command: Expire, world: World, now: datetime) -> Decision:
    booking = world.bookings.get(command.booking_id)
    if booking is None or booking.release_at is None or booking.release_at > now:
        return Decision(Outcome.UNCHANGED, booking=booking)
    return _lapse(booking, world, Outcome.EXPIRED)


def _lapse(booking: Booking, world: World, outcome: Outcome) -> Decision:
    """Settle a hold past its time, as of that time, and free those of its seats that are locked here.

    A seat that someone else has locked is left to them, or to the next sweep: `release_at` stays until none is left.
    """
    if (booking.status, BookingEvent.EXPIRE) in BOOKING_MOVES:
        booking = lapsed(booking)
    if all((booking.show_id, number) in world.seats for number in booking.seats):
        booking = changed(booking, release_at=None)
    return Decision(outcome, booking=booking, seats=_freed(booking, world))


def _freed(booking: Booking, world: World) -> tuple[tuple[int, Seat], ...]:
    """Those of a booking's seats that are its own, freed."""
    return tuple(
        (number, AVAILABLE)
        for number in booking.seats
        if (seat := world.seats.get((booking.show_id, number))) is not None
        and seat.owner == booking.id
        and (seat.status, SeatEvent.FREE) in SEAT_MOVES
    )


def _set_aside(
    command: Block | Unblock, event: SeatEvent, world: World, sale: Sale, now: datetime
) -> Decision:
    if sale.closed:
        return Decision(Outcome.SHOW_CANCELLED)
    conflicts = []
    changes = []
    for number in command.seats:
        seat = world.seats[command.show_id, number]
        move = _move(seat, event, now)
        if move is None:
            conflicts.append(number)
        elif move is not seat.status:
            changes.append((number, BLOCKED if move is SeatStatus.BLOCKED else AVAILABLE))
    if conflicts:
        refusal = Outcome.SEATS_TAKEN if event is SeatEvent.BLOCK else Outcome.WRONG_STATE
        return Decision(refusal, conflicts=tuple(conflicts))
    return Decision(
        Outcome.BLOCKED if event is SeatEvent.BLOCK else Outcome.UNBLOCKED,
        seats=tuple(changes),
        overtaken=_lapsed_owners(command.show_id, command.seats, world),
    )


def _move(seat: Seat, event: SeatEvent, now: datetime) -> SeatStatus | None:
    """Where `event` takes a seat that is wanted by someone new; None if it may not."""
    status = SEAT_MOVES[seat.status, SeatEvent.FREE] if seat.lapsed(now) else seat.status
    return SEAT_MOVES.get((status, event))


def _lapsed_owners(show_id: int, numbers: tuple[int, ...], world: World) -> frozenset[tuple[int, UUID]]:
    """The bookings that lose a seat here: only a lapsed hold can stand where a seat was taken."""
    return frozenset(
        (show_id, owner) for number in numbers if (owner := world.seats[show_id, number].owner) is not None
    )
