"""Change what may change of a show: not its seats, categories or prices."""

from __future__ import annotations

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from rowlock.domain.events import EventType
from rowlock.domain.trails import Trail
from rowlock.operations.auditing import record
from rowlock.operations.context import Context
from rowlock.operations.create_show import check_times, tell_of_show
from rowlock.operations.errors import NotFound
from rowlock.operations.find_shows import show_from_row
from rowlock.operations.views import ConfirmBy, ShowView
from rowlock.postgres.queries import load

SQL = load("shows")


class ShowChange(msgspec.Struct, frozen=True):
    """New values; what is UNSET stays. `hold_seconds` None: as the server's setting says."""

    name: str | UnsetType = UNSET
    venue: str | UnsetType | None = UNSET
    start_time: datetime | UnsetType = UNSET
    end_time: datetime | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    on_sale_at: datetime | UnsetType | None = UNSET
    max_seats_per_booking: int | UnsetType = UNSET
    hold_seconds: int | UnsetType | None = UNSET
    confirm_by: ConfirmBy | UnsetType = UNSET


async def change_show(
    context: Context, show_id: int, change: ShowChange, *, trail: Trail | None = None
) -> ShowView:
    """Change a show, from the next decision on. Raises `NotFound`, or `Invalid` where its times don't go together."""
    async with context.pool.acquire() as connection, connection.transaction():
        await connection.fetchval(SQL.lock_terms, show_id)
        row = await connection.fetchrow(SQL.show, show_id)
        if row is None:
            raise NotFound(f"show {show_id}")
        now = {
            "name": row["name"],
            "venue": row["venue"],
            "start_time": row["start_time"],
            "end_time": row["end_time"],
            "time_zone": row["time_zone"],
            "on_sale_at": row["on_sale_at"],
            "max_seats_per_booking": row["max_seats"],
            "hold_seconds": row["hold_seconds"],
            "confirm_by": ConfirmBy.SERVICE if row["confirm_by_service"] else ConfirmBy.OWNER,
        }
        new = now | msgspec.structs.asdict(change)
        new = {name: now[name] if value is UNSET else value for name, value in new.items()}
        check_times(new["start_time"], new["end_time"], new["time_zone"])
        await connection.execute(
            SQL.update_show,
            show_id,
            new["name"],
            new["venue"],
            new["start_time"],
            new["end_time"],
            new["time_zone"],
        )
        await connection.execute(
            SQL.update_terms,
            show_id,
            new["on_sale_at"],
            new["max_seats_per_booking"],
            new["hold_seconds"],
            new["confirm_by"] is ConfirmBy.SERVICE,
        )
        changed = await connection.fetchrow(SQL.show, show_id)
        if new != now:
            await tell_of_show(context, connection, changed, EventType.SHOW_UPDATED)
            said = {name: [now[name], new[name]] for name in new if new[name] != now[name]}  # from, to
            await record(connection, trail, "show.change", f"show {show_id}", show_id=show_id, detail=said)
    return show_from_row(changed, context.hold_seconds)
