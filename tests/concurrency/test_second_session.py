"""Straight bookings of two shows are in flight at once, in two sessions: each is decided once, and nobody is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from rowlock.domain.outcomes import Outcome
from rowlock.engine import straight_lane
from rowlock.engine.lane import Entry
from rowlock.engine.straight_lane import StraightLane
from rowlock.engine.turns import Turns
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
async def context(
    proxy_and_address: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Context]:
    """A process that reaches the database through the proxy, and waits for locks."""
    monkeypatch.setattr(StraightLane._connect, "__defaults__", (5.0,))
    async with open_context(Database(proxy_and_address[1])) as context:
        yield context


class Blocked:
    """A first statement that waits for a lock of somebody else's, and the show that it is of."""

    def __init__(self, show: int, blocker: asyncpg.Connection, waiting: asyncio.Task[object]) -> None:
        self.show = show
        self.waiting = waiting
        self._blocker = blocker

    async def let_go(self) -> None:
        """Let it have the lock."""
        await self._blocker.execute("ROLLBACK")


@pytest.fixture
async def blocked(context: Context, dsn: str) -> AsyncIterator[Blocked]:
    """The first session has a statement in flight."""
    show = await make_show(context, 100)
    assert (await try_book(context, show, ["100"])).outcome is Outcome.CONFIRMED
    blocker = await asyncpg.connect(dsn)
    try:
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", show)
        waiting = asyncio.create_task(try_book(context, show, ["1"]))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        yield Blocked(show, blocker, waiting)
    finally:
        await blocker.close()


def _first(context: Context) -> StraightLane:
    lane = lanes_of(context)[0]
    assert isinstance(lane, StraightLane)
    return lane


async def test_others_do_not_wait_for_it(context: Context, blocked: Blocked) -> None:
    """Whoever wants another show would wait for locks that have nothing to do with it."""
    shows = [await make_show(context, 20) for _ in range(5)]
    for seat in range(1, 11):
        answers = await asyncio.gather(*(try_book(context, show, [str(seat)]) for show in shows))
        assert {answer.outcome for answer in answers} == {Outcome.CONFIRMED}
    again = await asyncio.gather(*(try_book(context, show, ["1"], "late") for show in shows))
    assert {answer.outcome for answer in again} == {Outcome.SEATS_TAKEN}
    same = asyncio.create_task(try_book(context, blocked.show, ["2"]))
    beside = asyncio.create_task(try_book(context, shows[0], ["12"]))
    assert (await beside).outcome is Outcome.CONFIRMED
    assert not blocked.waiting.done()
    assert not same.done()
    second = _first(context)._second
    assert second is not None
    assert second._session not in {None, _first(context)._session}
    await blocked.let_go()
    assert (await same).outcome is Outcome.CONFIRMED
    await blocked.waiting
    assert (await find_show(context, blocked.show)).booked_seats == 3
    assert [(await find_show(context, show)).booked_seats for show in shows] == [11, 10, 10, 10, 10]
    await audit(context)


@pytest.mark.parametrize("loss", [Loss.ANSWER, Loss.REQUEST, Loss.LATE, Loss.SILENCE])
async def test_its_answer_is_lost(
    context: Context,
    blocked: Blocked,
    proxy: Proxy,
    loss: Loss,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wrong session would be ended, and a booking made twice or never."""
    other = await make_show(context, 20)
    assert (await try_book(context, other, ["20"])).outcome is Outcome.CONFIRMED
    monkeypatch.setattr(straight_lane, "COMMIT_SECONDS_MAX", 0.5)
    proxy.lose(loss)
    lost = asyncio.create_task(try_book(context, other, ["1", "2"]))
    await asyncio.sleep(0)
    wishes = [[str(n)] for n in range(3, 15)]
    answers = await asyncio.gather(lost, *(try_book(context, other, wish, f"u{wish}") for wish in wishes))
    assert proxy.lost == 1
    assert [answer.outcome for answer in answers] == [Outcome.CONFIRMED] * len(answers)
    assert not blocked.waiting.done()
    await blocked.let_go()
    await blocked.waiting
    await asyncio.sleep(0.5)  # what comes late, comes now
    assert (await find_show(context, other)).booked_seats == 15
    assert (await find_show(context, blocked.show)).booked_seats == 2
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 3 + len(answers)
    assert _first(context)._common.finding == 0, "bookings are straight again"
    await audit(context)


async def test_the_first_answer_is_lost_meanwhile(
    context: Context, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second session's statement would be taken for lost, too, or what waits for neither be forgotten."""
    shows = [await make_show(context, 20) for _ in range(4)]
    for show in shows:
        await asyncio.gather(*(try_book(context, show, [seat]) for seat in ("19", "20")))
    first, *others = shows
    second = _first(context)._second
    assert second is not None
    await second._connected()
    proxy.lose(Loss.ANSWER)
    taken: list[tuple[int, frozenset[int]]] = []
    begin = Turns.begin

    def spied(turns: Turns, session: int, entries: Any) -> None:
        taken.append((session, turns.beside(session)))
        begin(turns, session, entries)

    monkeypatch.setattr(Turns, "begin", spied)
    wishes = [asyncio.create_task(try_book(context, first, [str(seat)])) for seat in range(1, 4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wishes += [
        asyncio.create_task(try_book(context, show, [str(seat)])) for seat in range(1, 11) for show in others
    ]
    wishes += [asyncio.create_task(try_book(context, first, [str(seat)])) for seat in range(4, 11)]
    answers = await asyncio.gather(*wishes)
    assert proxy.lost == 1
    assert (1, frozenset({first})) in taken, "beside the one that was lost"
    assert {answer.outcome for answer in answers} == {Outcome.CONFIRMED}
    assert [(await find_show(context, show)).booked_seats for show in shows] == [12] * 4
    await audit(context)


async def test_no_second_connection_is_to_be_had(
    context: Context, blocked: Blocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that has none would take from the one that works, and have all its bookings wait for nothing."""
    shows = [await make_show(context, 60) for _ in range(6)]
    tried = asyncio.Event()

    async def hangs(*_: object) -> None:
        tried.set()
        await asyncio.sleep(0.2)
        raise TimeoutError

    monkeypatch.setattr(StraightLane, "_connect", hangs)
    monkeypatch.setattr(straight_lane, "CONNECT_AGAIN_SECONDS", 0.3)

    async def buy(show: int, number: int) -> None:
        for seat in range(number, 51, 3):  # a show's last ones are for batches
            assert (await try_book(context, show, [str(seat)])).outcome is Outcome.CONFIRMED

    handed_on: list[object] = []
    lane = _first(context)
    hand_on = lane._hand_on

    def spied(entry: Entry) -> None:
        handed_on.append(entry)
        hand_on(entry)

    for session in (lane, lane._second):
        monkeypatch.setattr(session, "_hand_on", spied)
    buyers = asyncio.gather(*(buy(show, number) for show in shows for number in (1, 2, 3)))
    await asyncio.wait_for(tried.wait(), 5)
    await blocked.let_go()
    began = asyncio.get_running_loop().time()
    await buyers
    await blocked.waiting
    assert asyncio.get_running_loop().time() - began < 5
    assert not handed_on
    assert [(await find_show(context, show)).booked_seats for show in shows] == [50] * 6
    monkeypatch.undo()
    await asyncio.sleep(0.3)
    await audit(context)


async def test_it_loses_its_connection_in_between(
    context: Context, blocked: Blocked, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever it had passed over would wait until it has another one, while the first session has nothing to do."""
    other = await make_show(context, 20)
    assert (await try_book(context, other, ["20"])).outcome is Outcome.CONFIRMED
    second = _first(context)._second
    assert second is not None
    ended = second._ended

    async def fails(*_: object) -> None:
        raise OSError

    def breaks() -> None:
        ended()
        second._disconnect()

    blocker = await asyncpg.connect(dsn)
    try:
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", other)
        in_flight = asyncio.create_task(try_book(context, other, ["1"]))
        await asyncio.sleep(0.1)
        passed_over = asyncio.create_task(try_book(context, other, ["2"]))
        await asyncio.sleep(0)
        await blocked.let_go()
        await blocked.waiting
        monkeypatch.setattr(second, "_ended", breaks)
        monkeypatch.setattr(second, "_connect", fails)
        assert not in_flight.done(), "it has it"
        assert not passed_over.done(), "it is behind that"
        await blocker.execute("ROLLBACK")
        async with asyncio.timeout(2):
            assert (await in_flight).outcome is Outcome.CONFIRMED
            assert (await passed_over).outcome is Outcome.CONFIRMED
    finally:
        await blocker.close()
    await audit(context)


async def test_a_shutdown_serves_whom_it_passed_over(context: Context, blocked: Blocked) -> None:
    """Whoever waits behind a show in flight would be sent away, or the process not end."""
    other = await make_show(context, 20)
    wishes = [
        asyncio.create_task(try_book(context, show, [str(seat)]))
        for seat in range(2, 12)
        for show in (blocked.show, other)
    ]
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(_first(context).close())
    await asyncio.sleep(0.1)
    assert not closing.done()
    await blocked.let_go()
    began = asyncio.get_running_loop().time()
    await closing
    assert asyncio.get_running_loop().time() - began < 2, "nobody sleeps on"
    assert {answer.outcome for answer in await asyncio.gather(*wishes)} == {Outcome.CONFIRMED}
    await blocked.waiting
    assert (await find_show(context, blocked.show)).booked_seats == 12
    assert (await find_show(context, other)).booked_seats == 10
    await audit(context)
