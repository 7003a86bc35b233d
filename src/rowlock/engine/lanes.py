"""Which lane a command goes to: one of a few, or, where the tables are spread by show (ROWLOCK_SHARDED), its show's own.

A batch of a show's own lane is about one show, so each of its statements runs on one shard. Such lanes are made when a
show is first sold, and given up when others need their place. They share a bounded number of connections: a lane has one
while it runs a batch, and they take turns in the order in which they asked. So a show that sells out fast has one
connection at most, and the others have the rest.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypedDict

import asyncpg

from rowlock.domain.commands import Command
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.world import Decision
from rowlock.engine.batch import Batch
from rowlock.engine.lane import DRAIN_SECONDS_MAX, LANE_COMMANDS_MAX, Answer, Busy, Crowded, Entry, Lane
from rowlock.engine.straight_lane import StraightLane
from rowlock.postgres.pool import Database
from rowlock.seatmap.feed import Feed
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans

# A lane is a task and a queue, some kilobytes. One process rarely sells more shows than this in one second.
SHOW_LANES_MAX = 1_000


class Terms(TypedDict):
    """What all lanes of a process go by: see `Lane`."""

    hold_seconds: int
    events: bool
    fair_play: FairPlay | None


class FixedLanes:
    """So many lanes, with a connection each, and one for the straight bookings of all. Batches of a show are always served
    by the same one.

    Straight bookings are a transaction of their own: behind a pooler the session of a lost one could not be known, so
    there all is batches.
    """

    def __init__(
        self,
        database: Database,
        plans: Plans,
        maps: Maps,
        feed: Feed,
        *,
        lanes: int,
        terms: Terms,
    ) -> None:
        parts = (database, plans, maps, feed)
        self._closing = False
        self._lanes = [Lane(str(n), *parts, **terms) for n in range(lanes)]
        self._straight: StraightLane | None = None
        if not database.pooled:
            self._straight = StraightLane("straight", *parts, hand_on=self._accept, **terms)

    @property
    def depth(self) -> int:
        """How many commands wait."""
        return sum(lane.depth for lane in self._all())

    @property
    def working(self) -> bool:
        """Whether any lane has something to do."""
        return any(lane.working for lane in self._all())

    def refuses(self, body: bytes) -> bool:
        """Whether a request to book with this body is refused unread. Whoever asks does so then."""
        straight = self._straight
        lanes: list[Lane] = self._lanes
        if straight is not None and b'"seats"' in body:
            if not straight.is_full:
                return False
            lanes = [straight] if straight.takes(body) else self._all()
        if not all(lane.is_full for lane in lanes):
            return False
        for lane in lanes:
            lane.refuse()
        return True

    def start(self) -> None:
        """Begin to take commands."""
        for lane in self._all():
            lane.start()

    def put(self, command: Command, answer: Answer) -> None:
        """Queue a command. Raises `Busy`."""
        if self._closing:
            raise Busy("the server is shutting down")
        straight = self._straight
        if straight is not None and (line := straight.line_of(command)) is not None:
            straight.put(command, answer, line)
        else:
            self._lane_of(command).put(command, answer)

    def _accept(self, entry: Entry) -> None:
        self._lane_of(entry.command).accept(entry)

    def _lane_of(self, command: Command) -> Lane:
        return self._lanes[command.show_id % len(self._lanes)]

    def _all(self) -> list[Lane]:
        return self._lanes if self._straight is None else [self._straight, *self._lanes]

    async def close(self) -> None:
        """Take no more, and finish what is queued. May be called again."""
        self._closing = True
        if self._straight is not None:
            await self._straight.close(DRAIN_SECONDS_MAX / 2)  # first: it hands on to the others
        await asyncio.gather(*(lane.close(DRAIN_SECONDS_MAX / 2) for lane in self._lanes))


class _Session:
    """One of the connections that lanes share, and the lane that has it."""

    def __init__(self) -> None:
        self.connection: asyncpg.Connection | None = None
        self.batch: Batch | None = None
        self.lane: ShowLane | None = None


class _Sessions:
    """Connections that lanes share, so many at most, lent in the order in which they were asked for."""

    def __init__(self, most: int) -> None:
        self.all = [_Session() for _ in range(most)]
        self._free: asyncio.Queue[_Session] = asyncio.LifoQueue()  # the last one used is connected already
        for session in self.all:
            self._free.put_nowait(session)

    async def take(self, lane: ShowLane) -> _Session:
        """Wait for one."""
        session = await self._free.get()
        session.lane = lane
        return session

    def give_back(self, session: _Session) -> None:
        """Let the next have it."""
        session.lane = None
        self._free.put_nowait(session)

    def holder(self, connection: Any) -> ShowLane | None:
        """Who has the session of a connection."""
        for session in self.all:
            if session.lane is not None and session.lane.has(connection):
                return session.lane
        return None

    def close(self) -> None:
        """Close the connections, when no lane is left to use them."""
        for session in self.all:
            if session.connection is not None:
                session.connection.terminate()
            session.connection = session.batch = None


class ShowLane(Lane):
    """The lane of one show, which has a connection only while it serves."""

    def __init__(self, name: str, *parts: Any, sessions: _Sessions, **options: Any) -> None:
        super().__init__(name, *parts, **options)
        self._sessions = sessions
        self._serving = False

    @property
    def idle(self) -> bool:
        """Whether nothing waits here, and nothing is being decided."""
        return not self._queue and not self._serving

    def end(self) -> None:
        """Let an idle lane end."""
        self._closing = True
        self._wanted.set()

    def has(self, connection: Any) -> bool:
        """Whether a connection is the one that it has now."""
        return self._connection is connection

    async def _serve(self, entries: list[Entry]) -> None:
        self._serving = True
        try:
            session = await self._sessions.take(self)
            self._connection, self._batch = session.connection, session.batch
            try:
                await super()._serve(entries)
            except BaseException:
                self._disconnect()  # whatever is open in it is nobody else's
                raise
            finally:
                session.connection, session.batch = self._connection, self._batch
                self._connection = self._batch = None
                self._sessions.give_back(session)
        finally:
            self._serving = False

    def _hear(self, connection: asyncpg.Connection, message: Any) -> None:
        """A notice is for the lane that has the connection, which is not always the one that made it."""
        (self._sessions.holder(connection) or self).hear_warning(connection, message)

    def hear_warning(self, connection: asyncpg.Connection, message: Any) -> None:
        """A notice that is for this lane."""
        super()._hear(connection, message)


class _Counted:
    """Somebody who waits for a decision, counted until there is one: whoever has given up is in the lane all the same."""

    def __init__(self, lanes: ShowLanes, answer: Answer) -> None:
        self._lanes = lanes
        self._answer = answer
        self._answered = False

    def done(self) -> bool:
        """Whether there was an answer."""
        return self._answered

    def set_result(self, decision: Decision) -> None:
        """It was decided."""
        self._count()
        if not self._answer.done():
            self._answer.set_result(decision)

    def set_exception(self, error: BaseException) -> None:
        """It was not."""
        self._count()
        if not self._answer.done():
            self._answer.set_exception(error)

    def _count(self) -> None:
        self._answered = True
        self._lanes.answered()


class ShowLanes:
    """A lane a show; `connections` is how many they share."""

    def __init__(
        self,
        database: Database,
        plans: Plans,
        maps: Maps,
        feed: Feed,
        *,
        connections: int,
        terms: Terms,
    ) -> None:
        self._parts = (database, plans, maps, feed)
        self._terms = terms
        self._sessions = _Sessions(connections)
        self._lanes: dict[int, ShowLane] = {}
        self._waiting = 0
        self._waiting_max = connections * LANE_COMMANDS_MAX  # as many as fixed lanes would take
        self._closing = False

    @property
    def depth(self) -> int:
        """How many commands wait."""
        return sum(lane.depth for lane in self._lanes.values())

    @property
    def working(self) -> bool:
        """Whether any lane has something to do."""
        return any(lane.working for lane in self._lanes.values())

    def refuses(self, _body: bytes) -> bool:
        """There are no straight bookings where each show has a lane."""
        return False

    def start(self) -> None:
        """Begin to take commands: a lane starts with its first one."""

    def put(self, command: Command, answer: Answer) -> None:
        """Queue a command at its show's lane. Raises `Busy`."""
        if self._closing:
            raise Busy("the server is shutting down")
        if self._waiting >= self._waiting_max:
            raise Crowded
        self._lane(command.show_id).put(command, _Counted(self, answer))
        self._waiting += 1

    def answered(self) -> None:
        """One of those who waited has an answer."""
        self._waiting -= 1

    def _lane(self, show_id: int) -> ShowLane:
        lane = self._lanes.get(show_id)
        if lane is None:
            if len(self._lanes) >= SHOW_LANES_MAX:
                self._end_idle()
            lane = ShowLane(f"show {show_id}", *self._parts, sessions=self._sessions, **self._terms)
            lane.start()
            self._lanes[show_id] = lane
        return lane

    def _end_idle(self) -> None:
        """Make room. Raises `Busy` where there is none."""
        idle = [show_id for show_id, lane in self._lanes.items() if lane.idle]
        if not idle:
            raise Busy("too many shows are being booked")
        for show_id in idle:
            self._lanes.pop(show_id).end()

    async def close(self) -> None:
        """Take no more, and finish what is queued. May be called again."""
        self._closing = True
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        self._sessions.close()
