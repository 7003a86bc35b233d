"""Two processes' worth of Rowlock on one database: nothing is shared but PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Context]:
    """Another process than `context`."""
    async with open_context(Database(dsn)) as context:
        yield context
