"""Predecessor 4: seats by number, from 1; ids are texts, and names are in camelCase.

A show fits where its labels are exactly "1" to "n", in whatever order they stand. Others are listed, but their seats
can't be told as numbers: 400.
"""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from litestar.types import Middleware

from rowlock.domain.layouts import Layout
from rowlock.http import tokens
from rowlock.http.classic.common import (
    ClassicRequest,
    all_shows,
    distinct,
    holds_seats,
    make_show,
    milliseconds,
    own_booking,
    read_time,
    require_caller,
    try_to_book,
)
from rowlock.http.classic.shapes import (
    ClassicFourBooking,
    ClassicFourBookingFound,
    ClassicFourConfirmed,
    ClassicFourFailed,
    ClassicFourHealth,
    ClassicFourNewBooking,
    ClassicFourNewShow,
    ClassicFourSeatMap,
    ClassicFourShow,
    ClassicFourShowFound,
    ClassicFourShowMade,
    ClassicFourShows,
)
from rowlock.http.identifiers import show_number
from rowlock.http.identity import Caller, require_admin, require_signed_in
from rowlock.http.problems import invalid
from rowlock.http.refusals import refusal
from rowlock.http.shows import context_of
from rowlock.operations.book import BookRequest
from rowlock.operations.find_shows import find_show
from rowlock.operations.seats import availability, plan_of
from rowlock.operations.views import ShowView


@get(
    "/health",
    summary="Whether the process lives",
    description="Asks nothing of the database.",
    operation_id="classic_four_health",
)
async def health() -> ClassicFourHealth:
    """The process lives."""
    return ClassicFourHealth("ok")


@post(
    "/shows",
    summary="Create a show",
    description="Of numbered seats. For admins.",
    operation_id="classic_four_create_show",
    guards=[require_admin],
)
async def create(request: ClassicRequest, data: JSONBody[ClassicFourNewShow]) -> ClassicFourShowMade:
    """Create a show."""
    start_time = read_time("startTime", data.start_time)
    return ClassicFourShowMade(_show(await make_show(request, data.name, start_time, data.total_seats)))


@get(
    "/shows",
    summary="List all shows",
    description="With counts; past ones too, by id, on one page.",
    operation_id="classic_four_list_shows",
)
async def list_(request: ClassicRequest) -> ClassicFourShows:
    """List all shows."""
    shows = [_show(show) async for show in all_shows(request)]
    shows.sort(key=lambda show: int(show.id))
    return ClassicFourShows(shows)


@get(
    "/shows/{show_id:str}",
    summary="Get a show with its seats",
    description="Each pair of lists is the same. 400 where the seats of the show are not numbered 1 to n.",
    operation_id="classic_four_get_show",
)
async def show(request: ClassicRequest, show_id: FromPath[str]) -> ClassicFourShowFound:
    """Get a show with its seats."""
    context, number = context_of(request), show_number(show_id)
    layout = (await plan_of(context, number)).layout
    positions = _positions("id", number, layout)
    found = await find_show(context, number)
    letters = (await availability(context, number)).statuses
    taken: list[int] = []
    free: list[int] = []
    for seat, position in enumerate(positions, 1):
        (free if letters[position] == "A" else taken).append(seat)
    return ClassicFourShowFound(
        ClassicFourSeatMap(
            id=str(number),
            name=found.name,
            start_time=milliseconds(found.start_time),
            total_seats=found.total_seats,
            reserved_seats=taken,
            available_seats=free,
            reserved_seat_numbers=taken,
            available_seat_numbers=free,
        )
    )


@post(
    "/shows/{show_id:str}/bookings",
    summary="Book seats",
    description="All or none: 201 with the CONFIRMED booking, or 200 with the FAILED one and the seats that others have.",
    operation_id="classic_four_book",
    responses={
        200: ResponseSpec(
            ClassicFourFailed, description="The seats could not be had", generate_examples=False
        )
    },
)
async def book(
    request: ClassicRequest, show_id: FromPath[str], data: JSONBody[ClassicFourNewBooking]
) -> Response[ClassicFourConfirmed | ClassicFourFailed]:
    """Book seats."""
    number = show_number(show_id)
    layout = (await plan_of(context_of(request), number)).layout
    seats = distinct("seats", data.seats)
    _positions("seats", number, layout)
    for index, seat in enumerate(data.seats):
        if seat > layout.total_seats:
            raise invalid(
                f"seats[{index}]", f"must be at most {layout.total_seats:,}: show {number} has no more"
            )
    wanted = BookRequest(
        show_id=number,
        user_id=_user_id(request.user, data.user_name),
        seats=seats,
        customer_name=data.user_name or None,
    )
    attempt = await try_to_book(request, wanted, "seats")
    booking, conflicts = attempt.booking, attempt.booked.conflicts
    if not attempt.succeeded:
        failed = ClassicFourFailed(
            booking_id=str(booking.id),
            status=booking.status.value,
            show_id=str(number),
            failed_seats=[int(label) for label in conflicts],
            reason=refusal(attempt.booked.outcome, booking=booking, conflicts=conflicts).detail,
        )
        return Response(failed, status_code=200, headers=attempt.headers)
    confirmed = ClassicFourConfirmed(
        booking_id=str(booking.id),
        status=booking.status.value,
        show_id=str(number),
        seats_confirmed=[int(label) for label in booking.seats] if holds_seats(booking) else [],
    )
    return Response(confirmed, status_code=201, headers=attempt.headers)


@get(
    "/bookings/{booking_id:str}",
    summary="Get a booking",
    description="As it is now. For its owner, admins and services; to others there is no such booking. 400 where the seats "
    "of its show are not numbered 1 to n.",
    operation_id="classic_four_get_booking",
    guards=[require_signed_in],
)
async def booking(request: ClassicRequest, booking_id: FromPath[str]) -> ClassicFourBookingFound:
    """Get a booking."""
    found = await own_booking(request, booking_id)
    _positions("id", found.show_id, (await plan_of(context_of(request), found.show_id)).layout)
    return ClassicFourBookingFound(
        ClassicFourBooking(
            id=str(found.id),
            show_id=str(found.show_id),
            user_name=found.customer_name or found.user_id,
            status=found.status.value,
            seats=[int(label) for label in found.seats],
            created_at=milliseconds(found.created_at),
            expires_at=milliseconds(found.expires_at) if found.expires_at else None,
        )
    )


def _positions(field: str, show_id: int, layout: Layout) -> range | list[int]:
    """Where in the layout the seats 1 to n are. Raises a 400 where there are no such seats."""
    if layout.numbered:
        return range(layout.total_seats)
    positions = []
    for seat in range(1, layout.total_seats + 1):  # ends at the first that is missing
        position = layout.seat_no(str(seat))
        if position is None:
            raise invalid(
                field,
                f"the seats of show {show_id} are not numbered 1 to {layout.total_seats:,}, which is all that can be told "
                "here; use /api",
            )
        positions.append(position)
    return positions


def _user_id(caller: Caller, user_name: str | None) -> str:
    """Staff book for the name they give; customers for themselves, under whatever name."""
    if not user_name or not caller.is_staff:
        return caller.acting_user(None)
    if not tokens.is_user_id(user_name):
        raise invalid("userName", "must not have control characters")
    return caller.acting_user(user_name)


def _show(show: ShowView) -> ClassicFourShow:
    return ClassicFourShow(
        id=str(show.id),
        name=show.name,
        start_time=milliseconds(show.start_time),
        total_seats=show.total_seats,
        reserved_seats=show.total_seats - show.available_seats,
        available_seats=show.available_seats,
    )


def router(limit: list[Middleware]) -> Router:
    """The routes under `/classic/4`. `limit`: what goes before a request to book."""
    return Router(
        "/classic/4",
        route_handlers=[
            health,
            create,
            list_,
            show,
            Router("/", route_handlers=[book], middleware=limit, before_request=require_caller),
            booking,
        ],
        cache_control=CacheControlHeader(no_store=True),
        tags=["Predecessor 4"],
    )
