"""The answer to COMMIT is lost. Whether the booking holds is then looked up, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.outcomes import Outcome
from rowlock.operations.block_seats import block_seats
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import find_show
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.postgres.pool import Database
from tests.concurrency.proxy import Loss, Proxy
from tests.concurrency.test_races import id_of
from tests.support import audit, make_show, try_book

pytestmark = pytest.mark.anyio

LOSSES = [Loss.ANSWER, Loss.REQUEST]


@pytest.fixture
async def context(proxy_and_address: tuple[Proxy, str]) -> AsyncIterator[Context]:
    """A process that reaches the database through the proxy."""
    async with open_context(Database(proxy_and_address[1], statement_timeout=2, lock_timeout=1)) as context:
        yield context


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_booking_is_made_once(context: Context, proxy: Proxy, loss: Loss) -> None:
    """A buyer would be told of failure and hold a seat, or be told of a seat and hold none."""
    show = await make_show(context)
    proxy.lose(loss)
    booked = await try_book(context, show, ["1", "2"])
    assert proxy.lost == 1
    assert booked.outcome is Outcome.CONFIRMED
    assert not booked.replayed
    assert (await find_show(context, show)).booked_seats == 2
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 1
    await audit(context)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_whole_batch_is_looked_up(context: Context, proxy: Proxy, loss: Loss) -> None:
    """In a stampede the loss of one answer would break two hundred promises."""
    show = await make_show(context, 100)
    proxy.lose(loss, commits=3)
    wishes: list[list[str] | int] = [[str(n), str(n + 1)] for n in range(1, 60)]
    wishes += [2] * 20
    answers = await asyncio.gather(*(try_book(context, show, wish, f"u{n}") for n, wish in enumerate(wishes)))
    assert proxy.lost == 3
    won = {id_of(a) for a in answers if a.outcome is Outcome.CONFIRMED}
    rows = await context.pool.fetch("SELECT id FROM bookings WHERE status = 'CONFIRMED'")
    assert won == {row["id"] for row in rows}
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == len(wishes)
    await audit(context)


@pytest.mark.parametrize("loss", LOSSES)
async def test_confirm_and_cancel_are_done_once(context: Context, proxy: Proxy, loss: Loss) -> None:
    """A customer would be told that a cancelling failed which was done."""
    show = await make_show(context)
    held = await try_book(context, show, 3, confirm=False)
    row = await owner_of(context, id_of(held))
    proxy.lose(loss)
    assert (await confirm_booking(context, row, by=Actor.OWNER)).outcome is Outcome.CONFIRMED
    proxy.lose(loss)
    assert (await cancel_booking(context, row, by=Actor.OWNER)).outcome is Outcome.CANCELLED
    assert (await cancel_booking(context, row, by=Actor.OWNER)).outcome is Outcome.WRONG_STATE
    other = await owner_of(context, id_of(await try_book(context, show, 3, confirm=False)))
    proxy.lose(loss)
    assert (await cancel_booking(context, other, by=Actor.OWNER)).outcome is Outcome.RELEASED
    assert proxy.lost == 3
    await audit(context)


@pytest.mark.parametrize("loss", LOSSES)
async def test_blocking_and_closing(context: Context, proxy: Proxy, loss: Loss) -> None:
    """The box office would not know whether a show is off."""
    show = await make_show(context)
    proxy.lose(loss)
    outcome, view, _ = await block_seats(context, show, ["1", "2"], blocked=True)
    assert (outcome, view.blocked_seats) == (Outcome.BLOCKED, 2)
    proxy.lose(loss)
    assert (await cancel_show(context, show)).status == "cancelled"
    await audit(context)


async def test_silence_is_a_lost_answer(context: Context, proxy: Proxy) -> None:
    """A half-open connection would keep its seats locked, and its callers waiting, for ever."""
    show = await make_show(context)
    proxy.lose(Loss.SILENCE)
    booked = await asyncio.wait_for(try_book(context, show, ["1"]), 20)
    assert proxy.lost == 1
    assert booked.outcome is Outcome.CONFIRMED
    assert (await try_book(context, show, ["2"])).outcome is Outcome.CONFIRMED
    await audit(context)
