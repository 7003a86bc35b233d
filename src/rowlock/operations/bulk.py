"""Many shows and bookings at once, by COPY: for imports and big worlds, beside the lanes.

Only shows that are new in the same transaction are written, so that nobody else can have anything to do with their
seats, and no lock is needed. Seats and counts are not given but made from the bookings, by the database: they agree
with them, or break a constraint.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from rowlock.domain.state import Booking
from rowlock.operations.views import ShowKind
from rowlock.postgres.queries import load

SQL = load("bulk")
SEATS_AT_ONCE = 250_000  # of a statement: some seconds, and some tens of MB in the server

_SHOW_COLUMNS = (
    "id",
    "kind",
    "name",
    "venue",
    "origin",
    "destination",
    "start_time",
    "end_time",
    "time_zone",
    "currency",
    "categories",
    "layout",
    "created_at",
    "import_source",
    "import_id",
)
_BOOKING_COLUMNS = (*Booking.__struct_fields__, "import_id")
_CONFLICTS = _BOOKING_COLUMNS.index("conflicts")


class BulkShow(msgspec.Struct, frozen=True):
    """A show as its rows are, with `total_seats` that agree with its layout (JSON, as its categories are)."""

    id: int
    kind: ShowKind
    name: str
    start_time: datetime
    created_at: datetime
    currency: str
    categories: str
    layout: str
    total_seats: int
    max_seats: int
    venue: str | None = None
    origin: str | None = None
    destination: str | None = None
    end_time: datetime | None = None
    time_zone: str | None = None
    closed: bool = False
    on_sale_at: datetime | None = None
    blocked: tuple[int, ...] = ()
    import_source: str | None = None
    import_id: str | None = None


class BulkBooking(msgspec.Struct, frozen=True, gc=False):
    """A booking, and its id in the system that it comes from."""

    booking: Booking
    import_id: str | None = None


async def write_shows(
    connection: asyncpg.Connection, shows: Sequence[BulkShow], bookings: Sequence[BulkBooking]
) -> None:
    """Write new shows with all of their bookings; the transaction is the caller's."""
    await connection.copy_records_to_table(
        "shows",
        columns=_SHOW_COLUMNS,
        records=[tuple(getattr(show, name) for name in _SHOW_COLUMNS) for show in shows],
    )
    await connection.copy_records_to_table(
        "bookings",
        columns=_BOOKING_COLUMNS,
        records=((*_booking_record(new.booking), new.import_id) for new in bookings),
    )
    # Without statistics of what was just written, the planner would join seats to bookings one by one.
    await connection.execute("SET LOCAL enable_nestloop = off")
    for some in _chunks(shows):
        ids = [show.id for show in some]
        blocked = [(show.id, number) for show in some for number in show.blocked]
        await connection.execute(
            SQL.insert_seats,
            ids,
            [show.total_seats for show in some],
            [show_id for show_id, _ in blocked],
            [number for _, number in blocked],
        )
        await connection.execute(
            SQL.insert_inventory,
            ids,
            [show.closed for show in some],
            [show.on_sale_at for show in some],
            [show.max_seats for show in some],
        )


def _booking_record(booking: Booking) -> tuple[object, ...]:
    """A booking's columns, in the order of its fields. No conflicts are NULL."""
    values = msgspec.structs.astuple(booking)
    return values if booking.conflicts else (*values[:_CONFLICTS], None, *values[_CONFLICTS + 1 :])


def _chunks(shows: Sequence[BulkShow]) -> list[list[BulkShow]]:
    chunks: list[list[BulkShow]] = [[]]
    seats = 0
    for show in shows:
        if seats >= SEATS_AT_ONCE:
            chunks.append([])
            seats = 0
        chunks[-1].append(show)
        seats += show.total_seats
    return chunks
