"""Is the database there? Asked once before anything starts, so that the answer is a line and not a traceback."""

from __future__ import annotations

import os
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import structlog

from rowlock.postgres import migrate, spread

POSTGRESQL_VERSION_MIN = 14
CONNECT_SECONDS_MAX = 10


log = structlog.get_logger(__name__)


class DatabaseError(Exception):
    """The database can't be used. Its text is one line that names the variable, the host and the port."""


async def check(dsn: str, variable: str) -> None:
    """Connect once; raises `DatabaseError` if that fails, or if what is there can't serve."""
    where = f"{variable}: PostgreSQL at {_where(dsn)}"
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX, statement_cache_size=0)
        try:
            version = connection.get_server_version().major
            read_only = await connection.fetchval("SHOW transaction_read_only") == "on"
        finally:
            await connection.close()
    except TimeoutError:
        raise DatabaseError(f"{where} can't be reached: no answer within {CONNECT_SECONDS_MAX} s") from None
    except OSError as cause:
        reason = os.strerror(cause.errno) if cause.errno and cause.errno > 0 else str(cause)
        raise DatabaseError(f"{where} can't be reached: {_without_password(reason, dsn)}") from None
    except asyncpg.PostgresError as cause:  # a wrong password, an unknown database, too many connections, …
        raise DatabaseError(f"{where} refuses us: {_without_password(str(cause), dsn)}") from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as cause:
        raise DatabaseError(
            f"{variable}: can't be understood: {_without_password(str(cause), dsn)}"
        ) from None
    if version < POSTGRESQL_VERSION_MIN:
        raise DatabaseError(f"{where} is version {version}; Rowlock needs {POSTGRESQL_VERSION_MIN} or later")
    if read_only:
        raise DatabaseError(f"{where} is read-only: a standby, or default_transaction_read_only is on")


async def check_schema(dsn: str, variable: str, *, sharded: bool = False) -> None:
    """Raises `DatabaseError` if the schema isn't the one this Rowlock was written for, or is not open to us.

    Or if its tables are spread over several nodes, and we are not told so (`sharded`).
    """
    needed = migrate.head()
    try:
        found = await migrate.current(dsn)
        missing = [] if found != needed else await _missing_privileges(dsn)
        is_spread = await _is_spread(dsn)
    except (asyncpg.PostgresError, OSError) as cause:
        raise DatabaseError(
            f"{variable}: PostgreSQL at {_where(dsn)} refuses us: {_line(str(cause))}"
        ) from None
    if found != needed:
        raise DatabaseError(
            f"{variable}: the database's schema is {found or 'missing'}, this Rowlock needs {needed}: run `rowlock migrate`"
        )
    if is_spread and not sharded:
        raise DatabaseError(
            f"{variable}: the tables are spread over several nodes, by show: set ROWLOCK_SHARDED=true"
        )
    if missing:
        raise DatabaseError(f"{variable}: its role lacks privileges: {', '.join(missing)}")


# What a server does with each table; docs/configuration.md has the statements that grant it.
_PRIVILEGES = {
    "shows": "SELECT, INSERT, UPDATE",
    "inventory": "SELECT, INSERT, UPDATE",
    "seats": "SELECT, INSERT, UPDATE",
    "bookings": "SELECT, INSERT, UPDATE, DELETE",
    "booking_queues": "SELECT, INSERT, UPDATE",
    "booking_requests": "SELECT, INSERT, UPDATE, DELETE",
    "pruned_requests": "SELECT, INSERT",
    "secrets": "SELECT",
    "audit": "SELECT, INSERT, DELETE",
    "revocations": "SELECT, INSERT, UPDATE, DELETE",
    "outbox": "SELECT, INSERT, UPDATE, DELETE",
    "event_readers": "SELECT, INSERT, DELETE",
    "webhooks": "SELECT, INSERT, UPDATE, DELETE",
    "webhook_queues": "SELECT, INSERT, UPDATE, DELETE",
    "deliveries": "SELECT, INSERT, UPDATE, DELETE",
}


async def _missing_privileges(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX, statement_cache_size=0)
    try:
        missing = [
            f"{privilege} on {table}"
            for table, privileges in _PRIVILEGES.items()
            for privilege in privileges.split(", ")
            if not await connection.fetchval("SELECT has_table_privilege($1, $2)", table, privilege)
        ]
        if not await connection.fetchval("SELECT has_sequence_privilege('show_ids', 'USAGE')"):
            missing.append("USAGE on show_ids")
        return missing
    finally:
        await connection.close()


async def _is_spread(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX, statement_cache_size=0)
    try:
        return await spread.is_spread(connection)
    finally:
        await connection.close()


async def upgrade(dsn: str, variable: str, *, distributed: bool = False) -> str:
    """Migrate; returns the schema's name. Raises `DatabaseError`, and then nothing has changed.

    `distributed`: spread the tables over the nodes of a Citus cluster, by show.
    """
    try:
        before = await migrate.current(dsn)
        await migrate.upgrade(dsn, spread=distributed)
    except spread.NoCitusError as cause:
        raise DatabaseError(f"{variable}: {cause}") from None
    except migrate.UnknownSchemaError as cause:
        raise DatabaseError(
            f"{variable}: a later Rowlock has migrated this database: {_line(str(cause))}"
        ) from None
    except asyncpg.PostgresError as cause:
        raise DatabaseError(
            f"{variable}: migrating failed, nothing was changed: {_line(str(cause))}"
        ) from cause
    if before != migrate.head():
        log.info("database migrated", before=before, now=migrate.head())
    return migrate.head()


def _where(dsn: str) -> str:
    """Host and port, or the socket's folder, as far as the address says; never its user or password."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    host = query.get("host", [unquote(parts.netloc.rpartition("@")[2])])[0] or "the default address"
    if host.startswith("/") or "," in host or parts.port is not None or ":" in host.rpartition("]")[2]:
        return host
    return f"{host}:{query.get('port', ['5432'])[0]}"


def _without_password(text: str, dsn: str) -> str:
    query = parse_qs(urlsplit(dsn).query)
    for secret in (urlsplit(dsn).password, *query.get("password", []), *query.get("passfile", [])):
        if secret:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return _line(text)


def _line(text: str) -> str:
    return " ".join(text.split())
