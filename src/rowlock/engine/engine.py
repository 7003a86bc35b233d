"""The engine: the lanes of this process. The only code that changes seats."""

from __future__ import annotations

import asyncio

from rowlock.domain.commands import Command
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.world import Decision
from rowlock.engine.lane import Answer, Busy, Crowded, OutcomeUnknown
from rowlock.engine.lanes import FixedLanes, ShowLanes, Terms
from rowlock.postgres.pool import Database
from rowlock.seatmap.feed import Feed
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans

__all__ = ["Answer", "Busy", "Crowded", "Engine", "OutcomeUnknown"]


class Engine:
    """Takes commands, answers with decisions that hold.

    Two lanes were the best for one process on two cores: one decides while the other's flush is under way. Where the tables
    are spread by show, each show has a lane of its own, and `lanes` is how many connections they share.
    """

    def __init__(
        self,
        database: Database,
        plans: Plans,
        maps: Maps,
        feed: Feed,
        *,
        lanes: int = 2,
        hold_seconds: int = 120,
        events: bool = True,
        fair_play: FairPlay | None = None,
    ) -> None:
        parts = (database, plans, maps, feed)
        terms: Terms = {"hold_seconds": hold_seconds, "events": events, "fair_play": fair_play}
        self._lanes: FixedLanes | ShowLanes
        if database.sharded:
            self._lanes = ShowLanes(*parts, connections=lanes, terms=terms)
        else:
            self._lanes = FixedLanes(*parts, lanes=lanes, terms=terms)
        self._crowded = 0  # requests that were refused as such, since it was last asked

    def start(self) -> None:
        """Open the lanes. Connections are made when first needed."""
        self._lanes.start()

    async def close(self) -> None:
        """Drain: take no more, finish what is queued. May be called again."""
        await self._lanes.close()

    @property
    def depth(self) -> int:
        """How many commands wait, in all lanes."""
        return self._lanes.depth

    @property
    def working(self) -> bool:
        """Whether anything is being decided, or waits."""
        return self._lanes.working

    def refuses(self, body: bytes) -> bool:
        """Whether there is such a crowd that a request to book with this body is refused unread. It counts as refused then."""
        refused = self._lanes.refuses(body)
        self._crowded += refused
        return refused

    def take_crowded(self) -> int:
        """How many requests were refused because too many wait, since this was last asked."""
        crowded, self._crowded = self._crowded, 0
        return crowded

    def submit(self, command: Command) -> asyncio.Future[Decision]:
        """Queue a command. The future's result is committed. Raises `Busy`, or `Crowded` when the lane is full.

        A caller who stops waiting changes nothing: the command is decided all the same.
        """
        answer: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.submit_for(answer, command)
        return answer

    def submit_for(self, answer: Answer, command: Command) -> None:
        """The same for one who waits in a way of their own: a future costs a booking two microseconds."""
        try:
            self._lanes.put(command, answer)
        except Crowded:
            self._crowded += 1
            raise
