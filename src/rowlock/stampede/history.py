"""The past, replayed by the bookings' own times: who had which seat when.

The times are the database's, read under the locks that decided, so they are the order of events. Bookings decided in
one batch share an instant, and their order within it can't be told from outside. So at an instant itself a seat that
was taken or given back at that very instant is neither called free nor called taken: nothing here is a guess.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import IntEnum

from rowlock.stampede.records import Booking, Ledger

REFUSED = frozenset({"seats_taken", "not_enough_seats"})


def tenure(booking: Booking) -> tuple[datetime, datetime | None] | None:
    """From when to when a booking had its seats; to None: still. None where it never had any."""
    if booking.reason in REFUSED:
        return None
    if booking.status == "CONFIRMED":
        return booking.created_at, None
    if booking.status == "PENDING":
        return booking.created_at, booking.expires_at
    return booking.created_at, booking.settled_at


def overlaps(bookings: Sequence[Booking]) -> Iterator[str]:
    """Seats that two bookings had at the same time. A hold that ends at the instant another begins is none."""
    of_seat: dict[str, list[tuple[datetime, datetime | None, str]]] = defaultdict(list)
    for booking in bookings:
        if (span := tenure(booking)) is not None:
            for seat in booking.seats:
                of_seat[seat].append((*span, booking.id))
    for seat, spans in of_seat.items():
        spans.sort(key=lambda span: span[0])
        last_end, last_id, first = spans[0][1], spans[0][2], True
        for begin, end, identifier in spans:
            if not first and (last_end is None or begin < last_end):
                yield f"seat {seat} was {identifier}'s from {begin.isoformat()} on, and {last_id}'s too"
            if first or (last_end is not None and (end is None or end > last_end)):
                last_end, last_id = end, identifier
            first = False


def false_refusals(ledger: Ledger) -> Iterator[str]:
    """FAILED bookings whose seats were all free at their instant; or as many as they asked for."""
    for booking, free, sure in _refusals(ledger):
        if booking.reason == "not_enough_seats":
            if free >= booking.seat_count:
                yield f"booking {booking.id} was refused {booking.seat_count} seats while {free} were free"
        elif len(sure) == len(booking.conflicts):
            yield f"booking {booking.id} was refused {', '.join(booking.conflicts) or 'for no seat'}, which were free"


def unfounded_conflicts(ledger: Ledger) -> Iterator[str]:
    """FAILED bookings that named a seat as taken which was free at their instant, beside others that were not."""
    for booking, _, sure in _refusals(ledger):
        if booking.reason == "seats_taken" and 0 < len(sure) < len(booking.conflicts):
            yield f"booking {booking.id} was told that {', '.join(sure)} were taken, which were free"


class _Phase(IntEnum):
    """In which order what happens at one instant is looked at: seats count as had from first to last."""

    BEGIN = 0
    LOOK = 1
    END = 2


def _refusals(ledger: Ledger) -> Iterator[tuple[Booking, int, list[str]]]:
    """Each refusal, with how many seats were surely free at its instant, and which of its conflicts were."""
    events: list[tuple[datetime, _Phase, Booking]] = []
    for booking in ledger.bookings:
        span = tenure(booking)
        if span is None:
            events.append((booking.created_at, _Phase.LOOK, booking))
            continue
        events.append((span[0], _Phase.BEGIN, booking))
        if span[1] is not None:
            events.append((span[1], _Phase.END, booking))
    events.sort(key=lambda event: event[:2])
    blocked = {state.seat for state in ledger.seats if state.status == "BLOCKED"}
    owners: defaultdict[str, int] = defaultdict(int)
    had = 0  # seats with an owner
    for _, phase, booking in events:
        if phase is _Phase.LOOK:
            free = len(ledger.seats) - len(blocked) - had
            yield booking, free, [s for s in booking.conflicts if not owners[s] and s not in blocked]
            continue
        change = 1 if phase is _Phase.BEGIN else -1
        for seat in booking.seats:
            had -= owners[seat] > 0
            owners[seat] += change
            had += owners[seat] > 0
