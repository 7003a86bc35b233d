"""Deliveries: events on their way to webhooks, signed, of each show in order, at least once.

 1. What a webhook is to be told of one show waits in a queue of its own (the table webhook_queues). An event that fails
    holds back those after it in its queue, and nothing else: other shows and other webhooks go on.
 2. A queue is claimed by a lease: its `due_at` lies in the future for as long as somebody is at it. A worker that dies
    lets it run out. No transaction is open, and no connection held, while a receiver is waited for.
 3. An attempt takes at most ten seconds. After a failure the queue waits, ever longer, and tries the same event again,
    for a day from when it was queued. Then that event has FAILED, and the next one is tried.
 4. What is done is written down after the answer. Between the two a worker may die: the event is then sent again, with
    the same id.
 5. A webhook that has failed for days and has not once worked, or that answers 410 Gone, is switched off, with a notice.

Of a webhook, WEBHOOK_SLOTS queues are worked on at a time: a receiver that hangs costs these, and no others'.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from standardwebhooks import Webhook

from rowlock import telemetry
from rowlock.operations.context import Context
from rowlock.operations.events import CONTENT_TYPE, event_id
from rowlock.operations.sealing import CannotOpen
from rowlock.postgres.queries import load
from rowlock.workers.loop import Loop
from rowlock.workers.outgoing import ATTEMPT_SECONDS_MAX, Answer, Outgoing

log = structlog.get_logger(__name__)
SQL = load("webhooks")

LOOK_SECONDS: Final = 0.25  # between looks for queues that are due
SLOTS: Final = 64  # queues that a process works on at a time
WEBHOOK_SLOTS: Final = 8  # of them, for one webhook
PAGE: Final = 20  # deliveries read together
LEASE_SECONDS: Final = 30.0  # longer than an attempt and its record can take, twice over
RETRY_SECONDS_FIRST: Final = 5.0
RETRY_SECONDS_MAX: Final = 3600.0  # 5 s, 10 s, 20 s, … 1 h, 1 h: some 30 attempts in a day
RETRY_SECONDS_TOTAL: Final = 86_400.0
STOP_SECONDS_MAX: Final = (
    4.0  # for attempts under way when the end comes; then they are cut off, and made again
)
GONE: Final = 410

Row = Mapping[str, Any]


def backoff(attempts: int) -> float:
    """How long to wait after so many attempts, in seconds; not the same for all, lest they all come at once."""
    pause = RETRY_SECONDS_FIRST * 2.0 ** min(attempts - 1, 20)
    return float(min(pause, RETRY_SECONDS_MAX)) * random.uniform(0.8, 1.2)


class Deliverer:
    """Delivers, under the shutdown contract of `workers/loop.py`."""

    def __init__(
        self,
        context: Context,
        *,
        disable_days: float,
        retry_seconds_total: float = RETRY_SECONDS_TOTAL,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._context = context
        self._outgoing = Outgoing(allow_private=context.allow_private_webhooks)
        self._disable_seconds = disable_days * 86_400
        self._retry_seconds_total = retry_seconds_total
        self._loop = Loop("deliveries", self.round, look_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: Counter[int] = Counter()
        self._stopping = False

    def start(self) -> None:
        """Begin, in the background."""
        self._loop.start()

    async def stop(self) -> None:
        """Begin no attempt, wait for those under way, and give the queues back. May be called again."""
        self._stopping = True
        await self._loop.stop()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=STOP_SECONDS_MAX)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self._outgoing.close()

    async def idle(self) -> None:
        """Wait for what is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def round(self) -> bool:
        """Take what is due, and begin with it. There is never more to do at once: a queue is worked on until it is empty."""
        pool = self._context.pool
        free = SLOTS - len(self._tasks)
        if free <= 0:
            return False
        targets = [row["id"] for row in await pool.fetch(SQL.targets)]
        ids = [
            one for one in random.sample(targets, len(targets)) if self._free(one) > 0
        ]  # nobody is always first
        if ids:
            for claim in await pool.fetch(
                SQL.claim, ids, [self._free(one) for one in ids], LEASE_SECONDS, free
            ):
                self._begin(claim["webhook_id"], self._work_on(claim))
        free = SLOTS - len(self._tasks)
        if free > 0:
            busy = list(+self._busy)
            for row in await pool.fetch(
                SQL.requested, free, LEASE_SECONDS, WEBHOOK_SLOTS, busy, [self._free(one) for one in busy]
            ):
                self._begin(row["webhook_id"], self._once_more(row))
        return False

    def _free(self, webhook_id: int) -> int:
        """How many slots a webhook has left."""
        return WEBHOOK_SLOTS - self._busy[webhook_id]

    def _begin(self, webhook_id: int, work: Any) -> None:
        task = asyncio.create_task(self._guarded(work), name=f"delivery to webhook {webhook_id}")
        self._tasks.add(task)
        self._busy[webhook_id] += 1

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._busy[webhook_id] -= 1

        task.add_done_callback(ended)

    @staticmethod
    async def _guarded(work: Any) -> None:
        try:
            await work
        except Exception as error:  # the database, mostly: the lease runs out, and somebody goes on
            log.warning("delivery_interrupted", error=repr(error))

    async def _work_on(self, claim: Row) -> None:
        """Deliver what is in a queue, one after the other, until it is empty, one fails, or we are to stop."""
        pool = self._context.pool
        show_id, webhook_id, done = claim["show_id"], claim["webhook_id"], claim["done_seq"]
        clock = asyncio.get_running_loop().time
        leased_until = clock() + LEASE_SECONDS
        pause = 0.0
        try:
            while not self._stopping:
                target = await pool.fetchrow(SQL.target, webhook_id)
                rows = await pool.fetch(SQL.pending, show_id, webhook_id, done, PAGE)
                if target is None or not target["active"]:
                    return
                if not rows:  # or they were pruned
                    done = max(done, claim["queued_seq"])
                    return
                for row in rows:
                    if row["status"] == "pending":
                        if self._stopping:
                            return
                        if clock() > leased_until - 2 * ATTEMPT_SECONDS_MAX:
                            await pool.execute(SQL.extend, show_id, webhook_id, LEASE_SECONDS)
                            leased_until = clock() + LEASE_SECONDS
                        wait = await self._deliver(show_id, target, row)
                        if wait is not None:
                            pause = wait
                            return
                    done = row["seq"]
        except Exception:
            pause = RETRY_SECONDS_FIRST  # whatever it was, it is not to be met again at once
            raise
        finally:
            await pool.execute(SQL.advance, show_id, webhook_id, done, pause)

    async def _deliver(self, show_id: int, target: Row, row: Row) -> float | None:
        """One attempt. Returns how long to wait before the next one of the same event; None: on to the next event."""
        answer = await self._attempt(show_id, target, row)
        if answer.delivered:
            await self._record(show_id, target, row, answer, "delivered")
            return None
        late = (row["clock"] - row["created_at"]).total_seconds() >= self._retry_seconds_total
        await self._record(show_id, target, row, answer, "failed" if late else "pending")
        return None if late else max(backoff(row["attempts"] + 1), answer.retry_after_seconds)

    async def _once_more(self, row: Row) -> None:
        """One attempt that somebody asked for, whatever became of the event before, and of the webhook."""
        target = await self._context.pool.fetchrow(SQL.target, row["webhook_id"])
        if target is None:
            return
        answer = await self._attempt(row["show_id"], target, row)
        await self._record(
            row["show_id"], target, row, answer, "delivered" if answer.delivered else row["status"]
        )

    async def _attempt(self, show_id: int, target: Row, row: Row) -> Answer:
        identifier = event_id(show_id, row["seq"])
        try:
            secret = self._context.sealer.open(target["secret"])
        except CannotOpen as error:
            return Answer(error=f"{error}: give this webhook a new one")
        now = datetime.now(UTC)
        return await self._outgoing.post(
            target["url"],
            {
                "Content-Type": CONTENT_TYPE,
                "webhook-id": identifier,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(secret).sign(identifier, now, row["body"].decode()),
            },
            row["body"],
        )

    async def _record(self, show_id: int, target: Row, row: Row, answer: Answer, status: str) -> None:
        pool = self._context.pool
        await pool.execute(
            SQL.record, show_id, target["id"], row["seq"], status, answer.status, answer.text, answer.error
        )
        if answer.delivered:
            telemetry.WEBHOOK_ATTEMPTS.labels("delivered").inc()
            if target["failing_since"] is not None:
                await pool.execute(SQL.well, target["id"])
            return
        telemetry.WEBHOOK_ATTEMPTS.labels("dead" if status == "failed" else "failed").inc()
        log.info(
            "webhook_failed",
            webhook=target["id"],
            event_id=event_id(show_id, row["seq"]),
            error=answer.error,
        )
        gone = answer.status == GONE
        days = self._disable_seconds / 86_400
        why = "the receiver answered 410 Gone" if gone else f"nothing was delivered for {days:g} days"
        notice = f"Switched off: {why}. The last attempt: {answer.error}."
        on = await pool.fetchval(SQL.failing, target["id"], self._disable_seconds, gone, notice)
        if on is False:
            telemetry.WEBHOOKS_DISABLED.inc()
            log.warning("webhook_disabled", webhook=target["id"], notice=notice)
