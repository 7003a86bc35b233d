"""Spreading the tables over the nodes of a Citus cluster, by show: `rowlock migrate --distributed`.

Every table that leads with the show is distributed by it, all of them alike: what belongs to a show lies together on one
node. The few that know no show are copied to every node (reference tables). `alembic_version` and the sequence of show
ids stay with the coordinator, which is where servers connect to. See docs/decisions/0021.
"""

from __future__ import annotations

import asyncpg

# Each by the column that names the show. The first is what the others lie beside.
BY_SHOW = (
    ("shows", "id"),
    ("inventory", "show_id"),
    ("seats", "show_id"),
    ("bookings", "show_id"),
    ("outbox", "show_id"),
    ("webhook_queues", "show_id"),
    ("deliveries", "show_id"),
    ("booking_queues", "show_id"),
    ("booking_requests", "show_id"),
    ("pruned_requests", "show_id"),
    ("audit", "show_id"),
)
EVERYWHERE = ("secrets", "webhooks", "event_readers", "revocations")
AT_COORDINATOR = ("alembic_version",)

# No shard can know that an id is unique among all, so this index loses that: `rowlock import` asks before it writes, and
# two imports at once of the same files are to be kept apart by whoever starts them.
_WITHOUT_UNIQUE = (
    "DROP INDEX shows_import_key",
    "CREATE INDEX shows_import_key ON shows (import_source, import_id) WHERE import_id IS NOT NULL",
)
# Nor has a spread table triggers. What they refuse, rights must refuse then (docs/decisions/0025).
_WITHOUT_TRIGGERS = (
    "DROP TRIGGER IF EXISTS audit_append_only ON audit",
    "DROP TRIGGER IF EXISTS audit_no_truncate ON audit",
)
_IS_SPREAD = "SELECT count(*) > 0 FROM pg_dist_partition WHERE logicalrelid = 'shows'::regclass"
_SPREAD = "SELECT logicalrelid::regclass::text FROM pg_dist_partition"


class NoCitusError(Exception):
    """The tables can't be spread. Its text is one line."""


async def is_spread(connection: asyncpg.Connection) -> bool:
    """Whether the tables of a database are spread."""
    found = await connection.fetchval(
        "SELECT to_regclass('pg_dist_partition') IS NOT NULL AND to_regclass('shows') IS NOT NULL"
    )
    return bool(found) and bool(await connection.fetchval(_IS_SPREAD))


async def spread_tables(connection: asyncpg.Connection) -> None:
    """Spread what is not spread yet, rows included, in the caller's transaction. Raises `NoCitusError`."""
    if not await connection.fetchval("SELECT to_regclass('pg_dist_partition') IS NOT NULL"):
        raise NoCitusError(
            "--distributed needs Citus: CREATE EXTENSION citus in this database on every node, then citus_add_node"
        )
    done = {row[0] for row in await connection.fetch(_SPREAD)}
    # Tables that were made in this very transaction can't be worked on by several connections at once.
    await connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    if "shows" not in done:
        for statement in _WITHOUT_UNIQUE:
            await connection.execute(statement)
    if "audit" not in done:
        for statement in _WITHOUT_TRIGGERS:
            await connection.execute(statement)
    for table in EVERYWHERE:
        if table not in done:
            await connection.execute("SELECT create_reference_table($1::text::regclass)", table)
    for table, column in BY_SHOW:
        if table not in done:
            beside = "none" if table == "shows" else "shows"
            await connection.execute(
                "SELECT create_distributed_table($1::text::regclass, $2, colocate_with => $3)",
                table,
                column,
                beside,
            )
