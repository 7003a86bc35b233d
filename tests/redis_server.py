"""A real redis-server, for tests: started by them, on a unix socket in a folder of its own, and stopped as they like."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

START_SECONDS_MAX = 30.0


def redis_program() -> str:
    """Where redis-server is. Where it isn't, the test is skipped; in CI it fails."""
    program = shutil.which("redis-server")
    if program is None:
        reason = "redis-server is not installed (scripts/install-debian-packages.sh installs it)"
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        pytest.skip(reason)
    return program


class RedisServer:
    """One redis-server. It keeps nothing on disk: after a stop it is as empty as a new one."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> Redis:
        """A plain client, to look at what is there and to spoil it."""
        return Redis(
            unix_socket_path=str(self.socket),
            socket_timeout=START_SECONDS_MAX,
            retry=Retry(NoBackoff(), 0),
        )

    def start(self) -> None:
        """Start, and wait until it answers."""
        assert self._process is None
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(redis_program(), "--port", "0", "--unixsocket", str(self.socket)),
                    *("--dir", str(self.folder), "--save", "", "--appendonly", "no", "--daemonize", "no"),
                    *self._options,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((self.folder / "redis.log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a machine that fails would; ended already is fine."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it take connections and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with self.client as client:
                return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that answers; stopped at the end."""
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
