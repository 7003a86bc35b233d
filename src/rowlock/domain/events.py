"""Events: what became of a show and its bookings, in the order in which it was committed.

A show's events are numbered from 1 without a gap. A batch's are kept together, packed; they are spelled out for
readers when they are published (operations/events.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from rowlock.domain.commands import Book
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.state import Booking, changed


class EventType(StrEnum):
    """What can be told."""

    BOOKING_HELD = "booking.held"
    BOOKING_CONFIRMED = "booking.confirmed"
    BOOKING_FAILED = "booking.failed"
    BOOKING_CANCELLED = "booking.cancelled"
    BOOKING_EXPIRED = "booking.expired"
    SHOW_CREATED = "show.created"
    SHOW_UPDATED = "show.updated"
    SHOW_CANCELLED = "show.cancelled"
    SHOW_SOLD_OUT = "show.sold_out"


# In place of the time of a booking that is not known yet, when it is packed: it is its row's in the outbox.
UNDATED = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)  # and no import's idea of no date


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One thing that happened: to a booking, which is told as it was then, or to a show.

    `show` is its row with its counts, as they were then. `blocked` and `unblocked` are seats that an update took off
    sale and put back. `conflicts` stand only in what is packed: see `pack_attempt`.
    """

    type: EventType
    booking: Booking | None = None
    show: dict[str, Any] | None = None
    blocked: tuple[int, ...] = ()
    unblocked: tuple[int, ...] = ()
    conflicts: tuple[int, ...] = ()


_BY_STATUS = {
    BookingStatus.PENDING: EventType.BOOKING_HELD,
    BookingStatus.CONFIRMED: EventType.BOOKING_CONFIRMED,
    BookingStatus.FAILED: EventType.BOOKING_FAILED,
    BookingStatus.CANCELLED: EventType.BOOKING_CANCELLED,
}


def event_of(booking: Booking) -> Event:
    """The event that a booking has come to the status that it has."""
    if booking.reason is Reason.HOLD_EXPIRED:
        return Event(EventType.BOOKING_EXPIRED, booking)
    return Event(_BY_STATUS[booking.status], booking)


# Packed, an event of a booking takes some 130 bytes; as JSON it would be twice that, in every batch.
_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(tuple[Event, ...])


def pack(events: Sequence[Event]) -> bytes:
    """Events as they are kept."""
    return _encoder.encode(events)


def pack_attempt(command: Book) -> bytes:
    """A booking at once, undated and as if it had its seats, for PostgreSQL to make the event of it that it came to.

    What comes before it and after it is written in postgres/sql/straight.sql: an event of a booking that is confirmed, or
    of one that failed, with the seats that stood in the way. `unpack` sets the booking right, and dates it.
    """
    seats = command.seats
    return _encoder.encode(
        (  # the fields of a Booking, without making one
            command.booking_id,
            command.show_id,
            command.user_id,
            command.customer_name,
            command.email,
            BookingStatus.CONFIRMED,
            None,
            seats,
            (),
            len(seats),
            command.amount_cents,
            False,
            command.request_hash,
            UNDATED,
            None,
            UNDATED,
            UNDATED,
            None,
        )
    )


# What stands before an attempt that came to a booking; and before and after one that did not, but for what was taken.
CONFIRMED_BEFORE = b"\x92" + _encoder.encode(EventType.BOOKING_CONFIRMED)
_REFUSED_BEFORE = b"\x96" + _encoder.encode(EventType.BOOKING_FAILED)
_REFUSED_AFTER = _encoder.encode(None) + 2 * _encoder.encode(())


def pack_refused(body: bytes, conflicts: Sequence[int]) -> bytes:
    """The event of an attempt that came to nothing, as it was packed; `conflicts`: its seats that were taken."""
    return _REFUSED_BEFORE + body + _REFUSED_AFTER + _encoder.encode(conflicts)


def unpack(body: bytes, at: datetime) -> tuple[Event, ...]:
    """Events as they were kept; `at` is when they were. Raises `msgspec.MsgspecError`."""
    return tuple(_whole(event, at) for event in _decoder.decode(body))


def _whole(event: Event, at: datetime) -> Event:
    booking = event.booking
    if booking is None or booking.created_at != UNDATED:
        return event
    if not event.conflicts:
        made = changed(booking, created_at=at, confirmed_at=at, settled_at=at)
        return msgspec.structs.replace(event, booking=made)
    refused = changed(
        booking,
        status=BookingStatus.FAILED,
        reason=Reason.SEATS_TAKEN,
        conflicts=event.conflicts,
        created_at=at,
        confirmed_at=None,
        settled_at=at,
    )
    return msgspec.structs.replace(event, booking=refused, conflicts=())
