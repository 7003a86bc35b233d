"""The embedded PostgreSQL: data is kept, nothing is left running, whatever ended the process before."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from rowlock.postgres.embedded import EmbeddedError, EmbeddedPostgres
from tests.conftest import run_sql
from tests.processes import left_behind

# Root becomes nobody only here, as nobody may not pass to where root keeps its Python.
BECOME = """
import encodings.idna, os, select, selectors, subprocess, sys, tempfile
from pathlib import Path
from rowlock.postgres.embedded import EmbeddedError, EmbeddedPostgres
if len(sys.argv) > 2:
    os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(int(sys.argv[2]))
"""
HOLDER = (
    BECOME
    + """
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""
)
STARTER = (
    BECOME
    + """
try:
    EmbeddedPostgres(Path(sys.argv[1])).start()
except EmbeddedError as error:
    print(error)
"""
)
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, which any account may pass."""
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def hold(folder: Path, *account: str) -> subprocess.Popen[str]:
    """Another process that uses the server, until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *account],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith("postgresql://"):
        assert line, "it didn't start"
    return process


def let_go(process: subprocess.Popen[str]) -> None:
    """Let it end in order."""
    process.communicate(timeout=60)
    assert process.returncode == 0


def postmaster(folder: Path) -> int:
    """The server's pid."""
    return int((folder / "postgres-18" / "postmaster.pid").read_text().split()[0])


def test_data_is_kept_and_nothing_runs_after(folder: Path) -> None:
    """A second start finds what the first one wrote."""
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "CREATE TABLE kept (n int)")
    assert left_behind(folder) == []
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "SELECT * FROM kept")
    assert left_behind(folder) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows a process's environment as files")
def test_no_secret_of_ours_is_in_its_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another account could read the key that signs tokens, and be anyone."""
    monkeypatch.setenv("ROWLOCK_SECRET_KEY", "not for the database")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nor this")
    monkeypatch.setenv("TZ", "UTC")
    with EmbeddedPostgres(folder):
        environment = Path(f"/proc/{postmaster(folder)}/environ").read_bytes().split(b"\0")
    names = {line.partition(b"=")[0].decode() for line in environment if line}
    assert {"PATH", "TZ", "LC_ALL", "HOME"} <= names
    assert names <= {"PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LC_ALL", "HOME"}


def test_only_a_private_socket_is_listened_on(folder: Path) -> None:
    """No port is opened, and no other account can enter the folder."""
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "DO $$ BEGIN ASSERT current_setting('listen_addresses') = ''; END $$")
        assert (folder / "postgres-18").stat().st_mode & 0o077 == 0


def test_a_server_that_outlived_its_process_is_used_again(folder: Path) -> None:
    """After kill -9 the next start works at once, and stops the server in the end."""
    process = hold(folder)
    pid = postmaster(folder)
    process.kill()
    process.communicate()
    with EmbeddedPostgres(folder) as server:
        assert postmaster(folder) == pid
        run_sql(server.dsn, "SELECT 1")
    assert left_behind(folder) == []


def test_a_crash_of_everything_is_recovered_from(folder: Path) -> None:
    """Power fails: what was committed is there, and the stale pid file is in nobody's way."""
    process = hold(folder)
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "CREATE TABLE kept (n int)")
    os.kill(postmaster(folder), signal.SIGQUIT)  # immediate: as a crash, but its children end with it
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while left_behind(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "SELECT * FROM kept")


def test_the_last_of_several_processes_stops_it(folder: Path) -> None:
    """Whoever started it may go first."""
    process = hold(folder)
    second = EmbeddedPostgres(folder)
    second.start()
    let_go(process)
    run_sql(second.dsn, "SELECT 1")
    second.stop()
    assert left_behind(folder) == []


def test_ctrl_c_in_the_terminal_does_not_reach_it(folder: Path) -> None:
    """It is stopped in order by Rowlock, not by the terminal."""
    with EmbeddedPostgres(folder):
        assert os.getsid(postmaster(folder)) != os.getsid(0)


def test_a_long_path_gets_a_short_socket(folder: Path) -> None:
    """A deep home folder is no obstacle, and its short socket folder goes with the server."""
    deep = folder / ("d" * 60) / ("e" * 60)
    with EmbeddedPostgres(deep) as server:
        short = Path(server.dsn.split("host=")[1].split("&")[0])
        assert short.name.startswith("rowlock-pg-")
        assert short.stat().st_mode & 0o077 == 0
        run_sql(server.dsn, "SELECT 1")
    assert not short.exists()


def test_odd_characters_in_the_path(folder: Path) -> None:
    """Spaces, quotes, dollars and commas are only letters."""
    with EmbeddedPostgres(folder / "a b,c'd$e%f") as server:
        run_sql(server.dsn, "SELECT 1")


def test_a_folder_that_cannot_be_made_is_named(folder: Path) -> None:
    """The line says which setting to change."""
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedError, match=r"^ROWLOCK_DATA_DIR=.*/file/var: [^\n]+$"):
        EmbeddedPostgres(folder / "file" / "var").start()


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    """PostgreSQL's own words, and where there are more; nothing is left running."""
    server = EmbeddedPostgres(folder, options={"shared_buffers": "1kB"})
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        server.start()
    assert left_behind(folder) == []


def test_a_first_start_cut_short_leaves_nothing_half_made(folder: Path) -> None:
    """Half a data folder is thrown away, not used."""
    (folder / "postgres-18.making").mkdir()
    (folder / "postgres-18.making" / "PG_VERSION").write_text("18")
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "SELECT 1")
    assert not (folder / "postgres-18.making").exists()


async def test_the_database_speaks_utf8(server: EmbeddedPostgres) -> None:
    """Names in any script are found whatever their case."""
    connection = await asyncpg.connect(server.dsn)
    try:
        assert await connection.fetchval("SELECT lower('ÄÖ')") == "äö"
    finally:
        await connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_folders_above_are_opened_for_passing_only(folder: Path) -> None:
    """Root's data in a closed folder works; the folder can then be passed, and not read."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "var") as server:
        run_sql(server.dsn, "SELECT 1")
        assert (closed / "var" / "postgres-18").stat().st_uid != 0
    assert closed.stat().st_mode & 0o777 == 0o701


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_an_ordinary_account_needs_nothing_of_root(folder: Path) -> None:
    """Not root: the same, as oneself; an unwritable folder is named."""
    mine = folder / "mine"
    mine.mkdir()
    os.chown(mine, NOBODY, NOBODY)
    let_go(hold(mine, str(NOBODY)))
    assert (mine / "postgres-18").stat().st_uid == NOBODY
    done = subprocess.run(
        [sys.executable, "-c", STARTER, str(folder / "yours"), str(NOBODY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"ROWLOCK_DATA_DIR={folder}/yours: can't be used"), done.stderr
    assert "Permission denied" in done.stdout


def test_a_socket_nobody_listens_on_is_no_server(folder: Path) -> None:
    """A stale pid file and socket of a dead server are not mistaken for a live one."""
    with EmbeddedPostgres(folder):
        text = (folder / "postgres-18" / "postmaster.pid").read_text()
    (folder / "postgres-18" / "postmaster.pid").write_text(text.replace(text.split()[0], "999999", 1))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "postgres-18" / ".s.PGSQL.5432"))
    with EmbeddedPostgres(folder) as server:
        run_sql(server.dsn, "SELECT 1")
