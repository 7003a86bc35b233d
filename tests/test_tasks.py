"""Ending background tasks: even those that don't hear it the first time."""

from __future__ import annotations

import asyncio

import pytest

from rowlock import tasks
from rowlock.tasks import end_all


async def test_a_task_that_swallows_a_cancellation_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server would never end, or a test run hang: Python 3.11's `wait_for` swallows some."""
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.01)
    swallowed = 0

    async def deaf() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if swallowed == 2:
                    raise
                swallowed += 1

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end_all([task])
        await end_all([])
        await end_all([task])
    assert task.cancelled()
    assert swallowed == 2
