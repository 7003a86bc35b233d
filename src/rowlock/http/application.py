"""The HTTP application: routes, and what lies around them, from the outside in.

Observing          request id, security headers, metrics, the log line
Litestar           CORS, routing, exceptions → problems
IdentityMiddleware who is calling
rate limits        only before booking and signing in
guards, handlers
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

from litestar import Litestar, Request, Router
from litestar.middleware import DefineMiddleware
from litestar.middleware.rate_limit import RateLimitConfig, get_remote_address
from litestar.routes import HTTPRoute
from litestar.stores.memory import MemoryStore
from litestar.types import Middleware

from rowlock.http import documentation
from rowlock.http.around import around_router
from rowlock.http.bookings import bookings_router
from rowlock.http.caching import Caches
from rowlock.http.classic.errors import in_their_words
from rowlock.http.classic.routes import classic_routers
from rowlock.http.identity import AuthConfig, Authenticator, Caller, IdentityMiddleware
from rowlock.http.live import Streams
from rowlock.http.observing import Observing
from rowlock.http.reading import ApiRequest
from rowlock.http.rendering import EXCEPTION_HANDLERS
from rowlock.http.sessions import session_router
from rowlock.http.shows import shows_router
from rowlock.http.webhooks import webhooks_router

RATE_STORE = "rate_limit"
FORGET_SECONDS = 60.0  # how often lapsed counts are dropped from memory

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_http(
    auth: AuthConfig,
    *,
    lifespan: Sequence[Lifespan] = (),
    bookings_per_minute: int = 0,
    sign_ins_per_minute: int = 0,
) -> Litestar:
    """The application. `lifespan` must put the operations' `Context` at `app.state.context`.

    Rate limits are per process; 0 is none. Demo mode has none.
    """
    authenticator = Authenticator(auth)
    if auth.demo:
        bookings_per_minute = sign_ins_per_minute = 0
    booking_limit = _limit(bookings_per_minute, _by_caller)
    app = Litestar(
        [
            shows_router(),
            bookings_router(booking_limit),
            webhooks_router(),
            *classic_routers(booking_limit),
            Router(
                "/",
                route_handlers=[session_router(authenticator)],
                middleware=_limit(sign_ins_per_minute, _by_address, only_post=True),
            ),
            around_router(),
        ],
        middleware=[DefineMiddleware(IdentityMiddleware, authenticator=authenticator)],
        exception_handlers=in_their_words(EXCEPTION_HANDLERS),
        request_class=ApiRequest,
        cors_config=authenticator.origins.cors,
        openapi_config=documentation.config(),
        logging_config=None,  # rowlock.telemetry has set it up
        stores={RATE_STORE: MemoryStore()},
        lifespan=[_forgetting, *lifespan],
    )
    app.state.caches, app.state.streams = Caches(), Streams()
    methods = {route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)}
    app.asgi_handler = Observing(app.asgi_handler, methods)
    return app


def _limit(
    per_minute: int, identify: Callable[[Request[Any, Any, Any]], str], *, only_post: bool = False
) -> list[Middleware]:
    if not per_minute:
        return []

    async def counts(request: Request[Caller, Any, Any]) -> bool:
        # Staff and services act for many: a shop's own server is not one customer.
        if request.user.is_staff or request.scope["method"] == "OPTIONS":
            return False
        return not only_post or request.scope["method"] == "POST"

    config = RateLimitConfig(
        ("minute", per_minute),
        identifier_for_request=identify,
        check_throttle_handler=counts,
        store=RATE_STORE,
    )
    return [config.middleware]


def _by_caller(request: Request[Caller, Any, Any]) -> str:
    user_id = request.user.user_id
    return f"bookings of {user_id}" if user_id is not None else f"bookings from {get_remote_address(request)}"


def _by_address(request: Request[Any, Any, Any]) -> str:
    return f"sign-ins from {get_remote_address(request)}"


@asynccontextmanager
async def _forgetting(app: Litestar) -> AsyncIterator[None]:
    """Drop lapsed counts now and then, so that they don't grow with everyone who ever called."""
    store = app.stores.get(RATE_STORE)
    assert isinstance(store, MemoryStore)

    async def forget() -> None:
        while True:
            await asyncio.sleep(FORGET_SECONDS)
            await store.delete_expired()

    task = asyncio.create_task(forget(), name="rate limits")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
