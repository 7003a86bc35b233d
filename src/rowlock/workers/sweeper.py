"""The sweeper: tidies up after holds, cancelled shows and old failures.

Nothing waits for it. A hold is free to anyone from the instant it lapses, because `decide` goes by the time and not
by the sweeper; what it does is settle the bookings that nobody has overtaken, put their seats back into the counts,
and so tell people. Any number may run: one at a time does the work, the others see that and go away. One that is cut off or
frozen at its work has it taken from it in seconds (postgres/claims.py).

It reads what is overdue without locks and sends Expire through the lanes like any other command. Expire takes the
seats it can have at once (FOR UPDATE SKIP LOCKED); what somebody else has locked is left for the next round.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import structlog

from rowlock import telemetry
from rowlock.domain.commands import Expire
from rowlock.domain.ids import was_queued
from rowlock.domain.outcomes import Outcome
from rowlock.engine.engine import Busy
from rowlock.operations.cancel_show import settle_some
from rowlock.operations.context import Context
from rowlock.postgres.claims import keep_claim
from rowlock.postgres.queries import load

log = structlog.get_logger(__name__)

SHARDED = load("sharded")
SHOWS = load("shows")
BOOKINGS = load("bookings")
AUDIT = load("audit")
REVOCATIONS = load("revocations")
QUEUE = load("queue")

SWEEP_AT_ONCE = 500  # read together
SWEEP_TOGETHER = 50  # sent together: short locks
# While buyers are served, too, the sweep rests so many times as long as it has just worked. They feel it a sixth of the
# time: nothing waits for the sweeper, for a hold that has lapsed is free already.
RESTS = 5
REST_SECONDS_MAX = 1.0  # a round is to end within a minute (loop.py), with some ten rests
PRUNE_AT_ONCE = 1_000
LEADER_LOCK = int.from_bytes(b"rowsweep")  # an advisory lock; nothing else may use this number


class Swept(msgspec.Struct, frozen=True):
    """What a round did."""

    expired: int = 0
    pruned: int = 0
    unsettled: bool = False  # a cancelled show still has bookings

    @property
    def more(self) -> bool:
        """Whether a next round would find something at once."""
        return self.unsettled or self.expired >= SWEEP_AT_ONCE or self.pruned >= PRUNE_AT_ONCE


class Sweeper:
    """Sweeps overdue holds, goes on with cancelled shows, prunes FAILED bookings older than `keep_failed_days`.

    And what of the audit trail is older than `keep_audit_days`.
    """

    def __init__(self, context: Context, keep_failed_days: float, keep_audit_days: float = 36_500) -> None:
        self._context = context
        self._keep_failed_days = keep_failed_days
        self._keep_audit_days = keep_audit_days

    async def run_once(self) -> Swept:
        """One round. Does nothing while another process is at it."""
        async with self._context.pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(BOOKINGS.try_lead, LEADER_LOCK):
                return Swept()
            async with keep_claim(connection):
                expired, settled = await self._expire(), await self._settle()
                await self._prune_records()
                return Swept(expired, await self._prune(), not settled)

    async def round(self) -> bool:
        """One round, for a loop: whether there is more to do."""
        return (await self.run_once()).more

    async def _expire(self) -> int:
        rows = await self._context.pool.fetch(BOOKINGS.to_release, SWEEP_AT_ONCE)
        clock = asyncio.get_running_loop().time
        expired = 0
        for first in range(0, len(rows), SWEEP_TOGETHER):
            began = clock()
            commands = [
                Expire(row["show_id"], row["id"], tuple(row["seats"]))
                for row in rows[first : first + SWEEP_TOGETHER]
            ]
            expired += sum(await asyncio.gather(*map(self._submit, commands)))
            if self._context.engine.working:
                await self._rest(clock() - began)
        telemetry.HOLDS_EXPIRED.inc(expired)
        return expired

    @staticmethod
    async def _rest(worked_seconds: float) -> None:
        await asyncio.sleep(min(RESTS * worked_seconds, REST_SECONDS_MAX))

    async def _submit(self, command: Expire) -> bool:
        try:
            decision = await self._context.engine.submit(command)
        except Busy:
            return False  # buyers come first; the next round will do
        except Exception as error:  # one that can't be swept must not keep the others from it
            log.error("hold_not_swept", show_id=command.show_id, error=repr(error))
            return False
        return decision.outcome is Outcome.EXPIRED

    async def _settle(self) -> bool:
        """Go on with a show whose cancelling was cut short. Returns whether there is none."""
        show_id = await self._context.pool.fetchval(SHOWS.settling)
        if show_id is None:
            return True
        try:
            return await settle_some(self._context, show_id)
        except Exception as error:
            log.error("show_not_settled", show_id=show_id, error=repr(error))
            return True  # not at once, that is

    async def _prune_records(self) -> None:
        """Remove what is too old of revocations and of the audit trail; where that fails, the rest goes on."""
        try:
            await self._context.pool.execute(REVOCATIONS.prune_revocations)
            await self._context.pool.execute(AUDIT.prune_audit, self._keep_audit_days)
        except Exception as error:
            log.error("records_not_pruned", error=repr(error))

    async def _prune(self) -> int:
        if self._context.sharded:
            count = await self._prune_by_show()
            telemetry.BOOKINGS_PRUNED.inc(count)
            return count
        async with self._context.pool.acquire() as connection, connection.transaction():
            pruned = await connection.fetch(BOOKINGS.prune_failed, self._keep_failed_days, PRUNE_AT_ONCE)
            queued = [row for row in pruned if self._must_be_remembered(row)]
            if queued:
                await connection.execute(
                    QUEUE.remember_pruned, [row["show_id"] for row in queued], [row["id"] for row in queued]
                )
        telemetry.BOOKINGS_PRUNED.inc(len(pruned))
        return len(pruned)

    async def _prune_by_show(self) -> int:
        """What `_prune` does, a transaction a show: none has to hold on several nodes at once."""
        by_show: dict[int, list[UUID]] = {}
        for row in await self._context.pool.fetch(SHARDED.old_failed, self._keep_failed_days, PRUNE_AT_ONCE):
            by_show.setdefault(row["show_id"], []).append(row["id"])
        count = 0
        for show_id, identifiers in by_show.items():
            async with self._context.pool.acquire() as connection, connection.transaction():
                pruned = await connection.fetch(SHARDED.prune_failed, show_id, identifiers)
                for row in pruned:
                    if self._must_be_remembered(row):
                        await connection.execute(SHARDED.remember_pruned, show_id, row["id"])
            count += len(pruned)
        return count

    def _must_be_remembered(self, row: Any) -> bool:
        """Whether the id of a pruned booking was queued at a broker: it would read as if it still were.

        The table knows what waits in it.
        """
        by_id = not self._context.queue.in_database
        return by_id and was_queued(self._context.ids_secret, row["id"], row["user_id"])
