"""Foretold bookings: straight bookings whose ends are known from a map in memory, before PostgreSQL is asked.

Most of what a statement does that decides is to lock rows and to find out what stands in them. A process that keeps a
show's map (seatmap/maps.py) knows that already, nearly always. So it says what each booking will come to, and the statement
books what is to be booked and checks the rest, under the same locks; where anything is not as foretold, all of it fails,
nothing holds, and a statement that decides is asked (straight.py). Memory never decides: it saves finding out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import asyncpg

from rowlock import telemetry
from rowlock.domain.commands import Actor
from rowlock.domain.decide import booked, refused
from rowlock.domain.events import pack_refused
from rowlock.domain.lifecycles import Reason
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision
from rowlock.engine.rows import flags, numbers, sparse, words
from rowlock.engine.straight import SQL, Line, Verdict, changes_of
from rowlock.engine.writing import cuts
from rowlock.seatmap.maps import Maps

_BOOK: Final = cuts(SQL.book_as_foretold)
_FREE: Final = ord("A")
_NO_MAP: Final = bytearray()

# After a statement was not as foretold the next is not tried, after a second one the next two, and so on up to so many. One that
# was saves a quarter of what one that was not costs, and makes up for as much. Where somebody else sells the same seats
# maps are always a moment late, and who sends the same key again and again would have everybody's seats written and undone.
PAUSE_STATEMENTS_MAX: Final = 64
RIGHT_SHARE: Final = 0.25
DOUBT_MAX: Final = 6.0  # statements that are to be made up for


class Foresight:
    """What is foretold from the maps, and how well that has gone lately."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._pause = 0  # how many statements are not foretold
        self._doubt = 0.0  # how many were not as foretold, and are not made up for

    def foretell(self, lines: Sequence[Line], now: float) -> list[tuple[int, ...]] | None:
        """Which seats will stand in the way of each booking, none where it will be booked; None where it is better to ask."""
        if self._pause:
            self._pause -= 1
            return None
        conflicts: list[tuple[int, ...]] = []
        at, letters = -1, _NO_MAP
        for line in lines:
            command = line.command
            if command.show_id != at:
                at = command.show_id
                letters = self._maps.letters_of(at, now) or _NO_MAP
            try:
                taken = [seat for seat in command.seats if letters[seat] != _FREE] if letters else None
            except IndexError:  # somebody has changed the hall by hand
                taken = None
            conflicts.append(tuple(taken) if taken else ())
        return conflicts

    def was(self, *, right: bool) -> None:
        """Whether it came as foretold."""
        if right:
            self._doubt = max(0.0, self._doubt - RIGHT_SHARE)
            return
        telemetry.BATCH_RETRIES.labels("unforeseen").inc()
        self._pause = min(2 ** int(self._doubt), PAUSE_STATEMENTS_MAX)
        self._doubt = min(self._doubt + 1, DOUBT_MAX)


async def book_as_foretold(
    connection: asyncpg.Connection,
    lines: Sequence[Line],
    conflicts: Sequence[tuple[int, ...]],
    seconds_max: float,
    events: bool,
) -> asyncpg.Record | None:
    """Book as foretold: it holds when this returns, and `verdict_of_foretold` reads it. None: it is not as foretold, and
    nothing holds.

    Errors are those of `book_straight`.
    """
    statement = _BOOK[True, events]
    try:
        return await connection.fetchrow(
            statement.sql, *statement.arguments(_columns(lines, conflicts)), timeout=seconds_max
        )
    except (asyncpg.DivisionByZeroError, asyncpg.UniqueViolationError):
        return None


def _columns(lines: Sequence[Line], conflicts: Sequence[tuple[int, ...]]) -> list[Any]:
    """The parameters $1 to $30 of the statement. PostgreSQL has nothing to do until they are there."""
    # Of each show: the most seats that a booking wants, all that are wanted, those booked, how many bookings, whether by a
    # customer, events. A list, because that is the quickest.
    of_show: dict[int, list[Any]] = {}
    to_book: Sequence[Line] = lines
    looked_at: list[tuple[int, int, bool]] = []
    if any(conflicts):
        to_book = [line for line, taken in zip(lines, conflicts, strict=True) if not taken]
    for line, taken in zip(lines, conflicts, strict=True):
        command = line.command
        show_id, size = command.show_id, len(command.seats)
        so_far = of_show.get(show_id)
        if so_far is None:
            so_far = of_show[show_id] = [size, 0, 0, 0, False, []]
        elif size > so_far[0]:
            so_far[0] = size
        so_far[1] += size
        so_far[3] += 1
        if command.by is Actor.OWNER:
            so_far[4] = True
        if taken:
            looked_at += [(show_id, seat, seat not in taken) for seat in command.seats]
            so_far[5].append(pack_refused(line.body, taken))
        else:
            so_far[2] += size
            so_far[5].append(line.event)
    shows = sorted(of_show)
    most, total, sold, attempts, by_owner, events = zip(*[of_show[show_id] for show_id in shows], strict=True)
    bodies = [b"".join(each) for each in events]
    sizes = list(map(len, bodies))
    commands, _, show, _, _, array, size_, identifier, _, user, name, email, amount, trail, _, _ = zip(
        *lines, strict=True
    )
    return [
        words([line.shows for line in to_book]),
        words([line.seats for line in to_book]),
        words([line.identifiers for line in to_book]),
        numbers([show_id for show_id, _, _ in looked_at]),
        numbers([seat for _, seat, _ in looked_at]),
        flags([free for _, _, free in looked_at]),
        numbers(shows),
        numbers(most),
        numbers(total),
        numbers(sold),
        numbers(attempts),
        flags(by_owner),
        words(show),
        words(identifier),
        words(user),
        words(name),
        words(email),
        words(array),
        words([f'"{numbers(taken)}"' if taken else "NULL" for taken in conflicts]) if looked_at else "{}",
        words(size_),
        words(amount),
        sparse([command.request_hash for command in commands]),
        words(trail),
        numbers(accumulate(sizes[:-1], initial=1)),
        numbers(sizes),
        b"".join(bodies),
        sum(sold),
        len(looked_at),
        len(shows),
        len(lines),
    ]


def verdict_of_foretold(
    lines: Sequence[Line], conflicts: Sequence[tuple[int, ...]], row: asyncpg.Record
) -> Verdict:
    """What was foretold, now that it has come so."""
    now = row["now"]
    decisions: list[Decision | None] = []
    seats: dict[int, list[int]] = {}
    for line, taken in zip(lines, conflicts, strict=True):
        command = line.command
        if taken:
            failed = refused(command, Reason.SEATS_TAKEN, taken, now)
            decisions.append(Decision(Outcome.SEATS_TAKEN, booking=failed, conflicts=taken))
        else:
            decisions.append(Decision(Outcome.CONFIRMED, booking=booked(command, now)))
            seats.setdefault(command.show_id, []).extend(command.seats)
    return Verdict(decisions, changes_of(row, seats))
