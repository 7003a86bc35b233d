"""What events cost: bookings through the engine, with events on and off by turns, on an embedded PostgreSQL.

    .venv/bin/python scripts/measure_events.py [rounds]

Each round is a slice of half a second of either kind, in a random order, so that whatever else the machine does meets
both alike. Two kinds of load: bookings of two free seats, and attempts that fail because the seats are taken.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from rowlock.domain.commands import Actor
from rowlock.domain.layout_spec import NumberedSpec
from rowlock.operations.book import BookRequest, book
from rowlock.operations.context import Context, open_context
from rowlock.operations.create_show import NewShow, create_show
from rowlock.postgres import migrate
from rowlock.postgres.embedded import EmbeddedPostgres
from rowlock.postgres.pool import Database

BUYERS, SHOWS, SEATS, SLICE_SECONDS = 200, 4, 100_000, 0.5


class Sale:
    """Shows on sale, and who sells them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._next: dict[int, int] = {}

    async def renew(self) -> None:
        """Have shows with enough seats left for a slice."""
        self._next = {show: sold for show, sold in self._next.items() if sold < SEATS // 2}
        while len(self._next) < SHOWS:
            start = datetime.now(UTC) + timedelta(days=1)
            made = await create_show(self._context, NewShow("A show", start, NumberedSpec(SEATS)))
            self._next[made.id] = 0

    async def slice(self, *, free: bool) -> float:
        """Sell for a while, free seats or taken ones. Returns how many attempts were decided in a second."""
        await self.renew()
        shows = list(self._next)
        began = time.perf_counter()
        decided = 0

        async def buyer(n: int) -> None:
            nonlocal decided
            show = shows[n % SHOWS]
            while time.perf_counter() < began + SLICE_SECONDS:
                first = self._next[show] if free else 0
                self._next[show] += 2 if free else 0
                request = BookRequest(show, f"u{n}", seats=(str(first + 1), str(first + 2)))
                await book(self._context, request, by=Actor.STAFF)
                decided += 1

        await asyncio.gather(*(buyer(n) for n in range(BUYERS)))
        return decided / (time.perf_counter() - began)


async def measure(dsn: str, rounds: int) -> None:
    """Measure, and print."""
    async with AsyncExitStack() as stack:
        sales = {
            events: Sale(await stack.enter_async_context(open_context(Database(dsn), events=events)))
            for events in (True, False)
        }
        for free in (True, False):
            rates: dict[bool, list[float]] = {True: [], False: []}
            for number in range(rounds + 3):
                for events in random.sample([True, False], 2):
                    rate = await sales[events].slice(free=free)
                    if number >= 3:  # the first ones warm up
                        rates[events].append(rate)
            on, off = (statistics.fmean(rates[events]) for events in (True, False))
            ratio = statistics.median(a / b for a, b in zip(rates[True], rates[False], strict=True))
            kind = "free seats" if free else "taken seats"
            means = f"on {on:,.0f}/s, off {off:,.0f}/s, of means {on / off:.2f}"
            sys.stdout.write(f"{kind}: {means}, median ratio of a round {ratio:.2f}\n")


def main() -> None:
    """Run it."""
    # A short path, for the socket.
    with (
        tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as folder,
        EmbeddedPostgres(Path(folder) / "data") as server,
    ):
        asyncio.run(migrate.upgrade(server.dsn))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(server.dsn, int(sys.argv[1]) if len(sys.argv) > 1 else 40))


if __name__ == "__main__":
    main()
