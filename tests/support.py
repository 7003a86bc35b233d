"""What tests of the engine and the operations share: a small show, and a booking of it, without HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.layout_spec import LayoutSpec, NumberedSpec
from rowlock.engine.lane import Lane
from rowlock.engine.lanes import FixedLanes
from rowlock.engine.straight_lane import StraightLane
from rowlock.operations import verify
from rowlock.operations.book import Booked, BookRequest, book
from rowlock.operations.context import Context
from rowlock.operations.create_show import NewShow, create_show
from rowlock.postgres.pool import Database

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)

# What must hold in any database at any time that nobody writes: by rule, the offending rows.
AUDIT = {
    "a seat has the owner that its booking says": """
        SELECT s.show_id, s.seat_no FROM seats s LEFT JOIN bookings b ON b.show_id = s.show_id AND b.id = s.booking_id
        WHERE s.status IN ('R', 'B') AND (b.id IS NULL OR NOT s.seat_no = ANY (b.seats)
            OR (s.status = 'B' AND b.status <> 'CONFIRMED')
            OR (s.status = 'R' AND b.status <> 'PENDING' AND s.held_until > clock_timestamp()))""",
    "a booking has every seat that it says": """
        SELECT b.show_id, b.id FROM bookings b CROSS JOIN LATERAL unnest(b.seats) AS n
        LEFT JOIN seats s ON s.show_id = b.show_id AND s.seat_no = n
        WHERE (b.status = 'CONFIRMED' AND (s.booking_id IS DISTINCT FROM b.id OR s.status <> 'B'))
           OR (b.status = 'PENDING' AND (s.booking_id IS DISTINCT FROM b.id OR s.status <> 'R'))""",
    "counts equal the seats": """
        SELECT i.show_id FROM inventory i JOIN (
            SELECT show_id, count(*) FILTER (WHERE status = 'A') AS a, count(*) FILTER (WHERE status = 'R') AS r,
                   count(*) FILTER (WHERE status = 'B') AS b, count(*) FILTER (WHERE status = 'X') AS x
            FROM seats GROUP BY show_id) c USING (show_id)
        WHERE (i.available, i.reserved, i.booked, i.blocked) IS DISTINCT FROM (c.a, c.r, c.b, c.x)""",
}


def spread_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every `Database` that a test makes be one whose tables are spread by show."""
    names = [field.name for field in fields(Database)]
    defaults = list(Database.__init__.__defaults__ or ())
    defaults[names.index("sharded") - len(names)] = True
    monkeypatch.setattr(Database.__init__, "__defaults__", tuple(defaults))


def batches_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no booking be straight: batches decide."""
    monkeypatch.setattr(StraightLane, "line_of", lambda *_: None)


async def audit(context: Context) -> None:
    """Assert that nothing in the database is broken, and that events tell of it all."""
    for rule, query in AUDIT.items():
        offenders = await context.pool.fetch(query)
        assert not offenders, f"{rule}: {offenders[:5]}"
    async with (
        context.pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        report = await verify.audit(connection, sweep_seconds=3600)
    (told,) = (finding for finding in report.findings if finding.rule.name == "events")
    assert not told.count, told.offences


async def make_show(
    context: Context, layout: int | LayoutSpec = 10, *, max_seats: int = 10, **fields: Any
) -> int:
    """A show that starts tomorrow, of so many numbered seats, or of a layout. Returns its id."""
    spec = NumberedSpec(layout) if isinstance(layout, int) else layout
    new = NewShow(name="A show", start_time=TOMORROW, layout=spec, max_seats_per_booking=max_seats, **fields)
    return (await create_show(context, new)).id


async def try_book(
    context: Context,
    show_id: int,
    seats: Sequence[str] | int,
    user_id: str = "ada",
    *,
    confirm: bool = True,
    key: str | None = None,
    by: Actor = Actor.STAFF,
    **fields: Any,
) -> Booked:
    """Book named seats, or so many."""
    if isinstance(seats, int):
        request = BookRequest(show_id, user_id, seat_count=seats, confirm=confirm, **fields)
    else:
        request = BookRequest(show_id, user_id, seats=tuple(seats), confirm=confirm, **fields)
    return await book(context, request, by=by, idempotency_key=key)


async def let_lapse(context: Context, *bookings: UUID) -> None:
    """Set the holds of bookings back in time, so that they are past it, without waiting."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    async with context.pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE bookings SET expires_at = $2, release_at = $2 WHERE id = ANY ($1::uuid[])", bookings, past
        )
        await connection.execute(
            "UPDATE seats SET held_until = $2 WHERE booking_id = ANY ($1::uuid[])", bookings, past
        )


def lanes_of(context: Context) -> list[Lane]:
    """All lanes of a process."""
    lanes = context.engine._lanes
    return lanes._all() if isinstance(lanes, FixedLanes) else list(lanes._lanes.values())


def lane_of(context: Context, show_id: int) -> Lane:
    """The lane that a show's batches go to."""
    lanes = context.engine._lanes
    if isinstance(lanes, FixedLanes):
        return lanes._lanes[show_id % len(lanes._lanes)]
    return lanes._lane(show_id)
