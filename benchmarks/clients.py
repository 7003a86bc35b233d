"""Clients in processes of their own: buyers and readers, begun together and timed by one clock.

A client is a module that is run with its wishes as JSON. It says "ready" when it has its connections, begins at a line
on its standard input, and at its end says what it found, as a line of JSON. Times are of the monotonic clock, which all
processes of a machine share, in nanoseconds.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOP_SECONDS_MAX = 120


class Client:
    """A client, seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def begin(self) -> None:
        """Let it begin."""
        self._say("begin")

    def stop(self) -> None:
        """Let it end, where it doesn't by itself."""
        self._say("stop")

    def result(self) -> Any:
        """Wait for its end, and take what it found."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._process.wait(STOP_SECONDS_MAX)
        if not line:
            raise RuntimeError("a client of the benchmark has failed; what it said stands above")
        return json.loads(line)

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)


@contextmanager
def client(module: str, **wishes: object) -> Iterator[Client]:
    """A client that is ready to begin."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(wishes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {module} could not connect; what they said stands above")
        yield Client(process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def wishes() -> Any:
    """In a client: what is wished of it."""
    return json.loads(sys.argv[1])


def ready() -> None:
    """In a client: say that it is, and wait for the word to begin."""
    print("ready", flush=True)
    sys.stdin.readline()


def tell(**found: object) -> None:
    """In a client: say what it found."""
    print(json.dumps(found), flush=True)


def allow_connections(count: int) -> None:
    """In a client: raise its limit of open files to what so many connections need."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} connections need as many open files, and {hard} are allowed (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def own_cpu_seconds() -> float:
    """In a client: its CPU time so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
