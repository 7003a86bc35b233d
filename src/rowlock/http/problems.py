"""Problems: every refusal that leaves this server over HTTP (RFC 9457).

A handler raises `Problem`; one exception handler renders it as `application/problem+json`. The codes are the
contract (docs/api.md); a code has one status, and says by `retry` whether asking again can help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec


class Code(StrEnum):
    """What went wrong, by a name that programs can rely on."""

    INVALID_REQUEST = "invalid_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SEATS_TAKEN = "seats_taken"
    NOT_ENOUGH_SEATS = "not_enough_seats"
    HOLD_EXPIRED = "hold_expired"
    WRONG_STATE = "wrong_state"
    SHOW_CANCELLED = "show_cancelled"
    NOT_ON_SALE = "not_on_sale"
    DROPPED = "dropped"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY_SEATS = "too_many_seats"
    TOO_MANY_HOLDS = "too_many_holds"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    RATE_LIMITED = "rate_limited"
    INTERNAL_ERROR = "internal_error"
    BUSY = "busy"


STATUS: dict[Code, int] = {
    Code.INVALID_REQUEST: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.SEATS_TAKEN: 409,
    Code.NOT_ENOUGH_SEATS: 409,
    Code.HOLD_EXPIRED: 409,
    Code.WRONG_STATE: 409,
    Code.SHOW_CANCELLED: 409,
    Code.NOT_ON_SALE: 409,
    Code.DROPPED: 409,
    Code.BODY_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.TOO_MANY_HOLDS: 409,
    Code.TOO_MANY_SEATS: 422,
    Code.IDEMPOTENCY_KEY_REUSED: 422,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL_ERROR: 500,
    Code.BUSY: 503,
}


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one field of a request; `field` is a path such as `seats[2]`."""

    field: str
    message: str


class Problem(Exception):  # noqa: N818 (RFC 9457's own word)
    """A refusal, to be rendered as `application/problem+json`.

    `detail` is one plain sentence for a person. `errors` names the fields at fault. `extra` holds what helps
    beside: `conflicts`, `booking`, `retry_after`.
    """

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = STATUS[code]
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = extra


def invalid(field: str, message: str) -> Problem:
    """A 400 that names the one field at fault."""
    return Problem(Code.INVALID_REQUEST, f"{field}: {message}", errors=[FieldError(field, message)])
