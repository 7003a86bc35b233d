"""A batch where the tables are spread by show (ROWLOCK_SHARDED): it is about one show, and runs on that show's shard.

The rules of `batch.py` hold, with these differences:

 - `now` is the clock of the node that has the show. All who decide about a show read that one.
 - What is written takes up to three statements instead of one, for a shard takes no INSERT inside of another statement.
   Each that has nothing to do is left out.
 - Any failure of COMMIT is a lost answer. The node that we talk to commits on another, and where that one's answer is
   lost it can only say that something failed, whatever the SQLSTATE: the shard may have committed. So it is looked up, as
   in docs/decisions/0002; the rows that this needs are on that very shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.state import Sale, Seat
from rowlock.domain.world import SeatKey, World
from rowlock.engine.batch import Batch, CommitLost, IdTaken, Locked, RowsMissed
from rowlock.engine.rows import (
    audit_columns,
    booking_columns,
    booking_from_row,
    change_columns,
    sale_from_row,
    seat_columns,
    seat_from_row,
    trail_column,
)
from rowlock.engine.telling import Told
from rowlock.postgres.errors import is_cancelled
from rowlock.postgres.queries import load

SQL = load("sharded")


class ShardedBatch(Batch):
    """A transaction on a lane's connection, about one show."""

    async def begin(self) -> None:
        """Begin; nothing is locked yet, and no lock will be waited for longer than the limit."""
        await super().begin()
        for statement in self._database.shard_limits():
            await self._connection.execute(statement)

    async def lock(self, seats: Iterable[SeatKey], shows: Iterable[int]) -> Locked:
        """Lock the seats of one show, then its inventory, and read the clock."""
        (show_id,) = shows
        mine = await self._connection.fetchrow(SQL.whoami)
        rows = await self._connection.fetch(SQL.lock, show_id, _numbers(show_id, seats))
        found: dict[SeatKey, Seat] = {}
        sales: dict[int, Sale] = {}
        clock: datetime | None = None
        for row in rows:
            if row["seat_no"] is not None:
                found[row["show_id"], row["seat_no"]] = seat_from_row(row)
            else:
                sales[row["show_id"]] = sale_from_row(row, self._default_hold_seconds)
                clock = row["clock"]
        return Locked(World(found, sales, {}), clock, mine["backend"], mine["began"])

    async def lock_free(self, world: World, seats: Iterable[SeatKey]) -> None:
        """Lock what can be had of `seats` without waiting, and add it to `world`."""
        keys = [key for key in seats if key not in world.seats]
        if keys:
            show_id = keys[0][0]
            for row in await self._connection.fetch(SQL.lock_free_seats, show_id, _numbers(show_id, keys)):
                world.seats[row["show_id"], row["seat_no"]] = seat_from_row(row)

    async def read_bookings(self, world: World, keys: Iterable[tuple[int, UUID]]) -> None:
        """Read bookings into `world`, as they are now that their show's inventory is locked."""
        wanted = list(keys)
        if wanted:
            identifiers = [identifier for _, identifier in wanted]
            for row in await self._connection.fetch(SQL.read_bookings, wanted[0][0], identifiers):
                booking = booking_from_row(row)
                world.bookings[booking.id] = booking

    async def _fetch_holds(self, keys: set[tuple[int, str]], since: datetime) -> list[Any]:
        ((show_id, _), *_) = keys
        users = [user_id for _, user_id in keys]
        rows: list[Any] = await self._connection.fetch(SQL.read_holds, show_id, users, since)
        return rows

    async def write(self, world: World, now: datetime | None) -> None:
        """Write what changed in `world` at `now`, in three steps at most. Raises `IdTaken` or `RowsMissed`."""
        if not (world.new_bookings or world.changed_bookings or world.changed_seats or world.closed):
            return
        told = await self._tell(world)
        (show_id,) = world.sales
        if world.new_bookings:
            new = list(world.new_bookings.values())
            _, *columns = booking_columns(new, now)
            trails = trail_column(new, world.trails)
            made = await self._connection.fetch(SQL.make_bookings, show_id, *columns, trails)
            if len(made) != len(world.new_bookings):
                raise IdTaken
        await self._change(world, show_id, told)
        for audited in zip(*audit_columns(world.audited), strict=True):
            await self._connection.execute(SQL.audit, *audited, now)
        for row in told:
            await self._connection.execute(
                SQL.tell, row.show_id, row.seq, row.events, row.version, row.body, now
            )

    async def _change(self, world: World, show_id: int, told: list[Told]) -> None:
        risen = show_id in world.changed_shows()
        events = sum(row.events for row in told)
        seats = world.changed_seats
        if not (world.changed_bookings or seats or risen or events or world.closed):
            return
        counts = world.count_changes.get(show_id, {})
        _, *changed_seats = seat_columns(seats)
        _, *changed = change_columns(list(world.changed_bookings.values()))
        met = await self._connection.fetchrow(
            SQL.change,
            show_id,
            *changed,
            [identifier for _, identifier in world.overtaken],
            *changed_seats,
            *(counts.get(status, 0) for status in SeatStatus),
            show_id in world.closed,
            int(risen),
            events,
            self._events,
        )
        expected = (len(world.changed_bookings), len(seats), 1)
        if (met["changed"], met["seated"], met["counted"]) != expected:
            raise RowsMissed(f"write met {tuple(met)}, expected {expected}")

    async def commit(self, locked: Locked) -> None:
        """Commit. Raises `CommitLost` where it can't be known whether it holds: here, wherever it fails."""
        try:
            await super().commit(locked)
        except CommitLost:
            raise
        except (asyncpg.PostgresError, asyncio.CancelledError) as error:
            if is_cancelled(error) or not (locked.now and locked.began):
                raise
            raise CommitLost(locked.backend, locked.began, locked.now, repr(error)) from error


def _numbers(show_id: int, keys: Iterable[SeatKey]) -> list[int]:
    """The seat numbers of keys that are all of one show."""
    numbers = []
    for of_show, number in keys:
        assert of_show == show_id, "a batch is about one show"
        numbers.append(number)
    return numbers
