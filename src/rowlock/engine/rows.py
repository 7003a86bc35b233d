"""Rows to values and back: the shapes of `postgres/sql/batch.sql`.

Booking rows are written as columns, an array for each. PostgreSQL can't unnest arrays of different lengths, so a
booking's seats travel as the text of an array literal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rowlock.domain.commands import Block, Cancel, CloseSale, Command, Confirm, Unblock
from rowlock.domain.lifecycles import BookingStatus, Reason, SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import AVAILABLE, BLOCKED, Booking, Sale, Seat
from rowlock.domain.trails import Trail, packed

Row = Mapping[str, Any]
_STATUS = {status.value.encode(): status for status in SeatStatus}
_SHARED = {SeatStatus.AVAILABLE: AVAILABLE, SeatStatus.BLOCKED: BLOCKED}


def seat_from_row(row: Row) -> Seat:
    """A seat as the lock statements return it."""
    status = _STATUS[row["status"]]
    return _SHARED.get(status) or Seat(status, row["booking_id"], row["held_until"])


def sale_from_row(row: Row, default_hold_seconds: int) -> Sale:
    """A sale as the lock statement returns it."""
    return Sale(
        show_id=row["show_id"],
        closed=row["closed"],
        on_sale_at=row["on_sale_at"],
        max_seats=row["max_seats"],
        hold_seconds=row["hold_seconds"] or default_hold_seconds,
        confirm_by_service=row["confirm_by_service"],
        available=row["available"],
        reserved=row["reserved"],
        version=row["version"],
        told_events=row["told_events"],
    )


def booking_from_row(row: Row) -> Booking:
    """A booking as `read_bookings` and the reading queries return it."""
    return Booking(
        id=row["id"],
        show_id=row["show_id"],
        user_id=row["user_id"],
        customer_name=row["customer_name"],
        email=row["email"],
        status=BookingStatus(row["status"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        seats=tuple(row["seats"]),
        conflicts=tuple(row["conflicts"] or ()),
        seat_count=row["seat_count"],
        amount_cents=row["amount_cents"],
        held=row["held"],
        request_hash=row["request_hash"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        settled_at=row["settled_at"],
        release_at=row["release_at"],
    )


def _array(numbers: tuple[int, ...]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"


def booking_columns(bookings: Sequence[Booking]) -> list[list[Any]]:
    """New bookings, as the columns $1 to $18 of the write."""
    return [
        [b.show_id for b in bookings],
        [b.id for b in bookings],
        [b.user_id for b in bookings],
        [b.customer_name for b in bookings],
        [b.email for b in bookings],
        [b.status.value for b in bookings],
        [b.reason and b.reason.value for b in bookings],
        [_array(b.seats) for b in bookings],
        [_array(b.conflicts) if b.conflicts else None for b in bookings],
        [b.seat_count for b in bookings],
        [b.amount_cents for b in bookings],
        [b.held for b in bookings],
        [b.request_hash for b in bookings],
        [b.created_at for b in bookings],
        [b.expires_at for b in bookings],
        [b.confirmed_at for b in bookings],
        [b.settled_at for b in bookings],
        [b.release_at for b in bookings],
    ]


def change_columns(bookings: Sequence[Booking]) -> list[list[Any]]:
    """Changed bookings, as the columns $19 to $25 of the write. A change always ends the hold: no expiry is left."""
    return [
        [b.show_id for b in bookings],
        [b.id for b in bookings],
        [b.status.value for b in bookings],
        [b.reason and b.reason.value for b in bookings],
        [b.confirmed_at for b in bookings],
        [b.settled_at for b in bookings],
        [b.release_at for b in bookings],
    ]


def trail_column(bookings: Sequence[Booking], trails: Mapping[UUID, Trail]) -> list[str | None]:
    """Who asked for new bookings, as the column $42 of the write."""
    return [packed(trail) if (trail := trails.get(b.id)) else None for b in bookings]


_ACTIONS: dict[type, str] = {
    Confirm: "booking.confirm",
    Cancel: "booking.cancel",
    Block: "seats.block",
    Unblock: "seats.unblock",
    CloseSale: "show.cancel",
}


def audit_columns(audited: Sequence[tuple[Command, Outcome, Trail]]) -> list[list[Any]]:
    """What was done and at whose wish, as the columns $1 to $9 of the audit."""
    return [
        [command.show_id for command, _, _ in audited],
        [trail.user_id for _, _, trail in audited],
        [trail.role for _, _, trail in audited],
        [trail.address for _, _, trail in audited],
        [trail.request_id for _, _, trail in audited],
        [_ACTIONS[type(command)] for command, _, _ in audited],
        [
            str(command.booking_id) if isinstance(command, Confirm | Cancel) else f"show {command.show_id}"
            for command, _, _ in audited
        ],
        [outcome.value for _, outcome, _ in audited],
        [trail.detail for _, _, trail in audited],
    ]
