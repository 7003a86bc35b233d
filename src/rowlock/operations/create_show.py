"""Create a show: the show, its inventory and all of its seats, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import msgspec

from rowlock.domain.events import Event, EventType, pack
from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import Category, LayoutSpec, NumberedSpec, decode_spec, encode_spec
from rowlock.domain.trails import Trail
from rowlock.operations.auditing import record
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid, ShowIdTaken
from rowlock.operations.find_shows import show_from_row
from rowlock.operations.show_ids import new_show_id
from rowlock.operations.views import ConfirmBy, ShowKind, ShowStatus, ShowView
from rowlock.postgres.errors import broken_constraint
from rowlock.postgres.queries import load
from rowlock.seatmap.plans import Plan

SQL = load("shows")
PLANS = load("plans")
_CATEGORIES = msgspec.json.Decoder(list[Category])
OUTBOX = load("outbox")

MAX_SEATS_PER_BOOKING = 10
CURRENCY = "EUR"
# Each round of looking for a free show id tries 8 times as many; together they get past 299,592 taken ids in a row.


class SeatsOf(msgspec.Struct, frozen=True):
    """The seats of another show, with its categories and currency where none are given."""

    show_id: int


class NewShow(msgspec.Struct, frozen=True):
    """A show to be made. `layout` says what seats it has; `hold_seconds` None leaves it to the server's setting."""

    name: str
    start_time: datetime
    layout: LayoutSpec | NumberedSpec | SeatsOf
    id: int | None = None
    kind: ShowKind = ShowKind.SHOW
    venue: str | None = None
    origin: str | None = None
    destination: str | None = None
    end_time: datetime | None = None
    time_zone: str | None = None
    status: ShowStatus = ShowStatus.SCHEDULED
    currency: str | None = None
    categories: tuple[Category, ...] = ()
    max_seats_per_booking: int = MAX_SEATS_PER_BOOKING
    hold_seconds: int | None = None
    confirm_by: ConfirmBy = ConfirmBy.OWNER
    on_sale_at: datetime | None = None
    created_at: datetime | None = None


async def create_show(context: Context, new: NewShow, *, trail: Trail | None = None) -> ShowView:
    """Make a show. Raises `Invalid`, `LayoutError` or `ShowIdTaken`; then nothing was made."""
    check_times(new.start_time, new.end_time, new.time_zone)
    spec, categories, currency = new.layout, new.categories, new.currency
    if isinstance(spec, SeatsOf):
        row = await context.pool.fetchrow(PLANS.plan, spec.show_id)
        if row is None:
            raise Invalid("layout_of", f"there is no show {spec.show_id}")
        spec = decode_spec(row["layout"])
        categories = categories or tuple(_CATEGORIES.decode(row["categories"]))
        currency = currency or row["currency"]
    currency = currency or CURRENCY
    layout = compile_layout(spec, categories)
    async with context.pool.acquire() as connection, connection.transaction():
        show_id = new.id if new.id is not None else await new_show_id(connection)
        try:
            await connection.execute(
                SQL.insert_show,
                show_id,
                new.kind.value,
                new.name,
                new.venue,
                new.origin,
                new.destination,
                new.start_time,
                new.end_time,
                new.time_zone,
                currency,
                msgspec.json.encode(layout.categories).decode(),
                encode_spec(spec),
                new.created_at,
            )
        except asyncpg.UniqueViolationError as error:
            # A shard's constraints have names of their own, with its number behind.
            if (broken_constraint(error) or "").startswith("shows_pkey"):
                raise ShowIdTaken(f"show {show_id} exists already") from error
            raise
        await connection.execute(
            SQL.insert_inventory,
            show_id,
            layout.total_seats,
            new.status is ShowStatus.CANCELLED,
            new.on_sale_at,
            new.max_seats_per_booking,
            new.hold_seconds,
            new.confirm_by is ConfirmBy.SERVICE,
            context.events,
        )
        await connection.execute(SQL.insert_seats, show_id, layout.total_seats)
        row = await connection.fetchrow(SQL.show, show_id)
        await tell_of_show(context, connection, row, EventType.SHOW_CREATED)
        await record(connection, trail, "show.create", f"show {show_id}", show_id=show_id)
    context.plans.remember(show_id, Plan(layout, currency))
    return show_from_row(row, context.hold_seconds)


async def tell_of_show(
    context: Context, connection: asyncpg.Connection, row: Mapping[str, Any], type_: EventType
) -> None:
    """Write an event of a show, as the query `show` returned it, to the outbox; the transaction has its inventory row."""
    if context.events:
        await connection.execute(OUTBOX.tell, row["id"], 1, pack([Event(type_, show=dict(row))]))


def check_times(start_time: datetime, end_time: datetime | None, time_zone: str | None) -> None:
    """Whether a show's times go together. Raises `Invalid`."""
    if end_time is not None and end_time <= start_time:
        raise Invalid("end_time", "must be after start_time")
    if time_zone is not None:
        try:
            ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise Invalid("time_zone", "must be an IANA time zone such as Europe/Vienna") from error
