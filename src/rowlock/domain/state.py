"""The state that a decision is made on: seats, sales and bookings, as they stand under the locks.

Times are UTC datetimes of the database's clock. Money is integer minor units.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from rowlock.domain.lifecycles import BookingStatus, Reason, SeatStatus


class Seat(msgspec.Struct, frozen=True, gc=False):
    """One seat of a show: `owner` is the booking that has it, `held_until` when a hold on it lapses."""

    status: SeatStatus
    owner: UUID | None = None
    held_until: datetime | None = None

    def lapsed(self, now: datetime) -> bool:
        """Whether it is held, but past its time: anyone may take it."""
        return self.held_until is not None and self.held_until <= now


AVAILABLE = Seat(SeatStatus.AVAILABLE)
BLOCKED = Seat(SeatStatus.BLOCKED)


class Sale(msgspec.Struct, frozen=True, gc=False):
    """The terms of a show's sale and its counts: its inventory row."""

    show_id: int
    closed: bool
    on_sale_at: datetime | None
    max_seats: int
    hold_seconds: int
    confirm_by_service: bool
    available: int
    reserved: int
    version: int
    told_events: int = 0  # how many events of it were told


class Booking(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A booking, row for row. Events are packed with it, field by field: new fields go last, and have a default.

    `settled_at` is when it reached its present status (None while PENDING). `release_at` stays set until the last
    of its held seats has been freed; the sweeper goes by it. `held` tells that it began as PENDING.
    `request_hash` is set where an Idempotency-Key was given: the hash of what was asked.
    """

    id: UUID
    show_id: int
    user_id: str
    customer_name: str | None
    email: str | None
    status: BookingStatus
    reason: Reason | None
    seats: tuple[int, ...]
    conflicts: tuple[int, ...]
    seat_count: int
    amount_cents: int
    held: bool
    request_hash: bytes | None
    created_at: datetime
    expires_at: datetime | None
    confirmed_at: datetime | None
    settled_at: datetime | None
    release_at: datetime | None

    def overdue(self, now: datetime) -> bool:
        """Whether it is a hold past its time."""
        return self.expires_at is not None and self.expires_at <= now


def lapsed(booking: Booking) -> Booking:
    """What becomes of a hold past its time, as of that time; its seats are another matter."""
    return changed(
        booking,
        status=BookingStatus.FAILED,
        reason=Reason.HOLD_EXPIRED,
        settled_at=booking.expires_at,
        expires_at=None,
    )


def changed(booking: Booking, **fields: Any) -> Booking:
    """The booking with some fields changed."""
    return msgspec.structs.replace(booking, **fields)
