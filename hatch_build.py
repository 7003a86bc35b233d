"""Holds wheels to having the page: one without it would serve an empty house, and nobody would notice before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WITHOUT_PAGE = "ROWLOCK_WITHOUT_PAGE"


class PageHook(BuildHookInterface[Any]):
    """Looks for the built page before a wheel is made. Editable installs find the page when it is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Refuse to make a wheel without the page, unless that is what is wanted."""
        built = (Path(self.root) / "src" / "rowlock" / "page" / "index.html").exists()
        if version != "editable" and not built and os.environ.get(WITHOUT_PAGE) != "1":
            raise SystemExit(
                "The page is not built, so the wheel would be without it. Run `make page` first (it needs Node.js 20 or "
                f"later), or set {WITHOUT_PAGE}=1 for a wheel that serves the API alone."
            )
