"""Draw both lifecycle tables into docs/concurrency.md, as Mermaid state diagrams between markers.

python scripts/draw_lifecycles.py rewrites the page; tests/docs/test_diagrams.py says when that is due.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from rowlock.domain.lifecycles import BOOKING_MOVES, SEAT_MOVES

PAGE = Path(__file__).parents[1] / "docs" / "concurrency.md"
_BLOCK = re.compile(r"(<!-- (\w+) lifecycle: .*?-->\n).*?(<!-- end -->)", re.DOTALL)


def diagram(moves: Mapping[tuple[StrEnum | None, StrEnum], StrEnum]) -> str:
    """A table of moves as a state diagram; events that make the same move share an arrow."""
    events: dict[tuple[str, str], list[str]] = {}
    for (status, event), move in moves.items():
        arrow = ("[*]" if status is None else status.name, move.name)
        events.setdefault(arrow, []).append(event.value)
    lines = [f"    {start} --> {end}: {', '.join(names)}" for (start, end), names in events.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


DIAGRAMS = {"seat": diagram(SEAT_MOVES), "booking": diagram(BOOKING_MOVES)}


def redrawn(page: str) -> str:
    """The page with its diagrams as the tables are now."""
    return _BLOCK.sub(lambda block: block[1] + DIAGRAMS[block[2]] + block[3], page)


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
