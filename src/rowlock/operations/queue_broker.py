"""The queue at RabbitMQ: takes requests while PostgreSQL is down.

What was put into the table before a broker was there is found and decided as ever: see `BrokerQueue.table`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import AMQPError

from rowlock.brokers import booking_queues as queues
from rowlock.brokers.rabbitmq import ANSWER_SECONDS_MAX, BrokerDown, RabbitMQ, Refused, Unanswered
from rowlock.operations.queue_table import RETRY_AFTER_SECONDS, TableQueue
from rowlock.operations.queueing import (
    DeadLetter,
    Depth,
    QueueDown,
    QueuedRequest,
    QueueFull,
    decode,
    encode,
)

WHERE = "RabbitMQ"


class BrokerQueue:
    """The queues at RabbitMQ, and the table for what it still holds."""

    in_database = False

    def __init__(self, broker: RabbitMQ, table: TableQueue) -> None:
        self.broker = broker
        self.table = table

    async def put(self, queued: QueuedRequest) -> QueuedRequest:
        """See `BookingQueue`. An earlier request of this id is not seen; the consumer finds its booking."""
        try:
            await self.broker.publish("", queues.queue_of(queued.request.show_id), encode(queued))
        except Refused as error:
            raise QueueFull("too many bookings are queued", RETRY_AFTER_SECONDS) from error
        except Unanswered as error:
            raise QueueDown(
                "the queue's answer was lost: this was queued, or it was not; ask again with the same Idempotency-Key",
                RETRY_AFTER_SECONDS,
            ) from error
        except BrokerDown as error:
            raise QueueDown(
                "the queue can't be reached; book without respond-async", RETRY_AFTER_SECONDS
            ) from error
        return queued

    async def find(self, identifier: UUID) -> QueuedRequest | None:
        """See `BookingQueue`."""
        return await self.table.find(identifier)

    async def depth(self) -> Depth:
        """See `BookingQueue`. What is on its way to a consumer is not counted."""
        in_table = await self.table.depth()
        waiting = dead = 0
        try:
            async with self.broker.channel() as channel, asyncio.timeout(ANSWER_SECONDS_MAX):
                for number in range(queues.QUEUES):
                    waiting += _count(await queues.declare(channel, number))
                dead = _count(await queues.declare_dead(channel))
        except Exception as error:
            raise QueueDown("the queue can't be reached") from error
        return Depth(in_table.waiting + waiting, in_table.dead + dead)

    async def bury(self, body: bytes, deliveries: int, cause: str) -> None:
        """Publish a dead letter. Raises `BrokerDown` or `Refused`."""
        headers = {
            queues.CAUSE_HEADER: cause,
            queues.DELIVERIES_HEADER: deliveries,
            queues.DEAD_AT_HEADER: datetime.now(UTC).isoformat(),
        }
        await self.broker.publish("", queues.DEAD_QUEUE, body, headers=headers)

    @asynccontextmanager
    async def dead_letters(
        self, limit: int
    ) -> AsyncIterator[list[tuple[DeadLetter, AbstractIncomingMessage]]]:
        """Dead letters, the oldest first, taken out of the queue; those that are not acknowledged go back at the end.

        Raises `BrokerDown`, also where that happens to an acknowledgement.
        """
        try:
            async with self.broker.channel() as channel:
                queue = await queues.declare_dead(channel)
                taken: list[tuple[DeadLetter, AbstractIncomingMessage]] = []
                while len(taken) < limit:
                    message = await queue.get(fail=False, timeout=ANSWER_SECONDS_MAX)
                    if message is None:
                        break
                    taken.append((_letter(message), message))
                yield taken
        except AMQPError as error:
            raise BrokerDown(f"RabbitMQ: {type(error).__name__}") from error


def _count(queue: Any) -> int:
    return queue.declaration_result.message_count or 0


def _letter(message: AbstractIncomingMessage) -> DeadLetter:
    headers: dict[str, Any] = dict(message.headers or {})
    cause = headers.get(queues.CAUSE_HEADER)
    deliveries = headers.get(queues.DELIVERIES_HEADER, 0)
    dead_at = None
    if cause is None:  # the broker's own doing: its consumer ended again and again
        died: Collection[Any] = headers.get("x-death") or ()
        reasons = {str(entry.get("reason")) for entry in died if isinstance(entry, dict)}
        cause = f"RabbitMQ: {', '.join(sorted(reasons)) or 'unknown'}"
        deliveries = queues.CRASHES_MAX
    else:
        try:
            dead_at = datetime.fromisoformat(str(headers.get(queues.DEAD_AT_HEADER)))
        except ValueError:
            dead_at = None
    return DeadLetter(WHERE, str(cause), int(deliveries), dead_at, readable(message.body))


def readable(body: bytes) -> QueuedRequest | None:
    """The request in a message; None if it can't be read."""
    try:
        return decode(body)
    except ValueError:
        return None
