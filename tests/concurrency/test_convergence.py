"""Two processes sell the same shows while the feed between them is cut, late, twofold and out of order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.outcomes import Outcome
from rowlock.operations.block_seats import block_seats
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.context import Context
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.seatmap.feed import PostgresFeed
from rowlock.seatmap.live import Live
from rowlock.seatmap.maps import CHECK_SECONDS
from rowlock.workers.loop import Loop
from rowlock.workers.sweeper import Sweeper
from tests.concurrency.test_races import id_of
from tests.seatmap.test_live import Reader
from tests.seatmap.test_maps import committed, shown
from tests.support import audit, let_lapse, make_show, try_book

SEATS = 40
SECONDS_MAX = 2.0  # how long after the last change every map must be what the database holds
KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rowlock feed' AND datname = current_database()"


class BadNetwork:
    """Between all feeds: loses, delays, repeats and reorders what is heard.

    Fates are dealt as cards are, so that each comes to pass however few messages a slow machine has.
    """

    FATES = ("lost", "late", "late and now", "twice", "now")

    def __init__(self, dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self.met: Counter[str] = Counter()
        hear: Callable[..., None] = PostgresFeed._hear
        fates: list[str] = []

        def hear_badly(feed: PostgresFeed, connection: Any, pid: int, channel: str, payload: str) -> None:
            if not fates:
                fates.extend(dice.sample(self.FATES, len(self.FATES)))
            fate = fates.pop()
            self.met[fate] += 1
            if fate.startswith("late"):  # so that it is overtaken by those after it
                loop = asyncio.get_running_loop()
                loop.call_later(dice.random() * 0.4, hear, feed, connection, pid, channel, payload)
            if fate == "twice":
                hear(feed, connection, pid, channel, payload)
            if fate in {"now", "twice", "late and now"}:
                hear(feed, connection, pid, channel, payload)

        monkeypatch.setattr(PostgresFeed, "_hear", hear_badly)


async def buy_and_sell(dice: random.Random, processes: list[Context], shows: list[int], steps: int) -> None:
    """Someone who does random things, at random processes."""
    mine: list[tuple[UUID, Outcome]] = []
    for _ in range(steps):
        place, show = dice.choice(processes), dice.choice(shows)
        labels = [str(n) for n in dice.sample(range(1, SEATS + 1), dice.randint(1, 4))]
        what = dice.random()
        if what < 0.55 or not mine:
            confirm = dice.random() < 0.4
            wish: list[str] | int = labels if dice.random() < 0.6 else len(labels)
            booked = await try_book(place, show, wish, confirm=confirm)
            if booked.outcome in {Outcome.CONFIRMED, Outcome.HELD}:
                mine.append((id_of(booked), booked.outcome))
        elif what < 0.65:
            await block_seats(place, show, labels, blocked=dice.random() < 0.5)
        else:
            booking, outcome = mine.pop(dice.randrange(len(mine)))
            if what < 0.75 and outcome is Outcome.HELD:
                await let_lapse(place, booking)
            elif what < 0.85:
                await confirm_booking(place, await owner_of(place, booking), by=Actor.OWNER)
            else:
                await cancel_booking(place, await owner_of(place, booking), by=Actor.OWNER)
        await asyncio.sleep(dice.random() * 0.02)


def looking_after(place: Context) -> Callable[[], Awaitable[bool]]:
    """What the application does for maps each second."""

    async def look_after() -> bool:
        await place.maps.check()
        place.live.forget()
        place.maps.drop_idle()
        return False

    return look_after


@pytest.mark.parametrize("seed", range(3))
async def test_every_map_ends_as_the_database(
    context: Context,
    other: Context,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    seed: int,
) -> None:
    """Someone would look at a seat map that is wrong, and stays so."""
    dice = random.Random(seed)
    network = BadNetwork(random.Random(seed), monkeypatch)
    processes = [context, other]
    shows = [await make_show(context, SEATS) for _ in range(3)]
    readers = []
    for place in processes:
        for show in shows:
            await place.maps.get(show)
            readers.append((show, Reader(await place.live.read(show))))
    reading = [asyncio.create_task(reader.all()) for _, reader in readers]

    loops = [Loop("maps", looking_after(place), CHECK_SECONDS) for place in processes]
    for each in loops:
        each.start()
    sellers = [buy_and_sell(random.Random(seed * 100 + n), processes, shows, 25) for n in range(6)]
    selling = asyncio.gather(*sellers)
    for _ in range(3):
        await asyncio.sleep(dice.random() * 0.2)
        await context.pool.execute(KILL)  # both are deaf for a moment
    await selling
    await Sweeper(other, 30).run_once()
    await cancel_show(dice.choice(processes), shows[0])
    try:
        wanted = {show: await committed(context, show) for show in shows}
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
        assert set(network.met) == set(BadNetwork.FATES)
        assert {show: await committed(context, show) for show in shows} == wanted
        await audit(context)
    finally:
        for each in loops:
            await each.stop()
        for place in processes:
            place.live.close()
        await asyncio.gather(*reading)
    assert all("snapshot" not in reader.names[1:] for _, reader in readers)


async def test_a_reader_who_changes_process(context: Context, other: Context) -> None:
    """A load balancer that sends a page's next connection elsewhere would leave it with holes."""
    show = await make_show(context, SEATS)
    lives: list[Live] = [context.live, other.live]
    reader = Reader(await context.live.read(show))
    await reader.one()
    for seat in range(1, 13):
        await try_book((context, other)[seat % 3 == 0], show, [str(seat)])
        version = (await committed(context, show))[0]
        await reader.leave()
        reader = Reader(await lives[seat % 2].read(show, reader.version), reader)
        await reader.up_to(version)
        assert (reader.version, reader.available, reader.shows) == await committed(context, show)
    await reader.leave()
