"""What live seat maps cost, and whether they hold what they promise: python -m benchmarks.live_maps

Each part can be run by itself: --only looks, live, counts, memory or server. Everything runs on this machine, on a database of
its own. --json writes all that was measured, each round of it. Exits with 1 where a figure does not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks import servers, wrk
from benchmarks.clients import client
from benchmarks.delays import Delays, delays
from benchmarks.rounds import TIMES, Figure, in_turns, ratio
from benchmarks.server_memory import accounted, server_growth
from benchmarks.servers import Postgres, Server

SEATS = 20_000
PARTY = 2  # seats in a booking
READERS = 2_000
SEATS_PER_SECOND = 2_000
LIVE_SECONDS = 8  # at that rate: four fifths of the house
BUYERS = 200  # connections of those who book
LOOK_SECONDS = 1.0
LOOK_ROUNDS = 3  # for each round of the rest: they are short
LINGER_SECONDS = 2.0  # for the last delta to arrive
# No growth, as far as it can be told: a leak of a byte a commit would be half a percent of what is in use, and what the
# process takes goes up and down by some megabytes with the bodies that are freed and made.
USE_PERCENT_MAX = 1.0
PROCESS_PERCENT_MAX = 2.0
# Here a minute stands for an hour. A leak of the smallest object at one booking in ten would be 10 %.
SERVER_PERCENT_MAX = 10.0
PARTS = ("looks", "live", "counts", "memory", "server")

_console = Console()


class Result(msgspec.Struct):
    """All that a run has found."""

    machine: dict[str, object]
    figures: list[Figure] = msgspec.field(default_factory=list)
    notes: dict[str, object] = msgspec.field(default_factory=dict)


class Sale(msgspec.Struct, frozen=True):
    """A show that was sold by a crowd. CPU times are in cores while it lasted; `others`: what is none of ours."""

    bookings_per_second: float
    outcomes: dict[str, int]
    p50_ms: float
    p99_ms: float
    server_cpu: float
    database_cpu: float
    buyers_cpu: float
    others_cpu: float = 0.0
    readers_cpu: float = 0.0
    megabits_per_second: float = 0.0
    delays: Delays | None = None


def new_show(server: Server, name: str) -> int:
    """A show of 20,000 numbered seats."""
    body = {"name": name, "start_time": "2035-01-01T20:00:00Z", "total_seats": SEATS}
    show: int = server.make("/api/shows", body)["id"]
    return show


def sell(
    server: Server,
    database: Postgres,
    show: int,
    *,
    bookings: int,
    rate: float = 0,
    by: str = "seats",
    readers: int = 0,
) -> Sale:
    """Sell a show to a crowd, at a rate of bookings a second (0: as fast as answers come), with readers or without."""
    wishes = {"bookings": bookings, "each": PARTY, "first": 0, "by": by, "rate": rate, "connections": BUYERS}
    with client("buyers", port=server.port, show=show, **wishes) as buyers:
        if not readers:
            return _sale(server, database, buyers)
        with client(
            "readers", port=server.port, show=show, readers=readers, linger_seconds=LINGER_SECONDS
        ) as crowd:
            sale = _sale(server, database, buyers, crowd)
    return sale


def _sale(server: Server, database: Postgres, buyers: Any, readers: Any = None) -> Sale:
    cpu = server.cpu_seconds(), database.cpu_seconds(), servers.machine_cpu_seconds()
    if readers:
        readers.begin()
    buyers.begin()
    bought = buyers.result()
    used = server.cpu_seconds() - cpu[0], database.cpu_seconds() - cpu[1]
    all_used = servers.machine_cpu_seconds() - cpu[2]
    seconds = bought["seconds"]
    sale = Sale(
        bookings_per_second=len(bought["sent"]) / seconds,
        outcomes=bought["outcomes"],
        p50_ms=bought["p50_ms"],
        p99_ms=bought["p99_ms"],
        server_cpu=used[0] / seconds,
        database_cpu=used[1] / seconds,
        buyers_cpu=bought["cpu_seconds"] / seconds,
        others_cpu=max(0.0, all_used - sum(used) - bought["cpu_seconds"]) / seconds,
    )
    if not readers:
        return sale
    readers.stop()
    read = readers.result()
    first_seats = [n * PARTY for n in range(len(bought["sent"]))]
    readers_cpu = read["cpu_seconds"] / (seconds + LINGER_SECONDS)
    return msgspec.structs.replace(
        sale,
        others_cpu=max(0.0, sale.others_cpu - readers_cpu),
        readers_cpu=readers_cpu,
        megabits_per_second=read["bytes"] * 8 / 1e6 / seconds,
        delays=delays(bought["decided"], bought["sent"], first_seats, read["deltas"], read["readers"]),
    )


def half_sold(server: Server) -> int:
    """A show with half of its seats sold, in parties here and there, as it is when most people look."""
    show = new_show(server, "Half sold")
    chance = random.Random(1)
    seats: list[str] = []
    number = 1
    while number <= SEATS:
        party = chance.choice((1, 2, 2, 2, 3, 4, 4, 6))
        if chance.random() < 0.5:
            seats += [str(n) for n in range(number, min(number + party, SEATS + 1))]
        number += party
    for n in range(0, len(seats), 10):
        server.make("/api/bookings", {"show_id": show, "user_id": "ada", "seats": seats[n : n + 10]})
    return show


def looks(server: Server, rounds: int, result: Result) -> None:
    """`/availability` and 304s, against the least that this server can answer: `/health`."""
    show = half_sold(server)
    path = f"/api/shows/{show}/availability"
    gzip = {"Accept-Encoding": "gzip"}
    status, headers, body = server.ask("GET", path, headers=gzip)
    known = {**gzip, "If-None-Match": headers["etag"]}
    same = server.ask("GET", path, headers=known)
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert (same[0], same[2]) == (304, b"")

    def asking(path: str, headers: dict[str, str]) -> Callable[[], tuple[float, float]]:
        def ask() -> tuple[float, float]:
            cpu_before = server.cpu_seconds()
            load = wrk.load(server, path, seconds=LOOK_SECONDS, headers=headers)
            return load.per_second, load.requests / (server.cpu_seconds() - cpu_before)

        return ask

    variants = {
        "/health": asking("/health", gzip),
        "/availability": asking(path, gzip),
        "/availability, zstd": asking(path, {"Accept-Encoding": "zstd"}),
        "304": asking(path, known),
        "/seats": asking(f"/api/shows/{show}/seats", gzip),
    }
    for variant in variants.values():
        variant()  # once beforehand: bodies are made, branches are warm
    found = in_turns(variants, rounds * LOOK_ROUNDS)
    rates = {name: [per_second for per_second, _ in each] for name, each in found.items()}
    bounds = {"/availability": 0.8, "304": 0.9}
    for name in list(variants)[1:]:
        figure = ratio(f"{name} against /health", rates[name], rates["/health"], at_least=bounds.get(name))
        result.figures.append(figure)
    per_cpu_second = {name: statistics.median(each for _, each in found[name]) for name in found}
    for name in bounds:
        value = per_cpu_second[name] / per_cpu_second["/health"]
        result.figures.append(Figure(f"The same, by the server's CPU time: {name}", value, TIMES))
    sizes = {}
    for kind in ("availability", "seats"):
        for coding in ("identity", "gzip", "zstd"):
            answer = server.ask("GET", f"/api/shows/{show}/{kind}", headers={"Accept-Encoding": coding})
            sizes[f"{kind}, {coding}"] = len(answer[2])
    result.notes["looks"] = {
        "requests_per_second": {name: statistics.median(each) for name, each in rates.items()},
        "requests_per_cpu_second": per_cpu_second,
        "bytes": sizes,
        "gzip_body_bytes": len(body),
    }


def live(server: Server, database: Postgres, rounds: int, result: Result) -> None:
    """A show sold at a steady rate, and as fast as can be; with 2,000 readers and without."""
    rate = SEATS_PER_SECOND / PARTY
    bookings = int(rate * LIVE_SECONDS)

    def selling(readers: int, rate: float) -> Callable[[], Sale]:
        return lambda: sell(
            server, database, new_show(server, "Live"), bookings=bookings, rate=rate, readers=readers
        )

    selling(0, 0)()  # once beforehand: the database's pages and plans are warm
    variants = {
        "steady": selling(0, rate),
        "steady, watched": selling(READERS, rate),
        "rush": selling(0, 0),
        "rush, watched": selling(READERS, 0),
    }
    found = in_turns(variants, rounds)
    for sales in found.values():
        for sale in sales:
            if sale.outcomes != {"201": bookings}:
                raise RuntimeError(f"not all were sold: {sale.outcomes}")
    each = {name: [sale.bookings_per_second for sale in sales] for name, sales in found.items()}
    told = [sale.delays for sale in found["steady, watched"] if sale.delays is not None]
    rushed = [sale.delays for sale in found["rush, watched"] if sale.delays is not None]
    p99 = tuple(delay.p99_ms for delay in told)
    result.figures += [
        Figure("Change to reader, p99", statistics.median(p99), "ms", 500, at_most=True, each=p99),
        Figure(
            "Changes that a reader missed", sum(delay.untold for delay in told + rushed), "", 0, at_most=True
        ),
        ratio(
            f"Bookings with {READERS:,} readers, at {SEATS_PER_SECOND:,} seats/s",
            each["steady, watched"],
            each["steady"],
            at_least=0.8,
        ),
        ratio(f"Bookings with {READERS:,} readers, as fast as can be", each["rush, watched"], each["rush"]),
        Figure(
            "Request to reader, p99", statistics.median([delay.p99_from_request_ms for delay in told]), "ms"
        ),
        Figure("Change to reader in that rush, p99", statistics.median([d.p99_ms for d in rushed]), "ms"),
        Figure(
            "Cores that the rest of the machine took meanwhile",
            statistics.median(sale.others_cpu for sales in found.values() for sale in sales),
            each=tuple(sale.others_cpu for sale in found["steady, watched"]),
        ),
    ]
    result.notes["live"] = found


def counts(server: Server, database: Postgres, rounds: int, result: Result) -> None:
    """A whole house of 20,000 seats sold by count, against the same house sold by name."""
    bookings = SEATS // PARTY

    def selling(by: str) -> Callable[[], Sale]:
        return lambda: sell(server, database, new_show(server, "Counts"), bookings=bookings, by=by)

    selling("seats")()
    found = in_turns({"named": selling("seats"), "count": selling("count")}, rounds)
    each = {name: [sale.bookings_per_second for sale in sales] for name, sales in found.items()}
    # There are exactly as many requests as there are parties in the house: whoever is refused, is refused falsely.
    refused = sum(bookings - sale.outcomes.get("201", 0) for sale in found["count"])
    result.figures += [
        ratio("Bookings by count against by name", each["count"], each["named"], at_least=0.6),
        Figure("False refusals", refused, "", 0, at_most=True),
    ]
    result.notes["counts"] = found


def memory(result: Result) -> None:
    """What a map weighs, and whether an hour of events leaves anything behind."""
    hours = {by: _hour(by) for by in ("use", "system")}  # one on each core
    found = {by: _told(hour) for by, hour in hours.items()}
    weight, growth = found["use"]["bytes_a_seat"], {by: each["percent_an_hour"] for by, each in found.items()}
    result.figures += [
        Figure("Memory of a map of 20,000 seats, a seat", weight, "bytes", 3, at_most=True),
        Figure("Growth over an hour of events: in use", growth["use"], "%", USE_PERCENT_MAX, at_most=True),
        Figure(
            "Growth over an hour of events: of the process",
            growth["system"],
            "%",
            PROCESS_PERCENT_MAX,
            at_most=True,
        ),
    ]
    result.notes["memory"] = found


def _hour(by: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.memory", "--by", by]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _told(hour: subprocess.Popen[str]) -> Any:
    output, _ = hour.communicate()
    if hour.returncode:
        raise RuntimeError("the hour has failed; what it said stands above")
    return msgspec.json.decode(output.splitlines()[-1])


def server_memory(where: Path, database: Postgres, seconds: float, result: Result) -> None:
    """What a whole server holds, in use and in all, while the seats of a show change without end."""
    with accounted(where, database) as account:
        show = new_show(account.server, "Memory")
        found = server_growth(account, show, seconds)
    result.figures += [
        Figure(
            "Growth of a server for an hour's worth of bookings: in use",
            found.in_use_percent,
            "%",
            SERVER_PERCENT_MAX,
            at_most=True,
        ),
        Figure("The same: of the process", found.process_percent, "%"),
    ]
    result.notes["server memory"] = found


def _machine() -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": commit or None,
    }


def _table(result: Result) -> Table:
    table = Table(title="Live seat maps", title_justify="left")
    for name, side in (
        ("figure", "left"),
        ("seen", "right"),
        ("must be", "right"),
        ("", "left"),
        ("rounds", "left"),
    ):
        table.add_column(name, justify="right" if side == "right" else "left")
    for figure in result.figures:
        bound = ""
        if figure.bound is not None:
            bound = f"{'≤' if figure.at_most else '≥'} {figure.bound:g} {figure.unit}"
        verdict = "" if figure.bound is None else "holds" if figure.holds else "[red]does not hold[/red]"
        each = " ".join(f"{value:.3g}" for value in figure.each)
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", bound, verdict, each)
    return table


def _serve(
    where: Path, database: Postgres, parts: Sequence[str], wished: argparse.Namespace, result: Result
) -> None:
    """The parts that need a server."""
    if set(parts) & {"looks", "live", "counts"}:
        with servers.rowlock(where, database) as server:
            if "looks" in parts:
                looks(server, wished.rounds, result)
            if "live" in parts:
                live(server, database, wished.rounds, result)
            if "counts" in parts:
                counts(server, database, wished.rounds, result)
    if "server" in parts:
        server_memory(where, database, wished.server_seconds, result)


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live_maps", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--only", nargs="*", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=5, help="how often each variant is measured (5)")
    parser.add_argument("--server-seconds", type=float, default=90, help="of load on a real server (90)")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    wished = parser.parse_args()
    parts = wished.only or PARTS
    if "looks" in parts:
        wrk.find()
    result = Result(_machine())
    if "memory" in parts:
        memory(result)
    if set(parts) - {"memory"}:
        with servers.folder() as where, servers.postgres(where) as database:
            _serve(where, database, parts, wished, result)
    if wished.json:
        wished.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    _console.print(_table(result))
    sys.exit(0 if all(figure.holds for figure in result.figures) else 1)


if __name__ == "__main__":
    main()
