"""Book: the way of a request from the door to the engine."""

from __future__ import annotations

import asyncio
import hashlib
from uuid import UUID

import msgspec
from asyncpg.pgproto.pgproto import UUID as DriverUUID  # noqa: N811

from rowlock.domain.commands import Actor, Book
from rowlock.domain.ids import TAIL_BITS, booking_number, keyed_booking_id
from rowlock.domain.layouts import Layout
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import Trail
from rowlock.domain.world import Decision
from rowlock.engine.engine import Answer
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid
from rowlock.operations.seats import plan_of, seat_numbers
from rowlock.operations.views import BookingView, BookRequest, view_booking
from rowlock.randomness import random_bits
from rowlock.seatmap.plans import Plan

__all__ = [
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
    request: BookRequest,
    prepared: Prepared,
    identifier: UUID,
    by: Actor,
    request_hash: bytes | None,
    *,
    trail: Trail | None = None,
) -> Book:
    """The command that a request is."""
    return Book(  # by position: keywords cost twice as much
        request.show_id,
        identifier,
        request.user_id,
        prepared.seats,
        prepared.amount_cents,
        request.confirm,
        request.seat_count,  # wanted_count
        request.category,
        request.accessible,
        by,
        request.customer_name,
        request.email,
        request_hash,
        False,  # queued
        False,  # dropped
        trail,
    )


def begin(
    context: Context,
    request: BookRequest,
    prepared: Prepared,
    answer: Answer,
    *,
    by: Actor,
    idempotency_key: str | None = None,
    trail: Trail | None = None,
) -> None:
    """Hand a request to the engine, which tells `answer` what it comes to. Raises `Busy`."""
    show_id = request.show_id
    if idempotency_key is None:
        # The driver's kind of UUID is made and spelled in C, at a tenth of the cost.
        identifier: UUID = DriverUUID(booking_number(show_id, random_bits(TAIL_BITS)).to_bytes(16))
        request_hash = None
    else:
        identifier = keyed_booking_id(context.ids_secret, show_id, request.user_id, idempotency_key)
        request_hash = hash_of(request, idempotency_key)
    context.engine.submit_for(
        answer, command_of(request, prepared, identifier, by, request_hash, trail=trail)
    )


def conclude(prepared: Prepared, decision: Decision, *, keyed: bool) -> Booked:
    """What came of a request, now that it was decided. `keyed`: it had an Idempotency-Key."""
    booking, layout = decision.booking, prepared.layout
    conflicts = decision.conflicts if booking is None else booking.conflicts
    return Booked(
        outcome=decision.outcome,
        booking=None if booking is None else view_booking(booking, layout, prepared.currency),
        conflicts=layout.labels(conflicts) if conflicts else [],
        replayed=decision.replayed and keyed,
    )


async def book(
    context: Context,
    request: BookRequest,
    *,
    by: Actor,
    idempotency_key: str | None = None,
    trail: Trail | None = None,
) -> Booked:
    """Book. Raises `NotFound` for a show or seat that isn't there, `Invalid`, `Busy` or `OutcomeUnknown`."""
    prepared = await prepare(context, request)
    answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
    begin(context, request, prepared, answer, by=by, idempotency_key=idempotency_key, trail=trail)
    return conclude(prepared, await answer, keyed=idempotency_key is not None)
