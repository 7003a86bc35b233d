"""The box office: how a show sells, who has which seats, and all of it as a table to take along."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from io import StringIO
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from rowlock.domain.lifecycles import BookingStatus
from rowlock.http.caching import Lists
from rowlock.http.documentation import problems
from rowlock.http.identifiers import show_number
from rowlock.http.identity import Caller, require_admin, require_staff
from rowlock.http.observing import asks_for_headers_only
from rowlock.http.problems import Code, invalid
from rowlock.http.reading import check_query
from rowlock.http.shows import Cursor, Limit, context_of
from rowlock.http.wire import check_text
from rowlock.operations.search_bookings import all_bookings, found_bookings, search_bookings, seat_number
from rowlock.operations.seats import plan_of
from rowlock.operations.statistics import INTERVALS_SECONDS, StatisticsView, statistics
from rowlock.operations.views import BookingView, Page

ApiRequest = Request[Caller, Any, Any]
OfStatus = Annotated[BookingStatus | None, QueryParameter(description="Only those of this status.")]

# Counting goes through all of a show's bookings, some 600 ms for half a million on two busy cores. So that a hundred open box offices, each
# asking every few seconds, cost no more than one, an answer is kept for so long.
STATISTICS_SECONDS = 5.0
SEARCH_CHARS_MAX = 254  # the longest e-mail address
WithText = Annotated[
    str | None,
    QueryParameter(
        description="Part of a customer's name, e-mail address or user id, in any case; or a booking's whole id.",
        max_length=SEARCH_CHARS_MAX,
    ),
]
OfSeat = Annotated[
    str | None,
    QueryParameter(description="The booking that has the seat of this label now.", max_length=64),
]

CSV = "text/csv"
COLUMNS = (
    "id", "status", "reason", "user_id", "customer_name", "email", "seats", "seat_count", "amount_cents", "currency",
    "created_at", "expires_at", "settled_at",
)  # fmt: skip
_BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

_STAFF = problems(Code.UNAUTHENTICATED, Code.FORBIDDEN)


@get(
    "/{show_id:str}/statistics",
    summary="How a show sells",
    description="Seats and revenue by category; bookings by status, by the reason they ended for, and over time. Counted "
    f"anew every {STATISTICS_SECONDS:.0f} seconds at most. For admins.",
    operation_id="get_statistics",
    guards=[require_admin],
    responses=_STAFF,
)
async def show_statistics(
    request: ApiRequest,
    show_id: FromPath[str],
    *,
    interval_seconds: Annotated[
        int | None,
        QueryParameter(
            description="How long an interval of the timeline is, one of "
            f"{', '.join(map(str, INTERVALS_SECONDS))}; a longer one is taken where there would be too many. Left out: as "
            "fine as there is room for.",
        ),
    ] = None,
) -> Response[StatisticsView]:
    """How a show sells."""
    if interval_seconds is not None and interval_seconds not in INTERVALS_SECONDS:
        raise invalid("interval_seconds", f"must be one of {', '.join(map(str, INTERVALS_SECONDS))}")
    number = show_number(show_id)

    async def load() -> bytes:
        return msgspec.json.encode(await statistics(context_of(request), number, interval_seconds))

    kept: Lists = request.app.state.statistics
    body: Any = await kept.get((number, interval_seconds), load)
    return Response(body, media_type=MediaType.JSON)


@get(
    "/shows/{show_id:str}/bookings",
    summary="Search a show's bookings",
    description="Newest first. A search looks through some thousand bookings a call: a page may be short, or even empty, "
    "and still have a `next_cursor` to go on with. For admins and services.",
    operation_id="search_bookings",
    guards=[require_staff],
    responses=_STAFF,
)
async def search(
    request: ApiRequest,
    show_id: FromPath[str],
    *,
    q: WithText = None,
    seat: OfSeat = None,
    status: OfStatus = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[BookingView]:
    """Search a show's bookings."""
    return await search_bookings(
        context_of(request),
        show_number(show_id),
        text=check_text("q", q) if q else None,
        seat=check_text("seat", seat) if seat else None,
        status=status,
        limit=limit,
        cursor=cursor,
    )


@get(
    "/{show_id:str}/bookings.csv",
    summary="Export a show's bookings",
    description="All of them, or all that a search finds, newest first, as CSV (RFC 4180, in UTF-8 with a byte order mark), sent as they are read. A "
    "text that a spreadsheet would take for a formula begins with an apostrophe. For admins and services.",
    operation_id="export_bookings",
    guards=[require_staff],
    media_type=CSV,
    responses={
        200: ResponseSpec(str, description="The table.", media_type=CSV, generate_examples=False),
        **_STAFF,
    },
)
async def export(
    request: ApiRequest,
    show_id: FromPath[str],
    *,
    q: WithText = None,
    seat: OfSeat = None,
    status: OfStatus = None,
) -> Stream:
    """Export a show's bookings."""
    number = show_number(show_id)
    context = context_of(request)
    text = check_text("q", q) if q else None
    label = check_text("seat", seat) if seat else None
    # What isn't there is told before the answer begins.
    await plan_of(context, number)
    if label is not None:
        await seat_number(context, number, label)
    if text is None and label is None:
        bookings = all_bookings(context, number, status=status)
    else:
        bookings = found_bookings(context, number, text=text, seat=label, status=status)
    parts = as_csv(bookings)
    name = f"bookings-of-show-{number}.csv"
    return Stream(
        _head(parts) if asks_for_headers_only(request.scope) else parts,
        media_type=CSV,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _head(parts: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """Only what is there without reading any booking: the body isn't sent."""
    async with aclosing(parts):
        yield await anext(parts)


async def as_csv(parts: AsyncIterator[list[BookingView]]) -> AsyncGenerator[bytes]:
    """Bookings as CSV, part by part."""
    yield _rows([COLUMNS], begin=_BYTE_ORDER_MARK)
    async for part in parts:
        if part:
            yield _rows([_row(booking) for booking in part])


def _rows(rows: list[Any], begin: str = "") -> bytes:
    text = StringIO(begin)
    text.seek(0, 2)
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _row(booking: BookingView) -> list[str | int]:
    times = (booking.created_at, booking.expires_at, booking.settled_at)
    return [
        str(booking.id),
        booking.status.value,
        booking.reason.value if booking.reason is not None else "",
        guarded(booking.user_id),
        guarded(booking.customer_name or ""),
        guarded(booking.email or ""),
        guarded(" ".join(booking.seats)),
        booking.seat_count,
        booking.amount_cents,
        booking.currency,
        *(time.isoformat() if time is not None else "" for time in times),
    ]


def guarded(text: str) -> str:
    """A text that no spreadsheet runs: what a customer calls itself is read by the box office's computer."""
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def box_office_router() -> Router:
    """The box office's routes under `/api/shows`; `search` shares its address with booking, and is among those."""
    return Router(
        "/api/shows",
        route_handlers=[show_statistics, export],
        before_request=check_query,
        cache_control=CacheControlHeader(no_store=True),
        tags=["Box office"],
    )
