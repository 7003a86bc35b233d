"""What tests of events share: reading the outbox, and a process's worth of workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from rowlock.domain.events import Event, unpack
from rowlock.operations.context import Context
from rowlock.operations.events import Spelled


async def told(context: Context, show_id: int) -> list[tuple[int, Event]]:
    """The events of a show in the outbox, with their numbers."""
    rows = await context.pool.fetch(
        "SELECT seq, events, at, body FROM outbox WHERE show_id = $1 ORDER BY seq", show_id
    )
    events = []
    for row in rows:
        batch = unpack(row["body"], row["at"])
        assert len(batch) == row["events"]
        events += [(row["seq"] + position, event) for position, event in enumerate(batch)]
    return events


async def types_told(context: Context, show_id: int) -> list[str]:
    """The types of a show's events, in order; their numbers must have no gap."""
    events = await told(context, show_id)
    assert [seq for seq, _ in events] == list(range(1, len(events) + 1))
    return [event.type.value for _, event in events]


class ListedExchange:
    """An exchange in memory: what was sent, in order; it confirms what `confirms` says."""

    def __init__(self) -> None:
        self.sent: list[Spelled] = []
        self.refused: set[str] = set()

    async def publish(self, events: Sequence[Spelled]) -> list[bool]:
        """Take what is not refused."""
        self.sent += [event for event in events if event.id not in self.refused]
        return [event.id not in self.refused for event in events]


def body_of(event: Spelled) -> Any:
    """An event as others read it."""
    return msgspec.json.decode(event.body)


def assert_in_order(ids: Sequence[str], expected: int) -> None:
    """Every event of a show was sent, each for the first time in order; again only with the same id."""
    firsts = list(dict.fromkeys(int(identifier.partition("-")[2]) for identifier in ids))
    assert firsts == list(range(1, expected + 1))


async def until_so(context: Context, query: str, seconds: float) -> None:
    """Wait until a query says that something is so."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await context.pool.fetchval(query):
        assert asyncio.get_running_loop().time() < deadline, f"it never came to that: {query}"
        await asyncio.sleep(0.05)
