"""`rowlock stampede`: anyone can prove the guarantee on their own box, and is told plainly where it can't be tried."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Server
from tests.processes import environment, rowlock
from tests.test_cli import assert_one_line

# `make test` has seconds for this; the whole proof takes STAMPEDE_ATTEMPTS=20000.
ATTEMPTS = int(os.environ.get("STAMPEDE_ATTEMPTS", "2000"))


@pytest.fixture
def urls(processes: list[Server]) -> list[str]:
    """Options that name two running servers."""
    for server in processes:
        asyncio.run(server.ready())
    return [word for server in processes for word in ("--url", server.url)]


@pytest.fixture
def admin(tokens: dict[str, str]) -> list[str]:
    """The option that lets us in."""
    return ["--token", tokens["admin"].removeprefix("Bearer ")]


def test_two_servers_pass(tmp_path: Path, urls: list[str], admin: list[str]) -> None:
    """Nobody could see for themselves that no seat is sold twice."""
    options = ["--attempts", str(ATTEMPTS), "--clients", "200", "--seats", str(ATTEMPTS // 10)]
    done = rowlock(tmp_path, "stampede", *urls, *admin, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "PASS"
    assert done.stderr == "", "there is no terminal to show progress on"
    for figure in ("bookings", "conflicts", "not enough", "busy", "replays", "hang-ups", "false refusals"):
        assert re.search(rf"^  {figure} +[\d,]+", done.stdout, re.MULTILINE), figure
    assert re.search(
        r"^  latency +p50 [\d,.]+ ms, p99 [\d,.]+ ms, max [\d,.]+ ms$", done.stdout, re.MULTILINE
    )


def test_it_ends_when_sold_out(tmp_path: Path, urls: list[str], admin: list[str]) -> None:
    """It would go on for the whole minute with nothing left to buy."""
    options = ["--clients", "20", "--seats", "20", "--seconds", "60"]
    done = rowlock(tmp_path, "stampede", *urls, *admin, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^  attempts .* in ([\d.]+) s$", done.stdout, re.MULTILINE)
    assert found is not None
    assert float(found[1]) < 45


def test_the_same_seats(tmp_path: Path, urls: list[str], admin: list[str]) -> None:
    """Predecessor 1's users would miss its test, or not know its words again."""
    done = rowlock(tmp_path, "stampede", *urls, *admin, "--same-seats", "10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "RESULTS:",
        "--------",
        "Total requests: 10",
        "Successful bookings: 1",
        "Failed bookings: 9",
        "",
        "✓ PASS: Exactly 1 booking succeeded (concurrency control working!)",
    ]


def test_ctrl_c_prints_what_there_is(tmp_path: Path, urls: list[str], admin: list[str]) -> None:
    """A run that was cut short would have been for nothing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rowlock", "stampede", *urls, *admin, "--seats", "20000", "--clients", "20"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("Stampede at show"), first
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out.splitlines()[-1] == "INTERRUPTED: not audited"
    assert re.search(r"^  bookings +[1-9]", out, re.MULTILINE), out
    assert "Traceback" not in out + err


def test_customers_may_not(tmp_path: Path, urls: list[str], tokens: dict[str, str]) -> None:
    """Whoever forgot the token, or took the wrong one, would be left to guess."""

    def fails(*options: str) -> subprocess.CompletedProcess[str]:
        return rowlock(tmp_path, "stampede", *urls, *options)

    assert_one_line(fails(), "--token", "admin", "rowlock token --role admin")
    customer = tokens["customer"].removeprefix("Bearer ")
    assert_one_line(fails("--token", customer), "--token", "customer")
    assert_one_line(fails("--token", "nonsense"), "--token", "401")


@pytest.fixture
def other_site() -> Iterator[str]:
    """The address of a web server that is no Rowlock."""

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base's name)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_without_rowlock_is_named(tmp_path: Path, other_site: str) -> None:
    """A typo in the address would be a traceback."""
    assert_one_line(rowlock(tmp_path, "stampede", "--url", "nonsense"), "--url nonsense", "address")
    assert_one_line(rowlock(tmp_path, "stampede", "--url", "http://127.0.0.1:1"), "127.0.0.1:1", "refused")
    assert_one_line(rowlock(tmp_path, "stampede", "--url", other_site), other_site, "not a Rowlock")
