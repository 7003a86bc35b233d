"""The audit: silent where all is well, even under load; and each rule, broken alone, is named with who broke it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from rowlock import cli_data
from rowlock.domain.commands import Actor
from rowlock.domain.ids import booking_id
from rowlock.domain.layout_spec import Category, LayoutSpec, RowSpec, SectionSpec
from rowlock.domain.outcomes import Outcome
from rowlock.operations import verify as verify_module
from rowlock.operations.block_seats import block_seats
from rowlock.operations.book import Booked
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.context import Context
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.operations.verify import OFFENCES_MAX, RULES, Report, verify
from rowlock.postgres.pool import Database
from rowlock.settings import Settings
from rowlock.workers.sweeper import Sweeper
from tests.support import make_show, try_book

pytestmark = pytest.mark.anyio

HALL = LayoutSpec(sections=(SectionSpec(name="Stalls", rows=(RowSpec(label="A", seats=10),)),))
PRICES = (Category(name="Seat", price_cents=500),)


def id_of(booked: Booked) -> UUID:
    """The id of a booking that was recorded."""
    assert booked.booking is not None
    return booked.booking.id


async def audit(dsn: str, sweep_seconds: float = 5) -> Report:
    """What `rowlock verify` finds."""
    return await verify(Database(dsn), sweep_seconds=sweep_seconds)


def broken(report: Report) -> dict[str, list[str]]:
    """The rules that are broken, with their offences."""
    return {f.rule.name: [str(offence) for offence in f.offences] for f in report.findings if f.count}


async def let_pass(context: Context, *bookings: UUID) -> None:
    """As if the holds of bookings had been made ten minutes ago, and had lapsed a second ago."""
    await context.pool.execute(
        "UPDATE bookings SET created_at = now() - interval '10 min', expires_at = now() - interval '1 s', "
        "release_at = now() - interval '1 s' WHERE id = ANY ($1::uuid[])",
        bookings,
    )
    await context.pool.execute(
        "UPDATE seats s SET held_until = b.release_at FROM bookings b "
        "WHERE b.id = ANY ($1::uuid[]) AND s.show_id = b.show_id AND s.booking_id = b.id",
        bookings,
    )


async def buyer(context: Context, dice: random.Random, show: int, name: str) -> None:
    """Someone who tries this and that."""
    wish: list[str] | int = dice.randint(1, 4)
    if dice.random() < 0.5:
        wish = [str(seat) for seat in dice.sample(range(1, 61), dice.randint(1, 4))]
    confirm = dice.random() < 0.5
    booked = await try_book(context, show, wish, name, confirm=confirm)
    if booked.outcome in {Outcome.CONFIRMED, Outcome.HELD}:
        row = await owner_of(context, id_of(booked))
        if not confirm and dice.random() < 0.5:
            await confirm_booking(context, row, by=Actor.OWNER)
        if dice.random() < 0.4:
            await cancel_booking(context, row, by=Actor.OWNER)


async def test_an_empty_database_passes(dsn: str) -> None:
    """The first thing an operator tries would cry wolf."""
    report = await audit(dsn)
    assert (report.passed, report.shows) == (True, 0)


async def test_what_the_engine_leaves_passes(context: Context, dsn: str) -> None:
    """Operators would learn to ignore an audit that finds fault with what is right."""
    dice = random.Random(4)
    shows = [await make_show(context, 60) for _ in range(4)]
    for _ in range(6):
        await asyncio.gather(*(buyer(context, dice, dice.choice(shows), f"u{n}") for n in range(40)))
        assert broken(await audit(dsn)) == {}
    await block_seats(context, shows[2], ["7", "31", "60"], blocked=False)
    await cancel_show(context, shows[1])
    # A hold that lapsed, and was overtaken at one of its two seats: the other keeps its name until it is swept.
    hall = await make_show(context, 10)
    held = await try_book(context, hall, ["1", "2"], confirm=False)
    other = await try_book(context, hall, ["5"], confirm=False)
    await let_pass(context, id_of(held), id_of(other))
    assert (await try_book(context, hall, ["2"], "bob")).outcome is Outcome.CONFIRMED
    status = await context.pool.fetchval("SELECT status FROM bookings WHERE id = $1", id_of(held))
    assert status == "FAILED"
    assert broken(await audit(dsn)) == {}
    await Sweeper(context, 30).run_once()
    report = await audit(dsn)
    assert broken(report) == {}
    assert (report.shows, report.seats) == (5, 250)


class Scene:
    """A show that is broken in a test, and what is in it."""

    def __init__(self, names: dict[str, object]) -> None:
        self.names = names

    def fill(self, text: str) -> str:
        """Names in a text, filled in."""
        return text.format(**self.names)


@pytest.fixture
async def scene(context: Context) -> Scene:
    """Ada has A-1 and A-2, Bo has A-3, Cy holds A-4, Di failed at A-1; and there is an empty show."""
    show = await make_show(context, HALL, categories=PRICES)
    empty = await make_show(context, 10)
    return Scene(
        {
            "show": show,
            "empty": empty,
            "ada": id_of(await try_book(context, show, ["A-1", "A-2"])),
            "bo": id_of(await try_book(context, show, ["A-3"])),
            "cy": id_of(await try_book(context, show, ["A-4"], confirm=False)),
            "di": id_of(await try_book(context, show, ["A-1"])),
            "new": booking_id(show, 12345),
            "foreign": booking_id(empty, 12345),
        }
    )


CLAIM_TOO = """
    INSERT INTO bookings (show_id, id, user_id, status, seats, seat_count, amount_cents, held, created_at,
                          confirmed_at, settled_at)
    SELECT show_id, '{new}', 'eve', status, '{{0}}', 1, 500, held, created_at, confirmed_at, settled_at
    FROM bookings WHERE id = '{ada}'"""
LONG_AGO = """
    UPDATE bookings SET created_at = now() - interval '2 h', expires_at = now() - interval '1 h',
                        release_at = now() - interval '1 h' WHERE id = '{cy}';
    UPDATE seats s SET held_until = b.release_at FROM bookings b WHERE b.id = '{cy}' AND s.booking_id = b.id"""
FORGOTTEN = """
    UPDATE bookings SET status = 'FAILED', reason = 'hold_expired', settled_at = clock_timestamp(), expires_at = NULL,
                        release_at = NULL WHERE id = '{cy}'"""

OVERTAKEN_EARLY = """
    UPDATE bookings SET status = 'FAILED', reason = 'hold_expired', created_at = now() - interval '10 min',
                        settled_at = now() - interval '5 min', expires_at = NULL,
                        release_at = now() - interval '1 s' WHERE id = '{cy}';
    UPDATE seats s SET held_until = b.release_at FROM bookings b WHERE b.id = '{cy}' AND s.booking_id = b.id"""
FOR_EVER = """
    UPDATE bookings SET expires_at = 'infinity', release_at = 'infinity' WHERE id = '{cy}';
    UPDATE seats SET held_until = 'infinity' WHERE booking_id = '{cy}'"""


# Every table agrees, and nobody was told.
GIVEN_BACK_UNTOLD = """
    UPDATE bookings SET status = 'CANCELLED', reason = 'cancelled_by_admin', settled_at = clock_timestamp()
    WHERE id = '{bo}';
    UPDATE seats SET status = 'A', booking_id = NULL WHERE booking_id = '{bo}';
    UPDATE inventory SET booked = booked - 1, available = available + 1 WHERE show_id = {show}"""


TOLD_OF_ANOTHER = """
    UPDATE outbox SET body = (SELECT body FROM outbox WHERE show_id = {show} AND seq = 4)
    WHERE show_id = {show} AND seq = 3"""


def one_from(source: str, target: str) -> str:
    """Move one in the counts, so that they follow what was done to the seats."""
    return f"UPDATE inventory SET {source} = {source} - 1, {target} = {target} + 1 WHERE show_id = {{show}}"


# The rule, what breaks it and no other, and what its offence says.
FAULTS = [
    ("whole_shows", "DELETE FROM inventory WHERE show_id = {empty}", "show {empty}: has no inventory"),
    (
        "whole_shows",
        "INSERT INTO seats (show_id, seat_no) VALUES (9999, 0)",
        "show 9999: has seats, but is no show",
    ),
    ("readable_layouts", "UPDATE shows SET layout = '{{}}' WHERE id = {empty}", "show {empty}: "),
    ("one_owner", CLAIM_TOO, "show {show} seat A-1 booking "),
    (
        "owner_has_seat",
        "UPDATE seats SET status = 'A', booking_id = NULL WHERE booking_id = '{bo}'; "
        + one_from("booked", "available"),
        "show {show} seat A-3 booking {bo}: claims the seat, and nobody owns it",
    ),
    (
        "owner_has_seat",
        "UPDATE seats SET status = 'B', booking_id = '{bo}' WHERE show_id = {show} AND seat_no = 9; "
        + one_from("available", "booked"),
        "show {show} seat A-10 booking {bo}: owns the seat, and does not claim it",
    ),
    (
        "owner_has_seat",
        "UPDATE seats SET booking_id = '{ada}' WHERE booking_id = '{bo}'",
        "show {show} seat A-3 booking {bo}: claims the seat, and {ada} owns it",
    ),
    (
        "owner_has_seat",
        "UPDATE seats SET status = 'B', held_until = NULL WHERE booking_id = '{cy}'; "
        + one_from("reserved", "booked"),
        "show {show} seat A-4 booking {cy}: is PENDING, and the seat is B",
    ),
    ("owner_has_seat", FORGOTTEN, "show {show} seat A-4 booking {cy}: owns the seat, and does not claim it"),
    ("counts", one_from("available", "blocked"), "show {show}: counts "),
    (
        "seats_in_layout",
        (
            "DELETE FROM seats WHERE show_id = {empty} AND seat_no = 9; "
            "UPDATE inventory SET total = 9, available = 9 WHERE show_id = {empty}"
        ),
        "show {empty}: has 9 of the 10 seats of its layout",
    ),
    (
        "seats_in_layout",
        (
            "INSERT INTO seats (show_id, seat_no) VALUES ({empty}, 10); "
            "UPDATE inventory SET total = 11, available = 11 WHERE show_id = {empty}"
        ),
        "show {empty} seat #10: is not in the layout",
    ),
    (
        "bookings_in_layout",
        "UPDATE bookings SET seats = '{{0,99}}', seat_count = 2 WHERE id = '{di}'",
        "show {show} booking {di}: names seat number 99",
    ),
    (
        "bookings_in_layout",
        "UPDATE bookings SET seats = '{{0,0}}', seat_count = 2, amount_cents = 1000 WHERE id = '{di}'",
        "show {show} booking {di}: names a seat twice",
    ),
    (
        "bookings_in_layout",
        "UPDATE bookings SET conflicts = '{{7}}' WHERE id = '{di}'",
        "show {show} booking {di}: has a conflict over a seat that it does not name",
    ),
    (
        "seat_counts",
        (
            "ALTER TABLE bookings DROP CONSTRAINT bookings_seat_count; "
            "UPDATE bookings SET seat_count = 3 WHERE id = '{di}'"
        ),
        "show {show} booking {di}: says its seats are 3, and names 1",
    ),
    (
        "amounts",
        "UPDATE bookings SET amount_cents = 999 WHERE id = '{ada}'",
        "show {show} booking {ada}: costs 999 cents, its seats 1000",
    ),
    (
        "amounts",
        "UPDATE bookings SET seats = '{{}}', conflicts = NULL WHERE id = '{di}'",
        "show {show} booking {di}: costs 500 cents, its seats 0",
    ),
    (
        "expiries",
        (
            "ALTER TABLE bookings DROP CONSTRAINT bookings_expiry_when_pending; "
            "UPDATE bookings SET expires_at = now() + interval '1 h' WHERE id = '{ada}'"
        ),
        "show {show} booking {ada}: is CONFIRMED, and expires at ",
    ),
    (
        "expiries",
        (
            "ALTER TABLE bookings DROP CONSTRAINT bookings_expiry_when_pending, "
            "DROP CONSTRAINT bookings_release_of_holds; UPDATE bookings SET expires_at = NULL WHERE id = '{cy}'"
        ),
        "show {show} booking {cy}: is PENDING without an expiry",
    ),
    (
        "expiries",
        (
            "ALTER TABLE seats DROP CONSTRAINT seats_time_when_reserved; "
            "UPDATE seats SET held_until = now() WHERE booking_id = '{bo}'"
        ),
        "show {show} seat A-3 booking {bo}: is booked until ",
    ),
    (
        "holds_end_together",
        "UPDATE seats SET held_until = held_until + interval '1 h' WHERE booking_id = '{cy}'",
        "show {show} seat A-4 booking {cy}: is held until ",
    ),
    ("overdue", LONG_AGO, "show {show} booking {cy}: should have been swept at "),
    (
        "settled_shows",
        "UPDATE inventory SET closed = true WHERE show_id = {show}",
        "show {show} booking {ada}: is CONFIRMED at a cancelled show",
    ),
    ("versions", "UPDATE inventory SET version = 0 WHERE show_id = {show}", "show {show}: is at version 0"),
    (
        "versions",
        (
            "ALTER TABLE inventory DROP CONSTRAINT inventory_settling_when_closed; "
            "UPDATE inventory SET settling = true WHERE show_id = {show}"
        ),
        "show {show}: settles its bookings, and is still on sale",
    ),
    (
        "times",
        "UPDATE bookings SET created_at = confirmed_at + interval '1 s' WHERE id = '{ada}'",
        "show {show} booking {ada}: was created ",
    ),
    (
        "times",
        "UPDATE bookings SET settled_at = settled_at + interval '1 day' WHERE id = '{di}'",
        "show {show} booking {di}: was created ",
    ),
    ("times", OVERTAKEN_EARLY, "show {show} booking {cy}: was created "),
    (
        "times",
        "UPDATE bookings SET created_at = '-infinity' WHERE id = '{ada}'",
        "show {show} booking {ada}: was created -infinity",
    ),
    (
        "times",
        "UPDATE bookings SET confirmed_at = 'infinity', settled_at = 'infinity' WHERE id = '{ada}'",
        "show {show} booking {ada}: was created ",
    ),
    ("times", FOR_EVER, "show {show} booking {cy}: was created "),
    ("times", FOR_EVER, "show {show} seat A-4 booking {cy}: is held until infinity"),
    ("times", "UPDATE shows SET start_time = 'infinity' WHERE id = {empty}", "show {empty}: starts infinity"),
    ("times", "UPDATE shows SET end_time = 'infinity' WHERE id = {empty}", "show {empty}: starts "),
    ("times", "UPDATE shows SET created_at = '-infinity' WHERE id = {empty}", "show {empty}: starts "),
    (
        "times",
        "UPDATE inventory SET on_sale_at = 'infinity' WHERE show_id = {empty}",
        "show {empty}: is on sale at infinity",
    ),
    (
        "reasons",
        "UPDATE bookings SET held = true WHERE id = '{di}'",
        "show {show} booking {di}: is FAILED, reason seats_taken, held first",
    ),
    (
        "reasons",
        "UPDATE bookings SET reason = 'cancelled_by_admin' WHERE id = '{di}'",
        "show {show} booking {di}: is FAILED, reason cancelled_by_admin",
    ),
    (
        "reasons",
        "UPDATE bookings SET held = false WHERE id = '{cy}'",
        "show {show} booking {cy}: is PENDING, reason none, not held first",
    ),
    (
        "ids",
        "UPDATE bookings SET id = '{foreign}' WHERE id = '{di}'",
        "show {show} booking {foreign}: has an id that names another show",
    ),
    ("events", GIVEN_BACK_UNTOLD, "show {show} seat A-3 booking {bo}: is AVAILABLE, and told as BOOKED"),
    (
        "events",
        "DELETE FROM outbox WHERE show_id = {show} AND seq = 3",
        "show {show}: events 3 to 3 are missing",
    ),
    (
        "events",
        "DELETE FROM outbox WHERE show_id = {show} AND seq = 5",
        "show {show}: has told 5 events, and the last one is 4",
    ),
    (
        "events",
        "UPDATE outbox SET body = '\\x00' WHERE show_id = {show} AND seq = 2",
        "show {show}: events from 2 on can't be read",
    ),
    (
        "events",
        TOLD_OF_ANOTHER,
        "show {show} seat A-3 booking {bo}: is BOOKED, and told as free",
    ),
]


@pytest.mark.parametrize(("rule", "fault", "says"), FAULTS)
async def test_a_planted_fault_is_found(
    context: Context, dsn: str, scene: Scene, *, rule: str, fault: str, says: str
) -> None:
    """A broken seat or amount would pass the audit, and be found by two people before one chair."""
    assert broken(await audit(dsn)) == {}
    await context.pool.execute(scene.fill(fault))
    found = broken(await audit(dsn))
    if rule != "events":
        found.pop("events", None)  # events contradict whatever is done to seats behind them
    assert list(found) == [rule]
    assert any(line.startswith(scene.fill(says)) for line in found[rule]), found


def test_every_rule_is_broken_once() -> None:
    """A rule that can't fail would be a comfort, and no audit."""
    assert {rule for rule, _, _ in FAULTS} == {rule.name for rule in RULES}


async def test_many_offences_are_counted_and_some_listed(context: Context, dsn: str) -> None:
    """A thoroughly broken database would fill the screen, or the memory."""
    show = await make_show(context, 30)
    for seat in range(30):
        await try_book(context, show, [str(seat + 1)])
    await context.pool.execute("UPDATE bookings SET amount_cents = 1")
    (finding,) = (f for f in (await audit(dsn)).findings if f.count)
    assert (finding.rule.name, finding.count, len(finding.offences), finding.rest) == (
        "amounts",
        30,
        OFFENCES_MAX,
        10,
    )


async def test_every_range_of_shows_is_looked_at(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The faults of all shows but the first few would go unseen."""
    monkeypatch.setattr(verify_module, "RANGE_SHOWS", 2)
    monkeypatch.setattr(verify_module, "RANGE_SEATS", 15)
    shows = [await make_show(context, 10) for _ in range(5)]
    for show in shows:
        await try_book(context, show, ["1"])
    report = await audit(dsn)
    assert (report.passed, report.shows, report.seats) == (True, 5, 50)
    await context.pool.execute("UPDATE bookings SET amount_cents = 1")
    await context.pool.execute("INSERT INTO seats (show_id, seat_no) VALUES (-5, 0), ($1, 0)", max(shows) + 7)
    report = await audit(dsn)
    counts = {finding.rule.name: finding.count for finding in report.findings if finding.count}
    assert counts == {"whole_shows": 2, "amounts": 5}


async def test_no_false_alarm_under_load(context: Context, dsn: str) -> None:
    """The audit could only be run at night, with the doors closed."""
    shows = [await make_show(context, 60, hold_seconds=1) for _ in range(3)]
    dice = random.Random(9)
    sweeper = Sweeper(context, 30)
    done = asyncio.Event()

    async def buy(name: str) -> None:
        while not done.is_set():
            await buyer(context, dice, dice.choice(shows), name)

    async def sweep() -> None:
        while not done.is_set():
            await sweeper.run_once()
            await asyncio.sleep(0.3)

    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(buy(f"u{n}"))
        group.create_task(sweep())
        reports = []
        for _ in range(12):
            await asyncio.sleep(0.2)
            reports.append(await audit(dsn, sweep_seconds=1))
        done.set()
    assert [broken(report) for report in reports] == [{}] * 12
    made = await context.pool.fetchval("SELECT count(*) FROM bookings WHERE reason = 'hold_expired'")
    assert made > 0, "holds must have lapsed meanwhile"


async def test_it_waits_for_nobody_and_nobody_waits_for_it(context: Context, dsn: str, scene: Scene) -> None:
    """An audit would stop the sale, or hang behind it."""
    writer = await asyncpg.connect(dsn)
    try:
        async with writer.transaction():
            await writer.execute("SELECT FROM seats FOR UPDATE")
            await writer.execute("UPDATE inventory SET version = version + 1")
            assert (await asyncio.wait_for(audit(dsn), 5)).passed
    finally:
        await writer.close()

    reader = await asyncpg.connect(dsn)
    try:
        async with reader.transaction(isolation="repeatable_read", readonly=True):
            await verify_module.audit(reader, sweep_seconds=5)
            show = scene.names["show"]
            assert isinstance(show, int)
            booked = await asyncio.wait_for(try_book(context, show, ["A-9"]), 5)
            assert booked.outcome is Outcome.CONFIRMED
    finally:
        await reader.close()


def run_cli(dsn: str, *arguments: str) -> tuple[int, str]:
    """The commands, as cli.py registers them: exit code, and what they print."""

    @contextlib.contextmanager
    def database() -> Iterator[Settings]:
        yield Settings(database_url=dsn)

    app = typer.Typer()
    cli_data.register(app, database)
    result = CliRunner().invoke(app, arguments, env={"DATABASE_URL": dsn})
    return result.exit_code, result.output


def test_the_command_tells_by_its_exit_code(dsn: str) -> None:
    """A cron job would take FAIL for PASS."""
    code, output = run_cli(dsn, "verify")
    assert (code, output.splitlines()[-1]) == (0, "PASS")
    assert "ok    one_owner: no seat has two owners" in output

    async def plant() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute("INSERT INTO seats (show_id, seat_no) VALUES (77, 0)")
        await connection.close()

    asyncio.run(plant())
    code, output = run_cli(dsn, "verify")
    assert (code, output.splitlines()[-1]) == (1, "FAIL")
    assert "      show 77: has seats, but is no show" in output
    code, output = run_cli(dsn, "verify", "--json")
    report = json.loads(output)
    assert (code, report["passed"]) == (1, False)
    assert report["rules"][0]["offences"][0]["show_id"] == 77


def test_one_is_no_plural(dsn: str) -> None:
    """`1 shows` would make people doubt the count, too."""
    code, output = run_cli(dsn, "seed", "--shows", "1", "--seats", "1", "--bookings", "1")
    assert (code, output.split(" made in ")[0]) == (0, "1 show, 1 seat and 1 booking")
    _, output = run_cli(dsn, "verify")
    assert output.splitlines()[-2].startswith("1 show and 1 seat verified in ")
