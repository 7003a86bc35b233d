"""The exchange at RabbitMQ where events are published: a durable topic exchange.

The routing key is the event's type and its show, as in `booking.confirmed.12`, so that a queue may be bound to a type
(`booking.confirmed.*`), a show (`*.*.12`) or everything (`#`). Messages are persistent, and count as published when
the broker has confirmed them. Where no queue is bound, an event is confirmed and gone: nobody wanted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from rowlock.brokers.rabbitmq import BrokerDown, RabbitMQ, Refused
from rowlock.operations.events import CONTENT_TYPE, Spelled

log = structlog.get_logger(__name__)

# On their way to the broker at the same time, in order: enough to hide the way there and back, few enough that a broker
# which is lost has few twice. Below the connection's own bound.
PUBLISHING_AT_ONCE = 500


class RabbitExchange:
    """The exchange `name`, on a connection of its own."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._broker = RabbitMQ(url, "rowlock events", self._declare)

    def start(self) -> None:
        """Begin to connect."""
        self._broker.start()

    async def stop(self) -> None:
        """Disconnect. May be called again."""
        await self._broker.stop()

    async def publish(self, events: Sequence[Spelled]) -> list[bool]:
        """Publish in this order. Returns for each whether the broker has it for sure. What it has not may have arrived.

        Nothing of a show is sent after one that was not confirmed, as far as that is known by then.
        """
        confirmed: list[bool] = []
        stuck: set[int] = set()
        for first in range(0, len(events), PUBLISHING_AT_ONCE):
            some = events[first : first + PUBLISHING_AT_ONCE]
            # Tasks begin in this order, and each takes the same way to the channel: so do the messages.
            answers = await asyncio.gather(
                *(self._publish(event) if event.show_id not in stuck else _not_sent() for event in some)
            )
            stuck.update(event.show_id for event, answer in zip(some, answers, strict=True) if not answer)
            confirmed += answers
        if stuck:
            log.warning("events_not_published", shows=len(stuck), confirmed=sum(confirmed), of=len(events))
        return confirmed

    async def _publish(self, event: Spelled) -> bool:
        try:
            await self._broker.publish(
                self._name,
                f"{event.type.value}.{event.show_id}",
                event.body,
                content_type=CONTENT_TYPE,
                message_id=event.id,
                mandatory=False,
            )
        except (BrokerDown, Refused):
            return False
        return True

    async def _declare(self, channel: AbstractChannel) -> None:
        await channel.declare_exchange(self._name, ExchangeType.TOPIC, durable=True)


async def _not_sent() -> bool:
    return False
