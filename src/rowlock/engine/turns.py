"""Turns: when a lane that has two sessions begins a statement in one beside a statement in the other.

PostgreSQL is what all wait for, and between a statement's end and the next one's begin it stands still: for its own flush, and
until its answer is read. So a second statement goes out while the first is in flight, where as many wait as are in that:
sooner, and both would be small, which costs more than it brings (a statement's cost is shared by its bookings).
It takes only shows that the first has nothing of, for it would wait for their locks, and would not know what becomes of their
seats. Where the first takes long, because somebody has locked a row by hand, or its answer was lost, others don't wait for
company.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from typing import Protocol

# In a statement with more of them, what lies between it and the next is little.
BESIDE_MAX = 64
LATE_SECONDS = 0.25  # statements take some milliseconds


class Waits(Protocol):
    """Whoever waits for something of a show."""

    @property
    def show_id(self) -> int:
        """The show."""


class Turns:
    """The turns of two sessions, 0 and 1, at one queue. `wanted` are set when they are to look at it."""

    def __init__(self, queue: Collection[Waits], clock: Callable[[], float] = monotonic) -> None:
        self.wanted = (asyncio.Event(), asyncio.Event())
        self.closing = False  # whether nobody comes any more
        self._queue = queue
        self._clock = clock
        self._in_flight = [0, 0]  # how many, in each
        self._shows: list[frozenset[int]] = [frozenset(), frozenset()]  # of these shows
        self._began = [0.0, 0.0]
        self._others = (
            0  # how many wait for other shows, beside one statement; beside a large one, only who came since
        )

    def came(self, show_id: int) -> None:
        """Somebody was queued."""
        first, second = self._in_flight
        if first and second:
            return  # whoever ends first sees to it
        if not (first or second):
            self.wanted[0].set()
            return
        ahead = 0 if first else 1
        if show_id not in self._shows[ahead]:
            self._others += 1
            if self._lets_begin(ahead):
                self.wanted[1 - ahead].set()

    def is_alone(self, session: int) -> bool:
        """Whether the other session has nothing in flight."""
        return not self._in_flight[1 - session]

    def is_ready(self, session: int) -> bool:
        """Whether a session that has nothing in flight is to begin."""
        return bool(self._queue) and (self.is_alone(session) or self._lets_begin(1 - session))

    def _lets_begin(self, ahead: int) -> bool:
        """Whether there may be a statement beside the one that a session has in flight."""
        if self._others >= self._in_flight[ahead] <= BESIDE_MAX:
            return True
        return self._others > 0 and self._clock() - self._began[ahead] > LATE_SECONDS

    def beside(self, session: int) -> frozenset[int]:
        """The shows that a session is to pass over."""
        return self._shows[1 - session]

    def begin(self, session: int, taken: Collection[Waits]) -> None:
        """A session has taken these from the queue."""
        self._in_flight[session] = len(taken)
        self._shows[session] = frozenset([one.show_id for one in taken])
        self._began[session] = self._clock()
        self._count()

    def end(self, session: int) -> None:
        """They are not in flight any more."""
        self._in_flight[session] = 0
        self._shows[session] = frozenset()
        self._count()
        if self.closing:  # the other one may wait for this one's end, and for nothing else
            for wanted in self.wanted:
                wanted.set()

    def _count(self) -> None:
        first, second = self._in_flight
        if (first and second) or not 0 < first + second <= BESIDE_MAX:
            self._others = 0  # it does not matter, and thousands may wait
            return
        shows = self._shows[0 if first else 1]
        self._others = sum([one.show_id not in shows for one in self._queue])
