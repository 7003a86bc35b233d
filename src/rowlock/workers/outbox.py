"""The outbox's workers: events on their way out, of each show in order, at least once.

Two stages, which don't wait for each other: `Queueing` hands events to the webhooks, which is a matter of the database
alone; `Publishing` sends them to the broker, if there is one. Each marks the rows that are done in the transaction
that it claimed their shows in.

 1. A show is claimed by an advisory lock of the transaction: any number of workers may run, a show has one at a time,
    and a worker that dies has nothing claimed.
 2. Rows are read by a statement after the one that claimed: what the last one to have the show marked is seen.
 3. Rows are taken in order of their numbers, from the lowest that is not done. None below can come later: they are
    written under the lock of the show's inventory row (see engine/telling.py).
    What nobody was to read when it was written is done already, and no stage ever sees it (sql/batch.sql).
 4. What was sent, and could not be marked, is sent again, with the same ids.

A worker has a connection of its own, so that waiting for the broker takes none from those who read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg
import structlog

from rowlock import telemetry
from rowlock.operations.context import Context
from rowlock.operations.events import Spelled, spell_out
from rowlock.operations.webhooks import Subscriptions
from rowlock.postgres.claims import keep_claim
from rowlock.postgres.pool import Database, connect_worker
from rowlock.postgres.queries import load
from rowlock.workers.loop import Loop, Worker

log = structlog.get_logger(__name__)
SQL = load("outbox")

SHOWS_AT_ONCE = 20  # claimed together, so that many shows with an event each are one transaction, not many
ROWS_AT_ONCE = 10  # of a show: a row is a batch, of 200 bookings at most
EVENTS_AT_ONCE = 2_000  # of a round: some MB in memory, a second or so of work
PRUNE_AT_ONCE = 1_000
PRUNE_OF_SHOW = 100  # rows that are looked at of each show
LAG_SHOWS_MAX = 1_000  # so many shows with something to do are looked at for the lag

Rows = Sequence[Any]


class Exchange(Protocol):
    """Where events are published."""

    async def publish(self, events: Sequence[Spelled]) -> list[bool]:
        """Publish in this order. Returns for each whether the broker has it for sure. What it has not may have arrived."""


class Stage:
    """A stage as a worker: its rounds, and what it needs beside the database, which is started first and stopped last."""

    def __init__(self, name: str, stage: _Stage, pause_seconds: float, needs: Worker | None = None) -> None:
        self._loop = Loop(name, stage.round, pause_seconds)
        self._stage = stage
        self._needs = needs

    def start(self) -> None:
        """Begin, in the background."""
        if self._needs is not None:
            self._needs.start()
        self._loop.start()

    async def stop(self) -> None:
        """Stop as the contract says. May be called again."""
        await self._loop.stop()
        await self._stage.close()
        if self._needs is not None:
            await self._needs.stop()


class _Stage(ABC):
    """What the two stages share: a connection, a transaction with claimed shows, and whose turn it is."""

    def __init__(self, context: Context, database: Database) -> None:
        self._context = context
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._after = 0  # the shows above this one are next, so that none is served twice before all are once

    @abstractmethod
    async def round(self) -> bool:
        """One round. Returns whether there may be more at once."""

    async def close(self) -> None:
        """Give up the connection. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[asyncpg.Connection]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect_worker(self._database)
        connection = self._connection
        try:
            await connection.execute(self._database.begin())
            yield connection
            await connection.execute("COMMIT")
        except BaseException:
            # Whatever it was, closing ends the transaction and gives back the claims; the next round connects anew.
            await self.close()
            raise

    async def _claimed(self, connection: asyncpg.Connection, claim: str, read: str) -> Rows:
        """The rows of shows that are now claimed, up to the bounds: of each show the first ones."""
        shows = [row["show_id"] for row in await connection.fetch(claim, self._after, SHOWS_AT_ONCE)]
        self._after = shows[-1] if len(shows) == SHOWS_AT_ONCE else 0
        if not shows:
            return []
        rows = await connection.fetch(read, shows, ROWS_AT_ONCE)
        taken: list[Any] = []
        events = 0
        for row in rows:
            if events >= EVENTS_AT_ONCE:
                self._after = row["show_id"] - 1  # its turn is next
                break
            taken.append(row)
            events += row["events"]
        return taken

    async def _spell_out(self, rows: Rows, source: str) -> list[tuple[Any, list[Spelled]]]:
        """The rows with their events. One that can't be spelled out stays, with what follows it of its show."""
        spelled: list[tuple[Any, list[Spelled]]] = []
        stuck: set[int] = set()
        for row in rows:
            if row["show_id"] in stuck:
                continue
            try:
                spelled.append((row, await spell_out(self._context, row, source)))
            except Exception:
                if self._connection is None or self._connection.is_closed():
                    raise
                stuck.add(row["show_id"])
                telemetry.EVENTS_STUCK.inc()
                log.exception("events_not_spelled_out", show_id=row["show_id"], seq=row["seq"])
        return spelled


class Queueing(_Stage):
    """Hands events to the webhooks that want them; `publishes` says whether a broker is to have them too."""

    def __init__(self, context: Context, database: Database, source: str, *, publishes: bool) -> None:
        super().__init__(context, database)
        self._source = source
        self._publishes = publishes

    async def round(self) -> bool:
        """One round. Returns whether there may be more."""
        async with self._transaction() as connection:
            rows = await self._claimed(connection, SQL.claim_to_queue, SQL.to_queue)
            if not rows:
                return False
            subscriptions = await Subscriptions.read(connection)
            if subscriptions:
                spelled = await self._spell_out(rows, self._source)
                rows = [row for row, _ in spelled]
                await subscriptions.queue(connection, [event for _, events in spelled for event in events])
            done = ([row["show_id"] for row in rows], [row["seq"] for row in rows])
            await connection.execute(SQL.queued, *done, not self._publishes)
        telemetry.EVENTS.labels("queued").inc(sum(row["events"] for row in rows))
        return bool(rows)


class Publishing(_Stage):
    """Publishes events to the broker."""

    def __init__(self, context: Context, database: Database, source: str, exchange: Exchange) -> None:
        super().__init__(context, database)
        self._source = source
        self._exchange = exchange

    async def round(self) -> bool:
        """One round. Returns whether there may be more; not where the broker is in trouble: it is not to be hurried."""
        async with self._transaction() as connection:
            rows = await self._claimed(connection, SQL.claim_to_publish, SQL.to_publish)
            if not rows:
                return False
            async with keep_claim(connection):
                spelled = await self._spell_out(rows, self._source)
                confirmed = await self._exchange.publish([event for _, events in spelled for event in events])
            done = _done(spelled, confirmed)
            await connection.execute(
                SQL.published, [row["show_id"] for row in done], [row["seq"] for row in done]
            )
        telemetry.EVENTS.labels("published").inc(sum(row["events"] for row in done))
        return bool(spelled) and len(done) == len(spelled)


def _done(spelled: Sequence[tuple[Any, list[Spelled]]], confirmed: Sequence[bool]) -> list[Any]:
    """The rows whose events were confirmed, all of them and those of all rows of their show before them.

    A row of which only a part was confirmed is sent again as a whole.
    """
    done = []
    stuck: set[int] = set()
    first = 0
    for row, events in spelled:
        if not all(confirmed[first : first + len(events)]):
            stuck.add(row["show_id"])
        elif row["show_id"] not in stuck:
            done.append(row)
        first += len(events)
    return done


class Keeping:
    """Prunes what is done and old, and measures what is not done; `publishes` says whether there is a broker."""

    def __init__(self, context: Context, keep_days: float, *, publishes: bool) -> None:
        self._context = context
        self._keep_days = keep_days
        self._publishes = publishes

    async def round(self) -> bool:
        """One round of pruning. Returns whether there is more."""
        days = self._keep_days
        forgone = 0
        if self._publishes:
            await self._execute(SQL.broker_reads)
        else:
            await self._execute(SQL.broker_reads_no_more)
            # From when there was a broker: nobody would publish them any more, nor anything behind them be pruned.
            forgone = await self._execute(SQL.forgo_broker, PRUNE_AT_ONCE)
        events = await self._execute(SQL.prune, days, PRUNE_AT_ONCE, PRUNE_OF_SHOW)
        telemetry.EVENTS_PRUNED.inc(events)
        deliveries = await self._execute(SQL.prune_deliveries, days, PRUNE_AT_ONCE)
        queues = await self._execute(SQL.prune_queues, days, PRUNE_AT_ONCE)
        return events >= PRUNE_OF_SHOW or max(forgone, deliveries, queues) >= PRUNE_AT_ONCE

    async def _execute(self, query: str, *values: object) -> int:
        tag: str = await self._context.pool.execute(query, *values)
        return int(tag.rsplit(" ", 1)[1])

    async def measure(self) -> bool:
        """Set the gauges."""
        row = await self._context.pool.fetchrow(SQL.lag, LAG_SHOWS_MAX)
        telemetry.EVENTS_LAG.labels("queued").set(max(row["to_queue"] or 0, 0))
        telemetry.EVENTS_LAG.labels("published").set(max(row["to_publish"] or 0, 0))
        return False
