"""Rowlock beside what it competes with: python -m benchmarks.compare (make bench)

Prints each figure with what it must be, and exits with 1 where one does not hold. --only measures some of the parts.
Everything runs on this machine, in one run, on a PostgreSQL of its own with stock settings, durable ones.
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console

from benchmarks import big, must, overdue, servers, wrk
from benchmarks.machine import RESULTS, markdown, table, write
from benchmarks.must import Bench
from benchmarks.peers import Peers

PARTS = {"spread": must.spread, "hot": must.hot, "lone": must.lone, "sweep": overdue.sweep, "big": big.big}
SETTINGS = """
    SELECT name, setting FROM pg_settings WHERE source IN ('command line', 'configuration file', 'database', 'user')
    OR name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_level') ORDER BY name
"""

_console = Console(width=None if sys.stdout.isatty() else 150)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), help="some parts (all)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=3,
        help="how often each variant is measured (3); 2 n - 1 times in spread and hot",
    )
    parser.add_argument("--seconds", type=int, default=6, help="of a window (6), after 2 s to warm up")
    wished = parser.parse_args()
    wrk.find()
    took: dict[str, float] = {}
    with servers.folder() as where, servers.postgres(where) as database:
        bench = Bench(where, database, Peers(database), wished.rounds, wished.seconds)
        for name in wished.only or PARTS:
            began = time.monotonic()
            PARTS[name](bench)
            took[name] = time.monotonic() - began
            _console.print(f"{name}: measured in {took[name]:.0f} s")
        settings = servers.fetch(database, SETTINGS)
    figures = sorted(bench.figures, key=lambda figure: figure.bound is None)
    name = "must" if wished.only is None else "-".join(wished.only)
    write(name, figures=figures, took_seconds=took, postgresql=settings, **bench.notes)
    (RESULTS / f"{name}.md").write_text(markdown(figures))
    _console.print(table("Rowlock beside others", figures))
    sys.exit(0 if all(figure.holds for figure in figures) else 1)


if __name__ == "__main__":
    main()
