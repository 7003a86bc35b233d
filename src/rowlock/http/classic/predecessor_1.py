"""Predecessor 1: seats by name, which are booked at once or held for two minutes."""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, JSONBody
from litestar.types import Middleware

from rowlock.http.classic.common import (
    ClassicRequest,
    all_shows,
    distinct,
    make_show,
    milliseconds,
    own_booking,
    read_time,
    require_caller,
    try_to_book,
)
from rowlock.http.classic.shapes import (
    ClassicOneBooked,
    ClassicOneBooking,
    ClassicOneBookingFound,
    ClassicOneNewBooking,
    ClassicOneNewBookingMade,
    ClassicOneNewShow,
    ClassicOneSeat,
    ClassicOneSeats,
    ClassicOneShow,
    ClassicOneShowMade,
    ClassicOneShows,
)
from rowlock.http.identifiers import show_number
from rowlock.http.identity import require_admin, require_signed_in
from rowlock.http.refusals import refusal
from rowlock.http.shows import context_of
from rowlock.http.wire import check_user_id
from rowlock.operations.book import BookRequest
from rowlock.operations.seats import availability, plan_of
from rowlock.operations.views import ShowView

# Their clients take whatever is not AVAILABLE for gone; BOOKED, unlike RESERVED, doesn't promise to come back.
_STATUSES = {"A": "AVAILABLE", "R": "RESERVED", "B": "BOOKED", "X": "BOOKED"}


@post(
    "/admin/shows",
    summary="Create a show",
    description="Of numbered seats. For admins.",
    operation_id="classic_one_create_show",
    guards=[require_admin],
)
async def create(request: ClassicRequest, data: JSONBody[ClassicOneNewShow]) -> ClassicOneShowMade:
    """Create a show."""
    start_time = read_time("start_time", data.start_time)
    show = await make_show(request, data.name, start_time, data.total_seats)
    return ClassicOneShowMade("Show created successfully", _show(show))


@get(
    "/shows",
    summary="List all shows",
    description="Past ones too, by id, on one page.",
    operation_id="classic_one_list_shows",
)
async def list_(request: ClassicRequest) -> ClassicOneShows:
    """List all shows."""
    shows = [_show(show) async for show in all_shows(request)]
    shows.sort(key=lambda show: show.id)
    return ClassicOneShows(shows, len(shows))


@get(
    "/shows/{show_id:str}/seats",
    summary="List a show's seats",
    description="In layout order.",
    operation_id="classic_one_list_seats",
)
async def seats(request: ClassicRequest, show_id: FromPath[str]) -> ClassicOneSeats:
    """List a show's seats."""
    context, number = context_of(request), show_number(show_id)
    layout = (await plan_of(context, number)).layout
    letters = (await availability(context, number)).statuses
    listed = [
        ClassicOneSeat(seat_no + 1, layout.label(seat_no), _STATUSES[letter])
        for seat_no, letter in enumerate(letters)
    ]
    return ClassicOneSeats(number, listed, len(listed))


@post(
    "/shows/{show_id:str}/book",
    summary="Book seats",
    description="All or none. With `immediate_confirm: false` they are held until `expires_at`. 409 names the seats that "
    "others have.",
    operation_id="classic_one_book",
)
async def book(
    request: ClassicRequest, show_id: FromPath[str], data: JSONBody[ClassicOneNewBooking]
) -> Response[ClassicOneBooked]:
    """Book seats."""
    wanted = BookRequest(
        show_id=show_number(show_id),
        user_id=request.user.acting_user(check_user_id(str(data.user_id))),
        seats=distinct("seat_nos", data.seat_nos),
        confirm=data.immediate_confirm,
    )
    attempt = await try_to_book(request, wanted, "seat_nos")
    booking = attempt.booking
    if not attempt.succeeded:
        raise refusal(
            attempt.booked.outcome,
            booking=booking,
            conflicts=attempt.booked.conflicts,
            headers=attempt.headers,
        )
    return Response(
        ClassicOneBooked(
            "Booking created successfully",
            ClassicOneNewBookingMade(
                id=str(booking.id),
                status=booking.status.value,
                seat_nos=booking.seats,
                created_at=milliseconds(booking.created_at),
                expires_at=milliseconds(booking.expires_at) if booking.expires_at else None,
            ),
        ),
        headers=attempt.headers,
    )


@get(
    "/bookings/{booking_id:str}",
    summary="Get a booking",
    description="As it is now. For its owner, admins and services; to others there is no such booking.",
    operation_id="classic_one_get_booking",
    guards=[require_signed_in],
)
async def booking(request: ClassicRequest, booking_id: FromPath[str]) -> ClassicOneBookingFound:
    """Get a booking."""
    found = await own_booking(request, booking_id)
    return ClassicOneBookingFound(
        ClassicOneBooking(
            id=str(found.id),
            show_id=found.show_id,
            user_id=found.user_id,
            status=found.status.value,
            seat_nos=found.seats,
            created_at=milliseconds(found.created_at),
            expires_at=milliseconds(found.expires_at) if found.expires_at else None,
        )
    )


def _show(show: ShowView) -> ClassicOneShow:
    return ClassicOneShow(
        id=show.id,
        name=show.name,
        start_time=milliseconds(show.start_time),
        total_seats=show.total_seats,
        created_at=milliseconds(show.created_at),
    )


def router(limit: list[Middleware]) -> Router:
    """The routes under `/classic/1`. `limit`: what goes before a request to book."""
    return Router(
        "/classic/1",
        route_handlers=[
            create,
            list_,
            seats,
            Router("/", route_handlers=[book], middleware=limit, before_request=require_caller),
            booking,
        ],
        cache_control=CacheControlHeader(no_store=True),
        tags=["Predecessor 1"],
    )
