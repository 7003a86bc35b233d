"""The C library's allocator: large blocks go back to the system when they are freed.

Of glibc's own accord they do so at first only. Each that is freed raises the size from which blocks are mapped one by
one, up to 32 MB; those below it are cut from the heap of the thread that asks, where what was freed stays, for good if
something small came to lie behind it. Lists of whole halls are of megabytes, made by several threads, and new ones by
the second while a show sells: a process would keep the room of some of them for each thread.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

LARGE_BYTES: Final = (
    512_000  # bodies of whole halls; to map one costs less than a tenth of the time that making it takes
)
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD of malloc.h


def give_back_large_blocks() -> bool:
    """Fix the size from which blocks are mapped, unless whoever runs us has set it. Whether the C library knows of it."""
    if "MALLOC_MMAP_THRESHOLD_" in os.environ:
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # others than glibc have no such word, or need none
    return mallopt is not None and mallopt(_MMAP_THRESHOLD, LARGE_BYTES) == 1
