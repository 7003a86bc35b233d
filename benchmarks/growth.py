"""Growth: whether a process that does the same all the time needs ever more memory for it.

Memory goes up and down: bodies are made and freed, the allocator keeps what was freed for a while. So it is looked at
often, the median of each stretch of time stands for it, and growth is the median of the slopes between all pairs of
those (Theil and Sen's), which no single outlier moves. What a process fills once, its caches and rings, is full after a
warm-up, and is not counted.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import msgspec


class Growth(msgspec.Struct, frozen=True):
    """What was held at first, the medians that followed, and by how much they grow in an hour."""

    held_bytes: float
    medians: tuple[float, ...]
    bytes_an_hour: float

    @property
    def percent_an_hour(self) -> float:
        """Growth in an hour, against what was held at first."""
        return self.bytes_an_hour / self.held_bytes * 100


def growth(samples: Sequence[int], sample_seconds: float, *, windows: int) -> Growth:
    """The growth in `samples`, which were taken at equal distances, by the medians of so many stretches of them."""
    width = len(samples) // windows
    if width < 1:
        raise ValueError(f"{len(samples)} samples are too few for {windows} windows")
    rest = len(samples) % windows  # the first ones are left out, so that all windows are alike
    medians = tuple(statistics.median(samples[n : n + width]) for n in range(rest, len(samples), width))
    slopes = [
        (later - earlier) / (m - n)
        for (n, earlier), (m, later) in itertools.combinations(enumerate(medians), 2)
    ]
    an_hour = statistics.median(slopes) / (width * sample_seconds) * 3_600
    return Growth(medians[0], medians, an_hour)
