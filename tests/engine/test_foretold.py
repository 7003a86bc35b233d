"""Foretold bookings: a map that is wrong costs a statement, and nothing else."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from rowlock.domain.commands import Book
from rowlock.domain.ids import booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.engine.foretold import PAUSE_STATEMENTS_MAX, Foresight
from rowlock.engine.straight import line_of
from rowlock.engine.straight_lane import StraightLane
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from rowlock.seatmap.maps import Maps, SeatMap
from tests.support import audit, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def sharded() -> bool:
    """Tables that are not spread: there is nothing straight on others."""
    return False


@pytest.fixture
def foretold(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each statement that was foretold, whether it came so."""
    said: list[bool] = []
    real = Foresight.was

    def was(foresight: Foresight, *, right: bool) -> None:
        said.append(right)
        real(foresight, right=right)

    monkeypatch.setattr(Foresight, "was", was)
    return said


async def _map_of(context: Context, show: int) -> SeatMap:
    seat_map = await context.maps.get(show)
    assert seat_map is not None
    return seat_map


async def test_a_map_that_is_read_foretells(context: Context, foretold: list[bool]) -> None:
    """Every booking of a show that people look at would be found out about twice."""
    show = await make_show(context)
    await _map_of(context, show)
    assert (await try_book(context, show, ["1", "2"])).outcome is Outcome.CONFIRMED
    refused = await try_book(context, show, ["3", "2", "1"], "other")
    assert (refused.outcome, refused.conflicts) == (Outcome.SEATS_TAKEN, ["2", "1"])
    assert (await try_book(context, show, ["3"])).outcome is Outcome.CONFIRMED
    assert foretold == [True] * 3
    await audit(context)


async def test_a_show_that_is_sold_gets_a_map(context: Context, foretold: list[bool]) -> None:
    """Whoever sells by the API alone, where nobody looks at a map, would have each refusal found out about twice."""
    show = await make_show(context)
    assert (await try_book(context, show, ["1"])).outcome is Outcome.CONFIRMED
    async with asyncio.timeout(5):
        while context.maps.known(show) is None:  # noqa: ASYNC110 (nobody says when)
            await asyncio.sleep(0.01)
    assert (await try_book(context, show, ["1"], "other")).outcome is Outcome.SEATS_TAKEN
    assert foretold == [True, True]


@pytest.mark.parametrize("letter", ["A", "B", "R", "X"])
@pytest.mark.parametrize("kind", ["free", "booked", "held", "lapsed"])
async def test_what_a_map_says_decides_nothing(
    context: Context, foretold: list[bool], letter: str, kind: str
) -> None:
    """A seat would be sold twice, or refused though it is free."""
    show = await make_show(context)
    if kind != "free":
        first = await try_book(context, show, ["1"], "before", confirm=kind == "booked")
        assert first.booking is not None
        if kind == "lapsed":
            await let_lapse(context, first.booking.id)
    (await _map_of(context, show)).letters[0] = ord(letter)
    foretold.clear()
    booked = await try_book(context, show, ["1", "2"])
    free = kind in {"free", "lapsed"}
    assert booked.outcome is (Outcome.CONFIRMED if free else Outcome.SEATS_TAKEN)
    assert booked.conflicts == ([] if free else ["1"])
    said_free = letter == "A"
    assert foretold == [kind != "lapsed" and said_free is free]
    await audit(context)


async def test_all_of_a_statement_holds_or_none(context: Context, foretold: list[bool]) -> None:
    """One buyer's wrong map would cost another one the seats."""
    show, other = await make_show(context, 100), await make_show(context, 100)
    await try_book(context, show, ["50"], "before")
    (await _map_of(context, show)).letters[49] = ord("A")
    await _map_of(context, other)
    foretold.clear()
    wishes = [(show, "1"), (other, "1"), (show, "50"), (other, "2"), (show, "2")]
    booked = await asyncio.gather(*(try_book(context, where, [seat], f"u {seat}") for where, seat in wishes))
    assert [each.outcome for each in booked] == [
        Outcome.SEATS_TAKEN if seat == "50" else Outcome.CONFIRMED for _, seat in wishes
    ]
    assert False in foretold
    await audit(context)


async def test_a_key_that_was_used_before_finds_its_booking(context: Context, foretold: list[bool]) -> None:
    """A buyer who lost the answer would be told that somebody has the seats: it is they."""
    show = await make_show(context)
    await _map_of(context, show)
    for number in range(3):
        booked = await try_book(context, show, ["1"], "ada", key="k")
        assert (booked.outcome, booked.replayed) == (Outcome.CONFIRMED, number > 0)
    assert foretold == [True, False]
    await audit(context)


async def test_it_is_not_tried_again_at_once(context: Context, foretold: list[bool]) -> None:
    """Where others sell the same seats, each statement would be run twice."""
    show = await make_show(context, 1_000)
    seat_map = await _map_of(context, show)
    await try_book(context, show, ["1"])
    foretold.clear()
    tries = 300
    for number in range(2, tries):
        seat_map.letters[number - 1] = ord("B")
        assert (await try_book(context, show, [str(number)])).outcome is Outcome.CONFIRMED
    assert foretold == [False] * len(foretold)
    assert 7 <= len(foretold) <= 7 + tries // PAUSE_STATEMENTS_MAX
    for number in range(tries, tries + PAUSE_STATEMENTS_MAX + 2):
        assert (await try_book(context, show, [str(number)])).outcome is Outcome.CONFIRMED
    assert foretold[-2:] == [True, True], "and is, after a while"
    await audit(context)


async def test_one_that_came_true_does_not_make_up_for_all(context: Context) -> None:
    """Where every other statement is foretold wrongly, each second one would be run twice for as long as that lasts."""
    foresight = Foresight(context.maps)
    chance = random.Random(1)
    tried = 0
    for _ in range(2_000):
        if foresight.foretell([], 0.0) is not None:
            tried += 1
            foresight.was(right=chance.random() < 0.6)
    assert tried < 200
    for _ in range(1_000):
        if foresight.foretell([], 0.0) is not None:
            foresight.was(right=True)
    assert foresight.foretell([], 0.0) is not None, "and is trusted again"


async def test_a_key_that_comes_again_and_again_costs_the_others_little(
    context: Context, foretold: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One client that retries without end would have everybody's seats written and undone, all day."""
    show = await make_show(context, 2_000)
    await _map_of(context, show)
    statements = 0
    real = StraightLane._ask

    async def ask(lane: StraightLane, lines: Any) -> Any:
        nonlocal statements
        statements += 1
        return await real(lane, lines)

    monkeypatch.setattr(StraightLane, "_ask", ask)
    await try_book(context, show, ["1"], "ada", key="k")
    over = asyncio.Event()

    async def again() -> None:
        while not over.is_set():
            assert (await try_book(context, show, ["1"], "ada", key="k")).replayed

    async def buyer(number: int) -> None:
        for seat in range(2 + number, 2_000, 16):
            assert (await try_book(context, show, [str(seat)], f"u{number}")).outcome is Outcome.CONFIRMED

    again_and_again = asyncio.create_task(again())
    await asyncio.gather(*(buyer(number) for number in range(16)))
    over.set()
    await again_and_again
    wrong = foretold.count(False)
    assert statements > 100
    assert 0 < wrong < statements / 4, (wrong, statements)
    await audit(context)


async def test_a_locked_seat_of_somebody_to_be_refused_is_not_waited_for(
    context: Context, dsn: str, foretold: list[bool]
) -> None:
    """It is locked out of order: two who wait for each other's would both stand still for a second."""
    show = await make_show(context)
    await try_book(context, show, ["1"], "before")
    await _map_of(context, show)
    foretold.clear()
    blocker = await asyncpg.connect(dsn)
    try:
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", show)
        waiting = [asyncio.create_task(try_book(context, show, [seat])) for seat in ("9", "1")]
        await asyncio.sleep(0.5)
        assert foretold == [False]
        await blocker.execute("ROLLBACK")
        outcomes = [(await each).outcome for each in waiting]
    finally:
        await blocker.close()
    assert outcomes == [Outcome.CONFIRMED, Outcome.SEATS_TAKEN]
    await audit(context)


async def test_processes_that_sell_the_same_seats_do_not_stand_in_each_other_s_way(dsn: str) -> None:
    """Seats that are locked in another order than elsewhere deadlock: a second's stall, again and again."""
    async with open_context(Database(dsn)) as one, open_context(Database(dsn)) as two:
        shows = [await make_show(one, 300) for _ in range(3)]
        for context in (one, two):
            for show in shows:
                await _map_of(context, show)
        before = await one.pool.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        chance = random.Random(5)

        async def buyer(context: Context, number: int) -> None:
            for _ in range(10):
                seats = chance.sample(range(1, 301), 3)  # in any order
                confirm = chance.random() < 0.8
                await try_book(
                    context, chance.choice(shows), list(map(str, seats)), f"u{number}", confirm=confirm
                )

        await asyncio.gather(*(buyer((one, two)[n % 2], n) for n in range(80)))
        await asyncio.sleep(1.1)  # statistics are told of once a second
        after = await one.pool.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        assert after == before
        await audit(one)


def _line(show_id: int, *seats: int) -> Any:
    command = Book(
        show_id=show_id, booking_id=booking_id(show_id, 1), user_id="u", seats=seats, amount_cents=0
    )
    return line_of(command)


async def test_there_is_room_for_so_many_maps(context: Context) -> None:
    """Maps for those who look would be dropped for those that only save a statement now and then."""
    shows = [await make_show(context) for _ in range(4)]
    maps = Maps(context.pool, maps_max=2)
    await maps.get(shows[0])
    foresight = Foresight(maps)
    loop = asyncio.get_running_loop()
    assert foresight.foretell([_line(show, 0) for show in shows], loop.time()) == [()] * 4
    await asyncio.sleep(0.3)
    assert maps.count == 2
    assert maps.known(shows[0]) is not None
    for show in (shows[2], shows[3]):  # somebody looks at them
        foresight.foretell([_line(shows[0], 0)], loop.time())
        await maps.get(show)
        assert maps.known(shows[0]) is not None, "one that bookings use is in use"


async def test_no_map_is_read_when_all_ends(context: Context) -> None:
    """Thousands of warnings, and a process that does not end."""
    shows = [await make_show(context, 20) for _ in range(40)]
    maps = Maps(context.pool)
    Foresight(maps).foretell([_line(show, 0) for show in shows], asyncio.get_running_loop().time())
    reading = maps._reading
    assert reading is not None
    await maps.close()
    assert reading.done()
    assert maps.letters_of(shows[-1], 0.0) is None
    assert maps._reading is None


async def test_maps_that_cannot_be_read_are_not_tried_at_every_statement(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the pool is short of connections each booking would take one of them, and log that it failed."""
    shows = [await make_show(context, 20) for _ in range(5)]
    maps = Maps(context.pool)
    tries = 0

    async def fail(_show: int) -> None:
        nonlocal tries
        tries += 1
        raise TimeoutError

    monkeypatch.setattr(maps, "get", fail)
    for _ in range(20):
        Foresight(maps).foretell([_line(show, 0) for show in shows], asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
    assert tries == 1
    await maps.close()
