"""The layout of a show as people write it: sections, rows, seats, and the categories they are priced by.

This is the shape of `layout` and `categories` in POST /api/shows, and of the JSON in the `shows` table.
`compile_layout` (layout_compile.py) turns it into the compact `Layout` (layouts.py) that the rest works with.

- A row with `seats: 24` is counted: its labels are `{row label}-1` … `{row label}-24`.
- A row with a list of seats is listed: a seat's own `label` is used as it is; a seat without one is
  `{row label}-{its number in the row, from 1}`. `gap_after` says that an aisle follows the seat.
- `category` is the seat's, else its row's, else the first of the show's, which is `STANDARD` where it has none.
- A `NumberedSpec` is what `total_seats: n` means: one section of rows of 10, labels "1" … "n".

Stored, a layout is `{"sections": […]}` or `{"total_seats": n}`; defaults are left out, and counts stay counts.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

TOTAL_SEATS_MAX = 100_000  # The largest stadiums; one show's seats stay one bytes object of 100 kB.
CATEGORIES_MAX = 255  # So that a seat's category fits in one byte.
NAME_CHARS_MAX = 64  # Fits a ticket's line, and bounds what 100,000 labels can cost.
PRICE_CENTS_MAX = 10**9  # Times 100,000 seats is still far below 2**53, which JavaScript counts exactly.

# The same in Python's `re.search` and in ECMAScript, which OpenAPI prescribes. Python's `$` also matches before
# a newline at the very end; the lookahead takes that back.
TEXT_PATTERN = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]+$(?!\n)"  # not all blank
# Names and labels are printed: nothing in them may turn or break a line, or hide at either end. Two that look alike on
# a ticket should be alike.
NAME_PATTERN = r"^(?!\s)[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+$(?<!\s)(?!\n)"
COLOR_PATTERN = r"^#[0-9a-fA-F]{6}$(?!\n)"

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX, pattern=NAME_PATTERN)]
SeatCount: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=TOTAL_SEATS_MAX)]


class LayoutError(ValueError):
    """A layout that can't be sold from: `field` is the path to blame, `message` says why and what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price band. The price is of one seat, in minor units of the show's currency."""

    name: Name
    price_cents: Annotated[int, msgspec.Meta(ge=0, le=PRICE_CENTS_MAX)]
    color: Annotated[str, msgspec.Meta(pattern=COLOR_PATTERN)] | None = None


STANDARD = Category(name="Standard", price_cents=0)


class SeatSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One listed seat. `gap_after`: an aisle separates it from the next seat of its row."""

    label: Name | None = None
    category: Name | None = None
    accessible: bool = False
    gap_after: bool = False


class RowSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A row, counted (`seats: 24`) or listed, from left to right."""

    label: Name
    seats: SeatCount | Annotated[tuple[SeatSpec, ...], msgspec.Meta(min_length=1)]
    category: Name | None = None


class SectionSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the hall, its rows from front to back."""

    name: Name
    rows: Annotated[tuple[RowSpec, ...], msgspec.Meta(min_length=1)]


class LayoutSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole hall, its sections from front to back."""

    sections: Annotated[tuple[SectionSpec, ...], msgspec.Meta(min_length=1)]


class NumberedSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seats that are only numbered, "1" … "n": what `total_seats: n` asks for."""

    total_seats: SeatCount


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either of the two as JSON; msgspec tells two untagged structs apart only by hand."""

    sections: Annotated[tuple[SectionSpec, ...], msgspec.Meta(min_length=1)] | None = None
    total_seats: SeatCount | None = None


def encode_spec(spec: LayoutSpec | NumberedSpec) -> str:
    """Write a spec as compact JSON for storage."""
    return msgspec.json.encode(spec).decode()


def decode_spec(text: str | bytes) -> LayoutSpec | NumberedSpec:
    """Read what `encode_spec` wrote. Raises `msgspec.ValidationError` for anything else."""
    stored = msgspec.json.decode(text, type=_Stored)
    if stored.sections is not None and stored.total_seats is None:
        return LayoutSpec(sections=stored.sections)
    if stored.total_seats is not None and stored.sections is None:
        return NumberedSpec(total_seats=stored.total_seats)
    raise msgspec.ValidationError("A stored layout has either `sections` or `total_seats`")
