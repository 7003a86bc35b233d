"""Import: a predecessor's shows and bookings, all or nothing.

1. Both files are read and checked against each other and the database; every bad line is noted, and if there is any,
   nothing is written. What is bad in a line keeps nothing else in it, nor another line, from being checked.
2. Shows and bookings get ids of ours; their own are kept in `import_id`, with the source's name at the show. A
   show of a source can be brought over once.
3. Live bookings own their seats. Two that claim one seat are a bad line: no guess is made who has it. Where only
   counts are known, the best seats that are left are given out, in the order in which the bookings were made.
4. All of it is one transaction, which ends in the audit of `rowlock verify`, of these shows and no others.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import asyncpg
import msgspec

from rowlock.domain.best_available import best_available
from rowlock.domain.ids import TAIL_BITS, booking_id
from rowlock.domain.layout_compile import simple_layout
from rowlock.domain.layout_spec import NumberedSpec, encode_spec
from rowlock.domain.layouts import Layout
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.state import Booking
from rowlock.operations.bulk import BulkBooking, BulkShow, write_shows
from rowlock.operations.import_csv import (
    BookingLine,
    Problems,
    ShowLine,
    Shows,
    counted,
    read_bookings,
    read_shows,
)
from rowlock.operations.show_ids import new_show_ids
from rowlock.operations.verify import audit_shows
from rowlock.postgres.errors import broken_constraint
from rowlock.postgres.jobs import connect_job, job_transaction
from rowlock.postgres.pool import Database
from rowlock.postgres.queries import load

SQL = load("import")

HOLD = timedelta(minutes=2)  # all predecessors' own, where a PENDING booking doesn't say
SEATS_PER_BOOKING_MAX = 500
CURRENCY = "EUR"

_LIVE = (BookingStatus.PENDING, BookingStatus.CONFIRMED)
_DECIDE_SEATS = {
    "status",
    "seats",
    "seat_count",
    "created_at",
    "expires_at",
}  # whether a booking has seats, and which


class ImportRefused(Exception):  # noqa: N818
    """Nothing was imported. `problems` says why, a line each; there may be more than these: `count` in all."""

    def __init__(self, problems: Sequence[str], count: int) -> None:
        super().__init__(f"nothing was imported: {counted(count, 'problem')}")
        self.problems = list(problems)
        self.count = count


class Imported(msgspec.Struct, frozen=True):
    """What was brought over."""

    shows: int
    bookings: int
    seats: int


class _Show:
    """A show while its bookings are gathered: `owner` of each seat that a live booking has."""

    def __init__(self, line: ShowLine, layout: Layout) -> None:
        self.line = line
        self.layout = layout
        self.id = 0
        self.owner: dict[int, BookingLine] = {}
        self._free = bytearray(b"\x01") * layout.total_seats

    def take(self, number: int, line: BookingLine) -> BookingLine | None:
        """Give a seat to a booking; or the one that has it."""
        self._free[number] = 0
        owner = self.owner.setdefault(number, line)
        return None if owner is line else owner

    def pick(self, count: int) -> tuple[int, ...] | None:
        """The best seats that are left."""
        return best_available(self.layout, self._free, count)


async def import_bookings(
    database: Database, shows_path: Path, bookings_path: Path, *, source: str, sweep_seconds: float
) -> Imported:
    """Import two CSV files. Raises `ImportRefused`, and then nothing was."""
    began = monotonic()
    problems = Problems()
    from_file = read_shows(shows_path, problems)
    lines = read_bookings(bookings_path, problems)
    async with connect_job(database) as connection:
        now: datetime = await connection.fetchval(SQL.clock)
        places = _check_ids(from_file.lines, "show", problems)
        for row in await connection.fetch(SQL.imported_before, source, list(places)):
            problems.add(
                f"{places[row['import_id']]}: id",
                f"show {row['import_id']} of {source!r} is here already, as show {row['id']}",
            )
        shows = _check_shows(from_file.lines, places, now, problems)
        _check_ids(lines, "booking", problems)
        _check_shows_of(lines, from_file, problems)
        seats = _check_bookings(lines, shows, now, problems)
        if problems.count:
            raise ImportRefused(problems.lines, problems.count)
        ids = await new_show_ids(connection, len(shows))
        for show_id, show in zip(ids, shows.values(), strict=True):
            show.id = show_id
        bulk_shows = [_bulk_show(show, now, source) for show in shows.values()]
        bookings = [
            BulkBooking(_booking(shows[line.show_id], line, taken, now), line.id)
            for line, taken in zip(lines, seats, strict=True)
        ]
        if shows:
            # Nobody could sweep what is not committed: the import's own time makes no hold overdue.
            await _write(connection, bulk_shows, bookings, sweep_seconds + (monotonic() - began))
    return Imported(len(shows), len(bookings), sum(show.total_seats for show in bulk_shows))


async def _write(
    connection: asyncpg.Connection,
    shows: list[BulkShow],
    bookings: list[BulkBooking],
    sweep_seconds: float,
) -> None:
    """Write all of it, and audit it, in one transaction."""
    try:
        async with job_transaction(connection):
            await write_shows(connection, shows, bookings)
            report = await audit_shows(connection, [show.id for show in shows], sweep_seconds=sweep_seconds)
            if not report.passed:
                offences = [f"{f.rule.name}: {offence}" for f in report.findings for offence in f.offences]
                raise ImportRefused(offences, sum(finding.count for finding in report.findings))
    except asyncpg.UniqueViolationError as error:
        if broken_constraint(error) == "shows_import_key":
            raise ImportRefused(["someone else has just imported these shows"], 1) from None
        raise
    await connection.execute("ANALYZE shows, inventory, seats, bookings")


def _check_ids(lines: Sequence[ShowLine | BookingLine], what: str, problems: Problems) -> dict[str, str]:
    """Where each id stands first."""
    places: dict[str, str] = {}
    for line in lines:
        if "id" not in line.bad and (other := places.setdefault(line.id, line.place)) != line.place:
            problems.add(f"{line.place}: id", f"{what} {line.id} stands at {other}, too")
    return places


def _check_shows(
    lines: list[ShowLine], places: dict[str, str], now: datetime, problems: Problems
) -> dict[str, _Show]:
    """The shows that bookings can be checked against: those of which the seats are known."""
    shows: dict[str, _Show] = {}
    layouts: dict[int, Layout] = {}
    for line in lines:
        if line.created_at is not None and line.created_at > now:
            problems.add(f"{line.place}: created_at", f"{line.created_at} is still to come")
        first = places.get(line.id) == line.place
        if not first or "total_seats" in line.bad:
            continue
        if line.total_seats not in layouts:
            layouts[line.total_seats] = simple_layout(line.total_seats)
        shows[line.id] = _Show(line, layouts[line.total_seats])
    return shows


def _check_shows_of(lines: list[BookingLine], shows: Shows, problems: Problems) -> None:
    """Whether bookings have their shows. A show whose own line is bad is not complained of again."""
    ids = {show.id for show in shows.lines}
    for line in lines:
        if shows.all_ids_known and "show_id" not in line.bad and line.show_id not in ids:
            problems.add(f"{line.place}: show_id", f"show {line.show_id} is not in the file of shows")


def _check_bookings(
    lines: list[BookingLine], shows: dict[str, _Show], now: datetime, problems: Problems
) -> list[tuple[int, ...]]:
    """The seats of each booking, those of counts picked."""
    seats: list[tuple[int, ...]] = []
    counts: list[tuple[datetime, int]] = []
    for index, line in enumerate(lines):
        seats.append(())
        _check_times(line, now, problems)
        show = shows.get(line.show_id)
        if show is None:
            continue
        seats[index] = _named_seats(show, line, problems)
        if not line.bad.isdisjoint(_DECIDE_SEATS):
            continue
        live = _status_at(line, now) in _LIVE
        if live and line.seats:
            _take(show, line, seats[index], problems)
        elif live and line.seat_count:
            counts.append((line.created_at or now, index))
        elif live or (line.status is BookingStatus.CANCELLED and not line.seats):
            problems.add(f"{line.place}: {line.seats_column}", f"a {line.status} booking needs its seats")
    for _, index in sorted(counts):
        line = lines[index]
        seats[index] = _pick(shows[line.show_id], line, problems)
    return seats


def _check_times(line: BookingLine, now: datetime, problems: Problems) -> None:
    created_at = line.created_at or now
    if created_at > now:
        problems.add(f"{line.place}: created_at", f"{created_at} is still to come")
    if "created_at" not in line.bad and line.expires_at is not None and line.expires_at <= created_at:
        problems.add(f"{line.place}: expires_at", "is not after created_at")


def _pick(show: _Show, line: BookingLine, problems: Problems) -> tuple[int, ...]:
    """Seats for a booking that names none."""
    picked = show.pick(line.seat_count)
    if picked is None:
        left = show.layout.total_seats - len(show.owner)
        wanted = counted(line.seat_count, "seat")
        problems.add(f"{line.place}: seat_count", f"{wanted}, and {left} left in show {line.show_id}")
        return ()
    _take(show, line, picked, problems)
    return picked


def _named_seats(show: _Show, line: BookingLine, problems: Problems) -> tuple[int, ...]:
    numbers = []
    for label in line.seats:
        number = show.layout.seat_no(label)
        if number is None:
            problems.add(f"{line.place}: {line.seats_column}", f"seat {label} is not in show {line.show_id}")
        elif number in numbers:
            problems.add(f"{line.place}: {line.seats_column}", f"names seat {label} twice")
        else:
            numbers.append(number)
    return tuple(numbers)


def _take(show: _Show, line: BookingLine, seats: tuple[int, ...], problems: Problems) -> None:
    for number in seats:
        owner = show.take(number, line)
        if owner is not None:
            problems.add(
                f"{line.place}: {line.seats_column}",
                f"seat {show.layout.label(number)} of show {line.show_id} is booking {owner.id}'s ({owner.place})",
            )


def _expires_at(line: BookingLine, now: datetime) -> datetime:
    return line.expires_at or (line.created_at or now) + HOLD


def _status_at(line: BookingLine, now: datetime) -> BookingStatus:
    """A hold past its time has failed."""
    assert line.status is not None, "a line whose status is bad is not asked for it"
    lapsed = line.status is BookingStatus.PENDING and _expires_at(line, now) <= now
    return BookingStatus.FAILED if lapsed else line.status


def _booking(show: _Show, line: BookingLine, seats: tuple[int, ...], now: datetime) -> Booking:
    """The row of a booking. Why it failed is told from what it has: an expiry, seats, or neither."""
    created_at = line.created_at or now
    status = _status_at(line, now)
    expires_at = settled_at = confirmed_at = reason = None
    held = False
    if status is BookingStatus.PENDING:
        expires_at, held = _expires_at(line, now), True
    elif status is BookingStatus.FAILED:
        held = line.status is BookingStatus.PENDING or line.expires_at is not None
        unheld = Reason.SEATS_TAKEN if seats else Reason.NOT_ENOUGH_SEATS
        reason = Reason.HOLD_EXPIRED if held else unheld
        settled_at = min(_expires_at(line, now), now) if held else created_at
    else:
        confirmed_at = settled_at = created_at
        reason = Reason.CANCELLED_BY_ADMIN if status is BookingStatus.CANCELLED else None
    return Booking(
        id=booking_id(show.id, secrets.randbits(TAIL_BITS)),
        show_id=show.id,
        user_id=line.user_id,
        customer_name=line.customer_name,
        email=None,
        status=status,
        reason=reason,
        seats=seats,
        conflicts=(),
        seat_count=len(seats) or line.seat_count or 1,
        amount_cents=show.layout.amount_cents(seats),
        held=held,
        request_hash=None,
        created_at=created_at,
        expires_at=expires_at,
        confirmed_at=confirmed_at,
        settled_at=settled_at,
        release_at=expires_at,
    )


def _bulk_show(show: _Show, now: datetime, source: str) -> BulkShow:
    line = show.line
    assert line.start_time is not None, "nothing is written of a file with a bad line"
    return BulkShow(
        id=show.id,
        kind=line.kind,
        name=line.name,
        venue=line.venue,
        start_time=line.start_time,
        created_at=line.created_at or now.astimezone(UTC),
        currency=CURRENCY,
        categories=msgspec.json.encode(show.layout.categories).decode(),
        layout=encode_spec(NumberedSpec(total_seats=line.total_seats)),
        total_seats=line.total_seats,
        max_seats=min(line.total_seats, SEATS_PER_BOOKING_MAX),
        import_source=source,
        import_id=line.id,
    )
