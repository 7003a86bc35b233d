"""Ending background tasks so that they do end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_SECONDS: Final = 1.5  # longer than what a task may take to tidy up after itself


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks and wait until they are done.

    A cancellation can get lost: up to Python 3.11 `asyncio.wait_for`, which drivers use, swallows one that comes in the
    moment when what it waits for is done. A task that goes on as if nothing were is cancelled again.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)


def retrieve(task: asyncio.Future[Any]) -> None:
    """A done callback: whoever waited for a task may have left, and its failure is no news to the event loop."""
    if not task.cancelled():
        task.exception()
