"""Straight bookings: what most buyers ask for, decided and written by PostgreSQL in one statement.

A stampede asks for named seats, to be bought at once. Such a command needs nothing that PostgreSQL could not look at
itself, once it has the locks: are the seats free, and is the show on sale? So it is one round trip and one transaction
(postgres/sql/straight.sql) where a batch has four statements, and half of what a booking costs.

It knows two endings, booked and taken. Whatever may come to another one is left to the batch, which knows them all; the
two answer, and write, the same (tests/engine/test_straight.py asks both).

The statement commits as it ends, so there is no COMMIT whose answer alone can be lost. Where the connection breaks, the
statement may hold, may still run, or may not even have begun. So its session is ended first (`lane.py`), and its rows
are read after that: what has no session can't run any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import asyncpg

from rowlock.domain.commands import Actor, Book, Command
from rowlock.domain.decide import booked, refused
from rowlock.domain.events import CONFIRMED_BEFORE, pack_attempt
from rowlock.domain.lifecycles import Reason
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import packed
from rowlock.domain.world import Decision, SeatKey
from rowlock.engine.rows import flags, numbers, quoted, sparse, words
from rowlock.engine.writing import cuts
from rowlock.postgres.queries import load
from rowlock.seatmap.changes import Change

SQL = load("straight")
_BOOK = cuts(SQL.book)
_LEFT = "U"
_BOOKED = "B"


class Line(NamedTuple):
    """A straight booking, spelled out for the statement while it waits: PostgreSQL is at work then, and this costs nobody time.

    All but the first two and the last two are text, as elements of arrays. `seats` are its seats' numbers, and `shows` and
    `identifiers` its show and its id as often; `array` are the seats in one. `body` is what is told of it, and `event` the same as booked (events.py).
    """

    command: Book
    keys: list[SeatKey]
    show: str
    shows: str
    seats: str
    array: str
    size: str
    identifier: str
    identifiers: str
    user: str
    name: str
    email: str
    amount: str
    trail: str
    body: bytes
    event: bytes


def line_of(command: Command) -> Line | None:
    """A command's line; None where it is not straight."""
    if type(command) is not Book or not command.confirm or command.wanted_count or command.queued:
        return None
    show_id, seats = command.show_id, command.seats
    show, size = str(show_id), len(seats)
    identifier, listed = str(command.booking_id), ",".join(map(str, seats))
    body = pack_attempt(command)
    return Line(
        command,
        [(show_id, number) for number in seats],
        show,
        ",".join([show] * size),
        listed,
        f'"{{{listed}}}"',
        str(size),
        identifier,
        ",".join([identifier] * size),
        quoted(command.user_id),
        "NULL" if (name := command.customer_name) is None else quoted(name),
        "NULL" if (email := command.email) is None else quoted(email),
        str(command.amount_cents),
        "NULL" if (trail := command.trail) is None else quoted(packed(trail)),
        body,
        CONFIRMED_BEFORE + body,
    )


class HasLine(Protocol):
    """Whatever waits with a line, or with a command that has none."""

    @property
    def line(self) -> Line | None:
        """The line."""


Waiting = TypeVar("Waiting", bound=HasLine)


def split(entries: Sequence[Waiting]) -> tuple[list[Waiting], list[Waiting]]:
    """Which of a lane's entries the statement may decide together, and which it may not.

    A seat that is wanted twice is the first one's to ask for, and so is a booking's id: the batch knows what that leaves to
    the others.
    """
    straight: list[Waiting] = []
    others: list[Waiting] = []
    wanted: set[SeatKey] = set()
    identifiers: set[str] = set()
    for entry in entries:
        line = entry.line
        if line is not None and line.identifier not in identifiers and wanted.isdisjoint(line.keys):
            wanted.update(line.keys)
            identifiers.add(line.identifier)
            straight.append(entry)
        else:
            others.append(entry)
    return straight, others


class Verdict(NamedTuple):
    """What came of straight bookings: a decision for each, None for those that are the batch's; and what changed."""

    decisions: list[Decision | None]
    changes: list[Change]


async def book_straight(
    connection: asyncpg.Connection, lines: Sequence[Line], seconds_max: float, events: bool
) -> asyncpg.Record:
    """Book what `split` chose; what is decided holds when this returns, and `verdict_of` reads it. `events`: whether they
    are written, too.

    On any error of PostgreSQL's own nothing holds. Where there is no answer within `seconds_max`, or the connection is
    lost, that is unknown.
    """
    statement = _BOOK[True, events]
    return await connection.fetchrow(
        statement.sql, *statement.arguments(_columns(lines)), timeout=seconds_max
    )


def _columns(lines: Sequence[Line]) -> list[Any]:
    """The parameters $1 to $19 of the statement."""
    commands = [line.command for line in lines]
    most: dict[str, int] = {}
    total: dict[str, int] = {}
    by_owner: dict[str, bool] = {}
    for line in lines:
        show, size = line.show, len(line.keys)
        if size > most.get(show, 0):
            most[show] = size
        total[show] = total.get(show, 0) + size
        if line.command.by is Actor.OWNER:
            by_owner[show] = True
    return [
        words([",".join([str(nr)] * len(line.keys)) for nr, line in enumerate(lines)]),
        words([line.shows for line in lines]),
        words([line.seats for line in lines]),
        words(most),
        numbers(most.values()),
        numbers(total.values()),
        flags([show in by_owner for show in most]),
        numbers(range(len(lines))),
        words([line.show for line in lines]),
        words([line.identifier for line in lines]),
        words([line.user for line in lines]),
        words([line.name for line in lines]),
        words([line.email for line in lines]),
        words([line.array for line in lines]),
        words([line.size for line in lines]),
        words([line.amount for line in lines]),
        sparse([command.request_hash for command in commands]),
        words([line.trail for line in lines]),
        [line.body for line in lines],
    ]


def verdict_of(lines: Sequence[Line], row: asyncpg.Record) -> Verdict:
    """Read what the statement came to."""
    now: datetime = row["now"]
    obstacles: dict[int, list[int]] = {}
    for nr, seat in row["obstacles"] or ():
        obstacles.setdefault(nr, []).append(seat)
    decisions: list[Decision | None] = []
    seats: dict[int, list[int]] = {}
    for nr, (line, verdict) in enumerate(zip(lines, row["verdicts"], strict=True)):
        command = line.command
        if verdict == _BOOKED:
            decisions.append(Decision(Outcome.CONFIRMED, booking=booked(command, now)))
            seats.setdefault(command.show_id, []).extend(command.seats)
        elif verdict == _LEFT:
            decisions.append(None)
        else:
            taken = tuple([seat for seat in command.seats if seat in obstacles[nr]])
            failed = refused(command, Reason.SEATS_TAKEN, taken, now)
            decisions.append(Decision(Outcome.SEATS_TAKEN, booking=failed, conflicts=taken))
    return Verdict(decisions, changes_of(row, seats))


def changes_of(row: asyncpg.Record, seats: Mapping[int, Sequence[int]]) -> list[Change]:
    """What a statement that booked these seats of each show has changed."""
    return [
        Change(show_id, version, available, tuple(seats[show_id]), _BOOKED * len(seats[show_id]))
        for show_id, version, available in zip(
            row["shows"] or (), row["versions"] or (), row["available"] or (), strict=True
        )
    ]
