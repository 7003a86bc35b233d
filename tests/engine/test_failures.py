"""What goes wrong goes wrong for one, is told, and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from rowlock.domain.commands import Actor, Book
from rowlock.domain.ids import booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.engine import lane
from rowlock.engine.batch import Batch, CommitLost
from rowlock.engine.engine import Busy, OutcomeUnknown
from rowlock.engine.picking import serve_counts
from rowlock.engine.sharded import ShardedBatch
from rowlock.operations.book import Booked
from rowlock.operations.change_show import ShowChange, change_show
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import find_show
from rowlock.operations.seats import plan_of
from rowlock.operations.settle_booking import cancel_booking, owner_of
from rowlock.postgres.pool import Database, connect_lane
from rowlock.workers.sweeper import Sweeper
from tests.support import audit, batches_alone, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio

LANES = "SELECT pid FROM pg_stat_activity WHERE application_name = 'rowlock lane' AND datname = current_database()"


async def test_a_poisonous_command_takes_no_other_down(context: Context) -> None:
    """One broken request would fail two hundred good ones."""
    show = await make_show(context, 100)
    users = [f"u{n}" for n in range(40)]
    users[17] = "nul\x00byte"  # the door refuses it; should it come this far, PostgreSQL does
    answers = await asyncio.gather(
        *(try_book(context, show, [str(n + 1)], user) for n, user in enumerate(users)), return_exceptions=True
    )
    assert isinstance(answers.pop(17), asyncpg.PostgresError)
    assert all(isinstance(answer, Booked) and answer.outcome is Outcome.CONFIRMED for answer in answers)
    assert (await find_show(context, show)).booked_seats == 39
    await audit(context)


async def test_ended_backends_are_survived(context: Context) -> None:
    """A fail-over would lose bookings, or make them twice."""
    show = await make_show(context, 1000)
    stop = asyncio.Event()

    async def nemesis() -> None:
        while not stop.is_set():
            await context.pool.execute(f"SELECT pg_terminate_backend(pid) FROM ({LANES}) AS l")
            await asyncio.sleep(0.25)  # on a busy machine a batch takes that long, and one must come through

    async def buyer(n: int) -> list[Booked]:
        return [await try_book(context, show, [str(n * 4 + k + 1)], f"u{n}") for k in range(4)]

    ending = asyncio.create_task(nemesis())
    answers = [answer for made in await asyncio.gather(*(buyer(n) for n in range(100))) for answer in made]
    stop.set()
    await ending
    assert {answer.outcome for answer in answers} == {Outcome.CONFIRMED}
    assert (await find_show(context, show)).booked_seats == 400
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 400
    await audit(context)


async def test_a_full_lane_says_busy(context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes more than it can do would fall over instead of asking people to come again."""
    monkeypatch.setattr(lane, "LANE_COMMANDS_MAX", 20)
    show = await make_show(context, 100)
    blocker = await asyncpg.connect(dsn)
    async with blocker.transaction():
        await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
        first = asyncio.create_task(try_book(context, show, ["100"]))
        await asyncio.sleep(0.1)
        answers = [asyncio.create_task(try_book(context, show, [str(n + 1)])) for n in range(30)]
        await asyncio.sleep(0.05)
        refused = [task for task in answers if task.done()]
        assert len(refused) == 10
        assert all(isinstance(task.exception(), Busy) for task in refused)
    await blocker.close()
    assert (await first).outcome is Outcome.CONFIRMED
    kept = [await task for task in answers if task not in refused]
    assert len(kept) == 20
    assert (await find_show(context, show)).booked_seats == 21
    await audit(context)


async def test_waiting_too_long_is_told_and_nothing_is_booked(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller would hang, or be told to come again and find that the seat was sold to them."""
    monkeypatch.setattr(lane, "WAIT_SECONDS_MAX", 0.3)
    show = await make_show(context)
    async with open_context(Database(dsn, lock_timeout=0.2)) as impatient:
        blocker = await asyncpg.connect(dsn)
        async with blocker.transaction():
            await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
            with pytest.raises(Busy):
                await asyncio.wait_for(try_book(impatient, show, ["1"]), 5)
        await blocker.close()
        assert (await find_show(context, show)).booked_seats == 0
        assert (await try_book(impatient, show, ["1"])).outcome is Outcome.CONFIRMED
    await audit(context)


async def test_shutdown_finishes_what_was_taken(dsn: str, context: Context) -> None:
    """A restart would leave buyers without an answer."""
    show = await make_show(context, 500)
    async with open_context(Database(dsn)) as ending:
        await try_book(ending, show, ["500"])  # the plan is known: what follows is queued at once
        tasks = [asyncio.create_task(try_book(ending, show, [str(n + 1)])) for n in range(499)]
        await asyncio.sleep(0)
        assert ending.engine.depth == 499
        await asyncio.gather(ending.engine.close(), ending.engine.close())
        answers = await asyncio.gather(*tasks)
        assert {answer.outcome for answer in answers} == {Outcome.CONFIRMED}
        with pytest.raises(Busy):
            await try_book(ending, show, ["1"])
    assert (await find_show(context, show)).booked_seats == 500


async def test_a_caller_who_hangs_up_changes_nothing(context: Context, dsn: str) -> None:
    """A dropped connection would lose a booking, or spoil the batch for the others in it."""
    show = await make_show(context)
    blocker = await asyncpg.connect(dsn)
    async with blocker.transaction():
        await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
        leaving = asyncio.create_task(try_book(context, show, ["1"], key="k"))
        staying = asyncio.create_task(try_book(context, show, ["2"]))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
    await blocker.close()
    assert (await staying).outcome is Outcome.CONFIRMED
    again = await try_book(context, show, ["1"], key="k")
    assert (again.outcome, again.replayed) == (Outcome.CONFIRMED, True)
    assert (await find_show(context, show)).booked_seats == 2
    await audit(context)


async def test_a_hold_that_lapses_while_counting_keeps_nobody_waiting(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request for any seat would wait for ever, where a hold lapsed in the moment between two looks."""
    show = await make_show(context, 1, hold_seconds=1)
    await try_book(context, show, 1, confirm=False)
    looks, look = 0, Batch.free_seats

    async def late(self: Batch, show_id: int, now: datetime | None = None) -> bytearray:
        nonlocal looks
        looks += 1
        if looks == 1:  # under the inventory row, after the clock was read
            await asyncio.sleep(1.1)
        return await look(self, show_id, now)

    monkeypatch.setattr(Batch, "free_seats", late)
    refused = await asyncio.wait_for(try_book(context, show, 1, "bob"), 5)
    assert refused.outcome is Outcome.NOT_ENOUGH_SEATS, "it was held when this was decided"
    assert (await try_book(context, show, 1, "bob")).outcome is Outcome.CONFIRMED


async def test_seats_of_a_refused_request_are_free_to_the_next(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request would be refused for want of seats that another was about to get, and did not."""
    async with open_context(Database(dsn), lanes=1) as context, open_context(Database(dsn)) as other:
        show, elsewhere = await make_show(context, 4), await make_show(context, 2)
        held = await try_book(other, show, 4, confirm=False)
        assert held.booking is not None
        row = await owner_of(other, held.booking.id)
        serve = lane.Lane._decide_counts
        looks = 0

        async def freed_meanwhile(self: lane.Lane, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            if looks == 1:
                await cancel_booking(other, row, by=Actor.STAFF)
                await change_show(other, show, ShowChange(max_seats_per_booking=3))
            return await serve(self, *args)

        monkeypatch.setattr(lane.Lane, "_decide_counts", freed_meanwhile)
        blocker = await asyncpg.connect(dsn)
        async with blocker.transaction():  # so that both requests come into one batch
            await blocker.fetch("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", elsewhere)
            first = asyncio.create_task(try_book(context, elsewhere, ["1"]))
            await asyncio.sleep(0.1)
            four = asyncio.create_task(try_book(context, show, 4, "four"))
            three = asyncio.create_task(try_book(context, show, 3, "three"))
            await asyncio.sleep(0.1)
        await blocker.close()
        assert (await first).outcome is Outcome.CONFIRMED
        assert (await four).outcome is Outcome.TOO_MANY_SEATS
        assert (await three).outcome is Outcome.CONFIRMED
        await audit(context)


async def test_locked_seats_keep_only_those_waiting_who_need_them(dsn: str) -> None:
    """Whoever dithers over a seat would stop the sale of all others, and of other shows."""
    async with open_context(Database(dsn), lanes=1) as context:
        show, elsewhere = await make_show(context, 5), await make_show(context, 4)
        layout = (await plan_of(context, show)).layout
        await try_book(context, show, ["5"])
        blocker = await asyncpg.connect(dsn)
        async with blocker.transaction():
            await blocker.fetch("SELECT FROM seats WHERE show_id = $1 AND seat_no = 1 FOR UPDATE", show)
            async with context.pool.acquire() as connection:
                kind = ShardedBatch if context.sharded else Batch
                batch = kind(connection, Database(dsn), 120, lambda _: None)
                four, two, one = (
                    Book(show, booking_id(show, n), "ada", (), 0, wanted_count=n) for n in (4, 2, 1)
                )
                decisions = await serve_counts(batch, layout, [four, two, one], doubtful=False)
            outcomes = [decision.outcome for decision in decisions]
            assert outcomes == [Outcome.REPICK, Outcome.CONFIRMED, Outcome.CONFIRMED]
            waiting = asyncio.create_task(try_book(context, show, ["2"], "bob"))
            await asyncio.sleep(0.1)
        await blocker.close()
        assert (await waiting).outcome is Outcome.CONFIRMED
        assert (await try_book(context, elsewhere, 1)).outcome is Outcome.CONFIRMED
        await audit(context)


@pytest.mark.parametrize("where", ["rollback", "connect"])
async def test_a_lane_outlives_what_the_driver_throws(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Half of the shows would not be sold any more until somebody restarts the server."""
    show = await make_show(context)
    thrown = 0

    async def throw(*parts: Any, **options: Any) -> Any:
        nonlocal thrown
        thrown += 1
        if thrown == 1:
            raise asyncio.CancelledError
        return await real(*parts, **options)

    if where == "rollback":
        real: Any = Batch.rollback
        monkeypatch.setattr(Batch, "rollback", throw)
        users = ["ada", "nul\x00byte"]
    else:
        real = connect_lane
        monkeypatch.setattr(lane, "connect_lane", throw)
        users = ["ada"]
    await asyncio.gather(
        *(try_book(context, show, [str(n + 1)], user) for n, user in enumerate(users)), return_exceptions=True
    )
    assert thrown >= 1
    after = await asyncio.wait_for(try_book(context, show, ["9"]), 5)
    assert after.outcome is Outcome.CONFIRMED


async def test_doubt_is_never_told_as_failure(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """A buyer would be told that something broke, and hold a seat that they don't know of."""
    batches_alone(monkeypatch)
    show = await make_show(context)
    commit, gone = Batch.commit, asyncio.Event()

    async def lost(self: Batch, locked: Any) -> None:
        await commit(self, locked)
        gone.set()
        raise CommitLost(locked.backend, locked.began, locked.now, "as the test says")

    async def broken(*_: Any) -> None:
        raise ValueError("a look-up that breaks")

    monkeypatch.setattr(Batch, "commit", lost)
    monkeypatch.setattr(lane.Lane, "_end_backend", lambda *_: asyncio.sleep(0))
    booking = asyncio.create_task(try_book(context, show, ["1"]))
    await gone.wait()
    monkeypatch.setattr(Batch, "read_bookings", broken)
    with pytest.raises(OutcomeUnknown):
        await booking
    assert (await find_show(context, show)).booked_seats == 1


async def test_one_hold_that_can_not_be_swept_stops_no_other(context: Context) -> None:
    """One broken row would leave every later hold, failure and cancelled show as it is, for good."""
    bad, good = await make_show(context, 4), await make_show(context, 4)
    held = [await try_book(context, show, ["1"], confirm=False) for show in (bad, good)]
    refused = await try_book(context, good, ["1"])
    ids = [booked.booking.id for booked in (*held, refused) if booked.booking]
    await context.pool.execute(
        "UPDATE bookings SET created_at = now() - interval '60 days', settled_at = now() - interval '60 days' WHERE id = $1",
        ids[2],
    )
    await let_lapse(context, *ids[:2])
    await context.pool.execute("UPDATE inventory SET reserved = 0, available = total WHERE show_id = $1", bad)
    swept = await Sweeper(context, 30).run_once()
    assert (swept.expired, swept.pruned) == (1, 1)
    assert await context.pool.fetchval("SELECT status FROM bookings WHERE id = $1", ids[1]) == "FAILED"


async def test_readers_keep_no_buyer_waiting(dsn: str) -> None:
    """A thousand onlookers would stop the sale of "any two seats" for as long as they take."""
    async with open_context(Database(dsn, pool_size=2)) as context:
        show = await make_show(context, 10)
        await context.plans.get(show)
        async with context.pool.acquire(), context.pool.acquire():  # every connection for reading is taken
            booked = await asyncio.wait_for(try_book(context, show, 2), 5)
        assert booked.outcome is Outcome.CONFIRMED
        assert booked.booking is not None
        assert booked.booking.seats == ["5", "6"]
        await audit(context)
