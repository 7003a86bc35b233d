"""Randomness for ids: the operating system's, read in larger pieces.

A system call for each id costs more than all the rest of making one. What is read ahead is unguessable as it would be
then, and is never used twice: not in a process that was forked from this one either. Only the event loop's thread may
ask: two threads could be given the same.
"""

from __future__ import annotations

import io
import os
from typing import Final

_PIECE_BYTES: Final = 4_096

_piece = io.BytesIO()


def random_bytes(count: int) -> bytes:
    """So many bytes (at most 4,096) that nobody can guess."""
    taken = _piece.read(count)
    if len(taken) == count:
        return taken
    _piece.seek(0)
    _piece.write(os.urandom(_PIECE_BYTES))
    _piece.seek(0)
    return _piece.read(count)


def random_bits(count: int) -> int:
    """A number of so many bits that nobody can guess."""
    return int.from_bytes(random_bytes((count + 7) // 8)) >> (-count % 8)


def _forget() -> None:
    _piece.seek(0, io.SEEK_END)


os.register_at_fork(after_in_child=_forget)
