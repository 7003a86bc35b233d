"""The queue without a broker: a table in PostgreSQL.

It is as safe as the bookings themselves, and needs nothing beside them; while PostgreSQL is down it takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from rowlock.domain.ids import show_of
from rowlock.operations.queueing import (
    BATCH_REQUESTS_MAX,
    DeadLetter,
    Depth,
    QueuedRequest,
    QueueFull,
    decode,
    encode,
)
from rowlock.postgres.claims import keep_claim
from rowlock.postgres.queries import load

SQL = load("queue")
SHARDED = load("sharded")

# More than the seats of any hall: whoever comes later has hardly a chance, and is better told so at once.
QUEUED_REQUESTS_MAX = 100_000
# How old the count may be that this is judged by. What a process itself has put since is added to it.
DEPTH_SECONDS_MAX = 1.0
RETRY_AFTER_SECONDS = 5
WHERE = "the table"
# Where tables are spread by show, the shows that have requests waiting are tried one by one, so many at most in a turn.
SHOWS_LOOKED_AT_MAX = 20


class Claim:
    """A show's queue, locked in a transaction: nobody else decides its requests meanwhile."""

    def __init__(self, connection: asyncpg.Connection, show_id: int) -> None:
        self._connection = connection
        self.show_id = show_id

    async def requests(self) -> list[QueuedRequest]:
        """The next requests, in order. (Another show's consumer never reads them, so none needs a lock.)"""
        rows = await self._connection.fetch(SQL.next_requests, self.show_id, BATCH_REQUESTS_MAX)
        return [_from_row(row) for row in rows]

    def kept(self) -> AbstractAsyncContextManager[None]:
        """Keep the claim while the engine decides. Where it is lost, another consumer takes over; nothing else is lost."""
        return keep_claim(self._connection)

    async def remove(self, identifiers: Sequence[UUID]) -> None:
        """Take away requests whose bookings are committed."""
        await self._connection.execute(SQL.remove, self.show_id, identifiers)

    async def bury(self, identifier: UUID, deliveries: int, cause: str) -> None:
        """Make a request a dead letter."""
        await self._connection.execute(SQL.bury, self.show_id, identifier, deliveries, cause)


class TableQueue:
    """The table `booking_requests`."""

    in_database = True

    def __init__(self, pool: asyncpg.Pool, *, sharded: bool = False) -> None:
        self._pool = pool
        self._sharded = sharded
        self._depth: Depth | None = None
        self._measured = 0.0
        self._put_since = 0
        self.wanted = asyncio.Event()
        """Set whenever this process has put something: its own consumer need not wait to look."""

    async def put(self, queued: QueuedRequest) -> QueuedRequest:
        """See `BookingQueue`."""
        await self._check_room()
        show_id = queued.request.show_id
        while True:
            queued_at = await self._pool.fetchval(
                SQL.add, show_id, queued.id, queued.request.user_id, encode(queued), queued.request_hash
            )
            if queued_at is not None:
                self._put_since += 1
                self.wanted.set()
                return msgspec.structs.replace(queued, queued_at=queued_at)
            earlier = await self.find(queued.id)
            if earlier is not None:  # else it was decided just now, and is put again: its row will answer
                return earlier

    async def find(self, identifier: UUID) -> QueuedRequest | None:
        """See `BookingQueue`."""
        row = await self._pool.fetchrow(SQL.find, show_of(identifier), identifier)
        return None if row is None else _from_row(row)

    async def depth(self) -> Depth:
        """See `BookingQueue`."""
        self._put_since = 0
        self._measured = asyncio.get_running_loop().time()
        row = await self._pool.fetchrow(SQL.depth)
        self._depth = Depth(row["waiting"], row["dead"])
        return self._depth

    def claim(self, after: int) -> AbstractAsyncContextManager[Claim | None]:
        """Claim a show's queue, the next one after show `after`; None where nothing is to be done."""
        return self._claim(after)

    @asynccontextmanager
    async def _claim(self, after: int) -> AsyncIterator[Claim | None]:
        async with self._pool.acquire() as connection, connection.transaction():
            show_id = await self._claimed(connection, after)
            yield None if show_id is None else Claim(connection, show_id)

    async def _claimed(self, connection: asyncpg.Connection, after: int) -> int | None:
        """The show whose queue is locked now."""
        if not self._sharded:
            show_id: int | None = await connection.fetchval(SQL.claim, after)
            return show_id
        for row in await connection.fetch(SHARDED.shows_with_requests, after, SHOWS_LOOKED_AT_MAX):
            show_id = await connection.fetchval(SHARDED.claim_requests, row["show_id"])
            if show_id is not None:
                return show_id
        return None

    async def dead_letters(self, limit: int, identifiers: Sequence[UUID] | None = None) -> list[DeadLetter]:
        """Dead letters, the oldest first."""
        rows = await self._pool.fetch(SQL.dead, limit, identifiers)
        return [
            DeadLetter(WHERE, row["cause"], row["deliveries"], row["dead_at"], _from_row(row)) for row in rows
        ]

    async def revive(self, queued: QueuedRequest) -> bool:
        """Put a dead letter back; whether it was there."""
        revived = await self._pool.fetchval(SQL.revive, queued.request.show_id, queued.id)
        return revived is not None

    async def discard(self, queued: QueuedRequest) -> None:
        """Take a dead letter away for good, after its booking was written as FAILED."""
        await self._pool.execute(SQL.remove, queued.request.show_id, [queued.id])

    async def _check_room(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._depth is None or now - self._measured > DEPTH_SECONDS_MAX:
            await self.depth()
        assert self._depth is not None
        if self._depth.waiting + self._put_since >= QUEUED_REQUESTS_MAX:
            raise QueueFull("too many bookings are queued", RETRY_AFTER_SECONDS)


def _from_row(row: Any) -> QueuedRequest:
    return msgspec.structs.replace(decode(row["request"]), queued_at=row["queued_at"])
