"""What the operations work with: opened once by the composition root, and handed to each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from rowlock.brokers.booking_queues import declare_all
from rowlock.brokers.rabbitmq import RabbitMQ
from rowlock.engine.engine import Engine
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.queue_table import TableQueue
from rowlock.operations.queueing import BookingQueue
from rowlock.operations.sealing import Sealer
from rowlock.postgres.pool import Database, create_pool
from rowlock.postgres.queries import load
from rowlock.seatmap.feed import PostgresFeed
from rowlock.seatmap.live import Live
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans

SQL = load("bookings")


@dataclass(frozen=True, slots=True)
class Context:
    """The pool (for reading), the engine (for every change to a seat), and what is remembered.

    `ids_secret` is the key in the database that booking ids of idempotent requests are hashed with, and cursors sealed.
    `hold_seconds` is for shows that set none of their own. `queue` takes bookings that are to be decided later; it is
    `table` where there is no broker. `events`: whether what happens is written to the outbox. `sealer` seals the secrets
    of webhooks, which lead to private addresses only if `allow_private_webhooks`.
    """

    pool: asyncpg.Pool
    engine: Engine
    plans: Plans
    maps: Maps
    live: Live
    ids_secret: bytes
    hold_seconds: int
    events: bool
    sealer: Sealer
    allow_private_webhooks: bool
    queue: BookingQueue
    table: TableQueue


@asynccontextmanager
async def open_context(
    database: Database,
    *,
    lanes: int = 2,
    hold_seconds: int = 120,
    events: bool = True,
    secret_key: str | None = None,
    allow_private_webhooks: bool = False,
    amqp_url: str | None = None,
) -> AsyncIterator[Context]:
    """Everything the operations work with, open; drained and closed at the end.

    `secret_key` is what the secrets of webhooks are sealed with; without one, as in demo mode, a key of the database's.
    """
    async with AsyncExitStack() as stack:
        pool = await create_pool(database)
        stack.push_async_callback(pool.close)
        plans = Plans(pool)
        maps = Maps(pool)
        feed = PostgresFeed(database, pool, maps)
        await feed.start()
        stack.push_async_callback(feed.stop)
        live = Live(maps)
        stack.callback(live.close)
        engine = Engine(database, plans, maps, feed, lanes=lanes, hold_seconds=hold_seconds, events=events)
        engine.start()
        stack.push_async_callback(engine.close)
        ids_secret = await pool.fetchval(SQL.ids_secret)
        table = TableQueue(pool)
        queue: BookingQueue = table
        if amqp_url is not None:
            broker = RabbitMQ(amqp_url, "rowlock", declare_all)
            broker.start()
            stack.push_async_callback(broker.stop)
            queue = BrokerQueue(broker, table)
        yield Context(
            pool=pool,
            engine=engine,
            plans=plans,
            maps=maps,
            live=live,
            ids_secret=ids_secret,
            hold_seconds=hold_seconds,
            events=events,
            sealer=Sealer(secret_key.encode() if secret_key else ids_secret),
            allow_private_webhooks=allow_private_webhooks,
            queue=queue,
            table=table,
        )
