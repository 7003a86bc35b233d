"""Connections for long jobs of the command line: one of their own, with limits of their own.

A statement of a job may take longer than any request may. Its limits are set inside each transaction, so that it
works behind a pooler in transaction mode, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from rowlock.postgres.pool import CONNECT_SECONDS_MAX, Database

STATEMENT_SECONDS_MAX = 600  # one step of a job on tens of millions of rows; more is a job gone wrong
LOCK_SECONDS_MAX = 30  # nothing a job reads or writes is locked for long, but by a migration
IDLE_SECONDS_MAX = 120  # what a job may think between two statements, or a machine sleep

_LIMITS = f"""
SET LOCAL statement_timeout = '{STATEMENT_SECONDS_MAX}s';
SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s';
SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS_MAX}s';
SET LOCAL jit = off;
SET LOCAL work_mem = '64MB';
"""


@asynccontextmanager
async def connect_job(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection that waits as long as its statements may take."""
    connection = await asyncpg.connect(
        database.dsn,
        timeout=CONNECT_SECONDS_MAX,
        statement_cache_size=database.statement_cache,
        server_settings={"application_name": "rowlock job"},
    )
    try:
        yield connection
    finally:
        connection.terminate()


@asynccontextmanager
async def job_transaction(connection: asyncpg.Connection, *, snapshot: bool = False) -> AsyncIterator[None]:
    """A transaction with a job's limits. `snapshot`: all of it reads one instant, and it can't write."""
    isolation = "repeatable_read" if snapshot else "read_committed"
    async with connection.transaction(isolation=isolation, readonly=snapshot):
        await connection.execute(_LIMITS)
        yield
