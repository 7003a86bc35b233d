"""The change feed over Redis: PUBLISH and SUBSCRIBE, while Redis is there.

At most once, and in no order that could be relied on: the maps look at versions. What bears no seal of
ours is not heard: a change of a version to come, made up by somebody, would otherwise be taken for it. A sender learns whether it was taken,
and uses another way where it was not. A listener says whenever it begins to hear (anew), for what was told before is gone.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from rowlock.brokers.redis import ANSWER_SECONDS_MAX, Away, Link
from rowlock.postgres.errors import is_cancelled

log = structlog.get_logger(__name__)

SEND_SECONDS_MAX: Final = 0.25  # then it is told by NOTIFY: twice is harmless, late is not
LISTEN_SECONDS: Final = 0.5  # how long a silent listener waits before it looks whether Redis is still up
PING_SECONDS: Final = 5.0  # a connection that broke silently, alone, hears nothing and would never know
RETRY_SECONDS: Final = 0.5


class RedisBroadcast:
    """Tells all processes of one database, by one channel."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel = f"{link.prefix}changes"

    async def send(self, payloads: Sequence[str]) -> bool:
        """Whether someone heard every one of them: we listen too, so nobody means that Redis has just come back."""

        async def publish(redis: Redis) -> bool:
            async with redis.pipeline(transaction=False) as pipeline:
                for payload in payloads:
                    pipeline.publish(self._channel, self._link.sealed(self._channel, payload.encode()))
                return all(await pipeline.execute())

        try:
            return await self._link.ask(publish, seconds_max=SEND_SECONDS_MAX)
        except Away:
            return False

    async def listen(self, hear: Callable[[bytes], None], begun: Callable[[], Awaitable[object]]) -> None:
        """Hear what all processes say, our own included, until cancelled."""
        while True:
            await self._link.until_back()
            subscriber = self._link.subscriber()
            try:
                await subscriber.subscribe(self._channel)
                await self._attend(subscriber, hear, begun)
            except (Exception, asyncio.CancelledError) as error:  # the link says it, where Redis is away
                if is_cancelled(error):
                    raise
                log.debug("redis_not_heard", error=repr(error))
            finally:
                await _close(subscriber)
            await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))

    async def _attend(
        self,
        subscriber: PubSub,
        hear: Callable[[bytes], None],
        begun: Callable[[], Awaitable[object]],
    ) -> None:
        """Hear until Redis is lost. Raises where this connection is."""
        now = asyncio.get_running_loop().time
        heard_at, asked = now(), False
        while self._link.connected:
            message = await subscriber.get_message(timeout=LISTEN_SECONDS)
            if message is None:
                silence = now() - heard_at
                if silence > 2 * PING_SECONDS:
                    raise TimeoutError("the connection is silent")
                if silence > PING_SECONDS and not asked:
                    await subscriber.ping()
                    asked = True
                continue
            heard_at, asked = now(), False
            if message["type"] == "message":
                data = self._link.opened(self._channel, message["data"])
                if data is not None:
                    hear(data)
            elif (
                message["type"] == "subscribe"
            ):  # once at the beginning, and again where the library reconnects
                await begun()


async def _close(subscriber: PubSub) -> None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            await subscriber.aclose()  # type: ignore[no-untyped-call]
    except Exception as error:
        log.debug("redis_not_closed", error=repr(error))
