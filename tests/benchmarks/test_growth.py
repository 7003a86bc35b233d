"""Whether a leak would be seen: a benchmark that can't fail says nothing."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tracemalloc

import pytest
from benchmarks.growth import growth
from benchmarks.memory import Hour, held

from benchmarks import heap


def test_growth_is_seen_through_what_goes_up_and_down() -> None:
    """A leak could hide in the noise of an allocator, or noise be taken for one."""
    chance = random.Random(1)
    noise = [chance.choice((64_000_000, 64_200_000, 68_000_000)) for _ in range(360)]
    steady = growth(noise, 10, windows=12)
    leaking = growth([held + 600 * n for n, held in enumerate(noise)], 10, windows=12)  # 216 kB an hour
    assert abs(steady.percent_an_hour) < 0.5
    assert leaking.bytes_an_hour - steady.bytes_an_hour == pytest.approx(216_000, rel=0.1)


def test_what_is_filled_once_is_no_growth() -> None:
    """A cache that is full after some time would look like a leak, or an outlier like one."""
    assert growth([10, 30, *[50] * 9, 900], 10, windows=12).bytes_an_hour == 0
    with pytest.raises(ValueError, match="too few"):
        growth([1, 2], 10, windows=3)


@pytest.mark.parametrize(("leak_bytes", "leaks"), [(0, False), (1_000, True)])
def test_a_planted_leak_is_seen(leak_bytes: int, *, leaks: bool) -> None:
    """The hour of events would be said to leave nothing behind, whatever it left."""
    tracemalloc.start()
    try:
        with asyncio.Runner(loop_factory=Hour) as runner:
            measured = held(
                lambda: tracemalloc.get_traced_memory()[0], 15, 30, sample_seconds=1, leak_bytes=leak_bytes
            )
            samples, told = runner.run(measured)
    finally:
        tracemalloc.stop()
    assert told["commits"] == 45 * 50
    assert told["events"] > 10_000
    found = growth(samples, 1, windows=6)
    # A minute in, caches are still being filled a little; the leak would be of 180 MB an hour, in what is 6 MB.
    assert (found.percent_an_hour > 1_000) is leaks, found


def test_what_is_in_use_is_counted_to_the_byte() -> None:
    """Small objects, which Python keeps account of by itself, would be left out."""
    program = (
        "from benchmarks import heap; heap.begin_anew(); before = heap.bytes_in_use();"
        "kept = [bytes(20) for _ in range(10_000)]; print(heap.bytes_in_use() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert 10_000 * (53 + 8) <= json.loads(grown) <= 10_000 * (53 + 8 + 32)
    with pytest.raises(RuntimeError, match="PYTHONMALLOC"):
        heap.bytes_in_use()
