"""Nemeses of Redis and RabbitMQ: stopped, restarted, emptied. Neither decides anything, so nothing may be lost by it."""

from __future__ import annotations

import asyncio
import random

import aio_pika

from rowlock.brokers.booking_queues import QUEUES, queue_name
from tests.faults.history import now
from tests.faults.world import World

AWAY_SECONDS = 4.0


async def redis_stopped(world: World, dice: random.Random) -> None:
    """Redis dies and comes back empty."""
    assert world.redis is not None
    await asyncio.to_thread(world.redis.stop)
    await asyncio.sleep(AWAY_SECONDS * dice.random())
    await asyncio.to_thread(world.redis.start)


async def redis_emptied(world: World, dice: random.Random) -> None:
    """All that is in Redis is gone from one moment to the next, now and again."""
    assert world.redis is not None
    with world.redis.client as client:
        for _ in range(3):
            await asyncio.to_thread(client.flushall)
            await asyncio.sleep(dice.random())


async def redis_frozen(world: World, dice: random.Random) -> None:
    """Redis takes connections and never answers."""
    assert world.redis is not None
    world.redis.freeze()
    await asyncio.sleep(AWAY_SECONDS * dice.random())
    world.redis.thaw()


async def rabbit_killed(world: World, dice: random.Random) -> None:
    """RabbitMQ dies, and is started again on what it had on disk."""
    assert world.rabbit is not None
    await asyncio.to_thread(world.rabbit.kill)
    await asyncio.sleep(dice.random())
    await asyncio.to_thread(world.rabbit.start)


async def rabbit_restarted(world: World, dice: random.Random) -> None:
    """RabbitMQ is stopped in order, and started."""
    assert world.rabbit is not None
    await asyncio.to_thread(world.rabbit.stop)
    await asyncio.sleep(dice.random())
    await asyncio.to_thread(world.rabbit.start)


async def rabbit_emptied(world: World, dice: random.Random) -> None:
    """An operator throws the queued requests away. They are gone with their queues; nothing else may be."""
    assert world.rabbit is not None
    connection = await aio_pika.connect(world.rabbit.url, timeout=30)
    async with connection, connection.channel() as channel:
        for number in range(QUEUES):
            queue = await channel.declare_queue(queue_name(number), passive=True)
            await queue.purge()
    world.emptied = now()
