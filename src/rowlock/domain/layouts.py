"""A compiled layout: what every process keeps in memory of each show on sale.

A seat is its number: its position in layout order, from 0. Everything else is found from that.

Theory, and what it costs. Thousands of seats times hundreds of shows must cost a few megabytes, so nothing is kept
per seat but one byte for its category (and one for `accessible`, where any seat is). Rows are runs of seat numbers:
`row_first[r]` is the first of row r, and one past the end stands the total. A row's segments, the seats between
its aisles, are stored the same way. A label is not stored but made, and read by taking it apart at its last '-';
only labels that somebody chose for a single seat are kept, in two dicts.

A `Layout` is not changed once built. (`_masks` and `_inner` only remember what was computed from the rest,
for shows that seats are picked from.)
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from rowlock.domain.layout_spec import TOTAL_SEATS_MAX, Category

NUMBERED_SECTION = "Main"
NUMBERED_ROW_SEATS = 10

_DIGITS_MAX = len(str(TOTAL_SEATS_MAX))


class Seat(msgspec.Struct, frozen=True):
    """One seat, spelled out. The price is in minor units of the show's currency."""

    label: str
    section: str
    row: str
    category: str
    price_cents: int
    accessible: bool


class Row(msgspec.Struct, frozen=True):
    """One row: its seats are the numbers `first` … `first + count - 1`."""

    section_no: int
    label: str
    first: int
    count: int


class Mask(msgspec.Struct, frozen=True):
    """Which seats are of a kind: those of `first` … `stop - 1` whose byte in `bits` is 1.

    `bits` is a little-endian integer with a byte a seat, seat `first` lowest, so that one `&` picks them all at
    C speed. It is None where all of them are of the kind.
    """

    first: int
    stop: int
    bits: int | None


class Layout:
    """The seats of a show, compactly. Built by `compile_layout` and `simple_layout` only.

    Fields, all in layout order:
    - `categories`: as the show has them, or the one default.
    - `category_of`: a byte a seat, the index of its category. `accessible`: a byte a seat, 0 or 1; b"" if none is.
    - `sections`: names; `section_first_row`: the first row of each, and the number of rows at the end.
    - `row_first`: the first seat of each row, and `total_seats` at the end.
    - `segment_first`: the first seat of each segment (seats without an aisle between), and `total_seats` at the end.
    - `row_segment`: the first segment of each row, and the number of segments at the end.
    """

    __slots__ = (
        "_inner",
        "_masks",
        "_own_label",
        "_own_seat_no",
        "_row_labels",
        "_row_of_label",
        "accessible",
        "categories",
        "category_of",
        "row_first",
        "row_segment",
        "section_first_row",
        "sections",
        "segment_first",
        "total_seats",
    )

    def __init__(
        self,
        *,
        categories: tuple[Category, ...],
        category_of: bytes,
        accessible: bytes,
        sections: tuple[str, ...],
        section_first_row: array[int],
        row_labels: tuple[str, ...] | None,
        row_of_label: Mapping[str, int],
        row_first: array[int],
        row_segment: Sequence[int],
        segment_first: array[int],
        own_seat_no: Mapping[str, int],
    ) -> None:
        assert len(category_of) == row_first[-1] == segment_first[-1]
        assert len(accessible) in (0, len(category_of))
        assert len(row_segment) == len(row_first) == section_first_row[-1] + 1
        self.total_seats = len(category_of)
        self.categories = categories
        self.category_of = category_of
        self.accessible = accessible
        self.sections = sections
        self.section_first_row = section_first_row
        self.row_first = row_first
        self.row_segment = row_segment
        self.segment_first = segment_first
        self._row_labels = row_labels  # None: only numbered
        self._row_of_label = row_of_label  # the row whose labels are made from this row label
        self._own_seat_no = own_seat_no
        self._own_label = {seat_no: label for label, seat_no in own_seat_no.items()}
        self._masks: dict[tuple[int | None, bool | None], Mask] = {}
        self._inner = b""

    @property
    def numbered(self) -> bool:
        """Whether the labels are plain numbers, "1" … "n", so that a client may send numbers for them."""
        return self._row_labels is None

    @property
    def row_count(self) -> int:
        """How many rows there are, in all sections."""
        return len(self.row_first) - 1

    def seat_no(self, label: str) -> int | None:
        """Find a seat by its label, exactly as it is written; None if the show has no such seat."""
        if self._row_labels is None:
            number = _number(label)
            return number - 1 if number is not None and number <= self.total_seats else None
        own = self._own_seat_no.get(label)
        if own is not None:
            return own
        seat_no = self.generated_seat_no(label)
        return None if seat_no in self._own_label else seat_no

    def generated_seat_no(self, label: str) -> int | None:
        """Find the seat that would bear this label if no seat had one of its own."""
        row_label, _, digits = label.rpartition("-")
        number = _number(digits)
        row = self._row_of_label.get(row_label)
        if row is None or number is None:
            return None
        seat_no = self.row_first[row] + number - 1
        return seat_no if seat_no < self.row_first[row + 1] else None

    def label(self, seat_no: int) -> str:
        """Name a seat. Raises IndexError outside 0 … total_seats - 1."""
        self._check(seat_no)
        if self._row_labels is None:
            return str(seat_no + 1)
        own = self._own_label.get(seat_no)
        if own is not None:
            return own
        row = self.row_of(seat_no)
        return f"{self._row_labels[row]}-{seat_no - self.row_first[row] + 1}"

    def labels(self, seat_nos: Sequence[int]) -> list[str]:
        """Name some seats, in the order given. Raises IndexError as `label` does."""
        if self._row_labels is None:
            self._check_all(seat_nos)
            return [str(seat_no + 1) for seat_no in seat_nos]
        return [self.label(seat_no) for seat_no in seat_nos]

    def price_cents(self, seat_no: int) -> int:
        """Price a seat, in minor units. Raises IndexError outside 0 … total_seats - 1."""
        self._check(seat_no)
        return self.categories[self.category_of[seat_no]].price_cents

    def amount_cents(self, seat_nos: Sequence[int]) -> int:
        """Price some seats together, in minor units. Raises IndexError as `price_cents` does."""
        if len(self.categories) == 1:
            self._check_all(seat_nos)
            return len(seat_nos) * self.categories[0].price_cents
        return sum(map(self.price_cents, seat_nos))

    def category_no(self, name: str) -> int | None:
        """Find a category's index by its name; None if the show has no such category."""
        for number, category in enumerate(self.categories):
            if category.name == name:
                return number
        return None

    def row_of(self, seat_no: int) -> int:
        """Say in which row (counted through all sections, from 0) a seat is."""
        return bisect_right(self.row_first, seat_no) - 1

    def row_label(self, row: int) -> str:
        """Name a row. Rows of different sections may have the same name."""
        return str(row + 1) if self._row_labels is None else self._row_labels[row]

    def rows(self) -> Iterator[Row]:
        """Go through the rows of all sections, in layout order."""
        for section_no in range(len(self.sections)):
            for row in range(self.section_first_row[section_no], self.section_first_row[section_no + 1]):
                first, stop = self.row_first[row], self.row_first[row + 1]
                yield Row(section_no=section_no, label=self.row_label(row), first=first, count=stop - first)

    def segments(self, row: int) -> list[tuple[int, int]]:
        """List a row's segments, the seats between its aisles, as (first seat, stop)."""
        bounds = self.segment_first
        return [(bounds[s], bounds[s + 1]) for s in range(self.row_segment[row], self.row_segment[row + 1])]

    def seats(self) -> Iterator[Seat]:
        """Go through the seats in layout order, spelled out."""
        for row in self.rows():
            section = self.sections[row.section_no]
            for seat_no in range(row.first, row.first + row.count):
                category = self.categories[self.category_of[seat_no]]
                yield Seat(
                    label=self.label(seat_no),
                    section=section,
                    row=row.label,
                    category=category.name,
                    price_cents=category.price_cents,
                    accessible=self.is_accessible(seat_no),
                )

    @property
    def inner(self) -> bytes:
        """A byte a seat: 1 if it has a left neighbour in its segment, 0 if an aisle or the row's end is there."""
        if not self._inner:
            inner = bytearray(b"\x01") * self.total_seats
            for first in self.segment_first[:-1]:
                inner[first] = 0
            self._inner = bytes(inner)
        return self._inner

    def is_accessible(self, seat_no: int) -> bool:
        """Say whether a seat is an accessible one."""
        return bool(self.accessible) and self.accessible[seat_no] == 1

    def mask(self, category_no: int | None, accessible: bool | None) -> Mask:
        """Say which seats are of a category (None: any) and accessible or not (None: either)."""
        key = (category_no, accessible)
        mask = self._masks.get(key)
        if mask is None:
            # Two threads may both compute it: to the same value, so that it doesn't matter which one stays.
            mask = self._masks[key] = self._make_mask(category_no, accessible)
        return mask

    def _make_mask(self, category_no: int | None, accessible: bool | None) -> Mask:
        kind = b"\x01" * self.total_seats
        if category_no is not None:
            kind = self.category_of.translate(bytes(index == category_no for index in range(256)))
        if accessible is not None:
            has_it = self.accessible or bytes(self.total_seats)
            wanted = has_it.translate(bytes((value == 1) == accessible for value in range(256)))
            both = int.from_bytes(kind, "little") & int.from_bytes(wanted, "little")
            kind = both.to_bytes(self.total_seats, "little")
        first, stop = kind.find(1), kind.rfind(1) + 1
        if first < 0:
            return Mask(first=0, stop=0, bits=None)
        kind = kind[first:stop]
        return Mask(first=first, stop=stop, bits=int.from_bytes(kind, "little") if 0 in kind else None)

    def _check_all(self, seat_nos: Sequence[int]) -> None:
        if seat_nos and not (min(seat_nos) >= 0 and max(seat_nos) < self.total_seats):
            for seat_no in seat_nos:
                self._check(seat_no)

    def _check(self, seat_no: int) -> None:
        # Python would quietly count a negative number from the end.
        if not 0 <= seat_no < self.total_seats:
            raise IndexError(f"Seat number {seat_no} is outside 0…{self.total_seats - 1}")


def _number(digits: str) -> int | None:
    """Read a number from 1, written as we write it: "7", not "07", "+7", " 7" or the digits of other scripts."""
    if not 0 < len(digits) <= _DIGITS_MAX or digits[0] == "0" or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)
