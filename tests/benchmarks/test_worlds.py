"""What the benchmarks sell: a world that is easier than it says would make figures better than they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.machine import markdown
from benchmarks.rounds import Figure
from benchmarks.worlds import LOOKS, Size, World, write_requests


def requests(
    folder: Path, world: World, shows: list[int], size: Size, count: int, *, first: int = 0
) -> list[str]:
    """The lines of a world's requests."""
    file = folder / "requests"
    write_requests(file, world, shows, size, count, first=first)
    return file.read_text().splitlines()


def test_three_in_a_hundred_want_what_is_gone(tmp_path: Path) -> None:
    """With none refused, a variant would be measured that nobody has in a sale."""
    lines = requests(tmp_path, World.SPREAD, [7, 8, 9, 10], Size(4, 10_000), 10_000)
    wanted = [
        (body["show_id"], *body["seats"]) for body in (json.loads(line.split("\t")[1]) for line in lines)
    ]
    assert len(wanted) == 10_000
    assert len(set(wanted)) / len(wanted) == pytest.approx(0.97, abs=0.01)
    assert {show for show, *_ in wanted} == {7, 8, 9, 10}
    assert all(int(b) == int(a) + 1 and int(a) % 2 == 1 for _, a, b in wanted)


def test_a_warm_up_takes_nothing_from_what_is_measured(tmp_path: Path) -> None:
    """What was sold in the warm-up would be refused afterwards."""
    whole = requests(tmp_path, World.SPREAD, [1, 2], Size(2, 1_000), 900)
    assert requests(tmp_path, World.SPREAD, [1, 2], Size(2, 1_000), 400, first=500) == whole[500:]


def test_a_hot_show_is_sold_before_the_next(tmp_path: Path) -> None:
    """A hot show that shares its buyers with others is none."""
    lines = requests(tmp_path, World.HOT, [5, 6], Size(2, 200), 1_000)
    shows = [json.loads(line.split("\t")[1])["show_id"] for line in lines]
    assert shows == sorted(shows)
    assert len({line.split('"user_id"')[0] for line in lines}) == 200


def test_looks_come_with_bookings(tmp_path: Path) -> None:
    """Readers that don't come would cost nothing."""
    lines = requests(tmp_path, World.READ, [5], Size(1, 200), 11 * 3)
    assert [line.endswith("\t") for line in lines].count(True) == 3 * LOOKS


def test_a_figure_that_does_not_hold_says_so() -> None:
    """A table where nothing can fail tells nothing."""
    text = markdown(
        [Figure("rate", 1.1, "x", 1.2, each=(1.0, 1.1), aim=2.2), Figure("p99", 0.1, "x", 0.2, True)]
    )
    rate, p99 = text.splitlines()[2:]
    assert "NOT HELD" in rate
    assert "≥ 1.2" in rate
    assert "≥ 2.2" in rate
    assert "| held |" in p99
    assert "≤ 0.2" in p99
