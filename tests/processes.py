"""Rowlock as a process, for tests: started by them, and only ever signalled by its own pid."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

READY_SECONDS_MAX = 60


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """An environment without any setting but these."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("ROWLOCK_", "PG", "PROMETHEUS_"))}
    for name in ("DATABASE_URL", "SUPABASE_URL", "REDIS_URL", "AMQP_URL", "HOST", "PORT"):
        kept.pop(name, None)
    return {**kept, "ROWLOCK_DATA_DIR": str(folder / "var"), "ROWLOCK_LOG_FORMAT": "json", **variables}


def rowlock(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "rowlock", *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@contextmanager
def running(folder: Path, port: int, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server that answers; whatever is left of it at the end is ended."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rowlock", *arguments],
            cwd=folder,
            env=environment(folder, PORT=str(port), **variables),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_ready(process, port, folder / "log")
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for /ready."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready: {log.read_text()}")


def left_behind(folder: Path) -> list[str]:
    """The processes that still work in a folder, or name it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        told = [*(process.info["cmdline"] or []), process.info["cwd"] or ""]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in told):
            found.append(f"{process.pid} {' '.join(told)}")
    return found
