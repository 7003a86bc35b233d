"""Straight bookings and batches: the same commands, sent both ways, must come to the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from rowlock.domain.commands import Actor, Book
from rowlock.domain.events import Event
from rowlock.domain.ids import booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.domain.trails import Trail
from rowlock.domain.world import Decision
from rowlock.engine import straight_lane
from rowlock.engine.foretold import Foresight, verdict_of_foretold
from rowlock.engine.straight import Verdict, verdict_of
from rowlock.engine.straight_lane import StraightLane
from rowlock.operations.block_seats import block_seats
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import find_show
from rowlock.postgres.pool import Database
from tests.events import told
from tests.support import audit, batches_alone, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio

SEATS = 12
WORLDS = 300


@pytest.fixture(autouse=True)
def sharded() -> bool:
    """Tables that are not spread: there is nothing straight on others."""
    return False


@pytest.fixture
def straight(monkeypatch: pytest.MonkeyPatch) -> list[Decision | None]:
    """What the statements said of each command that they were asked about."""
    said: list[Decision | None] = []

    def spied(real: Callable[..., Verdict]) -> Callable[..., Verdict]:
        def spy(*parts: Any) -> Verdict:
            verdict = real(*parts)
            said.extend(verdict.decisions)
            return verdict

        return spy

    monkeypatch.setattr(straight_lane, "verdict_of", spied(verdict_of))
    monkeypatch.setattr(straight_lane, "verdict_of_foretold", spied(verdict_of_foretold))
    return said


async def _make_world(context: Context, fields: dict[str, Any]) -> int:
    """A show some of whose seats are taken in every way there is."""
    show = await make_show(context, SEATS, max_seats=5, **fields["show"])
    for number in range(1, SEATS + 1):
        match fields["seats"][number - 1]:
            case "booked":
                await try_book(context, show, [str(number)], "before")
            case "held" | "lapsed" as kind:
                held = await try_book(context, show, [str(number)], "before", confirm=False)
                if kind == "lapsed" and held.booking is not None:
                    await let_lapse(context, held.booking.id)
            case "blocked":
                await block_seats(context, show, [str(number)], blocked=True)
    if fields["later"]:
        await context.pool.execute("UPDATE inventory SET " + fields["later"] + " WHERE show_id = $1", show)
    return show


def _world(chance: random.Random) -> dict[str, Any]:
    kinds = ["free", "free", "free", "booked", "held", "lapsed", "blocked"]
    mostly = chance.choice(kinds)
    return {
        "show": {},
        "seats": [mostly if chance.random() < 0.6 else chance.choice(kinds) for _ in range(SEATS)],
        "later": chance.choice(
            [""] * 6
            + [
                "confirm_by_service = true",
                "max_seats = 2",
                "on_sale_at = now() + interval '1 hour'",
                "on_sale_at = now() - interval '1 hour'",
                "closed = true",
            ]
        ),
    }


def _commands(chance: random.Random, show_id: int, other: int) -> tuple[list[Book], list[Book]]:
    """The same commands for two shows; some have ids that were used before, and want seats that others of them want."""
    pairs: list[tuple[Book, Book]] = []
    for n in range(chance.randrange(1, 6)):
        seats = tuple(chance.sample(range(SEATS), chance.choice([1, 1, 2, 2, 3])))
        keyed = chance.random() < 0.4
        repeated = pairs[-1] if keyed and pairs and chance.random() < 0.4 else None
        tail = chance.getrandbits(69)
        fields: dict[str, Any] = {
            "user_id": f"user {n} Zoë",
            "seats": seats,
            "amount_cents": 100 * len(seats),
            "by": chance.choice([Actor.OWNER, Actor.STAFF]),
            "customer_name": chance.choice([None, 'Ada, {"x"} \\ NULL']),
            "email": chance.choice([None, "ada@example.org"]),
            "request_hash": b"0123456789abcdef" if keyed else None,
            "trail": chance.choice([None, Trail("ada", "customer", "127.0.0.1", "r")]),
        }
        pairs.append(
            repeated
            or (
                Book(show_id=show_id, booking_id=booking_id(show_id, tail), **fields),
                Book(show_id=other, booking_id=booking_id(other, tail), **fields),
            )
        )
    return [one for one, _ in pairs], [two for _, two in pairs]


async def _submit(context: Context, commands: Sequence[Book]) -> list[tuple[Any, ...]]:
    """Submit all, twice; what each came to. At once, where no two want one seat: else their order is nobody's to say."""
    found = []
    wanted = [seat for command in commands for seat in command.seats]
    for _ in range(2):
        if len(set(wanted)) == len(wanted):
            decisions = await asyncio.gather(*(context.engine.submit(command) for command in commands))
        else:
            decisions = [await context.engine.submit(command) for command in commands]
        found += [(d.outcome, d.conflicts, d.replayed, _told(d.booking)) for d in decisions]
    return found


def _told(booking: Any) -> Any:
    """A booking without what differs between two shows, and with its times only by whether they are there."""
    if booking is None:
        return None
    values = msgspec.structs.asdict(booking)
    for name in ("created_at", "expires_at", "confirmed_at", "settled_at", "release_at"):
        values[name] = values[name] is not None
    return {**values, "id": booking.id.int & ((1 << 62) - 1), "show_id": 0}


async def _state(context: Context, show_id: int) -> dict[str, Any]:
    """All that a show's rows say."""
    seats = await context.pool.fetch(
        "SELECT seat_no, status, booking_id, held_until IS NULL AS firm FROM seats WHERE show_id = $1 ORDER BY 1",
        show_id,
    )
    bookings = await context.pool.fetch(
        "SELECT user_id, customer_name, email, status, reason, seats, conflicts, seat_count, amount_cents, held, trail,"
        " request_hash, expires_at IS NULL AS a, confirmed_at = created_at AS b, settled_at = created_at AS c,"
        " release_at IS NULL AS d FROM bookings WHERE show_id = $1 AND user_id <> 'before'"
        " ORDER BY user_id, status, seats, request_hash",
        show_id,
    )
    inventory = await context.pool.fetchrow("SELECT * FROM inventory WHERE show_id = $1", show_id)
    counts = {
        name: value
        for name, value in dict(inventory or {}).items()
        if name not in {"show_id", "on_sale_at", "version", "told_version"}
    }
    events = await told(context, show_id)
    return {
        "seats": [(r["seat_no"], r["status"], _low(r["booking_id"]), r["firm"]) for r in seats],
        "bookings": [tuple(row.values()) for row in bookings],
        "counts": counts,
        "numbers": [seq for seq, _ in events],
        "events": sorted(
            str((event.type, _told(event.booking), event.blocked)) for _, event in events if _ours(event)
        ),
    }


def _ours(event: Event) -> bool:
    return event.booking is not None and event.booking.user_id != "before"


def _low(identifier: UUID | None) -> int | None:
    """The part of a booking's id that does not tell its show."""
    return None if identifier is None else identifier.int & ((1 << 62) - 1)


@pytest.mark.parametrize("foretold", ["well", "ill", "not"])
async def test_all_ways_come_to_the_same(
    dsn: str, straight: list[Decision | None], monkeypatch: pytest.MonkeyPatch, foretold: str
) -> None:
    """What a buyer is told, and what is written of it, would depend on the way that it took."""
    chance = random.Random(7)
    outcomes: list[bool] = []
    real = Foresight.was

    def was(foresight: Foresight, *, right: bool) -> None:
        outcomes.append(right)
        real(foresight, right=right)
        foresight._pause = 0  # the next one is foretold, however it went

    monkeypatch.setattr(Foresight, "was", was)
    if foretold == "not":
        monkeypatch.setattr(Foresight, "foretell", lambda *_: None)
    by_way: list[list[Any]] = [[], []]
    worlds = []
    async with open_context(Database(dsn)) as context:
        for _ in range(WORLDS):
            fields = _world(chance)
            shows = [await _make_world(context, fields) for _ in range(2)]
            worlds.append((shows, _commands(chance, *shows)))
            if foretold != "not":
                seat_map = await context.maps.get(shows[0])
                assert seat_map is not None
                if foretold == "ill":
                    for seat in chance.sample(range(SEATS), 4):
                        seat_map.letters[seat] = ord(chance.choice("ABRX"))
        straight.clear()
        outcomes.clear()
        for shows, (commands, _) in worlds:
            by_way[0].append((await _submit(context, commands), await _state(context, shows[0])))
        asked = len(straight)
        booked = sum(d is not None and d.outcome is Outcome.CONFIRMED for d in straight)
        taken = sum(d is not None and d.outcome is Outcome.SEATS_TAKEN for d in straight)
        left = sum(d is None for d in straight)
        assert min(booked, taken, left) > 20, (asked, booked, taken, left)
        right, wrong = outcomes.count(True), outcomes.count(False)
        assert {"well": right > 100, "ill": min(right, wrong) > 100, "not": not outcomes}[foretold], (
            right,
            wrong,
        )
        batches_alone(monkeypatch)
        for shows, (_, commands) in worlds:
            by_way[1].append((await _submit(context, commands), await _state(context, shows[1])))
        assert len(straight) == asked
        for number, (one, other) in enumerate(zip(*by_way, strict=True)):
            seats_one, seats_other = one[1].pop("seats"), other[1].pop("seats")
            assert [s[:2] + s[3:] for s in seats_one] == [s[:2] + s[3:] for s in seats_other], number
            assert one == other, number
        await audit_all_but_terms(context)


async def audit_all_but_terms(context: Context) -> None:
    """Audit; shows that a test has closed by hand are open again."""
    await context.pool.execute("UPDATE inventory SET closed = false")
    await audit(context)


async def test_events_that_postgresql_put_together_tell_the_row(context: Context) -> None:
    """A reader of events would be told of other times or seats than the booking has."""
    show = await make_show(context, 100_000, max_seats=500)
    high = [str(n) for n in (1, 200, 40_000, 70_000, 100_000)]
    await asyncio.gather(*(try_book(context, show, [seat], f"first {seat}") for seat in high))
    await asyncio.gather(
        try_book(context, show, [*high, "5"], "loser"),
        try_book(context, show, ["2", "1"], "other"),
        try_book(context, show, ["3", "4"], "winner", customer_name="Zoë \N{SNOWMAN}"),
        *(try_book(context, show, [str(n)], "many") for n in range(1_000, 1_040)),
    )
    rows = {
        row["id"]: row for row in await context.pool.fetch("SELECT * FROM bookings WHERE show_id = $1", show)
    }
    events = [event for _, event in await told(context, show) if event.booking is not None]
    assert len(events) == len(rows) == 5 + 43
    for event in events:
        booking = event.booking
        assert booking is not None
        row = rows[booking.id]
        for name, value in msgspec.structs.asdict(booking).items():
            if name in {"seats", "conflicts"}:
                assert value == tuple(row[name] or ()), name
            else:
                assert value == row[name], name
        assert event.conflicts == ()
    await audit(context)


async def test_nothing_is_told_where_events_are_off(dsn: str, straight: list[Decision | None]) -> None:
    """A table that nobody reads would grow."""
    async with open_context(Database(dsn), events=False) as context:
        show = await make_show(context)
        before = await context.pool.fetchval("SELECT count(*) FROM outbox")
        await asyncio.gather(*(try_book(context, show, [str(n)]) for n in (1, 2, 2)))
        assert await context.pool.fetchval("SELECT count(*) FROM outbox") == before
        assert (await find_show(context, show)).booked_seats == 2


async def test_a_locked_seat_keeps_only_those_waiting_who_want_it(context: Context, dsn: str) -> None:
    """One stuck transaction would stop the sale of all shows."""
    show, other = await make_show(context), await make_show(context)
    await try_book(context, show, ["10"])
    blocker = await asyncpg.connect(dsn)
    try:
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM seats WHERE show_id = $1 AND seat_no = 0 FOR UPDATE", show)
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = asyncio.create_task(try_book(context, show, ["1"]))
        await asyncio.sleep(0.05)
        assert (await try_book(context, other, ["1"])).outcome is Outcome.CONFIRMED
        assert loop.time() - began < 2
        assert not waiting.done()
        await blocker.execute("ROLLBACK")
        assert (await waiting).outcome is Outcome.CONFIRMED
    finally:
        await blocker.close()
    await audit(context)


@pytest.mark.parametrize("change", ["freed", "taken", "closed", "counted", "touched"])
@pytest.mark.parametrize("foretold", [False, True])
async def test_it_decides_on_what_it_waited_for(
    context: Context,
    dsn: str,
    change: str,
    straight: list[Decision | None],
    monkeypatch: pytest.MonkeyPatch,
    *,
    foretold: bool,
) -> None:
    """A seat that was freed meanwhile would be refused, one that was taken sold again, or a count drift."""
    monkeypatch.setattr(StraightLane._connect, "__defaults__", (5.0,))  # it waits, and is not undone
    show = await make_show(context)
    if foretold:
        await context.maps.get(show)
    else:
        monkeypatch.setattr(Foresight, "foretell", lambda *_: None)
    if change == "freed":
        first = await try_book(context, show, ["1"], "before")
        assert first.outcome is Outcome.CONFIRMED
    blocker = await asyncpg.connect(dsn)
    try:
        await blocker.execute("BEGIN")
        await blocker.execute("SELECT FROM seats WHERE show_id = $1 AND seat_no < 2 FOR UPDATE", show)
        waiting = asyncio.create_task(try_book(context, show, ["1", "2"]))
        await asyncio.sleep(0.1)
        if change == "freed":
            await blocker.execute(
                "UPDATE bookings SET status = 'CANCELLED', reason = 'cancelled_by_admin', settled_at = now() WHERE show_id = $1",
                show,
            )
            await blocker.execute(
                "UPDATE seats SET status = 'A', booking_id = NULL WHERE show_id = $1 AND seat_no = 0", show
            )
            counts = (
                "available = available + 1, booked = booked - 1, version = version + 1, told_version = -1"
            )
            await blocker.execute(f"UPDATE inventory SET {counts} WHERE show_id = $1", show)
        elif change == "taken":
            await blocker.execute("UPDATE seats SET status = 'X' WHERE show_id = $1 AND seat_no = 1", show)
            counts = (
                "available = available - 1, blocked = blocked + 1, version = version + 1, told_version = -1"
            )
            await blocker.execute(f"UPDATE inventory SET {counts} WHERE show_id = $1", show)
        elif change == "closed":
            await blocker.execute("UPDATE inventory SET closed = true WHERE show_id = $1", show)
        elif change == "counted":
            await blocker.execute(
                "UPDATE inventory SET version = version + 1, told_version = -1 WHERE show_id = $1", show
            )
        else:  # the seat's row is another one, and says the same
            await blocker.execute("UPDATE seats SET status = 'A' WHERE show_id = $1 AND seat_no = 0", show)
        await blocker.execute("COMMIT")
        booked = await waiting
    finally:
        await blocker.close()
    expected = {"taken": Outcome.SEATS_TAKEN, "closed": Outcome.SHOW_CANCELLED}.get(change, Outcome.CONFIRMED)
    assert booked.outcome is expected
    assert len(straight) == 1 + (change == "freed"), "the statement has decided, or left it"
    if change == "taken":
        assert booked.conflicts == ["2"]
    await audit_all_but_terms(context)


async def test_two_processes_share_a_show(dsn: str) -> None:
    """Two of them would sell a seat twice, refuse one that is free, or lose count."""
    async with open_context(Database(dsn)) as one, open_context(Database(dsn)) as two:
        show = await make_show(one, 200)
        chance = random.Random(3)

        async def buyer(context: Context, number: int) -> None:
            for _ in range(6):
                first = chance.randrange(1, 200)
                hold = chance.random() < 0.2
                booked = await try_book(
                    context, show, [str(first), str(first + 1)], f"u{number}", confirm=not hold
                )
                assert booked.outcome in {Outcome.CONFIRMED, Outcome.HELD, Outcome.SEATS_TAKEN}

        await asyncio.gather(*(buyer((one, two)[n % 2], n) for n in range(80)))
        for number in range(1, 201):
            booked = await try_book((one, two)[number % 2], show, [str(number)], "rest")
            assert booked.outcome in {Outcome.CONFIRMED, Outcome.SEATS_TAKEN}
        view = await find_show(one, show)
        assert view.available_seats == 0
        await audit(one)


async def test_last_seats_are_told_of(context: Context) -> None:
    """Nobody would be told that a show is sold out."""
    show = await make_show(context, 4, on_sale_at=datetime.now(UTC) - timedelta(hours=1))
    await asyncio.gather(*(try_book(context, show, [str(n)]) for n in range(1, 5)))
    assert [event.type.value for _, event in await told(context, show)].count("show.sold_out") == 1
    assert (await try_book(context, show, ["1"])).outcome is Outcome.SEATS_TAKEN
    await audit(context)
