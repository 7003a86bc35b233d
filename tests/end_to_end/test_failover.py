"""A primary that dies under load, and a synchronous standby that takes its place: Debian's PostgreSQL, nothing else between."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from rowlock import telemetry
from rowlock.operations.context import open_context
from rowlock.postgres import migrate
from rowlock.postgres.pool import Database
from rowlock.workers.measuring import Measuring
from tests.conftest import DEBIAN_BIN_DIR
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_stampede import create
from tests.processes import rowlock
from tests.programs import find_program, free_port
from tests.support import audit

pytestmark = pytest.mark.anyio

BUYERS = 8
BOOKINGS_EACH = 25
SECONDS_MAX = 120.0


class Pair:
    """A primary and its standby, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.primary, self.standby = free_port(), free_port()
        self.account = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(folder, self.account)

    def address(self, *ports: int) -> str:
        """The address of one, or of both."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://{self.account}@{hosts}/postgres?target_session_attrs=read-write"

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, to its end."""
        with (self.folder / "log").open("ab") as log:
            done = subprocess.run(
                [find_program(str(DEBIAN_BIN_DIR / program)), *arguments],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                timeout=SECONDS_MAX,
                user=self.account if os.geteuid() == 0 else None,
                check=False,
            )
        assert done.returncode == 0, (self.folder / "log").read_text()[-3000:]

    def start(self, name: str, port: int) -> None:
        """Start one, and wait until it answers."""
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        data = str(self.folder / name)
        self.run("pg_ctl", "start", "-w", "-D", data, "-l", f"{data}.log", "-o", options)

    def stop(self, name: str) -> None:
        """End one at once, as a machine that fails would; ended already is fine."""
        with contextlib.suppress(AssertionError):
            self.run("pg_ctl", "stop", "-m", "immediate", "-D", str(self.folder / name))


@pytest.fixture
def pair(short_dir: Path, tmp_path: Path) -> Iterator[Pair]:
    """Both, running: what is committed is on both before it is answered."""
    folder = short_dir / f"pair-{tmp_path.name}"
    folder.mkdir()
    pair = Pair(folder)
    try:
        pair.run("initdb", "-A", "trust", "-U", pair.account, "-D", str(folder / "primary"))
        pair.start("primary", pair.primary)
        source = f"host=127.0.0.1 port={pair.primary} user={pair.account}"
        pair.run(
            "pg_basebackup", "-R", "-X", "stream", "-c", "fast", "-d", source, "-D", str(folder / "standby")
        )
        pair.start("standby", pair.standby)
        asyncio.run(_make_synchronous(pair.address(pair.primary)))
        yield pair
    finally:
        pair.stop("primary")
        pair.stop("standby")


async def _make_synchronous(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
        state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        for _ in range(int(SECONDS_MAX * 10)):
            if await connection.fetchval(state):
                return
            await asyncio.sleep(0.1)
        pytest.fail("the standby does not follow")
    finally:
        await connection.close()


async def test_the_standby_takes_over_in_mid_sale(pair: Pair, tmp_path: Path, tokens: dict[str, str]) -> None:
    """What was answered CONFIRMED would be gone, or the sale would need people to go on."""
    dsn = pair.address(pair.primary, pair.standby)
    migrated = await asyncio.to_thread(rowlock, tmp_path, "migrate", DATABASE_URL=dsn)
    assert migrated.returncode == 0, migrated.stderr
    server = Server(dsn, tmp_path)
    confirmed: list[str] = []
    statuses: set[int] = set()
    third_sold = asyncio.Event()
    try:
        await server.ready()
        headers = {"Authorization": tokens["admin"]}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=90) as client:
            show = await create(client, 2 * BUYERS * BOOKINGS_EACH)

            async def buy(number: int) -> None:
                for n in range(BOOKINGS_EACH):
                    body = {"show_id": show, "seat_count": 1, "user_id": f"u{number}"}
                    key = {"Idempotency-Key": f"{number}-{n}"}
                    while (
                        answer := await client.post("/api/bookings", json=body, headers=key)
                    ).status_code != 201:
                        statuses.add(answer.status_code)
                        await asyncio.sleep(0.5)
                    confirmed.append(answer.json()["id"])
                    if len(confirmed) >= BUYERS * BOOKINGS_EACH // 3:
                        third_sold.set()

            async with asyncio.timeout(SECONDS_MAX), asyncio.TaskGroup() as group:
                for number in range(BUYERS):
                    group.create_task(buy(number))
                await third_sold.wait()
                await asyncio.to_thread(pair.stop, "primary")
                await asyncio.to_thread(
                    pair.run, "pg_ctl", "promote", "-w", "-D", str(pair.folder / "standby")
                )
            assert statuses <= {503}, "come again is all that anybody may hear"
            assert (await client.get("/ready")).status_code == 200
    finally:
        server.stop()
    assert len(set(confirmed)) == BUYERS * BOOKINGS_EACH
    async with open_context(Database(pair.address(pair.standby))) as context:
        rows = await context.pool.fetch("SELECT id FROM bookings WHERE status = 'CONFIRMED'")
        assert {str(row["id"]) for row in rows} == set(confirmed)
        await audit(context)


async def test_a_standby_that_falls_behind_is_seen(pair: Pair) -> None:
    """Nobody would know, until the primary fails and what the standby lacks is lost."""
    dsn = pair.address(pair.primary)
    await migrate.upgrade(dsn)
    async with open_context(Database(dsn)) as context:
        measuring = Measuring(context)
        await measuring.round()
        assert telemetry.STANDBYS._value.get() == 1
        standby = await asyncpg.connect(dsn.replace(str(pair.primary), str(pair.standby)).partition("?")[0])
        try:
            await standby.execute("SELECT pg_wal_replay_pause()")
            await context.pool.execute("CREATE TABLE much AS SELECT generate_series(1, 20000) AS n")
            await asyncio.sleep(0.5)
            await measuring.round()
            assert telemetry.REPLICATION_BYTES._value.get() > 500_000
            await standby.execute("SELECT pg_wal_replay_resume()")
            async with asyncio.timeout(SECONDS_MAX):
                while telemetry.REPLICATION_BYTES._value.get() > 500_000:
                    await asyncio.sleep(0.1)
                    await measuring.round()
        finally:
            await standby.close()
