"""A worker's connections are gone, and PostgreSQL is not told: what they had claimed must not stay claimed for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import asyncpg
import pytest

from rowlock.domain.commands import Actor, Command
from rowlock.domain.world import Decision
from rowlock.engine.engine import Engine
from rowlock.operations.book import BookRequest
from rowlock.operations.book_later import book_later
from rowlock.operations.context import Context, open_context
from rowlock.operations.decide_queued import Fate, decide_in_order
from rowlock.operations.events import Spelled
from rowlock.operations.find_bookings import find_booking
from rowlock.operations.queueing import QueuedRequest, QueuedView
from rowlock.postgres.pool import Database
from rowlock.workers import table_consumer
from rowlock.workers.outbox import Publishing
from rowlock.workers.sweeper import Sweeper
from rowlock.workers.table_consumer import TableConsumer
from tests.concurrency.proxy import Proxy
from tests.events import ListedExchange
from tests.support import audit, make_show, try_book

pytestmark = pytest.mark.anyio

TAKEN_OVER_SECONDS_MAX = 15.0
LOST = (OSError, asyncpg.InterfaceError, asyncpg.PostgresError)
SOURCE = "https://tickets.example.org"


@pytest.fixture
async def stranded(proxy_and_address: tuple[Proxy, str]) -> AsyncIterator[Context]:
    """A process that reaches the database through the proxy."""
    async with open_context(Database(proxy_and_address[1])) as context:
        yield context


async def takes_over(work: Callable[[], Awaitable[object]]) -> None:
    """Another process tries again and again, as workers do, until there was something for it to do."""
    async with asyncio.timeout(TAKEN_OVER_SECONDS_MAX):
        while not await work():  # noqa: ASYNC110 (PostgreSQL tells nobody)
            await asyncio.sleep(0.2)


async def test_another_sweeper_takes_over(
    context: Context, stranded: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would sweep for a minute: shows look fuller than they are, and cancelled ones are not settled."""
    show = await make_show(context, 10)
    for seat in ("1", "2", "3"):
        await try_book(context, show, [seat], confirm=False)
    await context.pool.execute(
        "UPDATE bookings SET expires_at = now() - interval '1 s', release_at = now() - interval '1 s'"
    )
    await context.pool.execute("UPDATE seats SET held_until = now() - interval '1 s' WHERE status = 'R'")
    submit = Engine.submit

    def cut_off(engine: Engine, command: Command) -> asyncio.Future[Decision]:
        if engine is stranded.engine:
            proxy.strand()
            raise ConnectionError("the network is gone")
        return submit(engine, command)

    monkeypatch.setattr(Engine, "submit", cut_off)
    with pytest.raises(LOST):
        await Sweeper(stranded, 30).run_once()
    sweeper = Sweeper(context, 30)

    async def sweep() -> int:
        return (await sweeper.run_once()).expired

    await takes_over(sweep)
    await audit(context)


async def test_another_consumer_takes_over(
    context: Context, stranded: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever queued for a show would wait for a minute, however many consumers there are."""
    show = await make_show(context, 10)
    queued = await book_later(context, BookRequest(show, "ada", seats=("1",)), by=Actor.STAFF)

    async def cut_off(of: Context, requests: Sequence[QueuedRequest]) -> list[Fate]:
        fates = await decide_in_order(of, requests)
        if of is stranded:
            proxy.strand()
        return fates

    monkeypatch.setattr(table_consumer, "decide_in_order", cut_off)
    with pytest.raises(LOST):
        await TableConsumer(stranded).run_once()
    await takes_over(TableConsumer(context).run_once)
    assert isinstance(queued, QueuedView)
    assert (await find_booking(context, queued.id)).status == "CONFIRMED"
    await audit(context)


async def test_another_publisher_takes_over(
    context: Context, proxy_and_address: tuple[Proxy, str], dsn: str
) -> None:
    """Readers of a show's events would hear nothing of it for a minute."""
    proxy, address = proxy_and_address
    await make_show(context, 10)

    class CutOff(ListedExchange):
        async def publish(self, events: Sequence[Spelled]) -> list[bool]:
            proxy.strand()
            return await super().publish(events)

    first = Publishing(context, Database(address), SOURCE, CutOff())
    with pytest.raises(LOST):
        await first.round()
    exchange = ListedExchange()
    second = Publishing(context, Database(dsn), SOURCE, exchange)
    try:
        await takes_over(second.round)
    finally:
        await second.close()
    assert len(exchange.sent) == 1
