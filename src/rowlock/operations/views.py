"""How shows and bookings look from outside: the shapes of docs/api.md, the same for HTTP and for events.

Times are UTC; money is integer minor units of `currency`.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar
from uuid import UUID

import msgspec

from rowlock.domain.layout_spec import Category
from rowlock.domain.layouts import Layout
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.state import Booking, lapsed

T = TypeVar("T")


class ShowKind(StrEnum):
    """What is sold: seats at a show, or on a trip."""

    SHOW = "show"
    TRIP = "trip"


class ShowStatus(StrEnum):
    """Whether a show will be."""

    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


class ConfirmBy(StrEnum):
    """Who may confirm bookings: their owners too, or only a service, as when a payment must come first."""

    OWNER = "owner"
    SERVICE = "service"


class ShowView(msgspec.Struct, frozen=True):
    """A show or a trip, with how many of its seats are free, held, sold and off sale."""

    id: int
    kind: ShowKind
    name: str
    venue: str | None
    start_time: datetime
    end_time: datetime | None
    time_zone: str | None
    origin: str | None
    destination: str | None
    status: ShowStatus
    total_seats: int
    available_seats: int
    reserved_seats: int
    booked_seats: int
    blocked_seats: int
    currency: str
    categories: list[Category]
    max_seats_per_booking: int
    hold_seconds: int
    confirm_by: ConfirmBy
    on_sale_at: datetime | None
    created_at: datetime


class Step(msgspec.Struct, frozen=True):
    """One status of a booking, and since when."""

    status: BookingStatus
    reason: Reason | None
    at: datetime


class BookRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who wants what. Either `seats` (labels) or `seat_count`, the latter with a category or accessible seats if need be.

    Its encoding is hashed to tell whether an Idempotency-Key came with the same request. Defaults are left out of that,
    so that a field which a later version adds makes no old request look new.
    """

    show_id: int
    user_id: str
    seats: tuple[str, ...] = ()
    seat_count: int = 0
    category: str | None = None
    accessible: bool = False
    confirm: bool = True
    customer_name: str | None = None
    email: str | None = None


class BookingView(msgspec.Struct, frozen=True):
    """Who got which seats, or why not. `conflicts` is there where other people had them."""

    id: UUID
    show_id: int
    user_id: str
    customer_name: str | None
    email: str | None
    status: BookingStatus
    reason: Reason | None
    seats: list[str]
    seat_count: int
    amount_cents: int
    currency: str
    created_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None
    history: list[Step]
    conflicts: list[str] | msgspec.UnsetType = msgspec.UNSET


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Part of a list; `next_cursor` asks for the rest, null at the end."""

    items: list[T]
    next_cursor: str | None


def view_booking(booking: Booking, layout: Layout, currency: str, now: datetime | None = None) -> BookingView:
    """A booking as it is at `now` (database time): a hold past its time has failed, swept or not."""
    if now is not None and booking.overdue(now):
        booking = lapsed(booking)
    return BookingView(  # by position: so many keywords cost five times as much
        booking.id,
        booking.show_id,
        booking.user_id,
        booking.customer_name,
        booking.email,
        booking.status,
        booking.reason,
        layout.labels(booking.seats),
        booking.seat_count,
        booking.amount_cents,
        currency,
        booking.created_at,
        booking.expires_at,
        booking.settled_at,
        _history(booking),
        layout.labels(booking.conflicts) if booking.conflicts else msgspec.UNSET,
    )


def _history(booking: Booking) -> list[Step]:
    steps = []
    if booking.held:
        steps.append(Step(BookingStatus.PENDING, None, booking.created_at))
    if booking.confirmed_at is not None:
        steps.append(Step(BookingStatus.CONFIRMED, None, booking.confirmed_at))
    if booking.reason is not None and booking.settled_at is not None:
        steps.append(Step(booking.status, booking.reason, booking.settled_at))
    return steps
