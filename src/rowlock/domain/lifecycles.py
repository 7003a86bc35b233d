"""What may become of a seat, and of a booking: two tables, and nothing beside them.

A missing cell is an illegal move. `docs/concurrency.md` shows both tables as diagrams drawn from here, and a test
walks every cell, legal and illegal, against PostgreSQL.
"""

from __future__ import annotations

from enum import StrEnum


class SeatStatus(StrEnum):
    """A seat's status; the value is the letter that the database and `/availability` use."""

    AVAILABLE = "A"
    RESERVED = "R"
    BOOKED = "B"
    BLOCKED = "X"


class SeatEvent(StrEnum):
    """What can happen to a seat."""

    HOLD = "hold"
    BOOK = "book"
    CONFIRM = "confirm"
    FREE = "free"
    BLOCK = "block"
    UNBLOCK = "unblock"


# A RESERVED seat whose hold has lapsed is FREEd first, by whoever wants it; then the event meets AVAILABLE.
SEAT_MOVES: dict[tuple[SeatStatus, SeatEvent], SeatStatus] = {
    (SeatStatus.AVAILABLE, SeatEvent.HOLD): SeatStatus.RESERVED,
    (SeatStatus.AVAILABLE, SeatEvent.BOOK): SeatStatus.BOOKED,
    (SeatStatus.AVAILABLE, SeatEvent.BLOCK): SeatStatus.BLOCKED,
    (SeatStatus.AVAILABLE, SeatEvent.UNBLOCK): SeatStatus.AVAILABLE,  # already on sale: nothing to do
    (SeatStatus.RESERVED, SeatEvent.CONFIRM): SeatStatus.BOOKED,
    (SeatStatus.RESERVED, SeatEvent.FREE): SeatStatus.AVAILABLE,
    (SeatStatus.BOOKED, SeatEvent.FREE): SeatStatus.AVAILABLE,
    (SeatStatus.BLOCKED, SeatEvent.BLOCK): SeatStatus.BLOCKED,  # already off sale: nothing to do
    (SeatStatus.BLOCKED, SeatEvent.UNBLOCK): SeatStatus.AVAILABLE,
}


class BookingStatus(StrEnum):
    """A booking's status, as the API says it."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class BookingEvent(StrEnum):
    """What can happen to a booking."""

    HOLD = "hold"
    CONFIRM = "confirm"
    REFUSE = "refuse"
    EXPIRE = "expire"
    CANCEL = "cancel"


# None: the booking does not exist yet.
BOOKING_MOVES: dict[tuple[BookingStatus | None, BookingEvent], BookingStatus] = {
    (None, BookingEvent.HOLD): BookingStatus.PENDING,
    (None, BookingEvent.CONFIRM): BookingStatus.CONFIRMED,
    (None, BookingEvent.REFUSE): BookingStatus.FAILED,
    (BookingStatus.PENDING, BookingEvent.CONFIRM): BookingStatus.CONFIRMED,
    (BookingStatus.PENDING, BookingEvent.EXPIRE): BookingStatus.FAILED,
    (BookingStatus.PENDING, BookingEvent.CANCEL): BookingStatus.FAILED,
    (BookingStatus.CONFIRMED, BookingEvent.CONFIRM): BookingStatus.CONFIRMED,  # asked again: the same answer
    (BookingStatus.CONFIRMED, BookingEvent.CANCEL): BookingStatus.CANCELLED,
}


class Reason(StrEnum):
    """Why a booking FAILED or was CANCELLED."""

    SEATS_TAKEN = "seats_taken"
    NOT_ENOUGH_SEATS = "not_enough_seats"
    HOLD_EXPIRED = "hold_expired"
    RELEASED = "released"
    CANCELLED_BY_CUSTOMER = "cancelled_by_customer"
    CANCELLED_BY_ADMIN = "cancelled_by_admin"
    SHOW_CANCELLED = "show_cancelled"
    # Of queued requests only: whoever waits for the answer is told, and no row is kept.
    NOT_ON_SALE = "not_on_sale"
    FORBIDDEN = "forbidden"
    TOO_MANY_SEATS = "too_many_seats"
    TOO_MANY_HOLDS = "too_many_holds"
    DROPPED = "dropped"
