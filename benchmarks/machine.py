"""What a benchmark ran on, and how its figures are written: as a table for people, as Markdown and as JSON."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from benchmarks.rounds import Figure

RESULTS = Path(__file__).with_name("results")
_HEADINGS = ("figure", "seen", "must be", "aim", "", "rounds")


def machine() -> dict[str, object]:
    """This machine, and what of us is measured."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "commit": commit or None,
    }


def table(title: str, figures: Sequence[Figure]) -> Table:
    """The figures, for a terminal."""
    drawn = Table(title=title, title_justify="left")
    for name, right in zip(_HEADINGS, (False, True, True, True, False, False), strict=True):
        drawn.add_column(name, justify="right" if right else "left")
    for figure in figures:
        name, seen, bound, aim, verdict, each = _cells(figure)
        drawn.add_row(name, seen, bound, aim, verdict if figure.holds else f"[red]{verdict}[/red]", each)
    return drawn


def markdown(figures: Sequence[Figure]) -> str:
    """The figures, for docs/benchmarks.md."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS), *(_cells(figure) for figure in figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def write(name: str, **found: Any) -> Path:
    """Write all that was measured to benchmarks/results, which is not in git."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": machine(), **found})))
    return path


def _cells(figure: Figure) -> tuple[str, ...]:
    sign = "≤" if figure.at_most else "≥"
    unit = figure.unit and (figure.unit if figure.unit.startswith("/") else f" {figure.unit}")
    verdict = "" if figure.bound is None else "held" if figure.holds else "NOT HELD"
    return (
        figure.name,
        f"{_number(figure.value)}{unit}",
        "" if figure.bound is None else f"{sign} {figure.bound:g}",
        "" if figure.aim is None else f"{sign} {figure.aim:g}",
        verdict,
        " ".join(_number(value) for value in figure.each),
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
