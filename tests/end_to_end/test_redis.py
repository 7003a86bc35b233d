"""Two servers that share a Redis, which is stopped and started anew while they sell."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from rowlock.operations.context import Context
from tests.brokers.conftest import until
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_live import Page, book, in_database, watching
from tests.end_to_end.test_metrics import SERIES
from tests.end_to_end.test_stampede import context, create  # noqa: F401 (a fixture)
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio

LIMIT = 30
SECONDS_MAX = 20.0


@pytest.fixture
async def servers(dsn: str, tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[list[Server]]:
    """Two servers on one database and one Redis."""
    settings = {
        "REDIS_URL": redis_server.url,
        "ROWLOCK_RATE_BOOKINGS_PER_MINUTE": str(LIMIT),
        "ROWLOCK_LOG_LEVEL": "info",
    }
    servers = [Server(dsn, tmp_path, **settings) for _ in range(2)]
    try:
        for server in servers:
            await server.ready()
        yield servers
    finally:
        for server in servers:
            server.stop()


async def metric(server: Server, name: str) -> dict[str, float]:
    """A metric's values, by its labels."""
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        text = (await client.get("/metrics")).text
    return {labels: float(value) for found, labels, value in SERIES.findall(text) if found == name}


async def says_up(servers: list[Server], up: float) -> None:
    """Wait until the metrics of all servers say that Redis is there, or isn't."""
    for server in servers:

        async def says(server: Server = server) -> bool:
            return list((await metric(server, "rowlock_redis_up")).values()) == [up]

        await until(says, SECONDS_MAX)


def logged(server: Server, event: str) -> int:
    """How often a server said something."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return sum(line.get("message") == event for line in lines)


async def test_redis_stops_and_returns_under_two_servers(
    servers: list[Server],
    redis_server: RedisServer,
    context: Context,  # noqa: F811
    tokens: dict[str, str],
) -> None:
    """An outage of something optional would be an outage of the sale."""
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, list[httpx.AsyncClient]] = {"admin": [], "customer": []}
        for role, of_role in clients.items():
            for server in servers:
                client = httpx.AsyncClient(
                    base_url=server.url, headers={"Authorization": tokens[role]}, timeout=30
                )
                of_role.append(await stack.enter_async_context(client))
        admins, customers = clients["admin"], clients["customer"]
        show = await create(admins[0], 300, max_seats_per_booking=10)
        pages: list[Page] = [await stack.enter_async_context(watching(each, show)) for each in admins]

        async def sell(first: int) -> None:
            for seat in range(first, first + 6):
                await book(admins[seat % 2], show, seat)
            version, statuses = await in_database(context, show)
            for page in pages:
                async with asyncio.timeout(SECONDS_MAX):
                    await page.shows(version)
                assert page.statuses == statuses

        await says_up(servers, 1)
        await sell(1)
        redis_server.stop()
        await sell(11)
        await says_up(servers, 0)
        for client in admins:
            assert (await client.get("/ready")).status_code == 200
        await sell(21)
        redis_server.start()
        await says_up(servers, 1)
        await sell(31)
        redis_server.freeze()
        try:
            await sell(41)
            await says_up(servers, 0)
        finally:
            redis_server.thaw()
        await says_up(servers, 1)

        statuses = []
        for n in range(2 * LIMIT):
            answer = await customers[n % 2].post("/api/bookings", json={"show_id": show, "seat_count": 1})
            statuses.append(answer.status_code)
        assert set(statuses) == {201, 429}
        # Each for itself would let all of them through. A busy machine may be late now and then.
        assert LIMIT <= statuses.count(201) < LIMIT * 1.5
        for server in servers:
            outages = logged(server, "redis_away")
            assert outages == logged(server, "redis_back")
            assert 2 <= outages <= 5, (
                "one each; and on a busy machine there may be one more, but not one a call"
            )
            fallbacks = await metric(server, "rowlock_redis_fallbacks_total")
            assert fallbacks['use="feed"'] > 0
