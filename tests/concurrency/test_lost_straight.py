"""The answer to straight bookings is lost. They may hold, may still run, may not have begun: nothing is guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from rowlock.domain.outcomes import Outcome
from rowlock.engine import straight_lane
from rowlock.engine.engine import OutcomeUnknown
from rowlock.engine.straight_lane import StraightLane
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import find_show
from rowlock.postgres.pool import Database
from tests.concurrency.proxy import Loss, Proxy
from tests.support import audit, lanes_of, make_show, try_book

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def sharded() -> bool:
    """Tables that are not spread: there is nothing straight on others."""
    return False


@pytest.fixture
async def context(proxy_and_address: tuple[Proxy, str]) -> AsyncIterator[Context]:
    """A process that reaches the database through the proxy."""
    async with open_context(Database(proxy_and_address[1], statement_timeout=2, lock_timeout=1)) as context:
        yield context


async def _warm(context: Context) -> int:
    """A show; the statement is prepared, so that what is lost is its run."""
    show = await make_show(context, 100)
    assert (await try_book(context, show, ["100"])).outcome is Outcome.CONFIRMED
    return show


@pytest.mark.parametrize("loss", [Loss.ANSWER, Loss.REQUEST, Loss.LATE, Loss.SILENCE])
async def test_each_is_booked_once(
    context: Context, proxy: Proxy, loss: Loss, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A buyer would be told of failure and have a seat, or be told of a seat and have none."""
    show = await _warm(context)
    monkeypatch.setattr(straight_lane, "COMMIT_SECONDS_MAX", 0.5)
    proxy.lose(loss)
    first = asyncio.create_task(try_book(context, show, ["1", "2"]))
    await asyncio.sleep(0)
    wishes = [[str(n), str(n + 1)] for n in range(3, 40, 2)]
    answers = await asyncio.gather(first, *(try_book(context, show, wish, f"u{wish}") for wish in wishes))
    assert proxy.lost == 1
    assert [answer.outcome for answer in answers] == [Outcome.CONFIRMED] * len(answers)
    assert not any(answer.replayed for answer in answers)
    await asyncio.sleep(0.5)  # what comes late, comes now
    assert (await find_show(context, show)).booked_seats == 1 + 2 * len(answers)
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 1 + len(answers)
    await audit(context)


async def test_what_comes_late_books_nothing(
    context: Context, proxy: Proxy, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A seat would be sold to somebody who was told that they can't have it."""
    show = await _warm(context)
    monkeypatch.setattr(straight_lane, "COMMIT_SECONDS_MAX", 0.3)
    other = await asyncpg.connect(dsn)
    try:
        # Somebody else takes the seat while the statement is on its way, and gives it back before it arrives.
        proxy.lose(Loss.LATE)
        waiting = asyncio.create_task(try_book(context, show, ["1"]))
        await asyncio.sleep(0.1)
        await other.execute("UPDATE seats SET status = 'X' WHERE show_id = $1 AND seat_no = 0", show)
        await other.execute(
            "UPDATE inventory SET available = available - 1, blocked = blocked + 1, version = version + 1, told_version = -1"
            " WHERE show_id = $1",
            show,
        )
        assert (await waiting).outcome is Outcome.SEATS_TAKEN
        await other.execute("UPDATE seats SET status = 'A' WHERE show_id = $1 AND seat_no = 0", show)
        await other.execute(
            "UPDATE inventory SET available = available + 1, blocked = blocked - 1, version = version + 1"
            " WHERE show_id = $1",
            show,
        )
        await asyncio.sleep(0.5)
        assert proxy.late == 1
        assert (await find_show(context, show)).booked_seats == 1
    finally:
        await other.close()
    await audit(context)


async def test_nothing_is_run_again_while_its_session_may_live(
    context: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking would be decided twice, by a statement that is still under way and by a batch."""
    show = await _warm(context)
    asked = 0

    async def lives(*_: object) -> bool:
        nonlocal asked
        asked += 1
        return False

    monkeypatch.setattr(StraightLane, "_is_gone", lives)
    monkeypatch.setattr("rowlock.engine.lane.DOUBT_SECONDS_MAX", 0.6)
    proxy.lose(Loss.REQUEST)
    began = asyncio.get_running_loop().time()
    waiting = asyncio.create_task(try_book(context, show, ["1"]))
    await asyncio.sleep(0.2)
    # Others are served meanwhile.
    assert (await try_book(context, show, ["2"])).outcome is Outcome.CONFIRMED
    assert not waiting.done()
    with pytest.raises(OutcomeUnknown):
        await waiting
    assert asyncio.get_running_loop().time() - began >= 0.6
    assert asked > 1
    assert (await find_show(context, show)).booked_seats == 2
    # And afterwards bookings are straight again.
    assert (await try_book(context, show, ["3"])).outcome is Outcome.CONFIRMED
    assert lanes_of(context)[0]._connection is not None
    await audit(context)


async def test_a_session_that_was_ended_is_seen_to_be_gone(context: Context) -> None:
    """What became of a lost booking would never be looked up, or while it may still be made."""
    await _warm(context)
    lane = lanes_of(context)[0]
    assert isinstance(lane, StraightLane)
    session = lane._session
    assert session is not None
    assert not await lane._is_gone(session)
    for _ in range(100):
        if await lane._is_gone(session):
            break
        await asyncio.sleep(0.02)
    assert await lane._is_gone(session)
    assert not await context.pool.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2", *session
    )


async def test_an_answer_that_can_not_be_read_is_not_made_up(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the seats would be told that something is broken, and somebody else would be sold them in vain."""
    show = await _warm(context)

    def unreadable(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(straight_lane, "verdict_of", unreadable)
        patch.setattr(straight_lane, "verdict_of_foretold", unreadable)
        with pytest.raises(OutcomeUnknown):
            await try_book(context, show, ["1", "2"])
    assert (await find_show(context, show)).booked_seats == 3
    assert (await try_book(context, show, ["2", "3"])).outcome is Outcome.SEATS_TAKEN
    assert (await try_book(context, show, ["3"])).outcome is Outcome.CONFIRMED
    await audit(context)
