"""A small application around the sign-in, with the plainest rendering of `Problem`, for the tests of this folder."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.middleware import DefineMiddleware
from litestar.params import FromQuery

from rowlock.http.identity import (
    AuthConfig,
    Authenticator,
    Caller,
    IdentityMiddleware,
    require_admin,
    require_signed_in,
    require_staff,
)
from rowlock.http.problems import Problem
from rowlock.http.sessions import session_router
from rowlock.http.tokens import mint

SECRET = "a secret key of the tests, 32 bytes or more"
OTHER_SECRET = "another secret key, just as long as it must be"


def config(**changes: Any) -> AuthConfig:
    """The settings of most tests, with changes."""
    return AuthConfig(**{"secret_keys": (SECRET,), **changes})


def token(role: str = "customer", user_id: str = "u-1", **changes: Any) -> str:
    """A good token of ours."""
    return mint(
        changes.pop("key", SECRET), user_id=user_id, role=role, hours=changes.pop("hours", 1), **changes
    )


def bearer(value: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {value}"}


def render(_: Request[Any, Any, Any], problem: Problem) -> Response[dict[str, Any]]:
    """The plainest problem response."""
    body = {
        "code": problem.code.value,
        "detail": problem.detail,
        "errors": [msgspec.to_builtins(error) for error in problem.errors],
        **problem.extra,
    }
    return Response(body, status_code=problem.status, headers=problem.headers, media_type=MediaType.JSON)


@get("/who")
async def who(request: Request[Caller, Any, Any]) -> Caller:
    """A public route."""
    return request.user


@post("/act")
async def act(request: Request[Caller, Any, Any], named: FromQuery[str | None] = None) -> dict[str, str]:
    """A route that acts for a user."""
    return {"user_id": request.user.acting_user(named)}


@get("/signed-in", guards=[require_signed_in])
async def signed_in() -> None:
    """A route for anyone signed in."""


@get("/staff", guards=[require_staff])
async def staff() -> None:
    """A route for staff."""


@get("/admin", guards=[require_admin])
async def admin() -> None:
    """A route for admins."""


def application(auth: Authenticator) -> Litestar:
    """Everything above, behind the middleware."""
    return Litestar(
        [who, act, signed_in, staff, admin, session_router(auth)],
        middleware=[DefineMiddleware(IdentityMiddleware, authenticator=auth)],
        exception_handlers={Problem: render},
        cors_config=auth.origins.cors,
    )


class Clock:
    """A clock that tests move."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now

    def __call__(self) -> float:
        """The time it is."""
        return self.now
