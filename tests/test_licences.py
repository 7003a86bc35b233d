"""What Rowlock stands on may be used by whoever uses Rowlock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_licence_is_known_and_accepted() -> None:
    """A package under a licence of another kind would bind whoever runs Rowlock."""
    done = subprocess.run(
        [sys.executable, "scripts/list_licences.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) > 20
