"""Find what was done, by whom, to what, from where: newest first.

Two sources make one list: the table `audit`, and the bookings, whose rows carry who asked for them. Both are read in
ranges of their indexes, as lists of bookings are (find_bookings.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from rowlock.domain.ids import show_of
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.trails import Trail, unpacked
from rowlock.operations.auditing import NO_SHOW, SQL
from rowlock.operations.context import Context
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid
from rowlock.operations.views import Page


class AuditView(msgspec.Struct, frozen=True):
    """One thing that was done. `user_id` and `role` are null where a booking was made before there was a trail."""

    id: UUID
    at: datetime
    action: str
    target: str
    show_id: int | None
    user_id: str | None
    role: str | None
    address: str | None
    request_id: str | None
    outcome: str | None
    detail: dict[str, Any] | None


async def list_audit(
    context: Context,
    *,
    user_id: str | None = None,
    show_id: int | None = None,
    booking_id: UUID | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditView]:
    """What was done, newest first. Raises `Invalid` for a bad cursor.

    `user_id`: what this user did, and bookings made for it.
    """
    after = None
    if cursor is not None:
        try:
            after = decode_cursor(context.ids_secret, "audit", cursor, tuple[datetime, UUID])
        except BadCursor:
            raise Invalid("cursor", "is not one that this list gave out") from None
    if booking_id is not None:
        its_show = show_of(booking_id)
        if its_show is None or show_id not in {None, its_show}:
            return Page([], None)
        show_id = its_show
    sql, values = audit_query(
        user_id=user_id, show_id=show_id, booking_id=booking_id, after=after, limit=limit + 1
    )
    rows = await context.pool.fetch(sql, *values)
    items = [_view(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, encode_cursor(context.ids_secret, "audit", (items[-1].at, str(items[-1].id))))


def audit_query(
    *,
    user_id: str | None = None,
    show_id: int | None = None,
    booking_id: UUID | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int,
) -> tuple[str, list[Any]]:
    """The SQL of a list, and its values. `after` is the time and id of the last row seen."""
    values: list[Any] = []

    def place(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    done, made = [], []
    if user_id is not None:
        user = place(user_id)
        done.append(f"a.user_id = {user}")
        made.append(f"b.user_id = {user}")
    if show_id is not None:
        show = place(show_id)
        done.append(f"a.show_id = {show}")
        made.append(f"b.show_id = {show}")
    if booking_id is not None:
        booking = place(booking_id)
        done.append(f"a.target = ({booking}::uuid)::text")
        made.append(f"b.id = {booking}::uuid")
    if after is not None:
        time, identifier = place(after[0]), place(after[1])
        done.append(f"(a.at, a.id) < ({time}, {identifier})")
        made.append(f"(b.created_at, b.id) < ({time}, {identifier})")
    count = place(limit)
    # As lists of bookings have it: bookings_by_status is found by its collation only (see migration 0002).
    column = "b.status" if user_id is not None or show_id is not None else 'b.status COLLATE "C"'
    parts = [SQL.list_audit.format(filters=" AND ".join(done) or "true", limit=count)]
    parts += [
        SQL.list_made.format(filters=" AND ".join([*made, f"{column} = '{status}'"]), limit=count)
        for status in BookingStatus
    ]
    united = "\n) UNION ALL (\n".join(parts)
    return f"({united}\n)\nORDER BY at DESC, id DESC LIMIT {count}", values


def _view(row: Mapping[str, Any]) -> AuditView:
    who: Trail | None = None
    if row["trail"] is not None:
        who = unpacked(row["trail"])  # whoever asked; the booking's own user is another matter
    elif row["role"] is not None:
        who = Trail(row["user_id"], row["role"], row["address"], row["request_id"])
    return AuditView(
        id=row["id"],
        at=row["at"],
        action=row["action"],
        target=row["target"],
        show_id=None if row["show_id"] == NO_SHOW else row["show_id"],
        user_id=None if who is None else who.user_id,
        role=None if who is None else who.role,
        address=None if who is None else who.address,
        request_id=None if who is None else who.request_id,
        outcome=row["outcome"],
        detail=None if row["detail"] is None else msgspec.json.decode(row["detail"]),
    )
