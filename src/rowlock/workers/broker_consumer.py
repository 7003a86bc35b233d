"""The consumer of RabbitMQ's queues.

Each queue has a channel, a prefetch and a batch at a time. A batch is decided and committed before any of it is acknowledged;
so whatever ends this process in between, the broker delivers again, and the bookings are found by their ids. When the
connection breaks, all begins anew on the next one.

PostgreSQL away: the batch waits in the engine, unacknowledged, and no more than the prefetch is taken. Nothing is sent back,
which would count as a failed delivery. (A broker closes a channel whose deliveries are not acknowledged for 30 minutes, and
delivers again: harmless.)
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

import structlog
from aio_pika.abc import AbstractIncomingMessage

from rowlock import telemetry
from rowlock.brokers import booking_queues as queues
from rowlock.brokers.rabbitmq import BrokerDown, RabbitMQ, Refused
from rowlock.operations.context import Context
from rowlock.operations.decide_queued import Decided, Fate, Undecidable, decide_in_order
from rowlock.operations.queue_broker import BrokerQueue, readable
from rowlock.operations.queueing import BATCH_REQUESTS_MAX
from rowlock.workers.loop import STOP_SECONDS_MAX

log = structlog.get_logger(__name__)

PREFETCH = 2 * BATCH_REQUESTS_MAX  # one batch in hand, the next one at hand
RETRY_SECONDS = 1.0


class BrokerConsumer:
    """Decides what waits at RabbitMQ, from `start` to `stop`: the contract of `Loop`."""

    def __init__(self, context: Context, url: str, queue: BrokerQueue) -> None:
        self._context = context
        self._queue = queue
        # Apart from the publisher: a broker that is short of memory stops those that publish, and must not stop us.
        self._broker = RabbitMQ(url, "rowlock consumer", queues.declare_all)
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the background."""
        self._broker.start()
        self._task = asyncio.create_task(self._run(), name="worker broker consumer")

    async def stop(self) -> None:
        """Take no more, finish the batches in hand and acknowledge them, and end."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_SECONDS_MAX)
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._broker.stop()

    async def wait(self) -> None:
        """Wait until it was stopped."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._consume_all()
            except Exception as error:
                log.warning("queue_consumer_interrupted", error=repr(error))
            if not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), RETRY_SECONDS)

    async def _consume_all(self) -> None:
        """Consume all queues until the first of them breaks, or the end is asked for."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        connected = asyncio.ensure_future(self._broker.wait_connected())
        tasks: list[asyncio.Future[None]] = []
        try:
            await asyncio.wait([stopping, connected], return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return
            tasks = [asyncio.ensure_future(self._consume(number)) for number in range(queues.QUEUES)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not self._stopping.is_set():
                for task in done:
                    task.result()
                return
            await asyncio.wait(tasks)  # each finishes its batch; `stop` bounds it
        finally:
            stopping.cancel()
            connected.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _consume(self, number: int) -> None:
        """Consume one queue. Returns when the end is asked for; raises when the channel breaks."""
        inbox: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()  # bounded by the prefetch
        async with self._broker.channel(PREFETCH) as channel:
            queue = await queues.declare(channel, number)
            await queue.consume(inbox.put)
            closed = asyncio.ensure_future(_end(channel.closed()))
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                while not self._stopping.is_set():
                    arrival = asyncio.ensure_future(inbox.get())
                    try:
                        await asyncio.wait([arrival, closed, stopping], return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        arrival.cancel()
                    if closed.done():
                        raise BrokerDown("the channel was closed")
                    if not arrival.done() or arrival.cancelled():
                        return
                    batch = [arrival.result()]
                    while len(batch) < BATCH_REQUESTS_MAX and not inbox.empty():
                        batch.append(inbox.get_nowait())
                    await self._settle(batch)
            finally:
                closed.cancel()
                stopping.cancel()

    async def _settle(self, batch: list[AbstractIncomingMessage]) -> None:
        """Decide a batch, put aside what can't be, and acknowledge it: in this order."""
        requests = [(message, readable(message.body)) for message in batch]
        fates = iter(
            await decide_in_order(self._context, [queued for _, queued in requests if queued is not None])
        )
        for message, queued in requests:
            fate: Fate = Undecidable("it can't be read", 1) if queued is None else next(fates)
            if isinstance(fate, Decided):
                continue
            await self._bury(message.body, fate)
            log.error(
                "queued_request_dead", booking_id=None if queued is None else str(queued.id), cause=fate.cause
            )
        await batch[-1].ack(multiple=True)

    async def _bury(self, body: bytes, fate: Undecidable) -> None:
        """Put a dead letter aside. Raises where the broker doesn't take it; all is then delivered again."""
        try:
            await self._queue.bury(body, fate.deliveries, fate.cause)
        except Refused as error:
            raise BrokerDown(f"a dead letter was refused: {error}") from error
        telemetry.QUEUE_DEAD.inc()


async def _end(closed: Awaitable[object]) -> None:
    """Wait until a channel is closed, however that came."""
    with contextlib.suppress(Exception):
        await closed
