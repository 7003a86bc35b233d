"""Claims: what a worker's transaction has locked, so that no other process does the same work at the same time.

Such a transaction stays open while its worker waits for somebody else: the engine, a broker, the rest of the pool.
PostgreSQL is not told when its other end goes away meanwhile: a reset or a goodbye can be lost with the network, and
a frozen process keeps its connections. So it ends a transaction that it has heard nothing of for `CLAIM_SECONDS`, and
whoever is at work says every `BEAT_SECONDS` that it is; for `CLAIM_SECONDS_MAX`, as a worker that hangs has a heart, too.

Losing a claim does no harm: whatever is claimed may be done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from rowlock.postgres.queries import load
from rowlock.tasks import retrieve

SQL = load("claims")

CLAIM_SECONDS: Final = 5.0  # a process may be slow for some seconds, where a machine has too much to do
BEAT_SECONDS: Final = 1.0
CLAIM_SECONDS_MAX: Final = 60.0


@asynccontextmanager
async def keep_claim(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Keep the connection's transaction open while something else is waited for. Nobody else may use it meanwhile.

    Raises what the driver raises where the transaction was lost.
    """
    await _stay(connection)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    beating = asyncio.create_task(_beat(connection, done), name="claim")
    beating.add_done_callback(retrieve)
    try:
        yield
    finally:
        done.set_result(None)
        await asyncio.wait([beating])
    beating.result()


async def _beat(connection: asyncpg.Connection, done: asyncio.Future[None]) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    while clock() - began < CLAIM_SECONDS_MAX:
        await asyncio.wait([done], timeout=BEAT_SECONDS)
        if done.done():
            return
        await _stay(connection)


async def _stay(connection: asyncpg.Connection) -> None:
    await connection.execute(SQL.stay, f"{CLAIM_SECONDS * 1000:.0f}", timeout=CLAIM_SECONDS)
