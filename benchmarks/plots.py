"""Curves: bookings a second and p99 as something grows, as Markdown and as small SVGs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec


class Point(msgspec.Struct, frozen=True):
    """What was seen at a size."""

    at: int
    per_second: float
    p99_ms: float


class Curve(msgspec.Struct, frozen=True):
    """What was seen as something grew."""

    name: str
    points: list[Point]


def markdown(curves: Sequence[Curve]) -> str:
    """A table for each curve."""
    text = ""
    for curve in curves:
        text += f"\n| {curve.name} | bookings/s | p99 ms |\n| --- | --- | --- |\n"
        text += "".join(
            f"| {point.at:,} | {point.per_second:,.0f} | {point.p99_ms:.1f} |\n" for point in curve.points
        )
    return text


def draw(curves: Sequence[Curve], folder: Path) -> None:
    """An SVG for each curve: the rate from 0 on at the left, p99 in logarithmic steps at the right."""
    import matplotlib as mpl  # noqa: PLC0415 (only who draws needs it)

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "rowlock"
    from matplotlib import pyplot  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    for curve in curves:
        figure, left = pyplot.subplots(figsize=(5, 3), layout="constrained")
        right = left.twinx()
        names = [f"{point.at:,}" for point in curve.points]
        left.plot(names, [point.per_second for point in curve.points], marker="o", color="#0072B2")
        right.plot(
            names, [point.p99_ms for point in curve.points], marker="s", color="#D55E00", linestyle="--"
        )
        left.set(xlabel=curve.name, ylabel="bookings/s (line)", ylim=(0, None))
        right.set(ylabel="p99, ms (dashes)", yscale="log")
        figure.savefig(folder / f"bench-{curve.name.replace(' ', '-')}.svg", metadata={"Date": None})
        pyplot.close(figure)
