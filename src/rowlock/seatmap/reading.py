"""Reading seat maps, and what they must agree with, from PostgreSQL: in one query, or in two where tables are spread by show.

There the lineage can't be asked for in the same query: it would be that of the node where the show is, and the next show
is on another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from rowlock.postgres.queries import load

SQL = load("maps")
SHARDED = load("sharded")


async def read_map(
    pool: asyncpg.Pool, show_id: int, *, sharded: bool = False
) -> tuple[int, int, bytes, str] | None:
    """A show's version, how many seats are free, their letters, and the lineage; None if there is no such show."""
    if not sharded:
        row = await pool.fetchrow(SQL.map, show_id)
        return None if row is None else tuple(row)
    lineage = await pool.fetchval(SHARDED.lineage)
    row = await pool.fetchrow(SHARDED.map, show_id)
    return None if row is None else (*row, lineage)


async def read_standing(
    pool: asyncpg.Pool, show_ids: Sequence[int], *, sharded: bool = False
) -> Sequence[Mapping[str, Any]]:
    """The version and total of each show that is there, with the lineage; at least one row, with no show if there is none."""
    if not sharded:
        rows: Sequence[Mapping[str, Any]] = await pool.fetch(SQL.standing, show_ids)
        return rows
    lineage = await pool.fetchval(SHARDED.lineage)
    found = [{**row, "lineage": lineage} for row in await pool.fetch(SHARDED.standing, show_ids)]
    return found or [{"show_id": None, "version": None, "total": None, "lineage": lineage}]
