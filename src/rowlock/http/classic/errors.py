"""Errors as the predecessors told them: `{"error": "…"}`, with the status codes that their clients know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import MediaType, Request, Response
from litestar.types import ExceptionHandlersMap

from rowlock.http.classic.shapes import ClassicError

BASE = "/classic"
STATUSES = {  # what their servers, and Express below them, answered in these cases
    405: 404,
    415: 400,
    422: 400,
}

Handler = Callable[[Request[Any, Any, Any], Exception], Response[Any]]


def in_their_words(handlers: ExceptionHandlersMap) -> ExceptionHandlersMap:
    """The same handlers; below /classic they tell the same refusals as the predecessors did.

    This is for the whole application, not for the routes alone: an unknown address or a bad token has no route.
    """
    return {kind: _translated(handler) for kind, handler in handlers.items()}


def is_classic(path: str) -> bool:
    """Whether an address is one of the predecessors'."""
    return path == BASE or path.startswith(f"{BASE}/")


def _translated(handler: Any) -> Handler:
    def translated(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        response: Response[Any] = handler(request, error)
        if not is_classic(request.scope["path"]):
            return response
        status = response.status_code or 500
        return Response(
            ClassicError(response.content.detail),
            status_code=STATUSES.get(status, status),
            headers=response.headers,
            media_type=MediaType.JSON,
        )

    return translated
