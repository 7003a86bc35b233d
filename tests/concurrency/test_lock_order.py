"""Locks are taken in one order, proved by connections that stand in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from rowlock.domain.commands import Expire
from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import find_show
from rowlock.postgres.pool import Database
from tests.concurrency.test_races import id_of
from tests.conftest import CITUS_URL
from tests.support import audit, batches_alone, lanes_of, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio

SEAT = "SELECT FROM seats WHERE show_id = $1 AND seat_no = $2 FOR UPDATE"
INVENTORY = "SELECT FROM inventory WHERE show_id = $1 FOR UPDATE"


@pytest.fixture
async def context(dsn: str) -> AsyncIterator[Context]:
    """One process with one lane, so that commands on different shows share a batch."""
    async with open_context(Database(dsn), lanes=1) as context:
        yield context


@pytest.fixture
async def blocker(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else, in a transaction."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


async def waiting(context: Context) -> None:
    """Wait until a lane waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rowlock lane' AND wait_event_type = 'Lock'"
    if CITUS_URL:  # the wait is at the node that has the show
        query = """SELECT sum(result::integer) FROM run_command_on_all_nodes(
            $$SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'$$)"""
    for _ in range(200):
        if await context.pool.fetchval(query):
            return
        await asyncio.sleep(0.01)
    pytest.fail("nothing waits for a lock")


async def is_locked(context: Context, query: str, *key: int) -> bool:
    """Whether somebody holds a row."""
    try:
        await context.pool.fetch(query + " NOWAIT", *key)
    except asyncpg.LockNotAvailableError:
        return True
    return False


async def test_seats_ascending_then_inventory(context: Context, blocker: asyncpg.Connection) -> None:
    """Two buyers who name the same seats in opposite order would deadlock."""
    show = await make_show(context)
    await blocker.fetch(SEAT, show, 4)
    booking = asyncio.create_task(try_book(context, show, ["9", "5", "2"]))  # seat numbers 8, 4, 1
    await waiting(context)
    assert await is_locked(context, SEAT, show, 1)
    assert not await is_locked(context, SEAT, show, 8)
    assert not await is_locked(context, INVENTORY, show)
    await blocker.execute("ROLLBACK")
    assert (await booking).outcome is Outcome.CONFIRMED


async def test_seats_before_inventory(context: Context, blocker: asyncpg.Connection) -> None:
    """A batch that holds a show's counts while it waits for a seat would stand in everybody's way, and in a circle."""
    show = await make_show(context)
    await blocker.fetch(INVENTORY, show)
    booking = asyncio.create_task(try_book(context, show, ["9", "2"]))
    await waiting(context)
    assert await is_locked(context, SEAT, show, 1)
    assert await is_locked(context, SEAT, show, 8)
    await blocker.execute("ROLLBACK")
    assert (await booking).outcome is Outcome.CONFIRMED


@pytest.mark.parametrize("way", ["straight", "batches"])
@pytest.mark.parametrize("sharded", ["together"], indirect=True)  # else no batch has several shows
async def test_shows_ascending(
    context: Context, blocker: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Batches over several shows would meet in opposite order."""
    if way == "batches":
        batches_alone(monkeypatch)
    first, second, third = [await make_show(context) for _ in range(3)]
    await try_book(context, first, ["10"])  # the lane is connected: what follows makes one batch
    if way == "straight":  # which wouldn't wait so long
        connection = lanes_of(context)[0]._connection
        assert connection is not None
        await connection.execute("SET lock_timeout = '5s'")
    await blocker.fetch(INVENTORY, second)
    holding = asyncio.create_task(try_book(context, second, ["1"]))
    await waiting(context)
    later = [asyncio.create_task(try_book(context, show, ["5"])) for show in (third, second, first)]
    await asyncio.sleep(0.05)
    await blocker.execute("ROLLBACK")
    await holding
    await asyncio.gather(*later)

    await blocker.execute("BEGIN")
    await blocker.fetch(INVENTORY, second)
    booking = [asyncio.create_task(try_book(context, show, ["7"])) for show in (third, second, first)]
    await waiting(context)
    assert await is_locked(context, INVENTORY, first)
    assert not await is_locked(context, INVENTORY, third)
    assert await is_locked(context, SEAT, third, 6), "all seats come before any inventory"
    await blocker.execute("ROLLBACK")
    assert {(await booked).outcome for booked in booking} == {Outcome.CONFIRMED}


async def test_the_clock_is_read_after_the_locks(context: Context, blocker: asyncpg.Connection) -> None:
    """A seat whose hold lapsed while a buyer waited for it would be refused to them."""
    show = await make_show(context, hold_seconds=1)
    held = await try_book(context, show, ["1"], confirm=False)
    await blocker.fetch(SEAT, show, 0)
    booking = asyncio.create_task(try_book(context, show, ["1"], "bob"))
    await waiting(context)
    await asyncio.sleep(1.1)
    await blocker.execute("ROLLBACK")
    assert (await booking).outcome is Outcome.CONFIRMED
    assert held.outcome is Outcome.HELD
    await audit(context)


async def test_expire_skips_what_others_have_locked(context: Context, blocker: asyncpg.Connection) -> None:
    """The sweeper would stand in line behind buyers, and they behind it."""
    show = await make_show(context)
    held = await try_book(context, show, ["1", "2"], confirm=False)
    await let_lapse(context, id_of(held))
    await blocker.fetch(SEAT, show, 0)
    command = Expire(show, id_of(held), (0, 1))
    decision = await asyncio.wait_for(context.engine.submit(command), 2)
    assert decision.outcome is Outcome.EXPIRED
    view = await find_show(context, show)
    assert (view.available_seats, view.reserved_seats) == (9, 1)
    await blocker.execute("ROLLBACK")
    await context.engine.submit(command)
    assert (await find_show(context, show)).available_seats == 10
    assert await context.pool.fetchval("SELECT release_at FROM bookings") is None
    await audit(context)


async def test_a_count_waits_for_seats_that_are_being_freed(
    context: Context, blocker: asyncpg.Connection
) -> None:
    """A request would be refused for want of seats that were given back while it was decided."""
    show = await make_show(context, 2)
    await try_book(context, show, 2)
    # Somebody cancels, and has not committed yet.
    await blocker.fetch("SELECT FROM seats WHERE show_id = $1 ORDER BY seat_no FOR UPDATE", show)
    await blocker.fetch(INVENTORY, show)
    await blocker.execute("UPDATE seats SET status = 'A', booking_id = NULL WHERE show_id = $1", show)
    await blocker.execute(
        "UPDATE inventory SET available = 2, booked = 0, version = version + 1 WHERE show_id = $1", show
    )
    await blocker.execute(
        "UPDATE bookings SET status = 'CANCELLED', reason = 'cancelled_by_admin', settled_at = now() WHERE show_id = $1",
        show,
    )
    wanting = asyncio.create_task(try_book(context, show, 2, "bob"))
    await waiting(context)
    await blocker.execute("COMMIT")
    assert (await wanting).outcome is Outcome.CONFIRMED
    await audit(context)


async def test_a_count_picks_around_a_seat_that_others_have_locked(
    context: Context, other: Context, blocker: asyncpg.Connection
) -> None:
    """One who dithers over the last seats but one would stop everybody who doesn't care which."""
    show = await make_show(context, 4)
    await try_book(context, show, ["1"])
    await blocker.fetch(SEAT, show, 1)
    named = asyncio.create_task(try_book(other, show, ["2", "3"], "named"))
    await waiting(context)
    # Seat 3 is free as far as can be read, and its lock is not to be had: "named" waits for 2 and has 3 next.
    counted = asyncio.create_task(try_book(context, show, 3, "count"))
    await asyncio.sleep(0.1)
    await blocker.execute("ROLLBACK")
    outcomes = {(await named).outcome, (await counted).outcome}
    assert outcomes in (
        {Outcome.CONFIRMED, Outcome.NOT_ENOUGH_SEATS},
        {Outcome.CONFIRMED, Outcome.SEATS_TAKEN},
    )
    await audit(context)
