"""Find bookings: one, or a list, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from rowlock.domain.ids import show_of
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.state import Booking
from rowlock.engine.rows import booking_from_row
from rowlock.operations.context import Context
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.seats import plan_of
from rowlock.operations.views import BookingView, Page, view_booking
from rowlock.postgres.queries import load

SQL = load("bookings")

# A list is of one status, which is a range of an index; several are united, newest first. A hold past its time has
# failed, whether or not the sweeper has come round: where FAILED ones are asked for, overdue ones belong to them.
_STATUSES = {status: (status,) for status in BookingStatus} | {None: tuple(BookingStatus)}
# coalesce() hides from the planner that most bookings have no expiry: it would take a show's holds for one or two, and
# sort them all where it should walk an index.
_IN_TIME = "coalesce(b.expires_at > now(), false)"


async def read_booking(context: Context, identifier: UUID) -> tuple[Booking, datetime]:
    """One booking as it stands in its row, and the database's time. Raises `NotFound`."""
    show_id = show_of(identifier)
    row = None if show_id is None else await context.pool.fetchrow(SQL.booking, show_id, identifier)
    if row is None:
        raise NotFound(f"booking {identifier}")
    return booking_from_row(row), row["clock"]


async def find_booking(context: Context, identifier: UUID) -> BookingView:
    """One booking. Raises `NotFound`."""
    booking, now = await read_booking(context, identifier)
    return view_booking(booking, *await plan_of(context, booking.show_id), now)


async def list_bookings(
    context: Context,
    *,
    user_id: str | None = None,
    show_id: int | None = None,
    status: BookingStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[BookingView]:
    """Bookings, newest first. Raises `Invalid` for a bad cursor."""
    after = None
    if cursor is not None:
        try:
            after = decode_cursor(context.ids_secret, "bookings", cursor, tuple[datetime, UUID])
        except BadCursor:
            raise Invalid("cursor", "is not one that this list gave out") from None
    sql, values = list_query(user_id=user_id, show_id=show_id, status=status, after=after, limit=limit + 1)
    rows = await context.pool.fetch(sql, *values)
    items = []
    for row in rows[:limit]:
        booking = booking_from_row(row)
        items.append(view_booking(booking, *await plan_of(context, booking.show_id), row["clock"]))
    if len(rows) <= limit:
        return Page(items, None)
    last = (items[-1].created_at, str(items[-1].id))
    return Page(items, encode_cursor(context.ids_secret, "bookings", last))


def list_query(
    *,
    user_id: str | None = None,
    show_id: int | None = None,
    status: BookingStatus | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> tuple[str, list[Any]]:
    """The SQL of a list, and its values. `after` is the creation and id of the last row seen."""
    values: list[Any] = []

    def place(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    filters = []
    if user_id is not None:
        filters.append(f"b.user_id = {place(user_id)}")
    if show_id is not None:
        filters.append(f"b.show_id = {place(show_id)}")
    if after is not None:
        filters.append(f"(b.created_at, b.id) < ({place(after[0])}, {place(after[1])})")
    count = place(limit)
    # bookings_by_status is for lists of all, and is found by its collation only (see migration 0002).
    column = "b.status" if user_id is not None or show_id is not None else 'b.status COLLATE "C"'
    parts = []
    for one in _STATUSES[status]:
        conditions = [*filters, f"{column} = '{one}'"]
        if status is BookingStatus.PENDING:
            conditions.append(_IN_TIME)
        parts.append(SQL.list_bookings.format(filters=" AND ".join(conditions), limit=count))
    if status is BookingStatus.FAILED:
        parts.append(SQL.list_overdue.format(filters=" AND ".join(filters) or "true", limit=count))
    if len(parts) == 1:
        return parts[0], values
    united = "\n) UNION ALL (\n".join(parts)
    return f"({united}\n)\nORDER BY created_at DESC, id DESC LIMIT {count}", values
