"""Migrations: a wrong one costs every booking in the database, so each promise is tried on a real one."""

from __future__ import annotations

import asyncio
import io
import shutil
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from rowlock.postgres import migrate

VERSION = '''"""For tests."""

from alembic import op

revision, down_revision, branch_labels, depends_on = {revision!r}, {previous!r}, None, None


def upgrade() -> None:
    for statement in {statements!r}:
        op.execute(statement)
'''


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """A copy of the migrations' folder, without any step."""
    folder = tmp_path / "100% migrations"
    shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("0*", "__pycache__"))
    return folder


def add(migrations: Path, revision: str, previous: str | None, *statements: str) -> None:
    """Write one step."""
    text = VERSION.format(revision=revision, previous=previous, statements=statements)
    (migrations / "versions" / f"{revision}_step.py").write_text(text)


# Every column, and whether a row must have a value for it that only its writer can give.
COLUMNS = """
    SELECT table_name, column_name, data_type,
           is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AS needed
    FROM information_schema.columns WHERE table_schema = 'public'"""


async def fetch(dsn: str, query: str) -> list[tuple[object, ...]]:
    """Ask a database."""
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_an_empty_database_comes_to_the_newest_schema(empty_dsn: str) -> None:
    """A first start has its tables, and a second finds nothing to do."""
    assert await migrate.current(empty_dsn) is None
    await migrate.upgrade(empty_dsn)
    assert await migrate.current(empty_dsn) == migrate.head()
    await migrate.upgrade(empty_dsn)
    assert await migrate.current(empty_dsn) == migrate.head()
    assert await fetch(empty_dsn, "SELECT to_regclass('seats') IS NOT NULL") == [(True,)]


async def test_several_servers_may_migrate_at_once(empty_dsn: str) -> None:
    """A rolling start of many servers doesn't fail, and each step runs once."""
    await asyncio.gather(*(migrate.upgrade(empty_dsn) for _ in range(8)))
    assert await migrate.current(empty_dsn) == migrate.head()


async def test_pending_steps_run_in_order_and_only_once(empty_dsn: str, migrations: Path) -> None:
    """An older database gets what it lacks."""
    add(
        migrations,
        "a1",
        None,
        "CREATE TABLE steps (name text)",
        "INSERT INTO steps VALUES ('100%s :x \\ ''q''')",
    )
    await migrate.upgrade(empty_dsn, migrations)
    add(
        migrations,
        "a2",
        "a1",
        "INSERT INTO steps SELECT '2' FROM steps",
        "INSERT INTO steps VALUES ('3'::text)",
    )
    assert migrate.head(migrations) == "a2"
    await migrate.upgrade(empty_dsn, migrations)
    await migrate.upgrade(empty_dsn, migrations)
    assert await fetch(empty_dsn, "SELECT name FROM steps") == [("100%s :x \\ 'q'",), ("2",), ("3",)]


async def test_nobody_is_kept_waiting_by_a_migration_that_waits(
    empty_dsn: str, migrations: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup reads one table for an hour; a migration that waited for it would keep all others from the tables it has."""
    add(migrations, "a1", None, "CREATE TABLE sold (n int)", "CREATE TABLE read (n int)")
    await migrate.upgrade(empty_dsn, migrations)
    add(migrations, "a2", "a1", "ALTER TABLE sold ADD m int", "ALTER TABLE read ADD m int")
    monkeypatch.setattr(migrate, "LOCK_SECONDS_MAX", 0.1)
    monkeypatch.setattr(migrate, "RETRY_SECONDS", 0.2)
    backup, buyer = await asyncpg.connect(empty_dsn), await asyncpg.connect(empty_dsn)
    try:
        async with backup.transaction():
            await backup.execute("LOCK TABLE read IN ACCESS SHARE MODE")
            upgrading = asyncio.create_task(migrate.upgrade(empty_dsn, migrations))
            for n in range(10):
                await buyer.execute("INSERT INTO sold VALUES ($1)", n, timeout=20)
                await asyncio.sleep(0.05)
            assert not upgrading.done()
        await asyncio.wait_for(upgrading, 20)
    finally:
        await backup.close()
        await buyer.close()
    assert await migrate.current(empty_dsn) == "a2"


async def test_a_failing_step_leaves_the_schema_as_it_was(empty_dsn: str, migrations: Path) -> None:
    """A broken release can be rolled back: nothing is half done."""
    add(migrations, "a1", None, "CREATE TABLE kept (n int)")
    await migrate.upgrade(empty_dsn, migrations)
    add(migrations, "a2", "a1", "CREATE TABLE lost (n int)")
    add(migrations, "a3", "a2", "SELECT 1/0")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate.upgrade(empty_dsn, migrations)
    assert await migrate.current(empty_dsn) == "a1"
    assert await fetch(empty_dsn, "SELECT to_regclass('lost')") == [(None,)]


async def test_a_later_schema_is_refused_by_name(empty_dsn: str, migrations: Path) -> None:
    """An old server doesn't touch a database that a newer one has migrated."""
    add(migrations, "zz9", None, "SELECT 1")
    await migrate.upgrade(empty_dsn, migrations)
    with pytest.raises(migrate.UnknownSchemaError, match="zz9"):
        await migrate.upgrade(empty_dsn)


async def test_addresses_with_passwords_and_sslmode_work(empty_dsn: str) -> None:
    """An address is read as asyncpg reads it, odd characters in the password and all."""
    dsn = empty_dsn.replace("postgres@", "postgres:p%40ss%2Fw%25rd@") + "&sslmode=disable"
    await migrate.upgrade(dsn)
    assert await migrate.current(dsn) == migrate.head()


async def test_each_step_leaves_what_the_version_before_needs(empty_dsn: str) -> None:
    """Servers of the version before would fail from the migration on, and not only when they are renewed."""
    scripts = ScriptDirectory.from_config(migrate._config(migrate.MIGRATIONS))
    revisions = [step.revision for step in reversed(list(scripts.walk_revisions()))]
    connection = await asyncpg.connect(empty_dsn)
    try:
        before: dict[tuple[str, str], tuple[str, bool]] = {}
        for last, revision in zip([None, *revisions], revisions, strict=False):
            written = io.StringIO()
            command.upgrade(
                migrate._config(migrate.MIGRATIONS, written), f"{last or 'base'}:{revision}", sql=True
            )
            await connection.execute(written.getvalue())
            after = {
                (row["table_name"], row["column_name"]): (row["data_type"], row["needed"])
                for row in await connection.fetch(COLUMNS)
            }
            for column, (kind, _) in before.items():
                assert after[column][0] == kind, f"{revision} takes {column} away, or changes it"
            tables = {table for table, _ in before}
            new = {column for column in after.keys() - before.keys() if column[0] in tables}
            assert not [column for column in new if after[column][1]], f"{revision} needs what nobody writes"
            before = after
        assert len(before) > 50
    finally:
        await connection.close()
