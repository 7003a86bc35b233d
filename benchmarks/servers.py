"""A database and servers for a benchmark, in a folder of its own; none of it is left afterwards."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from rowlock.postgres.embedded import EmbeddedPostgres

READY_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
ANSWER_SECONDS_MAX = 60
HOST = "127.0.0.1"

_SETTINGS = ("ROWLOCK_", "PG", "PROMETHEUS_")
_ADDRESSES = {"DATABASE_URL", "SUPABASE_URL", "HOST", "PORT"}


@dataclass(frozen=True)
class Server:
    """A server under load. `pid` is the process that was started; it may have others beneath it."""

    port: int
    pid: int

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, for what is not measured: status, headers (names in lower case) and body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS_MAX)
        try:
            sent = {"Content-Type": "application/json"} if body is not None else {}
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, payload, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def make(self, path: str, body: object) -> Any:
        """POST, which must succeed."""
        status, _, answer = self.ask("POST", path, body)
        if status >= 300:
            raise RuntimeError(f"POST {path}: {status} {answer[:300]!r}")
        return json.loads(answer)

    def cpu_seconds(self) -> float:
        """The CPU time of this server's processes so far."""
        return cpu_seconds(self.pid)

    def memory_bytes(self) -> int:
        """The resident memory of this server's processes."""
        return sum(self.memory_each())

    def memory_each(self) -> list[int]:
        """The resident memory of each of its processes."""
        return [process.memory_info().rss for process in _tree(self.pid)]


@dataclass(frozen=True)
class Postgres:
    """The database under load."""

    dsn: str
    pid: int
    bin_dir: Path

    def cpu_seconds(self) -> float:
        """The CPU time of its processes that still run."""
        return cpu_seconds(self.pid)


def fetch(database: Postgres, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database.dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(run())


def truncate(dsn: str, tables: Sequence[str]) -> None:
    """Empty these tables, as far as they are there yet."""

    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            found = [table for table in tables if await connection.fetchval("SELECT to_regclass($1)", table)]
            if found:
                await connection.execute(f"TRUNCATE {', '.join(found)} CASCADE")
        finally:
            await connection.close()

    asyncio.run(run())


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process and those beneath it, as far as they still run."""
    seconds = 0.0
    for process in _tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        seconds += times.user + times.system
    return seconds


def machine_cpu_seconds() -> float:
    """The CPU time that all of this machine has used: who shares it with a benchmark shows in the difference."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for all that a benchmark writes. It goes, as all servers do, when the benchmark is told to end, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    path = Path(tempfile.mkdtemp(prefix="rowlock-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def postgres(where: Path) -> Iterator[Postgres]:
    """The embedded PostgreSQL with its ordinary settings, which lose nothing: a COMMIT is on disk before it is said."""
    server = EmbeddedPostgres(where / "var")
    dsn = server.start()
    try:
        pid = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        yield Postgres(dsn, pid, server.bin_dir)
    finally:
        server.stop()


@contextmanager
def rowlock(where: Path, database: Postgres, *, workers: int = 1, **settings: str) -> Iterator[Server]:
    """`rowlock serve` with its ordinary settings, but that whoever is on this machine may do everything."""
    environment = {
        "DATABASE_URL": database.dsn,
        "ROWLOCK_AUTH": "demo",
        "ROWLOCK_SECRET_KEY": secrets.token_hex(32),
        "ROWLOCK_WORKERS": str(workers),
        "ROWLOCK_LOG_FORMAT": "json",
        **settings,
    }
    program = [sys.executable, "-m", "rowlock"]
    subprocess.run(
        [*program, "migrate"], env=_environment(environment), check=True, stdout=subprocess.DEVNULL
    )
    port = free_port()
    with started([*program, "serve"], port, where, {**environment, "PORT": str(port)}, "/ready") as server:
        yield server


@contextmanager
def started(
    command: Sequence[str], port: int, where: Path, environment: dict[str, str], ready: str
) -> Iterator[Server]:
    """Any server, once it answers 200 at `ready`; its log goes to a file in `where`."""
    log_path = where / f"{Path(command[-1]).name}-{port}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            command, env=_environment(environment), stdout=log, stderr=log, cwd=where, start_new_session=True
        )
    server = Server(port, process.pid)
    try:
        _wait_until_ready(server, process, ready, log_path)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(STOP_SECONDS_MAX)


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], path: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if server.ask("GET", path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server is not ready:\n{log.read_text()[-2000:]}")


def _environment(variables: dict[str, str]) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(_SETTINGS) and n not in _ADDRESSES}
    return {**kept, **variables}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port
