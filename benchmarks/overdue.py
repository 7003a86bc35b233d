"""What buyers notice while 10,000 overdue holds are swept: the rate meanwhile, against that before and after, in one run."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import asyncpg
import msgspec

from benchmarks import rush, worlds
from benchmarks.must import Bench, told
from benchmarks.rounds import TIMES, Figure
from benchmarks.selling import CONNECTIONS, REQUESTS_PER_SECOND_MAX, WARM_SECONDS, rowlock
from benchmarks.worlds import SPREAD, World

HOLDS = 10_000
SETTINGS = {"ROWLOCK_SWEEP_SECONDS": "0.1"}  # so that the sweep begins when we look
SECONDS = (
    42  # of the run: some before the sweep, the sweep (some 20 s, 30 on a busy machine), and some after it
)
QUIET_SECONDS = 2.0
POLL_SECONDS = 0.5  # each look counts what is left, and that is not the sweep's to pay for

# Holds of two seats that have lapsed, in the last seats of each show, as the engine would have left them.
_HOLDS = (
    """INSERT INTO bookings (show_id, id, user_id, status, seats, seat_count, amount_cents, held, created_at, expires_at,
                              release_at)
       SELECT show_id, gen_random_uuid(), 'late', 'PENDING', ARRAY[$3 - 2 * n, $3 - 2 * n + 1], 2, 0, true,
              now() - interval '3 minutes', now() - interval '1 second', now() - interval '1 second'
       FROM unnest($1::bigint[]) AS show_id, generate_series(1, $2::integer) AS n""",
    """UPDATE seats s SET status = 'R', booking_id = b.id, held_until = b.expires_at
       FROM bookings b, unnest(b.seats) AS number
       WHERE b.user_id = 'late' AND b.status = 'PENDING' AND b.show_id = ANY ($1)
             AND s.show_id = b.show_id AND s.seat_no = number""",
    """UPDATE inventory SET available = available - 2 * $2, reserved = reserved + 2 * $2, version = version + 1
       WHERE show_id = ANY ($1)""",
)


class Swept(msgspec.Struct, frozen=True):
    """Bookings a second before, while and after holds were swept, and how long that took."""

    before: float
    meanwhile: float
    after: float
    sweep_seconds: float

    @property
    def ratio(self) -> float:
        """The rate while sweeping against the one without."""
        return self.meanwhile / statistics.mean((self.before, self.after))


def sweep(bench: Bench) -> None:
    """Sell while overdue holds are swept."""
    found = [_measure(bench) for _ in range(bench.rounds)]
    bench.notes["sweep"] = found
    each = tuple(one.ratio for one in found)
    bench.figures += [
        Figure(
            f"while {HOLDS:,} overdue holds are swept ÷ without",
            statistics.median(each),
            TIMES,
            0.8,
            each=each,
            aim=0.95,
        ),
        told("sweep: how long it took", [one.sweep_seconds for one in found], "s"),
    ]


def _measure(bench: Bench) -> Swept:
    dsn = bench.database.dsn
    bench.clear()
    with rowlock(bench.where, bench.database, bench.workers, **SETTINGS) as (server, authorization):
        shows = worlds.make_shows(dsn, SPREAD)
        file = bench.where / f"sweep-{secrets.token_hex(4)}"
        # The holds' seats are wanted by nobody: the shows that buyers know are shorter than they are.
        known = worlds.Size(SPREAD.shows, SPREAD.seats - 2 * _each(shows))
        wanted = (SECONDS + WARM_SECONDS) * REQUESTS_PER_SECOND_MAX
        worlds.write_requests(file, World.SPREAD, shows, known, wanted)
        selling = partial(
            rush.load,
            seconds=WARM_SECONDS + SECONDS,
            connections=CONNECTIONS,
            authorization=authorization,
        )
        try:
            with ThreadPoolExecutor(1) as pool:
                answers = pool.submit(selling, server, file)
                swept = asyncio.run(_watch(dsn, shows))
                answers.result()
        finally:
            file.unlink()
    return swept


def _each(shows: Sequence[int]) -> int:
    return HOLDS // len(shows)


async def _watch(dsn: str, shows: list[int]) -> Swept:
    """Let holds appear in the middle of a sale, and look at the rates before, while and after they are swept."""
    connection = await asyncpg.connect(dsn)
    watcher = await asyncpg.connect(dsn)
    try:
        await asyncio.sleep(WARM_SECONDS)
        began = await _at(watcher, shows)
        await asyncio.sleep(QUIET_SECONDS)
        appeared = await _at(watcher, shows)
        await _let_appear(connection, shows)
        visible = await _at(watcher, shows)
        deadline = time.monotonic() + SECONDS - 2 * QUIET_SECONDS - 1
        while left := await watcher.fetchval("SELECT count(*) FROM bookings WHERE release_at <= now()"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{left} of {HOLDS} holds were not swept within the run")
            await asyncio.sleep(POLL_SECONDS)
        swept = await _at(watcher, shows)
        await asyncio.sleep(QUIET_SECONDS)
        ended = await _at(watcher, shows)
    finally:
        await connection.close()
        await watcher.close()
    return Swept(_rate(began, appeared), _rate(visible, swept), _rate(swept, ended), swept[0] - visible[0])


async def _let_appear(connection: asyncpg.Connection, shows: list[int]) -> None:
    """Locks the shows for as long as it takes, which is why nothing is measured meanwhile."""
    each = _each(shows)
    async with connection.transaction():
        await connection.execute(
            "SELECT FROM inventory WHERE show_id = ANY ($1) ORDER BY show_id FOR UPDATE", shows
        )
        await connection.execute(_HOLDS[0], shows, each, SPREAD.seats)
        await connection.execute(_HOLDS[1], shows)
        await connection.execute(_HOLDS[2], shows, each)


async def _at(connection: asyncpg.Connection, shows: list[int]) -> tuple[float, int]:
    """The time, and how many bookings there are then."""
    now = time.monotonic()
    return now, await connection.fetchval(
        "SELECT count(*) FROM bookings WHERE show_id = ANY ($1) AND status = 'CONFIRMED'", shows
    )


def _rate(first: tuple[float, int], last: tuple[float, int]) -> float:
    return (last[1] - first[1]) / (last[0] - first[0])
