"""Find shows: one, or a list of what is on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from rowlock.domain.layout_spec import Category
from rowlock.operations.context import Context
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.views import ConfirmBy, Page, ShowKind, ShowStatus, ShowView
from rowlock.postgres.queries import load

SQL = load("shows")
_CATEGORIES = msgspec.json.Decoder(list[Category])


async def find_show(context: Context, show_id: int) -> ShowView:
    """One show. Raises `NotFound`."""
    row = await context.pool.fetchrow(SQL.show, show_id)
    if row is None:
        raise NotFound(f"show {show_id}")
    return show_from_row(row, context.hold_seconds)


async def list_shows(
    context: Context,
    *,
    kind: ShowKind | None = None,
    text: str | None = None,
    status: ShowStatus | None = None,
    starts_after: datetime | None = None,
    starts_before: datetime | None = None,
    price_cents_max: int | None = None,
    seats_left: bool | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ShowView]:
    """Shows, soonest first; from now on, unless `starts_after` says else. Raises `Invalid` for a bad cursor."""
    after: tuple[datetime | None, int | None] = (None, None)
    if cursor is not None:
        try:
            after = decode_cursor(context.ids_secret, "shows", cursor, tuple[datetime, int])
        except BadCursor:
            raise Invalid("cursor", "is not one that this list gave out") from None
    rows = await context.pool.fetch(
        SQL.list_shows,
        kind and kind.value,
        like(text) if text else None,
        None if status is None else status is ShowStatus.CANCELLED,
        starts_after,
        *after,
        limit + 1,
        starts_before,
        price_cents_max,
        seats_left,
    )
    shows = [show_from_row(row, context.hold_seconds) for row in rows[:limit]]
    more = len(rows) > limit
    key = (shows[-1].start_time, shows[-1].id) if more else None
    return Page(shows, encode_cursor(context.ids_secret, "shows", key) if more else None)


def like(text: str) -> str:
    """A LIKE pattern for "contains", with LIKE's own signs taken literally."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def show_from_row(row: Mapping[str, Any], default_hold_seconds: int) -> ShowView:
    """A show as the queries `show` and `list_shows` return it."""
    return ShowView(
        id=row["id"],
        kind=ShowKind(row["kind"]),
        name=row["name"],
        venue=row["venue"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        time_zone=row["time_zone"],
        origin=row["origin"],
        destination=row["destination"],
        status=ShowStatus.CANCELLED if row["closed"] else ShowStatus.SCHEDULED,
        total_seats=row["total"],
        available_seats=row["available"],
        reserved_seats=row["reserved"],
        booked_seats=row["booked"],
        blocked_seats=row["blocked"],
        currency=row["currency"],
        categories=_CATEGORIES.decode(row["categories"]),
        max_seats_per_booking=row["max_seats"],
        hold_seconds=row["hold_seconds"] or default_hold_seconds,
        confirm_by=ConfirmBy.SERVICE if row["confirm_by_service"] else ConfirmBy.OWNER,
        on_sale_at=row["on_sale_at"],
        created_at=row["created_at"],
    )
