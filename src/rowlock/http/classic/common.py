"""What the predecessors have in common: times, lists of all shows, and the way of a booking to its operation."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from litestar import Request

from rowlock.domain.layout_spec import NumberedSpec
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.outcomes import Outcome
from rowlock.http.bookings import actor_of, idempotency_key_of
from rowlock.http.caching import changing_lists
from rowlock.http.identifiers import booking_uuid
from rowlock.http.identity import Caller
from rowlock.http.problems import invalid
from rowlock.http.rates import limit_holds
from rowlock.http.refusals import refusal
from rowlock.http.shows import context_of
from rowlock.http.tokens import unauthenticated
from rowlock.http.trails import trail_of
from rowlock.http.wire import SEATS_PER_BOOKING_MAX, to_utc
from rowlock.operations.book import Booked, BookRequest, book
from rowlock.operations.create_show import NewShow, create_show
from rowlock.operations.errors import NotFound
from rowlock.operations.find_bookings import find_booking
from rowlock.operations.find_shows import find_show, list_shows
from rowlock.operations.views import BookingView, ShowView

ClassicRequest = Request[Caller, Any, Any]

SHOWS_A_READ = 1000  # some 1 MB; what a list of all shows has in memory beside what it answers
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def read_time(field: str, text: str) -> datetime:
    """A time in any zone, past or future, in UTC. One without a zone is taken for UTC.

    JavaScript's `new Date()` takes it for the zone of its server instead, which here is nobody's: UTC is the same on
    every server.
    """
    try:
        if _TIME.fullmatch(text.upper()) is None:
            raise ValueError
        time = datetime.fromisoformat(text.upper())
    except ValueError:
        raise invalid(field, "must be a time, such as 2030-01-01T19:30:00Z") from None
    return to_utc(field, time.replace(tzinfo=time.tzinfo or UTC))


def milliseconds(time: datetime) -> str:
    """A time as JavaScript's `toISOString` prints it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(time: datetime) -> str:
    """A time in whole seconds."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def make_show(request: ClassicRequest, name: str, start_time: datetime, total_seats: int) -> ShowView:
    """Make a show of numbered seats, all of which may go into one booking, as far as any show allows."""
    new = NewShow(
        name=name,
        start_time=start_time,
        layout=NumberedSpec(total_seats),
        max_seats_per_booking=min(total_seats, SEATS_PER_BOOKING_MAX),
    )
    with changing_lists(request):
        return await create_show(context_of(request), new, trail=trail_of(request))


async def all_shows(request: ClassicRequest) -> AsyncIterator[ShowView]:
    """All shows, past ones too, soonest first; read in pages."""
    context = context_of(request)
    cursor = None
    while True:
        page = await list_shows(context, starts_after=_BEGINNING, limit=SHOWS_A_READ, cursor=cursor)
        for show in page.items:
            yield show
        cursor = page.next_cursor
        if cursor is None:
            return


async def require_caller(request: ClassicRequest) -> None:
    """Before a request to book: somebody must be signed in. For Litestar's `before_request`."""
    if request.user.user_id is None and request.scope["method"] != "OPTIONS":
        raise unauthenticated("Sign in first, or send a bearer token.")


def distinct(field: str, given: tuple[str | int, ...]) -> tuple[str, ...]:
    """Seats by label: at least one, none twice, and no more than any show allows."""
    if not given:
        raise invalid(field, "must name at least one seat")
    if len(given) > SEATS_PER_BOOKING_MAX:
        raise invalid(field, f"must be at most {SEATS_PER_BOOKING_MAX} seats")
    seen: set[str] = set()
    for index, label in enumerate(map(str, given)):
        if label in seen:
            raise invalid(f"{field}[{index}]", f"names seat {label} a second time")
        seen.add(label)
    return tuple(map(str, given))


class Attempt(NamedTuple):
    """A booking that was recorded, and whether it got its seats at first (it may have lost them since)."""

    booking: BookingView
    succeeded: bool
    booked: Booked

    @property
    def headers(self) -> dict[str, str]:
        """What an answer to it bears."""
        return {"Idempotency-Replayed": "true"} if self.booked.replayed else {}


async def try_to_book(request: ClassicRequest, wanted: BookRequest, field: str) -> Attempt:
    """Book. `field` is where the dialect's body says which seats, or how many.

    Raises whatever stands in the way but seats that others have: those make a FAILED booking.
    """
    context = context_of(request)
    if not wanted.confirm:
        await limit_holds(request)
    booked = await book(
        context,
        wanted,
        by=actor_of(request.user),
        idempotency_key=idempotency_key_of(request),
        trail=trail_of(request),
    )
    match booked.outcome:
        case Outcome.SHOW_NOT_FOUND:
            raise NotFound(f"show {wanted.show_id}")
        case Outcome.TOO_MANY_SEATS:
            most = (await find_show(context, wanted.show_id)).max_seats_per_booking
            raise invalid(field, f"must be at most {most} seats: this show allows no more in a booking")
        case Outcome.NOT_ON_SALE:
            raise refusal(booked.outcome, show=await find_show(context, wanted.show_id))
    if booked.booking is None:
        raise refusal(booked.outcome)
    return Attempt(booked.booking, booked.outcome in {Outcome.HELD, Outcome.CONFIRMED}, booked)


async def own_booking(request: ClassicRequest, booking_id: str) -> BookingView:
    """A booking, if the caller may see it. To others it isn't there."""
    view = await find_booking(context_of(request), booking_uuid(booking_id))
    if not request.user.may_act_for(view.user_id):
        raise NotFound(f"booking {view.id}")
    return view


def holds_seats(booking: BookingView) -> bool:
    """Whether a booking has its seats."""
    return booking.status in {BookingStatus.PENDING, BookingStatus.CONFIRMED}
