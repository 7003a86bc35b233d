"""Whether some order of concurrent operations on one object explains every answer.

The algorithm is Wing and Gong's ("Testing and verifying concurrent objects", 1993) with Lowe's memoisation ("Testing for
linearizability", 2017), as Knossos and Porcupine have it: operations are put in order one by one, each as soon as the
object allows it and before the first answer that is still unexplained; what doesn't lead on is taken back; a set of
operations that once led to a state is not tried again. Each object can be looked at by itself, because linearizability
is local (Herlihy and Wing, "Linearizability: a correctness condition for concurrent objects", 1990).

An operation that was never answered may take effect at any time after it began, or never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State")
Act = TypeVar("Act")

NEVER = math.inf
STEPS_MAX = 5_000_000  # a bug of the checker's own; a seat's history takes some thousands


class Op(NamedTuple, Generic[Act]):
    """What was asked at `begin` and answered at `end`; NEVER: not answered."""

    begin: float
    end: float
    act: Act


class Explained(NamedTuple):
    """An order that explains all answers; or where the longest one got to, and the answer that it can't explain."""

    order: list[int]
    unexplained: int | None

    @property
    def ok(self) -> bool:
        """Whether all answers are explained."""
        return self.unexplained is None


def linearize(
    ops: Sequence[Op[Act]], initial: State, step: Callable[[State, Act], State | None]
) -> Explained:
    """Look for an order. `step` says which state an act leads to; None where the act, as answered, can't be."""
    events = sorted(
        [(op.begin, 0, n) for n, op in enumerate(ops)]
        + [(op.end, 1, n) for n, op in enumerate(ops) if op.end != NEVER]
    )
    line = _Line(events)
    answers = len(events) - len(ops)
    state, done = initial, 0
    taken: list[tuple[int, State, int]] = []
    seen: set[tuple[int, State]] = set()
    longest: list[int] = []
    stuck: int | None = None
    at = line.first
    for _ in range(STEPS_MAX):
        if not answers:
            return Explained([events[entry][2] for entry, _, _ in taken], None)
        _, is_answer, n = events[at]
        if not is_answer:
            after = step(state, ops[n].act)
            # What was not answered and changes nothing need not have happened.
            idle = after is None or (ops[n].end == NEVER and after == state)
            if after is not None and not idle and (key := (done | 1 << n, after)) not in seen:
                seen.add(key)
                taken.append((at, state, done))
                done, state = key
                answers -= line.lift(at)
                at = line.first
                continue
            at = line.next[at]
            continue
        if stuck is None or len(taken) > len(longest):
            longest, stuck = [events[entry][2] for entry, _, _ in taken], n
        if not taken:
            return Explained(longest, stuck)
        at, state, done = taken.pop()
        answers += line.unlift(at)
        at = line.next[at]
    raise AssertionError("the search for an order does not end")


class _Line:
    """The events in time order, as a doubly linked list: what is put in order is lifted out, its answer with it."""

    def __init__(self, events: Sequence[tuple[float, int, int]]) -> None:
        last = len(events)
        self.next: list[int] = [*range(1, last + 1), 0]  # the last entry is the list's head and end
        self.previous = [last, *range(last)]
        self._answer = {n: at for at, (_, is_answer, n) in enumerate(events) if is_answer}
        self._number = [n for _, _, n in events]
        self._end = last

    @property
    def first(self) -> int:
        """The first event that is left."""
        return self.next[self._end]

    def lift(self, at: int) -> int:
        """Take a call and its answer out. Returns how many answers that were."""
        self._out(at)
        answer = self._answer.get(self._number[at])
        if answer is not None:
            self._out(answer)
        return int(answer is not None)

    def unlift(self, at: int) -> int:
        """Put them back, in the opposite order."""
        answer = self._answer.get(self._number[at])
        if answer is not None:
            self._back(answer)
        self._back(at)
        return int(answer is not None)

    def _out(self, at: int) -> None:
        self.next[self.previous[at]] = self.next[at]
        self.previous[self.next[at]] = self.previous[at]

    def _back(self, at: int) -> None:
        self.next[self.previous[at]] = at
        self.previous[self.next[at]] = at
