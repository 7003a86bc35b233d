"""Ids for new shows."""

from __future__ import annotations

import asyncpg

from rowlock.postgres.queries import load

SQL = load("shows")
# Ids that an admin chose may stand in the sequence's way, thousands in a row.
TRIES = (1, 8, 64, 512, 4096, 32_768, 262_144)


async def new_show_id(connection: asyncpg.Connection) -> int:
    """An id that nobody has taken."""
    for tries in TRIES:
        if free := await _free(connection, tries):
            return free[0]
    raise RuntimeError(f"no free show id among the next {sum(TRIES):,}")


async def new_show_ids(connection: asyncpg.Connection, count: int) -> list[int]:
    """So many ids that nobody has taken, ascending."""
    ids: list[int] = []
    while len(ids) < count:
        ids.extend(await _free(connection, count - len(ids)))
    return ids


async def _free(connection: asyncpg.Connection, tries: int) -> list[int]:
    """Those of the next ids that nobody has taken, ascending."""
    drawn = [row["id"] for row in await connection.fetch(SQL.next_ids, tries)]
    taken = {row["id"] for row in await connection.fetch(SQL.taken_ids, drawn)}
    return sorted(set(drawn) - taken)
