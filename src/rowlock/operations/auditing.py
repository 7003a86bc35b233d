"""The audit trail of what isn't a seat's or a booking's: written in the transaction that makes the change.

Bookings carry who asked for them in their own row; what is done to them and to seats is written by the batch that does
it (engine/batch.py).
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from rowlock.domain.trails import Trail
from rowlock.postgres.queries import load

SQL = load("audit")
NO_SHOW = 0


async def record(
    connection: asyncpg.Connection | asyncpg.Pool,
    trail: Trail | None,
    action: str,
    target: str,
    *,
    show_id: int = NO_SHOW,
    detail: Any = None,
) -> None:
    """Write who did what to what; nothing where nobody did."""
    if trail is None:
        return
    said = None if detail is None else msgspec.json.encode(detail).decode()
    await connection.execute(
        SQL.record,
        show_id,
        trail.user_id,
        trail.role,
        trail.address,
        trail.request_id,
        action,
        target,
        said,
    )
