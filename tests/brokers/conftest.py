"""Two processes' worth of Rowlock on one database and one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rowlock.brokers.redis import Link
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from tests.redis_server import RedisServer

SECONDS_MAX = 10.0  # what takes so long would never come, even on a busy machine


LIMITS = (
    "redis.ANSWER_SECONDS_MAX",
    "redis_feed.SEND_SECONDS_MAX",
    "redis_maps.GET_SECONDS_MAX",
    "redis_maps.PUT_SECONDS_MAX",
)


@pytest.fixture
def real_limits() -> None:
    """For tests of a Redis that hangs: how long one waits for it is as it is for buyers."""


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a Redis that works may take long; that is no reason to go on without it in a test."""
    if "real_limits" not in request.fixturenames:
        for name in LIMITS:
            monkeypatch.setattr(f"rowlock.brokers.{name}", SECONDS_MAX / 2)


async def until(holds: Callable[[], bool | Awaitable[bool]], seconds: float = SECONDS_MAX) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.01)


def link_of(context: Context) -> Link:
    """A process's way to Redis."""
    assert context.redis is not None
    return context.redis


async def hearing(redis_server: RedisServer, *contexts: Context) -> None:
    """Wait until all of them hear each other through Redis, and have nothing on its way."""
    channel = f"{link_of(contexts[0]).prefix}changes"

    def all_hear() -> bool:
        with redis_server.client as client:
            heard: int = client.pubsub_numsub(channel)[0][1]
        return heard == len(contexts) and all(link_of(each).up for each in contexts)

    await until(all_hear)


@pytest.fixture
async def here(dsn: str, redis_server: RedisServer) -> AsyncIterator[Context]:
    """One process."""
    async with open_context(Database(dsn), redis_url=redis_server.url) as context:
        yield context


@pytest.fixture
async def there(dsn: str, redis_server: RedisServer) -> AsyncIterator[Context]:
    """Another process."""
    async with open_context(Database(dsn), redis_url=redis_server.url) as context:
        yield context
