"""Large blocks: a server that sells for hours would keep room for lists that it has long sent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
from benchmarks.heap import account
from rowlock.allocator import give_back_large_blocks
{first}
freed = bytes(3_000_000)
del freed
before = account().hblkhd
kept = bytes(3_000_000)
print(account().hblkhd - before)
"""


def _mapped_by_itself(first: str, **environment: str) -> int:
    """How much of a second large block is no part of a heap, so that it goes back to the system when it is freed."""
    command = [sys.executable, "-c", _PROGRAM.format(first=first)]
    found = subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that does so")
def test_a_large_block_is_never_part_of_a_heap() -> None:
    """Each thread that makes bodies would keep the room of one, and a process grow to many times what it needs."""
    assert _mapped_by_itself("") == 0  # of glibc's own accord, from the second one on
    assert _mapped_by_itself("assert give_back_large_blocks()") >= 3_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="it is glibc that does so")
def test_whoever_runs_a_server_decides() -> None:
    """A setting of glibc's own would be ignored."""
    first = "assert not give_back_large_blocks()"
    assert _mapped_by_itself(first, MALLOC_MMAP_THRESHOLD_="30000000") == 0
