"""Lanes: where commands wait while a batch is in flight, and are then committed together.

Theory of operation. A lane owns one connection and runs one batch at a time. Whatever arrives meanwhile waits in its
queue and makes up the next batch. When little happens a batch is one command and nothing waits; in a stampede a batch
is hundreds, and they share the cost of locks, round trips and the flush to disk. There is no timer: the disk sets the
pace. All commands of a show go to one lane of a process, so that they don't contend with each other.

What a failure does:

 - A passing failure (deadlock, lock timeout, lost connection before COMMIT): nothing holds, the batch runs again, a
   little later, until its commands have waited long enough. They are then told BUSY: nothing was done.
 - Any other failure: some command may be poisonous. The batch is split in halves until the culprit stands alone and
   gets the error; the others go on.
 - Queued requests (`in_line`) keep their order. Where one has waited too long, all of its show that are here go back to
   their queue together, which hands them in again: those behind must not overtake it, and no lane stops for a show.
 - The answer to COMMIT is lost: the transaction is ended at the server, if it still runs, and the batch runs again in
   doubt. The rows answer: the batch needs the very locks that the lost transaction had, so it waits until that one is
   history, and then finds its own bookings by their ids (or does not, and makes them). It takes row locks, so its own
   COMMIT writes to the log after the lost one's: a synchronous standby that has it has both. Nothing is guessed, and
   no transaction id is trusted beyond a crash. See docs/decisions/0002.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Container, Sequence
from time import thread_time
from typing import Any, NamedTuple, Protocol

import asyncpg
import msgspec
import structlog

from rowlock import telemetry
from rowlock.domain.commands import Book, Cancel, Command, in_line
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision
from rowlock.engine.batch import (
    SQL,
    Batch,
    CommitLost,
    IdTaken,
    run_batch,
)
from rowlock.engine.pace import Pace
from rowlock.engine.picking import pick_all, serve_counts
from rowlock.engine.sharded import ShardedBatch
from rowlock.engine.straight import Line
from rowlock.postgres.errors import Trouble, diagnose, is_cancelled
from rowlock.postgres.pool import Database, connect_lane
from rowlock.seatmap.feed import Feed
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans

log = structlog.get_logger(__name__)

# Enough to share a flush to disk among many, few enough that a batch's locks are held for milliseconds only.
BATCH_COMMANDS_MAX = 200
# One command may name as many seats as a show has (a block); beside it, a batch should not grow much larger.
BATCH_SEATS_MAX = 2_000
# At a few thousand commands a second and lane, a second or two of waiting. Beyond it, "busy" is the kinder answer.
LANE_COMMANDS_MAX = 5_000
# A caller who has waited so long without a decision is told to come again.
WAIT_SECONDS_MAX = 10.0
# How long a lost answer to COMMIT is looked for. Longer than a restart or fail-over of PostgreSQL usually takes.
DOUBT_SECONDS_MAX = 25.0
RETRY_SECONDS_FIRST = 0.02
RETRY_SECONDS_MAX = 1.0
# The shutdown waits so long for what is in flight.
DRAIN_SECONDS_MAX = 9.0


class Busy(Exception):  # noqa: N818
    """The command was not run, or could not be: come again. `retry_after_seconds` says when that may help."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Crowded(Busy):
    """More wait than are let wait. Nothing was done, and the caller may be told by rote: there may be thousands a second."""

    def __init__(self) -> None:
        super().__init__("too many bookings are waiting")


class OutcomeUnknown(Busy):
    """The answer to COMMIT was lost and could not be found in time. The command holds, or it does not."""


# How a batch is decided: the commands, and whether they may have been decided before.
Decide = Callable[[Sequence[Any], bool], Awaitable[list[Decision]]]


class Answer(Protocol):
    """Whoever waits for a decision: a future, or what does its part with less (http/door.py). It hears one of the two, once,
    and must not fail for it.
    """

    def done(self) -> bool:
        """Whether it has heard, or does not wait any more."""

    def set_result(self, decision: Decision, /) -> None:
        """It was decided, and that is committed."""

    def set_exception(self, error: BaseException, /) -> None:
        """It was not, or nobody knows."""


class Entry(NamedTuple):
    """A command in a lane, and who waits for it. `line`: where it is straight (straight.py)."""

    command: Command
    answer: Answer
    since: float
    line: Line | None = None

    @property
    def show_id(self) -> int:
        """Its show."""
        return self.command.show_id


class Lane:
    """A queue, a connection, and the task that takes from the one to the other."""

    def __init__(
        self,
        name: str,
        database: Database,
        plans: Plans,
        maps: Maps,
        feed: Feed,
        *,
        hold_seconds: int,
        events: bool = True,
        fair_play: FairPlay | None = None,
    ) -> None:
        self.name = name
        self._database = database
        self._plans = plans
        self._maps = maps
        self._feed = feed
        self._hold_seconds = hold_seconds
        self._events = events
        self._fair_play = fair_play
        self._queue: deque[Entry] = deque()
        self._wanted = asyncio.Event()
        self._closing = False
        self._pace = Pace(BATCH_COMMANDS_MAX)
        self._given_back: set[int] = set()  # shows whose queued requests go back to their queue in this round
        self._connection: asyncpg.Connection | None = None
        self._batch: Batch | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many commands wait."""
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether a request to book would be refused now. Others are few, and about what somebody has already."""
        waiting, pace = len(self._queue), self._pace
        if not pace.bounded:  # the rule, and the way of every booking
            return waiting >= LANE_COMMANDS_MAX
        return waiting >= LANE_COMMANDS_MAX or pace.is_full(waiting, asyncio.get_running_loop().time())

    def refuse(self) -> None:
        """Note that somebody was refused because it is full."""
        self._pace.refuse()

    @property
    def working(self) -> bool:
        """Whether a batch is in flight, or commands wait."""
        return self._wanted.is_set()

    def start(self) -> None:
        """Begin to take commands."""
        self._task = asyncio.create_task(self._run(), name=f"lane {self.name}")

    def put(self, command: Command, answer: Answer, line: Line | None = None) -> None:
        """Queue a command, and its `line`, where it is straight. Raises `Busy` when the lane is full or closing."""
        if self._closing:
            raise Busy("the server is shutting down")
        now = asyncio.get_running_loop().time()
        waiting, pace = len(self._queue), self._pace
        if waiting >= LANE_COMMANDS_MAX:
            raise Crowded
        if pace.bounded and pace.is_full(waiting, now) and isinstance(command, Book) and not command.queued:
            pace.refuse()
            raise Crowded
        self._queue.append(Entry(command, answer, now, line))
        self._wake(command)

    def accept(self, entry: Entry) -> None:
        """Queue what another lane took and could not decide."""
        if self._closing:
            fail(entry, Busy("the server is shutting down"))
        elif len(self._queue) >= LANE_COMMANDS_MAX:
            fail(entry, Crowded())
        else:
            self._queue.append(entry._replace(line=None))
            self._wanted.set()

    async def close(self, seconds_max: float | None = None) -> None:
        """Take no more, finish what is queued, and end. A second call waits for the same."""
        self._closing = True
        self._wanted.set()
        if self._task is not None:
            await asyncio.wait(
                [self._task], timeout=DRAIN_SECONDS_MAX if seconds_max is None else seconds_max
            )
            self._task.cancel()
            await asyncio.wait([self._task])
        for entry in self._queue:
            fail(entry, Busy("the server is shutting down"))
        self._queue.clear()
        self._disconnect()

    async def _run(self) -> None:
        time = asyncio.get_running_loop().time
        while True:
            if not self._is_ready():
                if self._closing and not self._queue:
                    return
                self._wanted.clear()
                await self._wanted.wait()
                continue
            entries = self._take()
            began, began_work = time(), thread_time()
            self._pace.begin(began, len(self._queue))
            try:
                await self._serve(entries)
            except BaseException as error:
                # Nobody may be left waiting, whatever happens here. Cut off by the shutdown, a batch may hold or not.
                cut_off = OutcomeUnknown("the server was stopped while this was decided")
                for entry in entries:
                    fail(entry, error if isinstance(error, Exception) else cut_off)
                if is_cancelled(error) or not isinstance(error, Exception | asyncio.CancelledError):
                    raise
                log.exception("lane_failed", lane=self.name)
                self._disconnect()
            finally:
                now = time()
                self._pace.end(now, len(entries), now - began, thread_time() - began_work)
                self._ended()

    def _wake(self, _command: Command) -> None:
        """A command was queued: wake the task, if it has to do with it now."""
        self._wanted.set()

    def _is_ready(self) -> bool:
        """Whether the next batch can begin."""
        return bool(self._queue)

    def _ended(self) -> None:
        """A batch has ended, whatever came of it."""

    def _take(self, passed_over: Container[int] = ()) -> list[Entry]:
        """The next batch: what waits, up to the bounds; at least one, if there is any that is not of a show passed over."""
        entries: list[Entry] = []
        left: list[Entry] = []
        queue, seats = self._queue, 0
        while queue and len(entries) < BATCH_COMMANDS_MAX:
            entry = queue.popleft()
            command = entry.command
            if command.show_id in passed_over:
                left.append(entry)
                continue
            size = (
                command.wanted_count
                if isinstance(command, Book) and command.wanted_count
                else len(command.seats)
            )
            if entries and seats + size > BATCH_SEATS_MAX:
                left.append(entry)
                break
            seats += size
            entries.append(entry)
        queue.extendleft(reversed(left))
        return entries

    async def _serve(self, entries: list[Entry]) -> None:
        """Answer every entry: with its decision, or with why there is none."""
        self._given_back.clear()
        left = await self._settle(entries, self._decide_batch)
        by_show: dict[int, list[Entry]] = {}
        for entry in left:
            by_show.setdefault(entry.command.show_id, []).append(entry)
        crowded: list[Entry] = []
        for of_show in by_show.values():
            crowded += await self._settle(of_show, self._decide_counts)
        if crowded:
            telemetry.BATCH_RETRIES.labels("crowded").inc()
            await asyncio.sleep(RETRY_SECONDS_FIRST)
            # To the end of the line: whoever has locked the seats they need is let through. Queued ones keep their place:
            # nobody of this lane has seats locked now.
            self._queue.extend(entry for entry in crowded if not in_line(entry.command))
            self._queue.extendleft(entry for entry in reversed(crowded) if in_line(entry.command))

    async def _settle(
        self, entries: list[Entry], decide: Decide, doubt_since: float | None = None
    ) -> list[Entry]:
        """Run entries to their decisions, through failures. Returns those to be picked again."""
        loop = asyncio.get_running_loop()
        pause = RETRY_SECONDS_FIRST
        while entries:
            entries = self._drop_late(entries, doubt_since)
            if not entries:
                return []
            try:
                decisions = await decide([entry.command for entry in entries], doubt_since is not None)
            except CommitLost as lost:
                log.warning("commit_answer_lost", lane=self.name, cause=str(lost), commands=len(entries))
                telemetry.BATCH_RETRIES.labels("commit_lost").inc()
                doubt_since = doubt_since or loop.time()
                entries = [_in_doubt(entry, lost) for entry in entries]
                self._disconnect()
                await self._end_backend(lost)
            except IdTaken:
                # Read the ids first, and the rows will answer.
                telemetry.BATCH_RETRIES.labels("id_taken").inc()
                await self._undo()
                doubt_since = doubt_since or loop.time()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                trouble = diagnose(error)
                telemetry.BATCH_RETRIES.labels(trouble.value).inc()
                if trouble is Trouble.OURS:
                    await self._undo()
                    return await self._split(entries, error, decide, doubt_since)
                log.warning("batch_retried", lane=self.name, trouble=trouble.value, error=repr(error))
                if trouble is Trouble.DISCONNECTED:
                    self._disconnect()
                else:
                    await self._undo()
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, RETRY_SECONDS_MAX)
            else:
                return answer(entries, decisions)
        return []

    async def _split(
        self, entries: list[Entry], error: BaseException, decide: Decide, doubt_since: float | None
    ) -> list[Entry]:
        """Find the command that breaks a batch: halve it until it stands alone."""
        if len(entries) == 1:
            log.error(
                "command_failed", lane=self.name, command=type(entries[0].command).__name__, exc_info=error
            )
            unknown = OutcomeUnknown("the database's answer was lost, and could not be looked up", 5)
            fail(entries[0], error if doubt_since is None else unknown)
            return []
        half = len(entries) // 2
        left = await self._settle(entries[:half], decide, doubt_since)
        held_up = {entry.command.show_id for entry in left if in_line(entry.command)}
        behind: list[Entry] = []
        others: list[Entry] = []
        for entry in entries[half:]:
            waits = in_line(entry.command) and entry.command.show_id in held_up
            (behind if waits else others).append(entry)
        return left + behind + await self._settle(others, decide, doubt_since)

    def _drop_late(self, entries: list[Entry], doubt_since: float | None) -> list[Entry]:
        """Tell those who have waited too long; a batch in doubt has longer, because its answer matters more.

        Queued requests go back to their queue, which keeps them, and all of their show with them: those behind must not
        overtake them. A lane serves many shows, and may not stop for one.
        """
        now = asyncio.get_running_loop().time()
        doubtful = doubt_since is not None
        if doubt_since is not None and now - doubt_since < DOUBT_SECONDS_MAX:
            return entries
        if not (doubtful or self._given_back):
            oldest = min([entry.since for entry in entries], default=now)
            if now - oldest <= WAIT_SECONDS_MAX:
                return entries
        late = [doubtful or now - entry.since > WAIT_SECONDS_MAX for entry in entries]
        given_back = {
            entry.command.show_id
            for entry, is_late in zip(entries, late, strict=True)
            if is_late and in_line(entry.command)
        }
        if given_back:
            self._given_back |= given_back
            waiting = list(self._queue)
            self._queue.clear()
            self._queue.extend(entry for entry in waiting if not self._give_back(entry))
        kept = []
        for entry, is_late in zip(entries, late, strict=True):
            if self._give_back(entry):
                continue
            if not is_late:
                kept.append(entry)
            elif doubtful:
                fail(
                    entry, OutcomeUnknown("the database's answer was lost; ask for the booking by its id", 5)
                )
            else:
                fail(entry, Busy("the booking could not be decided in time; nothing was booked"))
        return kept

    def _give_back(self, entry: Entry) -> bool:
        """Whether an entry goes back to its queue. If it was decided after all, it will be met by its id."""
        if not in_line(entry.command) or entry.command.show_id not in self._given_back:
            return False
        fail(entry, Busy("the request waits in its queue"))
        return True

    async def _decide_batch(self, commands: Sequence[Command], doubtful: bool) -> list[Decision]:
        batch = await self._connected()
        return await run_batch(batch, await pick_all(self._maps, self._plans, commands), doubtful=doubtful)

    async def _decide_counts(self, commands: Sequence[Book], doubtful: bool) -> list[Decision]:
        batch = await self._connected()
        show_id = commands[0].show_id
        plan = self._plans.known(show_id) or await self._plans.read(self._connection, show_id)
        assert plan is not None, "decided as SHOW_NOT_FOUND before"
        return await serve_counts(batch, plan.layout, commands, doubtful=doubtful)

    async def _connected(self) -> Batch:
        if self._batch is None or self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            kind = ShardedBatch if self._database.sharded else Batch
            self._batch = kind(
                self._connection,
                self._database,
                self._hold_seconds,
                self._feed.publish,
                events=self._events,
                fair_play=self._fair_play,
            )
        return self._batch

    async def _connect(self, lock_seconds: float | None = None) -> asyncpg.Connection:
        return await connect_lane(self._database, self._hear, lock_seconds=lock_seconds)

    def _hear(self, _connection: asyncpg.Connection, message: Any) -> None:
        """A notice from the server. A warning matters to `Batch.commit`."""
        if message.severity_en == "WARNING" and self._batch is not None:
            self._batch.warned = True
            log.warning("database_warning", lane=self.name, sqlstate=message.sqlstate)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = self._batch = None

    async def _undo(self) -> None:
        """Roll back; a connection that can't even do that is given up."""
        if self._batch is None:
            return
        try:
            await self._batch.rollback()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            self._disconnect()

    async def _end_backend(self, lost: CommitLost) -> None:
        """End the lost transaction if it still runs. Where that fails, its locks make the next batch wait instead."""
        try:
            connection = await connect_lane(self._database, lambda *_: None)
            try:
                await connection.execute(SQL.end_backend, lost.backend, lost.began)
            finally:
                connection.terminate()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            log.warning("lost_backend_not_ended", lane=self.name, error=repr(error))


def _in_doubt(entry: Entry, lost: CommitLost) -> Entry:
    """An entry that may have been decided at `lost.now`: a Cancel must know its own work when it meets it."""
    command = entry.command
    if isinstance(command, Cancel):
        attempts = (*command.earlier_attempts, lost.now)
        return entry._replace(command=msgspec.structs.replace(command, earlier_attempts=attempts))
    return entry


def answer(entries: list[Entry], decisions: Sequence[Decision | None]) -> list[Entry]:
    """Give each caller its decision; return those that have none yet."""
    again = []
    outcomes: Counter[Outcome] = Counter()
    for entry, decision in zip(entries, decisions, strict=True):
        if decision is None or decision.outcome is Outcome.REPICK:
            again.append(entry)
            continue
        outcomes[decision.outcome] += 1
        if not entry.answer.done():
            entry.answer.set_result(decision)
    for outcome, count in outcomes.items():
        telemetry.BOOKINGS.labels(outcome.value).inc(count)
    return again


def fail(entry: Entry, error: BaseException) -> None:
    """Tell a caller why there is no decision, unless there was one."""
    if not entry.answer.done():
        entry.answer.set_exception(error)
