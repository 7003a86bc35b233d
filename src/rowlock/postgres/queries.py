"""Named SQL: each `.sql` file in `postgres/sql/` holds queries, each under a line `-- name: the_name`.

A file becomes a namespace, a query a plain string. A test holds every name that the code asks
for to be there. (aiosql was looked at: it also wraps the driver and generates methods, which we don't want on the hot path.)
"""

from __future__ import annotations

import re
from importlib.resources import files
from types import SimpleNamespace

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(name: str) -> SimpleNamespace:
    """The queries of `sql/<name>.sql`, as attributes."""
    text = files("rowlock.postgres").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    queries = {key: body.strip() for key, body in zip(parts[::2], parts[1::2], strict=True)}
    if len(queries) * 2 != len(parts):
        raise ValueError(f"{name}.sql names a query twice")
    return SimpleNamespace(**queries)
