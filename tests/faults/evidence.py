"""What is judged: the history, and what the servers and the database say once everything is quiet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

import msgspec

from rowlock.stampede.records import Booking, Ledger
from tests.faults.history import Answer, Call, Kind, presses

# The database's clock is this machine's; what lies between reading it and ours is less.
CLOCK_SECONDS = 0.05


class Reader(msgspec.Struct):
    """A live reader: what it shows in the end, and what it was told that does not follow from what it had."""

    version: int = -1
    letters: str = ""
    gaps: list[str] = []
    events: int = 0
    connections: int = 0


class Map(msgspec.Struct, frozen=True):
    """A server's seat map."""

    version: int
    letters: str


class Evidence(msgspec.Struct, dict=True):
    """All of it. `clock`: what to take off a time of the database's to have one of the history.

    `told_events`: how many events the show has; `untold`: changes without one; `heard` are their ids as a webhook got them, `consumed` as a consumer of
    RabbitMQ did (None: there was none). `offences` are those of `rowlock verify`. `emptied`: when an operator threw the
    broker's queues away.
    """

    show: int
    hold_seconds: float
    clock: float
    ended: float
    calls: list[Call]
    ledger: Ledger
    in_database: Map
    maps: list[Map]
    readers: list[Reader]
    offences: list[str]
    told_events: int
    untold: int
    heard: list[str]
    consumed: list[str] | None = None
    emptied: float | None = None
    box_office: frozenset[str] = frozenset()

    @cached_property
    def by_id(self) -> dict[str, Booking]:
        """The books, by booking."""
        return {booking.id: booking for booking in self.ledger.bookings}

    @cached_property
    def by_user(self) -> dict[str, list[Booking]]:
        """The books, by user: each wish has one of its own."""
        found: dict[str, list[Booking]] = {}
        for booking in self.ledger.bookings:
            found.setdefault(booking.user_id, []).append(booking)
        return found

    @cached_property
    def presses(self) -> list[list[Call]]:
        """The wishes, each with all requests that were made for it."""
        return list(presses(self.calls))

    @cached_property
    def settling(self) -> dict[str, list[Call]]:
        """The requests to confirm and cancel that may have been done, by booking."""
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            may_be = call.answer in {Answer.DONE, Answer.LOST, Answer.DOUBTFUL}
            if call.kind in {Kind.CONFIRM, Kind.CANCEL} and call.booking and may_be:
                found.setdefault(call.booking, []).append(call)
        return found

    def at(self, time: datetime) -> float:
        """A time of the database's in the history."""
        return time.timestamp() - self.clock

    def held(self) -> Sequence[Booking]:
        """The bookings that began as holds."""
        return [b for b in self.ledger.bookings if b.history and b.history[0].status == "PENDING"]
