"""What a whole server holds, while the seats of one show change without end: HTTP, engine, feed, maps and readers.

Two minutes of it. What the server has in use is looked at every second, once it is warm, and its growth reckoned for
as many requests as there are in an hour in which 2,000 seats are sold a second, two at a time.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import heap, servers
from benchmarks.clients import client
from benchmarks.growth import Growth, growth
from benchmarks.servers import Postgres, Server

BUYERS: Final = 60
STAFF: Final = 8
READERS: Final = 200
SAMPLE_SECONDS: Final = 1.0
WINDOWS: Final = 10
REQUESTS_AN_HOUR: Final = 1_000 * 3_600  # of two seats each
TELL_SECONDS_MAX: Final = 10.0


class Account:
    """What a server says that it has in use."""

    def __init__(self, server: Server, file: Path) -> None:
        self.server = server
        self._file = file

    def bytes_in_use(self) -> int:
        """Ask for it."""
        self._file.unlink(missing_ok=True)
        os.kill(self.server.pid, signal.SIGUSR2)
        deadline = time.monotonic() + TELL_SECONDS_MAX
        while time.monotonic() < deadline:
            if self._file.exists():
                return int(self._file.read_text())
            time.sleep(0.01)
        raise RuntimeError("the server does not say what it has in use; its log may say why")


@contextmanager
def accounted(where: Path, database: Postgres) -> Iterator[Account]:
    """A server that keeps account of its memory."""
    port, file = servers.free_port(), where / "heap"
    environment = {
        "DATABASE_URL": database.dsn,
        "ROWLOCK_AUTH": "demo",
        "ROWLOCK_SECRET_KEY": secrets.token_hex(32),
        "ROWLOCK_LOG_FORMAT": "json",
        "PORT": str(port),
        "HEAP_FILE": str(file),
        "PYTHONPATH": str(Path(__file__).parents[1]),
        **heap.ENVIRONMENT,
    }
    program = [sys.executable, "-m", "benchmarks.accounted"]
    subprocess.run(
        [*program, "migrate"], env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL
    )
    with servers.started([*program, "serve"], port, where, environment, "/ready") as server:
        yield Account(server, file)


class ServerGrowth(msgspec.Struct, frozen=True):
    """Growth for an hour's worth of bookings, in use and in all; and what was done meanwhile."""

    in_use: Growth
    process: Growth
    in_use_percent: float
    process_percent: float
    changed_seats: int
    requests: int


def server_growth(account: Account, show: int, seconds: float) -> ServerGrowth:
    """The growth of a server while the seats of a show change, for so many seconds after a warm-up."""
    in_use: list[int] = []
    process: list[int] = []
    warm = seconds / 3
    lasting = warm + seconds + SAMPLE_SECONDS
    wishes = {"port": account.server.port, "show": show}
    with (
        client("turns", **wishes, buyers=BUYERS, staff=STAFF, seconds=lasting) as turns,
        client("readers", **wishes, readers=READERS, linger_seconds=0) as readers,
    ):
        readers.begin()
        turns.begin()
        due = time.monotonic() + warm
        while len(in_use) < seconds / SAMPLE_SECONDS:
            time.sleep(max(0.0, due - time.monotonic()))
            due += SAMPLE_SECONDS
            process.append(account.server.memory_bytes())
            in_use.append(account.bytes_in_use())
        done = turns.result()
        readers.stop()
        readers.result()
    an_hour = REQUESTS_AN_HOUR / (done["requests"] / lasting * 3_600)
    used, all_ = (growth(samples, SAMPLE_SECONDS, windows=WINDOWS) for samples in (in_use, process))
    return ServerGrowth(
        used,
        all_,
        used.percent_an_hour * an_hour,
        all_.percent_an_hour * an_hour,
        done["changed_seats"],
        done["requests"],
    )
