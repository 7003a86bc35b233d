"""The search for an order: what is explained, what isn't, and that it agrees with trying every order there is."""

from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.linear import NEVER, Op, linearize

Write = tuple[str, int]
READ, WRITE = "read", "write"


def register(state: int, act: Write) -> int | None:
    """A register: a read must find what was written last."""
    what, value = act
    if what == WRITE:
        return value
    return state if state == value else None


def explained(*ops: Op[Write]) -> bool:
    """Whether there is an order, beginning at 0."""
    return linearize(ops, 0, register).ok


def test_what_overlaps_may_be_in_either_order() -> None:
    """A history that is in order would be called broken, and nobody would believe the checker."""
    assert explained(Op(0, 3, (WRITE, 1)), Op(1, 2, (READ, 0)))
    assert explained(Op(0, 3, (WRITE, 1)), Op(1, 2, (READ, 1)))


def test_what_was_answered_before_came_before() -> None:
    """A stale answer would pass."""
    assert not explained(Op(0, 1, (WRITE, 1)), Op(2, 3, (READ, 0)))
    found = linearize([Op(0, 1, (WRITE, 1)), Op(2, 3, (READ, 0))], 0, register)
    assert found.unexplained == 1, "it says which answer it can't explain"


def test_what_was_never_answered_happened_late_or_never() -> None:
    """A request whose answer was lost would be held to have failed, or to have succeeded."""
    lost = Op(0, NEVER, (WRITE, 1))
    assert explained(lost, Op(5, 6, (READ, 0)))
    assert explained(lost, Op(5, 6, (READ, 1)))
    assert explained(lost, Op(5, 6, (READ, 0)), Op(7, 8, (READ, 1)))
    assert not explained(lost, Op(5, 6, (READ, 1)), Op(7, 8, (READ, 0)))
    assert not explained(Op(9, NEVER, (WRITE, 1)), Op(5, 6, (READ, 1))), "not before it was asked for"


def test_what_was_put_in_order_is_taken_back() -> None:
    """The first order that fails would be taken for the only one."""
    writes = [Op(0, 9, (WRITE, n)) for n in range(1, 5)]
    assert explained(*writes, Op(1, 8, (READ, 3)), Op(10, 11, (READ, 1)))


moments = st.lists(st.integers(0, 12), min_size=2, max_size=2, unique=True).map(sorted)
acts = st.tuples(st.sampled_from([READ, WRITE]), st.integers(0, 2))
operations = st.builds(
    lambda when, act, lost: Op(when[0], NEVER if lost else when[1], act), moments, acts, st.booleans()
)


def by_trying_all(ops: list[Op[Write]]) -> bool:
    """Every order of every choice of what was not answered."""
    must = [op for op in ops if op.end != NEVER]
    may = [op for op in ops if op.end == NEVER]
    for count in range(len(may) + 1):
        for chosen in itertools.combinations(may, count):
            for order in itertools.permutations([*must, *chosen]):
                if _is_in_time(order) and _is_legal(order):
                    return True
    return False


def _is_in_time(order: tuple[Op[Write], ...]) -> bool:
    return all(not later.end < earlier.begin for earlier, later in itertools.combinations(order, 2))


def _is_legal(order: tuple[Op[Write], ...]) -> bool:
    state: int | None = 0
    for op in order:
        state = register(state, op.act) if state is not None else None
    return state is not None


@settings(max_examples=300, deadline=None)
@given(st.lists(operations, max_size=6))
def test_it_agrees_with_trying_every_order(ops: list[Op[Write]]) -> None:
    """A clever search that is wrong would prove whatever it likes."""
    assert explained(*ops) == by_trying_all(ops)


def test_a_long_history_is_looked_through_at_once() -> None:
    """The long run would end in a checker that doesn't."""
    dice = random.Random(7)
    ops: list[Op[Write]] = []
    value = 0
    for moment in range(2_000):
        if dice.random() < 0.5:
            value = dice.randrange(50)
            ops.append(Op(moment - 0.4, moment + 3 * dice.random(), (WRITE, value)))
        else:
            ops.append(Op(moment - 0.4, moment + 0.4, (READ, value)))
    assert explained(*ops)
