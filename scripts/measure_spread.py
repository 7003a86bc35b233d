"""What spreading the tables by show costs: the engine alone, without HTTP. Makes shows in the database, and leaves them.

python scripts/measure_spread.py postgresql://…/rowlock on|off     (whether as with ROWLOCK_SHARDED)
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

import uvloop

from rowlock.domain.commands import Actor
from rowlock.domain.layout_spec import NumberedSpec
from rowlock.operations.book import BookRequest, book
from rowlock.operations.context import Context, open_context
from rowlock.operations.create_show import NewShow, create_show
from rowlock.postgres.pool import Database

LANES = 2
ALONE, ROUNDS, AT_ONCE, SHOWS = 150, 15, 50, 4


async def new_show(context: Context, seats: int) -> int:
    """A show, and a booking of its last seat, so that all is connected and read."""
    start = datetime.now(UTC) + timedelta(days=1)
    show = await create_show(context, NewShow(name="A show", start_time=start, layout=NumberedSpec(seats)))
    await buy(context, show.id, seats)
    return show.id


async def buy(context: Context, show_id: int, seat: int) -> None:
    """Buy one seat."""
    await book(context, BookRequest(show_id, "ada", seats=(str(seat),)), by=Actor.STAFF)


async def main(dsn: str, sharded: bool) -> None:
    """Measure, and print."""
    async with open_context(Database(dsn, sharded=sharded), lanes=LANES, events=False) as context:
        show = await new_show(context, 5000)
        began = time.perf_counter()
        for n in range(ALONE):
            await buy(context, show, n + 1)
        alone = (time.perf_counter() - began) / ALONE
        began = time.perf_counter()
        for n in range(ROUNDS):
            await asyncio.gather(*(buy(context, show, 500 + n * AT_ONCE + k) for k in range(AT_ONCE)))
        together = (time.perf_counter() - began) / ROUNDS
        shows = [await new_show(context, 1000) for _ in range(SHOWS)]
        began = time.perf_counter()
        for n in range(ROUNDS):
            wishes = [(each, 1 + n * AT_ONCE + k) for each in shows for k in range(AT_ONCE)]
            await asyncio.gather(*(buy(context, *wish) for wish in wishes))
        several = (time.perf_counter() - began) / ROUNDS
    for what, seconds in (
        ("a booking by itself", alone),
        (f"{AT_ONCE} at once, one show", together),
        (f"{AT_ONCE} at once at each of {SHOWS} shows", several),
    ):
        sys.stdout.write(f"{what:32} {seconds * 1000:6.1f} ms\n")


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2] == "on"))
