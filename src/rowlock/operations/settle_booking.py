"""Confirm a hold, or give a booking back."""

from __future__ import annotations

from uuid import UUID

import msgspec

from rowlock.domain.commands import Actor, Cancel, Confirm
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import Booking
from rowlock.domain.trails import Trail
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.find_bookings import read_booking
from rowlock.operations.seats import plan_of
from rowlock.operations.views import BookingView, view_booking


class Settled(msgspec.Struct, frozen=True):
    """What came of it, and the booking as it is now."""

    outcome: Outcome
    booking: BookingView


async def owner_of(context: Context, identifier: UUID) -> Booking:
    """The booking as it stands, for whoever must know whose it is. Raises `NotFound`."""
    booking, _ = await read_booking(context, identifier)
    return booking


async def confirm_booking(
    context: Context, booking: Booking, *, by: Actor, trail: Trail | None = None
) -> Settled:
    """Make a hold firm. `booking` is as read: its seats never change. Raises `NotFound`, `Busy`."""
    return await _settle(context, Confirm(booking.show_id, booking.id, booking.seats, by=by, trail=trail))


async def cancel_booking(
    context: Context, booking: Booking, *, by: Actor, trail: Trail | None = None
) -> Settled:
    """Release a hold, or give booked seats back. Raises `NotFound`, `Busy`."""
    return await _settle(context, Cancel(booking.show_id, booking.id, booking.seats, by=by, trail=trail))


async def _settle(context: Context, command: Confirm | Cancel) -> Settled:
    decision = await context.engine.submit(command)
    if decision.booking is None:
        raise NotFound(f"booking {command.booking_id}")
    plan = await plan_of(context, command.show_id)
    return Settled(decision.outcome, view_booking(decision.booking, *plan))
