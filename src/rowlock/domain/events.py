"""Events: what became of a show and its bookings, in the order in which it was committed.

A show's events are numbered from 1 without a gap. A batch's are kept together, packed; they are spelled out for
readers when they are published (operations/events.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.state import Booking


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


class Event(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One thing that happened: to a booking, which is told as it was then, or to a show.

    `show` is its row with its counts, as they were then. `blocked` and `unblocked` are seats that an update took off
    sale and put back.
    """

    type: EventType
    booking: Booking | None = None
    show: dict[str, Any] | None = None
    blocked: tuple[int, ...] = ()
    unblocked: tuple[int, ...] = ()


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


def unpack(body: bytes) -> tuple[Event, ...]:
    """Events as they were kept. Raises `msgspec.MsgspecError`."""
    return _decoder.decode(body)
