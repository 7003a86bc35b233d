"""What the benchmarks reckon: the figures in the docs would be of something else."""

from __future__ import annotations

from benchmarks.delays import delays
from benchmarks.rounds import Figure, in_turns, ratio

MS = 1_000_000


def test_delays_are_from_a_decision_to_each_reader() -> None:
    """A late reader would not count, or an early one twice."""
    decided = [10 * MS, 20 * MS, 130 * MS]
    sent = [5 * MS, 13 * MS, 121 * MS]
    deltas = [(5, [0, 2]), (7, [4])]  # the third booking is told of in the second delta
    prompt = [4, 1 * MS, 5, 110 * MS, 7, 150 * MS]
    missed_one = [4, 2 * MS, 7, 230 * MS]  # had both deltas at once
    found = delays(decided, sent, [0, 2, 4], deltas, [prompt, missed_one])
    assert (found.pairs, found.untold) == (6, 0)
    assert found.p50_ms == 100  # of 20, 90, 100, 100, 210, 220
    assert found.max_ms == 220
    assert found.p99_from_request_ms == 225


def test_what_a_reader_was_never_told_is_counted() -> None:
    """A reader that was forgotten would make the figures better."""
    found = delays([3, 4], [1, 2], [0, 2], [(5, [0])], [[4, 10, 5, 20], [4, 10]])
    assert found.pairs == 1
    assert found.untold == 1 + 2  # the second reader's first, and a seat that no delta tells of


def test_variants_take_turns() -> None:
    """What is measured first would always find a cold machine."""
    asked: list[str] = []

    def variant(name: str) -> float:
        asked.append(name)
        return float(len(asked))

    found = in_turns({"a": lambda: variant("a"), "b": lambda: variant("b")}, 3)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    figure = ratio("b against a", found["b"], found["a"], at_least=0.8)
    assert figure.each == (2.0, 0.75, 1.2)
    assert figure.value == 1.2
    assert figure.holds
    assert not Figure("slow", 501, "ms", 500, at_most=True).holds
