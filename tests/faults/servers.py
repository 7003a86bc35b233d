"""Rowlock's servers under torture: killed, frozen, restarted on the same port, with other clocks and low limits."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.end_to_end.conftest import SECRET_KEY

START_SECONDS_MAX = 60.0
PLANTED = Path(__file__).parent / "planted.py"


class ServerProcess:
    """One `rowlock serve`, at the same address however often it is started. `bug`: one of planted.py's."""

    def __init__(
        self,
        folder: Path,
        number: int,
        *,
        host: str,
        port: int,
        dsn: str,
        settings: dict[str, str],
        wrap: Sequence[str] = (),
        bug: str | None = None,
    ) -> None:
        self.number = number
        self.host, self.port = host, port
        self.url = f"http://{host}:{port}"
        self.log = folder / f"server-{number}.log"
        self.wrap = list(wrap)  # before the program: a namespace, say
        self.clock: list[str] = []  # and what shifts its clock
        self.limits: list[str] = []  # and what takes resources away
        self._folder = folder
        self._command = ["-m", "rowlock"] if bug is None else [str(PLANTED), bug]
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PLANTED.parents[2]),
            "DATABASE_URL": dsn,
            "HOST": host,
            "PORT": str(port),
            "ROWLOCK_SECRET_KEY": SECRET_KEY,
            "ROWLOCK_LOG_LEVEL": "warning",
            "ROWLOCK_LOG_FORMAT": "json",
            "ROWLOCK_SWEEP_SECONDS": "0.5",
            "ROWLOCK_RATE_BOOKINGS_PER_MINUTE": "0",
            "ROWLOCK_WEBHOOK_ALLOW_PRIVATE": "on",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until it serves."""
        assert not self.runs
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.wrap, *self.clock, *self.limits, sys.executable, *self._command, "serve"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait_until_it_listens()

    def wait_until_it_listens(self) -> None:
        """It takes connections: it may still answer that the database is away."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((self.host, self.port), timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
            assert self.runs, f"a server ended: {self.log.read_text()[-3000:]}"
        raise AssertionError(f"a server does not listen: {self.log.read_text()[-3000:]}")

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's own."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it takes connections and says nothing."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.runs:
            os.kill(self.pid, number)

    def stop(self) -> None:
        """End it as an operator would; one that doesn't end is a finding."""
        if self.runs:
            self.thaw()
            self.signal(signal.SIGTERM)
            assert self._process is not None
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"server {self.number} does not end") from None
