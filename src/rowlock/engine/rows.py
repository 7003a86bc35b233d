"""Rows to values and back: the shapes of `postgres/sql/batch.sql`.

Rows are written as columns, an array for each. The driver looks at every element of an array to see whether it is an
array itself, at half a microsecond each; a batch has thousands. So numbers, ids and states travel as the text of an array,
which PostgreSQL reads as fast as anything; texts that people have chosen stay what they are, and nobody has to quote them
but who has the time (`quoted`: straight bookings do it while they wait).
PostgreSQL can't unnest arrays of arrays of different lengths either, so a booking's seats are text within that text.
Columns without a value are left empty: `unnest` fills up with nulls what is shorter than the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from rowlock.domain.commands import Block, Cancel, CloseSale, Command, Confirm, Unblock
from rowlock.domain.lifecycles import BookingStatus, Reason, SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import AVAILABLE, BLOCKED, Booking, Sale, Seat
from rowlock.domain.trails import Trail, packed
from rowlock.domain.world import SeatKey

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


def numbers(column: Iterable[int]) -> str:
    """Numbers, as the text of an array."""
    return "{" + ",".join(map(str, column)) + "}"


def words(column: Iterable[str]) -> str:
    """States, or what else is made of letters and digits alone, or quoted, as the text of an array."""
    return "{" + ",".join(column) + "}"


def quoted(text: str) -> str:
    """A text that somebody chose, as an element of `words`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def ids(column: Iterable[UUID | None]) -> str:
    """Ids, as the text of an array."""
    return "{" + ",".join(["NULL" if each is None else f"{each.int:032x}" for each in column]) + "}"


def flags(column: Iterable[bool]) -> str:
    """Truth values, as the text of an array."""
    return "{" + ",".join(["t" if each else "f" for each in column]) + "}"


def lists(column: Iterable[Sequence[int]]) -> str:
    """Lists of numbers, each as text, as the text of an array."""
    return "{" + ",".join(['"{' + ",".join(map(str, each)) + '}"' for each in column]) + "}"


def sparse(column: Sequence[Any]) -> Sequence[Any]:
    """A column; empty, if nothing is in it."""
    return () if column.count(None) == len(column) else column


def booking_columns(bookings: Sequence[Booking], now: datetime | None) -> list[Any]:
    """New bookings, as the columns $1 to $13 of the write, and `now`, when they were made, as $14.

    A booking is written as it was made: nobody can change it before, because nobody is told of it. So its times follow
    from its status.
    """
    assert all(
        b.created_at == now and b.release_at == b.expires_at and b.held is (b.status is BookingStatus.PENDING)
        for b in bookings
    ), "made in this batch"
    return [
        numbers([b.show_id for b in bookings]),
        ids([b.id for b in bookings]),
        [b.user_id for b in bookings],
        sparse([b.customer_name for b in bookings]),
        sparse([b.email for b in bookings]),
        words([b.status for b in bookings]),
        sparse([b.reason for b in bookings]),
        lists([b.seats for b in bookings]),
        sparse([numbers(b.conflicts) if b.conflicts else None for b in bookings]),
        numbers([b.seat_count for b in bookings]),
        numbers([b.amount_cents for b in bookings]),
        sparse([b.request_hash for b in bookings]),
        sparse([b.expires_at for b in bookings]),
        now,
    ]


def seat_columns(seats: Mapping[SeatKey, Seat]) -> list[Any]:
    """Changed seats, as the columns $24 to $28 of the write."""
    return [
        numbers([key[0] for key in seats]),
        numbers([key[1] for key in seats]),
        words([seat.status for seat in seats.values()]),
        ids([seat.owner for seat in seats.values()]),
        sparse([seat.held_until for seat in seats.values()]),
    ]


def change_columns(bookings: Sequence[Booking]) -> list[list[Any]]:
    """Changed bookings, as the columns $15 to $21 of the write. A change always ends the hold: no expiry is left."""
    return [
        [b.show_id for b in bookings],
        [b.id for b in bookings],
        [b.status.value for b in bookings],
        [b.reason and b.reason.value for b in bookings],
        [b.confirmed_at for b in bookings],
        [b.settled_at for b in bookings],
        [b.release_at for b in bookings],
    ]


def trail_column(bookings: Sequence[Booking], trails: Mapping[UUID, Trail]) -> Sequence[str | None]:
    """Who asked for new bookings, as the column $38 of the write."""
    return sparse([packed(trail) if (trail := trails.get(b.id)) else None for b in bookings])


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
