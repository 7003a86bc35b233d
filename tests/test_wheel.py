"""The wheel, built without a network, has the page in it; and can't be built without it by mistake."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """What a wheel is made of, without whatever page is built here."""
    folder = tmp_path / "sources"
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("page", "__pycache__"))
    shutil.copy(ROOT / "src/rowlock/http/page.py", folder / "src/rowlock/http/page.py")
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(sources: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build a wheel with the locked tools."""
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(sources / "dist")],
        cwd=sources,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_wheel_has_the_page(sources: Path) -> None:
    """Whoever installs Rowlock would have the API, and no page."""
    shutil.copytree(ROOT / "tests" / "http" / "page", sources / "src" / "rowlock" / "page")
    done = build(sources)
    assert done.returncode == 0, done.stderr
    (wheel,) = (sources / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "rowlock/page/index.html",
        "rowlock/page/favicon.svg",
        "rowlock/page/assets/index-D2fzKxQw.js",
        "rowlock/http/page.py",
        "rowlock/postgres/sql/bookings.sql",
    } <= names


def test_a_wheel_without_the_page_is_refused(sources: Path) -> None:
    """A release would go out without its page."""
    refused = build(sources, ROWLOCK_WITHOUT_PAGE="")
    assert refused.returncode != 0
    assert "make page" in refused.stderr
    assert not list((sources / "dist").glob("*.whl"))
    assert build(sources, ROWLOCK_WITHOUT_PAGE="1").returncode == 0
