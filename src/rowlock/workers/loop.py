"""The one shape of background work: a `run_once()`, and a loop around it with one shutdown contract.

A round that hangs is ended after `ROUND_SECONDS_MAX`, and counts as failed: the driver's waits have limits, but not each
of them, nor has their sum; and what is cancelled once may go on to wait for a connection that is lost.

Stop means: begin no further round, let the round under way finish, give up on it after `STOP_SECONDS_MAX`. Stopping
twice is harmless. A round that fails is logged and tried again at the next turn; work that fails is never the end of
the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from rowlock.postgres.errors import is_cancelled
from rowlock.tasks import end_all, retrieve

log = structlog.get_logger(__name__)
STOP_SECONDS_MAX = 5.0
ROUND_SECONDS_MAX = 60.0  # longer than any round takes that gets somewhere


class Worker(Protocol):
    """Background work of any shape, under the contract above: what `app.py` starts and stops."""

    def start(self) -> None:
        """Begin, in the background."""

    async def stop(self) -> None:
        """Stop as the contract says. May be called before `start`, and again."""


class Loop:
    """Runs `run_once` again and again, `pause_seconds` apart (give or take a tenth, so that processes don't march in step).

    `run_once` returns whether there is more to do at once.
    """

    def __init__(self, name: str, run_once: Callable[[], Awaitable[bool]], pause_seconds: float) -> None:
        self._name = name
        self._run_once = run_once
        self._pause_seconds = pause_seconds
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._round: asyncio.Future[bool] | None = None

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._run(), name=f"worker {self._name}")

    async def stop(self) -> None:
        """Stop as the contract says."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_SECONDS_MAX)
            await end_all([self._task] if self._round is None else [self._task, self._round])

    async def wait(self) -> None:
        """Wait until it was stopped."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                more = await self._run_round()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                log.warning("worker_round_failed", worker=self._name, error=repr(error))
                more = False
            if not more:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds * random.uniform(0.9, 1.1)):
                        await self._stopping.wait()

    async def _run_round(self) -> bool:
        """One round, or `TimeoutError`."""
        self._round = running = asyncio.ensure_future(self._run_once())
        running.add_done_callback(retrieve)
        try:
            done, _ = await asyncio.wait([running], timeout=ROUND_SECONDS_MAX)
        finally:
            await end_all([running])
        if not done:
            raise TimeoutError(f"a round took longer than {ROUND_SECONDS_MAX:g} s")
        return running.result()
