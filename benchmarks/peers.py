"""Peers: the same sale by pgbench, without any server between, and by an Express server as the predecessors are.

They share a database beside Rowlock's, on the same PostgreSQL: tables as a predecessor has them, with the two indexes
that its queries need and no foreign keys, which only cost. What counts is rows of `bookings`, as with Rowlock.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import msgspec

from benchmarks import servers, worlds
from benchmarks.rush import Rush, load
from benchmarks.servers import Postgres, Server
from benchmarks.worlds import Size, World

DATABASE = "peers"
TABLES = ("shows", "seats", "bookings", "booking_seats")
TRANSACTION, STATEMENT = "transaction", "statement"
EXPRESS = Path(__file__).with_name("express")
THREADS = 2  # of pgbench: two cores
SLACK = 1.3  # clients don't count in step: so much further on, nobody has asked yet

_SCRIPTS = Path(__file__).with_name("pgbench")
_SCHEMA = """
    CREATE TABLE shows (id serial PRIMARY KEY, name text NOT NULL, start_time timestamptz NOT NULL,
        total_seats integer NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE seats (id bigserial PRIMARY KEY, show_id integer NOT NULL, seat_no text NOT NULL,
        status text NOT NULL DEFAULT 'AVAILABLE', booking_id bigint, UNIQUE (show_id, seat_no));
    CREATE TABLE bookings (id bigserial PRIMARY KEY, show_id integer NOT NULL, user_id text NOT NULL,
        status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz);
    CREATE TABLE booking_seats (booking_id bigint NOT NULL, seat_id bigint NOT NULL,
        PRIMARY KEY (booking_id, seat_id));
"""


class Sold(msgspec.Struct, frozen=True):
    """What pgbench has sold. Latencies are of all its transactions, and 0 where they were not asked for."""

    bookings_per_second: float
    p50_ms: float = 0.0


class Shows(msgspec.Struct):
    """New shows for peers, one id after another, and how many of their pairs were asked for so far."""

    first: int
    size: Size
    spread: bool
    used: int = 0

    @property
    def block(self) -> int:
        """How many pairs are sold before others are begun: all, or those of a hall."""
        return self.size.pairs if self.spread else self.size.seats // 2


class Peers:
    """The peers' database, on a running PostgreSQL."""

    def __init__(self, database: Postgres) -> None:
        self.dsn = urlsplit(database.dsn)._replace(path=f"/{DATABASE}").geturl()
        self._pgbench = database.bin_dir / "pgbench"
        query = parse_qs(urlsplit(database.dsn).query)
        self.environment = {
            "PGHOST": query["host"][0],
            "PGPORT": query["port"][0],
            "PGUSER": urlsplit(database.dsn).username or "",
            "PGDATABASE": DATABASE,
        }
        asyncio.run(_execute(database.dsn, f"CREATE DATABASE {DATABASE}"))
        asyncio.run(_execute(self.dsn, *_SCHEMA.strip().split(";")))

    def make_shows(self, world: World, pairs: int) -> Shows:
        """A new world for so many bookings, as worlds.py makes them for Rowlock."""
        size = worlds.size_for(world, pairs)
        first = asyncio.run(_make_shows(self.dsn, size))
        os.sync()  # as worlds.py does
        return Shows(first, size, world is World.SPREAD)

    def bookings(self) -> int:
        """How many CONFIRMED ones there are."""
        return int(
            asyncio.run(_execute(self.dsn, "SELECT count(*) FROM bookings WHERE status = 'CONFIRMED'"))
        )

    def pgbench(
        self, script: str, shows: Shows, *, clients: int, seconds: int, latencies_in: Path | None = None
    ) -> Sold:
        """Sell for so long. With a folder for its log, p50 is told, too."""
        base = (
            shows.used if shows.spread else -(-shows.used // shows.block) * shows.block
        )  # of a hall, all of it
        with_order = [line for name in ("order", script) for line in (_SCRIPTS / f"{name}.sql").open()]
        variables = {"i": 0, "base": base, "clients": clients, "first": shows.first, "block": shows.block}
        variables["shows"] = shows.size.shows if shows.spread else 1
        before = self.bookings()
        command = [str(self._pgbench), "-n", "-M", "prepared", f"-c{clients}", f"-j{min(THREADS, clients)}"]
        command += [f"-T{seconds}", "-f", "-", *(f"-D{name}={value}" for name, value in variables.items())]
        if latencies_in:
            command += ["--log", f"--log-prefix={latencies_in / 'pgbench'}"]
        done = subprocess.run(
            command,
            input="".join(with_order),
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            text=True,
        )
        found = self.bookings() - before
        asked = int(_number(r"transactions actually processed: (\d+)", done.stdout))
        shows.used = base + int(asked * SLACK)
        if found < asked * 0.9:
            raise RuntimeError(f"pgbench has sold {found} times of {asked}: the world was too small for it")
        per_second = found / asked * _number(r"tps = ([\d.]+)", done.stdout)
        return Sold(per_second, _median_ms(latencies_in) if latencies_in else 0.0)


@contextmanager
def express(where: Path, peers: Peers, pool: int) -> Iterator[Server]:
    """The Express server, in production mode, with its locked dependencies."""
    if not (EXPRESS / "node_modules" / ".package-lock.json").exists():
        if shutil.which("npm") is None:
            raise RuntimeError("Node 20 or later and npm are missing; Express can't be measured without them")
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=EXPRESS, check=True)
    port = servers.free_port()
    environment = {"PORT": str(port), "POOL_SIZE": str(pool), "NODE_ENV": "production"}
    command = ["node", str(EXPRESS / "server.js")]
    with servers.started(command, port, where, {**environment, **peers.environment}, "/health") as server:
        yield server


def sell_by_express(
    where: Path, server: Server, peers: Peers, shows: Shows, *, seconds: float, connections: int
) -> Rush:
    """Sell for so long by HTTP, in the order of the `spread` world."""
    file = where / f"express-{secrets.token_hex(4)}"
    ids = range(shows.first, shows.first + shows.size.shows)
    wanted = int(seconds * 10_000)
    worlds.write_requests(file, World.SPREAD, ids, shows.size, wanted, first=shows.used, form=worlds.EXPRESS)
    before = peers.bookings()
    try:
        answers = load(server, file, seconds=seconds, connections=connections)
    finally:
        file.unlink()
    told = answers.requests - answers.failed
    found = peers.bookings() - before
    shows.used += answers.requests + connections + 2  # and what wrk tried out or had under way
    if not told <= found <= told + 2 * connections:
        raise RuntimeError(f"Express has answered {told} bookings, and {found} are in the database")
    return Rush(
        bookings_per_second=told / answers.seconds,
        refused_per_second=answers.failed / answers.seconds,
        p50_ms=answers.p50_ms,
        p99_ms=answers.p99_ms,
    )


async def _execute(dsn: str, *statements: str) -> Any:
    """Run statements outside of any transaction; the last one's value."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


async def _make_shows(dsn: str, size: Size) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CHECKPOINT")
        async with connection.transaction():
            first: int = await connection.fetchval(
                """WITH made AS (INSERT INTO shows (name, start_time, total_seats)
                        SELECT 'Show', now() + interval '30 days', $2 FROM generate_series(1, $1::integer) RETURNING id)
                   SELECT min(id) FROM made""",
                size.shows,
                size.seats,
            )
            await connection.execute(
                """INSERT INTO seats (show_id, seat_no) SELECT $1::integer + n, seat::text
                   FROM generate_series(0, $2::integer - 1) AS n, generate_series(1, $3::integer) AS seat""",
                first,
                size.shows,
                size.seats,
            )
        await connection.execute("VACUUM (ANALYZE) seats, shows")
    finally:
        await connection.close()
    return first


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"pgbench has said nothing of it: {pattern}")
    return float(found[1])


def _median_ms(folder: Path) -> float:
    """Of the latencies that pgbench has logged (the third word of a line, in microseconds)."""
    latencies = []
    for path in folder.glob("pgbench.*"):
        latencies += [int(line.split()[2]) for line in path.open()]
        path.unlink()
    return statistics.median(latencies) / 1000
