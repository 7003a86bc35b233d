"""Which web pages may talk to this server, and how we know which page is asking.

1. CORS is closed unless `ROWLOCK_CORS_ORIGINS` names an origin. Demo mode admits pages served from loopback.
2. A cookie is sent by the browser whether or not our page asked. So a change that rests on a cookie must come from
   our own page or a named origin, as `Sec-Fetch-Site` or `Origin` says: no page can forge either.
3. Demo mode needs no credentials, so anything that reaches it may book. It answers only to loopback names: a page
   that rebinds its own domain to 127.0.0.1 still sends its own name as `Host`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address
from urllib.parse import urlsplit

from litestar.config.cors import CORSConfig
from litestar.types import Scope

from rowlock.http.problems import Code, Problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

EXPOSED_HEADERS = [
    "ETag",
    "Location",
    "Retry-After",
    "X-Request-Id",
    "Idempotency-Replayed",
    "Preference-Applied",
]
ALLOWED_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-Id",
]

_LOOPBACK = r"(?:(?:[a-z0-9_-]+\.)*localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])"
_LOOPBACK_ORIGIN = rf"https?://{_LOOPBACK}(?::[0-9]{{1,5}})?"
_HOST_AND_PORT = re.compile(rf"({_LOOPBACK})(?::[0-9]{{1,5}})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([^/?#@\\\s]+)", re.IGNORECASE)
_DEFAULT_PORT = re.compile(r":(?:80|443)$")


def is_loopback_host(host: str) -> bool:
    """Whether a `Host` header names this machine: localhost, *.localhost, 127.0.0.0/8 or [::1], with any port."""
    match = _HOST_AND_PORT.fullmatch(host)
    if match is None:
        return False
    name = match[1]
    if not name.startswith("127."):
        return True
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True


def cors_config(origins: Sequence[str], *, demo: bool) -> CORSConfig | None:
    """Litestar's CORS settings, or None where no other origin is admitted.

    `*` admits every page, but without cookies: a page anywhere must not act as whoever visits it.
    """
    if not origins and not demo:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_origin_regex=_LOOPBACK_ORIGIN if demo else None,
        allow_methods=["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"],
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        allow_credentials="*" not in origins,
    )


class OriginRules:
    """Judges a request by the page it comes from. Every check raises a 403 that says what is wrong.

    `cors` is Litestar's `cors_config`.
    """

    def __init__(self, *, cors_origins: Sequence[str], public_url: str | None, demo: bool) -> None:
        self.cors = cors_config(cors_origins, demo=demo)
        named = [origin for origin in cors_origins if origin != "*"]
        self._admitted = cors_config(named, demo=demo)
        self._public_host = _plain_host(urlsplit(public_url).netloc) if public_url else None

    def check_cookie(self, scope: Scope) -> None:
        """A change that rests on a cookie must say that it comes from our page, or from a named origin."""
        self._check_page(scope, silence_allowed=False)

    def check_page(self, scope: Scope) -> None:
        """A change without a cookie may come from no page at all, as a program's does, but not from a foreign page."""
        self._check_page(scope, silence_allowed=True)

    def check_demo(self, scope: Scope) -> None:
        """A call without credentials in demo mode must be made to a loopback name, and not by a foreign page."""
        host = _header(scope, b"host")
        if host is None or not is_loopback_host(host):
            raise Problem(
                Code.FORBIDDEN,
                "Demo mode answers calls without credentials only under a loopback name such as localhost. "
                "Ask under that name, or send a token.",
            )
        self.check_page(scope)

    def _check_page(self, scope: Scope, *, silence_allowed: bool) -> None:
        if scope.get("method") in SAFE_METHODS:
            return
        site, origin = _header(scope, b"sec-fetch-site"), _header(scope, b"origin")
        # "none" is the person at the browser, not a page. The browser writes this header and no page can.
        if site in {"same-origin", "none"}:
            return
        if site is None and origin is None and silence_allowed:
            return
        if origin is not None and self._is_ours(origin, _header(scope, b"host")):
            return
        raise Problem(
            Code.FORBIDDEN,
            "This change was not asked for by a page of this site. Use the site's own page, or send a bearer token "
            "in place of the cookie; other sites are admitted by ROWLOCK_CORS_ORIGINS.",
        )

    def _is_ours(self, origin: str, host: str | None) -> bool:
        match = _ORIGIN.fullmatch(origin)
        if match is None:  # "null", or junk
            return False
        # Hosts are compared without the scheme, which a proxy that ends TLS changes.
        origin_host = _plain_host(match[1])
        if origin_host == self._public_host or (host is not None and origin_host == _plain_host(host)):
            return True
        return self._admitted is not None and self._admitted.is_origin_allowed(origin)


def _plain_host(host: str) -> str:
    return _DEFAULT_PORT.sub("", host.lower())


def _header(scope: Scope, wanted: bytes) -> str | None:
    """A header's value. Where it was sent more than once nothing can be trusted: the values are joined, so none match."""
    values = [value for name, value in scope["headers"] if name == wanted]
    return b", ".join(values).decode("latin-1") if values else None
