"""What the operations work with: opened once by the composition root, and handed to each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b

import asyncpg

from rowlock.brokers.booking_queues import declare_all
from rowlock.brokers.rabbitmq import RabbitMQ
from rowlock.brokers.redis import Link
from rowlock.brokers.redis_feed import RedisBroadcast
from rowlock.brokers.redis_maps import RedisMaps
from rowlock.domain.fair_play import FairPlay
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
from rowlock.seatmap.shared import SharedMaps

SQL = load("bookings")
NAMES = load("installation")
OUTBOX = load("outbox")
CLOSE_SECONDS_MAX = 2.0  # for readings under way; all stopping together must take less than the parent waits


@dataclass(frozen=True, slots=True)
class Context:
    """The pool (for reading), the engine (for every change to a seat), and what is remembered.

    `ids_secret` is the key in the database that booking ids of idempotent requests are hashed with, and cursors sealed.
    `hold_seconds` is for shows that set none of their own. `queue` takes bookings that are to be decided later; it is
    `table` where there is no broker. `events`: whether what happens is written to the outbox. `sealer` seals the secrets
    of webhooks, which lead to private addresses only if `allow_private_webhooks`. `redis` is there where one
    is configured, up or not. `sharded`: tables are spread by show, and what is done is done show by show.
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
    redis: Link | None = None
    sharded: bool = False


@asynccontextmanager
async def open_context(
    database: Database,
    *,
    lanes: int = 2,
    hold_seconds: int = 120,
    events: bool = True,
    secret_keys: Sequence[str] = (),
    allow_private_webhooks: bool = False,
    amqp_url: str | None = None,
    redis_url: str | None = None,
    fair_play: FairPlay | None = None,
) -> AsyncIterator[Context]:
    """Everything the operations work with, open; drained and closed at the end.

    `secret_keys` are what the secrets of webhooks are sealed with; without any, as in demo mode, a key of the database's.
    """
    async with AsyncExitStack() as stack:
        pool = await create_pool(database)
        stack.push_async_callback(_close, pool)
        ids_secret: bytes = await pool.fetchval(SQL.ids_secret)
        link = None
        if redis_url is not None:
            link = Link(redis_url, f"rowlock:{await _installation(pool, ids_secret)}:", ids_secret)
            await link.start()
            stack.push_async_callback(link.stop)
        plans = Plans(pool)
        shared = SharedMaps(RedisMaps(link), pool, sharded=database.sharded) if link is not None else None
        maps = Maps(pool, shared, on_set_back=plans.clear, sharded=database.sharded)
        stack.push_async_callback(maps.close)
        feed = PostgresFeed(database, pool, maps, RedisBroadcast(link) if link is not None else None)
        await feed.start()
        stack.push_async_callback(feed.stop)
        live = Live(maps)
        stack.callback(live.close)
        engine = Engine(
            database,
            plans,
            maps,
            feed,
            lanes=lanes,
            hold_seconds=hold_seconds,
            events=events,
            fair_play=fair_play,
        )
        engine.start()
        stack.push_async_callback(engine.close)
        table = TableQueue(pool, sharded=database.sharded)
        queue: BookingQueue = table
        if amqp_url is not None:
            await pool.execute(OUTBOX.broker_reads)  # before anything happens that it is to be told of
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
            sealer=Sealer(*(key.encode() for key in secret_keys)) if secret_keys else Sealer(ids_secret),
            allow_private_webhooks=allow_private_webhooks,
            queue=queue,
            table=table,
            redis=link,
            sharded=database.sharded,
        )


async def _close(pool: asyncpg.Pool) -> None:
    """Close it; what is still being read then is nobody's any more."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def _installation(pool: asyncpg.Pool, ids_secret: bytes) -> str:
    """A name for this database that no other has, so that several may use one Redis.

    A copy has the same secret, but lies in another cluster, or under another number in the same one. A copy of a whole
    cluster needs a database of Redis of its own (docs/configuration.md).
    """
    try:
        cluster = await pool.fetchval(NAMES.cluster)
    except asyncpg.InsufficientPrivilegeError:
        cluster = ""
    number = await pool.fetchval(NAMES.database)
    return blake2b(f"{cluster} {number}".encode(), key=ids_secret[:64], digest_size=8).hexdigest()
