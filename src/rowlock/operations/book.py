"""Book: the way of a request from the door to the engine."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from rowlock.domain.commands import Actor, Book
from rowlock.domain.ids import TAIL_BITS, booking_id, keyed_booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid
from rowlock.operations.seats import plan_of, seat_numbers
from rowlock.operations.views import BookingView, view_booking


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


class Booked(msgspec.Struct, frozen=True):
    """What came of it. `booking` is there whenever an attempt was recorded; `replayed`: under an earlier, equal key."""

    outcome: Outcome
    booking: BookingView | None
    conflicts: list[str]
    replayed: bool


async def book(
    context: Context, request: BookRequest, *, by: Actor, idempotency_key: str | None = None
) -> Booked:
    """Book. Raises `NotFound` for a show or seat that isn't there, `Invalid`, `Busy` or `OutcomeUnknown`."""
    show_id = request.show_id
    layout, currency = await plan_of(context, show_id)
    if request.category is not None and layout.category_no(request.category) is None:
        names = ", ".join(category.name for category in layout.categories)
        raise Invalid("category", f"is not one of this show's: {names}")
    numbers = seat_numbers(layout, request.seats)
    if idempotency_key is None:
        identifier = booking_id(show_id, secrets.randbits(TAIL_BITS))
        request_hash = None
    else:
        identifier = keyed_booking_id(context.ids_secret, show_id, request.user_id, idempotency_key)
        request_hash = hashlib.blake2b(msgspec.msgpack.encode(request), digest_size=16).digest()
    decision = await context.engine.submit(
        Book(
            show_id=show_id,
            booking_id=identifier,
            user_id=request.user_id,
            seats=numbers,
            amount_cents=layout.amount_cents(numbers),
            confirm=request.confirm,
            wanted_count=request.seat_count,
            category=request.category,
            accessible=request.accessible,
            by=by,
            customer_name=request.customer_name,
            email=request.email,
            request_hash=request_hash,
        )
    )
    booking = decision.booking
    return Booked(
        outcome=decision.outcome,
        booking=None if booking is None else view_booking(booking, layout, currency),
        conflicts=layout.labels(decision.conflicts if booking is None else booking.conflicts),
        replayed=decision.replayed and idempotency_key is not None,
    )
