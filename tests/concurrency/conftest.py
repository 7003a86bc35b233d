"""Two processes' worth of Rowlock on one database: nothing is shared but PostgreSQL.

Every race is run twice: on batches for many shows, and with a lane a show, as on tables that are spread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from tests.concurrency.proxy import Proxy, proxied
from tests.conftest import CITUS_URL
from tests.support import spread_by_default


@pytest.fixture(params=["sharded"] if CITUS_URL else ["together", "sharded"], autouse=True)
def sharded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the tables count as spread by show."""
    spread = bool(request.param == "sharded")
    if spread:
        spread_by_default(monkeypatch)
    return spread


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Context]:
    """Another process than `context`."""
    async with open_context(Database(dsn)) as context:
        yield context


@pytest.fixture
async def proxy_and_address(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before the test's database."""
    async with proxied(dsn) as both:
        yield both


@pytest.fixture
def proxy(proxy_and_address: tuple[Proxy, str]) -> Proxy:
    """The proxy, to tell it what to lose."""
    return proxy_and_address[0]
