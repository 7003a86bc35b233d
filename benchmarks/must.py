"""The figures that Rowlock must reach, part by part: what it competes with takes turns with it in each round.

spread  bookings all over 400 shows, against pgbench and Express; latency; memory
hot     one sold-out show after another, against pgbench
lone    one client, one booking at a time, against pgbench

What overdue holds and a full database cost is measured in overdue.py and big.py.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import peers, servers
from benchmarks.peers import STATEMENT, TRANSACTION, Peers, Shows, Sold
from benchmarks.rounds import Figure, in_turns, ratio
from benchmarks.rush import Rush
from benchmarks.selling import CONNECTIONS, WARM_SECONDS, rowlock, window
from benchmarks.servers import Postgres
from benchmarks.worlds import World

CLIENTS = (8, 16, 32)  # of pgbench: the best of them counts
POOLS = (10, 20)  # connections of Express: the same
WORKERS = (1, 2)  # processes of Rowlock: the same
OWN_TABLES = ("shows", "inventory", "seats", "bookings", "outbox")
OTHER_CONNECTIONS = (8, 256)  # beside the 64 by which it is judged
MIB = 1 << 20
PAIRS_PER_SECOND_MAX = 25_000  # more than any of them sells


class Bench(msgspec.Struct):
    """What a benchmark has to work with, and what it has found."""

    where: Path
    database: Postgres
    peers: Peers
    rounds: int
    seconds: int
    workers: int = 1  # with which Rowlock sold most, once that is known; before, what was best in most runs
    figures: list[Figure] = msgspec.field(default_factory=list)
    notes: dict[str, Any] = msgspec.field(default_factory=dict)

    def clear(self) -> None:
        """Empty the databases of all that was sold. Where worlds pile up, a new one comes with so much to vacuum that a
        checkpoint is due in some windows, after which all pages are written whole once more, and the last ones have a larger
        database; and what is vacuumed by and by of one variant's world costs the next ones.
        """
        servers.truncate(self.database.dsn, OWN_TABLES)
        servers.truncate(self.peers.dsn, peers.TABLES)


def best(measured: dict[str, float]) -> str:
    """The name of the largest."""
    return max(measured, key=lambda name: measured[name])


def sell(
    bench: Bench, world: World, workers: int, *, database: Postgres | None = None, **wishes: Any
) -> tuple[Rush, float]:
    """A window of Rowlock: what was sold, and the memory in MiB of its largest process then. In a database of its own making
    (`database`) what is there stays.
    """
    settings = wishes.pop("settings", {})
    if database is None:
        database = bench.database
        bench.clear()
    wishes = {"seconds": bench.seconds, **wishes}
    with rowlock(bench.where, database, workers, **settings) as (server, authorization):
        found = window(bench.where, server, authorization, database, world, **wishes)
        return found, max(server.memory_each()) / MIB


def sell_by_pgbench(bench: Bench, world: World, script: str, clients: int) -> Sold:
    """A window of pgbench, on new shows, after the same warm-up."""
    bench.clear()
    shows = bench.peers.make_shows(world, (bench.seconds + WARM_SECONDS) * PAIRS_PER_SECOND_MAX)
    bench.peers.pgbench(script, shows, clients=clients, seconds=WARM_SECONDS)
    return bench.peers.pgbench(script, shows, clients=clients, seconds=bench.seconds)


def sell_by_express(
    bench: Bench, pool: int, seconds: int | None = None, connections: int = CONNECTIONS
) -> Rush:
    """A window of Express, on new shows, after the same warm-up."""
    bench.clear()
    shows = bench.peers.make_shows(World.SPREAD, 0)
    sell = partial(
        peers.sell_by_express, bench.where, peers=bench.peers, shows=shows, connections=connections
    )
    with peers.express(bench.where, bench.peers, pool) as server:
        sell(server, seconds=WARM_SECONDS)
        return sell(server, seconds=seconds or bench.seconds)


def best_clients(bench: Bench, world: World, script: str, shows: Shows) -> int:
    """With how many clients pgbench sells most: a short look at each, after one to warm up."""
    look = partial(bench.peers.pgbench, script, shows, seconds=2)
    look(clients=CLIENTS[0])
    found = {str(clients): look(clients=clients).bookings_per_second for clients in CLIENTS}
    bench.notes[f"pgbench {script}, {world}, by clients"] = found
    return int(best(found))


def side_by_side(
    bench: Bench, world: World, others: dict[str, Callable[[], Any]]
) -> tuple[dict[str, list[Any]], list[Rush], int]:
    """Rowlock in turns with others: what they sold; what Rowlock sold with as many processes as were best; and how many these are.

    The worse is left out after some rounds, and the rest have more, for rates vary most and the median of five less than of three.
    """
    variants = others | {_workers(n): partial(sell, bench, world, n) for n in WORKERS}
    found = in_turns(variants, bench.rounds)
    rates_of = {n: rates([rush for rush, _ in found[_workers(n)]]) for n in WORKERS}
    bench.figures += [told(f"{world}: Rowlock, {_workers(n)}", rates_of[n]) for n in WORKERS]
    best_of = max(WORKERS, key=lambda n: statistics.median(rates_of[n]))
    kept = others | {_workers(best_of): variants[_workers(best_of)]}
    for name, more in in_turns(kept, bench.rounds - 1).items():
        found[name] += more
    bench.notes[f"{world}, side by side"] = found
    return found, [rush for rush, _ in found[_workers(best_of)]], best_of


def _workers(count: int) -> str:
    return f"workers: {count}"


def spread(bench: Bench) -> None:
    """Bookings all over 400 shows."""
    shows = bench.peers.make_shows(World.SPREAD, 0)
    transaction, statement = (
        best_clients(bench, World.SPREAD, script, shows) for script in (TRANSACTION, STATEMENT)
    )
    pools = {str(pool): sell_by_express(bench, pool, 3).bookings_per_second for pool in POOLS}
    bench.notes["Express, by pool"] = pools
    pool = int(best(pools))
    others: dict[str, Callable[[], Any]] = {
        TRANSACTION: partial(sell_by_pgbench, bench, World.SPREAD, TRANSACTION, transaction),
        "express": partial(sell_by_express, bench, pool),
        STATEMENT: partial(sell_by_pgbench, bench, World.SPREAD, STATEMENT, statement),
    }
    found, own, bench.workers = side_by_side(bench, World.SPREAD, others)
    memory = tuple(mib for n in WORKERS for _, mib in found[_workers(n)])
    express, sold = found["express"], rates(own)
    bench.figures += [
        ratio(
            "spread: Rowlock ÷ pgbench, transaction",
            sold,
            rates(found[TRANSACTION]),
            at_least=1.2,
            aim=2.2,
        ),
        ratio(
            "spread: Rowlock ÷ pgbench, one statement", sold, rates(found[STATEMENT]), at_least=0.8, aim=1.4
        ),
        ratio("spread: Rowlock ÷ Express", sold, rates(express), at_least=8, aim=14),
        ratio(
            "spread: p99, Rowlock ÷ Express",
            [rush.p99_ms for rush in own],
            [rush.p99_ms for rush in express],
            at_most=0.2,
            aim=0.1,
        ),
        Figure("spread: memory of a process", max(memory), "MiB", 200, at_most=True, each=memory, aim=120),
        told("spread: Rowlock, as judged", sold),
        told(f"spread: pgbench, transaction, {transaction} clients", rates(found[TRANSACTION])),
        told(f"spread: pgbench, one statement, {statement} clients", rates(found[STATEMENT])),
        told(f"spread: Express, pool of {pool}", rates(express)),
    ]
    for many in OTHER_CONNECTIONS:  # one window each, for nothing is to hold
        rush, _ = sell(bench, World.SPREAD, bench.workers, connections=many)
        theirs = sell_by_express(bench, pool, connections=many)
        against = {
            f"pgbench, transaction, {transaction} clients": statistics.median(rates(found[TRANSACTION])),
            f"pgbench, one statement, {statement} clients": statistics.median(rates(found[STATEMENT])),
            f"Express, {many} connections": theirs.bookings_per_second,
        }
        bench.figures.append(told(f"spread, {many} connections: Rowlock", [rush.bookings_per_second]))
        bench.figures += [
            ratio(f"spread, {many} connections: Rowlock ÷ {name}", [rush.bookings_per_second], [per_second])
            for name, per_second in against.items()
        ]


def hot(bench: Bench) -> None:
    """Shows of 20,000 seats, one after another."""
    shows = bench.peers.make_shows(World.HOT, 10 * PAIRS_PER_SECOND_MAX)
    clients = best_clients(bench, World.HOT, TRANSACTION, shows)
    found, own, _ = side_by_side(
        bench, World.HOT, {TRANSACTION: partial(sell_by_pgbench, bench, World.HOT, TRANSACTION, clients)}
    )
    sold = rates(own)
    bench.figures += [
        ratio("hot: Rowlock ÷ pgbench, transaction", sold, rates(found[TRANSACTION]), at_least=1.5, aim=2.5),
        told("hot: Rowlock, as judged", sold),
        told(f"hot: pgbench, transaction, {clients} clients", rates(found[TRANSACTION])),
    ]


def lone(bench: Bench) -> None:
    """One client, one booking at a time, over one connection."""

    def by_pgbench() -> float:
        shows = bench.peers.make_shows(World.HOT, 20_000)
        sell = partial(bench.peers.pgbench, TRANSACTION, shows, clients=1, seconds=2)
        sell()
        return sell(latencies_in=bench.where).p50_ms

    def by_rowlock() -> float:
        rush, _ = sell(bench, World.HOT, 1, connections=1, seconds=2)
        return rush.p50_ms

    found = in_turns({TRANSACTION: by_pgbench, "rowlock": by_rowlock}, bench.rounds)
    bench.notes["lone"] = found
    bench.figures += [
        ratio(
            "one client: p50, Rowlock ÷ pgbench, transaction",
            found["rowlock"],
            found[TRANSACTION],
            at_most=4,
            aim=2.5,
        ),
        told("one client: p50, Rowlock", found["rowlock"], "ms"),
        told("one client: p50, pgbench, transaction", found[TRANSACTION], "ms"),
    ]


def rates(found: Sequence[Any]) -> list[float]:
    """Bookings a second of each window."""
    return [each.bookings_per_second for each in found]


def told(name: str, each: Sequence[float], unit: str = "/s") -> Figure:
    """What was seen, and need not be anything."""
    return Figure(name, statistics.median(each), unit, each=tuple(each))
