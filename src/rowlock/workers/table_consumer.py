"""The consumer of the table: claims a show's queue, and decides its requests in order.

A claim is a row lock (SKIP LOCKED), so any number of consumers may run, each at another show. The order of things: the engine
commits the bookings; then the requests are removed, and the claim ends with that. Whatever breaks between the two, the
requests are met again, and their bookings are found by their ids.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from rowlock import telemetry
from rowlock.operations.context import Context
from rowlock.operations.decide_queued import Decided, decide_in_order

log = structlog.get_logger(__name__)

# How soon a request is seen that another process has put; its own are seen at once. An idle look is one probe of an empty
# index.
POLL_SECONDS = 0.25
RETRY_SECONDS = 1.0  # after a round that failed, as where the database is away


class TableConsumer:
    """Decides what waits in the table, a show's next batch at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last_show = 0

    async def run_once(self) -> int:
        """Decide one batch of one show. Returns how many requests it had."""
        async with self._context.table.claim(self._last_show) as claim:
            if claim is None:
                return 0
            self._last_show = claim.show_id
            requests = await claim.requests()
            async with claim.kept():
                fates = await decide_in_order(self._context, requests)
            decided = []
            for queued, fate in zip(requests, fates, strict=True):
                if isinstance(fate, Decided):
                    decided.append(queued.id)
                    continue
                await claim.bury(queued.id, fate.deliveries, fate.cause)
                telemetry.QUEUE_DEAD.inc()
                log.error("queued_request_dead", booking_id=str(queued.id), cause=fate.cause)
            await claim.remove(decided)
            return len(requests)

    async def round(self) -> bool:
        """One batch, for a loop. Where there was none, wait for one for a moment; then there may be more."""
        wanted = self._context.table.wanted
        wanted.clear()
        if not await self.run_once():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wanted.wait(), POLL_SECONDS)
        return True
