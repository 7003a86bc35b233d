"""What `make bench` has no time for: python -m benchmarks.full (make bench-full), some forty minutes

kinds    other worlds, Idempotency-Keys, no events, 8 and 256 connections: each in turns with the plain sale
curves   bookings a second and p99 as work grows: connections, seats per show, shows, bookings in the database, live readers

Nothing must hold here. Results go to benchmarks/results; --plots writes the curves as SVG.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import big, plots, servers, wrk
from benchmarks.machine import RESULTS, markdown, table, write
from benchmarks.must import Bench, rates, sell, told
from benchmarks.peers import Peers
from benchmarks.plots import Curve, Point
from benchmarks.rounds import in_turns, ratio
from benchmarks.worlds import Size, World

SEATS = 1_000_000  # of all shows of a curve together, where it is not about that
CURVE_SECONDS = 2
_NO_EVENTS = {"ROWLOCK_EVENTS": "off"}

KINDS: dict[str, tuple[World, dict[str, Any]]] = {
    "with Idempotency-Keys": (World.SPREAD, {"keys": True}),
    "without events": (World.SPREAD, {"settings": _NO_EVENTS}),
    "8 connections": (World.SPREAD, {"connections": 8}),
    "256 connections": (World.SPREAD, {"connections": 256}),
    "holds, confirmed then": (World.HOLDS, {}),
    "10 looks at a map for each": (World.READ, {}),
    "by count, one hall after another": (World.COUNTS, {}),
    "by name, one hall after another": (World.HOT, {}),
}

_console = Console(width=None if sys.stdout.isatty() else 150)


def kinds(bench: Bench) -> None:
    """Other ways to sell, against the plain one."""
    plain = partial(sell, bench, World.SPREAD, bench.workers)
    for name, (world, wishes) in KINDS.items():
        found = in_turns(
            {"plain": plain, name: partial(sell, bench, world, bench.workers, **wishes)}, bench.rounds
        )
        sold = {each: [rush for rush, _ in found[each]] for each in found}
        bench.notes[name] = sold
        bench.figures += [
            ratio(f"{name} ÷ plain", rates(sold[name]), rates(sold["plain"])),
            told(f"{name}: p99", [rush.p99_ms for rush in sold[name]], "ms"),
        ]
    refused = [sell(bench, World.SOLD, bench.workers)[0] for _ in range(bench.rounds)]
    bench.figures.append(told("sold out: refusals", [rush.refused_per_second for rush in refused]))


def curves(bench: Bench) -> None:
    """How it goes as work grows."""
    spread = partial(sell, bench, World.SPREAD, bench.workers, seconds=CURVE_SECONDS)
    drawn = [
        Curve("connections", [_point(n, spread(connections=n)) for n in (1, 8, 64, 256, 1_024)]),
        Curve(
            "seats per show",
            [_point(n, spread(size=Size(SEATS // n, n))) for n in (100, 1_000, 10_000, 100_000)],
        ),
        Curve(
            "shows",
            [_point(n, spread(size=Size(n, min(100_000, SEATS // n)))) for n in (1, 10, 100, 1_000, 10_000)],
        ),
        Curve("live readers", [_point(n, spread(readers=n)) for n in (0, 100, 500, 2_000)]),
        Curve(
            "bookings in the database", [_point(n, _filled(bench, n)) for n in (0, 1_000_000, big.BOOKINGS)]
        ),
    ]
    bench.notes["curves"] = drawn


def _filled(bench: Bench, bookings: int) -> tuple[Any, float]:
    database = big.new_database(bench, f"with_{bookings}")
    if bookings:
        asyncio.run(big.fill(database.dsn, bookings))
    return sell(bench, World.SPREAD, bench.workers, seconds=CURVE_SECONDS, database=database)


def _point(at: int, found: tuple[Any, float]) -> Point:
    rush, _ = found
    return Point(at, rush.bookings_per_second, rush.p99_ms)


PARTS = {"kinds": kinds, "curves": curves}


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.full", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=tuple(PARTS), help="some parts (all)")
    parser.add_argument("--workers", type=int, default=2, help="processes of Rowlock (2)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each kind is measured (3)")
    parser.add_argument("--seconds", type=int, default=6, help="of a window (6), after 2 s to warm up")
    parser.add_argument("--plots", type=Path, help="a folder for the curves")
    wished = parser.parse_args()
    wrk.find()
    with servers.folder() as where, servers.postgres(where) as database:
        bench = Bench(where, database, Peers(database), wished.rounds, wished.seconds, wished.workers)
        for name in wished.only or PARTS:
            PARTS[name](bench)
    drawn: list[Curve] = bench.notes.get("curves", [])
    write("full", figures=bench.figures, **bench.notes)
    (RESULTS / "full.md").write_text(markdown(bench.figures) + plots.markdown(drawn))
    if wished.plots:
        plots.draw(drawn, wished.plots)
    _console.print(table("Rowlock in other ways", bench.figures))
    _console.print(plots.markdown(drawn))


if __name__ == "__main__":
    main()
