"""The hot queries' plans: no scan of all seats or bookings, and locks taken in order.

Checked with a realistic amount of rows: with statistics of them, and before anyone has gathered any, as in the first
minute of a new installation. The lanes plan a statement once, when they first need it, and keep the plan until new
statistics come: so they are asked for their plans on empty tables too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from rowlock.domain.ids import booking_id
from rowlock.domain.lifecycles import BookingStatus
from rowlock.operations.find_bookings import list_query
from rowlock.postgres.embedded import EmbeddedPostgres
from rowlock.postgres.pool import Database, connect_lane, create_pool
from rowlock.postgres.queries import load
from tests.conftest import on_database, run_sql

pytestmark = pytest.mark.anyio

BATCH, BOOKINGS, SHOWS = load("batch"), load("bookings"), load("shows")
STRAIGHT = load("straight")
MAPS, PLANS, QUEUE, STATISTICS = load("maps"), load("plans"), load("queue"), load("statistics")

ALL = frozenset({"seats", "bookings", "inventory", "shows"})
ROWS = frozenset({"seats", "bookings"})
QUEUES = frozenset({"booking_queues", "booking_requests"})
REQUESTS = frozenset({"booking_requests"})  # booking_queues has a few bytes a show: a scan is soon done

SHOW_COUNT, SEAT_COUNT, BOOKING_COUNT = 40, 500, 20_000
OTHER_SHOWS = 2_000  # long over: their seats don't matter here
A_BOOKING = booking_id(7, 7)
# One in fifty is a hold, one in a hundred of these is overdue; a third failed; the rest is sold.
FILL = f"""
INSERT INTO shows (id, kind, name, venue, start_time, currency, categories, layout)
SELECT n, 'show', 'Show ' || n, 'Hall', now() + n * interval '1 day', 'EUR', '[]', '{{}}'
FROM generate_series(1, {SHOW_COUNT} + {OTHER_SHOWS}) AS n;

INSERT INTO inventory (show_id, total, available, max_seats)
SELECT n, {SEAT_COUNT}, {SEAT_COUNT}, 10
FROM generate_series(1, {SHOW_COUNT} + {OTHER_SHOWS}) AS n;

INSERT INTO seats (show_id, seat_no)
SELECT show, n FROM generate_series(1, {SHOW_COUNT}) AS show, generate_series(0, {SEAT_COUNT} - 1) AS n;

INSERT INTO bookings (show_id, id, user_id, status, reason, seats, seat_count, amount_cents, held, created_at,
                      expires_at, confirmed_at, settled_at, release_at)
SELECT 1 + n % {SHOW_COUNT}, gen_random_uuid(), 'user ' || n % 3000, status,
       CASE status WHEN 'FAILED' THEN 'seats_taken' END, ARRAY[n % {SEAT_COUNT}], 1, 100, status = 'PENDING',
       created_at, CASE status WHEN 'PENDING' THEN until END,
       CASE status WHEN 'CONFIRMED' THEN created_at END, CASE WHEN status <> 'PENDING' THEN created_at END,
       CASE status WHEN 'PENDING' THEN until END
FROM (SELECT n, CASE WHEN n % 50 = 0 THEN 'PENDING' WHEN n % 3 = 0 THEN 'FAILED' ELSE 'CONFIRMED' END AS status,
             now() - n * interval '1 minute' AS created_at,
             now() + CASE WHEN n % 5000 = 0 THEN -1 ELSE 1 END * interval '1 hour' AS until
      FROM generate_series(1, {BOOKING_COUNT}) AS n) AS b;

INSERT INTO booking_queues (show_id) SELECT n FROM generate_series(1, {SHOW_COUNT} + {OTHER_SHOWS}) AS n;

INSERT INTO booking_requests (show_id, id, user_id, request, request_hash, dead_at, cause)
SELECT 1 + n % {SHOW_COUNT}, gen_random_uuid(), 'user ' || n % 3000, convert_to(repeat('x', 200), 'UTF8'), '\\x00',
       CASE WHEN n % 100 = 0 THEN now() END, CASE WHEN n % 100 = 0 THEN 'a bug' END
FROM generate_series(1, {BOOKING_COUNT}) AS n;
"""


def node_list(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, from the top."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from node_list(part)


def literal(value: object) -> str:
    """An SQL literal for EXECUTE, whose arguments can't be parameters."""
    match value:
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case _:
            return "'" + str(value).replace("'", "''") + "'"


class Explainer:
    """Explains queries as prepared statements."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def plan(self, query: str, *values: object, mode: str | None = None) -> dict[str, Any]:
        """The plan of a query, as the session makes it, or in a mode of its own. A generic plan needs no values."""
        if mode is not None:
            await self.connection.execute(f"SET plan_cache_mode = {mode}")
        await self.connection.execute(f"PREPARE q AS {query}")
        kinds = await self.connection.fetchval(
            "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'q'"
        )
        given = [literal(value) for value in values] or ["NULL"] * kinds
        call = f"({', '.join(given)})" if given else ""
        rows = await self.connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE q{call}")
        await self.connection.execute("DEALLOCATE q")
        plan: dict[str, Any] = json.loads(rows)[0]["Plan"]
        return plan


def database(server: EmbeddedPostgres, template: str, state: str) -> Iterator[str]:
    """A database with many rows and statistics of them, many rows and none, a few bookings, or nothing at all."""
    name = f"explain_{state}"
    run_sql(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    dsn = on_database(server.dsn, name)
    run_sql(dsn, *(f"ALTER TABLE {table} SET (autovacuum_enabled = off)" for table in ALL | QUEUES))
    if state == "few":
        run_sql(dsn, FILL.replace(f"generate_series(1, {BOOKING_COUNT})", "generate_series(1, 100)"))
    elif state != "empty":
        run_sql(dsn, FILL)
    if state in {"analysed", "few"}:
        run_sql(dsn, *(f"VACUUM ANALYZE {table}" for table in ALL | QUEUES))
    yield dsn
    run_sql(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module", params=["analysed", "unanalysed"])
def full_dsn(request: pytest.FixtureRequest, server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A database in use."""
    yield from database(server, template, request.param)


@pytest.fixture(scope="module")
def bare_dsn(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A database in its first second."""
    yield from database(server, template, "empty")


@pytest.fixture(scope="module")
def young_dsn(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A database on its first day: statistics say that there are a hundred bookings."""
    yield from database(server, template, "few")


@pytest.fixture
async def lane(full_dsn: str) -> AsyncIterator[Explainer]:
    """A lane's own connection."""
    connection = await connect_lane(Database(full_dsn), lambda *_: None)
    yield Explainer(connection)
    await connection.close()


@pytest.fixture(params=["bare", "young"])
async def early_lane(
    request: pytest.FixtureRequest, bare_dsn: str, young_dsn: str
) -> AsyncIterator[Explainer]:
    """The connection of a lane that began on an empty database, or nearly so."""
    dsn = bare_dsn if request.param == "bare" else young_dsn
    connection = await connect_lane(Database(dsn), lambda *_: None)
    yield Explainer(connection)
    await connection.close()


@pytest.fixture
async def pool(full_dsn: str) -> AsyncIterator[Explainer]:
    """A connection of the pool."""
    pool = await create_pool(Database(full_dsn, pool_size=1))
    async with pool.acquire() as connection:
        yield Explainer(connection)
    await pool.close()


GENERIC = {
    "lock": (BATCH.lock, ALL),
    "lock_free_seats": (BATCH.lock_free_seats, ALL),
    "read_bookings": (BATCH.read_bookings, ALL),
    "free_seats": (BATCH.free_seats, ALL),
    "write": (BATCH.write, ALL),
    "book": (STRAIGHT.book, ALL),
    "book_as_foretold": (STRAIGHT.book_as_foretold, ALL),
}
CUSTOM: dict[str, tuple[str, frozenset[str], list[object]]] = {
    "booking": (BOOKINGS.booking, ALL, [7, A_BOOKING]),
    "to_release": (BOOKINGS.to_release, ROWS, [500]),
    "show": (SHOWS.show, ALL, [7]),
    "list_shows": (SHOWS.list_shows, ROWS, [None, None, None, None, None, None, 51, None, None, None]),
    "list_shows, searched": (
        SHOWS.list_shows,
        ROWS,
        ["show", "%3%", False, None, None, None, 51, None, 5000, True],
    ),
    "booking_of_seat": (BOOKINGS.booking_of_seat, ALL, [7, 5]),
    "span": (STATISTICS.span, ALL, [7]),
    "map": (MAPS.map, ALL, [7]),
    "to_settle": (SHOWS.to_settle, ALL, [7, 500]),
    "settled": (SHOWS.settled, ALL, [7]),
    "settling": (SHOWS.settling, ROWS, []),
    "update_show": (SHOWS.update_show, ALL, [7, "N", None, "2031-01-01", None, None]),
    "update_terms": (SHOWS.update_terms, ALL, [7, None, 10, None, False]),
    "lock_terms": (SHOWS.lock_terms, ALL, [7]),
    "plan": (PLANS.plan, ALL, [7]),
}
LISTS: dict[str, tuple[str | None, int | None]] = {
    "all": (None, None),
    "by user": ("user 5", None),
    "by show": (None, 7),
    "by user and show": ("user 5", 7),
}
AFTER = (datetime(2031, 1, 1, tzinfo=UTC), A_BOOKING)


def scans(plan: dict[str, Any], tables: frozenset[str]) -> list[str]:
    """The tables that are read from end to end."""
    return [
        node["Relation Name"]
        for node in node_list(plan)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in tables
    ]


def walks(plan: dict[str, Any], tables: frozenset[str]) -> list[str]:
    """The tables an index of which is read from end to end."""
    return [
        node["Relation Name"]
        for node in node_list(plan)
        if node["Node Type"].startswith("Index")
        and node.get("Relation Name") in tables
        and "Index Cond" not in node
    ]


def bitmaps(plan: dict[str, Any]) -> list[str]:
    """The tables whose rows are gathered as bitmaps first."""
    return [node["Relation Name"] for node in node_list(plan) if node["Node Type"] == "Bitmap Heap Scan"]


QUEUE_LOOKS: dict[str, tuple[Any, ...]] = {
    "claim": (7,),
    "next_requests": (7, 200),
    "find": (7, A_BOOKING),
    "remove": (7, "{}"),
    "dead": (100, None),
}
LANE = pytest.mark.parametrize("name", GENERIC)
MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@LANE
async def test_the_lanes_scan_nothing(lane: Explainer, name: str) -> None:
    """Every booking would cost as much as there are seats, and a stampede stand still."""
    query, tables = GENERIC[name]
    plan = await lane.plan(query)
    assert scans(plan, tables) + walks(plan, tables) == [], json.dumps(plan, indent=1)


@LANE
async def test_the_lanes_gather_no_bitmaps(lane: Explainer, name: str) -> None:
    """For each seat PostgreSQL 18 would have another process look for its page, and wait for it."""
    assert bitmaps(await lane.plan(GENERIC[name][0])) == []


@LANE
async def test_lanes_that_began_early_scan_nothing(early_lane: Explainer, name: str) -> None:
    """A plan made for empty tables would be kept while they fill: the first flash sale would crawl."""
    query, tables = GENERIC[name]
    plan = await early_lane.plan(query)
    assert scans(plan, tables) + walks(plan, tables) == [], json.dumps(plan, indent=1)


@MODES
@pytest.mark.parametrize("name", CUSTOM)
async def test_the_pool_scans_nothing(pool: Explainer, name: str, mode: str) -> None:
    """A page view would cost as much as there are bookings, and starve those who buy."""
    query, tables, values = CUSTOM[name]
    plan = await pool.plan(query, *values, mode=mode)
    assert scans(plan, tables) == [], json.dumps(plan, indent=1)


@MODES
@pytest.mark.parametrize("name", QUEUE_LOOKS)
async def test_the_consumer_scans_nothing(pool: Explainer, name: str, mode: str) -> None:
    """Each batch of a rush would cost as much as there are requests waiting, and the queue never catch up."""
    plan = await pool.plan(getattr(QUEUE, name), *QUEUE_LOOKS[name], mode=mode)
    assert scans(plan, REQUESTS) == [], json.dumps(plan, indent=1)


@pytest.mark.parametrize("name", QUEUE_LOOKS)
async def test_a_consumer_that_began_early_scans_nothing(bare_dsn: str, name: str) -> None:
    """It looks into an empty table from the start, and would keep a plan for that when the rush comes."""
    pool = await create_pool(Database(bare_dsn, pool_size=1))
    async with pool.acquire() as connection:
        plan = await Explainer(connection).plan(getattr(QUEUE, name), mode="force_generic_plan")
    await pool.close()
    assert scans(plan, REQUESTS) == [], json.dumps(plan, indent=1)


@MODES
@pytest.mark.parametrize("paged", [False, True], ids=["first page", "next page"])
@pytest.mark.parametrize("status", [None, *BookingStatus], ids=str)
@pytest.mark.parametrize("name", LISTS)
async def test_lists_scan_nothing(
    pool: Explainer, name: str, status: BookingStatus | None, paged: bool, mode: str
) -> None:
    """An administrator who looks at a list would slow down everyone who buys."""
    user_id, show_id = LISTS[name]
    query, values = list_query(
        user_id=user_id, show_id=show_id, status=status, after=AFTER if paged else None, limit=51
    )
    plan = await pool.plan(query, *values, mode=mode)
    assert scans(plan, ROWS) == [], json.dumps(plan, indent=1)


@MODES
async def test_the_pruner_finds_what_is_old(pool: Explainer, mode: str) -> None:
    """Tidying up would read every booking there ever was, to find that none is old."""
    old = parts(await pool.plan(BOOKINGS.prune_failed, 30.0, 1000, mode=mode), "old")
    assert scans(old, ROWS) == [], json.dumps(old, indent=1)


def parts(plan: dict[str, Any], name: str) -> dict[str, Any]:
    """The part of a plan that is a CTE."""
    return next(node for node in node_list(plan) if node.get("Subplan Name") == f"CTE {name}")


def below(node: dict[str, Any]) -> dict[str, Any]:
    """What a node takes its rows from."""
    return next(part for part in node["Plans"] if part["Parent Relationship"] == "Outer")


def assert_locked_in_order(plan: dict[str, Any], keys: list[str]) -> None:
    """LockRows is on top, and what it locks comes sorted by the keys."""
    assert plan["Node Type"] == "LockRows", json.dumps(plan, indent=1)
    assert below(plan)["Node Type"] == "Sort", json.dumps(plan, indent=1)
    assert below(plan)["Sort Key"] == keys


async def assert_lock_order(explainer: Explainer) -> None:
    """Seats in their order, then inventory in its order."""
    plan = await explainer.plan(BATCH.lock)
    assert_locked_in_order(parts(plan, "seat"), ["s.show_id", "s.seat_no"])
    assert_locked_in_order(parts(plan, "sale"), ["i.show_id"])
    plan = await explainer.plan(STRAIGHT.book)
    assert_locked_in_order(parts(plan, "seat"), ["s.show_id", "s.seat_no"])
    assert_locked_in_order(parts(plan, "sale"), ["i.show_id"])
    assert_locked_in_order(await explainer.plan(BATCH.lock_free_seats), ["s.show_id", "s.seat_no"])


async def test_locks_are_taken_in_order(lane: Explainer, early_lane: Explainer) -> None:
    """Two batches would wait for each other in a circle, and one be thrown out."""
    await assert_lock_order(lane)
    await assert_lock_order(early_lane)


async def test_what_is_foretold_is_written_in_order(lane: Explainer, early_lane: Explainer) -> None:
    """Two processes that sell the same seats would wait for each other in a circle."""
    for explainer in (lane, early_lane):
        plan = await explainer.plan(STRAIGHT.book_as_foretold)
        for name, table, outer in (("seated", "seats", "Sort"), ("counted", "inventory", "Function Scan")):
            (joined,) = (
                node
                for node in node_list(parts(plan, name))
                if node["Node Type"] == "Nested Loop" and node["Join Type"] == "Inner"
            )
            first, second = joined["Plans"]
            assert outer in {node["Node Type"] for node in node_list(first)}, json.dumps(joined, indent=1)
            assert (second["Node Type"], second["Index Name"]) == ("Index Scan", f"{table}_pkey")
        for name, table in (("refused", "seats"), ("counted", "inventory")):
            part = parts(plan, name)
            (gate,) = (node for node in node_list(part) if "One-Time Filter" in node)
            read = [node for node in node_list(part) if node.get("Relation Name") == table]
            below_gate = [
                node for node in node_list(gate) if node in read and node["Node Type"] != "ModifyTable"
            ]
            assert below_gate, f"{name}: before what is to be locked first"


async def test_no_inventory_is_locked_before_the_seats(lane: Explainer, early_lane: Explainer) -> None:
    """A batch that waits for a seat would hold up the whole show meanwhile, or end in a deadlock."""
    for explainer in (lane, early_lane):
        plan = parts(await explainer.plan(BATCH.lock), "sale")
        counted = [node for node in node_list(plan) if node.get("CTE Name") == "seat"]
        assert len(counted) == 1
        (gate,) = (node for node in node_list(plan) if "One-Time Filter" in node)
        read = [node for node in node_list(plan) if node.get("Relation Name") == "inventory"]
        assert [node for node in node_list(gate) if node in read] == read


async def test_the_write_finds_its_rows_by_key(lane: Explainer) -> None:
    """The write would take longer with every booking ever made."""
    plan = await lane.plan(BATCH.write)
    reads = {
        (node["Relation Name"], node["Index Name"])
        for node in node_list(plan)
        if node["Node Type"] == "Index Scan"
    }
    assert reads == {
        ("seats", "seats_pkey"),
        ("bookings", "bookings_pkey"),
        ("inventory", "inventory_pkey"),
    }


async def test_the_lanes_run_what_is_explained_here(lane: Explainer) -> None:
    """The plans above would not be those that run."""
    statement = await lane.connection.prepare(BATCH.lock)
    await statement.fetch("{1}", "{1}", "{1}")
    counts = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
    assert tuple(await lane.connection.fetchrow(counts, BATCH.lock)) == (1, 0)
