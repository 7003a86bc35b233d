"""Migrations: bring a database's schema to the one this Rowlock was written for.

Alembic keeps the steps, their order and the bookkeeping. The steps are plain SQL (migrations/versions/), so Alembic
only writes the script from the schema a database has to ours, and asyncpg, which reads addresses, sockets and sslmode
as everywhere else in Rowlock, runs it: in one transaction that first takes an advisory lock. Several servers may
migrate at once (the second finds nothing left to do), and a failure leaves the schema as it was.

To add one: `alembic revision -m "what it does"`, then write the SQL.
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import asyncpg
import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from rowlock.postgres.spread import is_spread, spread_tables

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = int.from_bytes(b"Rowlock")  # nothing else may use this number
CONNECT_SECONDS_MAX = 10
# Whoever waits for a table's lock keeps all others from it. A reader may have a table for minutes (a backup, `rowlock
# verify`), and nothing may be unsaleable for so long: it is given up after a moment, and tried again.
LOCK_SECONDS_MAX = 2
RETRY_SECONDS = 3
TRIES_MAX = 200  # some ten minutes and more


class UnknownSchemaError(Exception):
    """The database's schema is not one this Rowlock knows: a later one has migrated it."""


def head(migrations: Path = MIGRATIONS) -> str:
    """The schema this Rowlock was written for."""
    revision = ScriptDirectory.from_config(_config(migrations)).get_current_head()
    assert revision is not None, "there are no migrations"
    return revision


async def current(dsn: str) -> str | None:
    """The schema a database has; None if it has none."""
    connection = await _connect(dsn)
    try:
        return await _current(connection)
    finally:
        await connection.close()


async def upgrade(dsn: str, migrations: Path = MIGRATIONS, *, spread: bool = False) -> None:
    """Run all migrations that a database lacks; raises `UnknownSchemaError`.

    `spread`: spread its tables over the nodes of a Citus cluster, by show. Raises `NoCitusError`. Where that was done
    before, tables that are new are spread too, whether it is asked for or not.
    """
    connection = await _connect(dsn)
    try:
        for tries in range(1, TRIES_MAX + 1):
            try:
                await _upgrade(connection, migrations, spread=spread)
            except asyncpg.LockNotAvailableError:
                if tries == TRIES_MAX:
                    raise
                log.warning("migration_waits_for_locks", tries=tries)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
    finally:
        await connection.close()


async def _upgrade(connection: asyncpg.Connection, migrations: Path, *, spread: bool) -> None:
    async with connection.transaction(isolation="read_committed"):  # sees what was committed while it waited
        await connection.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'")
        steps = script(await _current(connection), migrations)
        if steps:
            await connection.execute(steps)
        if spread or (steps and await is_spread(connection)):
            await spread_tables(connection)


def script(revision: str | None, migrations: Path = MIGRATIONS) -> str:
    """The SQL that leads from a schema to ours; empty if it is ours. Raises `UnknownSchemaError`."""
    if revision == head(migrations):
        return ""
    written = io.StringIO()
    config = _config(migrations, written)
    try:
        command.upgrade(config, f"{revision}:head" if revision else "head", sql=True)
    except CommandError as cause:
        raise UnknownSchemaError(str(cause)) from cause
    return written.getvalue()


async def _connect(dsn: str) -> asyncpg.Connection:
    # Nothing is prepared under a name, and nothing set outlives the transaction: PgBouncer may stand between.
    return await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX, statement_cache_size=0)


async def _current(connection: asyncpg.Connection) -> str | None:
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return None
    revision: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return revision


def _config(migrations: Path, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))  # configparser's own escape
    config.set_main_option("path_separator", "os")
    return config
