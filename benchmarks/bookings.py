"""How fast bookings are: python -m benchmarks.bookings

Quick, for work on what a booking costs: --only spread --seconds 5 --workers 1,2 prints each window's bookings a second,
latencies, CPU, commands in a batch and WAL, on a database of its own.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import rush, servers, worlds
from benchmarks.rush import Rush
from benchmarks.servers import Postgres, Server
from benchmarks.worlds import World
from rowlock.http import tokens

CONNECTIONS = 64
WARM_SECONDS = 2.0
REQUESTS_PER_SECOND_MAX = 30_000  # more than any variant can answer: that many are made for each second

_console = Console(width=None if sys.stdout.isatty() else 150)


@contextmanager
def rowlock(where: Path, database: Postgres, workers: int, **settings: str) -> Iterator[tuple[Server, str]]:
    """Rowlock with everything on, signing in included, and the Authorization header of a service."""
    secret = secrets.token_hex(32)
    token = tokens.mint(secret, user_id="bench", role="service", hours=1)
    with servers.rowlock(
        where,
        database,
        workers=workers,
        ROWLOCK_AUTH="token",
        ROWLOCK_SECRET_KEY=secret,
        ROWLOCK_LOG_LEVEL="warning",
        **settings,
    ) as server:
        yield server, f"Bearer {token}"


def window(
    where: Path,
    server: Server,
    authorization: str,
    database: Postgres,
    world: World,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    keys: bool = False,
) -> Rush:
    """Sell a new world for so long, after a warm-up on the same."""
    wanted = int((seconds + WARM_SECONDS) * REQUESTS_PER_SECOND_MAX)
    size = worlds.size_for(world, wanted)
    shows = worlds.make_shows(database.dsn, size)
    file = where / f"requests-{secrets.token_hex(4)}"
    try:
        worlds.write_requests(file, world, shows, size, wanted)
        wishes: dict[str, Any] = {"connections": connections, "authorization": authorization, "keys": keys}
        confirm = world is World.HOLDS
        _, used = rush.rush(server, database, shows, file, seconds=WARM_SECONDS, confirm=confirm, **wishes)
        found, _ = rush.rush(
            server, database, shows, file, seconds=seconds, skip=used, confirm=confirm, **wishes
        )
    finally:
        file.unlink(missing_ok=True)
    return found


def quick(wished: argparse.Namespace) -> None:
    """Some windows of Rowlock alone, as fast as they can be had."""
    table = Table(
        title=f"{wished.connections} connections, {wished.seconds:g} s a window", title_justify="left"
    )
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "window" else "right")
    settings = {"ROWLOCK_EVENTS": "off"} if wished.no_events else {}
    with servers.folder() as where, servers.postgres(where) as database:
        for workers in wished.workers:
            with rowlock(where, database, workers, **settings) as (server, authorization):
                for number in range(wished.rounds):
                    for world in wished.only:
                        found = window(
                            where,
                            server,
                            authorization,
                            database,
                            World(world),
                            seconds=wished.seconds,
                            connections=wished.connections,
                            keys=wished.keys,
                        )
                        table.add_row(f"{world}, {workers} workers, round {number + 1}", *_cells(found))
    _console.print(table)


_COLUMNS = ("window", "bookings/s", "refused/s", "p50 ms", "p99 ms", "server", "PostgreSQL", "wrk", "others",
            "batch", "tx/batch", "WAL/booking")  # fmt: skip


def _cells(found: Rush) -> list[str]:
    return [
        f"{found.bookings_per_second:,.0f}",
        f"{found.refused_per_second:,.0f}",
        f"{found.p50_ms:.2f}",
        f"{found.p99_ms:.2f}",
        *(
            f"{cores:.2f}"
            for cores in (found.server_cpu, found.database_cpu, found.client_cpu, found.others_cpu)
        ),
        f"{found.batch:.1f}",
        f"{found.transactions:.2f}",
        f"{found.wal_bytes:,.0f}",
    ]


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bookings", description=__doc__.splitlines()[0]
    )
    names = [world.value for world in World]
    parser.add_argument(
        "--only", type=_words(names), default=["spread"], help=f"of {', '.join(names)} (spread)"
    )
    parser.add_argument("--workers", type=_numbers, default=[1, 2], help="server processes (1,2)")
    parser.add_argument("--seconds", type=float, default=5, help="of a window, after 2 s to warm up (5)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--keys", action="store_true", help="an Idempotency-Key with each request")
    parser.add_argument("--no-events", action="store_true")
    quick(parser.parse_args())


def _words(known: list[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        words = text.split(",")
        if unknown := set(words) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return words

    return read


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
