"""Answers that need not be sent again: strong ETags, and `If-None-Match`."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.types import Scope

NO_CACHE = "no-cache"  # may be kept, but must be asked about each time
FOREVER = "public, max-age=31536000, immutable"


def asks_for_other_than(scope: Scope) -> list[str] | None:
    """The ETags in If-None-Match, without their weakness; None if the header is not there."""
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
    if not values:
        return None
    return [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]


def matches(wanted: list[str] | None, etag: str) -> bool:
    """Whether the caller has this already."""
    return wanted is not None and ("*" in wanted or etag in wanted)


def not_modified(etag: str, cache_control: str) -> Response[Any]:
    """304."""
    return Response(None, status_code=304, headers={"ETag": etag, "Cache-Control": cache_control})
