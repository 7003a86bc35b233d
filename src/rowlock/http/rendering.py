"""Rendering: everything that goes wrong, however deep, leaves as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import asyncpg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap
from msgspec import UNSET, Meta, Struct, UnsetType

from rowlock.domain.layout_spec import LayoutError
from rowlock.engine.engine import Busy, OutcomeUnknown
from rowlock.http.observing import allow_header, request_id_of
from rowlock.http.problems import Code, FieldError, Problem, invalid
from rowlock.http.reading import ClientGoneError, bad_parameters
from rowlock.operations.errors import Invalid, NotFound, ShowIdTaken
from rowlock.operations.views import BookingView
from rowlock.postgres.errors import Trouble, diagnose

log = structlog.get_logger(__name__)

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 1
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

TITLES: dict[Code, str] = {
    Code.INVALID_REQUEST: "The request is not valid",
    Code.UNAUTHENTICATED: "Nobody is signed in",
    Code.FORBIDDEN: "Not allowed",
    Code.NOT_FOUND: "Not found",
    Code.METHOD_NOT_ALLOWED: "Method not allowed",
    Code.SEATS_TAKEN: "Seats taken",
    Code.NOT_ENOUGH_SEATS: "Not enough seats",
    Code.HOLD_EXPIRED: "The hold has expired",
    Code.WRONG_STATE: "Not in this state",
    Code.SHOW_CANCELLED: "The show is cancelled",
    Code.NOT_ON_SALE: "Not on sale",
    Code.DROPPED: "The request was given up",
    Code.BODY_TOO_LARGE: "The body is too large",
    Code.UNSUPPORTED_MEDIA_TYPE: "Unsupported media type",
    Code.TOO_MANY_SEATS: "Too many seats",
    Code.TOO_MANY_HOLDS: "Too many holds",
    Code.IDEMPOTENCY_KEY_REUSED: "Idempotency key reused",
    Code.RATE_LIMITED: "Too many requests",
    Code.INTERNAL_ERROR: "Something went wrong here",
    Code.BUSY: "Busy",
}


class ProblemBody(Struct, frozen=True):
    """What went wrong (RFC 9457). `code` is for programs, `detail` for people."""

    type: Annotated[
        str, Meta(description="The kind of problem, as a URI.", examples=["urn:rowlock:problem:seats_taken"])
    ]
    title: Annotated[str, Meta(description="The kind of problem, in words.", examples=["Seats taken"])]
    status: Annotated[int, Meta(description="The HTTP status.", examples=[409])]
    detail: Annotated[
        str,
        Meta(description="What went wrong this time.", examples=["Seat A-12 is taken; nothing was booked."]),
    ]
    code: Annotated[Code, Meta(description="The kind of problem, for programs.", examples=["seats_taken"])]
    errors: Annotated[
        list[FieldError] | UnsetType, Meta(description="The fields of the request that are at fault.")
    ] = UNSET
    conflicts: Annotated[
        list[str] | UnsetType, Meta(description="The seats that stood in the way.", examples=[["A-12"]])
    ] = UNSET
    booking: Annotated[
        BookingView | UnsetType, Meta(description="The booking this is about, as it is now.")
    ] = UNSET
    on_sale_at: Annotated[
        datetime | UnsetType, Meta(description="When the sale begins.", examples=["2029-12-01T09:00:00Z"])
    ] = UNSET
    retry_after: Annotated[
        int | UnsetType,
        Meta(description="Seconds after which to ask again, as in `Retry-After`.", examples=[1]),
    ] = UNSET
    request_id: Annotated[
        str | UnsetType, Meta(description="What to name when asking for help.", examples=["5f0c2a9d4be1"])
    ] = UNSET


def body_of(problem: Problem) -> ProblemBody:
    """What a refusal says."""
    return ProblemBody(
        type=f"urn:rowlock:problem:{problem.code}",
        title=TITLES[problem.code],
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        errors=list(problem.errors) or UNSET,
        **problem.extra,
    )


def headers_of(problem: Problem) -> dict[str, str]:
    """The headers of a refusal, with `Retry-After` where one should come again."""
    headers = dict(problem.headers)
    retry_after = problem.extra.get("retry_after")
    if retry_after is not None:
        headers.setdefault("Retry-After", str(retry_after))
    headers.setdefault("Cache-Control", "no-store")
    return headers


def render_problem(_: Request[Any, Any, Any], problem: Problem) -> Response[ProblemBody]:
    """A refusal as Litestar's answer."""
    return Response(
        body_of(problem),
        status_code=problem.status,
        headers=headers_of(problem),
        media_type=PROBLEM_JSON,
    )


def problem_of(error: Exception, scope: Mapping[str, Any]) -> Problem:
    """What is said of an error, whatever it is. `scope`: the request's, with its method and id."""
    match error:
        case Problem():
            return error
        case Invalid() | LayoutError():
            return invalid(error.field, error.message)
        case NotFound():
            errors = [FieldError(error.field, f"there is no {error.what}")] if error.field else []
            return Problem(Code.NOT_FOUND, str(error), errors=errors)
        case ShowIdTaken():
            errors = [FieldError("id", "is taken")]
            return Problem(Code.WRONG_STATE, f"{_sentence(str(error))}.", errors=errors)
        case Busy():
            return _busy(error)
        case ClientGoneError():  # nobody will read this
            return invalid("body", "ended too early")
        case _:
            return _unforeseen(error, scope)


def _render(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemBody]:
    return render_problem(request, problem_of(error, request.scope))


def _busy(error: Busy) -> Problem:
    detail = f"{_sentence(str(error))}."
    if isinstance(error, OutcomeUnknown):
        detail = (
            "The database's answer was lost: this was done, or it was not. Ask again with the same Idempotency-Key, "
            "or look the booking up."
        )
        log.warning("outcome_unknown")
    return Problem(Code.BUSY, detail, retry_after=max(1, int(error.retry_after_seconds)))


def _litestar(request: Request[Any, Any, Any], error: HTTPException) -> Response[ProblemBody]:
    """Litestar's own refusals."""
    if isinstance(error, ValidationException):
        return render_problem(request, bad_parameters(request, error))
    headers = _canonical(error.headers)
    match error.status_code:
        case 401:
            problem = Problem(Code.UNAUTHENTICATED, "Sign in first, or send a bearer token.")
        case 403:
            problem = Problem(Code.FORBIDDEN, "This is not allowed.")
        case 404:
            problem = Problem(Code.NOT_FOUND, f"There is nothing at {request.scope['path'][:200]}.")
        case 405:
            allow = allow_header(headers.get("Allow", "OPTIONS").split(", ")).decode()
            detail = f"This address takes {allow}."
            problem = Problem(Code.METHOD_NOT_ALLOWED, detail, headers={"Allow": allow})
        case 413:
            problem = Problem(Code.BODY_TOO_LARGE, "The body is too large.", headers={"Connection": "close"})
        case 415:
            problem = Problem(Code.UNSUPPORTED_MEDIA_TYPE, "Send JSON.")
        case 429:
            wait = headers.pop("RateLimit-Reset", "")
            seconds = max(1, int(wait)) if wait.isdigit() else 60
            detail = f"Too many requests; ask again in {seconds} s."
            problem = Problem(Code.RATE_LIMITED, detail, headers=headers, retry_after=seconds)
        case status if status < 500:
            problem = Problem(Code.INVALID_REQUEST, f"{error.detail.rstrip('.')[:200]}.")
        case _:
            return _render(request, error)
    return render_problem(request, problem)


def _unforeseen(error: Exception, scope: Mapping[str, Any]) -> Problem:
    """The database is away, memory is short, or there is a bug."""
    detail = None
    if isinstance(error, MemoryError):
        log.error("out_of_memory")
        detail = "The server is short of memory."
    elif isinstance(error, _DATABASE_ERRORS) and (trouble := diagnose(error)) is not Trouble.OURS:
        log.warning("database_unavailable", trouble=trouble.value, error=repr(error))
        detail = "The database does not answer at the moment."
    if detail is not None:
        if scope["method"] not in _SAFE_METHODS:
            detail += " This was done, or it was not: look before you ask again."
        return Problem(Code.BUSY, detail, retry_after=RETRY_SECONDS)
    log.error("request_failed", exc_info=error)
    request_id = request_id_of(scope)
    detail = f"Something went wrong here; it is logged as request {request_id}."
    return Problem(Code.INTERNAL_ERROR, detail, request_id=request_id)


def _canonical(headers: Mapping[str, str] | None) -> dict[str, str]:
    names = {"allow": "Allow", "ratelimit-reset": "RateLimit-Reset"}
    return {names.get(name.lower(), name): str(value) for name, value in (headers or {}).items()}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    Problem: render_problem,
    HTTPException: _litestar,
    Exception: _render,
}
