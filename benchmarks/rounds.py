"""Rounds: variants measured in turns, so that whatever else the machine does weighs on all of them alike."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

T = TypeVar("T")

TIMES = "\N{MULTIPLICATION SIGN}"


class Figure(msgspec.Struct, frozen=True):
    """A number that was measured, and what it must hold: at least, or at most, `bound`. None: it is told, no more."""

    name: str
    value: float
    unit: str = ""
    bound: float | None = None
    at_most: bool = False
    each: tuple[float, ...] = ()
    aim: float | None = None  # better than it must be, and worth working for

    @property
    def holds(self) -> bool:
        """Whether it is as it must be."""
        if self.bound is None:
            return True
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def in_turns(variants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Measure each variant in each round; the order is another each time, for the first one may find a cold machine."""
    found: dict[str, list[T]] = {name: [] for name in variants}
    for order in itertools.islice(_orders(list(variants)), rounds):
        for name in order:
            found[name].append(variants[name]())
    return found


def _orders(names: list[str]) -> Iterator[Sequence[str]]:
    while True:
        for shift in range(len(names)):
            yield names[shift:] + names[:shift]


def ratios(measured: Sequence[float], against: Sequence[float]) -> tuple[float, ...]:
    """The ratio of each round."""
    return tuple(one / other for one, other in zip(measured, against, strict=True))


def ratio(
    name: str,
    measured: Sequence[float],
    against: Sequence[float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    aim: float | None = None,
) -> Figure:
    """The median of the rounds' ratios."""
    each = ratios(measured, against)
    bound = at_least if at_most is None else at_most
    return Figure(name, statistics.median(each), TIMES, bound, at_most is not None, each, aim)
