"""The real PgBouncer in transaction mode, with the file that deploy/pgbouncer/ ships, between servers and PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_live import book, in_database, watching
from tests.end_to_end.test_stampede import create
from tests.processes import rowlock
from tests.programs import find_program, free_port, listens, running_program
from tests.support import audit

pytestmark = pytest.mark.anyio

SHIPPED = Path(__file__).parents[2] / "deploy/pgbouncer/pgbouncer.ini"
SECONDS_MAX = 30.0
CONNECTIONS = 5  # so few that transactions of all lanes and readers take turns on each


@contextlib.contextmanager
def running_pgbouncer(folder: Path, dsn: str) -> Iterator[str]:
    """What is shipped, with folders, ports and a password of the test's own. Gives the address through it."""
    address = urlsplit(dsn)
    query = parse_qs(address.query)
    socket_folder, database, user = query["host"][0], address.path.strip("/"), address.username
    port = free_port()
    folder.mkdir()
    text = SHIPPED.read_text()
    for setting, line in (
        ("rowlock", f"{database} = host={socket_folder} port={query['port'][0]}"),
        ("listen_port", f"listen_port = {port}"),
        ("auth_file", f"auth_file = {folder}/userlist.txt"),
        ("default_pool_size", f"default_pool_size = {CONNECTIONS}"),
    ):
        text, count = re.subn(rf"(?m)^{setting} = .*$", line, text)
        assert count == 1, setting
    (folder / "pgbouncer.ini").write_text(text + "\nunix_socket_dir =\n")
    (folder / "userlist.txt").write_text(f'"{user}" "a password"\n')
    folder.chmod(0o755)
    command = [find_program("pgbouncer"), str(folder / "pgbouncer.ini")]
    account = Path(socket_folder).stat().st_uid  # it alone may enter, and pgbouncer refuses to be root
    with running_program(command, folder / "log", lambda: listens(port), user=account):
        yield f"postgresql://{user}:a%20password@127.0.0.1:{port}/{database}"


@pytest.fixture
def pooled_dsn(short_dir: Path, tmp_path: Path, empty_dsn: str) -> Iterator[str]:
    """The address of an empty database, through PgBouncer."""
    with running_pgbouncer(short_dir / f"pgbouncer-{tmp_path.name}", empty_dsn) as dsn:
        yield dsn


@pytest.mark.parametrize("direct", [True, False])
async def test_all_works_in_transaction_mode(
    pooled_dsn: str, empty_dsn: str, tmp_path: Path, tokens: dict[str, str], direct: bool
) -> None:
    """On Supabase and its like, statements would be missing, limits would be another's, or maps would stand still."""
    migrated = await asyncio.to_thread(rowlock, tmp_path, "migrate", DATABASE_URL=pooled_dsn)
    assert migrated.returncode == 0, migrated.stderr
    settings = {"ROWLOCK_STATEMENT_CACHE": "0", "ROWLOCK_LOG_LEVEL": "warning"}
    if direct:
        settings["ROWLOCK_DIRECT_DATABASE_URL"] = empty_dsn
    servers = [Server(pooled_dsn, tmp_path, **settings) for _ in range(2)]
    try:
        for server in servers:
            await server.ready()
        async with contextlib.AsyncExitStack() as stack:
            admins = [
                await stack.enter_async_context(
                    httpx.AsyncClient(
                        base_url=server.url, headers={"Authorization": tokens["admin"]}, timeout=60
                    )
                )
                for server in servers
            ]
            show = await create(admins[0], 200)

            async def buy(number: int) -> list[int]:
                client = admins[number % 2]
                statuses = []
                for n in range(6):
                    wish = {"seat_count": 1} if n % 2 else {"seats": [str((number * 5 + n) % 190 + 11)]}
                    body = {"show_id": show, "user_id": f"u{number}", **wish}
                    statuses.append((await client.post("/api/bookings", json=body)).status_code)
                    assert (await client.get(f"/api/shows/{show}")).status_code == 200
                    assert (await client.get(f"/api/bookings?show_id={show}&limit=5")).status_code == 200
                return statuses

            answers = Counter(
                status for told in await asyncio.gather(*(buy(n) for n in range(20))) for status in told
            )
            assert set(answers) <= {201, 409}, answers
            async with open_context(Database(empty_dsn)) as context:
                sold = await context.pool.fetchval("SELECT count(*) FROM bookings WHERE status = 'CONFIRMED'")
                assert sold == answers[201]
                await audit(context)
                await _watch(context, admins)
                if direct:
                    listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rowlock feed' AND datname = current_database()"
                    assert await context.pool.fetchval(listening) == 3, "two servers' and this test's own"
        verified = await asyncio.to_thread(
            rowlock, tmp_path, "verify", DATABASE_URL=pooled_dsn, ROWLOCK_STATEMENT_CACHE="0"
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        for server in servers:
            server.stop()
    for server in servers:
        assert "batch_retried" not in server.log.read_text()


async def _watch(context: Context, admins: list[httpx.AsyncClient]) -> None:
    """A live map at one server shows what another sold."""
    show = await create(admins[0], 20)
    async with watching(admins[1], show) as page:
        await book(admins[0], show, 3, 4)
        version, statuses = await in_database(context, show)
        async with asyncio.timeout(SECONDS_MAX):
            await page.shows(version)
        assert page.statuses == statuses


async def test_limits_hold_in_each_transaction(pooled_dsn: str, empty_dsn: str) -> None:
    """A frozen server's locks would stay for as long as the pooler keeps its connection."""
    database = Database(pooled_dsn, statement_cache=0, idle_in_transaction=2.5)
    connection = await asyncpg.connect(pooled_dsn, statement_cache_size=0)
    try:
        await connection.execute(database.begin())
        limit = await connection.fetchval("SHOW idle_in_transaction_session_timeout")
        await connection.execute("ROLLBACK")
        assert limit == "2500ms"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "0"
    finally:
        await connection.close()


def test_a_direct_address_that_is_wrong_is_named(dsn: str, tmp_path: Path) -> None:
    """Live maps would lag for weeks before anyone looks for the reason."""
    done = rowlock(
        tmp_path,
        "serve",
        DATABASE_URL=dsn,
        ROWLOCK_DIRECT_DATABASE_URL=f"postgresql://rowlock@127.0.0.1:{free_port()}/rowlock",
        ROWLOCK_SECRET_KEY="x" * 40,
        PORT="0",
    )
    assert done.returncode == 2
    assert done.stderr.startswith("rowlock: ROWLOCK_DIRECT_DATABASE_URL: PostgreSQL at 127.0.0.1:")
