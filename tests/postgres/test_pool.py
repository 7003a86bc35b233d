"""Connections and their limits."""

from __future__ import annotations

import asyncpg
import pytest

from rowlock.postgres.pool import Database, connect_lane, connect_listener, connect_worker, create_pool

pytestmark = pytest.mark.anyio

GIVES_UP = "SELECT reset_val FROM pg_settings WHERE name = 'tcp_user_timeout'"


def ignore(connection: asyncpg.Connection, message: object) -> None:
    """A lane's notices."""


async def test_no_session_sends_for_ever_to_a_machine_that_is_gone(empty_dsn: str) -> None:
    """What it has locked would stay so for a quarter of an hour: no other limit ends a session that is sending."""
    database = Database(empty_dsn, statement_timeout=7, idle_in_transaction=2)
    pool = await create_pool(database)
    found = [await pool.fetchval(GIVES_UP)]
    await pool.close()
    for connection in (
        await connect_worker(database),
        await connect_listener(database),
        await connect_lane(database, ignore),
    ):
        found.append(await connection.fetchval(GIVES_UP))
        await connection.close()
    assert found == ["12000", "12000", "12000", "2000"]


async def test_without_limits_the_networks_own_holds(empty_dsn: str) -> None:
    """An operator who asked for none could not connect."""
    connection = await connect_worker(Database(empty_dsn, statement_timeout=0))
    assert await connection.fetchval(GIVES_UP) == "0"
    await connection.close()
