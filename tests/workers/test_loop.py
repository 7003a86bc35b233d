"""The shape of background work."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from rowlock.workers import loop as loops
from rowlock.workers.loop import Loop


async def test_no_failure_ends_it() -> None:
    """Holds would lapse and nobody would tidy up after, until a restart."""
    failures = [
        ValueError("ours"),
        asyncio.CancelledError(),
        TimeoutError(),
    ]  # the driver cancels what it waits for
    rounds = 0
    done = asyncio.Event()

    async def run_once() -> bool:
        nonlocal rounds
        rounds += 1
        if failures:
            raise failures.pop()
        done.set()
        return False

    loop = Loop("test", run_once, 0.001)
    loop.start()
    async with asyncio.timeout(20):
        await done.wait()
        await loop.stop()
    assert rounds >= 4


async def test_a_round_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that waits for what a dead network has swallowed would be the end of the worker, without a word."""
    monkeypatch.setattr(loops, "ROUND_SECONDS_MAX", 0.05)
    rounds = 0
    done = asyncio.Event()

    async def run_once() -> bool:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            done.set()
            return False
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        await asyncio.sleep(30)  # a cancellation can get lost (tasks.py)
        return False

    loop = Loop("test", run_once, 0.001)
    loop.start()
    async with asyncio.timeout(20):
        await done.wait()
        await loop.stop()


async def test_a_stop_ends_a_round_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server could not be ended but by force."""
    monkeypatch.setattr(loops, "STOP_SECONDS_MAX", 0.05)
    began = asyncio.Event()
    ended = False

    async def run_once() -> bool:
        nonlocal ended
        began.set()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(30)
            await asyncio.sleep(30)
        finally:
            ended = True
        return False

    loop = Loop("test", run_once, 0.001)
    loop.start()
    async with asyncio.timeout(20):
        await began.wait()
        await loop.stop()
    assert ended


async def test_stop_lets_a_round_finish() -> None:
    """What is half done would have to be done again."""
    began, go_on = asyncio.Event(), asyncio.Event()
    finished = False

    async def run_once() -> bool:
        nonlocal finished
        began.set()
        await go_on.wait()
        finished = True
        return True

    loop = Loop("test", run_once, 0.001)
    loop.start()
    await began.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(20):
        await stopping
        await loop.stop()  # twice is harmless
    assert finished
