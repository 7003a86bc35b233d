"""Plans, remembered: what never changes of a show, so that a process reads it once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

import asyncpg
import msgspec

from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import Category, decode_spec
from rowlock.domain.layouts import Layout
from rowlock.postgres.queries import load
from rowlock.tasks import retrieve

SQL = load("plans")

# At one to two bytes a seat (see domain/layouts.py) some 40 MB, at worst. A small plan weighs as much as 500 seats.
PLAN_SEATS_MAX = 20_000_000
PLAN_SEATS_LEAST = 500


class Plan(NamedTuple):
    """A show's layout, with its prices, and their currency."""

    layout: Layout
    currency: str


class Plans:
    """The plans of the shows that this process has to do with; the least recently used ones are forgotten."""

    def __init__(self, pool: asyncpg.Pool, seats_max: int = PLAN_SEATS_MAX) -> None:
        self._pool = pool
        self._seats_max = seats_max
        self._seats = 0
        self._known: OrderedDict[int, Plan] = OrderedDict()
        self._loading: dict[int, asyncio.Task[Plan | None]] = {}

    def known(self, show_id: int) -> Plan | None:
        """The plan, if it is at hand: the way of the hot path, which need not await."""
        plan = self._known.get(show_id)
        if plan is not None:
            self._known.move_to_end(show_id)
        return plan

    async def get(self, show_id: int) -> Plan | None:
        """The plan of a show; None if there is no such show. However many ask at once, it is read once."""
        plan = self.known(show_id)
        if plan is not None:
            return plan
        loading = self._loading.get(show_id)
        if loading is None:
            loading = asyncio.create_task(self._load(show_id))
            self._loading[show_id] = loading
            loading.add_done_callback(retrieve)
        # One caller that gives up must not take the reading away from the others.
        return await asyncio.shield(loading)

    @staticmethod
    async def read(database: asyncpg.Pool | asyncpg.Connection, show_id: int) -> Plan | None:
        """Read a plan, for whoever has a connection of their own and can't wait for one of the pool's."""
        row = await database.fetchrow(SQL.plan, show_id)
        if row is None:
            return None
        categories = msgspec.json.decode(row["categories"], type=list[Category])
        return Plan(compile_layout(decode_spec(row["layout"]), categories), row["currency"])

    def remember(self, show_id: int, plan: Plan) -> None:
        """Keep a plan, and forget the ones least recently used where there are too many."""
        if show_id not in self._known:
            self._seats += plan.layout.total_seats + PLAN_SEATS_LEAST
        self._known[show_id] = plan
        while self._seats > self._seats_max and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._seats -= forgotten.layout.total_seats + PLAN_SEATS_LEAST

    def clear(self) -> None:
        """Forget all plans, those too that are being read: a database that was set back gives ids to other shows."""
        self._known.clear()
        self._seats = 0
        self._loading.clear()

    async def _load(self, show_id: int) -> Plan | None:
        this = asyncio.current_task()
        try:
            plan = await self.read(self._pool, show_id)
            if plan is not None and self._loading.get(show_id) is this:
                self.remember(show_id, plan)
            return plan
        finally:
            if self._loading.get(show_id) is this:
                del self._loading[show_id]
