"""Two processes sell the same shows over a Redis that is stopped, frozen, emptied and started anew meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest

from rowlock.operations.context import Context
from rowlock.seatmap.maps import CHECK_SECONDS
from rowlock.workers.loop import Loop
from tests.brokers.conftest import hearing
from tests.concurrency.test_convergence import SEATS, buy_and_sell, looking_after
from tests.redis_server import RedisServer
from tests.seatmap.test_live import Reader
from tests.seatmap.test_maps import committed, shown
from tests.support import audit, make_show

SECONDS_MAX = 2.0  # how long after the last change every map must be what the database holds


async def torment(dice: random.Random, redis_server: RedisServer) -> list[str]:
    """All that may happen to a Redis, in any order, one thing of each kind at least."""
    done = ["stop", "freeze", "empty", "cut", "stop", "freeze"]
    dice.shuffle(done)
    for what in done:
        await asyncio.sleep(dice.random() * 0.3)
        match what:
            case "stop":
                redis_server.stop()
                await asyncio.sleep(dice.random() * 0.6)
                redis_server.start()
            case "freeze":
                redis_server.freeze()
                await asyncio.sleep(dice.random() * 1.5)
                redis_server.thaw()
            case "empty":
                with redis_server.client as client:
                    client.flushall()
            case _:
                with redis_server.client as client:
                    client.client_kill_filter(skipme=True)
    return done


@pytest.mark.usefixtures("real_limits")
@pytest.mark.parametrize("seed", range(2))
async def test_every_map_ends_as_the_database(
    here: Context,
    there: Context,
    redis_server: RedisServer,
    record_property: Callable[[str, object], None],
    seed: int,
) -> None:
    """Someone would look at a seat map that is wrong, and stays so; or seats be sold twice."""
    dice = random.Random(seed)
    processes = [here, there]
    shows = [await make_show(here, SEATS) for _ in range(3)]
    await hearing(redis_server, here, there)
    readers = []
    for place in processes:
        for show in shows:
            await place.maps.get(show)
            readers.append((show, Reader(await place.live.read(show))))
    reading = [asyncio.create_task(reader.all()) for _, reader in readers]

    def looking(place: Context) -> Loop:
        look_after = looking_after(place)

        async def and_share() -> bool:
            await look_after()
            await place.maps.share()
            return False

        return Loop("maps", and_share, CHECK_SECONDS)

    loops = [looking(place) for place in processes]
    for each in loops:
        each.start()
    try:
        tormenting = asyncio.create_task(torment(dice, redis_server))
        number = 0
        while not tormenting.done():
            number += 1
            sellers = [
                buy_and_sell(random.Random(seed * 1000 + number + n), processes, shows, 8) for n in range(4)
            ]
            await asyncio.gather(*sellers)
        await tormenting
        wanted = {show: await committed(here, show) for show in shows}
        loop = asyncio.get_running_loop()
        ended = loop.time()
        while True:
            wrong = [
                (n, show)
                for n, place in enumerate(processes)
                for show in shows
                if await shown(place.maps, show) != wanted[show]
            ]
            wrong += [
                (9, show)
                for show, reader in readers
                if (reader.version, reader.available, reader.shows) != wanted[show]
            ]
            if not wrong:
                break
            assert loop.time() - ended < SECONDS_MAX, wrong
            await asyncio.sleep(0.01)
        record_property("alike_after_seconds", loop.time() - ended)
        assert {show: await committed(here, show) for show in shows} == wanted
        await audit(here)
        await hearing(redis_server, here, there)
    finally:
        for each in loops:
            await each.stop()
        for place in processes:
            place.live.close()
        await asyncio.gather(*reading)
