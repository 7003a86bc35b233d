"""Measuring what no request shows: holds that nobody sweeps, and standbys that fall behind."""

from __future__ import annotations

from rowlock import telemetry
from rowlock.operations.context import Context
from rowlock.postgres.queries import load

SQL = load("health")


class Measuring:
    """Sets the gauges, by what the database says."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def round(self) -> bool:
        """One look. There is never more to do at once."""
        pool = self._context.pool
        telemetry.HOLDS_OVERDUE.set(max(await pool.fetchval(SQL.overdue) or 0, 0))
        row = await pool.fetchrow(SQL.replication)
        telemetry.STANDBYS.set(row["standbys"])
        telemetry.REPLICATION_SECONDS.set(row["seconds"])
        telemetry.REPLICATION_BYTES.set(row["bytes"])
        return False
