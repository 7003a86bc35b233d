"""The diagrams in docs/concurrency.md are the tables that the code goes by."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import ModuleType

import pytest

from rowlock.domain.lifecycles import BOOKING_MOVES, SEAT_MOVES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concurrency.md").read_text(encoding="utf-8")
ARROW = re.compile(r"^    (\S+) --> (\S+): (.+)$", re.MULTILINE)

Moves = Mapping[tuple[StrEnum | None, StrEnum], StrEnum]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that draws them."""
    spec = importlib.util.spec_from_file_location("draw_lifecycles", ROOT / "scripts" / "draw_lifecycles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "moves"), [("seat", SEAT_MOVES), ("booking", BOOKING_MOVES)])
def test_the_page_shows_every_move_and_no_other(name: str, moves: Moves) -> None:
    """A reader would count on a move that is refused, or not know of one that is allowed."""
    (block,) = re.findall(rf"<!-- {name} lifecycle: .*?<!-- end -->", PAGE, re.DOTALL)
    drawn = {
        (start, event, end) for start, end, events in ARROW.findall(block) for event in events.split(", ")
    }
    assert drawn == {
        ("[*]" if status is None else status.name, event.value, move.name)
        for (status, event), move in moves.items()
    }


def test_drawing_again_changes_nothing(script: ModuleType) -> None:
    """The diagrams would be hand-made, and drift. (`python scripts/draw_lifecycles.py` mends it.)"""
    assert script.redrawn(PAGE) == PAGE


def test_drawing_mends_a_page(script: ModuleType) -> None:
    """The script would leave an outdated diagram as it is."""
    spoiled = PAGE.replace("--> BOOKED", "--> NOWHERE").replace("stateDiagram-v2", "")
    assert spoiled != PAGE
    assert script.redrawn(spoiled) == PAGE


def test_links_lead_somewhere() -> None:
    """A reader who doubts would be sent to files that are not there."""
    targets = re.findall(r"\]\(([^)#]+)\)", PAGE)
    targets += [f"../{name}" for name in re.findall(r"`(tests/\S+?\.py)`", PAGE)]
    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
