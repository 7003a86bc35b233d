"""What every test may ask for: a real PostgreSQL, and a fresh, migrated database on it.

Each xdist worker starts a server of its own once. A test's database is a copy of a migrated template, which takes
some 50 ms, and is dropped after it. `--postgres=15` or `16` runs the same tests on those versions.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import pytest
from aio_pika.exceptions import AMQPError

from rowlock.brokers.booking_queues import DEAD_QUEUE, QUEUES, queue_name
from rowlock.operations.context import Context, open_context
from rowlock.postgres import migrate
from rowlock.postgres.embedded import EmbeddedPostgres
from rowlock.postgres.pool import Database
from tests.rabbit import START_SECONDS_MAX, RabbitServer
from tests.rabbit import missing as rabbit_missing
from tests.redis_server import RedisServer, running_redis

VERSIONS = ("18", "16", "15")
DEBIAN_BIN_DIR = Path("/usr/lib/postgresql/15/bin")
# Losing power would lose the tests' data: nobody minds. The rest is PostgreSQL's stock, as in production.
FAST = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

# A database of a Citus cluster that `rowlock migrate --distributed` was run on, to run tests of the engine on, one process
# at a time (-n 0). Everything in it is deleted. docs/decisions/0021 says what was run on it.
CITUS_URL = os.environ.get("ROWLOCK_TEST_CITUS_URL")
EMPTY = (
    "TRUNCATE shows, inventory, seats, bookings, outbox, webhook_queues, deliveries",
    "TRUNCATE booking_queues, booking_requests, pruned_requests, audit",
    "DELETE FROM webhooks",
    "DELETE FROM revocations",
    "ALTER SEQUENCE show_ids RESTART",
)

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--postgres` says which version the tests run on."""
    parser.addoption("--postgres", choices=VERSIONS, default="18", help="the PostgreSQL to test on")


def pytest_configure(config: pytest.Config) -> None:
    """Marks of our own."""
    config.addinivalue_line(
        "markers", "postgres: runs on PostgreSQL (set by itself); run again on each version"
    )


@pytest.hookimpl(tryfirst=True)  # before pytest selects by -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a database."""
    for item in items:
        if {"server", "dsn"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Coroutine tests run on asyncio with uvloop, as Rowlock does."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A folder with a short path, so that unix sockets fit into it; anyone may pass through it."""
    folder = Path(tempfile.mkdtemp(prefix="rl-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_version(request: pytest.FixtureRequest) -> int:
    """The version that `--postgres` asked for."""
    return int(request.config.getoption("--postgres"))


@pytest.fixture(scope="session")
def bin_dir(postgres_version: int) -> Path | None:
    """Where that version's programs are; None if in the wheel."""
    if postgres_version != 15:
        return None
    if not (DEBIAN_BIN_DIR / "initdb").exists():
        reason = f"PostgreSQL 15 is not installed in {DEBIAN_BIN_DIR} (scripts/install-debian-packages.sh installs it)"
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        pytest.skip(reason)
    return DEBIAN_BIN_DIR


@pytest.fixture(scope="session")
def server(short_dir: Path, postgres_version: int, bin_dir: Path | None) -> Iterator[EmbeddedPostgres]:
    """A running PostgreSQL, one for all tests of a worker process."""
    with EmbeddedPostgres(short_dir / "data", postgres_version, bin_dir, options=FAST) as server:
        yield server


def run_sql(dsn: str, *statements: str) -> None:
    """Run statements outside of any transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def on_database(dsn: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


@pytest.fixture(scope="session")
def template(server: EmbeddedPostgres) -> str:
    """The name of a migrated database that is only ever copied."""
    run_sql(server.dsn, "CREATE DATABASE template_migrated")
    asyncio.run(migrate.upgrade(on_database(server.dsn, "template_migrated")))
    return "template_migrated"


@pytest.fixture
def empty_dsn(server: EmbeddedPostgres) -> Iterator[str]:
    """A fresh database with nothing in it."""
    yield from _database(server, "template1")


@pytest.fixture
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh, migrated database; where there is a Citus to test on, its own, emptied."""
    if CITUS_URL:
        run_sql(CITUS_URL, *EMPTY)
        yield CITUS_URL
        return
    yield from _database(request.getfixturevalue("server"), request.getfixturevalue("template"))


@pytest.fixture(scope="session")
def rabbit_server(short_dir: Path) -> Iterator[RabbitServer]:
    """A running RabbitMQ, one for all tests of a worker process; they may stop, kill and start it."""
    reason = rabbit_missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        pytest.skip(reason)
    server = RabbitServer(short_dir / "rabbit")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
async def rabbit(rabbit_server: RabbitServer) -> RabbitServer:
    """The running RabbitMQ, with nothing in its queues."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            connection = await aio_pika.connect(rabbit_server.url, timeout=30)
            async with connection, connection.channel() as channel:
                for name in [queue_name(number) for number in range(QUEUES)] + [DEAD_QUEUE]:
                    await channel.queue_delete(name)
        except AMQPError:  # started again a moment ago, it takes connections before its queues are up
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.5)
        else:
            return rabbit_server


@pytest.fixture
async def context(dsn: str) -> AsyncIterator[Context]:
    """One process's worth of Rowlock, on a fresh database: for everything below HTTP."""
    async with open_context(Database(dsn)) as context:
        yield context


@pytest.fixture
def redis_server(short_dir: Path) -> Iterator[RedisServer]:
    """A running Redis of the test's own, which it may stop, freeze and empty."""
    folder = Path(tempfile.mkdtemp(prefix="redis-", dir=short_dir))
    with running_redis(folder) as redis_server:
        yield redis_server


def _database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    run_sql(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield on_database(server.dsn, name)
    run_sql(server.dsn, f"DROP DATABASE {name} WITH (FORCE)")
