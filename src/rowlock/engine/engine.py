"""The engine: the lanes of this process. The only code that changes seats."""

from __future__ import annotations

import asyncio

from rowlock.domain.commands import Command
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.world import Decision
from rowlock.engine.lane import Busy, Lane, OutcomeUnknown
from rowlock.postgres.pool import Database
from rowlock.seatmap.feed import Feed
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans

__all__ = ["Busy", "Engine", "OutcomeUnknown"]


class Engine:
    """Takes commands, answers with decisions that hold.

    Two lanes were the best for one process on two cores: one decides while the other's flush is under way.
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
        self._lanes = [
            Lane(
                str(n),
                database,
                plans,
                maps,
                feed,
                hold_seconds=hold_seconds,
                events=events,
                fair_play=fair_play,
            )
            for n in range(lanes)
        ]

    def start(self) -> None:
        """Open the lanes. Connections are made when first needed."""
        for lane in self._lanes:
            lane.start()

    async def close(self) -> None:
        """Drain: take no more, finish what is queued. May be called again."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    @property
    def depth(self) -> int:
        """How many commands wait, in all lanes."""
        return sum(lane.depth for lane in self._lanes)

    def submit(self, command: Command) -> asyncio.Future[Decision]:
        """Queue a command. The future's result is committed. Raises `Busy` when the lane is full.

        A caller who stops waiting changes nothing: the command is decided all the same.
        """
        return self._lanes[command.show_id % len(self._lanes)].put(command)
