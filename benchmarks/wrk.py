"""Load by wrk: many connections, each asking again as soon as it was answered, at a small cost of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.servers import HOST, Server

CONNECTIONS = 32  # enough that the server never waits for a question
MISSING = "wrk is not installed, and can't be by us (needs root and apt-get); on Debian: apt-get install wrk"

_REPORT = Path(__file__).with_name("report.lua")


class Load(msgspec.Struct, frozen=True):
    """What wrk has counted. `failed`: answers from 400 up; `lost`: none came."""

    requests: int
    seconds: float
    failed: int
    lost: int
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests answered a second."""
        return self.requests / self.seconds


def find() -> str:
    """wrk's path; it is installed where that is possible. Raises RuntimeError, saying what to do."""
    if shutil.which("wrk") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = "apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk"
        subprocess.run(["sh", "-c", install], env=environment, check=False, capture_output=True)
    path = shutil.which("wrk")
    if path is None:
        raise RuntimeError(MISSING)
    return path


def load(
    server: Server,
    path: str,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> Load:
    """Ask for an address for so long."""
    command = [find(), "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", str(_REPORT)]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    output = subprocess.run(
        [*command, f"http://{HOST}:{server.port}{path}"], check=True, capture_output=True, text=True
    ).stdout
    counted = msgspec.json.decode(output.splitlines()[-1], type=Load)
    if counted.failed or counted.lost:
        raise RuntimeError(f"{path}: {counted.failed} refused, {counted.lost} lost of {counted.requests}")
    return counted
