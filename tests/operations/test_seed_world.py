"""The big world: as the engine would have left it, and the same each time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner

from rowlock import cli_data
from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context
from rowlock.operations.seed_world import Progress, World, seed_world
from rowlock.operations.verify import verify
from rowlock.postgres.pool import Database
from rowlock.settings import Settings
from rowlock.workers.sweeper import Sweeper
from tests.support import make_show, try_book

pytestmark = pytest.mark.anyio

WORLD = World(shows=30, seats=203, bookings=6_000)
FINGERPRINT = """
SELECT md5(string_agg(t, '|' ORDER BY t)) FROM (
    SELECT concat_ws(',', s.name, s.start_time, b.user_id, b.status, b.reason, b.seats, b.amount_cents,
                     b.created_at, b.expires_at, b.settled_at) AS t
    FROM bookings b JOIN shows s ON s.id = b.show_id) AS all_of_it"""


async def test_the_world_is_whole_and_varied(context: Context, dsn: str) -> None:
    """What is measured on it would say nothing about a real one."""
    before = await make_show(context, 10)
    heard: list[Progress] = []
    made = await seed_world(Database(dsn), WORLD, heard.append)
    assert made == heard[-1] == Progress(shows=30, seats=30 * 203, bookings=6_000)
    report = await verify(Database(dsn), sweep_seconds=5)
    assert report.passed, [f for f in report.findings if f.count]
    assert report.shows == 31
    kinds = await context.pool.fetch("SELECT status, reason FROM bookings GROUP BY 1, 2")
    assert len(kinds) >= 8
    varied = await context.pool.fetchrow(
        "SELECT count(DISTINCT layout::text) AS layouts, count(DISTINCT kind) AS kinds, "
        "bool_or(start_time < now()) AND bool_or(start_time > now()) AS times FROM shows"
    )
    assert (varied["layouts"], varied["kinds"], varied["times"]) == (4, 2, True)
    assert await context.pool.fetchval("SELECT min(blocked) < max(booked) FROM inventory")
    assert (await try_book(context, before, ["1"])).outcome is Outcome.CONFIRMED


async def test_the_engine_goes_on_from_there(context: Context, dsn: str) -> None:
    """A seeded show would look alive, and refuse every booking."""
    await seed_world(Database(dsn), World(shows=3, seats=300, bookings=150))
    show = await context.pool.fetchval(
        "SELECT i.show_id FROM inventory i WHERE NOT closed AND available > 10 ORDER BY 1 LIMIT 1"
    )
    assert (await try_book(context, show, 3)).outcome is Outcome.CONFIRMED
    assert (await Sweeper(context, 100_000).run_once()).expired == 0
    assert (await verify(Database(dsn), sweep_seconds=5)).passed


async def test_the_same_seed_makes_the_same_world(context: Context, dsn: str) -> None:
    """Two measurements could not be compared."""
    today = datetime(2026, 1, 1, tzinfo=UTC)
    prints = []
    for seed in (1, 1, 2):
        world = World(shows=5, seats=50, bookings=500, seed=seed)
        await seed_world(Database(dsn), world, today=today)
        prints.append(await context.pool.fetchval(FINGERPRINT))
        await context.pool.execute("TRUNCATE shows, inventory, seats, bookings")
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("seats", [1, 2, 41, 80])
async def test_small_halls(dsn: str, seats: int) -> None:
    """The smallest coach would break the seeding of a thousand shows."""
    await seed_world(Database(dsn), World(shows=9, seats=seats, bookings=90))
    assert (await verify(Database(dsn), sweep_seconds=5)).passed


def test_the_command(dsn: str) -> None:
    """Samples would be made where a world was asked for, or the other way round."""

    @contextlib.contextmanager
    def database() -> Iterator[Settings]:
        yield Settings(database_url=dsn)

    app = typer.Typer()
    cli_data.register(app, database)
    result = CliRunner().invoke(app, ["seed"])
    assert (result.exit_code, result.output) == (0, "3 shows made.\n")
    result = CliRunner().invoke(app, ["seed"])
    assert (result.exit_code, result.output) == (0, "There are shows already; none was made.\n")
    result = CliRunner().invoke(app, ["seed", "--shows", "2", "--seats", "10", "--bookings", "7"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("2 shows, 20 seats and 7 bookings made in ")
    result = CliRunner().invoke(app, ["seed", "--bookings", "3"])
    assert result.output.startswith("10 shows, 5,000 seats and 3 bookings made in ")
    result = CliRunner().invoke(app, ["seed", "--shows", "2"])
    assert result.output.startswith("2 shows, 1,000 seats and 0 bookings made in ")


def test_the_help_says_how_much_is_made() -> None:
    """Whoever asked for three bookings would wait for millions of seats."""
    app = typer.Typer()
    cli_data.register(app, lambda: contextlib.nullcontext(Settings()))
    text = " ".join(CliRunner().invoke(app, ["seed", "--help"], env={"COLUMNS": "200"}).output.split())
    for default in ("How many shows; 10 if left out", "500 if left out", "0 if left out"):
        assert default in text
