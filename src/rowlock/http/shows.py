"""Shows over HTTP: what is on, what seats there are, and what admins do about them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import MediaType, Request, Response, Router, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, JSONBody, QueryParameter

from rowlock.domain.layout_public import PublicLayout
from rowlock.domain.layout_spec import PRICE_CENTS_MAX
from rowlock.domain.outcomes import Outcome
from rowlock.http.caching import caches_of, changing_lists, layout_answer, letters_answer, seat_list_answer
from rowlock.http.documentation import ConditionalOperation, problems
from rowlock.http.identifiers import show_number
from rowlock.http.identity import Caller, require_admin
from rowlock.http.live import live
from rowlock.http.problems import Code, invalid
from rowlock.http.reading import A_TIME_IN_QUERY, check_query
from rowlock.http.refusals import SUCCEEDED, refusal
from rowlock.http.trails import trail_of
from rowlock.http.wire import NewShowBody, SeatsBody, ShowChangeBody, check_text, to_utc
from rowlock.operations.block_seats import block_seats
from rowlock.operations.cancel_show import cancel_show
from rowlock.operations.change_show import change_show
from rowlock.operations.context import Context
from rowlock.operations.create_show import create_show
from rowlock.operations.find_shows import find_show, list_shows
from rowlock.operations.seats import AvailabilityView, SeatsView
from rowlock.operations.views import Page, ShowKind, ShowStatus, ShowView

ApiRequest = Request[Caller, Any, Any]
Limit = Annotated[int, QueryParameter(description="At most so many, 1 to 200.", ge=1, le=200)]
Cursor = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=500)
]

_ADMIN = problems(Code.UNAUTHENTICATED, Code.FORBIDDEN)
_BLOCKING = {**_ADMIN, **problems(Code.NOT_FOUND, Code.SEATS_TAKEN, Code.WRONG_STATE, Code.SHOW_CANCELLED)}


def context_of(request: Request[Any, Any, Any]) -> Context:
    """What the operations work with; the composition root put it there."""
    context: Context = request.app.state.context
    return context


@get(
    "/",
    summary="List shows",
    description="Soonest first, from now on unless `starts_after` says else. Counts may be a second old.",
    operation_id="list_shows",
)
async def list_(
    request: ApiRequest,
    *,
    kind: Annotated[ShowKind | None, QueryParameter(description="Only shows, or only trips.")] = None,
    q: Annotated[
        str | None,
        QueryParameter(description="Part of a name, venue, origin or destination.", max_length=200),
    ] = None,
    status: Annotated[ShowStatus | None, QueryParameter(description="Only those of this status.")] = None,
    starts_after: Annotated[
        datetime | None,
        QueryParameter(
            description="Only those that start after this; earlier ones too, if it lies in the past."
        ),
    ] = None,
    starts_before: Annotated[
        datetime | None, QueryParameter(description="Only those that start before this.")
    ] = None,
    price_cents_max: Annotated[
        int | None,
        QueryParameter(
            description="Only those whose cheapest category costs at most this, in the show's own currency.",
            ge=0,
            le=PRICE_CENTS_MAX,
        ),
    ] = None,
    seats_left: Annotated[
        bool | None,
        QueryParameter(description="Only those that have seats to be had, or only those that have none."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response[Page[ShowView]]:
    """List shows."""
    text = check_text("q", q) if q else None
    after = _instant("starts_after", starts_after) if starts_after else None
    before = _instant("starts_before", starts_before) if starts_before else None

    async def load() -> bytes:
        page = await list_shows(
            context_of(request),
            kind=kind,
            text=text,
            status=status,
            starts_after=after,
            starts_before=before,
            price_cents_max=price_cents_max,
            seats_left=seats_left,
            limit=limit,
            cursor=cursor,
        )
        return msgspec.json.encode(page)

    asked = (kind, text, status, after, before, price_cents_max, seats_left, limit, cursor)
    body: Any = await caches_of(request).lists.get(asked, load)
    return Response(body, media_type=MediaType.JSON)


def _instant(field: str, time: datetime) -> datetime:
    """A time in a query; Litestar lets one without an offset through."""
    if time.tzinfo is None:
        raise invalid(field, A_TIME_IN_QUERY)
    return to_utc(field, time)


@post(
    "/",
    summary="Create a show",
    description="`name`, `start_time` and one of `total_seats`, `layout` and `layout_of` are enough. For admins.",
    operation_id="create_show",
    guards=[require_admin],
    responses={**_ADMIN, **problems(Code.WRONG_STATE)},
)
async def create(
    request: ApiRequest,
    data: JSONBody[NewShowBody],
) -> Response[ShowView]:
    """Create a show."""
    new = data.to_new_show(datetime.now(UTC))
    with changing_lists(request):
        show = await create_show(context_of(request), new, trail=trail_of(request))
    return Response(show, status_code=201, headers={"Location": f"/api/shows/{show.id}"})


@get("/{show_id:str}", summary="Get a show", description="A show with its counts.", operation_id="get_show")
async def show(request: ApiRequest, show_id: FromPath[str]) -> ShowView:
    """One show."""
    return await find_show(context_of(request), show_number(show_id))


@patch(
    "/{show_id:str}",
    summary="Change a show",
    description="What is left out stays. Seats, categories and prices never change. For admins.",
    operation_id="change_show",
    guards=[require_admin],
    responses=_ADMIN,
)
async def change(
    request: ApiRequest,
    show_id: FromPath[str],
    data: JSONBody[ShowChangeBody],
) -> ShowView:
    """Change a show."""
    wanted = data.to_change(datetime.now(UTC))
    with changing_lists(request):
        return await change_show(context_of(request), show_number(show_id), wanted, trail=trail_of(request))


@post(
    "/{show_id:str}/cancel",
    status_code=200,
    summary="Cancel a show",
    description="Nothing more is sold. CONFIRMED bookings become CANCELLED, PENDING ones FAILED, for the reason "
    "`show_cancelled`. Again does no harm. For admins.",
    operation_id="cancel_show",
    guards=[require_admin],
    responses=_ADMIN,
)
async def cancel(request: ApiRequest, show_id: FromPath[str]) -> ShowView:
    """Cancel a show."""
    with changing_lists(request):
        return await cancel_show(context_of(request), show_number(show_id), trail=trail_of(request))


@post(
    "/{show_id:str}/block",
    status_code=200,
    summary="Take seats off sale",
    description="All or none; seats that are off sale already stay so. For admins.",
    operation_id="block_seats",
    guards=[require_admin],
    responses=_BLOCKING,
)
async def block(
    request: ApiRequest,
    show_id: FromPath[str],
    data: JSONBody[SeatsBody],
) -> ShowView:
    """Take seats off sale."""
    return await _set_aside(request, show_id, data, blocked=True)


@post(
    "/{show_id:str}/unblock",
    status_code=200,
    summary="Put seats back on sale",
    description="All or none; seats that are on sale already stay so. For admins.",
    operation_id="unblock_seats",
    guards=[require_admin],
    responses=_BLOCKING,
)
async def unblock(
    request: ApiRequest,
    show_id: FromPath[str],
    data: JSONBody[SeatsBody],
) -> ShowView:
    """Put seats back on sale."""
    return await _set_aside(request, show_id, data, blocked=False)


async def _set_aside(request: ApiRequest, show_id: str, data: SeatsBody, *, blocked: bool) -> ShowView:
    with changing_lists(request):
        outcome, view, conflicts = await block_seats(
            context_of(request),
            show_number(show_id),
            data.labels(),
            blocked=blocked,
            trail=trail_of(request),
        )
    if outcome not in SUCCEEDED:
        detail = {
            Outcome.SEATS_TAKEN: "Seats that are held or booked can't be taken off sale; nothing was changed.",
            Outcome.WRONG_STATE: "Seats that are held or booked can't be put back on sale; nothing was changed.",
        }.get(outcome)
        raise refusal(outcome, conflicts=conflicts, detail=detail)
    return view


@get(
    "/{show_id:str}/layout",
    summary="Get a show's layout",
    description="Sections, rows, seats and categories, every seat spelled out. It never changes: keep it, and send the "
    "ETag back as `If-None-Match`, in case the address has another database.",
    operation_id="get_layout",
    operation_class=ConditionalOperation,
)
async def layout(request: ApiRequest, show_id: FromPath[str]) -> Response[PublicLayout]:
    """The layout."""
    return await layout_answer(request, context_of(request), show_number(show_id))


@get(
    "/{show_id:str}/seats",
    name="show_seats",
    summary="List a show's seats",
    description="Every seat with its place, price and status. Send the ETag back as `If-None-Match` to be told 304 "
    "while nothing has changed.",
    operation_id="list_seats",
    operation_class=ConditionalOperation,
)
async def seat_list(request: ApiRequest, show_id: FromPath[str]) -> Response[SeatsView]:
    """All seats, as a list."""
    return await seat_list_answer(request, context_of(request), show_number(show_id))


@get(
    "/{show_id:str}/availability",
    summary="Get a show's seat map",
    description="One letter a seat in layout order: `A`vailable, `R`eserved, `B`ooked, `X` for blocked. Send the ETag "
    "back as `If-None-Match` to be told 304 while nothing has changed.",
    operation_id="get_availability",
    operation_class=ConditionalOperation,
)
async def seat_map(request: ApiRequest, show_id: FromPath[str]) -> Response[AvailabilityView]:
    """All seats, as letters."""
    return await letters_answer(request, context_of(request), show_number(show_id))


def shows_router() -> Router:
    """The routes under `/api/shows`."""
    return Router(
        "/api/shows",
        route_handlers=[
            Router(
                "/",
                route_handlers=[list_, create, show, change, cancel, block, unblock],
                cache_control=CacheControlHeader(no_cache=True),  # counts change with every booking
            ),
            layout,  # these say for themselves how long they may be kept
            seat_list,
            seat_map,
            live,
        ],
        before_request=check_query,
        tags=["Shows"],
    )
