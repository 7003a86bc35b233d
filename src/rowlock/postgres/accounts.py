"""Who the embedded PostgreSQL runs as.

PostgreSQL refuses to run as root. Root therefore runs it as the account that owns the data already, or else as
`postgres` or `nobody`, and lets that account get to the data and to the programs: where a folder above them can't be
passed it is opened for passing through (+x), nothing more, and a line in the log says so.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Account:
    """An account of this machine that is not root."""

    name: str
    uid: int
    gid: int


def choose(data: Path) -> Account | None:
    """Who is to run a server on `data`: None where that is who we are. Raises LookupError if there is nobody."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        owner = data.stat()
        try:
            return Account(pwd.getpwuid(owner.st_uid).pw_name, owner.st_uid, owner.st_gid)
        except KeyError:  # made in a container, under a number that has no name here
            return Account(f"uid {owner.st_uid}", owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise LookupError("there is no account postgres or nobody to run it as")


def let_reach(account: Account, folder: Path) -> None:
    """Let the account come to `folder`: +x on it and on those above it, where that is missing. Takes a real path."""
    for step in (folder, *folder.parents):
        found = step.stat()
        owned, grouped = found.st_uid == account.uid, found.st_gid == account.gid
        needed = stat.S_IXUSR if owned else stat.S_IXGRP if grouped else stat.S_IXOTH
        if not found.st_mode & needed:
            log.warning("folder opened for passing through (+x)", folder=str(step), account=account.name)
            step.chmod(stat.S_IMODE(found.st_mode) | needed)


def let_read(folder: Path) -> None:
    """Let everyone read the files of an installed package, which hold nothing secret: a strict umask closed them."""
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        opened = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
        if opened != mode and not path.is_symlink():
            path.chmod(opened)
