"""Other people's programs, for tests: found or named as missing, started by them, and only ever signalled by their own pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0


def find_program(name: str) -> str:
    """Where a program is. Where it isn't, the test is skipped; in CI it fails."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = f"{name} is not installed (scripts/install-debian-packages.sh installs it)"
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        pytest.skip(reason)
    return found


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def running_program(
    command: Sequence[str],
    log: Path,
    answers: Callable[[], bool],
    *,
    user: str | int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that answers; ended at the end. `user`: as whom, where we are root and it refuses to be."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment,
            user=user if os.geteuid() == 0 else None,
        )
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not answers():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} does not answer: {log.read_text()[-4000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Whether something takes connections there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            return True
    except OSError:
        return False
