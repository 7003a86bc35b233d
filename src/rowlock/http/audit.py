"""The audit trail over HTTP: who did what to which booking, block, show or webhook, from where. For admins."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.params import QueryParameter

from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.http.documentation import problems
from rowlock.http.identifiers import booking_uuid
from rowlock.http.identity import Caller, require_admin
from rowlock.http.problems import Code, invalid
from rowlock.http.reading import check_query
from rowlock.http.shows import Cursor, Limit, context_of
from rowlock.http.wire import check_user_id
from rowlock.operations.errors import NotFound
from rowlock.operations.find_audit import AuditView, list_audit
from rowlock.operations.views import Page


@get(
    "/",
    summary="List what was done",
    description="The audit trail, newest first: each booking and attempt, and each change by hand to a booking, seats, a "
    "show or a webhook, with who did it, in which role, from which address and in which request. For admins.",
    operation_id="list_audit",
    guards=[require_admin],
    responses=problems(Code.UNAUTHENTICATED, Code.FORBIDDEN),
)
async def list_(
    request: Request[Caller, Any, Any],
    *,
    user_id: Annotated[
        str | None, QueryParameter(description="What this user did, and bookings made for it.")
    ] = None,
    show_id: Annotated[
        int | None, QueryParameter(description="Only what was done to this show.", ge=1, le=SHOW_ID_MAX)
    ] = None,
    booking_id: Annotated[
        str | None, QueryParameter(description="Only what was done to this booking.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditView]:
    """The audit trail."""
    if user_id is not None:
        check_user_id(user_id)
    return await list_audit(
        context_of(request),
        user_id=user_id,
        show_id=show_id,
        booking_id=None if booking_id is None else _booking(booking_id),
        limit=limit,
        cursor=cursor,
    )


def _booking(text: str) -> UUID:
    try:
        return booking_uuid(text)
    except NotFound:
        raise invalid("booking_id", "must be a booking's id") from None


def audit_router() -> Router:
    """The route under `/api/audit`."""
    return Router(
        "/api/audit",
        route_handlers=[list_],
        cache_control=CacheControlHeader(no_store=True),
        before_request=check_query,
        tags=["Audit"],
    )
