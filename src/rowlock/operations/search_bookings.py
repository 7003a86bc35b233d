"""Find a show's bookings as a box office looks for them: by a name, an address, a seat or an id; and all, for export.

Names and addresses are sought for by looking, newest first, for there is no index of them: one would cost every booking
something, and a box office searches seldom. What a call may look through is bounded. Where that was not all, the page
has a cursor though it may be short, or empty: the caller goes on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from rowlock.domain.ids import show_of
from rowlock.domain.lifecycles import BookingStatus
from rowlock.engine.rows import booking_from_row
from rowlock.operations.context import Context
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.find_bookings import list_query
from rowlock.operations.find_shows import like
from rowlock.operations.seats import plan_of
from rowlock.operations.views import BookingView, Page, view_booking
from rowlock.postgres.queries import load
from rowlock.seatmap.plans import Plan

SQL = load("bookings")

LOOKED_AT_MAX = 10_000  # some 50 ms; a whole theatre's bookings, so that most searches are done in one call
EXPORTED_AT_ONCE = 250  # some 40 kB of CSV: a few ms, in which the process books nothing, and little for a slow reader to hold up


async def search_bookings(
    context: Context,
    show_id: int,
    *,
    text: str | None = None,
    seat: str | None = None,
    status: BookingStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[BookingView]:
    """A show's bookings, newest first: those that `text` is in (or whose id it is), or the one that has `seat` now.

    Raises `NotFound` for a show or seat that isn't there, `Invalid` for a bad cursor.
    """
    plan = await plan_of(context, show_id)
    if seat is not None:
        number = await seat_number(context, show_id, seat)
        row = await context.pool.fetchrow(SQL.booking_of_seat, show_id, number)
        return _one(row, plan, status, text)
    if text is not None and (identifier := _uuid(text)) is not None:
        row = None
        if show_of(identifier) == show_id:
            row = await context.pool.fetchrow(SQL.booking, show_id, identifier)
        return _one(row, plan, status, None)
    after = None
    if cursor is not None:
        try:
            after = decode_cursor(context.ids_secret, f"bookings of {show_id}", cursor, tuple[datetime, UUID])
        except BadCursor:
            raise Invalid("cursor", "is not one that this list gave out") from None
    sql, values = search_query(show_id=show_id, text=text, status=status, after=after, limit=limit + 1)
    rows = await context.pool.fetch(sql, *values)
    found = [row for row in rows if text is None or row["found"]]
    items = [
        view_booking(booking_from_row(row), plan.layout, plan.currency, row["clock"]) for row in found[:limit]
    ]
    last = None
    if len(found) > limit:
        last = found[limit - 1]
    elif text is not None and rows and rows[-1]["place"] == LOOKED_AT_MAX:
        last = rows[-1]
    if last is None:
        return Page(items, None)
    key = (last["created_at"], str(last["id"]))
    return Page(items, encode_cursor(context.ids_secret, f"bookings of {show_id}", key))


def search_query(
    *,
    show_id: int,
    text: str | None,
    status: BookingStatus | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> tuple[str, list[Any]]:
    """The SQL of a search, and its values."""
    if text is None:
        return list_query(show_id=show_id, status=status, after=after, limit=limit)
    listed, values = list_query(show_id=show_id, status=status, after=after, limit=LOOKED_AT_MAX)
    sql = SQL.search_bookings.format(
        list=listed,
        most=f"${len(values)}",
        text=f"${len(values) + 1}::text",
        limit=f"${len(values) + 2}",
    )
    return sql, [*values, like(text), limit]


async def seat_number(context: Context, show_id: int, seat: str) -> int:
    """The number of a seat. Raises `NotFound` for a show or seat that isn't there."""
    number = (await plan_of(context, show_id)).layout.seat_no(seat)
    if number is None:
        raise NotFound(f"seat {seat} in this show", "seat")
    return number


async def found_bookings(
    context: Context,
    show_id: int,
    *,
    text: str | None = None,
    seat: str | None = None,
    status: BookingStatus | None = None,
) -> AsyncIterator[list[BookingView]]:
    """All that a search finds, newest first, some at a time. Raises what `search_bookings` does."""
    cursor = None
    while True:
        page = await search_bookings(
            context, show_id, text=text, seat=seat, status=status, limit=EXPORTED_AT_ONCE, cursor=cursor
        )
        yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return


async def all_bookings(
    context: Context, show_id: int, *, status: BookingStatus | None = None
) -> AsyncIterator[list[BookingView]]:
    """All of a show's bookings, newest first, some at a time; a connection is taken for each part only.

    They are read as they are when their turn comes; one that is made meanwhile is left out. Raises `NotFound`.
    """
    plan = await plan_of(context, show_id)
    after: tuple[datetime, UUID] | None = None
    while True:
        sql, values = list_query(show_id=show_id, status=status, after=after, limit=EXPORTED_AT_ONCE)
        rows = await context.pool.fetch(sql, *values)
        yield [view_booking(booking_from_row(row), plan.layout, plan.currency, row["clock"]) for row in rows]
        if len(rows) < EXPORTED_AT_ONCE:
            return
        after = (rows[-1]["created_at"], rows[-1]["id"])


def _one(row: Any, plan: Plan, status: BookingStatus | None, text: str | None) -> Page[BookingView]:
    """The booking of a row, if it is there and fits the other filters."""
    if row is None:
        return Page([], None)
    view = view_booking(booking_from_row(row), plan.layout, plan.currency, row["clock"])
    fits = status is None or view.status is status
    if text is not None:
        said = [view.customer_name or "", view.email or "", view.user_id, str(view.id)]
        fits = fits and any(text.casefold() in part.casefold() for part in said)
    return Page([view] if fits else [], None)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == len(str(UUID(int=0))) else None
    except ValueError:
        return None
