"""Commands: every change to a seat that anyone can ask for, as a frozen value."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from rowlock.domain.trails import Trail


class Actor(StrEnum):
    """On whose behalf a booking is confirmed or cancelled."""

    OWNER = "owner"
    STAFF = "staff"
    SHOW = "show"  # the show itself was cancelled


class Book(msgspec.Struct, frozen=True, gc=False):
    """Take seats for a user: all or nothing.

    Either the seats are named, or `wanted_count` is above 0 and the engine picks them (then `seats` is its pick, or
    empty where it found none). `amount_cents` is the price of `seats`. `confirm`: at once, or hold.
    `request_hash` is set where the id may have been decided before: it comes from an Idempotency-Key, or from a queue.
    `queued`: nobody waits for the answer, so that whatever it comes to must stand in a row; and it comes after those of
    its show that were queued before it. `dropped`: it was given up, and only that is to be written.
    `trail`, here as in the others: who asked, for the audit trail; None where nobody did.
    """

    show_id: int
    booking_id: UUID
    user_id: str
    seats: tuple[int, ...]
    amount_cents: int
    confirm: bool = True
    wanted_count: int = 0
    category: str | None = None
    accessible: bool = False
    by: Actor = Actor.OWNER
    customer_name: str | None = None
    email: str | None = None
    request_hash: bytes | None = None
    queued: bool = False
    dropped: bool = False
    trail: Trail | None = None

    @property
    def seat_count(self) -> int:
        """How many seats are asked for."""
        return self.wanted_count or len(self.seats)


class Confirm(msgspec.Struct, frozen=True, gc=False):
    """Make a hold firm. `seats` are the booking's own, which never change."""

    show_id: int
    booking_id: UUID
    seats: tuple[int, ...]
    by: Actor = Actor.OWNER
    trail: Trail | None = None


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Release a hold, or give booked seats back.

    `earlier_attempts`: times at which this very command may have been decided before, in a transaction whose answer
    was lost; a booking settled at just such a time was settled by it.
    """

    show_id: int
    booking_id: UUID
    seats: tuple[int, ...]
    by: Actor = Actor.OWNER
    earlier_attempts: tuple[datetime, ...] = ()
    trail: Trail | None = None


class Expire(msgspec.Struct, frozen=True, gc=False):
    """Tidy up a hold past its time: settle it, and free what it still holds of its seats."""

    show_id: int
    booking_id: UUID
    seats: tuple[int, ...]


class Block(msgspec.Struct, frozen=True, gc=False):
    """Take seats off sale: all or none."""

    show_id: int
    seats: tuple[int, ...]
    trail: Trail | None = None


class Unblock(msgspec.Struct, frozen=True, gc=False):
    """Put seats back on sale: all or none."""

    show_id: int
    seats: tuple[int, ...]
    trail: Trail | None = None


class CloseSale(msgspec.Struct, frozen=True, gc=False):
    """Cancel a show: from here on nothing more of it is sold or confirmed."""

    show_id: int
    seats: tuple[int, ...] = ()
    trail: Trail | None = None


def in_line(command: object) -> bool:
    """Whether a command comes after those of its show that were queued before it."""
    return isinstance(command, Book) and command.queued


Command = Book | Confirm | Cancel | Expire | Block | Unblock | CloseSale
