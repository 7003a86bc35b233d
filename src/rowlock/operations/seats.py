"""A show's seats: by label, as a list, and as a map of letters."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from rowlock.domain.layouts import Layout
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid, NotFound
from rowlock.seatmap.plans import Plan


class SeatView(msgspec.Struct, frozen=True):
    """One seat, and whether it can be had."""

    seat: str
    section: str
    row: str
    category: str
    price_cents: int
    accessible: bool
    status: str


class SeatsView(msgspec.Struct, frozen=True):
    """All seats of a show, as of one version."""

    show_id: int
    version: int
    seats: list[SeatView]


class AvailabilityView(msgspec.Struct, frozen=True):
    """All seats of a show as letters in layout order: (A)vailable, (R)eserved, (B)ooked, X for blocked."""

    show_id: int
    version: int
    available: int
    statuses: str


def seat_numbers(layout: Layout, labels: Sequence[str]) -> tuple[int, ...]:
    """The numbers of seats, in the order of their labels.

    Raises `NotFound` for a label the show does not have, `Invalid` for one that comes twice.
    """
    numbers = []
    for index, label in enumerate(labels):
        number = layout.seat_no(label)
        if number is None:
            raise NotFound(f"seat {label} in this show", f"seats[{index}]")
        numbers.append(number)
    if len(set(numbers)) < len(numbers):
        raise Invalid("seats", "names a seat twice")
    return tuple(numbers)


async def plan_of(context: Context, show_id: int) -> Plan:
    """A show's plan. Raises `NotFound`."""
    plan = context.plans.known(show_id) or await context.plans.get(show_id)
    if plan is None:
        raise NotFound(f"show {show_id}")
    return plan


async def availability(context: Context, show_id: int) -> AvailabilityView:
    """The map of letters. Raises `NotFound`."""
    seat_map = await context.maps.get(show_id)
    if seat_map is None:
        raise NotFound(f"show {show_id}")
    return AvailabilityView(show_id, seat_map.version, seat_map.available, seat_map.statuses)
