"""Book: the way of a request from the door to the engine."""

from __future__ import annotations

import asyncio
import hashlib
from typing import NamedTuple
from uuid import UUID

import msgspec

from rowlock.domain.commands import Actor, Book
from rowlock.domain.ids import TAIL_BITS, booking_id, keyed_booking_id
from rowlock.domain.layouts import Layout
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid
from rowlock.operations.seats import plan_of, seat_numbers
from rowlock.operations.views import BookingView, BookRequest, view_booking
from rowlock.randomness import random_bits
from rowlock.seatmap.plans import Plan

__all__ = [
    "Begun",
    "BookRequest",
    "Booked",
    "Prepared",
    "begin",
    "book",
    "command_of",
    "conclude",
    "hash_of",
    "prepare",
    "prepare_by",
]


class Booked(msgspec.Struct, frozen=True):
    """What came of it. `booking` is there whenever an attempt was recorded; `replayed`: under an earlier, equal key."""

    outcome: Outcome
    booking: BookingView | None
    conflicts: list[str]
    replayed: bool


class Prepared(msgspec.Struct, frozen=True):
    """A request that is in order, as far as the show's plan tells."""

    seats: tuple[int, ...]
    layout: Layout
    currency: str

    @property
    def amount_cents(self) -> int:
        """The price of the seats that are named."""
        return self.layout.amount_cents(self.seats)


class Begun(NamedTuple):
    """A request that the engine has, and what it takes to say what came of it."""

    answer: asyncio.Future[Decision]
    prepared: Prepared
    keyed: bool


async def prepare(context: Context, request: BookRequest) -> Prepared:
    """Check a request against the show's plan. Raises `NotFound` for a show or seat that isn't there, or `Invalid`."""
    return prepare_by(await plan_of(context, request.show_id), request)


def prepare_by(plan: Plan, request: BookRequest) -> Prepared:
    """The same, with the plan at hand."""
    layout, currency = plan
    if request.category is not None and layout.category_no(request.category) is None:
        names = ", ".join(category.name for category in layout.categories)
        raise Invalid("category", f"is not one of this show's: {names}")
    return Prepared(seat_numbers(layout, request.seats), layout, currency)


def hash_of(request: BookRequest, key: str | bytes) -> bytes:
    """What tells a request from another one with the same id.

    `key` is its Idempotency-Key, or bytes of its own: two requests that meet in one id by chance (domain/ids.py) must
    not be taken for one, however alike they are.
    """
    return hashlib.blake2b(msgspec.msgpack.encode((key, request)), digest_size=16).digest()


def command_of(
    request: BookRequest, prepared: Prepared, identifier: UUID, by: Actor, request_hash: bytes | None
) -> Book:
    """The command that a request is."""
    return Book(
        show_id=request.show_id,
        booking_id=identifier,
        user_id=request.user_id,
        seats=prepared.seats,
        amount_cents=prepared.amount_cents,
        confirm=request.confirm,
        wanted_count=request.seat_count,
        category=request.category,
        accessible=request.accessible,
        by=by,
        customer_name=request.customer_name,
        email=request.email,
        request_hash=request_hash,
    )


def begin(
    context: Context,
    request: BookRequest,
    prepared: Prepared,
    *,
    by: Actor,
    idempotency_key: str | None = None,
) -> Begun:
    """Hand a request to the engine. Raises `Busy`."""
    show_id = request.show_id
    if idempotency_key is None:
        identifier = booking_id(show_id, random_bits(TAIL_BITS))
        request_hash = None
    else:
        identifier = keyed_booking_id(context.ids_secret, show_id, request.user_id, idempotency_key)
        request_hash = hash_of(request, idempotency_key)
    answer = context.engine.submit(command_of(request, prepared, identifier, by, request_hash))
    return Begun(answer, prepared, idempotency_key is not None)


def conclude(begun: Begun, decision: Decision) -> Booked:
    """What came of it, now that it was decided."""
    booking, layout = decision.booking, begun.prepared.layout
    return Booked(
        outcome=decision.outcome,
        booking=None if booking is None else view_booking(booking, layout, begun.prepared.currency),
        conflicts=layout.labels(decision.conflicts if booking is None else booking.conflicts),
        replayed=decision.replayed and begun.keyed,
    )


async def book(
    context: Context, request: BookRequest, *, by: Actor, idempotency_key: str | None = None
) -> Booked:
    """Book. Raises `NotFound` for a show or seat that isn't there, `Invalid`, `Busy` or `OutcomeUnknown`."""
    prepared = await prepare(context, request)
    begun = begin(context, request, prepared, by=by, idempotency_key=idempotency_key)
    return conclude(begun, await begun.answer)
