"""Observing: what every request and answer has, whatever becomes of it. The outermost layer, and plain ASGI.

Each answer bears a request id, the caller's own if it sent a fit one, and the security headers. Each request is one
log line, at debug where nobody would ever read it, and is counted under its route's template: what a stranger types
never becomes a label.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from rowlock import telemetry
from rowlock.randomness import random_bytes

log = structlog.get_logger(__name__)

UNMATCHED = "unmatched"
REQUEST_ID = "rowlock_request_id"  # in the scope's state, as are these two
HEADERS_ONLY = "rowlock_headers_only"
VARY_BY_ENCODING = "rowlock_vary_by_encoding"
METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
PROBES = frozenset({"/health", "/ready", "/metrics"})  # asked every few seconds: logged at debug
# Asked thousands of times a second while a show sells, when a log line takes a third of the time of an answer. Those that
# fared well are logged at debug; the metrics count them all.
LOOKS = frozenset(f"/api/shows/{{show_id}}/{kind}" for kind in ("availability", "seats", "layout"))
FARED_WELL = frozenset({200, 304})
STREAMS = frozenset({"/api/shows/{show_id}/live"})  # last as long as their readers like, which is no latency

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_CSP = b"content-security-policy"
API_CSP = (_CSP, b"default-src 'none'; frame-ancestors 'none'")
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id of the request under way."""
    return str(scope.get("state", {}).get(REQUEST_ID, ""))


def asks_for_headers_only(scope: Scope) -> bool:
    """Whether the request is a HEAD, which handlers see as a GET."""
    return bool(scope.get("state", {}).get(HEADERS_ONLY))


def vary_by_encoding(scope: Scope) -> None:
    """Note that the answer depends on Accept-Encoding. It is said out here, for CORS overwrites `Vary` with its own."""
    scope.setdefault("state", {})[VARY_BY_ENCODING] = True


def allow_header(methods: Iterable[str]) -> bytes:
    """The value of `Allow`. Whatever answers GET answers HEAD."""
    allowed = {*methods, "OPTIONS"}
    return ", ".join(sorted(allowed | ({"HEAD"} if "GET" in allowed else set()))).encode()


class Observing:
    """Wraps the whole application, inside of nothing but the server."""

    __slots__ = ("_allow", "_app")

    def __init__(self, app: ASGIApp, methods: Mapping[str, Iterable[str]]) -> None:
        """`methods`: those of each route. Litestar's own answers to OPTIONS lack some."""
        self._app = app
        self._allow = {route: allow_header(of_route) for route, of_route in methods.items()}

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        request_id = request_id_in(scope["headers"])
        telemetry.bind_request(request_id)
        method: str = scope["method"]
        without_body = method == "HEAD"
        if without_body:  # answered as GET, without the body
            scope = scope.copy()
            scope["method"] = "GET"
        state = scope.setdefault("state", {})
        state[REQUEST_ID] = request_id
        state[HEADERS_ONLY] = without_body
        status = 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                headers += SECURITY
                headers.append((b"x-request-id", request_id.encode()))
                if state.get(VARY_BY_ENCODING):
                    headers.append((b"vary", b"Accept-Encoding"))
                if method == "OPTIONS" and (allow := self._allow.get(scope.get("path_template", ""))):
                    headers = [
                        (name, allow if name.lower() == b"allow" else value) for name, value in headers
                    ]
                if all(name.lower() != _CSP for name, _ in headers):
                    headers.append(API_CSP)
                message["headers"] = headers
            elif without_body and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            seconds = perf_counter() - began
            route = scope.get("path_template") or UNMATCHED
            label = method if method in METHODS else "other"
            telemetry.REQUESTS.count(route, label, status, None if route in STREAMS else seconds)
            quiet = route in PROBES or (route in LOOKS and status in FARED_WELL)
            say = log.debug if quiet else log.info
            say("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))


def request_id_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's own id of a request, if it sent a fit one; else a new one."""
    return own_request_id_in(headers) or new_request_id()


def own_request_id_in(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The caller's own id of a request, if it sent a fit one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
        if name == b"x-request-id":
            break
    return None


def new_request_id() -> str:
    """An id for a request that has none."""
    return random_bytes(12).hex()
