"""The queues of booking requests at RabbitMQ: which there are, and which of them is a show's.

QUEUES quorum queues share the shows among them; a show has one, for good, so its requests stay in order. Of each queue one
consumer is active, however many have come (x-single-active-consumer); another takes over where that one ends.

A show's queue is chosen by jump consistent hashing (Lamping and Veach, 2014): were QUEUES ever raised, only the share of the
shows that the new queues take would move. Consumers would go on with what is in the old ones; only for a moved show could
new requests pass old ones. Lowering it would leave requests where nobody looks: don't.

What can't be decided goes to one dead-letter queue. The consumer puts it there by itself, with the cause, before it
acknowledges it. `x-delivery-limit` is for messages that end the consumer's process itself, which then can't do that.
"""

from __future__ import annotations

import hashlib
from typing import Final

from aio_pika.abc import AbstractChannel, AbstractQueue

QUEUES: Final = 8  # enough for several consumers to share the shows; each costs the broker a Raft group
DEAD_QUEUE: Final = "rowlock.bookings.dead"
# Of a queue; beyond it the broker refuses (reject-publish), and callers hear 503. Some hundred bytes each.
MESSAGES_MAX: Final = 50_000
# RabbitMQ 4's own default. Every lost connection counts for all that was on its way, so 5 would bury innocents.
CRASHES_MAX: Final = 20
# Whoever lists dead letters has them delivered, and RabbitMQ 4 would drop them after 20 times.
LISTINGS_MAX: Final = 1_000_000_000

CAUSE_HEADER: Final = "x-rowlock-cause"
DELIVERIES_HEADER: Final = "x-rowlock-deliveries"
DEAD_AT_HEADER: Final = "x-rowlock-dead-at"


def queue_name(number: int) -> str:
    """The name of a queue, 0 to QUEUES-1."""
    return f"rowlock.bookings.{number}"


def queue_of(show_id: int) -> str:
    """The name of a show's queue."""
    return queue_name(_jump(int.from_bytes(hashlib.blake2b(b"%d" % show_id, digest_size=8).digest()), QUEUES))


def _jump(key: int, buckets: int) -> int:
    """Jump consistent hash: a bucket for a 64-bit key."""
    chosen, jump = -1, 0
    while jump < buckets:
        chosen = jump
        key = (key * 2862933555777941757 + 1) % 2**64
        jump = int((chosen + 1) * (2**31 / ((key >> 33) + 1)))
    return chosen


async def declare_dead(channel: AbstractChannel) -> AbstractQueue:
    """Declare the dead-letter queue, or find it."""
    return await channel.declare_queue(
        DEAD_QUEUE, durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": LISTINGS_MAX}
    )


async def declare(channel: AbstractChannel, number: int) -> AbstractQueue:
    """Declare one of the queues, or find it."""
    return await channel.declare_queue(
        queue_name(number),
        durable=True,
        arguments={
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": CRASHES_MAX,
            "x-max-length": MESSAGES_MAX,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_QUEUE,
            "x-dead-letter-strategy": "at-least-once",
        },
    )


async def declare_all(channel: AbstractChannel) -> None:
    """Declare all queues: before anything is published, as a publish where there is no queue is refused."""
    await declare_dead(channel)
    for number in range(QUEUES):
        await declare(channel, number)
