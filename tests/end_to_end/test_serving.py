"""A server as an operator sees it: it starts, keeps its data, and ends without leaving anything behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import uvloop

from rowlock.serving import ACCEPTED_TOGETHER, times
from tests.processes import left_behind, rowlock, running, wait_until_ready

ENDS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, which any account may pass."""
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def assert_all_gone(folder: Path, seconds: float = 10) -> None:
    """Nothing works in the folder any more. A moment is given: Python's own resource tracker, which comes with
    several workers, and workers whose parent was killed, end by themselves after the parent."""
    deadline = time.monotonic() + seconds
    while left_behind(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_behind(folder) == []


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("end", ENDS)
def test_a_signal_ends_everything(folder: Path, port: int, end: signal.Signals, workers: str) -> None:
    """Ctrl-C, systemd and a closed terminal all leave no process behind."""
    with running(folder, port, "demo", ROWLOCK_WORKERS=workers) as process:
        process.send_signal(end)
        assert process.wait(40) == 0, (folder / "log").read_text()
    assert_all_gone(folder)
    assert "Traceback" not in (folder / "log").read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_twice_in_a_terminal(folder: Path, port: int, workers: str) -> None:
    """The whole group gets it, and again: the end is as orderly."""
    with running(folder, port, "demo", ROWLOCK_WORKERS=workers) as process:
        os.killpg(process.pid, signal.SIGINT)  # a session of its own, see `running`
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0, (folder / "log").read_text()
    assert_all_gone(folder)
    assert "Traceback" not in (folder / "log").read_text()


def test_data_survives_a_restart(folder: Path, port: int) -> None:
    """What was made is there the next time, and samples are made once."""
    with running(folder, port, "demo"):
        before = httpx.get(f"http://127.0.0.1:{port}/api/shows").json()["items"]
    with running(folder, port, "demo"):
        after = httpx.get(f"http://127.0.0.1:{port}/api/shows").json()["items"]
    assert before
    assert [show["id"] for show in before] == [show["id"] for show in after]


def test_it_says_what_to_open_and_how_to_book(folder: Path, port: int) -> None:
    """The first screen is enough to try it."""
    with running(folder, port, "demo"):
        told = (folder / "log").read_text()
    assert f"http://127.0.0.1:{port}/api-docs" in told
    assert "curl " in told


def test_a_taken_port_leaves_the_running_server_alone(folder: Path, port: int) -> None:
    """A second start says so, and harms nothing."""
    with running(folder, port, "demo"):
        done = rowlock(folder, "demo", PORT=str(port))
        assert done.returncode == 2
        assert f"PORT={port}" in done.stderr
        assert httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200


def test_a_killed_parent_takes_its_workers_along(folder: Path, port: int) -> None:
    """After kill -9 the port is free again, and the next start works."""
    with running(folder, port, "demo", ROWLOCK_WORKERS="2") as process:
        workers = [
            child for child in psutil.Process(process.pid).children() if "spawn_main" in str(child.cmdline())
        ]
        assert len(workers) == 2
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert alive == []
    with running(folder, port, "demo"):
        pass
    assert_all_gone(folder)


def test_a_dead_worker_is_replaced(folder: Path, port: int) -> None:
    """One crash costs no more than what that process had in hand."""
    with running(folder, port, "demo", ROWLOCK_WORKERS="2") as process:
        deadline = time.monotonic() + 30
        while "is ready" not in (folder / "log").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        parent = psutil.Process(process.pid)
        victim = next(child for child in parent.children() if "spawn_main" in str(child.cmdline()))
        victim.kill()
        while victim.is_running() and time.monotonic() < deadline:
            time.sleep(0.1)
        wait_until_ready(process, port, folder / "log")
    assert_all_gone(folder)


def test_no_process_lets_another_one_block() -> None:
    """A worker that lost the race for a connection, while another one starts, would stand still until the next one comes."""
    with contextlib.ExitStack() as ends:
        listener = ends.enter_context(socket.create_server(("127.0.0.1", 0)))
        for each in times(listener, 3):
            ends.callback(each.close)
        listening = listener.fileno()
        assert not os.get_blocking(listening)
        # What a process has that was just started: the same queue, and a socket that knows nothing of it.
        blocking: list[bool] = []
        given = ends.enter_context(socket.socket(fileno=os.dup(listening)))
        assert given.gettimeout() is None
        dup = socket.socket.dup

        class Watched(socket.socket):
            def dup(self) -> Any:
                copy = dup(self)
                blocking.append(os.get_blocking(listening))
                return copy

        watched = ends.enter_context(Watched(fileno=given.detach()))
        for each in times(watched, 3):
            ends.callback(each.close)
        assert blocking == [False, False]


def test_newcomers_are_not_taken_one_by_one() -> None:
    """In a crowd, whose turns of the loop take 20 ms, the last of a hundred newcomers would wait for two seconds."""
    taken: list[asyncio.BaseTransport] = []

    class Newcomer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            taken.append(transport)

    async def turns_to_take(count: int) -> int:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as ends:
            listener = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=256))
            listener.setblocking(False)
            for each in times(listener, ACCEPTED_TOGETHER):
                ends.callback((await loop.create_server(Newcomer, sock=each)).close)
            for _ in range(count):
                ends.enter_context(socket.create_connection(listener.getsockname()))
            turns = 0
            while len(taken) < count and turns < 1_000:
                await asyncio.sleep(0)  # one turn
                turns += 1
        for transport in taken:
            transport.close()
        return turns

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(turns_to_take(100)) < 30
    assert len(taken) == 100
