"""What the tests of faults share: a world for each, in a short folder, and the judgement on it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.checker import check
from tests.faults.evidence import Evidence


@pytest.fixture
def place(short_dir: Path) -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="w", dir=short_dir))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def needs_root() -> None:
    """Network namespaces and mounts need it. Elsewhere such a test is left out by name; in CI it fails."""
    if os.geteuid() != 0:
        reason = "makes network namespaces or mounts a file system, which needs root"
        if os.environ.get("CI"):
            pytest.exit(reason, returncode=1)
        pytest.skip(reason)


def found_in(evidence: Evidence) -> dict[str, list[str]]:
    """The rules that are broken, with the first offenders."""
    return {rule: offenders[:5] for rule, offenders in check(evidence).items() if offenders}
