"""The heap: how much memory of this process is in use, to the byte, and without the cost of tracemalloc.

Python has an allocator of its own for small objects; with `PYTHONMALLOC=malloc` in its environment all is asked of the
C library, which keeps an account of what is in use. That of glibc can be read (mallinfo2, from 2.33 on). What is free
and kept for later is not in it: so what grows here is held by somebody.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Mapping
from typing import Final

ENVIRONMENT: Final = {"PYTHONMALLOC": "malloc"}
MISSING: Final = "what is in use can't be told here: it needs glibc 2.33 or later"


class Account(ctypes.Structure):
    """struct mallinfo2, all of whose fields are of one type. `uordblks`: in use in heaps; `hblkhd`: mapped one by one."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def account() -> Account:
    """The C library's account. Raises RuntimeError where there is none."""
    read = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if read is None:
        raise RuntimeError(MISSING)
    read.restype = Account
    read_account: Account = read()
    return read_account


def bytes_in_use() -> int:
    """What is in use, once what nobody refers to is freed. Raises RuntimeError where that can't be told."""
    if os.environ.get("PYTHONMALLOC") != ENVIRONMENT["PYTHONMALLOC"]:
        raise RuntimeError(
            "PYTHONMALLOC=malloc is not in the environment: small objects would not be counted"
        )
    gc.collect()
    found = account()
    return int(found.uordblks) + int(found.hblkhd)


def begin_anew(environment: Mapping[str, str] = os.environ) -> None:
    """Run this program again from its beginning with such an environment, unless it has it already."""
    if environment.get("PYTHONMALLOC") != ENVIRONMENT["PYTHONMALLOC"]:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**environment, **ENVIRONMENT})  # noqa: S606 (itself)
