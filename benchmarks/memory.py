"""What maps weigh, and what an hour of events leaves behind: maps, the feed, hubs, readers and bodies, without a database.

The hour is made of an event loop whose clock jumps to the next thing that is due, so that it passes in a minute or so.
Its events: 50 commits a second of 40 seats each (2,000 seats/s, 7.2 million in all), in a hall of 20,000; they are heard as the feed tells them, one in
ten before the one that it follows; 50 readers, one of whom leaves each ten seconds and is followed by another, or comes
back with the version it has read; some of them so slow that they get snapshots; a `/availability` each second, and
a `/seats` each ten, in all codings.

Run as a process of its own, for its memory is what is measured: `--by use` goes by what is in use (heap.py), to the
byte, and sees the smallest leak; `--by system` by what the process takes of the machine, the allocator's reserves
included. `--leak N` plants a leak, of N bytes a commit: whoever doubts the measurement can see it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import random
import selectors
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import psutil

from benchmarks import heap
from benchmarks.growth import growth
from rowlock.allocator import give_back_large_blocks
from rowlock.domain.layout_compile import simple_layout
from rowlock.seatmap.changes import Change
from rowlock.seatmap.encoded import Bodies, Coding, Letters, SeatList, Source, read
from rowlock.seatmap.feed import CHANNEL, PostgresFeed, encode
from rowlock.seatmap.live import Live
from rowlock.seatmap.maps import Maps, SeatMap

SEATS: Final = 20_000
MAPS: Final = 200
HOUR_SECONDS: Final = 3_600
WARM_SECONDS: Final = 600
SAMPLE_SECONDS: Final = 10
WINDOWS: Final = 12  # of five minutes each
COMMITS_PER_SECOND: Final = 50
SEATS_PER_COMMIT: Final = 40
READERS: Final = 50
SLOW_ONE_IN: Final = 10
SLOW_SECONDS: Final = 90.0  # the ring holds less
SHOW: Final = 1


class _Jumping(selectors.DefaultSelector):
    """A selector that waits for nothing, unless a thread is at work: it moves the clock on instead."""

    ahead_seconds = 0.0
    working = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.working:
            return super().select(timeout)
        if timeout:
            self.ahead_seconds += timeout
        return super().select(0)


class Hour(asyncio.SelectorEventLoop):
    """A loop in which an hour passes as fast as its events can be worked off."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.ahead_seconds

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """While a thread is at work, which needs real time."""
        self._jumping.working += 1
        try:
            yield
        finally:
            self._jumping.working -= 1


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
    """A show, its readers, and what happens to it. `leak_bytes`: so many are never freed, of each commit."""

    def __init__(self, leak_bytes: int = 0) -> None:
        nothing = cast("Any", None)  # is read or sent: the map is there, and no change is lost
        self._maps = Maps(nothing)
        self._feed = PostgresFeed(nothing, nothing, self._maps)
        self._map = SeatMap(SHOW)
        self._map.replace(1, SEATS, b"A" * SEATS)
        self._maps._maps[SHOW] = self._map  # noqa: SLF001
        self._live = Live(self._maps)
        self._bodies = Bodies()
        self._layout = simple_layout(SEATS)
        self._chance = random.Random(1)
        self._committed = 1
        self._late: list[str] = []
        self._readers: list[asyncio.Task[int]] = []
        self._leak_bytes = leak_bytes
        self._leaked: list[bytes] = []
        self.told: Counter[str] = Counter()

    async def pass_seconds(self, seconds: int) -> None:
        """Let so much time pass."""
        for _ in range(seconds):
            while len(self._readers) < READERS:
                self._come(None)
            for _ in range(COMMITS_PER_SECOND):
                self._commit()
                await asyncio.sleep(1 / COMMITS_PER_SECOND)
            await self._look(Source("letters", SHOW, self._map.version, lambda: read(self._map), Letters))
            if self.told["seconds"] % 10 == 0:
                source = Source("seats", SHOW, self._map.version, lambda: read(self._map), self._list)
                await self._look(source)
                await self._leave(comes_back=self.told["seconds"] % 20 == 0)
            self._live.forget()
            self.told["seconds"] += 1

    async def end(self) -> None:
        """Let all readers leave."""
        self._live.close()
        await asyncio.wait(self._readers)

    def _list(self) -> SeatList:
        return SeatList(self._layout)

    def _commit(self) -> None:
        """A commit of another process, as its feed tells of it; one in ten comes before the one that it follows."""
        seats = tuple(sorted(self._chance.sample(range(SEATS), SEATS_PER_COMMIT)))
        letters = "".join(self._chance.choices("ARB", k=SEATS_PER_COMMIT))
        self._committed += 1
        self.told["commits"] += 1
        if self._leak_bytes:
            self._leaked.append(bytes(self._leak_bytes))
        change = Change(SHOW, self._committed, self._map.letters.count(b"A"), seats, letters)
        payloads = encode("another", [change])
        if self._committed % 10 == 0:
            self._late = payloads
            return
        for payload in [*payloads, *self._late]:
            self._feed._hear(None, 0, CHANNEL, payload)  # noqa: SLF001
        self._late = []

    async def _look(self, source: Source) -> None:
        loop = cast("Hour", asyncio.get_running_loop())
        for coding in Coding:
            with loop.working():
                await self._bodies.get(source, coding)
            self.told["bodies"] += 1

    def _come(self, last_version: int | None) -> None:
        slow = len(self._readers) % SLOW_ONE_IN == 0
        self._readers.append(asyncio.get_running_loop().create_task(self._read(last_version, slow=slow)))

    async def _leave(self, *, comes_back: bool) -> None:
        """The longest there leaves; another comes, or the same with the version that it has read."""
        leaving = self._readers.pop(0)
        leaving.cancel()
        last_version = await leaving
        self._come(last_version if comes_back else None)

    async def _read(self, last_version: int | None, *, slow: bool) -> int:
        """Read until cancelled; returns the version that was read."""
        events = await self._live.read(SHOW, last_version)
        assert events is not None
        version = 0
        with contextlib.suppress(asyncio.CancelledError):
            async for event in events:
                self.told["events"] += 1
                self.told["bytes"] += len(event)
                at = event.rfind(b"\nid: ")
                if at >= 0:
                    version = int(event[at + 5 : event.index(b"\n", at + 5)])
                if slow:
                    await asyncio.sleep(SLOW_SECONDS)
        return version


def _resident_bytes() -> int:
    resident: int = psutil.Process().memory_info().rss
    return resident


async def held(
    measure: Callable[[], int],
    warm_seconds: int,
    seconds: int,
    *,
    sample_seconds: int = SAMPLE_SECONDS,
    leak_bytes: int = 0,
) -> tuple[list[int], Counter[str]]:
    """What is held through so much time, by samples, once a time to warm up has passed; and what happened in it."""
    events = _Events(leak_bytes)
    await events.pass_seconds(warm_seconds)
    samples = []
    for _ in range(seconds // sample_seconds):
        await events.pass_seconds(sample_seconds)
        samples.append(measure())
    await events.end()
    return samples, events.told


def _hour(by: str, leak_bytes: int) -> dict[str, object]:
    give_back_large_blocks()  # as a server does
    measure = heap.bytes_in_use if by == "use" else _resident_bytes
    with asyncio.Runner(loop_factory=Hour) as runner:
        samples, told = runner.run(held(measure, WARM_SECONDS, HOUR_SECONDS, leak_bytes=leak_bytes))
    found = growth(samples, SAMPLE_SECONDS, windows=WINDOWS)
    return {
        "medians": found.medians,
        "bytes_an_hour": found.bytes_an_hour,
        "percent_an_hour": found.percent_an_hour,
        "told": told,
    }


def main() -> None:
    """Say what was found, as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.splitlines()[0])
    parser.add_argument("--by", choices=("use", "system"), default="use")
    parser.add_argument("--leak", type=int, default=0, help="bytes that each commit is to leak (0)")
    wished = parser.parse_args()
    if wished.by == "use":
        heap.begin_anew()
    print(json.dumps({"bytes_a_seat": bytes_a_seat(), **_hour(wished.by, wished.leak)}))


if __name__ == "__main__":
    main()
