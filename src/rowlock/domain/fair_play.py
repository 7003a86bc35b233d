"""Fair play: how much of a show one customer may keep from the others without buying it.

Three bounds, each decided under the lock of the show's inventory row from the rows of the customer's own holds, so that
no other process is a way round them. Staff and services are not bound: a box office holds for many.

 1. So many holds at a time.
 2. So many seats held at a time; but always what the show allows in one booking.
 3. So many holds of the same seat within an hour: a hold can't be renewed for ever by taking it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from rowlock.domain.commands import Actor, Book, Command
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.state import Booking, Sale

REPEATS_WINDOW = timedelta(hours=1)


class FairPlay(msgspec.Struct, frozen=True):
    """The bounds of a customer at a show; 0 is none."""

    open_holds_max: int = 0
    held_seats_max: int = 0
    same_seat_max: int = 0


def is_bound(command: Command) -> bool:
    """Whether a command is a customer's own hold."""
    return isinstance(command, Book) and not command.confirm and command.by is Actor.OWNER


def holds_too_much(
    fair: FairPlay, command: Book, earlier: Iterable[Booking], sale: Sale, now: datetime
) -> bool:
    """Whether a hold is more than a customer may have who made these `earlier` ones of the show."""
    ended = [hold for hold in earlier if hold.status is not BookingStatus.CONFIRMED]
    held = [hold for hold in ended if hold.status is BookingStatus.PENDING and not hold.overdue(now)]
    if fair.open_holds_max and len(held) >= fair.open_holds_max:
        return True
    seats_max = max(fair.held_seats_max, sale.max_seats)
    if fair.held_seats_max and sum(hold.seat_count for hold in held) + command.seat_count > seats_max:
        return True
    if not fair.same_seat_max:
        return False
    times = Counter(
        number for hold in ended if hold.created_at > now - REPEATS_WINDOW for number in hold.seats
    )
    return any(times[number] >= fair.same_seat_max for number in command.seats)
