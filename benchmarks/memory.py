"""What maps weigh, and what an hour of events leaves behind: maps, a hub, readers and bodies, without a database.

The hour is made of an event loop whose clock jumps to the next thing that is due, so that it passes in a minute or so.
Its events: 50 commits a second of 40 seats each, in a hall of 20,000; 50 readers, one of whom leaves and is followed by
another each ten seconds; a `/availability` each second, and a `/seats` each ten. Run as a process of its own, for its
memory is what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import random
import selectors
import tracemalloc
from collections import Counter
from typing import Any, Final, cast

import psutil

from rowlock.domain.layout_compile import simple_layout
from rowlock.seatmap.changes import Change
from rowlock.seatmap.encoded import Bodies, Coding, Letters, SeatList, Source, read
from rowlock.seatmap.live import Live
from rowlock.seatmap.maps import Maps, SeatMap

SEATS: Final = 20_000
MAPS: Final = 200
HOUR_SECONDS: Final = 3_600
WARM_SECONDS: Final = 600
SAMPLES: Final = 6  # through the hour
COMMITS_PER_SECOND: Final = 50
SEATS_PER_COMMIT: Final = 40
READERS: Final = 50
SHOW: Final = 1


class _Jumping(selectors.DefaultSelector):
    """A selector that waits for nothing: it moves the clock on instead."""

    ahead_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.ahead_seconds += timeout
        return super().select(0)


class _Hour(asyncio.SelectorEventLoop):
    """A loop in which an hour passes as fast as its events can be worked off."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.ahead_seconds


def bytes_a_seat() -> float:
    """The memory of many maps, by Python's own accounts, a seat."""
    letters = b"A" * SEATS
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    maps = []
    for show in range(MAPS):
        seat_map = SeatMap(show)
        seat_map.replace(1, SEATS, letters)
        maps.append(seat_map)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / SEATS / len(maps)


class _Events:
    """A show, its readers, and what happens to it."""

    def __init__(self) -> None:
        self._maps = Maps(cast("Any", None))  # nothing is read: the map is there, and no change is lost
        self._map = SeatMap(SHOW)
        self._map.replace(1, SEATS, b"A" * SEATS)
        self._maps._maps[SHOW] = self._map  # noqa: SLF001
        self._live = Live(self._maps)
        self._bodies = Bodies()
        self._layout = simple_layout(SEATS)
        self._chance = random.Random(1)
        self._readers: list[asyncio.Task[None]] = []
        self.told: Counter[str] = Counter()

    async def pass_seconds(self, seconds: int) -> None:
        """Let so much time pass."""
        loop = asyncio.get_running_loop()
        for second in range(seconds):
            for _ in range(COMMITS_PER_SECOND):
                self._commit()
                await asyncio.sleep(1 / COMMITS_PER_SECOND)
            while len(self._readers) < READERS:
                self._readers.append(loop.create_task(self._read()))
            await self._look(Source("letters", SHOW, self._map.version, lambda: read(self._map), Letters))
            if second % 10 == 0:
                self._readers.pop(0).cancel()
                source = Source("seats", SHOW, self._map.version, lambda: read(self._map), self._list)
                await self._look(source)
            self._live.forget()
        self.told["seconds"] += seconds

    async def end(self) -> None:
        """Let all readers leave."""
        self._live.close()
        await asyncio.wait(self._readers)

    def _list(self) -> SeatList:
        return SeatList(self._layout)

    def _commit(self) -> None:
        seats = tuple(sorted(self._chance.sample(range(SEATS), SEATS_PER_COMMIT)))
        letters = "".join(self._chance.choices("ARB", k=SEATS_PER_COMMIT))
        available = self._map.letters.count(b"A")
        self._maps.apply(Change(SHOW, self._map.version + 1, available, seats, letters))
        self.told["commits"] += 1

    async def _look(self, source: Source) -> None:
        for coding in Coding:
            await self._bodies.get(source, coding)
            self.told["bodies"] += 1

    async def _read(self) -> None:
        events = await self._live.read(SHOW)
        assert events is not None
        async for event in events:
            self.told["events"] += 1
            self.told["bytes"] += len(event)


def _resident_bytes() -> int:
    """What is held: glibc keeps what was freed for later, some megabytes more or less, until it is asked for it."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # other C libraries have no such word
        ctypes.CDLL(None).malloc_trim(0)
    resident: int = psutil.Process().memory_info().rss
    return resident


async def _hour() -> dict[str, object]:
    events = _Events()
    await events.pass_seconds(WARM_SECONDS)
    resident = [_resident_bytes()]
    for _ in range(SAMPLES):
        await events.pass_seconds(HOUR_SECONDS // SAMPLES)
        resident.append(_resident_bytes())
    await events.end()
    return {
        "resident_bytes": resident,
        "growth_percent": (resident[-1] / resident[0] - 1) * 100,
        "told": events.told,
    }


if __name__ == "__main__":
    weight = bytes_a_seat()
    with asyncio.Runner(loop_factory=_Hour) as runner:
        found = runner.run(_hour())
    print(json.dumps({"bytes_a_seat": weight, **found}))
