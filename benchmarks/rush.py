"""A rush: bookings by wrk on many connections, and what they cost the server, PostgreSQL and the client meanwhile.

What counts as a booking is an answer below 400 (201, or 200 to a Confirm), and these are counted again as rows of the
database: an answer without a row would be an error, and so would more rows than there were connections to lose answers.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from benchmarks import servers, wrk
from benchmarks.servers import HOST, Postgres, Server

SETTLE_SECONDS = 0.1  # requests whose connection was closed are decided all the same

_SCRIPT = Path(__file__).with_name("booking.lua")


class Answers(msgspec.Struct, frozen=True):
    """What wrk has counted. `settled`: bookings, where there are other answers, too."""

    requests: int
    seconds: float
    failed: int
    lost: int
    p50_ms: float
    p99_ms: float
    settled: int = 0


class Rush(msgspec.Struct, frozen=True):
    """What a rush found. CPU in cores; `others`: what was none of ours. `batch`: commands committed together."""

    bookings_per_second: float
    refused_per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu: float = 0.0
    database_cpu: float = 0.0
    client_cpu: float = 0.0
    others_cpu: float = 0.0
    wal_bytes: float = 0.0
    batch: float = 0.0
    transactions: float = 0.0


class Counted(msgspec.Struct, frozen=True):
    """The database's own figures at a moment."""

    confirmed: int
    wal: int
    transactions: int


def count(dsn: str, shows: Sequence[int]) -> Counted:
    """CONFIRMED bookings of these shows, bytes of WAL so far, and transactions so far; once no more come in."""
    return asyncio.run(_count(dsn, shows))


async def _count(dsn: str, shows: Sequence[int]) -> Counted:
    connection = await asyncpg.connect(dsn)
    try:
        row = await _fetch(connection, shows)
        while row[0] != (again := await _fetch(connection, shows))[0]:
            row = again
    finally:
        await connection.close()
    return Counted(row[0], int(row[1]), row[2])


async def _fetch(connection: asyncpg.Connection, shows: Sequence[int]) -> Any:
    await asyncio.sleep(SETTLE_SECONDS)
    return await connection.fetchrow(
        """SELECT (SELECT count(*) FROM bookings WHERE show_id = ANY ($1) AND status = 'CONFIRMED'),
                      pg_current_wal_lsn() - '0/0',
                      (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())""",
        list(shows),
    )


def load(
    server: Server,
    requests: Path,
    *,
    seconds: float,
    connections: int,
    skip: int = 0,
    authorization: str = "-",
    keys: bool = False,
    mode: str = "-",
) -> Answers:
    """Send requests from a file for so long; `mode` is that of booking.lua. None may be lost."""
    command = [wrk.find(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(_SCRIPT)]
    arguments = [
        str(requests),
        str(skip),
        authorization,
        "keys" if keys else "-",
        mode,
    ]
    done = subprocess.run(
        [*command, f"http://{HOST}:{server.port}", "--", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    if done.stderr:
        raise RuntimeError(done.stderr.strip())
    answers = msgspec.json.decode(done.stdout.splitlines()[-1], type=Answers)
    if answers.lost:
        raise RuntimeError(f"{answers.lost} answers of {answers.requests} were lost")
    return answers


def rush(
    server: Server,
    database: Postgres,
    shows: Sequence[int],
    requests: Path,
    *,
    seconds: float,
    connections: int,
    skip: int = 0,
    mode: str = "-",
    **wishes: Any,
) -> tuple[Rush, int]:
    """A rush, and how many lines of the file it has used at most."""
    before, batches = count(database.dsn, shows), _batches(server)
    cpu = _cpu(server, database)
    answers = load(server, requests, seconds=seconds, connections=connections, skip=skip, mode=mode, **wishes)
    cpu = [after - at_first for after, at_first in zip(_cpu(server, database), cpu, strict=True)]
    after, batches_after = count(database.dsn, shows), _batches(server)
    told = answers.requests - answers.failed if mode == "-" else answers.settled
    found = after.confirmed - before.confirmed
    if not told <= found <= told + connections:
        raise RuntimeError(f"{told} bookings were answered with CONFIRMED, and {found} are in the database")
    committed, commands = (b - a for a, b in zip(batches, batches_after, strict=True))
    spent = [used / answers.seconds for used in cpu]
    return Rush(
        bookings_per_second=told / answers.seconds,
        refused_per_second=answers.failed / answers.seconds,
        p50_ms=answers.p50_ms,
        p99_ms=answers.p99_ms,
        server_cpu=spent[0],
        database_cpu=spent[1],
        client_cpu=spent[2],
        others_cpu=max(0.0, spent[3] - sum(spent[:3])),
        wal_bytes=(after.wal - before.wal) / max(found, 1),
        batch=commands / committed if committed else 0.0,
        transactions=(after.transactions - before.transactions) / max(committed, 1),
    ), answers.requests + connections + 2


def _cpu(server: Server, database: Postgres) -> list[float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [
        server.cpu_seconds(),
        database.cpu_seconds(),
        children.ru_utime + children.ru_stime,
        servers.machine_cpu_seconds(),
    ]


def _batches(server: Server) -> tuple[float, float]:
    """How many batches a Rowlock has committed so far, and commands in them; another server has none."""
    status, _, body = server.ask("GET", "/metrics")
    if status != 200:
        return 0.0, 0.0
    return tuple(_sample(body.decode(), f"rowlock_batch_commands_{part}") for part in ("count", "sum"))  # type: ignore[return-value]


def _sample(exposition: str, name: str) -> float:
    return sum(float(line.split()[1]) for line in exposition.splitlines() if line.startswith(f"{name} "))
