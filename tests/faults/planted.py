"""Bugs, planted into a real server: `planted.py BUG serve` is `rowlock serve` with one of them.

Each breaks a promise that the checker looks after. They are here so that it is known to see them, and nowhere else.
"""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec


def acknowledges_before_commit() -> None:
    """An answer goes out that was never committed: one batch in five is rolled back, as by a crash after the answer."""
    from rowlock.engine.batch import Batch, Locked

    commit = Batch.commit

    async def forgetful(self: Batch, locked: Locked) -> None:
        await (self.rollback() if random.random() < 0.2 else commit(self, locked))

    Batch.commit = forgetful  # type: ignore[method-assign]


def sells_held_seats() -> None:
    """A held seat counts as free."""
    from rowlock.domain import decide
    from rowlock.domain.lifecycles import SEAT_MOVES, SeatStatus

    honest = decide._move

    def greedy(seat: Any, event: Any, now: datetime) -> Any:
        if seat.status is SeatStatus.RESERVED:
            return SEAT_MOVES.get((SeatStatus.AVAILABLE, event))
        return honest(seat, event, now)

    decide._move = greedy


def goes_by_its_own_clock() -> None:
    """Holds are made and expire by the server's clock, which is not the database's."""
    from rowlock.engine.batch import Batch, Locked

    lock = Batch.lock

    async def own(self: Batch, *wanted: Any) -> Locked:
        locked = await lock(self, *wanted)
        return msgspec.structs.replace(locked, now=datetime.now(UTC)) if locked.now else locked

    Batch.lock = own  # type: ignore[method-assign, assignment]


def forgets_events() -> None:
    """One batch in five is told to nobody."""
    from rowlock.engine.batch import Batch

    tell = Batch._tell

    async def forgetful(self: Batch, world: Any) -> Any:
        return [] if random.random() < 0.2 else await tell(self, world)

    Batch._tell = forgetful  # type: ignore[method-assign]


def forgets_keys() -> None:
    """The same Idempotency-Key is another booking each time."""
    from rowlock.domain.ids import TAIL_BITS, booking_id
    from rowlock.operations import book

    def another(_secret: bytes, show_id: int, *_: str) -> UUID:
        return booking_id(show_id, secrets.randbits(TAIL_BITS))

    book.keyed_booking_id = another  # type: ignore[attr-defined, assignment]


def never_sweeps() -> None:
    """Holds that lapse are left lying."""
    from rowlock.workers.sweeper import Sweeper

    async def idle(self: Sweeper) -> int:
        return 0

    Sweeper._expire = idle  # type: ignore[method-assign]


def refuses_what_is_free() -> None:
    """One seat in five that is asked for by name is said to be taken. All is decided in batches: SQL has no such dice."""
    from rowlock.domain import decide
    from rowlock.engine.straight_lane import StraightLane

    honest = decide._move
    decide._move = lambda *asked: None if random.random() < 0.2 else honest(*asked)
    StraightLane.line_of = lambda *_: None  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        acknowledges_before_commit,
        sells_held_seats,
        goes_by_its_own_clock,
        forgets_events,
        forgets_keys,
        never_sweeps,
        refuses_what_is_free,
    )
}

if __name__ == "__main__":
    from rowlock.cli import main

    BUGS[sys.argv.pop(1)]()
    main()
