"""The way to Redis: it ends when it is told to, and outlives whatever the driver raises."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rowlock.brokers.redis import Away, Link
from rowlock.brokers.redis_feed import RedisBroadcast
from rowlock.operations.context import Context
from tests.brokers.conftest import SECONDS_MAX, hearing, link_of, until
from tests.redis_server import RedisServer
from tests.seatmap.test_feed import until_shown
from tests.seatmap.test_maps import shown
from tests.support import make_show, try_book


@pytest.mark.parametrize("turns", range(5))
async def test_it_ends_in_the_moment_when_redis_is_lost(redis_server: RedisServer, turns: int) -> None:
    """A server that is stopped while Redis fails would never end."""
    link = Link(redis_server.url, "test:", b"key")
    await link.start()
    assert link.up
    link._lose(OSError())
    for _ in range(turns):
        await asyncio.sleep(0)
    watcher = link._watcher
    assert watcher is not None
    async with asyncio.timeout(SECONDS_MAX):
        await link.stop()
    assert watcher.done()


async def test_a_stray_cancellation_is_not_the_end(
    here: Context, there: Context, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process would be deaf, or never find Redis again, because of what a closed connection raised once."""
    show = await make_show(here, 10)
    await hearing(redis_server, here, there)
    await shown(there.maps, show)
    link = link_of(there)
    raised = []

    async def once(*_: object) -> Any:
        raised.append(1)
        raise asyncio.CancelledError

    with monkeypatch.context() as broken:
        broken.setattr(link, "_probe", once)
        broken.setattr(RedisBroadcast, "_attend", once)
        with redis_server.client as client:
            client.client_kill_filter(_type="pubsub")
        await until(lambda: len(raised) >= 3 and not link.connected)
    with pytest.raises(Away):
        await link.ask(once, seconds_max=SECONDS_MAX)
    await hearing(redis_server, here, there)
    with pytest.raises(Away):
        await link.ask(once, seconds_max=SECONDS_MAX)
    await hearing(redis_server, here, there)
    await try_book(here, show, ["1"])
    await until_shown(there, show, SECONDS_MAX)
