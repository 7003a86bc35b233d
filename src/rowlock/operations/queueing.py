"""Queued bookings: what waits, where it waits, and how it looks from outside meanwhile.

A queue takes requests and gives them to a consumer (workers/), in order per show. There are two with one contract: a table
in PostgreSQL (queue_table.py) and RabbitMQ (queue_broker.py). Neither decides anything: a request becomes a booking by the
same command, through the same lanes, as one that is booked at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from rowlock.domain.commands import Actor
from rowlock.domain.trails import Trail
from rowlock.engine.engine import Busy
from rowlock.operations.views import BookRequest

# How often a request that can't be decided is tried. What fails so often by itself will go on failing: a bug, or a value
# that the schema refuses. A database that is away is no failure of the request, and is waited for.
DELIVERIES_MAX = 5
# Requests that one transaction claims, or one consumer has on its hands: a lane's batch.
BATCH_REQUESTS_MAX = 200
PENDING: Literal["PENDING"] = "PENDING"
QUEUED: Literal["queued"] = "queued"


class QueueFull(Busy):
    """Too many requests wait; this one was not taken."""


class QueueDown(Busy):
    """The broker can't be reached, or did not answer."""


class QueuedRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that waits: what was asked for, by whom, and the id that its booking will have.

    `queued_at` is for people; the order is the queue's.
    """

    id: UUID
    request: BookRequest
    request_hash: bytes
    by: Actor
    queued_at: datetime
    trail: Trail | None = None


class DeadLetter(msgspec.Struct, frozen=True):
    """A request that could not be decided. `request` is None where what came can't even be read."""

    where: str
    cause: str
    deliveries: int
    dead_at: datetime | None
    request: QueuedRequest | None


class Depth(msgspec.Struct, frozen=True):
    """How many requests wait, and how many are dead letters."""

    waiting: int
    dead: int


class QueuedStep(msgspec.Struct, frozen=True):
    """That a booking waits, and since when."""

    status: Literal["PENDING"]
    reason: Literal["queued"]
    at: datetime


class QueuedView(msgspec.Struct, frozen=True):
    """A booking that was queued and is not decided. What is null is not known here: then only its id tells of it."""

    id: UUID
    show_id: int
    user_id: str | None
    customer_name: str | None
    email: str | None
    status: Literal["PENDING"]
    reason: Literal["queued"]
    seats: list[str]
    seat_count: int | None
    amount_cents: int | None
    currency: str | None
    created_at: datetime | None
    expires_at: None
    settled_at: None
    history: list[QueuedStep]


class BookingQueue(Protocol):
    """Where requests wait."""

    in_database: bool
    """Whether a request that this does not find does not wait."""

    async def put(self, queued: QueuedRequest) -> QueuedRequest:
        """Take a request; it is safe when this returns. Returns the one that waits under its id: this, or an earlier one.

        Raises `QueueFull`, `QueueDown`, or what the database driver raises.
        """

    async def find(self, identifier: UUID) -> QueuedRequest | None:
        """A request that waits, where the queue can be asked."""

    async def depth(self) -> Depth:
        """How much waits. Raises `QueueDown`, or what the database driver raises."""


def encode(queued: QueuedRequest) -> bytes:
    """A request as it is kept."""
    return msgspec.json.encode(queued)


def decode(body: bytes) -> QueuedRequest:
    """A request as it was kept. Raises `ValueError` for anything else."""
    return msgspec.json.decode(body, type=QueuedRequest)


def view_request(queued: QueuedRequest, currency: str, amount_cents: int | None) -> QueuedView:
    """A request that waits, as a booking."""
    wanted = queued.request
    return QueuedView(
        id=queued.id,
        show_id=wanted.show_id,
        user_id=wanted.user_id,
        customer_name=wanted.customer_name,
        email=wanted.email,
        status=PENDING,
        reason=QUEUED,
        seats=list(wanted.seats),
        seat_count=wanted.seat_count or len(wanted.seats),
        amount_cents=amount_cents,
        currency=currency,
        created_at=queued.queued_at,
        expires_at=None,
        settled_at=None,
        history=[QueuedStep(PENDING, QUEUED, queued.queued_at)],
    )


def view_id(identifier: UUID, show_id: int, user_id: str | None, currency: str | None) -> QueuedView:
    """What a queued booking's id alone tells."""
    return QueuedView(
        id=identifier,
        show_id=show_id,
        user_id=user_id,
        customer_name=None,
        email=None,
        status=PENDING,
        reason=QUEUED,
        seats=[],
        seat_count=None,
        amount_cents=None,
        currency=currency,
        created_at=None,
        expires_at=None,
        settled_at=None,
        history=[],
    )
