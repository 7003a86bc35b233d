"""Whose turn it is: small statements would cost more than they bring, and two of one show wait for each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from rowlock.engine.lane import BATCH_COMMANDS_MAX, BATCH_SEATS_MAX, Entry, Lane
from rowlock.engine.turns import BESIDE_MAX, LATE_SECONDS, Turns


class Wish(NamedTuple):
    """Somebody who waits."""

    show_id: int


class Desk:
    """Two sessions at a queue: what wakes them, and what they take."""

    def __init__(self) -> None:
        self.queue: deque[Wish] = deque()
        self.now = 0.0
        self.turns = Turns(self.queue, lambda: self.now)

    def come(self, *shows: int) -> list[int]:
        """Queue wishes; which sessions that woke."""
        for wanted in self.turns.wanted:
            wanted.clear()
        for show in shows:
            self.queue.append(Wish(show))
            self.turns.came(show)
        return [n for n, wanted in enumerate(self.turns.wanted) if wanted.is_set()]

    def begin(self, session: int) -> list[int]:
        """Let a session take all that it may; which shows these are of."""
        assert self.turns.is_ready(session)
        passed = self.turns.beside(session)
        taken = [wish for wish in self.queue if wish.show_id not in passed]
        left = [wish for wish in self.queue if wish.show_id in passed]
        self.queue.clear()
        self.queue.extend(left)
        self.turns.begin(session, taken)
        return [wish.show_id for wish in taken]

    def ready(self) -> list[int]:
        """Which sessions are to begin, if they are idle."""
        return [session for session in (0, 1) if self.turns.is_ready(session)]


@pytest.fixture
def desk() -> Desk:
    """Nobody waits."""
    return Desk()


def test_the_first_begins_with_whatever_there_is(desk: Desk) -> None:
    """Whoever comes alone would wait for company."""
    assert not desk.ready()
    assert desk.come(1) == [0]
    assert desk.begin(0) == [1]


def test_the_second_begins_with_as_many(desk: Desk) -> None:
    """Two would go out one by one where they could share a statement."""
    desk.come(1, 2, 3)
    desk.begin(0)
    assert desk.come(4, 5) == []
    assert not desk.turns.is_ready(1)
    assert desk.come(6) == [1]
    assert desk.begin(1) == [4, 5, 6]


def test_it_passes_over_shows_in_flight(desk: Desk) -> None:
    """It would wait for the first one's locks, with all whom it has taken; and tell what was so before."""
    desk.come(1, 2)
    desk.begin(0)
    assert desk.come(1, 2, 1, 3) == []
    assert desk.come(4) == [1]
    assert desk.begin(1) == [3, 4]
    assert [wish.show_id for wish in desk.queue] == [1, 2, 1], "in their order"


def test_whoever_was_passed_over_is_next(desk: Desk) -> None:
    """Somebody would be passed over for ever, while others of the same show are in flight."""
    desk.come(1)
    desk.begin(0)
    desk.come(1, 2)
    desk.begin(1)
    desk.come(3, 1)
    desk.turns.end(0)
    assert desk.ready() == [0, 1], "three of other shows, and one in flight"
    assert desk.begin(0) == [1, 3, 1]


@pytest.mark.parametrize("first", [0, 1])
def test_either_may_be_the_one_in_flight(desk: Desk, first: int) -> None:
    """After the first one has ended before the second, nobody would begin beside that."""
    desk.come(1)
    desk.begin(0)
    desk.come(2)
    desk.begin(1)
    assert desk.come(5, 6) == [], "both are at work"
    desk.turns.end(1 - first)
    desk.begin(1 - first)
    desk.turns.end(first)
    assert desk.come(7) == [], "two are in flight"
    assert desk.come(8) == [first]
    assert desk.begin(first) == [7, 8]


def test_large_ones_go_alone(desk: Desk) -> None:
    """What lies between two of them is little, and the next would be smaller for it."""
    shows: Sequence[int] = range(BESIDE_MAX + 1)
    desk.come(*shows)
    desk.begin(0)
    desk.come(*[1000 + show for show in shows])
    assert not desk.turns.is_ready(1)
    desk.turns.end(0)
    assert desk.ready() == [0, 1]


def test_nobody_is_held_up_by_a_late_one(desk: Desk) -> None:
    """All shows would wait until a lock of one is let go, or a lost answer is found."""
    desk.come(*[1] * (BESIDE_MAX + 1))
    desk.begin(0)
    assert desk.come(2) == []
    desk.now = LATE_SECONDS + 0.01
    assert desk.turns.is_ready(1)
    assert desk.come(1) == [], "of the late one's show"
    assert desk.come(3) == [1]
    assert desk.begin(1) == [2, 3]


def test_each_is_woken_for_its_end(desk: Desk) -> None:
    """A shutdown would last as long as it may."""
    desk.come(1)
    desk.begin(0)
    desk.come(1)
    desk.turns.closing = True
    desk.come()
    desk.turns.end(0)
    assert all(wanted.is_set() for wanted in desk.turns.wanted)


def test_what_was_taken_away_is_not_waited_for(desk: Desk) -> None:
    """A session would take nothing, again and again, because of somebody who was handed on."""
    desk.come(1)
    desk.begin(0)
    desk.come(2, 1)
    desk.queue.popleft()
    assert desk.begin(1) == []
    assert not desk.turns.is_ready(1)


class Taking(Lane):
    """A lane that is only asked what it takes."""

    def __init__(self, *wishes: tuple[int, int]) -> None:
        entries = [SimpleNamespace(show_id=show, seats=(0,) * size) for show, size in wishes]
        self._queue: deque[Any] = deque(Entry(command, None, 0.0) for command in entries)  # type: ignore[arg-type]

    def takes(self, *passed_over: int) -> tuple[list[int], list[int]]:
        """The shows of what is taken, and of what is left."""
        taken = self._take(frozenset(passed_over))
        return [entry.show_id for entry in taken], [entry.show_id for entry in self._queue]


def test_what_is_passed_over_stays_in_its_place() -> None:
    """Who came first would be served last."""
    lane = Taking((1, 2), (2, 2), (3, 2), (2, 1), (4, 2))
    assert lane.takes(2, 3) == ([1, 4], [2, 3, 2])
    assert lane.takes(2) == ([3], [2, 2])
    assert lane.takes(2) == ([], [2, 2])
    assert lane.takes() == ([2, 2], [])


def test_bounds_leave_the_rest_in_order() -> None:
    """Whoever just does not fit in would be lost, or overtaken."""
    large = BATCH_SEATS_MAX - 1
    lane = Taking((1, large), (2, 1), (3, 1), (4, 1))
    assert lane.takes(2) == ([1, 3], [2, 4])
    assert Taking((1, 2 * large), (2, 1)).takes() == ([1], [2]), "one is taken, however large"
    taken, left = Taking(*[(5, 1)] * (BATCH_COMMANDS_MAX + 3)).takes()
    assert (len(taken), len(left)) == (BATCH_COMMANDS_MAX, 3)
