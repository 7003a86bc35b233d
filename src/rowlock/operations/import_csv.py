"""The two CSV files of an import, read into values; whatever is wrong in them is noted, line by line.

UTF-8, with or without a byte order mark; the first line names the columns, in any order, with commas or semicolons
between. Times are ISO 8601 as every database writes them; one without a zone is UTC. A bad line is kept, with what is
bad in it left out, so that all else in it can be checked against the other lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import msgspec

from rowlock.domain.layout_spec import NAME_PATTERN, TOTAL_SEATS_MAX
from rowlock.domain.lifecycles import BookingStatus
from rowlock.operations.views import ShowKind

PROBLEMS_MAX = 50  # bad lines that are listed: a screenful, enough to see what they have in common
LINES_MAX = 2_000_000  # of a file: some 2 GB of memory here; more is to be brought over in parts
TEXT_CHARS_MAX = 255  # as the API allows for a user id: http/tokens.py
NAME_CHARS_MAX = 200  # as the API allows for names: http/wire.py
# asyncpg writes the first and the last moments that there are as -infinity and infinity.
YEAR_MIN, YEAR_MAX = 2, 9998


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
_NAMES = {"name", "venue", "user_name"}
_NAME = re.compile(NAME_PATTERN)
# The API's rule for a user id, http/tokens.py: what breaks logs and headers.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")  # how Python reads such bytes, where it is told to go on
_NOTHING: frozenset[str] = frozenset()
_BETWEEN_SEATS = re.compile(r"[\s;,]+")


def counted(count: int, what: str) -> str:
    """`1 show`, `2,000 shows`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


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
    """A line of shows.csv. `place` is where it stands; `bad` are the columns that are wrong, and empty here."""

    place: str
    bad: frozenset[str]
    id: str
    name: str
    start_time: datetime | None
    total_seats: int
    venue: str | None
    kind: ShowKind
    created_at: datetime | None


class BookingLine(msgspec.Struct, frozen=True, gc=False):
    """A line of bookings.csv. No `seats` and a `seat_count`: so many seats, any. `seats_column` is what it calls them.

    `bad` are the columns that are wrong, and empty here.
    """

    place: str
    bad: frozenset[str]
    id: str
    show_id: str
    status: BookingStatus | None
    seats: tuple[str, ...]
    seat_count: int
    user_id: str
    customer_name: str | None
    created_at: datetime | None
    expires_at: datetime | None
    seats_column: str


class Shows(msgspec.Struct):
    """The shows of a file. `all_ids_known`: no line is so bad that it may be a show which isn't in `lines`."""

    lines: list[ShowLine]
    all_ids_known: bool


def read_shows(path: Path, problems: Problems) -> Shows:
    """The shows of a file; what is bad is noted."""
    rows = _Rows(path, SHOWS, problems)
    shows = []
    for row in rows:
        kind = row.text("kind") or ShowKind.SHOW.value
        if kind not in {known.value for known in ShowKind}:
            row.wrong("kind", f"{kind!r} is neither show nor trip")
            kind = ShowKind.SHOW.value
        identifier, name = row.needed("id"), row.needed("name")
        start_time, total_seats = row.time("start_time", needed=True), row.number("total_seats")
        venue, created_at = row.text("venue"), row.time("created_at")
        bad = frozenset(row.bad)
        shows.append(
            ShowLine(
                row.place, bad, identifier, name, start_time, total_seats, venue, ShowKind(kind), created_at
            )
        )
    return Shows(shows, rows.whole and not any("id" in show.bad for show in shows))


def read_bookings(path: Path, problems: Problems) -> list[BookingLine]:
    """The bookings of a file; what is bad is noted."""
    bookings = []
    for row in _Rows(path, BOOKINGS, problems):
        status = row.needed("status").upper()
        if status and status not in {known.value for known in BookingStatus}:
            row.wrong("status", f"{status} is none of {', '.join(BookingStatus)}")
            status = ""
        identifier, show_id = row.needed("id"), row.needed("show_id")
        seats = row.seats("seats")
        count = row.number("seat_count") if row.has("seat_count") else len(seats)
        if seats and count != len(seats) and "seat_count" not in row.bad:
            row.wrong("seat_count", f"is {count}, and {counted(len(seats), 'seat')} named")
        created_at, expires_at = row.time("created_at"), row.time("expires_at")
        user_name = row.text("user_name")
        user_id = row.text("user_id") or user_name or "imported"
        bookings.append(
            BookingLine(
                row.place,
                frozenset(row.bad) if row.bad else _NOTHING,
                identifier,
                show_id,
                BookingStatus(status) if status else None,
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
    """One line, by column; `bad` are those that were wrong so far. `names` are the columns as the file calls them."""

    def __init__(self, place: str, values: dict[str, str], names: dict[str, str], problems: Problems) -> None:
        self.place = place
        self.names = names
        self.bad: set[str] = set()
        self._values = values
        self._problems = problems

    def wrong(self, column: str, why: str) -> None:
        """Note that a column is wrong."""
        self.bad.add(column)
        self._problems.add(f"{self.place}: {self.names.get(column, column)}", why)

    def has(self, column: str) -> bool:
        """Whether there is anything in a column."""
        return bool(self._values.get(column, "").strip())

    def text(self, column: str) -> str | None:
        """A text, without space around it; None if empty."""
        text = self._values.get(column, "").strip()
        chars_max = NAME_CHARS_MAX if column in _NAMES else TEXT_CHARS_MAX
        if _NOT_UTF_8.search(text):
            self.bad.add(column)  # and noted already, by its line
        elif len(text) > chars_max:
            self.wrong(column, f"is longer than {chars_max} characters")
        elif _UNPRINTABLE.search(text):
            self.wrong(column, "has a line break or another control character in it")
        elif text and column in _NAMES and not _NAME.search(text):
            self.wrong(column, "has an invisible character in it")
        else:
            return text or None
        return None

    def needed(self, column: str) -> str:
        """A text that must be there."""
        text = self.text(column)
        if text is None and not self.has(column):
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
        except ValueError:
            self.wrong(column, f"{text!r} is no time such as 2026-03-20T18:00:00Z")
            return None
        if not YEAR_MIN <= time.year <= YEAR_MAX:
            self.wrong(column, f"{text!r} is not in the years {YEAR_MIN} to {YEAR_MAX}")
            return None
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)

    def seats(self, column: str) -> tuple[str, ...]:
        """Labels, with spaces, semicolons or commas between; or PostgreSQL's text of an array, {1,2}."""
        text = self._values.get(column, "").strip()
        if _NOT_UTF_8.search(text):
            self.bad.add(column)
            return ()
        array = text.startswith("{") and text.endswith("}")
        parts = _BETWEEN_SEATS.split(text[1:-1] if array else text)
        return tuple(label for part in parts if (label := part.strip('"') if array else part))


class _Rows:
    """The lines of a file under its header. `whole` until one could not be taken apart."""

    def __init__(self, path: Path, columns: Columns, problems: Problems) -> None:
        self.whole = True
        self._path = path
        self._columns = columns
        self._problems = problems

    def __iter__(self) -> Iterator[_Row]:
        try:
            # Bytes that are no UTF-8 are read as surrogates, so that what comes after them is checked, too.
            with self._path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                yield from self._rows(self._checked(file))
        except OSError as error:
            self._lost(str(self._path), f"can't be read: {error.strerror}")

    def _lost(self, place: str, why: str) -> None:
        self.whole = False
        self._problems.add(place, why)

    def _checked(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines as they are; those that are not UTF-8 are noted."""
        for number, line in enumerate(lines, 1):
            if not line.isascii() and (bad := _NOT_UTF_8.search(line)):
                byte = ord(bad[0]) - 0xDC00
                self._problems.add(f"{self._path.name}:{number}", f"is not UTF-8 (byte 0x{byte:02X})")
            yield line

    def _rows(self, lines: Iterator[str]) -> Iterator[_Row]:
        name = self._path.name
        first = next(lines, "")
        if _NOT_UTF_8.search(first):
            self.whole = False
            return
        # Where the comma stands in numbers, spreadsheets write semicolons between columns.
        delimiter = ";" if ";" in first and "," not in first else ","
        parts = self._parts(chain([first], lines), delimiter)
        header = [column.strip() for column in next(parts, (1, []))[1]]
        if not self.whole:
            return
        known = [_OTHER_NAMES.get(column.lower(), column.lower()) for column in header]
        if not _header_fits(f"{name}:1", header, known, self._columns, self._problems):
            self.whole = False
            return
        names = dict(zip(known, header, strict=True))
        for number, (line, values) in enumerate(parts):
            place = f"{name}:{line}"
            if number >= LINES_MAX:
                self._lost(place, f"more than {LINES_MAX:,} lines: bring them over in parts")
                return
            if len(values) == len(header):
                yield _Row(place, dict(zip(known, values, strict=True)), names, self._problems)
            elif values:
                self._lost(place, f"has {counted(len(values), 'column')}, the header {len(header)}")

    def _parts(self, lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Each line's number, and its parts. After one that is no CSV the next is read as if it began anew."""
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                yield line, next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._lost(f"{self._path.name}:{line}", str(error))


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
