"""Fair play: a customer can't keep a show from the others by holding it, at whatever process it asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.fair_play import FairPlay
from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_bookings import read_booking
from rowlock.operations.settle_booking import cancel_booking, confirm_booking
from rowlock.postgres.pool import Database
from tests.support import audit, let_lapse, make_show, try_book

REFUSED = Outcome.TOO_MANY_HOLDS


@asynccontextmanager
async def fair(dsn: str, **bounds: int) -> AsyncIterator[Context]:
    """A process with bounds."""
    async with open_context(Database(dsn), fair_play=FairPlay(**bounds)) as context:
        yield context


async def hold(context: Context, show: int, seats: list[str] | int, user: str = "ada") -> Outcome:
    """What a customer's own hold comes to."""
    return (await try_book(context, show, seats, user, confirm=False, by=Actor.OWNER)).outcome


async def end(context: Context, identifier: UUID, how: str) -> None:
    """Let a hold lapse, or release it."""
    if how == "lapsed":
        await let_lapse(context, identifier)
        return
    booking, _ = await read_booking(context, identifier)
    await cancel_booking(context, booking, by=Actor.OWNER)


@pytest.mark.parametrize("count", [False, True])
async def test_so_many_holds_at_a_time(dsn: str, count: bool) -> None:
    """One customer would keep a hall for itself, a hold at a time."""
    async with fair(dsn, open_holds_max=2) as context:
        show = await make_show(context)
        wanted: list[list[str] | int] = [1, 1, 1] if count else [["1"], ["2"], ["3"]]
        assert [await hold(context, show, seats) for seats in wanted] == [Outcome.HELD, Outcome.HELD, REFUSED]
        assert await hold(context, show, ["10"], "bob") is Outcome.HELD
        assert await hold(context, await make_show(context), ["1"]) is Outcome.HELD
        assert (await try_book(context, show, ["9"], "ada", by=Actor.OWNER)).outcome is Outcome.CONFIRMED
        staffs = await try_book(context, show, ["8"], "ada", confirm=False, by=Actor.STAFF)
        assert staffs.outcome is Outcome.HELD
        await audit(context)


async def test_so_many_seats_at_a_time(dsn: str) -> None:
    """A few large holds would do what many small ones may not."""
    async with fair(dsn, held_seats_max=4) as context:
        show = await make_show(context, 20, max_seats=6)
        assert await hold(context, show, 6) is Outcome.HELD  # what one booking may have is always allowed
        assert await hold(context, show, 1) is REFUSED
        other = await make_show(context, 20, max_seats=2)
        assert [await hold(context, other, 2) for _ in range(3)] == [Outcome.HELD, Outcome.HELD, REFUSED]


async def test_a_hold_that_ended_makes_room(dsn: str) -> None:
    """A customer who bought, or gave back, or was too late, would be kept from holding again."""
    async with fair(dsn, open_holds_max=1) as context:
        show = await make_show(context)
        first = await try_book(context, show, ["1"], confirm=False, by=Actor.OWNER)
        assert await hold(context, show, ["2"]) is REFUSED
        assert first.booking is not None
        booking, _ = await read_booking(context, first.booking.id)
        await confirm_booking(context, booking, by=Actor.OWNER)
        second = await try_book(context, show, ["2"], confirm=False, by=Actor.OWNER)
        assert second.booking is not None
        await let_lapse(context, second.booking.id)
        assert await hold(context, show, ["3"]) is Outcome.HELD


@pytest.mark.parametrize("ends", ["released", "lapsed"])
async def test_a_hold_is_not_renewed_for_ever(dsn: str, ends: str) -> None:
    """One customer would keep the best seats until the doors open, and pay for none."""
    async with fair(dsn, same_seat_max=3) as context:
        show = await make_show(context)
        for seats in (["1"], ["1", "2"], ["1"]):
            held = await try_book(context, show, seats, confirm=False, by=Actor.OWNER)
            assert held.outcome is Outcome.HELD
            assert held.booking is not None
            await end(context, held.booking.id, ends)
        assert await hold(context, show, ["1"]) is REFUSED
        assert await hold(context, show, ["2"]) is Outcome.HELD
        assert await hold(context, show, ["1"], "bob") is Outcome.HELD
        rows = await context.pool.fetch("SELECT id FROM bookings WHERE status = 'PENDING'")
        await let_lapse(context, *(row["id"] for row in rows))
        await context.pool.execute("UPDATE bookings SET created_at = created_at - interval '61 minutes'")
        assert await hold(context, show, ["1"]) is Outcome.HELD, "an hour later it is forgotten"


async def test_nor_is_it_by_asking_for_the_best(dsn: str) -> None:
    """Whoever gives a count, and not seats, would hold the same ones for ever."""
    async with fair(dsn, same_seat_max=2) as context:
        show = await make_show(context, 1)
        for _ in range(2):
            held = await try_book(context, show, 1, confirm=False, by=Actor.OWNER)
            assert held.booking is not None
            await end(context, held.booking.id, "released")
        assert await hold(context, show, 1) is REFUSED
        assert await hold(context, show, 1, "bob") is Outcome.HELD


async def test_two_processes_count_together(dsn: str) -> None:
    """Whoever asks two processes at once would get twice as much."""
    async with fair(dsn, open_holds_max=3) as one, fair(dsn, open_holds_max=3) as two:
        show = await make_show(one, 40)
        asked = [hold((one, two)[n % 2], show, [str(n + 1)]) for n in range(20)]
        outcomes = await asyncio.gather(*asked)
        assert outcomes.count(Outcome.HELD) == 3
        assert outcomes.count(REFUSED) == 17
        await audit(one)


async def test_bookings_that_are_confirmed_at_once_ask_nothing_more(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flash sale would pay for bounds that do not concern it."""
    statements: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def counted(self: asyncpg.Connection, query: str, *args: object, **kw: object) -> object:
        statements.append(query)
        return await fetch(self, query, *args, **kw)

    async with fair(dsn, open_holds_max=3) as context:
        show = await make_show(context)
        assert (await try_book(context, show, ["1"], by=Actor.OWNER)).outcome is Outcome.CONFIRMED
        monkeypatch.setattr(asyncpg.Connection, "fetch", counted)
        assert (await try_book(context, show, ["2"], by=Actor.OWNER)).outcome is Outcome.CONFIRMED
        at_once = [query for query in statements if "bookings b" in query or "audit" in query]
        assert at_once == []
        assert await hold(context, show, ["3"]) is Outcome.HELD
        assert sum("b.held AND b.created_at" in query for query in statements) == 1
