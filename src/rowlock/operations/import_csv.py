"""The two CSV files of an import, read into values; whatever is wrong in them is noted, line by line.

UTF-8, with or without a byte order mark; the first line names the columns, in any order. Times are ISO 8601 as every
database writes them; one without a zone is UTC.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rowlock.domain.layout_spec import TOTAL_SEATS_MAX
from rowlock.domain.lifecycles import BookingStatus
from rowlock.operations.views import ShowKind

PROBLEMS_MAX = 50  # bad lines that are listed: a screenful, enough to see what they have in common
LINES_MAX = 2_000_000  # of a file: some 2 GB of memory here; more is to be brought over in parts
TEXT_CHARS_MAX = 255


class Columns(msgspec.Struct, frozen=True):
    """What a file may have, and what it must."""

    known: tuple[str, ...]
    needed: tuple[str, ...]


SHOWS = Columns(
    known=("id", "name", "start_time", "total_seats", "venue", "kind", "created_at"),
    needed=("id", "name", "start_time", "total_seats"),
)
BOOKINGS = Columns(
    known=(
        "id",
        "show_id",
        "status",
        "seats",
        "seat_count",
        "user_id",
        "user_name",
        "created_at",
        "expires_at",
    ),
    needed=("id", "show_id", "status"),
)

_OTHER_NAMES = {"seat_nos": "seats"}  # what a predecessor calls a column
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BETWEEN_SEATS = re.compile(r"[\s;,]+")


class Problems:
    """What is wrong, as `file:line: column: why`. The first are kept, all are counted."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.count = 0

    def add(self, place: str, why: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.lines) < PROBLEMS_MAX:
            self.lines.append(f"{place}: {why}")


class ShowLine(msgspec.Struct, frozen=True):
    """A line of shows.csv. `place` is where it stands."""

    place: str
    id: str
    name: str
    start_time: datetime
    total_seats: int
    venue: str | None
    kind: ShowKind
    created_at: datetime | None


class BookingLine(msgspec.Struct, frozen=True, gc=False):
    """A line of bookings.csv. No `seats` and a `seat_count`: so many seats, any. `seats_column` is what it calls them."""

    place: str
    id: str
    show_id: str
    status: BookingStatus
    seats: tuple[str, ...]
    seat_count: int
    user_id: str
    customer_name: str | None
    created_at: datetime | None
    expires_at: datetime | None
    seats_column: str


def read_shows(path: Path, problems: Problems) -> list[ShowLine]:
    """The shows of a file; bad lines are noted and left out."""
    shows = []
    for row in _rows(path, SHOWS, problems):
        kind = row.text("kind") or ShowKind.SHOW.value
        if kind not in {known.value for known in ShowKind}:
            row.wrong("kind", f"{kind!r} is neither show nor trip")
        identifier, name = row.needed("id"), row.needed("name")
        start_time, total_seats = row.time("start_time", needed=True), row.number("total_seats")
        venue, created_at = row.text("venue"), row.time("created_at")
        if row.good and start_time is not None:
            shows.append(
                ShowLine(
                    row.place, identifier, name, start_time, total_seats, venue, ShowKind(kind), created_at
                )
            )
    return shows


def read_bookings(path: Path, problems: Problems) -> list[BookingLine]:
    """The bookings of a file; bad lines are noted and left out."""
    bookings = []
    for row in _rows(path, BOOKINGS, problems):
        status = row.needed("status").upper()
        if row.good and status not in {known.value for known in BookingStatus}:
            row.wrong("status", f"{status} is none of {', '.join(BookingStatus)}")
        identifier, show_id = row.needed("id"), row.needed("show_id")
        seats = row.seats("seats")
        count = row.number("seat_count") if row.text("seat_count") else len(seats)
        if seats and count != len(seats) and row.good:
            row.wrong("seat_count", f"is {count}, and {len(seats)} seats are named")
        created_at, expires_at = row.time("created_at"), row.time("expires_at")
        user_name = row.text("user_name")
        user_id = row.text("user_id") or user_name or "imported"
        if row.good:
            bookings.append(
                BookingLine(
                    row.place,
                    identifier,
                    show_id,
                    BookingStatus(status),
                    seats,
                    count,
                    user_id,
                    user_name,
                    created_at,
                    expires_at,
                    row.names.get("seats", "seats"),
                )
            )
    return bookings


class _Row:
    """One line, by column; `good` until something in it was wrong. `names` are the columns as the file calls them."""

    def __init__(self, place: str, values: dict[str, str], names: dict[str, str], problems: Problems) -> None:
        self.place = place
        self.names = names
        self.good = True
        self._values = values
        self._problems = problems

    def wrong(self, column: str, why: str) -> None:
        """Note that a column is wrong."""
        self.good = False
        self._problems.add(f"{self.place}: {self.names.get(column, column)}", why)

    def text(self, column: str) -> str | None:
        """A text, without space around it; None if empty."""
        text = self._values.get(column, "").strip()
        if len(text) > TEXT_CHARS_MAX:
            self.wrong(column, f"is longer than {TEXT_CHARS_MAX} characters")
            return None
        if _CONTROL.search(text):
            self.wrong(column, "has a line break or another control character in it")
            return None
        return text or None

    def needed(self, column: str) -> str:
        """A text that must be there."""
        text = self.text(column)
        if text is None and not self._values.get(column, "").strip():
            self.wrong(column, "is empty")
        return text or ""

    def number(self, column: str) -> int:
        """A number of seats, from 1."""
        text = self.needed(column)
        if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= TOTAL_SEATS_MAX:
            return int(text)
        if text:
            self.wrong(column, f"{text!r} is no number from 1 to {TOTAL_SEATS_MAX:,}")
        return 0

    def time(self, column: str, *, needed: bool = False) -> datetime | None:
        """A time, as UTC."""
        text = self.needed(column) if needed else self.text(column)
        if not text:
            return None
        try:
            time = datetime.fromisoformat(text)
            return (time.replace(tzinfo=UTC) if time.tzinfo is None else time).astimezone(UTC)
        except (ValueError, OverflowError):
            self.wrong(column, f"{text!r} is no time such as 2026-03-20T18:00:00Z")
            return None

    def seats(self, column: str) -> tuple[str, ...]:
        """Labels, with spaces, semicolons or commas between; or PostgreSQL's text of an array, {1,2}."""
        text = self._values.get(column, "").strip()
        array = text.startswith("{") and text.endswith("}")
        parts = _BETWEEN_SEATS.split(text[1:-1] if array else text)
        return tuple(label for part in parts if (label := part.strip('"') if array else part))


def _rows(path: Path, columns: Columns, problems: Problems) -> Iterator[_Row]:
    """The lines of a file under its header."""
    name = path.name
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [column.strip() for column in next(reader, [])]
            known = [_OTHER_NAMES.get(column.lower(), column.lower()) for column in header]
            if not _header_fits(f"{name}:1", header, known, columns, problems):
                return
            names = dict(zip(known, header, strict=True))
            line = reader.line_num + 1
            for number, values in enumerate(reader):
                place, line = f"{name}:{line}", reader.line_num + 1
                if number >= LINES_MAX:
                    problems.add(place, f"more than {LINES_MAX:,} lines: bring them over in parts")
                    return
                if not values:
                    continue
                if len(values) != len(header):
                    problems.add(place, f"has {len(values)} columns, the header {len(header)}")
                    continue
                yield _Row(place, dict(zip(known, values, strict=True)), names, problems)
    except OSError as error:
        problems.add(str(path), f"can't be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.add(f"{name}:{line}", f"this or a line after it is not UTF-8: {error.reason}")
    except csv.Error as error:
        problems.add(f"{name}:{line}", str(error))


def _header_fits(
    place: str,
    header: list[str],
    known: list[str],
    columns: Columns,
    problems: Problems,
) -> bool:
    before = problems.count
    for column in columns.needed:
        if column not in known:
            problems.add(place, f"the header has no {column}; it needs {', '.join(columns.needed)}")
    for number, column in enumerate(known):
        if column not in columns.known:
            problems.add(
                place, f"there is no column {header[number]!r}; known are {', '.join(columns.known)}"
            )
        elif column in known[:number]:
            problems.add(place, f"{header[number]} comes twice")
    return problems.count == before
