"""A layout as GET /api/shows/{id}/layout shows it: every seat spelled out, with what a client would have to guess."""

from __future__ import annotations

import msgspec

from rowlock.domain.layout_spec import Category
from rowlock.domain.layouts import Layout


class PublicSeat(msgspec.Struct, frozen=True):
    """A seat. `gap_after`: an aisle separates it from the next seat of its row."""

    label: str
    category: str
    accessible: bool
    gap_after: bool


class PublicRow(msgspec.Struct, frozen=True):
    """A row, its seats from left to right."""

    label: str
    seats: tuple[PublicSeat, ...]


class PublicSection(msgspec.Struct, frozen=True):
    """A section, its rows from front to back."""

    name: str
    rows: tuple[PublicRow, ...]


class PublicLayout(msgspec.Struct, frozen=True):
    """A whole hall. The seats in this order are the letters and positions of the seat map."""

    sections: tuple[PublicSection, ...]
    categories: tuple[Category, ...]


def public_layout(layout: Layout) -> PublicLayout:
    """Spell a layout out."""
    rows: list[list[PublicRow]] = [[] for _ in layout.sections]
    for number, row in enumerate(layout.rows()):
        stop = row.first + row.count
        gaps = {segment_stop - 1 for _, segment_stop in layout.segments(number)} - {stop - 1}
        seats = tuple(
            PublicSeat(
                label=layout.label(seat_no),
                category=layout.categories[layout.category_of[seat_no]].name,
                accessible=layout.is_accessible(seat_no),
                gap_after=seat_no in gaps,
            )
            for seat_no in range(row.first, stop)
        )
        rows[row.section_no].append(PublicRow(label=row.label, seats=seats))
    sections = (
        PublicSection(name=name, rows=tuple(of_section))
        for name, of_section in zip(layout.sections, rows, strict=True)
    )
    return PublicLayout(sections=tuple(sections), categories=layout.categories)
