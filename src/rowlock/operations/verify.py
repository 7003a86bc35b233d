"""Verify: audit a live database, without stopping it and without a false alarm.

All rules read one snapshot: writers are neither waited for nor made to wait, and no batch is seen half done. They go
through the shows a range at a time, so that neither side's memory grows with the database; what a snapshot does hold
up meanwhile is the vacuuming of rows that change.

A rule is broken by offences. Each names its show, and the seat and booking where it can; the first `OFFENCES_MAX` of
a rule are kept, all are counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from rowlock.domain.events import unpack
from rowlock.domain.ids import TAIL_BITS, booking_id
from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import Category, LayoutError, decode_spec
from rowlock.domain.layouts import Layout
from rowlock.domain.lifecycles import SeatStatus
from rowlock.operations.replay import Replay
from rowlock.postgres.jobs import connect_job, job_transaction
from rowlock.postgres.pool import Database
from rowlock.postgres.queries import load

SQL = load("verify")

OFFENCES_MAX = 20  # of a rule: enough to see what they have in common
RANGE_SHOWS = 1_000
RANGE_SEATS = 500_000  # of a range of shows: a statement then takes a second, and some 100 MB at most
# A sweep may wait for the one before, and for busy lanes; a shorter pause than this promises nothing.
SWEEP_SECONDS_MIN = 1.0
LOG_ROWS = 500  # of a show's events, read together: each may be a batch of 200 bookings
LAYOUTS_KEPT = 64  # compiled ones: shows of one hall stand near each other

_FIRST, _LAST = -(2**63), 2**63 - 1


class Rule(msgspec.Struct, frozen=True):
    """What must hold, in a sentence; the query that finds what breaks it."""

    name: str
    sentence: str
    query: str = ""


RULES = (
    Rule("whole_shows", "every show has its inventory; every seat and booking its show", SQL.whole_shows),
    Rule("readable_layouts", "every layout can be read"),
    Rule("one_owner", "no seat has two owners", SQL.one_owner),
    Rule("owner_has_seat", "no owner is without the seat, and no seat without its owner", SQL.owner_has_seat),
    Rule("counts", "counts equal the seats", SQL.counts),
    Rule("seats_in_layout", "seats are those of the layout", SQL.seats_in_layout),
    Rule("bookings_in_layout", "bookings name seats of the layout, each once", SQL.bookings_in_layout),
    Rule("seat_counts", "bookings name as many seats as they say", SQL.seat_counts),
    Rule("amounts", "amounts equal the layout's prices", SQL.amounts),
    Rule("expiries", "only holds expire: no confirmed booking has an expiry", SQL.expiries),
    Rule("holds_end_together", "a held seat ends with its booking", SQL.holds_end_together),
    Rule("overdue", "no hold is overdue by more than two sweeps", SQL.overdue),
    Rule("settled_shows", "no booking of a cancelled and settled show is live", SQL.settled_shows),
    Rule("versions", "versions and sales fit what happened", SQL.versions),
    Rule("times", "times are finite and in order, and none that has been is still to come", SQL.times),
    Rule("reasons", "reasons fit statuses", SQL.reasons),
    Rule("ids", "a booking's id names its show", SQL.ids),
    Rule("events", "events, replayed from the first one, give the seats as they are"),
)
_LAYOUT_RULES = {"seats_in_layout", "bookings_in_layout"}


class Offence(msgspec.Struct, frozen=True):
    """One break of a rule. `seat` is a label, or `#` and the number where there is none."""

    show_id: int
    seat: str | None
    booking_id: UUID | None
    what: str

    def __str__(self) -> str:
        parts = [f"show {self.show_id}"]
        if self.seat is not None:
            parts.append(f"seat {self.seat}")
        if self.booking_id is not None:
            parts.append(f"booking {self.booking_id}")
        return f"{' '.join(parts)}: {self.what}"


class Finding(msgspec.Struct):
    """What a rule found: some of the offences, and how many there are."""

    rule: Rule
    offences: list[Offence]
    count: int = 0

    @property
    def rest(self) -> int:
        """How many offences are not listed."""
        return self.count - len(self.offences)


class Report(msgspec.Struct):
    """What an audit found, a finding for each rule."""

    shows: int
    seats: int
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether nothing breaks any rule."""
        return not any(finding.count for finding in self.findings)


async def verify(
    database: Database, *, sweep_seconds: float, on_progress: Callable[[int, int], None] = lambda *_: None
) -> Report:
    """Audit a database. `on_progress` hears of the shows and seats that are done."""
    async with connect_job(database) as connection, job_transaction(connection, snapshot=True):
        return await audit(connection, sweep_seconds=sweep_seconds, on_progress=on_progress)


async def audit(
    connection: asyncpg.Connection,
    *,
    sweep_seconds: float,
    after: int = _FIRST,
    until: int = _LAST,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Audit the shows `after` < id <= `until`, in the transaction that the connection is in."""
    report = Report(0, 0, [Finding(rule, []) for rule in RULES])
    await _audit_between(
        connection, report, after, until, sweep_seconds=sweep_seconds, on_progress=on_progress
    )
    return report


async def audit_shows(connection: asyncpg.Connection, ids: Sequence[int], *, sweep_seconds: float) -> Report:
    """Audit some shows and no others, in the transaction that the connection is in."""
    report = Report(0, 0, [Finding(rule, []) for rule in RULES])
    for first, last in _runs(ids):
        await _audit_between(connection, report, first - 1, last, sweep_seconds=sweep_seconds)
    return report


def _runs(ids: Sequence[int]) -> list[tuple[int, int]]:
    """The first and last of ids that follow each other without a gap."""
    runs: list[tuple[int, int]] = []
    for show_id in sorted(ids):
        if runs and runs[-1][1] == show_id - 1:
            runs[-1] = (runs[-1][0], show_id)
        else:
            runs.append((show_id, show_id))
    return runs


async def _audit_between(
    connection: asyncpg.Connection,
    report: Report,
    after: int,
    until: int,
    *,
    sweep_seconds: float,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> None:
    overdue_seconds = 2 * max(sweep_seconds, SWEEP_SECONDS_MIN)
    while after < until:
        shows = await connection.fetch(SQL.next_shows, after, RANGE_SHOWS)
        taken = 0
        seats = 0
        while taken < len(shows) and shows[taken]["show_id"] <= until and seats < RANGE_SEATS:
            seats += shows[taken]["total"]
            taken += 1
        # The last range reaches to the end: what has no inventory must be in some range, too.
        ended = taken == len(shows) < RANGE_SHOWS or (taken < len(shows) and shows[taken]["show_id"] > until)
        stop = until if ended else shows[taken - 1]["show_id"]
        await _audit_range(connection, report, after, stop, overdue_seconds)
        report.shows += taken
        report.seats += seats
        on_progress(report.shows, report.seats)
        after = stop


async def _audit_range(
    connection: asyncpg.Connection, report: Report, after: int, until: int, overdue_seconds: float
) -> None:
    layouts: dict[int, Layout] = {}
    findings = {finding.rule.name: finding for finding in report.findings}
    for row in await connection.fetch(SQL.layouts, after, until):
        try:
            layouts[row["id"]] = _compile(row["layout"], row["categories"])
        except (LayoutError, msgspec.DecodeError) as error:
            _add(findings["readable_layouts"], [Offence(row["id"], None, None, str(error))], 1)
    await _audit_events(connection, findings["events"], layouts, after, until)
    for finding in report.findings:
        if finding.rule.query:
            values = _values(finding.rule, layouts, overdue_seconds)
            rows = await connection.fetch(finding.rule.query, after, until, OFFENCES_MAX, *values)
            _add(finding, [_offence(row, layouts) for row in rows], rows[0]["total"] if rows else 0)


async def _audit_events(
    connection: asyncpg.Connection, finding: Finding, layouts: dict[int, Layout], after: int, until: int
) -> None:
    """Replay the events of each show that has them all."""
    for show in await connection.fetch(SQL.whole_logs, after, until):
        offences = [offence async for offence in _replay(connection, show, layouts.get(show["show_id"]))]
        _add(finding, offences, len(offences))


async def _replay(connection: asyncpg.Connection, show: Any, layout: Layout | None) -> AsyncIterator[Offence]:
    """What a show's events tell of its seats that is not so."""
    show_id = show["show_id"]
    replay = Replay()
    last = 0  # the number of the last event that was read
    while rows := await connection.fetch(SQL.log, show_id, last, LOG_ROWS):
        for row in rows:
            if row["seq"] != last + 1:
                yield Offence(show_id, None, None, f"events {last + 1} to {row['seq'] - 1} are missing")
                return
            try:
                found = replay.apply(unpack(row["body"], row["at"]))
            except msgspec.MsgspecError as error:
                yield Offence(show_id, None, None, f"events from {row['seq']} on can't be read: {error}")
                return
            for one in found:
                yield Offence(show_id, _label(layout, one.seat_no), one.booking_id, one.what)
            last = row["seq"] + row["events"] - 1
    if last != show["told_events"]:
        yield Offence(
            show_id, None, None, f"has told {show['told_events']} events, and the last one is {last}"
        )
        return
    told = replay.seats
    for row in await connection.fetch(SQL.taken_seats, show_id):
        number, status = row["seat_no"], SeatStatus(row["status"].decode())
        known = told.pop(number, None)
        # A hold that was overtaken at another seat has ended, and been told; this seat of it is free until it is swept.
        if known is None and status is SeatStatus.RESERVED and row["lapsed"]:
            continue
        if known != (status, row["booking_id"]):
            said = "free" if known is None else f"{known[0].name} of {known[1]}"
            yield Offence(
                show_id, _label(layout, number), row["booking_id"], f"is {status.name}, and told as {said}"
            )
    for number, (status, owner) in told.items():
        yield Offence(show_id, _label(layout, number), owner, f"is AVAILABLE, and told as {status.name}")


def _label(layout: Layout | None, number: int) -> str:
    known = layout is not None and 0 <= number < layout.total_seats
    return layout.label(number) if layout is not None and known else f"#{number}"


def _add(finding: Finding, offences: Sequence[Offence], count: int) -> None:
    finding.offences.extend(offences[: OFFENCES_MAX - len(finding.offences)])
    finding.count += count


def _values(rule: Rule, layouts: dict[int, Layout], overdue_seconds: float) -> list[object]:
    """What a rule's query wants to know beside the range."""
    ids = list(layouts)
    if rule.name in _LAYOUT_RULES:
        return [ids, [layout.total_seats for layout in layouts.values()]]
    if rule.name == "amounts":
        return [
            ids,
            [layout.category_of for layout in layouts.values()],
            [_prices(layout) for layout in layouts.values()],
        ]
    if rule.name == "ids":
        ends = (0, (1 << TAIL_BITS) - 1)
        return [ids, *([booking_id(show_id, end) for show_id in ids] for end in ends)]
    if rule.name == "overdue":
        return [overdue_seconds]
    return []


def _prices(layout: Layout) -> str:
    """The prices of a layout's categories, as the text of an array literal: they are of different lengths."""
    return "{" + ",".join(str(category.price_cents) for category in layout.categories) + "}"


@lru_cache(maxsize=LAYOUTS_KEPT)
def _compile(stored: str, categories: str) -> Layout:
    """A show's layout. Raises `LayoutError` or `msgspec.DecodeError`."""
    return compile_layout(decode_spec(stored), msgspec.json.decode(categories, type=list[Category]))


def _offence(row: Any, layouts: dict[int, Layout]) -> Offence:
    number = row["seat_no"]
    layout = layouts.get(row["show_id"])
    seat = None if number is None else _label(layout, number)
    return Offence(row["show_id"], seat, row["booking_id"], row["what"])
