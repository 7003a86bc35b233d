"""The HTTP application: routes, and what lies around them, from the outside in.

Door               ordinary requests to book, which come from the protocol and go no further
Observing          request id, security headers, metrics, the log line
Litestar           CORS, routing, exceptions → problems
IdentityMiddleware who is calling
rate limits        only before booking and signing in
guards, handlers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from litestar import Litestar, Router
from litestar.middleware import DefineMiddleware
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope, Middleware

from rowlock.http import documentation
from rowlock.http.around import around_router
from rowlock.http.audit import audit_router
from rowlock.http.bookings import bookings_router
from rowlock.http.box_office import STATISTICS_SECONDS, box_office_router
from rowlock.http.caching import Caches, Lists
from rowlock.http.classic.errors import in_their_words
from rowlock.http.classic.routes import classic_routers
from rowlock.http.door import Door
from rowlock.http.identity import AuthConfig, Authenticator, Caller, IdentityMiddleware
from rowlock.http.live import Streams
from rowlock.http.observing import Observing
from rowlock.http.page import Page, for_people, page_router
from rowlock.http.pages import SharedLists
from rowlock.http.rates import BookingLimits, Counts, RateLimit, bookings_of, guests_at
from rowlock.http.rates import address as _address
from rowlock.http.reading import ApiRequest
from rowlock.http.rendering import EXCEPTION_HANDLERS
from rowlock.http.sessions import session_router
from rowlock.http.shows import shows_router
from rowlock.http.webhooks import webhooks_router

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_http(
    auth: AuthConfig,
    *,
    lifespan: Sequence[Lifespan] = (),
    bookings_per_minute: int = 0,
    guests_per_minute: int = 0,
    holds_per_minute: int = 0,
    sign_ins_per_minute: int = 0,
    page: Page | None = None,
) -> Litestar:
    """The application. `lifespan` must put the operations' `Context` at `app.state.context`.

    Rate limits are per process, unless it sets `app.state.counts.shared` (as
    it may `app.state.caches.lists.shared`); 0 is none. Demo mode has none. `page`: the one that was built, if left out.
    """
    authenticator = Authenticator(auth)
    if auth.demo:
        bookings_per_minute = guests_per_minute = holds_per_minute = sign_ins_per_minute = 0
    booking_limit = [*_limit(guests_per_minute, _by_guests_address), *_limit(bookings_per_minute, _by_caller)]

    async def open_door(app: Litestar) -> None:
        context = app.state.get("context")
        if context is None:
            return  # an application without operations has nothing to book
        app.state.door = Door(
            context,
            authenticator,
            app.state.counts,
            BookingLimits(bookings_per_minute, guests_per_minute, holds_per_minute),
        )

    app = Litestar(
        [
            shows_router(),
            bookings_router(booking_limit),
            box_office_router(),
            webhooks_router(),
            audit_router(),
            *classic_routers(booking_limit),
            Router(
                "/",
                route_handlers=[session_router(authenticator)],
                middleware=_limit(sign_ins_per_minute, _by_address),
            ),
            around_router(),
            page_router(),
        ],
        middleware=[DefineMiddleware(IdentityMiddleware, authenticator=authenticator)],
        exception_handlers=in_their_words(for_people(EXCEPTION_HANDLERS)),
        request_class=ApiRequest,
        cors_config=authenticator.origins.cors,
        openapi_config=documentation.config(),
        logging_config=None,  # rowlock.telemetry has set it up
        lifespan=list(lifespan),
        on_startup=[open_door],
    )
    app.state.authenticator = authenticator
    app.state.caches, app.state.streams, app.state.counts = Caches(), Streams(), Counts()
    app.state.caches.lists = SharedLists()
    app.state.holds_per_minute, app.state.sign_ins_per_minute = holds_per_minute, sign_ins_per_minute
    app.state.statistics = Lists(seconds=STATISTICS_SECONDS)
    app.state.page = page or Page()
    methods = {route.path_format: route.methods for route in app.routes if isinstance(route, HTTPRoute)}
    app.asgi_handler = Observing(app.asgi_handler, methods)
    return app


def _limit(per_minute: int, identify: Callable[[HTTPScope], str | None]) -> list[Middleware]:
    if not per_minute:
        return []
    return [DefineMiddleware(RateLimit, per_minute=per_minute, identify=identify)]


def _by_caller(scope: HTTPScope) -> str | None:
    caller: Caller = scope["user"]
    # Staff and services act for many: a shop's own server is not one customer.
    if caller.is_staff or scope["method"] == "OPTIONS":
        return None
    return bookings_of(caller.user_id) if caller.user_id is not None else f"bookings from {_address(scope)}"


def _by_guests_address(scope: HTTPScope) -> str | None:
    """Guests are made for the asking, so those of an address are counted together, too."""
    caller: Caller = scope["user"]
    if scope["method"] == "OPTIONS" or not (caller.is_guest or caller.user_id is None):
        return None
    return guests_at(_address(scope))


def _by_address(scope: HTTPScope) -> str | None:
    caller: Caller = scope["user"]
    if caller.is_staff or scope["method"] != "POST":
        return None
    return f"sign-ins from {_address(scope)}"
