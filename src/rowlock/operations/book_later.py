"""Book later: take a request now, and have it decided in its turn; and read what became of it."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import structlog

from rowlock import telemetry
from rowlock.domain.commands import Actor
from rowlock.domain.decide import first_outcome
from rowlock.domain.ids import NONCE_BITS, keyed_booking_id, queued_booking_id, show_of, was_queued
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import Trail
from rowlock.operations.book import Booked, hash_of, prepare
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.find_bookings import find_booking, read_booking
from rowlock.operations.queue_table import SQL
from rowlock.operations.queueing import QueuedRequest, QueuedView, QueueFull, view_id, view_request
from rowlock.operations.seats import plan_of
from rowlock.operations.views import BookingView, BookRequest, view_booking
from rowlock.postgres.errors import Trouble, diagnose

log = structlog.get_logger(__name__)

# A lookup by the primary key takes a millisecond; a caller waits no longer than this for what may be moot.
EARLIER_SECONDS_MAX = 2.0
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


async def book_later(
    context: Context,
    request: BookRequest,
    *,
    by: Actor,
    idempotency_key: str | None = None,
    trail: Trail | None = None,
) -> QueuedView | Booked:
    """Queue a request, so that it is safe; or answer with what an earlier one with the same key came to.

    Raises `NotFound` for a show or seat that isn't there, `Invalid`, and `Busy` where the queue takes nothing.
    """
    prepared = await prepare(context, request)
    show_id = request.show_id
    while True:
        if idempotency_key is None:
            nonce = secrets.randbits(NONCE_BITS)
            identifier = queued_booking_id(context.ids_secret, show_id, request.user_id, nonce)
            request_hash = hash_of(request, secrets.token_bytes(16))
        else:
            identifier = keyed_booking_id(context.ids_secret, show_id, request.user_id, idempotency_key)
            request_hash = hash_of(request, idempotency_key)
        earlier = await _earlier(context, identifier, request, request_hash)
        if earlier is not None:
            if idempotency_key is None:
                continue  # by chance a random id was met that is a booking's: take another one
            return earlier
        queued = QueuedRequest(identifier, request, request_hash, by, datetime.now(UTC), trail)
        waiting = await _put(context, queued)
        if waiting.request_hash == request_hash and waiting.request.user_id == request.user_id:
            return view_request(waiting, prepared.currency, prepared.amount_cents if prepared.seats else None)
        if idempotency_key is not None:
            return Booked(Outcome.IDEMPOTENCY_KEY_REUSED, None, [], replayed=False)
        # By chance a random id was met that waits already: take another one.


async def _put(context: Context, queued: QueuedRequest) -> QueuedRequest:
    try:
        waiting = await context.queue.put(queued)
    except QueueFull:
        telemetry.QUEUE_TAKEN.labels("full").inc()
        raise
    except Exception:
        telemetry.QUEUE_TAKEN.labels("down").inc()
        raise
    telemetry.QUEUE_TAKEN.labels("taken").inc()
    return waiting


async def look_up(context: Context, identifier: UUID, reader: str | None) -> BookingView | QueuedView:
    """A booking, decided or queued, for the user `reader`; for staff where that is None. Raises `NotFound`.

    A queued one whose row isn't written, or can't be asked for, is known by its id alone.
    """
    queued_here = was_queued(context.ids_secret, identifier, reader)
    try:
        try:
            return _for(reader, await find_booking(context, identifier))
        except NotFound:
            if not was_queued(context.ids_secret, identifier, None):
                raise
        waiting = await context.queue.find(identifier)
        if waiting is not None:
            return _for(reader, await view_waiting(context, waiting))
        show_id = show_of(identifier)
        assert show_id is not None
        if queued_here and not context.queue.in_database:
            # Pruned first: a request that is decided only now was never pruned.
            pruned = await context.pool.fetchval(SQL.was_pruned, show_id, identifier)
            if not pruned:
                plan = await plan_of(context, show_id)
                return view_id(identifier, show_id, reader, plan.currency)
        return _for(
            reader, await find_booking(context, identifier)
        )  # decided since we first looked, if at all
    except DATABASE_ERRORS as error:
        if diagnose(error) is Trouble.OURS or not queued_here:
            raise
        log.warning("queued_booking_read_by_id", error=repr(error))
        show_id = show_of(identifier)
        assert show_id is not None
        known = context.plans.known(show_id)
        return view_id(identifier, show_id, reader, known.currency if known else None)


async def view_waiting(context: Context, waiting: QueuedRequest) -> QueuedView:
    """A request that waits, as a booking."""
    prepared = await prepare(context, waiting.request)
    return view_request(waiting, prepared.currency, prepared.amount_cents if prepared.seats else None)


async def _earlier(
    context: Context, identifier: UUID, request: BookRequest, request_hash: bytes
) -> Booked | None:
    """What an earlier request of this id came to, if it is decided."""
    # With a broker, a database that hangs must not keep the queue from taking requests.
    seconds = None if context.queue.in_database else EARLIER_SECONDS_MAX
    try:
        async with asyncio.timeout(seconds):
            booking, now = await read_booking(context, identifier)
    except NotFound:
        return None
    except DATABASE_ERRORS as error:
        if context.queue.in_database or diagnose(error) is Trouble.OURS:
            raise
        return None  # the consumer will find it: the id is the same
    if booking.request_hash != request_hash or booking.user_id != request.user_id:
        return Booked(Outcome.IDEMPOTENCY_KEY_REUSED, None, [], replayed=False)
    layout, currency = await plan_of(context, request.show_id)
    view = view_booking(booking, layout, currency, now)
    return Booked(first_outcome(booking), view, layout.labels(booking.conflicts), replayed=True)


def _for(reader: str | None, view: BookingView | QueuedView) -> BookingView | QueuedView:
    """The booking, if it is the reader's. To others it isn't there, so that ids tell nothing."""
    if reader is not None and view.user_id != reader:
        raise NotFound(f"booking {view.id}")
    return view
