"""The lane of straight bookings: one for all shows of a process, beside the lanes of batches.

Straight bookings are most of a stampede, so they are kept together: a statement's cost is shared by as many as there are,
and none of them waits for a hold or a pick of somebody else's. What the statement leaves undecided goes to the lane of
its show, and the next of that show with it, for a moment: where all is nearly sold, or only a service may confirm, asking
twice would cost twice.

The next statement goes out before the last one's answers are read and told: PostgreSQL is what all wait for. And where as
many wait as are in flight, the next goes out at once, in a second session (turns.py).

What a failure does:

 - The statement fails: nothing holds. Its bookings go to the lanes of their shows, who know what to do about it. That is
   also so where a seat is locked by others for longer than a moment: nobody else's bookings are to wait for it.
 - The answer is lost: the statement may hold, may still run, may not even have begun. So nothing is run again before its
   session is seen to be gone; then its bookings' rows are read, and whatever has none is decided by a batch.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Container, Iterable
from datetime import datetime
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import asyncpg
import structlog

from rowlock import telemetry
from rowlock.domain.commands import Command
from rowlock.engine.batch import COMMIT_SECONDS_MAX, SQL, observe_straight
from rowlock.engine.foretold import Foresight, book_as_foretold, verdict_of_foretold
from rowlock.engine.lane import (
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
    Entry,
    Lane,
    OutcomeUnknown,
    answer,
    fail,
)
from rowlock.engine.pace import Pace
from rowlock.engine.straight import Line, Verdict, book_straight, line_of, split, verdict_of
from rowlock.engine.turns import Turns
from rowlock.postgres.errors import Trouble, diagnose, is_cancelled
from rowlock.postgres.pool import connect_lane
from rowlock.seatmap.maps import Maps

log = structlog.get_logger(__name__)

# How long to wait for a seat that somebody else has locked: batches take some milliseconds.
LOCK_SECONDS_MAX = 0.05
# How long a show's bookings go to its own lane: after a statement with some of them failed, or so many left all of them.
ASIDE_SECONDS = 1.0
LEFT_TIMES_MAX = 3
SHOWS_MAX = 10_000  # to remember either of
CONNECT_AGAIN_SECONDS = 5.0  # a second session that can't be had


class Session(NamedTuple):
    """What a session of PostgreSQL is known by: its process, and since when it is."""

    backend: int
    began: datetime | None


class _Aside:
    """Shows whose bookings go to their own lanes for a moment, because a statement would only leave them."""

    def __init__(self) -> None:
        self._until: dict[int, float] = {}
        self._last = 0.0  # of these
        self._left: dict[int, int] = {}  # shows all of whose bookings were left, how many times in a row

    def any(self) -> bool:
        """Whether there is one."""
        if self._until and asyncio.get_running_loop().time() >= self._last:
            self._until.clear()
        return bool(self._until)

    def has(self, show_id: int) -> bool:
        """Whether a show is one."""
        if not self._until:  # the rule, and the way of every booking
            return False
        return self.any() and self._until.get(show_id, 0.0) > asyncio.get_running_loop().time()

    def add(self, shows: Iterable[int]) -> None:
        """Set shows aside."""
        if len(self._until) > SHOWS_MAX:
            self._until.clear()
        self._last = asyncio.get_running_loop().time() + ASIDE_SECONDS
        self._until.update(dict.fromkeys(shows, self._last))

    def note(self, entries: list[Entry], left: list[Entry]) -> None:
        """Set shows aside all of whose bookings are left again and again: their sale is over, say, or only for services."""
        if not (left or self._left):  # the rule
            return
        shows = {entry.command.show_id for entry in left}
        decided = {
            entry.command.show_id for entry in entries if entry.line is not None and entry.answer.done()
        }
        for show_id in decided:
            self._left.pop(show_id, None)
        if len(self._left) > SHOWS_MAX:
            self._left.clear()
        for show_id in shows - decided:
            times = self._left[show_id] = self._left.get(show_id, 0) + 1
            if times >= LEFT_TIMES_MAX:
                del self._left[show_id]
                self.add({show_id})


class _Common:
    """What the two sessions of a lane have in common."""

    def __init__(self, queue: deque[Entry], pace: Pace, maps: Maps) -> None:
        self.queue = queue
        self.pace = pace
        self.turns = Turns(queue)
        self.aside = _Aside()
        self.foresight = Foresight(maps)
        self.finding = 0  # how many statements whose answers were lost
        self.unknown = False  # whether the server does not tell which session is ours


class StraightLane(Lane):
    """A lane that only takes what has a line. `hand_on` is given what it leaves to the lanes of shows.

    Its second session is a lane like it, which it makes itself and which has no queue of its own.
    """

    def __init__(
        self,
        name: str,
        *parts: Any,
        hand_on: Callable[[Entry], None],
        common: _Common | None = None,
        **terms: Any,
    ) -> None:
        super().__init__(name, *parts, **terms)
        self._hand_on = hand_on
        self._session: Session | None = None
        self._finding = False  # what became of a statement whose answer was lost
        self._second: StraightLane | None = None
        if common is None:
            common = _Common(self._queue, self._pace, self._maps)
            self._second = StraightLane(f"{name}, second", *parts, hand_on=hand_on, common=common, **terms)
        self._common, self._turns = common, common.turns
        self._queue, self._pace = common.queue, common.pace
        self._number = 1 if self._second is None else 0
        self._connecting: asyncio.Task[None] | None = None
        self._connect_not_before = 0.0
        self._wanted = self._turns.wanted[self._number]

    @property
    def working(self) -> bool:
        """Whether a statement is in flight, or commands wait."""
        return any(wanted.is_set() for wanted in self._turns.wanted)

    def start(self) -> None:
        """Begin to take commands."""
        super().start()
        if self._second is not None:
            self._second.start()

    async def close(self, seconds_max: float | None = None) -> None:
        """Take no more, finish what is queued, and end. A second call waits for the same."""
        self._turns.closing = True
        sessions = [super().close(seconds_max)]
        if self._connecting is not None:
            self._connecting.cancel()
        if self._second is not None:
            sessions.append(self._second.close(seconds_max))
        await asyncio.gather(*sessions)

    def line_of(self, command: Command) -> Line | None:
        """A command's line; None where it is not for this lane."""
        common = self._common
        if common.finding or common.unknown or common.aside.has(command.show_id):
            return None
        return line_of(command)

    def takes(self, body: bytes) -> bool:
        """Whether a request for seats with this body is for this lane for sure, as far as can be told unread."""
        common = self._common
        return b'"confirm"' not in body and not (common.finding or common.unknown or common.aside.any())

    def _wake(self, command: Command) -> None:
        self._turns.came(command.show_id)

    def _is_ready(self) -> bool:
        if not self._turns.is_ready(self._number):
            return False
        if self._number == 0 or self._is_connected:
            return True
        # The first one serves them meanwhile. It may have a connection where no other is to be had.
        self._begin_to_connect()
        if self._turns.is_alone(self._number):
            self._turns.wanted[0].set()
        return False

    @property
    def _is_connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    def _begin_to_connect(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._turns.closing or self._connecting is not None or now < self._connect_not_before:
            return
        self._connect_not_before = now + CONNECT_AGAIN_SECONDS
        self._connecting = asyncio.create_task(self._connect_aside(), name=f"lane {self.name} connects")

    async def _connect_aside(self) -> None:
        try:
            await self._connected()
            self._wanted.set()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            log.warning("second_session_not_connected", lane=self.name, error=repr(error))
        finally:
            self._connecting = None

    def _take(self, passed_over: Container[int] = ()) -> list[Entry]:
        entries = super()._take(passed_over or self._turns.beside(self._number))
        self._turns.begin(self._number, entries)
        return entries

    def _ended(self) -> None:
        self._turns.end(self._number)

    async def _serve(self, entries: list[Entry]) -> None:
        straight, others = split(self._drop_late(entries, None))
        left = await self._decide_straight(straight) if straight else []
        for entry in left + others:
            self._hand_on(entry)

    async def _decide_straight(self, entries: list[Entry]) -> list[Entry]:
        """Answer straight bookings; return those that are to be decided by a batch."""
        try:
            await self._connected()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            return entries
        if self._common.unknown or self._session is None or self._session.began is None:
            return entries
        assert self._batch is not None, "it is connected"
        self._batch.warned = False
        started = perf_counter()
        try:
            verdict = await self._ask(_lines(entries))
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            trouble = diagnose(error)
            if trouble is Trouble.DISCONNECTED or not isinstance(error, asyncpg.PostgresError):
                return await self._find(entries, repr(error))
            telemetry.BATCH_RETRIES.labels(trouble.value).inc()
            log.info("straight_bookings_undone", trouble=trouble.value, error=repr(error))
            self._common.aside.add({entry.command.show_id for entry in entries})
            return entries
        if self._batch.warned:
            # It is over, and a synchronous standby may not have it yet. What reads it under its locks waits for that.
            now = asyncio.get_running_loop().time()
            return await self._settle(entries, self._decide_batch, now)
        seconds = perf_counter() - started
        asyncio.get_running_loop().call_soon(self._tell, entries, verdict, seconds)
        return []

    async def _ask(self, lines: list[Line]) -> Callable[[], Verdict]:
        """Book what can be booked; it holds when this returns. What is returned tells what came of it."""
        connection = self._connection
        assert connection is not None, "it is connected"
        foresight = self._common.foresight
        foretold = foresight.foretell(lines, asyncio.get_running_loop().time())
        if foretold is not None:
            row = await book_as_foretold(connection, lines, foretold, COMMIT_SECONDS_MAX, self._events)
            foresight.was(right=row is not None)
            if row is not None:
                return partial(verdict_of_foretold, lines, foretold, row)
        row = await book_straight(connection, lines, COMMIT_SECONDS_MAX, self._events)
        return partial(verdict_of, lines, row)

    def _tell(self, entries: list[Entry], verdict: Callable[[], Verdict], seconds: float) -> None:
        """Tell everybody what their booking came to, and hand on what is left."""
        try:
            decisions, changes = verdict()
            self._feed.publish(changes)  # before anybody runs who has the answer
            left = answer(entries, decisions)
            self._common.aside.note(entries, left)
        except Exception:
            # It holds, whatever it is. To run what is left again would be right only if we knew what was told.
            log.exception("straight_bookings_untold", commands=len(entries))
            unread = OutcomeUnknown(
                "the database's answer could not be read; ask for the booking by its id", 5
            )
            for entry in entries:
                fail(entry, unread)
            return
        for entry in left:
            self._hand_on(entry)
        observe_straight(len(entries), seconds)  # last: whatever becomes of the metrics, nobody waits for it

    async def _find(self, entries: list[Entry], cause: str) -> list[Entry]:
        """Find out what became of bookings whose answer was lost: end their session, then read their rows."""
        session = self._session
        assert session is not None, "it was connected"
        log.warning("commit_answer_lost", lane=self.name, cause=cause, commands=len(entries))
        telemetry.BATCH_RETRIES.labels("commit_lost").inc()
        doubt_since = asyncio.get_running_loop().time()
        self._disconnect()
        self._finding = True
        self._common.finding += 1
        pause = RETRY_SECONDS_FIRST
        try:
            while self._queue:  # the others need not wait for that
                self._hand_on(self._queue.popleft())
            while entries := self._drop_late(entries, doubt_since):
                if await self._is_gone(session):
                    return await self._settle(entries, self._decide_batch, doubt_since)
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, RETRY_SECONDS_MAX)
            return []
        finally:
            self._finding = False
            self._common.finding -= 1
            self._disconnect()  # that connection waits longer for locks

    async def _is_gone(self, session: Session) -> bool:
        """End a lost session at the server; whether it has ended, and can do nothing any more."""
        try:
            connection = await connect_lane(self._database, lambda *_: None)
            try:
                found = await connection.fetchval(SQL.end_session, session.backend, session.began)
            finally:
                connection.terminate()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            log.warning("lost_session_not_ended", lane=self.name, error=repr(error))
            return False
        return not found

    async def _connect(self, lock_seconds: float | None = LOCK_SECONDS_MAX) -> asyncpg.Connection:
        if self._finding:
            return await super()._connect()
        connection = await super()._connect(lock_seconds)
        try:
            session = Session(*await connection.fetchrow(SQL.session))
        except BaseException:
            connection.terminate()
            raise
        self._session = session
        # A role that sets another one may not see its own session: a lost statement's could not be known.
        self._common.unknown = session.began is None
        return connection


def _lines(entries: Iterable[Entry]) -> list[Line]:
    return [entry.line for entry in entries if entry.line is not None]
