"""Predecessor 2: only counts. Which seats they are, the engine decides: the best there are."""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import JSONBody
from litestar.types import Middleware

from rowlock.http.classic.common import (
    ClassicRequest,
    all_shows,
    make_show,
    read_time,
    require_caller,
    seconds,
    try_to_book,
)
from rowlock.http.classic.shapes import (
    ClassicTwoBooked,
    ClassicTwoBooking,
    ClassicTwoNewBooking,
    ClassicTwoNewShow,
    ClassicTwoNewShowMade,
    ClassicTwoShow,
    ClassicTwoShowMade,
)
from rowlock.http.identity import require_admin
from rowlock.http.problems import invalid
from rowlock.http.wire import SEATS_PER_BOOKING_MAX
from rowlock.operations.book import BookRequest


@post(
    "/admin/show",
    status_code=200,
    summary="Create a show",
    description="Of so many seats. For admins.",
    operation_id="classic_two_create_show",
    guards=[require_admin],
)
async def create(request: ClassicRequest, data: JSONBody[ClassicTwoNewShow]) -> ClassicTwoShowMade:
    """Create a show."""
    start_time = read_time("start_time", data.start_time)
    show = await make_show(request, data.name, start_time, data.total_seats)
    return ClassicTwoShowMade(
        "Show created successfully",
        ClassicTwoNewShowMade(
            id=show.id,
            name=show.name,
            start_time=seconds(show.start_time),
            total_seats=show.total_seats,
            booked_seats=show.total_seats - show.available_seats,
        ),
    )


@get(
    "/shows",
    summary="List all shows",
    description="Past ones too, soonest first, on one page.",
    operation_id="classic_two_list_shows",
)
async def list_(request: ClassicRequest) -> list[ClassicTwoShow]:
    """List all shows."""
    return [
        ClassicTwoShow(
            id=show.id,
            name=show.name,
            start_time=seconds(show.start_time),
            total_seats=show.total_seats,
            available_seats=show.available_seats,
        )
        async for show in all_shows(request)
    ]


@post(
    "/book",
    status_code=200,
    summary="Book seats",
    description="So many of the best that are left, all or none, for whoever is calling. The booking is FAILED where "
    "fewer are left.",
    operation_id="classic_two_book",
)
async def book(request: ClassicRequest, data: JSONBody[ClassicTwoNewBooking]) -> Response[ClassicTwoBooked]:
    """Book seats."""
    if data.seat_count > SEATS_PER_BOOKING_MAX:
        raise invalid("seat_count", f"must be at most {SEATS_PER_BOOKING_MAX} seats")
    wanted = BookRequest(
        show_id=data.show_id, user_id=request.user.acting_user(None), seat_count=data.seat_count
    )
    attempt = await try_to_book(request, wanted, "seat_count")
    booking = attempt.booking
    return Response(
        ClassicTwoBooked(
            f"Booking {booking.status.value}",
            ClassicTwoBooking(
                id=str(booking.id),
                show_id=booking.show_id,
                seat_count=booking.seat_count,
                status=booking.status.value,
                created_at=seconds(booking.created_at),
            ),
        ),
        headers=attempt.headers,
    )


def router(limit: list[Middleware]) -> Router:
    """The routes under `/classic/2`. `limit`: what goes before a request to book."""
    return Router(
        "/classic/2",
        route_handlers=[
            create,
            list_,
            Router("/", route_handlers=[book], middleware=limit, before_request=require_caller),
        ],
        cache_control=CacheControlHeader(no_store=True),
        tags=["Predecessor 2"],
    )
