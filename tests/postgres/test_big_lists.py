"""The lists on a big database: each page reads what it shows, whatever it is filtered by and however deep it lies.

One show was fought for: 40,000 attempts of one user failed there, thirty bookings were cancelled, 5,000 holds are live
and three overdue. What a page reads is counted in the buffers (8 kB) that running it touches.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from rowlock.domain.lifecycles import BookingStatus
from rowlock.operations.find_bookings import list_query
from rowlock.operations.search_bookings import LOOKED_AT_MAX, search_query
from rowlock.operations.seed_world import World, seed_world
from rowlock.postgres.embedded import EmbeddedPostgres
from rowlock.postgres.pool import Database
from rowlock.postgres.queries import load
from tests.conftest import on_database, run_sql

pytestmark = pytest.mark.anyio

SHOWS, BOOKINGS, STATISTICS = load("shows"), load("bookings"), load("statistics")
WORLD = World(shows=300, seats=100, bookings=15_000)
HOT, HOT_USER = 77, "guest"
PAGE = 51
# A page of 51 rows that lie apart is 51 pages of the table, and a few of the index; four ranges are merged at most.
# Sought in vain, the 40,000 would be thousands.
BUFFERS_MAX = 200
# A user's bookings at one show have no index of their own: all of the user's are sought through, or the show's. Here
# that is the worst there can be, a user with most of all bookings.
BOTH_BUFFERS_MAX = 2_000
SHOW_BUFFERS_MAX = (
    600  # two pages and two index walks a show that is listed, and all 300 looked at in a search
)

FILL = f"""
INSERT INTO bookings (show_id, id, user_id, status, reason, seats, seat_count, amount_cents, held, created_at,
                      expires_at, confirmed_at, settled_at, release_at)
SELECT {HOT}, gen_random_uuid(), CASE WHEN n % 10 = 0 THEN 'u' || n ELSE '{HOT_USER}' END, status,
       CASE status WHEN 'FAILED' THEN 'seats_taken' WHEN 'CANCELLED' THEN 'cancelled_by_admin' END, ARRAY[1], 1, 100,
       status = 'PENDING', at, CASE status WHEN 'PENDING' THEN until END,
       CASE status WHEN 'CANCELLED' THEN at END, CASE WHEN status <> 'PENDING' THEN at END,
       CASE status WHEN 'PENDING' THEN until END
FROM (SELECT n, now() - n * interval '7 s' AS at,
             now() + CASE WHEN n IN (20007, 30007, 40007) THEN -1 ELSE 10 END * interval '1 h' AS until,
             CASE WHEN n % 1500 = 1 THEN 'CANCELLED' WHEN n % 9 = 1 OR n IN (20007, 30007, 40007) THEN 'PENDING'
                  ELSE 'FAILED' END AS status
      FROM generate_series(1, 45000) AS n) AS b
"""


@pytest.fixture(scope="module")
def big_dsn(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The database, made once for all."""
    run_sql(server.dsn, f"CREATE DATABASE big_lists TEMPLATE {template}")
    dsn = on_database(server.dsn, "big_lists")
    asyncio.run(seed_world(Database(dsn), WORLD, today=datetime.now(UTC)))
    run_sql(dsn, FILL, "VACUUM ANALYZE bookings, shows, inventory")
    yield dsn
    run_sql(server.dsn, "DROP DATABASE big_lists WITH (FORCE)")


@pytest.fixture
async def connection(big_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection as the pool's are."""
    connection = await asyncpg.connect(big_dsn, server_settings={"jit": "off"})
    yield connection
    await connection.close()


def node_list(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, from the top."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from node_list(part)


def literal(value: object) -> str:
    """An SQL literal for EXECUTE, whose arguments can't be parameters."""
    if value is None:
        return "NULL"
    return str(value).lower() if isinstance(value, bool | int) else f"'{value}'"


async def run(connection: asyncpg.Connection, query: str, values: list[Any], mode: str) -> dict[str, Any]:
    """Run a query as a prepared statement, planned in a mode; the plan with what it took."""
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE q AS {query}")
    given = f"({', '.join(map(literal, values))})" if values else ""
    answer = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE q{given}")
    await connection.execute("DEALLOCATE q")
    plan: dict[str, Any] = json.loads(answer)[0]["Plan"]
    return plan


def buffers(plan: dict[str, Any]) -> int:
    """How many pages of tables and indexes were touched."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def scanned(plan: dict[str, Any]) -> set[str]:
    """The tables that were read from end to end."""
    return {node["Relation Name"] for node in node_list(plan) if node["Node Type"] == "Seq Scan"}


LISTS: dict[str, dict[str, Any]] = {
    "all": {},
    "of a show": {"show_id": HOT},
    "of a user": {"user_id": HOT_USER},
    "of a user with few": {"user_id": "user-1"},
    "of a user at a show": {"user_id": HOT_USER, "show_id": HOT},
    "of nobody": {"user_id": "nobody"},
}
MODES = pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])


@MODES
@pytest.mark.parametrize("depth", [0, 2_000, 25_000])
@pytest.mark.parametrize("status", [None, *BookingStatus], ids=str)
@pytest.mark.parametrize("name", LISTS)
async def test_a_page_of_bookings_reads_what_it_shows(
    connection: asyncpg.Connection, name: str, status: BookingStatus | None, *, depth: int, mode: str
) -> None:
    """A look at a show's few cancelled bookings would read its tens of thousands, and slow down everyone who buys."""
    after: tuple[datetime, UUID] | None = None
    if depth:
        sql = "SELECT created_at, id FROM bookings ORDER BY created_at DESC, id DESC OFFSET $1 LIMIT 1"
        after = tuple(await connection.fetchrow(sql, depth))
    query, values = list_query(**LISTS[name], status=status, after=after, limit=PAGE)
    plan = await run(connection, query, values, mode)
    assert scanned(plan) == set(), json.dumps(plan, indent=1)
    most = BOTH_BUFFERS_MAX if len(LISTS[name]) == 2 else BUFFERS_MAX
    assert buffers(plan) <= most, json.dumps(plan, indent=1)


@pytest.mark.parametrize("status", [None, *BookingStatus], ids=str)
@pytest.mark.parametrize("name", LISTS)
async def test_the_pages_together_are_the_list(
    connection: asyncpg.Connection, name: str, status: BookingStatus | None
) -> None:
    """Bookings would be missing where pages meet, or where several ranges are put together."""
    conditions = [f"{column} = {literal(value)}" for column, value in LISTS[name].items()]
    overdue = "(status = 'PENDING' AND expires_at <= now())"
    if status is BookingStatus.FAILED:
        conditions.append(f"(status = 'FAILED' OR {overdue})")
    elif status is not None:
        conditions.append(f"status = '{status}' AND NOT {overdue}")
    expected = await connection.fetch(
        f"SELECT id FROM bookings WHERE {' AND '.join(conditions) or 'true'} ORDER BY created_at DESC, id DESC"
    )
    found: list[UUID] = []
    after: tuple[datetime, UUID] | None = None
    while True:
        query, values = list_query(**LISTS[name], status=status, after=after, limit=5_000)
        rows = await connection.fetch(query, *values)
        found += [row["id"] for row in rows]
        if len(rows) < 5_000:
            break
        after = (rows[-1]["created_at"], rows[-1]["id"])
    assert found == [row["id"] for row in expected]


SHOW_LISTS: dict[str, list[object]] = {
    "all": [None, None, None],
    "trips": ["trip", None, None],
    "search": [None, "%Graz%", None],
    "vain search": ["show", "%nowhere%", False],
    "cancelled": [None, None, True],
}
SHOW_TERMS: dict[str, list[object]] = {"any": [None, None], "cheap, with seats": [3_000, True]}
WHEN = {"ever": None, "before": "2100-01-01 00:00+00", "before long ago": "2001-01-01 00:00+00"}


@MODES
@pytest.mark.parametrize("deep", [False, True], ids=["first page", "deep page"])
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("terms", SHOW_TERMS)
@pytest.mark.parametrize("name", SHOW_LISTS)
async def test_a_page_of_shows_never_counts_seats(
    connection: asyncpg.Connection, name: str, terms: str, when: str, *, deep: bool, mode: str
) -> None:
    """The first page that everyone sees would take longer with every seat and booking there is."""
    cursor: list[object] = [None, None]
    if deep:
        sql = "SELECT start_time, id FROM shows ORDER BY start_time DESC, id DESC OFFSET 60 LIMIT 1"
        cursor = list(await connection.fetchrow(sql))
    values = [*SHOW_LISTS[name], None, *cursor, PAGE, WHEN[when], *SHOW_TERMS[terms]]
    plan = await run(connection, SHOWS.list_shows, values, mode)
    read = {node["Relation Name"] for node in node_list(plan) if "Relation Name" in node}
    assert read == {"shows", "inventory"}
    assert buffers(plan) <= SHOW_BUFFERS_MAX, json.dumps(plan, indent=1)


@MODES
@pytest.mark.parametrize("status", [None, *BookingStatus], ids=str)
async def test_a_search_in_vain_ends(
    connection: asyncpg.Connection, status: BookingStatus | None, mode: str
) -> None:
    """One mistyped name at the box office would read all that a show was ever asked for, and hold up who buys."""
    query, values = search_query(show_id=HOT, text="nobody%", status=status, after=None, limit=PAGE)
    plan = await run(connection, query, values, mode)
    assert scanned(plan) == set(), json.dumps(plan, indent=1)
    most = max(node["Actual Rows"] for node in node_list(plan))
    assert most <= LOOKED_AT_MAX + 10, json.dumps(plan, indent=1)
    assert plan["Actual Rows"] <= 1, "the one where it ended"


@MODES
async def test_statistics_go_through_a_show_once(connection: asyncpg.Connection, mode: str) -> None:
    """Each look at the numbers of a show would read everybody else's bookings, or its own several times."""
    span = await run(connection, STATISTICS.span, [HOT], mode)
    assert buffers(span) <= 40, json.dumps(span, indent=1)
    counts = await run(connection, STATISTICS.counts, [HOT, "1 hour", "2001-01-01 00:00+00"], mode)
    (read,) = [node for node in node_list(counts) if node.get("Relation Name") == "bookings"]
    assert read["Actual Loops"] <= 3  # workers that share it
    assert counts["Actual Rows"] <= 7 * 200


@MODES
async def test_a_sweep_reads_only_what_is_overdue(connection: asyncpg.Connection, mode: str) -> None:
    """All holds of a flash sale would be read every few seconds, to find that three are overdue."""
    plan = await run(connection, BOOKINGS.to_release, [500], mode)
    assert (plan["Actual Rows"], scanned(plan)) == (3, set())
    assert buffers(plan) <= 20, json.dumps(plan, indent=1)


@MODES
async def test_pruning_looks_only_at_what_is_old(connection: asyncpg.Connection, mode: str) -> None:
    """All failed attempts would be read every few seconds, to find that none is old."""
    plan = await run(connection, BOOKINGS.prune_failed, [36_500.0, 1000], mode)
    assert buffers(plan) <= 20, json.dumps(plan, indent=1)
