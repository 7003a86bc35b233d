"""The pages for operators and designers say what the code says, and lead where they say."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BOUND = re.compile(r"^\| `(rowlock[\w.]+)\.([A-Z_]+)` \| (\d+) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")
PAGES = ["operations.md", "system-design.md"]


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_bounds_are_those_of_the_code() -> None:
    """Capacity would be planned with numbers that were true once."""
    bounds = BOUND.findall((DOCS / "system-design.md").read_text())
    assert len(bounds) >= 10
    for module, name, bound in bounds:
        assert getattr(importlib.import_module(module), name) == int(bound), name


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """A newcomer would stop there."""
    links = LINK.findall((DOCS / page).read_text())
    assert links
    for target, anchor in links:
        path = (DOCS / target).resolve() if target else DOCS / page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), (target, anchor)
