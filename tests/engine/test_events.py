"""What is told of what happens: every change, once, as it was then, in the order in which it was committed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.events import EventType, pack, unpack
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.outcomes import Outcome
from rowlock.operations.block_seats import block_seats
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.change_show import ShowChange, change_show
from rowlock.operations.context import Context, open_context
from rowlock.operations.create_show import create_show
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.postgres.pool import Database
from rowlock.workers.sweeper import Sweeper
from tests.events import told, types_told
from tests.support import TOMORROW, audit, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


async def test_a_life_is_told_step_by_step(context: Context) -> None:
    """A ledger would miss a sale, or a refund."""
    show = await make_show(context, 10)
    held = (await try_book(context, show, ["1", "2"], confirm=False)).booking
    await try_book(context, show, ["2", "3"], "bob")
    assert held is not None
    row = await owner_of(context, held.id)
    await confirm_booking(context, row, by=Actor.OWNER)
    await confirm_booking(context, row, by=Actor.OWNER)  # the same answer, and no event
    await cancel_booking(context, row, by=Actor.OWNER)
    released = (await try_book(context, show, ["5"], confirm=False)).booking
    assert released is not None
    await cancel_booking(context, await owner_of(context, released.id), by=Actor.OWNER)
    assert await types_told(context, show) == [
        "show.created",
        "booking.held",
        "booking.failed",
        "booking.confirmed",
        "booking.cancelled",
        "booking.held",
        "booking.failed",
    ]
    _, hold, failed, firm, ended, *_ = [event.booking for _, event in await told(context, show)]
    assert hold is not None
    assert firm is not None
    assert ended is not None
    assert failed is not None
    # Each as it was then, though its row has changed since.
    assert (hold.status, hold.confirmed_at, hold.seats) == (BookingStatus.PENDING, None, (0, 1))
    assert hold.expires_at is not None
    assert (firm.status, firm.expires_at, firm.id) == (BookingStatus.CONFIRMED, None, hold.id)
    assert (ended.status, ended.reason) == (BookingStatus.CANCELLED, Reason.CANCELLED_BY_CUSTOMER)
    assert (failed.user_id, failed.reason, failed.conflicts) == ("bob", Reason.SEATS_TAKEN, (1,))
    await audit(context)


async def test_a_hold_that_is_overtaken_has_expired_before_its_seat_is_taken(context: Context) -> None:
    """A reader of events would see one seat with two owners."""
    show = await make_show(context, 10)
    held = (await try_book(context, show, ["1", "2"], confirm=False)).booking
    assert held is not None
    await let_lapse(context, held.id)
    assert (await try_book(context, show, ["1"], "bob")).outcome is Outcome.CONFIRMED
    assert (
        await try_book(context, show, ["2"], "cy")
    ).outcome is Outcome.CONFIRMED  # what is left of it: told before
    events = await told(context, show)
    assert [event.type for _, event in events[1:]] == [
        EventType.BOOKING_HELD,
        EventType.BOOKING_EXPIRED,
        EventType.BOOKING_CONFIRMED,
        EventType.BOOKING_CONFIRMED,
    ]
    expired = events[2][1].booking
    assert expired is not None
    assert (expired.id, expired.reason, expired.seats) == (held.id, Reason.HOLD_EXPIRED, (0, 1))
    row = await owner_of(context, held.id)
    assert (row.status, row.settled_at) == (BookingStatus.FAILED, expired.settled_at)
    await Sweeper(context, 30).run_once()
    assert len(await told(context, show)) == 5
    await audit(context)


async def test_a_hold_that_is_swept_is_told_once(context: Context) -> None:
    """A customer would be written to twice, or not at all."""
    show = await make_show(context, 10)
    held = (await try_book(context, show, ["1"], confirm=False)).booking
    assert held is not None
    await let_lapse(context, held.id)
    for _ in range(2):
        await Sweeper(context, 30).run_once()
    assert await types_told(context, show) == ["show.created", "booking.held", "booking.expired"]
    await audit(context)


async def test_shows_are_told(context: Context) -> None:
    """Another site would go on selling what is over, or full."""
    show = await make_show(context, 3)
    await change_show(context, show, ShowChange(name="Another"))
    await change_show(context, show, ShowChange(name="Another"))  # changes nothing, tells nothing
    await block_seats(context, show, ["3"], blocked=True)
    await block_seats(context, show, ["3"], blocked=True)
    held = (await try_book(context, show, ["1"], confirm=False)).booking
    await try_book(context, show, ["2"])
    assert held is not None
    assert "show.sold_out" not in await types_told(context, show), "a hold may come back"
    await confirm_booking(context, await owner_of(context, held.id), by=Actor.OWNER)
    await block_seats(context, show, ["3"], blocked=False)
    await cancel_show(context, show)
    assert await types_told(context, show) == [
        "show.created",
        "show.updated",
        "show.updated",
        "booking.held",
        "booking.confirmed",
        "booking.confirmed",
        "show.sold_out",
        "show.updated",
        "show.cancelled",
        "booking.cancelled",
        "booking.cancelled",
    ]
    events = [event for _, event in await told(context, show)]
    names = [event.show["name"] for event in events if event.show is not None]
    assert names == ["A show", *["Another"] * 5]
    assert (events[2].blocked, events[7].unblocked) == ((2,), (2,))
    full, over = events[6].show, events[8].show
    assert full is not None
    assert over is not None
    assert (full["available"], full["reserved"], full["booked"], full["blocked"]) == (0, 0, 2, 1)
    assert (over["closed"], over["available"], full["closed"]) == (True, 1, False)
    version = await context.pool.fetchval("SELECT version FROM inventory WHERE show_id = $1", show)
    last = await context.pool.fetchval("SELECT max(version) FROM outbox WHERE show_id = $1", show)
    assert last == version
    await audit(context)


async def test_a_show_whose_last_seats_are_blocked_is_not_sold_out(context: Context) -> None:
    """The box office would announce a success when it closes a stand."""
    show = await make_show(context, 3)
    await try_book(context, show, ["1"])
    await block_seats(context, show, ["2", "3"], blocked=True)
    assert await types_told(context, show) == ["show.created", "booking.confirmed", "show.updated"]


async def test_all_of_a_batch_is_told_in_its_order(context: Context) -> None:
    """Under load, when most happens, readers would see it muddled."""
    show = await make_show(context, 200)
    await asyncio.gather(*(try_book(context, show, [str(1 + n % 60)], f"u{n}") for n in range(180)))
    types = await types_told(context, show)
    assert (types.count("booking.confirmed"), types.count("booking.failed")) == (60, 120)
    rows = await context.pool.fetch("SELECT version, at FROM outbox WHERE show_id = $1 ORDER BY seq", show)
    assert len(rows) < 100, "a batch is one row"
    assert [row["version"] for row in rows] == sorted(row["version"] for row in rows)
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    await audit(context)


async def test_with_events_off_nothing_is_written(dsn: str) -> None:
    """Who wants no events would pay for them."""
    async with open_context(Database(dsn), events=False) as silent:
        show = await make_show(silent, 10)
        await change_show(silent, show, ShowChange(start_time=TOMORROW + timedelta(days=1)))
        await try_book(silent, show, ["1"])
        await try_book(silent, show, ["1"])
        assert await silent.pool.fetchval("SELECT count(*) FROM outbox") == 0
        row = await silent.pool.fetchrow("SELECT told_events, told_version, version FROM inventory")
        assert (row["told_events"], row["told_version"], row["version"]) == (0, -1, 1)


async def test_a_log_with_a_gap_is_not_taken_for_a_whole_one(dsn: str) -> None:
    """An audit would cry wolf where events were off for a while."""
    async with open_context(Database(dsn)) as telling, open_context(Database(dsn), events=False) as silent:
        show = await make_show(telling, 10)
        await try_book(telling, show, ["1"])
        await try_book(silent, show, ["2"])
        await try_book(telling, show, ["3"])
        row = await telling.pool.fetchrow("SELECT told_version, version FROM inventory")
        assert (row["told_version"], row["version"]) == (1, 3)
        await audit(telling)


async def test_what_is_rolled_back_is_not_told(context: Context) -> None:
    """Somebody would be told of a booking that isn't there."""
    show = await make_show(context, 10)
    taken = (await try_book(context, show, ["1"], key="a key")).booking
    again = await try_book(context, show, ["1"], key="a key")
    assert again.replayed
    assert again.booking == taken
    assert await types_told(context, show) == ["show.created", "booking.confirmed"]


async def test_events_come_back_from_their_row_as_they_were(context: Context) -> None:
    """What is packed could not be unpacked, and would hold up all that follows it."""
    show = await make_show(context, 10)
    await try_book(context, show, ["1"], customer_name="Zoë \N{SNOWMAN}", email="z@example.org")
    events = [event for _, event in await told(context, show)]
    assert unpack(pack(events), datetime.now(UTC)) == tuple(events)
    assert events[1].booking == await owner_of(context, events[1].booking.id)  # type: ignore[union-attr]


async def test_an_imported_id_that_is_taken_tells_nothing(context: Context) -> None:
    """A show that was refused would be announced."""
    from rowlock.domain.layout_spec import NumberedSpec
    from rowlock.operations.create_show import NewShow
    from rowlock.operations.errors import ShowIdTaken

    show = await make_show(context, 3)
    with pytest.raises(ShowIdTaken):
        await create_show(context, NewShow(name="B", start_time=TOMORROW, layout=NumberedSpec(3), id=show))
    assert await types_told(context, show) == ["show.created"]
