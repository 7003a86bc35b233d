"""Replaying a show's events: what became of its seats, as whoever reads all events from the first one would know it.

Used by `rowlock verify`, which compares that with the seats. It is as simple as a reader's own program may be: seats
come to a booking by `held` and `confirmed`, and are free again by `failed`, `cancelled` and `expired`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID

from rowlock.domain.events import Event, EventType
from rowlock.domain.lifecycles import SeatStatus

_TAKES = {EventType.BOOKING_HELD: SeatStatus.RESERVED, EventType.BOOKING_CONFIRMED: SeatStatus.BOOKED}


class Contradiction(NamedTuple):
    """An event that does not go with those before it."""

    seat_no: int
    booking_id: UUID | None
    what: str


class Replay:
    """The seats of a show that are not free, by number: their status and whose they are."""

    def __init__(self) -> None:
        self.seats: dict[int, tuple[SeatStatus, UUID | None]] = {}

    def apply(self, events: Iterable[Event]) -> list[Contradiction]:
        """Go on with events, in their order."""
        contradictions = []
        for event in events:
            for number in event.blocked:
                if number in self.seats:
                    contradictions.append(
                        Contradiction(number, None, "is taken off sale while somebody has it")
                    )
                self.seats[number] = (SeatStatus.BLOCKED, None)
            for number in event.unblocked:
                self.seats.pop(number, None)
            booking = event.booking
            if booking is None:
                continue
            status = _TAKES.get(event.type)
            for number in booking.seats:
                _, owner = before = self.seats.get(number, (SeatStatus.AVAILABLE, None))
                if status is None:
                    if owner == booking.id:
                        del self.seats[number]
                    continue
                if before[0] is not SeatStatus.AVAILABLE and owner != booking.id:
                    contradictions.append(
                        Contradiction(number, booking.id, f"is given to it while {owner} has it")
                    )
                self.seats[number] = (status, booking.id)
        return contradictions
