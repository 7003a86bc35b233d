"""Real server processes on a fresh database, and clients that talk HTTP to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from rowlock.http.tokens import mint

SECRET_KEY = "a key that is only for the tests, and long enough"
START_SECONDS_MAX = 30


class Server:
    """One `rowlock serve`, or `demo`, in a process of its own."""

    def __init__(self, dsn: str, folder: Path, command: str = "serve", **settings: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "DATABASE_URL": dsn,
            "PORT": str(self.port),
            "ROWLOCK_SECRET_KEY": SECRET_KEY,
            "ROWLOCK_LOG_LEVEL": "warning",
            "ROWLOCK_SWEEP_SECONDS": "0.2",
            "ROWLOCK_RATE_BOOKINGS_PER_MINUTE": "0",
            "ROWLOCK_RATE_GUESTS_PER_MINUTE": "0",
            "ROWLOCK_RATE_HOLDS_PER_MINUTE": "0",
            **settings,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "rowlock", command],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Wait until it serves."""
        async with httpx.AsyncClient() as client:
            for _ in range(START_SECONDS_MAX * 20):
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(self.url + "/ready")).status_code == 200:
                        return
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)
        pytest.fail("the server was not ready in time: " + self.log.read_text())

    def stop(self) -> None:
        """End it, as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture
def tokens() -> dict[str, str]:
    """Authorization headers by role."""
    return {
        role: "Bearer " + mint(SECRET_KEY, user_id=role, role=role, hours=1)
        for role in ("admin", "service", "customer")
    }


@pytest.fixture
def processes(dsn: str, tmp_path: Path) -> Iterator[list[Server]]:
    """Two servers that share nothing but the database."""
    servers = [Server(dsn, tmp_path), Server(dsn, tmp_path)]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
async def clients(processes: list[Server], tokens: dict[str, str]) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each server, acting as a service: it books for anyone."""
    for server in processes:
        await server.ready()
    limits = httpx.Limits(max_connections=128)
    headers = {"Authorization": tokens["admin"]}
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=30)
            )
            for server in processes
        ]
