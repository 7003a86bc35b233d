"""PostgreSQL servers of the torture's own: Debian's programs, killed and started as a machine would, by their own pid."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tests.conftest import DEBIAN_BIN_DIR
from tests.programs import find_program

START_SECONDS_MAX = 60.0
# A crash of a process loses nothing of what the kernel has: flushing to disk would only cost time here.
OPTIONS = {"fsync": "off", "max_connections": "120", "wal_level": "replica", "max_wal_size": "256MB"}


class Cluster:
    """One server and its data. `wrap` goes before each program, as to run it in a network namespace.

    It listens on `host`, if that is given, and on a unix socket in its folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "",
        port: int = 5432,
        wrap: Sequence[str] = (),
        options: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.host = host
        self.port = port
        self._wrap = list(wrap)
        self._options = OPTIONS | (options or {})
        self.account = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(folder, self.account)

    @property
    def dsn(self) -> str:
        """Its address on the unix socket."""
        return (
            f"postgresql://{self.account}@/postgres?host={quote(str(self.folder), safe='/')}&port={self.port}"
        )

    @property
    def socket(self) -> Path:
        """Its unix socket."""
        return self.folder / f".s.PGSQL.{self.port}"

    def create(self) -> None:
        """Make the data, open to whoever reaches it."""
        self.run(
            "initdb", "-A", "trust", "-U", self.account, "-E", "UTF8", "--locale=C", "-D", str(self.data)
        )
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n")

    def start(self) -> None:
        """Start, as often as it takes: a crashed one's children may still end. Waits until it takes connections."""
        deadline = time.monotonic() + START_SECONDS_MAX
        options = self._options | {
            "listen_addresses": self.host,
            "unix_socket_directories": str(self.folder),
            "port": str(self.port),
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        program = find_program(str(DEBIAN_BIN_DIR / "postgres"))
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self._process = subprocess.Popen(
                        [*self._wrap, *self._as_account(), program, "-D", str(self.data), *settings],
                        cwd=self.folder,
                        stdout=log,
                        stderr=log,
                        env=self._environment(),
                        start_new_session=True,
                    )
            if self._is_ready():
                return
            time.sleep(0.1)
        raise AssertionError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()[-3000:]}")

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            alive = self._process is not None and self._process.poll() is None
            # Line 8 is its state (src/include/utils/pidfile.h).
            return (
                alive
                and len(lines) > 7
                and lines[0] == str(self.pid)
                and lines[7].strip() in {"ready", "standby"}
            )
        return False

    @property
    def pid(self) -> int:
        """The postmaster's: what is wrapped around it has become it."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """kill -9 of the postmaster."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, mode: str = "immediate") -> None:
        """`pg_ctl stop -m`: immediate is as a crash. Stopped already is fine."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal({"immediate": signal.SIGQUIT, "fast": signal.SIGINT}[mode])
            self._process.wait(START_SECONDS_MAX)

    def run(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's programs, to its end."""
        with (self.folder / "log").open("ab") as log:
            done = subprocess.run(
                [
                    *self._as_account(),
                    find_program(str(DEBIAN_BIN_DIR / program)),
                    *arguments,
                ],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                timeout=START_SECONDS_MAX * 2,
                env=self._environment(),
                check=False,
            )
        assert done.returncode == 0, (self.folder / "log").read_text()[-3000:]

    def _as_account(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        account = pwd.getpwnam(self.account)
        ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}")
        return ["setpriv", *ids, "--clear-groups"]

    @staticmethod
    def _environment() -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
