"""Overload: five times as many connections as serve best, each asking again at once. `make bench-overload` runs it.

First the best throughput is looked for: the fewest connections that come within a tenth of the most there is, as all that more
of them add is waiting. Then five times as many ask for `--seconds`; then the best number again. Seats are asked for by name, or
any two of them (`--by count`). It exits with 1 where a figure does not hold: accepted bookings' p99 within three times that at the best,
refusals in under 50 ms and all with Retry-After, memory that stays, and throughput that comes back.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from typing import Any

from benchmarks import clients, servers

CONNECTIONS = (32, 64, 128, 256)
TIMES = 5
P99_TIMES_MAX = 3.0
REFUSED_MS_MAX = 50.0
GROWTH_MAX = 1.1
RECOVERED_SHARE_MIN = 0.7
SHOW_SEATS = 100_000
WARM_SECONDS = 2.0
NEARLY = 0.9  # of the most there is
RATE_MAX = 12_000  # more bookings a second than there will be: so many seats are there


def _show(server: servers.Server) -> int:
    body = {"name": "Overload", "start_time": "2031-05-01T20:00:00Z", "total_seats": SHOW_SEATS}
    return int(server.make("/api/shows", body)["id"])


def _ask(server: servers.Server, connections: int, seconds: float, by_count: bool = False) -> dict[str, Any]:
    """A crowd at new shows, two at a time, one for each lane. Returns what it found, with bookings a second."""
    pairs = SHOW_SEATS // 2
    count = 2 if by_count else 2 * int(RATE_MAX * (seconds + WARM_SECONDS) / pairs / 2 + 1)
    wishes = {
        "port": server.port,
        "shows": [_show(server) for _ in range(count)],
        "seats": 0 if by_count else SHOW_SEATS,
        "connections": connections,
    }
    with clients.client("askers", **wishes, seconds=seconds, warm_seconds=WARM_SECONDS) as crowd:
        crowd.begin()
        found: dict[str, Any] = crowd.result()
    found["rate"] = found["counts"].get("201", 0) / seconds
    counts = ", ".join(f"{name}: {count}" for name, count in found["counts"].items() if count)
    print(
        f"{connections:>5} connections: {found['rate']:>7,.0f} bookings/s, p50 {_ms(found['booked_p50_ms'])}, "
        f"p99 {_ms(found['booked_p99_ms'])}; refusals p50 {_ms(found['refused_p50_ms'])}, "
        f"p99 {_ms(found['refused_p99_ms'])} ({counts})",
        flush=True,
    )
    return found


def _ms(delay: float | None) -> str:
    return "-" if delay is None else f"{delay:.1f} ms"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="how long the overload lasts")
    parser.add_argument("--probe-seconds", type=float, default=8, help="of each search for the best")
    parser.add_argument("--by", choices=("name", "count"), default="name", help="how seats are asked for")
    wanted = parser.parse_args()
    ask = partial(_ask, by_count=wanted.by == "count")
    with (
        servers.folder() as where,
        servers.postgres(where) as database,
        servers.rowlock(where, database) as server,
    ):
        ask(server, CONNECTIONS[1], wanted.probe_seconds / 2)  # to warm up
        tried = {count: ask(server, count, wanted.probe_seconds) for count in CONNECTIONS}
        most = max(float(one["rate"]) for one in tried.values())
        best = min(count for count, one in tried.items() if one["rate"] >= NEARLY * most)
        print(f"best with {best} connections; now {best * TIMES}, for {wanted.seconds:g} s", flush=True)
        before = server.memory_bytes()
        first = ask(server, best * TIMES, wanted.seconds / 2)
        halfway = server.memory_bytes()
        second = ask(server, best * TIMES, wanted.seconds / 2)
        after = server.memory_bytes()
        time.sleep(1)
        again = ask(server, best, wanted.probe_seconds)
    print(f"memory: {before >> 20} MB before, {halfway >> 20} MB halfway, {after >> 20} MB after")
    p99 = tried[best]["booked_p99_ms"]
    holds = {
        f"accepted bookings' p99 is within {P99_TIMES_MAX:g} times {p99:.1f} ms": all(
            (one["booked_p99_ms"] or float("inf")) <= P99_TIMES_MAX * p99 for one in (first, second)
        ),
        f"refusals come in under {REFUSED_MS_MAX:g} ms (p99)": all(
            (one["refused_p99_ms"] or 0) < REFUSED_MS_MAX for one in (first, second)
        ),
        "every refusal says when to come again": not any(
            one["counts"].get("without Retry-After", 0) for one in (first, second)
        ),
        "memory stays": after <= halfway * GROWTH_MAX,
        "throughput comes back": again["rate"] >= RECOVERED_SHARE_MIN * tried[best]["rate"],
    }
    for what, so in holds.items():
        print(f"{'holds' if so else 'DOES NOT HOLD'}: {what}")
    return int(not all(holds.values()))


if __name__ == "__main__":
    sys.exit(main())
