"""From the layout that somebody wrote to the one that is sold from, or to an error that says where and why not.

Rules that are checked here, each with the path to blame (`layout.sections[0].rows[2].seats`):

1. Names and labels are 1 to 64 characters without control characters, made ones too.
2. There are 1 to 255 categories, of different names; none given means the one default.
3. A row's or a seat's category is one of them.
4. No section is without rows, no row without seats, and the show has 1 to 100,000 seats in all.
5. A seat's label is unique in the show, whatever section or row it is in, and whether it was given or made.

HTTP decoding has checked some of them by then; specs made in Python have not been through it.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Sequence

from rowlock.domain.layout_spec import (
    CATEGORIES_MAX,
    NAME_CHARS_MAX,
    NAME_PATTERN,
    PRICE_CENTS_MAX,
    STANDARD,
    TOTAL_SEATS_MAX,
    Category,
    LayoutError,
    LayoutSpec,
    NumberedSpec,
    RowSpec,
    SeatSpec,
)
from rowlock.domain.layouts import NUMBERED_ROW_SEATS, NUMBERED_SECTION, Layout

_NAME = re.compile(NAME_PATTERN)


def compile_layout(spec: LayoutSpec | NumberedSpec, categories: Sequence[Category] = ()) -> Layout:
    """Compile a layout with its show's categories. Raises `LayoutError` where a rule of this module is broken."""
    if isinstance(spec, NumberedSpec):
        return simple_layout(spec.total_seats, categories)
    return _Compiler(_checked_categories(categories)).compile(spec)


def simple_layout(total_seats: int, categories: Sequence[Category] = ()) -> Layout:
    """Make one section of rows of 10, labels "1" … "n", all of the first category. Raises `LayoutError`."""
    if not 1 <= total_seats <= TOTAL_SEATS_MAX:
        raise LayoutError("total_seats", f"A show has 1 to {TOTAL_SEATS_MAX:,} seats, not {total_seats:,}")
    row_first = array("I", [*range(0, total_seats, NUMBERED_ROW_SEATS), total_seats])
    return Layout(
        categories=_checked_categories(categories),
        category_of=bytes(total_seats),
        accessible=b"",
        sections=(NUMBERED_SECTION,),
        section_first_row=array("I", [0, len(row_first) - 1]),
        row_labels=None,
        row_of_label={},
        row_first=row_first,
        row_segment=range(len(row_first)),
        segment_first=row_first,
        own_seat_no={},
    )


def _checked_categories(categories: Sequence[Category]) -> tuple[Category, ...]:
    if len(categories) > CATEGORIES_MAX:
        raise LayoutError(
            "categories", f"A show has at most {CATEGORIES_MAX} categories, not {len(categories)}"
        )
    places: dict[str, int] = {}
    for number, category in enumerate(categories):
        path = f"categories[{number}]"
        _check_name(category.name, f"{path}.name")
        if not 0 <= category.price_cents <= PRICE_CENTS_MAX:
            raise LayoutError(f"{path}.price_cents", f"A price is 0 to {PRICE_CENTS_MAX:,} cents")
        if category.name in places:
            raise LayoutError(
                f"{path}.name",
                f'"{category.name}" is already the name of categories[{places[category.name]}]: '
                "give each category a name of its own",
            )
        places[category.name] = number
    return tuple(categories) or (STANDARD,)


def _check_name(name: str, path: str) -> None:
    if len(name) > NAME_CHARS_MAX:
        raise LayoutError(path, f"At most {NAME_CHARS_MAX} characters, not {len(name)}")
    if _NAME.search(name) is None:
        raise LayoutError(path, "Must have no control characters, and no blank at either end")


class _Compiler:
    """Gathers one layout, row by row."""

    def __init__(self, categories: tuple[Category, ...]) -> None:
        self.categories = categories
        self.category_nos = {category.name: number for number, category in enumerate(categories)}
        self.category_of = bytearray()
        self.accessible: list[int] = []
        self.section_first_row = array("I", [0])
        self.row_labels: list[str] = []
        self.row_of_label: dict[str, int] = {}
        self.row_first = array("I", [0])
        self.row_segment = array("I", [0])
        self.segment_first = array("I", [0])
        self.own_seat_no: dict[str, int] = {}

    def compile(self, spec: LayoutSpec) -> Layout:
        if not spec.sections:
            raise LayoutError("layout.sections", "A layout needs at least one section")
        for section_no, section in enumerate(spec.sections):
            path = f"layout.sections[{section_no}]"
            _check_name(section.name, f"{path}.name")
            if not section.rows:
                raise LayoutError(f"{path}.rows", "A section needs at least one row")
            for row_no, row in enumerate(section.rows):
                self._add_row(row, f"{path}.rows[{row_no}]")
            self.section_first_row.append(len(self.row_labels))
        accessible = bytearray(len(self.category_of) if self.accessible else 0)
        for seat_no in self.accessible:
            accessible[seat_no] = 1
        no_aisles = len(self.segment_first) == len(self.row_first)
        layout = Layout(
            categories=self.categories,
            category_of=bytes(self.category_of),
            accessible=bytes(accessible),
            sections=tuple(section.name for section in spec.sections),
            section_first_row=self.section_first_row,
            row_labels=tuple(self.row_labels),
            row_of_label=self.row_of_label,
            row_first=self.row_first,
            row_segment=range(len(self.row_first)) if no_aisles else self.row_segment,
            segment_first=self.row_first if no_aisles else self.segment_first,
            own_seat_no=self.own_seat_no,
        )
        for label, seat_no in self.own_seat_no.items():
            other = layout.generated_seat_no(label)
            if other is not None and other != seat_no and layout.label(other) == label:
                raise self._duplicate(label, min(seat_no, other), max(seat_no, other))
        return layout

    def _add_row(self, row: RowSpec, path: str) -> None:
        _check_name(row.label, f"{path}.label")
        category_no = 0 if row.category is None else self._category_no(row.category, f"{path}.category")
        count = row.seats if isinstance(row.seats, int) else len(row.seats)
        if count < 1:
            raise LayoutError(f"{path}.seats", "A row needs at least one seat")
        first = len(self.category_of)
        if first + count > TOTAL_SEATS_MAX:
            raise LayoutError(
                f"{path}.seats", f"With this row the show has more than {TOTAL_SEATS_MAX:,} seats"
            )
        # Halls share row labels ("A", "B", …): interned, they are in memory once.
        label = sys.intern(row.label)
        self.row_labels.append(label)
        self.row_first.append(first + count)
        # Labels are made for the first row of a name. Those of a second one of that name are kept one by one.
        mine = self.row_of_label.setdefault(label, len(self.row_labels) - 1) == len(self.row_labels) - 1
        if isinstance(row.seats, int):
            self.category_of.extend(bytes([category_no]) * count)
            self._check_made_label(label, count, path)
            if not mine:
                for number in range(1, count + 1):
                    self._own(f"{label}-{number}", first + number - 1)
        else:
            self._add_seats(row.seats, label, mine, category_no, path)
        self.segment_first.append(first + count)
        self.row_segment.append(len(self.segment_first) - 1)

    def _add_seats(
        self, seats: tuple[SeatSpec, ...], row_label: str, mine: bool, row_category_no: int, path: str
    ) -> None:
        for index, seat in enumerate(seats):
            seat_no = len(self.category_of)
            if seat.label is not None:
                _check_name(seat.label, f"{path}.seats[{index}].label")
                self._own(seat.label, seat_no)
            else:
                self._check_made_label(row_label, index + 1, path)
                if not mine:
                    self._own(f"{row_label}-{index + 1}", seat_no)
            self.category_of.append(
                row_category_no
                if seat.category is None
                else self._category_no(seat.category, f"{path}.seats[{index}].category")
            )
            if seat.accessible:
                self.accessible.append(seat_no)
            if seat.gap_after and index + 1 < len(seats):
                self.segment_first.append(seat_no + 1)

    def _category_no(self, name: str, path: str) -> int:
        number = self.category_nos.get(name)
        if number is None:
            known = ", ".join(f'"{category.name}"' for category in self.categories[:10])
            raise LayoutError(
                path, f'The show has no category "{name}": add it to `categories`, or use {known}'
            )
        return number

    def _check_made_label(self, row_label: str, number: int, path: str) -> None:
        if len(row_label) + 1 + len(str(number)) > NAME_CHARS_MAX:
            raise LayoutError(
                f"{path}.label",
                f'The seat label "{row_label}-{number}" is longer than {NAME_CHARS_MAX} characters: '
                "shorten the row's label",
            )

    def _own(self, label: str, seat_no: int) -> None:
        other = self.own_seat_no.setdefault(label, seat_no)
        if other != seat_no:
            raise self._duplicate(label, other, seat_no)

    def _duplicate(self, label: str, earlier: int, later: int) -> LayoutError:
        field = self._place(later)
        return LayoutError(
            field,
            f'The seat label "{label}" is used twice, at {self._place(earlier)} and at {field}: labels are unique '
            'in the whole show, so rename one of the rows (two sections\' rows may not both be "A"), or give '
            "one of the seats a `label` of its own",
        )

    def _place(self, seat_no: int) -> str:
        """The path of a seat, also in a counted row and in the row that is just being added."""
        row = next(r for r in range(len(self.row_labels)) if seat_no < self.row_first[r + 1])
        section = sum(first <= row for first in self.section_first_row) - 1
        row_no = row - self.section_first_row[section]
        return f"layout.sections[{section}].rows[{row_no}].seats[{seat_no - self.row_first[row]}]"
