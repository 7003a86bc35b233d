"""RabbitMQ: a connection that is kept up, publishing with confirms, and channels to consume on.

The protocol is aio-pika's work. What is ours is what a caller may rely on:

 - `publish` returns when the broker has the message on all the disks that it should be on (publisher confirms), and raises
   otherwise, within PUBLISH_SECONDS_MAX. A message that no queue would take is not published (`mandatory`).
 - A broker that is down costs a caller nothing: `publish` says so at once. The connection is made again in the
   background, ever less often, up to every RECONNECT_SECONDS_MAX.
 - Nothing here raises what the library raises: `BrokerDown` is for what may pass, `Refused` for what the broker said no to.

The address holds a password: no text that leaves this module does.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError

log = structlog.get_logger(__name__)

# A broker that answers at all answers within milliseconds; longer, and a caller is better told to come again.
CONNECT_SECONDS_MAX = 5.0
PUBLISH_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 10.0  # declaring a quorum queue elects its leader first
CLOSE_SECONDS_MAX = 2.0
RECONNECT_SECONDS_FIRST = 0.1
RECONNECT_SECONDS_MAX = 5.0
HEARTBEAT_SECONDS = 10  # a broker that was cut off is noticed after two of them
# Messages on their way to the broker. Each is some hundred bytes; beyond it, "busy" is the kinder answer.
PUBLISHING_MAX = 2_000

Prepare = Callable[[AbstractChannel], Awaitable[None]]
"""Declares what must be there before anything is published; called on each new connection."""


class BrokerDown(Exception):  # noqa: N818
    """The broker can't be reached."""


class Unanswered(BrokerDown):
    """The broker did not answer. What was published may or may not have arrived."""


class Refused(Exception):  # noqa: N818
    """The broker said no: its queue is full, or there is none for this message. It was not taken."""


class RabbitMQ:
    """One connection to RabbitMQ, kept up from `start` to `stop`.

    `name` is what the broker shows of it. Publish and consume on connections of their own: a broker that is short of
    memory stops those that publish.
    """

    def __init__(self, url: str, name: str, prepare: Prepare | None = None) -> None:
        parts = urlsplit(url)
        if "heartbeat" not in parse_qs(parts.query):
            query = "&".join(filter(None, [parts.query, f"heartbeat={HEARTBEAT_SECONDS}"]))
            parts = parts._replace(query=query)
        self._url = parts.geturl()
        self._address = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._secrets = [secret for secret in (parts.password, unquote(parts.password or "")) if secret]
        self._name = name
        self._prepare = prepare
        self._connection: AbstractConnection | None = None
        self._publisher: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._publishing = 0
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._up.is_set()

    def start(self) -> None:
        """Begin to connect, in the background."""
        self._task = asyncio.create_task(self._keep(), name=f"rabbitmq {self._name}")

    async def stop(self) -> None:
        """Disconnect. May be called again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._disconnect()

    async def wait_connected(self) -> None:
        """Wait for a connection, for as long as it takes."""
        await self._up.wait()

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        headers: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        message_id: str | None = None,
        mandatory: bool = True,
    ) -> None:
        """Publish a persistent message, and wait until the broker confirms it.

        `exchange` must have been declared ("" is the default one). `mandatory`: a queue must take it, else `Refused`.
        `message_id` must not be one that is on its way already; the library makes one if it is left out.
        """
        channel = self._publisher
        if channel is None or channel.is_closed:
            raise BrokerDown("RabbitMQ can't be reached")
        if self._publishing >= PUBLISHING_MAX:
            raise Refused("too many messages are on their way to RabbitMQ")
        message = aio_pika.Message(
            body,
            headers=dict(headers or {}),
            content_type=content_type,
            message_id=message_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        self._publishing += 1
        try:
            target = await self._exchange(channel, exchange)
            await target.publish(message, routing_key, mandatory=mandatory, timeout=PUBLISH_SECONDS_MAX)
        except DeliveryError as error:
            raise Refused("RabbitMQ did not take the message") from error
        except Exception as error:
            raise Unanswered(self._said(error)) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise Unanswered("the connection to RabbitMQ was lost") from error
        finally:
            self._publishing -= 1

    @asynccontextmanager
    async def channel(self, prefetch: int = 0) -> AsyncIterator[AbstractChannel]:
        """A channel of its own, to consume or to declare on. `prefetch`: how many deliveries may be unacknowledged.

        Raises `BrokerDown`; what is done with the channel raises the library's exceptions (see `trouble`).
        """
        connection = self._connection
        if connection is None or connection.is_closed:
            raise BrokerDown("RabbitMQ can't be reached")
        channel = connection.channel()
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await channel.initialize()
                if prefetch:
                    await channel.set_qos(prefetch)
        except Exception as error:
            raise BrokerDown(self._said(error)) from error
        try:
            yield channel
        finally:
            await _close(channel)

    async def _exchange(self, channel: AbstractChannel, name: str) -> AbstractExchange:
        if not name:
            return channel.default_exchange
        known = self._exchanges.get(name)
        if known is None:
            known = self._exchanges[name] = await channel.get_exchange(name, ensure=False)
        return known

    async def _keep(self) -> None:
        pause = RECONNECT_SECONDS_FIRST
        while True:
            try:
                await self._connect()
            except Exception as error:
                log.warning(
                    "broker_unreachable", broker=self._address, connection=self._name, cause=self._said(error)
                )
                await self._disconnect()
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, RECONNECT_SECONDS_MAX)
                continue
            pause = RECONNECT_SECONDS_FIRST
            log.info("broker_connected", broker=self._address, connection=self._name)
            assert self._connection is not None
            assert self._publisher is not None
            ends = [
                asyncio.ensure_future(_ended(end.closed())) for end in (self._connection, self._publisher)
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
            log.warning("broker_lost", broker=self._address, connection=self._name)
            await self._disconnect()

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            self._connection = await aio_pika.connect(
                self._url,
                timeout=CONNECT_SECONDS_MAX,
                client_properties={"connection_name": self._name},
            )
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            publisher = self._connection.channel(publisher_confirms=True, on_return_raises=True)
            await publisher.initialize()
        if self._prepare is not None:
            await self._prepare(publisher)
        self._publisher = publisher
        self._up.set()

    async def _disconnect(self) -> None:
        self._up.clear()
        self._publisher = None
        self._exchanges.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            await _close(connection)

    def _said(self, error: BaseException) -> str:
        """What went wrong, without the password."""
        text = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


async def _ended(closed: Awaitable[object]) -> None:
    """Wait for the end of a connection or channel, however it came."""
    with contextlib.suppress(Exception):
        await closed


async def _close(what: AbstractConnection | AbstractChannel) -> None:
    """Close, whatever state it is in; a broker that doesn't answer is not waited for."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await what.close()
