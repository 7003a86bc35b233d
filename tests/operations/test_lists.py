"""Lists of shows and bookings: every item once, in order, and only what was asked for."""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.ids import booking_id
from rowlock.domain.layout_spec import NumberedSpec
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.context import Context
from rowlock.operations.create_show import NewShow, create_show
from rowlock.operations.errors import Invalid
from rowlock.operations.find_bookings import find_booking, list_bookings
from rowlock.operations.find_shows import find_show, list_shows
from rowlock.operations.settle_booking import cancel_booking, confirm_booking, owner_of
from rowlock.operations.views import BookingView, Page, ShowKind, ShowStatus, ShowView
from tests.support import TOMORROW, let_lapse, make_show, try_book

pytestmark = pytest.mark.anyio


async def all_shows(get: Callable[[str | None], Awaitable[Page[ShowView]]]) -> list[int]:
    """The ids of every page of shows."""
    ids: list[int] = []
    cursor = None
    for _ in range(200):
        page = await get(cursor)
        ids += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids
    raise AssertionError("the list has no end")


async def all_bookings(get: Callable[[str | None], Awaitable[Page[BookingView]]]) -> list[UUID]:
    """The ids of every page of bookings."""
    ids: list[UUID] = []
    cursor = None
    for _ in range(200):
        page = await get(cursor)
        ids += [item.id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return ids
    raise AssertionError("the list has no end")


async def insert_shows(context: Context, starts: list[datetime]) -> list[int]:
    """Shows that start then; returns their ids."""
    show_ids = [await make_show(context, 1) for _ in starts]
    await context.pool.executemany(
        "UPDATE shows SET start_time = $2 WHERE id = $1", list(zip(show_ids, starts, strict=True))
    )
    return show_ids


async def insert_bookings(
    context: Context, show: int, times: list[datetime], user: str = "ada"
) -> list[UUID]:
    """Bookings that were made then; returns their ids."""
    tails = random.Random(len(times)).sample(range(10_000), len(times))
    ids = [booking_id(show, tail << 40) for tail in tails]
    await context.pool.executemany(
        """INSERT INTO bookings (show_id, id, user_id, status, reason, seats, seat_count, amount_cents, held,
                                 created_at, settled_at)
           VALUES ($1, $2, $3, 'FAILED', 'seats_taken', '{0}', 1, 0, false, $4, $4)""",
        [(show, identifier, user, time) for identifier, time in zip(ids, times, strict=True)],
    )
    return ids


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 12, 13])
async def test_pages_of_shows_have_no_gaps_or_repeats(context: Context, limit: int) -> None:
    """A show among others that start with it would be missing from the programme, or stand there twice."""
    starts = [TOMORROW + timedelta(hours=hour) for hour in (2, 0, 1, 0, 0, 1, 1, 0, 2, 1, 0)]
    starts += [TOMORROW + timedelta(microseconds=us) for us in (1, 2)]
    ids = await insert_shows(context, starts)
    expected = [show_id for _, show_id in sorted(zip(starts, ids, strict=True))]
    assert await all_shows(lambda cursor: list_shows(context, limit=limit, cursor=cursor)) == expected


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 12, 13])
async def test_pages_of_bookings_have_no_gaps_or_repeats(context: Context, limit: int) -> None:
    """Of bookings made in one batch, which share their time, some would be missing."""
    now = datetime.now(UTC)
    times = [now - timedelta(seconds=s) for s in (0, 0, 0, 0, 1, 1, 1, 2, 5)]
    times += [now - timedelta(microseconds=us) for us in (1, 1, 2, 3)]
    show, other = await make_show(context, 1), await make_show(context, 1)
    ids = await insert_bookings(context, show, times[::2])
    ids += await insert_bookings(context, other, times[1::2])
    made = times[::2] + times[1::2]
    newest_first = sorted(zip(made, ids, strict=True), reverse=True)
    expected = [identifier for _, identifier in newest_first]

    assert await all_bookings(lambda cursor: list_bookings(context, limit=limit, cursor=cursor)) == expected
    of_user = await all_bookings(
        lambda cursor: list_bookings(context, user_id="ada", limit=limit, cursor=cursor)
    )
    assert of_user == expected
    of_show = await all_bookings(
        lambda cursor: list_bookings(context, show_id=show, limit=limit, cursor=cursor)
    )
    assert of_show == [i for i in expected if i in ids[: len(times[::2])]]


async def test_what_is_made_meanwhile_moves_nothing(context: Context) -> None:
    """Someone who pages through their bookings would see one twice whenever a new one is made."""
    now = datetime.now(UTC)
    show = await make_show(context, 1)
    ids = await insert_bookings(context, show, [now - timedelta(minutes=n) for n in range(6)])
    first = await list_bookings(context, limit=3)
    await insert_bookings(context, show, [now + timedelta(minutes=1)] * 2)
    rest = await list_bookings(context, limit=10, cursor=first.next_cursor)
    assert [item.id for item in [*first.items, *rest.items]] == ids
    assert rest.next_cursor is None


async def test_a_full_last_page_says_that_it_is_the_last(context: Context) -> None:
    """People would be sent on to an empty page."""
    show = await make_show(context, 1)
    await insert_bookings(context, show, [datetime.now(UTC)] * 4)
    first = await list_bookings(context, limit=2)
    second = await list_bookings(context, limit=2, cursor=first.next_cursor)
    assert (len(second.items), second.next_cursor) == (2, None)
    assert (await list_bookings(context, user_id="nobody")).items == []


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "\0", "\ud800"])
async def test_a_bad_cursor_names_its_field(context: Context, cursor: str) -> None:
    """A link that was cut off would end in a server error."""
    for listing in (list_shows(context, cursor=cursor), list_bookings(context, cursor=cursor)):
        with pytest.raises(Invalid) as caught:
            await listing
        assert caught.value.field == "cursor"


async def test_the_cursor_of_another_list_is_refused(context: Context) -> None:
    """A link to the next page would lead somewhere senseless."""
    show = await make_show(context, 1)
    await make_show(context, 1)
    await insert_bookings(context, show, [datetime.now(UTC)] * 2)
    shows, bookings = await list_shows(context, limit=1), await list_bookings(context, limit=1)
    assert shows.next_cursor
    assert bookings.next_cursor
    with pytest.raises(Invalid):
        await list_bookings(context, cursor=shows.next_cursor)
    with pytest.raises(Invalid):
        await list_shows(context, cursor=bookings.next_cursor)


async def test_a_lapsed_hold_is_listed_as_failed(context: Context) -> None:
    """A list would say that seats are still held which others can buy."""
    show = await make_show(context, 10)
    ids: dict[str, UUID] = {}
    for number, name in enumerate(("live", "lapsed", "firm", "released", "cancelled"), 1):
        answer = await try_book(context, show, [str(number)], confirm=name in ("firm", "cancelled"))
        assert answer.booking is not None
        ids[name] = answer.booking.id
    await let_lapse(context, ids["lapsed"])
    for name, reason in (("released", Reason.RELEASED), ("cancelled", Reason.CANCELLED_BY_ADMIN)):
        row = await owner_of(context, ids[name])
        assert (await cancel_booking(context, row, by=Actor.STAFF)).booking.reason is reason
    listed: dict[BookingStatus, set[str]] = {}
    names = {identifier: name for name, identifier in ids.items()}
    for status in BookingStatus:
        page = await list_bookings(context, status=status)
        assert {item.status for item in page.items} <= {status}
        listed[status] = {names[item.id] for item in page.items}
        assert page.items == [await find_booking(context, item.id) for item in page.items]
    assert listed == {
        BookingStatus.PENDING: {"live"},
        BookingStatus.CONFIRMED: {"firm"},
        BookingStatus.FAILED: {"lapsed", "released"},
        BookingStatus.CANCELLED: {"cancelled"},
    }
    everything = await list_bookings(context)
    assert {item.id for item in everything.items} == set(ids.values())
    lapsed = next(item for item in everything.items if item.id == ids["lapsed"])
    assert (lapsed.status, lapsed.reason, lapsed.expires_at) == (
        BookingStatus.FAILED,
        Reason.HOLD_EXPIRED,
        None,
    )


async def test_filters_add_up(context: Context) -> None:
    """Someone would see other people's bookings, or not all of their own."""
    shows = [await make_show(context, 10) for _ in range(2)]
    made: dict[tuple[str, int, str], UUID] = {}
    for number, (user, show, status) in enumerate(
        itertools.product(("ada", "bob"), shows, ("CONFIRMED", "PENDING")), 1
    ):
        answer = await try_book(context, show, [str(number)], user, confirm=status == "CONFIRMED")
        assert answer.booking is not None
        made[user, show, status] = answer.booking.id
    users = (None, "ada", "bob", "ada ", "ADA", "%", "a_a")
    statuses = (None, BookingStatus.PENDING, BookingStatus.CONFIRMED)
    of_shows = (None, *shows)
    for of_user in users:
        for of_show in of_shows:
            for of_status in statuses:
                page = await list_bookings(context, user_id=of_user, show_id=of_show, status=of_status)
                assert {item.id for item in page.items} == {
                    identifier
                    for (its_user, its_show, its_status), identifier in made.items()
                    if of_user in (None, its_user)
                    and of_show in (None, its_show)
                    and of_status in (None, its_status)
                }


async def named_shows(context: Context, *names: str) -> dict[int, str]:
    """Shows of those names, by id."""
    shows = {}
    for name in names:
        view = await create_show(context, NewShow(name=name, start_time=TOMORROW, layout=NumberedSpec(1)))
        shows[view.id] = name
    return shows


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", {"100% jazz"}),
        ("_", {"a_b"}),
        ("\\", {"back\\slash"}),
        ("0% j", {"100% jazz"}),
        ("a_", {"a_b"}),
        ("k\\s", {"back\\slash"}),
        ("\\%", set()),
        ("%%", set()),
        ("JAZZ", {"100% jazz"}),
        ("axb", {"axb"}),
        ("'", {"it's"}),
        ("ÜB", {"Über"}),
        ("nothing of the kind", set()),
    ],
)
async def test_signs_of_a_search_are_literal(context: Context, text: str, found: set[str]) -> None:
    """A search for "100%" would find everything, and one for a backslash would fail."""
    shows = await named_shows(context, "100% jazz", "a_b", "axb", "back\\slash", "it's", "Über")
    page = await list_shows(context, text=text)
    assert {shows[item.id] for item in page.items} == found


async def test_an_empty_search_is_none(context: Context) -> None:
    """An empty search field, which a form sends as `?q=`, would empty the programme."""
    shows = await named_shows(context, "one", "two")
    page = await list_shows(context, text="")
    assert {item.id for item in page.items} == set(shows)


async def test_searches_look_at_all_names(context: Context) -> None:
    """A trip could not be found by where it goes."""
    view = await create_show(
        context,
        NewShow(
            name="Night coach",
            start_time=TOMORROW,
            layout=NumberedSpec(1),
            kind=ShowKind.TRIP,
            venue="Bay 4",
            origin="Graz",
            destination="Wien",
        ),
    )
    await named_shows(context, "Other")
    for text in ("night", "bay 4", "graz", "wien"):
        assert [item.id for item in (await list_shows(context, text=text)).items] == [view.id]


async def test_shows_are_filtered(context: Context) -> None:
    """What is over, off, or of another kind would stand among what can be booked."""
    now = datetime.now(UTC)
    show = await make_show(context, 1)
    trip = await make_show(context, 1, kind=ShowKind.TRIP)
    over = await make_show(context, 1)
    off = await make_show(context, 1)
    await context.pool.execute(
        "UPDATE shows SET start_time = $2 WHERE id = $1", over, now - timedelta(days=9)
    )
    await cancel_show(context, off)

    async def ids(**filters: object) -> set[int]:
        return {item.id for item in (await list_shows(context, **filters)).items}  # type: ignore[arg-type]

    assert await ids() == {show, trip, off}
    assert await ids(kind=ShowKind.TRIP) == {trip}
    assert await ids(kind=ShowKind.SHOW) == {show, off}
    assert await ids(status=ShowStatus.CANCELLED) == {off}
    assert await ids(status=ShowStatus.SCHEDULED) == {show, trip}
    assert await ids(starts_after=now - timedelta(days=10)) == {show, trip, off, over}
    assert await ids(starts_after=TOMORROW) == set()
    assert await ids(starts_after=TOMORROW - timedelta(microseconds=1), kind=ShowKind.SHOW) == {show, off}


async def test_filters_hold_on_every_page(context: Context) -> None:
    """The second page would show what the first was asked to leave out."""
    starts = [TOMORROW] * 12
    ids = await insert_shows(context, starts)
    for show in ids[::2]:
        await cancel_show(context, show)
    found = await all_shows(
        lambda cursor: list_shows(context, status=ShowStatus.SCHEDULED, limit=2, cursor=cursor)
    )
    assert found == ids[1::2]


async def test_a_listed_show_is_the_show(context: Context) -> None:
    """Lists would count seats otherwise than the show's own page."""
    show = await make_show(context, 5)
    held = await try_book(context, show, ["1"], confirm=False)
    await try_book(context, show, ["2"])
    assert held.booking is not None
    assert (await list_shows(context)).items == [await find_show(context, show)]
    await confirm_booking(context, await owner_of(context, held.booking.id), by=Actor.STAFF)
    (item,) = (await list_shows(context)).items
    assert (item.available_seats, item.reserved_seats, item.booked_seats) == (3, 0, 2)
