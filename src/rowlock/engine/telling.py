"""Telling: the events of a batch, made ready for the outbox.

They are written by the batch's own transaction, in the statement that writes everything else: they hold if and only if
the batch holds, however often it is run again. A batch has one row in the outbox for each show that it tells of.

Whoever tells of a show holds its inventory row from the lock to the end of COMMIT. So a show's events are numbered in
the order in which they are committed, without a gap; and whoever sees number n committed sees every number below n:
a transaction that told n began to tell only after the one before it had ended. Nobody who reads in order of the
numbers can skip an event that commits late, because there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from rowlock.domain.events import Event, EventType, pack
from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.world import World
from rowlock.engine.rows import numbers

OF_SHOWS = frozenset({EventType.SHOW_UPDATED, EventType.SHOW_CANCELLED, EventType.SHOW_SOLD_OUT})
_COUNTS = {
    "available": SeatStatus.AVAILABLE,
    "reserved": SeatStatus.RESERVED,
    "booked": SeatStatus.BOOKED,
    "blocked": SeatStatus.BLOCKED,
}

ReadShow = Callable[[int], Awaitable[dict[str, Any]]]


class Told(msgspec.Struct, frozen=True, gc=False):
    """A row of the outbox: the events of a show in a batch, the first of them number `seq`."""

    show_id: int
    seq: int
    events: int
    version: int
    body: bytes


def told_columns(rows: Sequence[Told]) -> list[Any]:
    """Rows for the outbox, as the columns $39 to $43 of the write."""
    return [
        numbers([row.show_id for row in rows]),
        numbers([row.seq for row in rows]),
        numbers([row.events for row in rows]),
        numbers([row.version for row in rows]),
        [row.body for row in rows],
    ]


def settle_overtaken(world: World) -> None:
    """Settle the holds that were overtaken, now that their rows are in `world.bookings`, and tell of those that were live."""
    unread, world.overtaken = world.overtaken, set()
    events, world.events = world.events, []
    for show_id, event in events:
        if isinstance(event, UUID):
            assert (show_id, event) in unread, "it was overtaken in this batch"
            world.expire(event)  # tells, where it was PENDING
        else:
            world.events.append((show_id, event))


async def gather(world: World, read_show: ReadShow) -> list[Told]:
    """The rows for the outbox. `read_show` reads a show's row, as it is before this batch."""
    by_show: dict[int, list[Event]] = {}
    for show_id, event in world.events:
        assert isinstance(event, Event), "overtaken holds were settled before"
        by_show.setdefault(show_id, []).append(event)
    for show_id in world.count_changes:
        if _sold_out(world, show_id):
            by_show.setdefault(show_id, []).append(Event(EventType.SHOW_SOLD_OUT))
    risen = world.changed_shows()
    return [
        Told(
            show_id=show_id,
            seq=world.sales[show_id].told_events + 1,
            events=len(events),
            version=world.sales[show_id].version + (show_id in risen),
            body=pack(await _with_show(world, show_id, events, read_show)),
        )
        for show_id, events in by_show.items()
    ]


def _sold_out(world: World, show_id: int) -> bool:
    """Whether this batch sold the last seat that could still be had: a held one may come back, and counts as one.

    Where the last ones were blocked, nothing was sold.
    """
    sale, change = world.sales[show_id], world.count_changes[show_id]
    before = sale.available + sale.reserved
    after = before + change.get(SeatStatus.AVAILABLE, 0) + change.get(SeatStatus.RESERVED, 0)
    return after == 0 < before and change.get(SeatStatus.BOOKED, 0) > 0


async def _with_show(
    world: World, show_id: int, events: Sequence[Event], read_show: ReadShow
) -> Sequence[Event]:
    """The events, those of the show itself with its row as it is after this batch. Few batches have any."""
    if not any(event.type in OF_SHOWS for event in events):
        return events
    row = await read_show(show_id)
    for name, status in _COUNTS.items():
        row[name] += world.count_changes.get(show_id, {}).get(status, 0)
    row["version"] += show_id in world.changed_shows()
    row["closed"] = row["closed"] or show_id in world.closed
    return [msgspec.structs.replace(event, show=row) if event.type in OF_SHOWS else event for event in events]
