"""Webhooks over HTTP: who is told of events, and the log of what was delivered. For admins."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath, JSONBody, QueryParameter

from rowlock.http.documentation import problems
from rowlock.http.identifiers import webhook_number
from rowlock.http.identity import Caller, require_admin
from rowlock.http.problems import Code
from rowlock.http.reading import check_query
from rowlock.http.shows import Cursor, Limit, context_of
from rowlock.http.trails import trail_of
from rowlock.http.wire import WebhookBody, WebhookChangeBody
from rowlock.operations.views import Page
from rowlock.operations.webhooks import (
    DeliveryStatus,
    DeliveryView,
    WebhookView,
    change_webhook,
    create_webhook,
    delete_webhook,
    find_webhook,
    list_deliveries,
    list_webhooks,
    redeliver,
)

ApiRequest = Request[Caller, Any, Any]
_ADMIN = problems(Code.UNAUTHENTICATED, Code.FORBIDDEN)


@post(
    "/",
    summary="Create a webhook",
    description="It is told of what happens from now on: each event is POSTed to `url` as CloudEvents 1.0 JSON, signed as "
    "Standard Webhooks says, in order for each show, at least once. The answer shows `secret`, and nothing does later.",
    operation_id="create_webhook",
    responses=_ADMIN,
)
async def create(request: ApiRequest, data: JSONBody[WebhookBody]) -> Response[WebhookView]:
    """Create a webhook."""
    webhook = await create_webhook(
        context_of(request),
        data.url,
        data.types,
        description=data.description,
        secret=data.secret,
        trail=trail_of(request),
    )
    return Response(webhook, status_code=201, headers={"Location": f"/api/webhooks/{webhook.id}"})


@get(
    "/",
    summary="List webhooks",
    description="The oldest first. `notice` says why one was switched off.",
    operation_id="list_webhooks",
    responses=_ADMIN,
)
async def list_(request: ApiRequest, *, limit: Limit = 50, cursor: Cursor = None) -> Page[WebhookView]:
    """List webhooks."""
    return await list_webhooks(context_of(request), limit=limit, cursor=cursor)


@get(
    "/{webhook_id:str}",
    summary="Get a webhook",
    description="All but its secret.",
    operation_id="get_webhook",
    responses=_ADMIN,
)
async def webhook(request: ApiRequest, webhook_id: FromPath[str]) -> WebhookView:
    """One webhook."""
    return await find_webhook(context_of(request), webhook_number(webhook_id))


@patch(
    "/{webhook_id:str}",
    summary="Change a webhook",
    description="What is left out stays. With `active: true` it is switched on again, its notice is cleared, and what "
    "waits for it is due; what happened while it was off is not told.",
    operation_id="change_webhook",
    responses=_ADMIN,
)
async def change(
    request: ApiRequest, webhook_id: FromPath[str], data: JSONBody[WebhookChangeBody]
) -> WebhookView:
    """Change a webhook."""
    return await change_webhook(
        context_of(request), webhook_number(webhook_id), data.to_change(), trail=trail_of(request)
    )


@delete(
    "/{webhook_id:str}",
    status_code=204,
    summary="Delete a webhook",
    description="Nothing more is sent to it. Its log goes, too.",
    operation_id="delete_webhook",
    responses=_ADMIN,
)
async def remove(request: ApiRequest, webhook_id: FromPath[str]) -> None:
    """Delete a webhook."""
    await delete_webhook(context_of(request), webhook_number(webhook_id), trail=trail_of(request))


@get(
    "/{webhook_id:str}/deliveries",
    summary="List a webhook's deliveries",
    description="The log, newest first: each event once, with what came of the last attempt.",
    operation_id="list_deliveries",
    responses=_ADMIN,
)
async def deliveries(
    request: ApiRequest,
    webhook_id: FromPath[str],
    *,
    status: Annotated[DeliveryStatus | None, QueryParameter(description="Only those of this status.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeliveryView]:
    """The delivery log."""
    return await list_deliveries(
        context_of(request), webhook_number(webhook_id), status=status, limit=limit, cursor=cursor
    )


@post(
    "/{webhook_id:str}/deliveries/{event_id:str}/redeliver",
    status_code=202,
    summary="Redeliver an event",
    description="Sends it once more, with the same id, whatever became of it before; the log tells what came of that. "
    "One that waits to be tried again is tried now.",
    operation_id="redeliver_event",
    responses=_ADMIN,
)
async def once_more(request: ApiRequest, webhook_id: FromPath[str], event_id: FromPath[str]) -> DeliveryView:
    """Send an event again."""
    return await redeliver(context_of(request), webhook_number(webhook_id), event_id, trail=trail_of(request))


def webhooks_router() -> Router:
    """The routes under `/api/webhooks`."""
    return Router(
        "/api/webhooks",
        route_handlers=[create, list_, webhook, change, remove, deliveries, once_more],
        guards=[require_admin],
        cache_control=CacheControlHeader(no_store=True),
        before_request=check_query,
        tags=["Webhooks"],
    )
