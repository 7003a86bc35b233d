"""One batch: lock, decide, write, commit.

Rules, each with the reason it holds:

 1. Nothing is answered before COMMIT was. An answer to COMMIT other than COMMIT is a failure.
 2. Locks are taken in one order (postgres/sql/batch.sql), so that batches of any two processes can wait for each
    other, but never in a circle.
 3. `now` is the database's, read when every lock is held.
 4. Every row that must be met is counted at the write. A count that is off is a bug or a foreign hand: roll back.
 5. A new booking whose id exists is never a new booking: `IdTaken`, and the batch runs again with that id read
    first. (Ids that come from an Idempotency-Key are always read first, under the lock of the show's inventory row,
    which whoever inserts such an id must hold too. So this is the belt to those braces.)
 6. When the answer to COMMIT is lost, so is the knowledge of what holds. `CommitLost` says so, and carries what is
    needed to find out (see `lane.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from rowlock import telemetry
from rowlock.domain.commands import Book, Cancel, Command, Confirm, Expire, in_line
from rowlock.domain.decide import decide
from rowlock.domain.fair_play import REPEATS_WINDOW, FairPlay, is_bound
from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import Sale, Seat
from rowlock.domain.world import Decision, SeatKey, World
from rowlock.engine.rows import (
    audit_columns,
    booking_columns,
    booking_from_row,
    change_columns,
    flags,
    numbers,
    sale_from_row,
    seat_columns,
    seat_from_row,
    trail_column,
)
from rowlock.engine.telling import Told, gather, settle_overtaken, told_columns
from rowlock.engine.writing import cuts
from rowlock.postgres.errors import Trouble, diagnose, is_cancelled
from rowlock.postgres.pool import Database
from rowlock.postgres.queries import load
from rowlock.seatmap.changes import Change

SQL = load("batch")
SHOWS = load("shows")
WRITE = cuts(SQL.write)
# statement_timeout does not bound the wait of a COMMIT for a synchronous standby. After this long it counts as lost.
COMMIT_SECONDS_MAX = 8.0
_PHASES = [telemetry.BATCH_SECONDS.labels(phase) for phase in ("lock", "decide", "write", "commit")]
_STRAIGHT = telemetry.BATCH_SECONDS.labels("straight")
COUNTED = tuple(SeatStatus)  # available, reserved, booked, blocked: the order of the write's columns


class IdTaken(Exception):  # noqa: N818
    """A new booking's id exists already; nothing was written."""


class RowsMissed(Exception):  # noqa: N818
    """The write met other rows than it locked; nothing was written."""


class CommitLost(Exception):  # noqa: N818
    """COMMIT was sent and not answered: it may or may not hold.

    `backend` and `began` name the transaction, so that it can be ended; `now` is when it was decided.
    """

    def __init__(self, backend: int, began: datetime, now: datetime, cause: str) -> None:
        super().__init__(cause)
        self.backend = backend
        self.began = began
        self.now = now


class Locked(msgspec.Struct, frozen=True):
    """What the lock statement brought back."""

    world: World
    now: datetime | None
    backend: int = 0
    began: datetime | None = None


class Batch:
    """A transaction on a lane's connection.

    `default_hold_seconds` is for shows that set none of their own. `publish` is told of changes that are committed.
    `events`: whether they are written to the outbox, too.
    """

    def __init__(
        self,
        connection: asyncpg.Connection,
        database: Database,
        default_hold_seconds: int,
        publish: Callable[[Sequence[Change]], None],
        *,
        events: bool = True,
        fair_play: FairPlay | None = None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._default_hold_seconds = default_hold_seconds
        self.publish = publish
        self._events = events
        self._fair_play = fair_play
        self.warned = False  # a WARNING came: see `commit`

    async def begin(self) -> None:
        """Begin; nothing is locked yet."""
        await self._connection.execute(self._database.begin())

    async def rollback(self) -> None:
        """Undo; harmless when there is nothing to undo."""
        await self._connection.execute("ROLLBACK")

    async def lock(self, seats: Iterable[SeatKey], shows: Iterable[int]) -> Locked:
        """Lock seats, then inventory, each in order, and read the clock."""
        keys = list(seats)
        rows = await self._connection.fetch(
            SQL.lock, numbers([k[0] for k in keys]), numbers([k[1] for k in keys]), numbers(shows)
        )
        found: dict[SeatKey, Seat] = {}
        sales: dict[int, Sale] = {}
        clocks: list[datetime] = []
        backend, began = 0, None
        for row in rows:
            if row["seat_no"] is not None:
                found[row["show_id"], row["seat_no"]] = seat_from_row(row)
            else:
                sales[row["show_id"]] = sale_from_row(row, self._default_hold_seconds)
                clocks.append(row["clock"])
                backend, began = row["backend"], row["began"]
        return Locked(World(found, sales, {}), max(clocks, default=None), backend, began)

    async def lock_free(self, world: World, seats: Iterable[SeatKey]) -> None:
        """Lock what can be had of `seats` without waiting, and add it to `world`."""
        keys = [key for key in seats if key not in world.seats]
        if keys:
            rows = await self._connection.fetch(
                SQL.lock_free_seats, [k[0] for k in keys], [k[1] for k in keys]
            )
            for row in rows:
                world.seats[row["show_id"], row["seat_no"]] = seat_from_row(row)

    async def read_bookings(self, world: World, keys: Iterable[tuple[int, UUID]]) -> None:
        """Read bookings into `world`, as they are now that their shows' inventory is locked."""
        wanted = list(keys)
        if wanted:
            rows = await self._connection.fetch(
                SQL.read_bookings, [k[0] for k in wanted], [k[1] for k in wanted]
            )
            for row in rows:
                booking = booking_from_row(row)
                world.bookings[booking.id] = booking

    async def read_holds(self, world: World, commands: Iterable[Command], now: datetime | None) -> None:
        """Read into `world` what its bounds of fair play go by, where a customer wants a hold; else ask nothing."""
        if self._fair_play is None or now is None:
            return
        keys = {(c.show_id, c.user_id) for c in commands if isinstance(c, Book) and is_bound(c)}
        if not keys:
            return
        world.fair_play = self._fair_play
        longest = max((sale.hold_seconds for sale in world.sales.values()), default=0)
        since = now - max(REPEATS_WINDOW, timedelta(seconds=longest))
        for row in await self._fetch_holds(keys, since):
            hold = booking_from_row(row)
            world.bookings.setdefault(hold.id, hold)
            world.holds.setdefault((hold.show_id, hold.user_id), []).append(hold.id)

    async def _fetch_holds(self, keys: Collection[tuple[int, str]], since: datetime) -> list[asyncpg.Record]:
        """The holds that users (by show) made since some time."""
        shows, users = [k[0] for k in keys], [k[1] for k in keys]
        rows: list[asyncpg.Record] = await self._connection.fetch(SQL.read_holds, shows, users, since)
        return rows

    async def free_seats(self, show_id: int, now: datetime | None = None) -> bytearray:
        """Which seats of a show are free at `now` (when the query runs): a byte a seat, 1 for free; nothing is locked."""
        return bytearray(await self._connection.fetchval(SQL.free_seats, show_id, now) or b"")

    async def _tell(self, world: World) -> list[Told]:
        """What is to be told of what changed in `world`. Reads what only events need to know, which is little and rare."""
        if not self._events:
            return []
        if world.overtaken:
            await self.read_bookings(world, world.overtaken)
            settle_overtaken(world)
        return await gather(world, self._read_show)

    async def _read_show(self, show_id: int) -> dict[str, Any]:
        return dict(await self._connection.fetchrow(SHOWS.show, show_id))

    async def write(self, world: World, now: datetime | None) -> None:
        """Write what changed in `world` at `now`.

        Raises `IdTaken` or `RowsMissed`, after which only `rollback` will do.
        """
        if not (world.new_bookings or world.changed_bookings or world.changed_seats or world.closed):
            return
        told = await self._tell(world)
        events = {row.show_id: row.events for row in told}
        risen = world.changed_shows()
        shows = sorted(risen | events.keys())
        counts = [world.count_changes.get(show_id, {}) for show_id in shows]
        seats = world.changed_seats
        new = list(world.new_bookings.values())
        changed, overtaken = list(world.changed_bookings.values()), world.overtaken
        statement = WRITE[bool(changed or overtaken), self._events]
        arguments = [
            *booking_columns(new, now),
            *change_columns(changed),
            [key[0] for key in overtaken],
            [key[1] for key in overtaken],
            *seat_columns(seats),
            numbers(shows),
            *(numbers([count.get(status, 0) for count in counts]) for status in COUNTED),
            flags([show_id in world.closed for show_id in shows]),
            numbers([int(show_id in risen) for show_id in shows]),
            numbers([events.get(show_id, 0) for show_id in shows]),
            self._events,
            trail_column(new, world.trails),
            *told_columns(told),
        ]
        met = await self._connection.fetchrow(statement.sql, *statement.arguments(arguments))
        if world.audited:
            await self._connection.execute(SQL.audit, *audit_columns(world.audited), now)
        if met["made"] != len(world.new_bookings):
            raise IdTaken
        expected = (len(changed), len(seats), len(shows), len(told))
        if (met.get("changed", 0), met["seated"], met["counted"], met.get("told", 0)) != expected:
            raise RowsMissed(f"write met {tuple(met)}, expected {expected}")

    async def commit(self, locked: Locked) -> None:
        """Commit. Raises `CommitLost` where it can't be known whether it holds.

        A WARNING on COMMIT is such a case: the server says by it that a synchronous standby may not have this yet.
        """
        self.warned = False
        try:
            tag = await self._connection.execute("COMMIT", timeout=COMMIT_SECONDS_MAX)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            if diagnose(error) is Trouble.DISCONNECTED and locked.now and locked.began:
                raise CommitLost(locked.backend, locked.began, locked.now, repr(error)) from error
            raise
        if tag != "COMMIT":
            raise RowsMissed(f"COMMIT was answered with {tag}")
        if self.warned and locked.now and locked.began:
            raise CommitLost(locked.backend, locked.began, locked.now, "a warning on COMMIT")


def changes_of(world: World) -> list[Change]:
    """What a batch that is committed changed of its shows, for the maps of every process."""
    seats: dict[int, list[int]] = {show_id: [] for show_id in world.changed_shows()}
    for show_id, number in world.changed_seats:
        seats[show_id].append(number)
    return [
        Change(
            show_id=show_id,
            version=world.sales[show_id].version + 1,
            available=world.sales[show_id].available
            + world.count_changes.get(show_id, {}).get(SeatStatus.AVAILABLE, 0),
            seats=tuple(numbers),
            letters="".join([world.changed_seats[show_id, number].status for number in numbers]),
        )
        for show_id, numbers in seats.items()
    ]


def bookings_to_read(commands: Iterable[Command], doubtful: bool) -> list[tuple[int, UUID]]:
    """The bookings that a decision on `commands` needs to see.

    New bookings with a random id need no look; in a `doubtful` batch, one that may have been committed before or
    that met an id of its own, all of them do.
    """
    return [
        (command.show_id, command.booking_id)
        for command in commands
        if isinstance(command, Confirm | Cancel | Expire)
        or (isinstance(command, Book) and (doubtful or command.request_hash is not None))
    ]


def decide_all(commands: Sequence[Command], locked: Locked) -> list[Decision]:
    """Decide commands in order, each against what the ones before it left.

    Where a queued request must be picked again, those behind it in the line of its show wait with it.
    """
    now = locked.now
    if now is None:  # none of the shows exists, so no lock was there to take and no clock to read
        return [Decision(Outcome.SHOW_NOT_FOUND) for _ in commands]
    decisions = []
    held_up: set[int] = set()
    for command in commands:
        if in_line(command) and command.show_id in held_up:
            decision = Decision(Outcome.REPICK)
        else:
            decision = decide(command, locked.world, now)
        if decision.outcome is Outcome.REPICK and in_line(command):
            held_up.add(command.show_id)
        locked.world.apply(command.show_id, decision)
        locked.world.note(command, decision)
        decisions.append(decision)
    return decisions


async def run_batch(
    batch: Batch,
    commands: Sequence[Command],
    *,
    doubtful: bool = False,
) -> list[Decision]:
    """Run commands in one transaction; their decisions hold when this returns. On any error nothing was answered.

    Best-available commands bring their picks; one that lost its pick, or had none, comes back as REPICK.
    """
    wait_for = sorted(
        {(c.show_id, number) for c in commands if not isinstance(c, Expire) for number in c.seats}
    )
    take_if_free = sorted(
        {(c.show_id, number) for c in commands if isinstance(c, Expire) for number in c.seats}
    )
    shows = sorted({c.show_id for c in commands})

    started = perf_counter()
    await batch.begin()
    locked = await batch.lock(wait_for, shows)
    await batch.lock_free(locked.world, take_if_free)
    await batch.read_bookings(locked.world, bookings_to_read(commands, doubtful))
    await batch.read_holds(locked.world, commands, locked.now)
    locked_at = perf_counter()
    decisions = decide_all(commands, locked)
    decided_at = perf_counter()
    await batch.write(locked.world, locked.now)
    written_at = perf_counter()
    await batch.commit(locked)
    observe_batch(len(commands), started, locked_at, decided_at, written_at)
    batch.publish(changes_of(locked.world))
    return decisions


def observe_batch(
    commands: int, started: float, locked_at: float, decided_at: float, written_at: float
) -> None:
    """Count a batch that was just committed; times are of `perf_counter`."""
    telemetry.BATCH_COMMANDS.observe(commands)
    lock, decided, write, commit = _PHASES
    lock.observe(locked_at - started)
    decided.observe(decided_at - locked_at)
    write.observe(written_at - decided_at)
    commit.observe(perf_counter() - written_at)


def observe_straight(commands: int, seconds: float) -> None:
    """Count straight bookings that were committed, and took so long."""
    telemetry.BATCH_COMMANDS.observe(commands)
    _STRAIGHT.observe(seconds)
