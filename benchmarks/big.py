"""A database with 10 million bookings and 10 million seats beside an empty one: does a booking cost more there?

It is filled by PostgreSQL itself, in some two minutes: indexes that only look are made afterwards, and shows are written
from two connections at once. The bookings are of the last weeks, of all statuses, and have taken four fifths of the seats.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import msgspec

from benchmarks.must import Bench, rates, sell, told
from benchmarks.rounds import in_turns, ratio
from benchmarks.servers import Postgres
from benchmarks.worlds import World
from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import NumberedSpec, encode_spec
from rowlock.postgres import migrate

SEATS = 2_000  # of a show
BOOKINGS = 10_000_000
SEATS_SOLD = 1_600  # of a show, two by two
CONNECTIONS = 2
SHOWS_AT_ONCE = 100

# $1, $2: the first show's id and the last's. $3: bookings of each; $4: seats that are sold of each. The nth booking of a show is CONFIRMED for the nth pair
# of seats, as long as these last; of the others nine in ten have FAILED, and one was CANCELLED.
_BOOKINGS = """
    INSERT INTO bookings (show_id, id, user_id, status, reason, seats, conflicts, seat_count, amount_cents, held,
                          created_at, confirmed_at, settled_at)
    SELECT show_id,
           (lpad(to_hex(show_id >> 5), 12, '0') || '8' || to_hex((show_id & 31) >> 1) || lpad(to_hex((show_id & 1) << 7), 2, '0')
            || 'a' || substr(md5(show_id || '.' || n), 1, 15))::uuid,
           'user-' || (show_id * 7919 + n * 104729) % 2000000,
           status, CASE status WHEN 'FAILED' THEN 'seats_taken' WHEN 'CANCELLED' THEN 'cancelled_by_customer' END,
           ARRAY[pair * 2, pair * 2 + 1], CASE status WHEN 'FAILED' THEN ARRAY[pair * 2] END, 2, 0, false, at,
           CASE status WHEN 'FAILED' THEN NULL ELSE at END, at
    FROM generate_series($1::bigint, $2::bigint) AS show_id, generate_series(0, $3::integer - 1) AS n,
         LATERAL (SELECT CASE WHEN n < $4::integer / 2 THEN 'CONFIRMED' WHEN n % 10 = 0 THEN 'CANCELLED' ELSE 'FAILED' END AS status,
                         n % ($4::integer / 2) AS pair,
                         now() - interval '20 days' + n * interval '10 minutes' + show_id * interval '1 second' AS at) AS made
"""
_SEATS = """
    INSERT INTO seats (show_id, seat_no, status, booking_id)
    SELECT b.show_id, number, 'B', b.id FROM bookings b, unnest(b.seats) AS number
    WHERE b.show_id BETWEEN $1 AND $2 AND b.status = 'CONFIRMED'
    UNION ALL
    SELECT show_id, number, 'A', NULL FROM generate_series($1::bigint, $2::bigint) AS show_id,
           generate_series($3::integer, $4::integer - 1) AS number
    ORDER BY 1, 2
"""
_INVENTORY = """
    INSERT INTO inventory (show_id, version, total, available, booked, max_seats)
    SELECT show_id, 1, count(*), count(*) FILTER (WHERE status = 'A'), count(*) FILTER (WHERE status = 'B'), 10
    FROM seats WHERE show_id BETWEEN $1 AND $2 GROUP BY show_id
"""
_SHOWS = """
    INSERT INTO shows (id, kind, name, start_time, currency, categories, layout)
    SELECT id, 'show', 'Show ' || id, now() + interval '30 days', 'EUR', $3::text::json, $4::text::json
    FROM generate_series($1::bigint, $2::bigint) AS id
"""


def big(bench: Bench) -> None:
    """Sell new shows in a full database and in an empty one."""
    full, empty = (new_database(bench, name) for name in ("full", "empty"))
    began = time.monotonic()
    asyncio.run(fill(full.dsn, BOOKINGS))
    bench.notes["filled in seconds"] = time.monotonic() - began
    variants = {
        name: partial(sell, bench, World.SPREAD, bench.workers, database=database)
        for name, database in (("empty", empty), ("full", full))
    }
    found = in_turns(variants, 2 * bench.rounds - 1)  # both rates vary, as in `side_by_side`
    sold = {name: [rush for rush, _ in each] for name, each in found.items()}
    bench.notes["big"] = sold
    bench.figures += [
        ratio("10 million bookings ÷ none", rates(sold["full"]), rates(sold["empty"]), at_least=0.9, aim=1.0),
        told("big: 10 million bookings and seats", rates(sold["full"])),
        told("big: none", rates(sold["empty"])),
    ]


def new_database(bench: Bench, name: str) -> Postgres:
    """Another database of the same PostgreSQL, migrated."""
    dsn = urlsplit(bench.database.dsn)._replace(path=f"/{name}").geturl()

    async def make() -> None:
        connection = await asyncpg.connect(bench.database.dsn)
        await connection.execute(f'CREATE DATABASE "{name}"')
        await connection.close()
        await migrate.upgrade(dsn)

    asyncio.run(make())
    return Postgres(dsn, bench.database.pid, bench.database.bin_dir)


async def fill(dsn: str, bookings: int) -> None:
    """Write so many bookings and as many seats into a migrated database without shows."""
    shows = bookings // SEATS
    connections = [await asyncpg.connect(dsn) for _ in range(CONNECTIONS)]
    first, *_ = connections
    try:
        indexes = await first.fetch(
            """SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made_by FROM pg_index
               WHERE indrelid = 'bookings'::regclass AND NOT indisprimary"""
        )
        for index in indexes:
            await first.execute(f"DROP INDEX {index['name']}")
        starts = iter(range(1, shows + 1, SHOWS_AT_ONCE))

        async def write(connection: asyncpg.Connection) -> None:
            for start in starts:
                await _write_shows(connection, start, min(start + SHOWS_AT_ONCE - 1, shows))

        await asyncio.gather(*(write(connection) for connection in connections))
        waiting = iter(indexes)

        async def index_all(connection: asyncpg.Connection) -> None:
            await connection.execute("SET maintenance_work_mem = '512MB'")
            for index in waiting:
                await connection.execute(index["made_by"])

        await asyncio.gather(*(index_all(connection) for connection in connections))
        await first.execute(f"SELECT setval('show_ids', {shows})")
        await first.execute("VACUUM (ANALYZE) shows, inventory, seats, bookings")
        await first.execute("CHECKPOINT")
    finally:
        for connection in connections:
            await connection.close()


async def _write_shows(connection: asyncpg.Connection, first: int, last: int) -> None:
    layout = compile_layout(NumberedSpec(SEATS), ())
    categories = msgspec.json.encode(layout.categories).decode()
    async with connection.transaction():
        await connection.execute(_SHOWS, first, last, categories, encode_spec(NumberedSpec(SEATS)))
        await connection.execute(_BOOKINGS, first, last, SEATS, SEATS_SOLD)
        await connection.execute(_SEATS, first, last, SEATS_SOLD, SEATS)
        await connection.execute(_INVENTORY, first, last)
