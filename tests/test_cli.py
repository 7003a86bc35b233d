"""The command line: whatever fails predictably is one line that says what to change, and exit code 2."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from pathlib import Path

import pytest

from rowlock import __version__
from rowlock.domain.commands import Actor
from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from rowlock.operations.book_later import book_later
from rowlock.operations.context import open_context
from rowlock.operations.views import BookRequest
from rowlock.postgres.migrate import head
from rowlock.postgres.pool import Database
from tests.conftest import on_database, run_sql
from tests.http.api import running
from tests.processes import left_behind, rowlock
from tests.support import make_show

KEY = "k" * 32


def assert_one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One line for a person, with these words in it."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]  # but log lines
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rowlock: ")
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
    for word in words:
        assert word in lines[0]


def test_version_and_help(tmp_path: Path) -> None:
    """A person finds out what there is."""
    assert rowlock(tmp_path, "--version").stdout.strip() == __version__
    text = rowlock(tmp_path, "--help").stdout
    assert all(name in text for name in ("serve", "work", "migrate", "seed", "demo", "token", "openapi"))
    assert "Example" in rowlock(tmp_path, "serve", "--help").stdout


def test_openapi_is_what_a_server_serves(tmp_path: Path) -> None:
    """Clients made from the command's answer fit the server; no key, database or setting is needed for it."""

    async def served() -> bytes:
        async with running(create_http(AuthConfig(secret_keys=(KEY,)))) as client:
            return (await client.get("/api-docs/openapi.json")).content

    done = rowlock(tmp_path, "openapi", PORT="not a port")
    assert done.stderr == ""
    assert done.stdout.strip().encode() == asyncio.run(served())


@pytest.mark.parametrize("command", [["serve"], ["token", "--user-id", "u"]])
def test_a_missing_key_is_named(tmp_path: Path, command: list[str]) -> None:
    """Nobody serves, or signs, without a key."""
    assert_one_line(rowlock(tmp_path, *command), "ROWLOCK_SECRET_KEY", "32 bytes")


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    """A typo doesn't become a default."""
    assert_one_line(rowlock(tmp_path, "demo", PORT="x"), "PORT='x'", "whole number")
    assert_one_line(rowlock(tmp_path, "demo", ROWLOCK_WORKRS="2"), "ROWLOCK_WORKRS", "ROWLOCK_WORKERS")


def test_demo_is_refused_beyond_loopback(tmp_path: Path) -> None:
    """A demo can't be put on the internet by mistake, by either command."""
    assert_one_line(rowlock(tmp_path, "demo", HOST="0.0.0.0"), "HOST=0.0.0.0", "loopback")
    assert_one_line(rowlock(tmp_path, "serve", "--host", "0.0.0.0", ROWLOCK_AUTH="demo"), "HOST", "loopback")


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    """And no database is left running for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_one_line(rowlock(tmp_path, "demo", PORT=port), f"PORT={port}", "in use")
    assert not (tmp_path / "var").exists()


def test_an_unknown_host_is_named(tmp_path: Path) -> None:
    """A name that means nothing, and an address that isn't ours."""
    assert_one_line(rowlock(tmp_path, "serve", ROWLOCK_SECRET_KEY=KEY, HOST="no.such.invalid"), "HOST=")
    assert_one_line(rowlock(tmp_path, "serve", ROWLOCK_SECRET_KEY=KEY, HOST="192.0.2.1"), "HOST=192.0.2.1")


def test_an_unreachable_database_is_named(tmp_path: Path) -> None:
    """By variable, host and port; without the password."""
    done = rowlock(tmp_path, "migrate", DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert_one_line(done, "DATABASE_URL", "127.0.0.1:1", "can't be reached")
    done = rowlock(tmp_path, "migrate", SUPABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x")
    assert_one_line(done, "SUPABASE_URL")


def test_an_unknown_database_is_named(tmp_path: Path, dsn: str) -> None:
    """What PostgreSQL says is passed on."""
    assert_one_line(
        rowlock(tmp_path, "migrate", DATABASE_URL=on_database(dsn, "nope")), "DATABASE_URL", '"nope"'
    )


def test_an_old_schema_is_refused_until_migrated(tmp_path: Path, empty_dsn: str) -> None:
    """Production migrates when its operator says so."""
    done = rowlock(tmp_path, "serve", DATABASE_URL=empty_dsn, ROWLOCK_SECRET_KEY=KEY, PORT="0")
    assert_one_line(done, "rowlock migrate")
    assert rowlock(tmp_path, "migrate", DATABASE_URL=empty_dsn).returncode == 0
    assert head() in rowlock(tmp_path, "migrate", DATABASE_URL=empty_dsn).stdout


def test_a_later_schema_is_refused(tmp_path: Path, dsn: str) -> None:
    """A server that was left behind would write what the new ones can't read."""
    run_sql(dsn, "UPDATE alembic_version SET version_num = '9999'")
    done = rowlock(tmp_path, "serve", DATABASE_URL=dsn, ROWLOCK_SECRET_KEY=KEY, PORT="0")
    assert_one_line(done, "schema is 9999")
    assert_one_line(rowlock(tmp_path, "work", DATABASE_URL=dsn), "schema is 9999")
    assert_one_line(rowlock(tmp_path, "migrate", DATABASE_URL=dsn), "a later Rowlock")


def test_tables_are_spread_by_citus_alone(tmp_path: Path, empty_dsn: str) -> None:
    """An operator would believe that shows are spread, and all of them be on one machine."""
    done = rowlock(tmp_path, "migrate", "--distributed", DATABASE_URL=empty_dsn)
    assert_one_line(done, "CREATE EXTENSION citus")
    assert_one_line(rowlock(tmp_path, "migrate", "--distributed"), "DATABASE_URL")


def test_spread_tables_are_not_filled_at_once(tmp_path: Path, dsn: str) -> None:
    """An import would fail in its middle, with words about plans."""
    spread = {"DATABASE_URL": dsn, "ROWLOCK_SHARDED": "on", "ROWLOCK_EVENTS": "off"}
    assert_one_line(rowlock(tmp_path, "seed", **spread), "before `rowlock migrate --distributed`")
    for name in ("shows.csv", "bookings.csv"):
        (tmp_path / name).touch()
    done = rowlock(tmp_path, "import", "shows.csv", "bookings.csv", "--source", "x", **spread)
    assert_one_line(done, "before `rowlock migrate --distributed`")


def test_a_taken_port_for_metrics_is_named(tmp_path: Path, dsn: str) -> None:
    """A worker would be watched by nobody, or end with a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = rowlock(tmp_path, "work", DATABASE_URL=dsn, ROWLOCK_METRICS_PORT=port)
    assert_one_line(done, f"ROWLOCK_METRICS_PORT={port}")


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    """A file where the folder should be stops even root."""
    (tmp_path / "var").write_text("")
    assert_one_line(rowlock(tmp_path, "migrate"), "ROWLOCK_DATA_DIR")


def test_a_token_is_printed(tmp_path: Path) -> None:
    """Three parts, and nothing else, so that a shell can take it."""
    done = rowlock(tmp_path, "token", "--user-id", "ops", "--role", "admin", ROWLOCK_SECRET_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2
    assert len(done.stdout.split()) == 1


def test_the_embedded_database_ends_with_the_command(tmp_path: Path) -> None:
    """`rowlock migrate` leaves data, and no process."""
    done = rowlock(tmp_path, "migrate")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var" / "postgres-18").is_dir()
    assert left_behind(tmp_path) == []


def test_missing_privileges_are_named(tmp_path: Path, dsn: str) -> None:
    """An operator with a role of its own for servers would get a traceback, or a server that fails at the first sale."""
    owner = [
        "DROP ROLE IF EXISTS rowlock_server",
        "CREATE ROLE rowlock_server LOGIN",
    ]
    grants = [
        "GRANT SELECT ON alembic_version, secrets TO rowlock_server",
        "GRANT SELECT, INSERT ON pruned_requests TO rowlock_server",
        "GRANT SELECT, INSERT, DELETE ON audit, event_readers TO rowlock_server",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON revocations TO rowlock_server",
        "GRANT SELECT, INSERT, UPDATE ON shows, inventory, seats, booking_queues TO rowlock_server",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON booking_requests TO rowlock_server",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, webhooks, webhook_queues, deliveries TO rowlock_server",
        "GRANT SELECT, INSERT, UPDATE ON bookings TO rowlock_server",
        "GRANT USAGE ON SEQUENCE show_ids TO rowlock_server",
    ]
    run_sql(dsn, *owner)
    server_dsn = dsn.replace("postgres@", "rowlock_server@")
    try:
        settings = {"DATABASE_URL": server_dsn, "ROWLOCK_SECRET_KEY": KEY, "PORT": "0"}
        assert_one_line(rowlock(tmp_path, "serve", **settings), "DATABASE_URL")
        run_sql(dsn, *grants)
        assert_one_line(rowlock(tmp_path, "serve", **settings), "DELETE on bookings")
        run_sql(dsn, "GRANT DELETE ON bookings TO rowlock_server")
        assert rowlock(tmp_path, "verify", DATABASE_URL=server_dsn).returncode == 0
    finally:
        run_sql(dsn, "DROP OWNED BY rowlock_server", "DROP ROLE rowlock_server")


@pytest.mark.parametrize(("setting", "told"), [("true", 1), ("false", 0)])
def test_dropping_a_queued_booking_tells_only_where_events_are_on(
    tmp_path: Path, dsn: str, setting: str, told: int
) -> None:
    """An outbox that nobody reads would be written to by a command, whatever ROWLOCK_EVENTS says."""

    async def bury() -> None:
        async with open_context(Database(dsn), events=False) as context:
            show = await make_show(context, 3)
            await book_later(context, BookRequest(show, "ada", seat_count=1), by=Actor.OWNER)

    asyncio.run(bury())
    run_sql(dsn, "UPDATE booking_requests SET dead_at = now(), cause = 'a test'")
    done = rowlock(tmp_path, "queue", "drop", "--all", DATABASE_URL=dsn, ROWLOCK_EVENTS=setting)
    assert done.stdout == "1 dead letter dropped.\n", done.stderr

    async def count() -> int:
        async with open_context(Database(dsn)) as context:
            return int(await context.pool.fetchval("SELECT count(*) FROM outbox"))

    assert asyncio.run(count()) == told


def test_there_must_be_a_database_to_verify(tmp_path: Path) -> None:
    """A mistyped folder would be filled with an empty database, and pass."""
    assert_one_line(rowlock(tmp_path, "verify"), "DATABASE_URL", f"ROWLOCK_DATA_DIR={tmp_path / 'var'}")
    assert not (tmp_path / "var").exists()
