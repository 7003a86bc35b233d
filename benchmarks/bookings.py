"""How fast bookings are: python -m benchmarks.bookings

Quick, for work on what a booking costs: --only spread --seconds 5 --workers 1,2 prints each window's bookings a second,
latencies, CPU, commands in a batch and WAL, on a database of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks import servers
from benchmarks.rush import Rush
from benchmarks.selling import CONNECTIONS, rowlock, window
from benchmarks.worlds import World

_console = Console(width=None if sys.stdout.isatty() else 150)


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
