"""How long a change takes to reach readers: joined from what buyers and readers wrote down.

For each booking and each reader: the time from when the database decided on the booking to when the reader had the whole
event that tells of its seat. The decision comes a little before the COMMIT, so this is a little more than the truth. Counted
in buckets of a millisecond: some sixteen million pairs.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

import msgspec

_MS = 1_000_000


class Delays(msgspec.Struct, frozen=True):
    """Milliseconds from a decision, and from its request, to a reader; `untold`: pairs that never were told."""

    pairs: int
    untold: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    p99_from_request_ms: float


def delays(
    decided: Sequence[int],
    sent: Sequence[int],
    first_seats: Sequence[int],
    deltas: Sequence[tuple[int, Sequence[int]]],
    readers: Sequence[Sequence[int]],
) -> Delays:
    """Join them. `first_seats`: the position of each booking's first seat. `readers`: version, time, version, time …"""
    told_in = {seat: version for version, seats in reversed(deltas) for seat in seats}
    by_version: dict[int, list[int]] = {}
    unheard_of = 0
    for booking, seat in enumerate(first_seats):
        version = told_in.get(seat)
        if version is None:
            unheard_of += 1
        else:
            by_version.setdefault(version, []).append(booking)
    arrivals: dict[int, Counter[int]] = {version: Counter() for version in by_version}
    untold = unheard_of * len(readers)
    for reader in readers:
        versions, times = reader[0::2], reader[1::2]
        for version, bookings in by_version.items():
            at = bisect_left(versions, version)
            if at == len(versions):
                untold += len(bookings)
            else:
                arrivals[version][times[at] // _MS] += 1
    from_decision = _differences(by_version, arrivals, decided)
    from_request = _differences(by_version, arrivals, sent)
    return Delays(
        from_decision.total(),
        untold,
        _percentile(from_decision, 0.5),
        _percentile(from_decision, 0.99),
        max(from_decision, default=0),
        _percentile(from_request, 0.99),
    )


def _differences(
    by_version: dict[int, list[int]], arrivals: dict[int, Counter[int]], times: Sequence[int]
) -> Counter[int]:
    found: Counter[int] = Counter()
    for version, bookings in by_version.items():
        begun = Counter(times[booking] // _MS for booking in bookings)
        for arrival, readers in arrivals[version].items():
            for beginning, count in begun.items():
                found[arrival - beginning] += count * readers
    return found


def _percentile(counts: Counter[int], share: float) -> float:
    wanted = counts.total() * share
    reached = 0
    for value in sorted(counts):
        reached += counts[value]
        if reached >= wanted:
            return float(value)
    return 0.0
