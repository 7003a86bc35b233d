"""Events at a real RabbitMQ, which is killed and started again meanwhile: every one arrives, of each show in order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
import msgspec
import pytest

from rowlock.operations.context import Context
from rowlock.postgres.pool import Database
from rowlock.workers.exchange import RabbitExchange
from rowlock.workers.outbox import Publishing, Stage
from tests.events import assert_in_order, until_so
from tests.rabbit import RabbitServer
from tests.support import audit, make_show, try_book

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

SECONDS_MAX = 200


@pytest.fixture
def name() -> str:
    """A name of a test's own, for its exchange, and what its queues begin with."""
    return f"test.{secrets.token_hex(4)}"


@asynccontextmanager
async def publishing(context: Context, dsn: str, url: str, name: str) -> AsyncIterator[None]:
    """A worker that publishes."""
    exchange = RabbitExchange(url, name)
    stage = Stage(
        "events to the broker", Publishing(context, Database(dsn), "urn:test", exchange), 0.05, exchange
    )
    stage.start()
    try:
        yield
    finally:
        await stage.stop()


async def bind(url: str, name: str, queue: str, key: str) -> None:
    """A durable queue that is bound to the exchange."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
        declared = await channel.declare_queue(f"{name}.{queue}", durable=True)
        await declared.bind(exchange, key)


async def read(
    url: str, name: str, queue: str, *, keep: bool = False
) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """All that is in a queue now, in its order. `keep`: the queue stays, to be read again."""
    connection = await aio_pika.connect(url)
    found = []
    async with connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(f"{name}.{queue}", passive=True)
        while (message := await declared.get(no_ack=True, fail=False)) is not None:
            found.append(message)
        if not keep:
            await declared.delete()
    return found


async def until_published(context: Context) -> None:
    """Wait until nothing is left to publish."""
    await until_so(context, "SELECT NOT EXISTS (SELECT FROM outbox WHERE NOT published)", SECONDS_MAX)


async def test_messages_are_what_was_promised(
    context: Context, dsn: str, rabbit: RabbitServer, name: str
) -> None:
    """A consumer would be bound to keys that nobody uses, or lose what was on its way when the broker restarts."""
    show = await make_show(context, 10)
    await bind(rabbit.url, name, "sales", "booking.confirmed.*")
    await bind(rabbit.url, name, "show", f"*.*.{show}")
    await bind(rabbit.url, name, "another", f"#.{show + 1}")
    async with publishing(context, dsn, rabbit.url, name):
        await try_book(context, show, ["1"])
        await try_book(context, show, ["1"])
        await until_published(context)
    assert await read(rabbit.url, name, "another") == []
    assert [message.routing_key for message in await read(rabbit.url, name, "sales")] == [
        f"booking.confirmed.{show}"
    ]
    messages = await read(rabbit.url, name, "show")
    assert [message.message_id for message in messages] == [f"{show}-{n}" for n in (1, 2, 3)]
    assert {message.content_type for message in messages} == {"application/cloudevents+json"}
    assert {message.delivery_mode for message in messages} == {aio_pika.DeliveryMode.PERSISTENT}
    assert msgspec.json.decode(messages[1].body)["type"] == "booking.confirmed"


async def test_a_broker_that_is_killed_under_load_gets_every_event_in_order(
    context: Context, dsn: str, rabbit: RabbitServer, name: str
) -> None:
    """A sale would be unheard of because the broker was down for a minute."""
    shows = [await make_show(context, 300) for _ in range(3)]
    await bind(rabbit.url, name, "all", "#")
    stop = asyncio.Event()

    async def buy(n: int) -> int:
        count = 0
        while not stop.is_set() and count < 90:
            await try_book(context, shows[n % 3], [str(1 + (n // 3) * 90 + count)], f"u{n}")
            count += 1
            await asyncio.sleep(0.02)
        return count

    async with publishing(context, dsn, rabbit.url, name), publishing(context, dsn, rabbit.url, name):
        buying = [asyncio.create_task(buy(n)) for n in range(9)]
        await until_so(context, "SELECT count(*) >= 20 FROM outbox WHERE published", SECONDS_MAX)
        await asyncio.to_thread(rabbit.kill)
        await asyncio.sleep(1)  # sales go on without it
        await asyncio.to_thread(rabbit.start)
        stop.set()
        sold = sum(await asyncio.gather(*buying))
        await until_published(context)
    ids = [str(message.message_id) for message in await read(rabbit.url, name, "all")]
    assert len(set(ids)) == sold + 3
    for show in shows:
        told = await context.pool.fetchval("SELECT told_events FROM inventory WHERE show_id = $1", show)
        assert_in_order([one for one in ids if one.startswith(f"{show}-")], told)
    await audit(context)
