"""Picking seats for counts: those who only look keep no lane waiting."""

from __future__ import annotations

import asyncio
from time import perf_counter
from uuid import uuid4

import asyncpg
import pytest

from rowlock.domain.commands import Book
from rowlock.domain.ids import booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.engine import picking
from rowlock.engine.picking import pick_all
from rowlock.operations import context as contexts
from rowlock.operations.context import open_context
from rowlock.postgres.pool import Database
from rowlock.seatmap.maps import Maps
from rowlock.seatmap.plans import Plans
from tests.support import make_show

SHOWS = 30


class Taken:
    """A pool without a free connection."""

    async def fetchrow(self, *_: object) -> None:
        """Wait for one."""
        await asyncio.Event().wait()


async def test_a_batch_of_cold_shows_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A booking by name would wait for the maps and plans of all other shows in its batch, one after the other."""
    monkeypatch.setattr(picking, "MAPS_SECONDS_MAX", 0.5)
    commands = [Book(show, uuid4(), "ada", (), 0, wanted_count=2) for show in range(1, SHOWS + 1)]
    began = perf_counter()
    assert await pick_all(Maps(Taken()), Plans(Taken()), commands) == commands
    assert perf_counter() - began < 0.5 * SHOWS
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:  # the readings go on, for the next batch
        if "_read" in repr(task) or "_load" in repr(task):
            task.cancel()


async def test_closing_waits_for_no_slow_reader(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart would take as long as the slowest list, and be cut off by whoever waits for it."""
    monkeypatch.setattr(contexts, "CLOSE_SECONDS_MAX", 0.1)
    async with open_context(Database(dsn)) as context:
        reading = asyncio.create_task(context.pool.execute("SELECT pg_sleep(100)"))
        await asyncio.sleep(0.1)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await reading


async def test_counts_are_sold_while_all_who_read_are_stuck(dsn: str) -> None:
    """A show that nobody has looked at yet could not be sold by count while slow lists take all connections."""
    async with open_context(Database(dsn, pool_size=2), lanes=1) as context:
        show = await make_show(context, 10)
        context.plans.clear()
        async with context.pool.acquire(), context.pool.acquire():
            command = Book(show, booking_id(show, 1), "ada", (), 0, wanted_count=2)
            decision = await context.engine.submit(command)
        assert decision.outcome is Outcome.CONFIRMED
