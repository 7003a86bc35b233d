"""The world of a batch: what it holds locked, and what its commands have changed in it so far.

`World.apply` is the only thing that changes it, and keeps the invariants that PostgreSQL checks again at the write:
a show's counts move with its seats, and its version rises by one in a batch that changed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from rowlock.domain.commands import Book, Command, Expire
from rowlock.domain.events import Event, EventType, event_of
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.lifecycles import BookingStatus, SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import Booking, Sale, Seat, lapsed
from rowlock.domain.trails import Trail

SeatKey = tuple[int, int]  # (show id, seat number)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What a command came to, and what changes by it.

    `booking` is the booking as it now is (new, changed, or as found). `seats` are the seats that change, by number.
    `overtaken` are bookings whose lapsed holds lost a seat here. `replayed`: the answer was given before.
    """

    outcome: Outcome
    booking: Booking | None = None
    conflicts: tuple[int, ...] = ()
    seats: tuple[tuple[int, Seat], ...] = ()
    overtaken: frozenset[tuple[int, UUID]] = frozenset()
    close_sale: bool = False
    replayed: bool = False


class World:
    """State under lock, with the changes so far.

    `events` are what is to be told of the changes, in order, each with its show; a booking's id stands for the end of
    a hold that was overtaken and whose row was not read.
    `left` tells, for shows where that was counted under the lock of the inventory row, how many seats are free to a
    count request (by show, category, accessible): the proof of "not enough seats".
    `fair_play` bounds customers' holds, given the ones they made of the show before, in `holds`.
    `trails` are who asked for new bookings; `audited` is what else was done, at whose wish.
    """

    __slots__ = (
        "audited",
        "bookings",
        "changed_bookings",
        "changed_seats",
        "closed",
        "count_changes",
        "events",
        "fair_play",
        "holds",
        "left",
        "new_bookings",
        "overtaken",
        "sales",
        "seats",
        "trails",
    )

    def __init__(
        self,
        seats: dict[SeatKey, Seat],
        sales: Mapping[int, Sale],
        bookings: dict[UUID, Booking],
    ) -> None:
        self.seats = seats
        self.sales = dict(sales)
        self.bookings = bookings
        self.left: dict[tuple[int, str | None, bool], int] = {}
        self.new_bookings: dict[UUID, Booking] = {}
        self.changed_bookings: dict[UUID, Booking] = {}
        self.changed_seats: dict[SeatKey, Seat] = {}
        self.overtaken: set[tuple[int, UUID]] = set()
        self.count_changes: dict[int, dict[SeatStatus, int]] = {}
        self.closed: set[int] = set()
        self.events: list[tuple[int, Event | UUID]] = []
        self.fair_play: FairPlay | None = None
        self.holds: dict[tuple[int, str], list[UUID]] = {}
        self.trails: dict[UUID, Trail] = {}
        self.audited: list[tuple[Command, Outcome, Trail]] = []

    def holds_of(self, command: Book) -> list[Booking]:
        """The holds that a customer made of a show before, as they are now."""
        known = self.holds.get((command.show_id, command.user_id), ())
        return [self.bookings[identifier] for identifier in known]

    def note(self, command: Command, decision: Decision) -> None:
        """Note who asked for what takes effect."""
        if isinstance(command, Expire) or command.trail is None or decision.replayed:
            return
        if isinstance(command, Book):
            self.trails[command.booking_id] = command.trail
        elif decision.seats or decision.close_sale:
            self.audited.append((command, decision.outcome, command.trail))

    def proved_short(self, sale: Sale, command: Book) -> bool:
        """Whether fewer seats than `command` wants are left for certain, under the lock of the inventory row.

        Free seats are AVAILABLE or lapsed RESERVED ones, so the two counts together bound them from above.
        """
        change = self.count_changes.get(command.show_id, {})
        most = sum(
            (
                sale.available + change.get(SeatStatus.AVAILABLE, 0),
                sale.reserved + change.get(SeatStatus.RESERVED, 0),
            )
        )
        left = self.left.get((command.show_id, command.category, command.accessible), most)
        return min(most, left) < command.seat_count

    def apply(self, show_id: int, decision: Decision) -> None:
        """Let a decision about `show_id` take effect."""
        for number, seat in decision.seats:
            self._set_seat((show_id, number), seat)
        for key in decision.overtaken:  # first: what they lost is what comes next
            self._overtake(key)
        booking = decision.booking
        if booking is not None and not decision.replayed:
            known = self.bookings.get(booking.id)
            if known is None:
                self.new_bookings[booking.id] = booking
                self.bookings[booking.id] = booking
                self.events.append((show_id, event_of(booking)))
                if booking.held and self.fair_play is not None:
                    self.holds.setdefault((show_id, booking.user_id), []).append(booking.id)
            elif known is not booking and known != booking:
                self._change_booking(booking)
        if decision.seats and decision.outcome in (Outcome.BLOCKED, Outcome.UNBLOCKED):
            numbers = tuple(number for number, _ in decision.seats)
            update = (
                Event(EventType.SHOW_UPDATED, blocked=numbers)
                if decision.outcome is Outcome.BLOCKED
                else Event(EventType.SHOW_UPDATED, unblocked=numbers)
            )
            self.events.append((show_id, update))
        if decision.close_sale:
            self.closed.add(show_id)
            self.sales[show_id] = msgspec.structs.replace(self.sales[show_id], closed=True)
            self.events.append((show_id, Event(EventType.SHOW_CANCELLED)))

    def expire(self, booking_id: UUID) -> None:
        """Settle a hold that was overtaken and whose row has now been read; nothing, if it is settled or gone."""
        booking = self.bookings.get(booking_id)
        if booking is not None and booking.status is BookingStatus.PENDING:
            self._change_booking(lapsed(booking))

    def changed_shows(self) -> set[int]:
        """The shows whose version rises by this batch."""
        return {show_id for show_id, _ in self.changed_seats} | self.closed

    def _set_seat(self, key: SeatKey, seat: Seat) -> None:
        counts = self.count_changes.setdefault(key[0], {})
        before = self.seats[key].status
        counts[before] = counts.get(before, 0) - 1
        counts[seat.status] = counts.get(seat.status, 0) + 1
        self.seats[key] = seat
        self.changed_seats[key] = seat

    def _change_booking(self, booking: Booking) -> None:
        if self.bookings[booking.id].status is not booking.status:
            self.events.append((booking.show_id, event_of(booking)))
        self.bookings[booking.id] = booking
        if booking.id in self.new_bookings:
            self.new_bookings[booking.id] = booking
        else:
            self.changed_bookings[booking.id] = booking

    def _overtake(self, key: tuple[int, UUID]) -> None:
        """Fail a booking that lost a seat. Where its row was not read, the database does it if it is still PENDING."""
        booking = self.bookings.get(key[1])
        if booking is None:
            if key not in self.overtaken:
                self.overtaken.add(key)
                self.events.append(key)
        elif booking.status is BookingStatus.PENDING:
            self._change_booking(lapsed(booking))
