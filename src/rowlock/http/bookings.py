"""Bookings over HTTP: taking seats, and what becomes of it. Who may do what is told by `Caller`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.types import Middleware

from rowlock.domain.commands import Actor
from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.domain.lifecycles import BookingStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import Booking
from rowlock.http import box_office, calendars
from rowlock.http.documentation import KeyedOperation, problems
from rowlock.http.identifiers import booking_uuid, show_number
from rowlock.http.identity import Caller, require_signed_in
from rowlock.http.problems import Code, FieldError, Problem, invalid
from rowlock.http.reading import check_query
from rowlock.http.refusals import SUCCEEDED, refusal
from rowlock.http.shows import Cursor, Limit, context_of
from rowlock.http.tokens import unauthenticated
from rowlock.http.wire import BookingBody, ShowBookingBody, check_user_id
from rowlock.operations.book import Booked, BookRequest, book
from rowlock.operations.book_later import book_later, look_up
from rowlock.operations.errors import NotFound
from rowlock.operations.find_bookings import find_booking, list_bookings
from rowlock.operations.find_shows import find_show
from rowlock.operations.queueing import QueuedView
from rowlock.operations.settle_booking import Settled, cancel_booking, confirm_booking, owner_of
from rowlock.operations.views import BookingView, Page, ShowView

ApiRequest = Request[Caller, Any, Any]

OfShow = Annotated[int | None, QueryParameter(description="Only those of this show.", ge=1, le=SHOW_ID_MAX)]

RESPOND_ASYNC = "respond-async"
_KEY = re.compile(rb"[\x20-\x7e]{1,255}")
EXPLAINED = frozenset(
    {Outcome.TOO_MANY_SEATS, Outcome.NOT_ON_SALE}
)  # refusals that a show's own terms explain

_BOOKING = problems(
    Code.UNAUTHENTICATED,
    Code.FORBIDDEN,
    Code.NOT_FOUND,
    Code.SEATS_TAKEN,
    Code.NOT_ENOUGH_SEATS,
    Code.SHOW_CANCELLED,
    Code.NOT_ON_SALE,
    Code.DROPPED,
    Code.TOO_MANY_SEATS,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.RATE_LIMITED,
)
_ACCEPTED = {
    202: ResponseSpec(
        QueuedView,
        generate_examples=False,
        description="With `Prefer: respond-async`: the request is safe, and will be decided in its turn.",
    )
}
_READING = problems(Code.UNAUTHENTICATED)


@post(
    "/bookings",
    summary="Book seats",
    description="All or nothing: either `seats` by name, or the best `seat_count`. With `confirm: false` the seats are "
    "held until `expires_at`. Answers 409 with the FAILED booking where the seats can't be had. With "
    "`Prefer: respond-async`: 202 with a booking that is PENDING (`queued`) until it is decided, first come, first served.",
    operation_id="create_booking",
    operation_class=KeyedOperation,
    responses={**_BOOKING, **_ACCEPTED},
)
async def create(
    request: ApiRequest,
    data: JSONBody[BookingBody],
) -> Response[BookingView]:
    """Book seats."""
    return await _book(request, data.show_id, data)


@post(
    "/shows/{show_id:str}/bookings",
    summary="Book seats of a show",
    description="The same as `POST /api/bookings`, with the show in the address.",
    operation_id="create_show_booking",
    operation_class=KeyedOperation,
    responses={**_BOOKING, **_ACCEPTED},
)
async def create_at_show(
    request: ApiRequest,
    show_id: FromPath[str],
    data: JSONBody[ShowBookingBody],
) -> Response[BookingView]:
    """Book seats of a show."""
    return await _book(request, show_number(show_id), data)


async def _before_booking(request: ApiRequest) -> None:
    """What a guard would check, for a tenth of its cost: Litestar copies the route for each guard it asks."""
    if request.user.user_id is None and request.scope["method"] != "OPTIONS":
        raise unauthenticated("Sign in first, or send a bearer token.")
    await check_query(request)


async def _book(request: ApiRequest, show_id: int, data: ShowBookingBody) -> Response[Any]:
    caller = request.user
    if data.user_id is not None:
        check_user_id(data.user_id)
    wanted = data.to_request(show_id, caller.acting_user(data.user_id))
    context = context_of(request)
    key, headers = idempotency_key_of(request), dict[str, str]()
    if prefers_async(request):
        answer = await book_later(context, wanted, by=actor_of(caller), idempotency_key=key)
        if isinstance(answer, QueuedView):
            headers |= {"Location": f"/api/bookings/{answer.id}", "Preference-Applied": RESPOND_ASYNC}
            return Response(answer, status_code=202, headers=headers)
        booked = answer
    else:
        booked = await book(context, wanted, by=actor_of(caller), idempotency_key=key)
    headers |= replayed_header(booked)
    if booked.outcome not in SUCCEEDED or booked.booking is None:
        show = await find_show(context, show_id) if booked.outcome in EXPLAINED else None
        raise refused(wanted, booked, show, headers)
    headers["Location"] = f"/api/bookings/{booked.booking.id}"
    return Response(booked.booking, status_code=201, headers=headers)


def replayed_header(booked: Booked) -> dict[str, str]:
    """What says that an answer was given before."""
    return {"Idempotency-Replayed": "true"} if booked.replayed else {}


def refused(wanted: BookRequest, booked: Booked, show: ShowView | None, headers: dict[str, str]) -> Exception:
    """Why a request was refused. `show` is there where the outcome is one that its own terms explain."""
    if booked.outcome is Outcome.SHOW_NOT_FOUND:
        return NotFound(f"show {wanted.show_id}")
    return refusal(
        booked.outcome,
        booking=booked.booking,
        conflicts=booked.conflicts,
        show=show,
        headers=headers,
        field="seat_count" if wanted.seat_count else "seats",
    )


@get(
    "/bookings",
    summary="List bookings",
    description="Newest first. Customers see their own; admins and services see all.",
    operation_id="list_bookings",
    guards=[require_signed_in],
    responses={**_READING, **problems(Code.FORBIDDEN)},
)
async def list_(
    request: ApiRequest,
    *,
    user_id: Annotated[str | None, QueryParameter(description="Only this user's.")] = None,
    show_id: OfShow = None,
    status: Annotated[BookingStatus | None, QueryParameter(description="Only those of this status.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BookingView]:
    """List bookings."""
    owner = _whose(request.user, user_id)
    return await list_bookings(
        context_of(request), user_id=owner, show_id=show_id, status=status, limit=limit, cursor=cursor
    )


@get(
    "/bookings/user/{user_id:str}",
    summary="List a user's bookings",
    description="Newest first. The same as `GET /api/bookings?user_id=…`.",
    operation_id="list_user_bookings",
    guards=[require_signed_in],
    responses={**_READING, **problems(Code.FORBIDDEN)},
)
async def list_of_user(
    request: ApiRequest,
    user_id: FromPath[str],
    *,
    show_id: OfShow = None,
    status: Annotated[BookingStatus | None, QueryParameter(description="Only those of this status.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BookingView]:
    """List a user's bookings."""
    owner = _whose(request.user, user_id)
    return await list_bookings(
        context_of(request), user_id=owner, show_id=show_id, status=status, limit=limit, cursor=cursor
    )


@get(
    "/bookings/{booking_id:str}",
    summary="Get a booking",
    description="As it is now. For its owner, admins and services; to others there is no such booking. One that was queued "
    "is PENDING (`queued`) until it is decided.",
    operation_id="get_booking",
    guards=[require_signed_in],
    responses=_READING,
)
async def booking(request: ApiRequest, booking_id: FromPath[str]) -> BookingView | QueuedView:
    """One booking."""
    return await look_up(context_of(request), booking_uuid(booking_id), _reader(request.user))


@get(
    "/bookings/{booking_id:str}/calendar.ics",
    summary="Get a booking for a calendar",
    description="The show, its place and time zone, and the seats, as iCalendar (RFC 5545). Got again when the booking has "
    "changed or was cancelled, it takes the place of what was imported before. For its owner, admins and services.",
    operation_id="get_booking_calendar",
    guards=[require_signed_in],
    media_type=calendars.MEDIA_TYPE,
    responses={
        200: ResponseSpec(
            str, description="The calendar.", media_type=calendars.MEDIA_TYPE, generate_examples=False
        ),
        **_READING,
    },
)
async def calendar(request: ApiRequest, booking_id: FromPath[str]) -> Response[bytes]:
    """One booking, for a calendar."""
    context = context_of(request)
    view = await find_booking(context, booking_uuid(booking_id))
    if not request.user.may_act_for(view.user_id):
        raise NotFound(f"booking {view.id}")
    body = calendars.calendar_of(view, await find_show(context, view.show_id))
    name = f"booking-{view.id}.ics"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=calendars.MEDIA_TYPE, headers=headers)


@post(
    "/bookings/{booking_id:str}/confirm",
    status_code=200,
    summary="Confirm a booking",
    description="PENDING becomes CONFIRMED; again gives the same answer. Too late is 409 `hold_expired`. Where the show "
    "says `confirm_by: service`, owners may not.",
    operation_id="confirm_booking",
    guards=[require_signed_in],
    responses={
        **_READING,
        **problems(Code.FORBIDDEN, Code.HOLD_EXPIRED, Code.WRONG_STATE, Code.SHOW_CANCELLED),
    },
)
async def confirm(request: ApiRequest, booking_id: FromPath[str]) -> BookingView:
    """Confirm a hold."""
    found = await _own(request, booking_id)
    return _settled(await confirm_booking(context_of(request), found, by=actor_of(request.user)))


@post(
    "/bookings/{booking_id:str}/cancel",
    status_code=200,
    summary="Cancel a booking",
    description="PENDING becomes FAILED (`released`), CONFIRMED becomes CANCELLED; the seats are free at once.",
    operation_id="cancel_booking",
    guards=[require_signed_in],
    responses={**_READING, **problems(Code.HOLD_EXPIRED, Code.WRONG_STATE)},
)
async def cancel(request: ApiRequest, booking_id: FromPath[str]) -> BookingView:
    """Give a booking back."""
    found = await _own(request, booking_id)
    return _settled(await cancel_booking(context_of(request), found, by=actor_of(request.user)))


def _settled(settled: Settled) -> BookingView:
    if settled.outcome in SUCCEEDED:
        return settled.booking
    detail = None
    if settled.outcome is Outcome.FORBIDDEN:
        detail = "Bookings of this show are confirmed by a service, as when a payment must come first."
    raise refusal(settled.outcome, booking=settled.booking, detail=detail)


async def _own(request: ApiRequest, booking_id: str) -> Booking:
    """The booking, if the caller may see it. To others it isn't there, so that ids tell nothing."""
    context, identifier = context_of(request), booking_uuid(booking_id)
    try:
        found = await owner_of(context, identifier)
    except NotFound:
        if isinstance(await look_up(context, identifier, _reader(request.user)), QueuedView):
            raise Problem(
                Code.WRONG_STATE, "The booking is still queued: wait until it is decided.", retry_after=1
            ) from None
        found = await owner_of(context, identifier)  # decided in between
    if not request.user.may_act_for(found.user_id):
        raise NotFound(f"booking {found.id}")
    return found


def _whose(caller: Caller, named: str | None) -> str | None:
    """Whose bookings to list; None for everybody's."""
    if named is not None:
        check_user_id(named)
    if caller.is_staff:
        return named
    if named is None or named == caller.user_id:
        return caller.user_id
    raise Problem(
        Code.FORBIDDEN,
        "A customer sees only its own bookings: leave out user_id, or name your own.",
        errors=[FieldError("user_id", "is not yours")],
    )


def _reader(caller: Caller) -> str | None:
    """Whose bookings a caller may read; None for everybody's."""
    return None if caller.is_staff else caller.user_id or ""


def prefers_async(request: ApiRequest) -> bool:
    """Whether the caller would rather not wait (RFC 7240). Other preferences are not known here, and so ignored."""
    return any(
        preference.split(b";")[0].strip().lower() == RESPOND_ASYNC.encode()
        for name, value in request.scope["headers"]
        if name == b"prefer"
        for preference in value.split(b",")
    )


def actor_of(caller: Caller) -> Actor:
    """On whose behalf a caller acts."""
    return Actor.STAFF if caller.is_staff else Actor.OWNER


def idempotency_key_of(request: ApiRequest) -> str | None:
    """The request's Idempotency-Key, if it has one. Raises a `Problem` for one that can't be."""
    return idempotency_key_in(request.scope["headers"])


def idempotency_key_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The same, of headers."""
    key: bytes | None = None
    for name, value in headers:
        if name == b"idempotency-key":
            if key is not None or not _KEY.fullmatch(value):
                raise invalid("Idempotency-Key", "must be one header of 1 to 255 printable ASCII characters")
            key = value
    return None if key is None else key.decode()


def bookings_router(limit: Sequence[Middleware]) -> Router:
    """The routes about bookings. `limit`: what goes before a request to book."""
    create_routes: list[Any] = [create, create_at_show]
    return Router(
        "/api",
        route_handlers=[
            Router("/", route_handlers=create_routes, middleware=limit, before_request=_before_booking),
            box_office.search,
            list_,
            list_of_user,
            booking,
            calendar,
            confirm,
            cancel,
        ],
        before_request=check_query,
        cache_control=CacheControlHeader(no_store=True),
        tags=["Bookings"],
    )
