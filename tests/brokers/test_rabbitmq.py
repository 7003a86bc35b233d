"""The connection to RabbitMQ: what `publish` promises, against a real one that comes and goes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from rowlock.brokers.booking_queues import DEAD_QUEUE, QUEUES, declare_all, queue_of
from rowlock.brokers.rabbitmq import BrokerDown, RabbitMQ, Refused
from rowlock.operations.context import Context
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.queueing import DeadLetter
from tests.rabbit import RabbitServer, free_ports

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]  # a broker takes its time to start

CONNECTED_SECONDS_MAX = 90


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RabbitMQ]:
    """A connection that is up."""
    broker = RabbitMQ(url, "a test", declare_all)
    broker.start()
    try:
        await asyncio.wait_for(broker.wait_connected(), CONNECTED_SECONDS_MAX)
        yield broker
    finally:
        await broker.stop()


async def waiting(broker: RabbitMQ, queue: str) -> int:
    """How many messages a queue has."""
    async with broker.channel() as channel:
        found = await channel.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0


async def test_what_is_published_outlives_the_broker(rabbit: RabbitServer) -> None:
    """A customer who was told 202 would never hear of the booking again."""
    async with connected(rabbit.url) as broker:
        await asyncio.gather(*(broker.publish("", DEAD_QUEUE, b"%d" % n) for n in range(200)))
        rabbit.kill()
        rabbit.start()
        bodies = await asyncio.wait_for(_read(broker, 200), CONNECTED_SECONDS_MAX)
    assert sorted(int(body) for body in bodies) == list(range(200))
    assert [int(body) for body in bodies] == sorted(int(body) for body in bodies), (
        "in the order of publishing"
    )


async def _read(broker: RabbitMQ, count: int) -> list[bytes]:
    """The messages of the dead-letter queue. A broker that has just started takes connections before its queues are up."""
    while True:
        await broker.wait_connected()
        try:
            async with broker.channel() as channel:
                queue = await channel.declare_queue(DEAD_QUEUE, passive=True)
                return [(await queue.get(timeout=30)).body for _ in range(count)]
        except (BrokerDown, AMQPError):
            await asyncio.sleep(0.2)


async def test_a_message_that_no_queue_takes_is_refused(rabbit: RabbitServer) -> None:
    """A request would be answered with 202, and be nowhere."""
    async with connected(rabbit.url) as broker:
        with pytest.raises(Refused):
            await broker.publish("", "no.such.queue", b"lost")
        await broker.publish("", queue_of(7), b"kept")
        assert await waiting(broker, queue_of(7)) == 1


async def test_a_broker_that_is_away_is_told_at_once() -> None:
    """Every request with respond-async would hang for seconds while the broker is down."""
    port = free_ports(1)[0]
    told = asyncio.Event()

    def hear(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        logs.append(event)
        told.set()
        raise structlog.DropEvent

    logs: list[Mapping[str, Any]] = []
    with structlog.testing.capture_logs(processors=[hear]):
        broker = RabbitMQ(f"amqp://me:se%2Fcret@127.0.0.1:{port}/", "a test")
        broker.start()
        with pytest.raises(BrokerDown):
            await broker.publish("", "any", b"x")
        with pytest.raises(BrokerDown):
            async with broker.channel():
                pass
        await asyncio.wait_for(told.wait(), CONNECTED_SECONDS_MAX)
        assert not broker.connected
        await broker.stop()
        await broker.stop()
    said = repr(logs)
    assert str(port) in said
    assert "se%2Fcret" not in said, "the password is in the log"
    assert "se/cret" not in said


def test_shows_are_spread_over_the_queues_and_stay() -> None:
    """One consumer would have all the shows; or a show's requests would pass each other in two queues."""
    found = Counter(queue_of(show_id) for show_id in range(1, 4001))
    assert len(found) == QUEUES
    assert min(found.values()) > 4000 / QUEUES * 0.7
    assert [queue_of(show_id) for show_id in (1, 2, 3, 2**53 - 1)] == [
        f"rowlock.bookings.{number}" for number in PLACES
    ]


PLACES = (3, 3, 2, 3)  # where these shows' requests wait, in every running system: never to be changed


async def test_what_ends_its_consumer_each_time_is_put_aside(rabbit: RabbitServer, context: Context) -> None:
    """A message that ends every process which takes it would stop its queue for good."""
    async with connected(rabbit.url) as broker:
        await broker.publish("", queue_of(7), b"poison")
        queue = BrokerQueue(broker, context.table)
        letters: list[DeadLetter] = []
        async with broker.channel(1) as channel, asyncio.timeout(CONNECTED_SECONDS_MAX):

            async def give_back(message: AbstractIncomingMessage) -> None:
                await message.reject(requeue=True)  # what the broker does where a consumer has gone

            await (await channel.get_queue(queue_of(7))).consume(give_back)
            while not letters:
                async with queue.dead_letters(10) as taken:
                    letters = [letter for letter, _ in taken]
        assert [(letter.cause, letter.request) for letter in letters] == [("RabbitMQ: delivery_limit", None)]
        assert (await queue.depth()).waiting == 0
        for _ in range(30):  # RabbitMQ 4 drops what was delivered 20 times, unless it is told otherwise
            async with queue.dead_letters(10) as taken:
                assert len(taken) == 1
