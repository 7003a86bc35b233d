"""Best available: picking seats for requests that only give a count.

A batch picks before it locks, from the map in memory, and `decide` verifies each pick under the locks. A
pick that was lost to someone else comes back as REPICK; so does a request for which too few seats could be seen. What
is REPICKed leaves the batch and goes to `serve_counts`, which proves what it says:

 1. In a transaction of its own it locks the show's inventory row. Whoever changes a seat of the show holds that row
    when they commit, so from here on nobody can: what is read is how things stand.
 2. It reads all of the show's seats, without locks. Fewer than n free or lapsed: FAILED, truly, at this instant.
 3. Else it picks, and locks the pick with SKIP LOCKED: others may hold seat locks while they wait for the inventory
    row, and waiting for them here would be a circle. Skipped seats are set aside, and it picks again.
 4. Queued requests keep their order: those behind one that must be picked again wait, and come here with it, even where
    they name their seats. Those are locked with SKIP LOCKED, too.
 5. Too few left that way: it is REPICKed once more, and waits its turn while the others are served. Seat locks are
    held for milliseconds, so that is soon over; its deadline bounds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import Any

import msgspec

from rowlock.domain.best_available import best_available, count_free
from rowlock.domain.commands import Book, Command, in_line
from rowlock.domain.decide import decide
from rowlock.domain.layouts import Layout
from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision, World
from rowlock.engine.batch import Batch, bookings_to_read, changes_of, observe_batch
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans
from rowlock.tasks import retrieve

# For all maps and plans of a batch, together. Reading one takes milliseconds; where all connections for reading are
# taken, the proof reads on the lane's own.
MAPS_SECONDS_MAX = 0.25
TURN_SECONDS = 0.005
_TAKEN = 0
_FREE = bytes(letter == ord(SeatStatus.AVAILABLE.value) for letter in range(256))  # a status letter to 1 or 0


def pick(command: Book, layout: Layout, free: bytearray) -> Book:
    """The command with the best seats for it, taken out of `free`; with none where too few are free."""
    seats = best_available(
        layout, free, command.wanted_count, category=command.category, accessible=command.accessible
    )
    if not seats:
        return msgspec.structs.replace(command, seats=(), amount_cents=0)
    for number in seats:
        free[number] = _TAKEN
    return msgspec.structs.replace(command, seats=seats, amount_cents=layout.amount_cents(seats))


async def pick_all(maps: Maps, plans: Plans, commands: Sequence[Command]) -> list[Command]:
    """Pick for every count request among `commands`, apart from each other and from the seats that others name.

    The picks are made from the maps in memory, which may be behind, and don't know of holds that have lapsed: they are
    only where to look first.
    """
    picked = list(commands)
    turns = _Turns()
    shows = {c.show_id for c in commands if isinstance(c, Book) and c.wanted_count}
    await _load_in_time(maps, plans, shows)
    for show_id in shows:
        plan, seat_map = plans.known(show_id), maps.known(show_id)
        if plan is None or seat_map is None:
            continue  # without a pick: SHOW_NOT_FOUND, or REPICK
        free = seat_map.letters.translate(_FREE)
        for command in commands:
            if command.show_id == show_id and not (isinstance(command, Book) and command.wanted_count):
                for number in command.seats:
                    free[number] = _TAKEN
        for index, command in enumerate(commands):
            if isinstance(command, Book) and command.show_id == show_id and command.wanted_count:
                picked[index] = pick(command, plan.layout, free)
                await turns.share()
    return picked


class _Turns:
    """Lets others have their turn now and then: a pick in a large hall takes milliseconds, and there may be many.

    Not after each of them. A turn of a crowd that is being refused takes tens of milliseconds.
    """

    def __init__(self) -> None:
        self._since = perf_counter()

    async def share(self) -> None:
        """Let others have a turn, if it is time."""
        if perf_counter() - self._since > TURN_SECONDS:
            await asyncio.sleep(0)
            self._since = perf_counter()


async def _load_in_time(maps: Maps, plans: Plans, shows: Iterable[int]) -> None:
    """Have the maps and plans of shows at hand, as far as that is soon: those who only look must not keep a lane waiting.

    What comes too late is there for the next batch; what fails is REPICKed, like what comes too late.
    """
    wanted = [maps.get(show_id) for show_id in shows if maps.known(show_id) is None]
    reading: list[asyncio.Task[Any]] = [asyncio.create_task(want) for want in wanted]
    reading += [asyncio.create_task(plans.get(show_id)) for show_id in shows if plans.known(show_id) is None]
    if not reading:
        return
    for task in reading:
        task.add_done_callback(retrieve)
    try:
        await asyncio.wait(reading, timeout=MAPS_SECONDS_MAX)
    finally:
        for task in reading:
            task.cancel()


async def serve_counts(
    batch: Batch, layout: Layout, commands: Sequence[Book], *, doubtful: bool
) -> list[Decision]:
    """Decide count requests of one show, and queued ones that stood behind them, under its inventory row.

    REPICK: others have locked too many of the free seats, or a request before it in the line must wait for them.
    """
    show_id = commands[0].show_id
    times = [perf_counter()]
    await batch.begin()
    locked = await batch.lock((), (show_id,))
    world, now = locked.world, locked.now
    assert now is not None, "a show with a layout has its inventory row"
    await batch.read_bookings(world, bookings_to_read(commands, doubtful))
    await batch.read_holds(world, commands, now)
    free = await batch.free_seats(show_id, now)
    times.append(perf_counter())
    decisions = []
    held_up = False
    turns = _Turns()
    for command in commands:
        if held_up and in_line(command):
            decisions.append(Decision(Outcome.REPICK))
            continue
        world.left[show_id, command.category, command.accessible] = count_free(
            layout, free, category=command.category, accessible=command.accessible
        )
        ready = await _lock_pick(batch, layout, command, free, locked.world)
        decision = Decision(Outcome.REPICK) if ready is None else decide(ready, world, now)
        held_up = held_up or (decision.outcome is Outcome.REPICK and in_line(command))
        world.apply(show_id, decision)
        world.note(command, decision)
        for number, _ in decision.seats:
            free[number] = _TAKEN
        decisions.append(decision)
        await turns.share()
    times.append(perf_counter())
    await batch.write(world, now)
    times.append(perf_counter())
    await batch.commit(locked)
    observe_batch(len(commands), *times)
    batch.publish(changes_of(world))
    return decisions


async def _lock_pick(
    batch: Batch, layout: Layout, command: Book, free: bytearray, world: World
) -> Book | None:
    """Pick seats that can be locked at once; none where that can't be, or need not. None where named ones can't be."""
    if not command.wanted_count:
        if world.bookings.get(command.booking_id):
            return command
        named = [(command.show_id, number) for number in command.seats]
        await batch.lock_free(world, named)
        return command if all(key in world.seats for key in named) else None
    none = msgspec.structs.replace(command, seats=(), amount_cents=0)
    if world.bookings.get(command.booking_id) or world.proved_short(world.sales[command.show_id], command):
        return none
    open_seats = bytearray(free)
    while True:
        picked = pick(command, layout, open_seats)
        keys = [(command.show_id, number) for number in picked.seats]
        await batch.lock_free(world, keys)
        if all(key in world.seats for key in keys):
            return picked
        for key in keys:  # what is ours may be picked again; what others have locked may not
            open_seats[key[1]] = key in world.seats
