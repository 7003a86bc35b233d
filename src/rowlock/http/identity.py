"""Who is calling: found once for every request, before any handler runs.

1. A credential is a bearer token, or the same in the cookie `rowlock_session`. The header wins over the cookie.
2. A bad credential is a 401 even where none was needed: a caller whose token has lapsed must not act as someone else.
   So is one that was revoked.
3. No credential is a caller without a role; in demo mode, from loopback, one with every role.

This lies on the path of every booking. A token seen before costs one look-up; nothing is awaited but the next app,
except for the first use of a foreign issuer's token.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from rowlock.http import tokens
from rowlock.http.oidc import Issuer, OidcConfig
from rowlock.http.origins import OriginRules
from rowlock.http.problems import Code, FieldError, Problem
from rowlock.http.tokens import Claims, Role, unauthenticated
from rowlock.operations.revocations import Revocations

__all__ = [
    "ANONYMOUS",
    "DEMO",
    "IGNORE_BAD_COOKIE",
    "SESSION_COOKIE",
    "AuthConfig",
    "Authenticator",
    "Caller",
    "IdentityMiddleware",
    "Role",
    "require_admin",
    "require_signed_in",
    "require_staff",
]

SESSION_COOKIE = "rowlock_session"
IGNORE_BAD_COOKIE = "ignore_bad_cookie"  # a route's `opt`: a cookie that has gone bad counts as none
GUEST_PREFIX = "guest-"  # how the ids of those begin who signed in by name alone
KNOWN_TOKENS_MAX = 8192  # some 5 MB of our own tokens, 64 MB if each were an issuer's largest
ISSUER_TRUST_SECONDS = 300  # then an issuer's token is verified anew: its key may have been withdrawn

_COOKIE_PREFIX = SESSION_COOKIE.encode() + b"="
_COOKIE_MARK = b"\n"  # no header has one: what came in a cookie is never taken for a header
_ROLES = {role: frozenset({role}) for role in Role}
_DEMO_ROLE = "demo"  # of a caller without credentials, who may do all
_CLEAR_COOKIE = f"{SESSION_COOKIE}=; HttpOnly; Max-Age=0; Path=/; SameSite=lax"


@dataclass(frozen=True, kw_only=True)
class AuthConfig:
    """How callers are told apart. Plain values; the composition root fills them from the settings.

    `secret_keys`: the first signs, all verify, so that a key can be rotated. Every process must have the same ones.
    """

    secret_keys: tuple[str, ...] = field(repr=False)
    demo: bool = False
    session_hours: float = 12.0
    public_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    oidc: OidcConfig | None = None

    def __post_init__(self) -> None:
        if not self.secret_keys:
            raise ValueError("at least one secret key is needed to sign sessions")
        for key in self.secret_keys:
            tokens.signing_key(key)  # raises where it is too short


class Caller(msgspec.Struct, frozen=True):
    """Whoever sent the request. `user_id` is None only where nobody is signed in."""

    user_id: str | None
    roles: frozenset[Role]
    name: str | None
    source: Literal["anonymous", "token", "cookie", "demo"]
    is_staff: bool = False  # whether it may act for any user: follows from `roles`
    acts_as: str = ""  # the role that the audit trail tells: follows from them, too

    def __post_init__(self) -> None:
        # Once, and not three times a booking: an enum's member is hashed in Python.
        staff = Role.ADMIN in self.roles or Role.SERVICE in self.roles
        msgspec.structs.force_setattr(self, "is_staff", staff)
        acts_as = _DEMO_ROLE if self.source == "demo" else next((role.value for role in self.roles), "")
        msgspec.structs.force_setattr(self, "acts_as", acts_as)

    @property
    def is_guest(self) -> bool:
        """Whether it signed in by name alone."""
        return self.user_id is not None and self.user_id.startswith(GUEST_PREFIX)

    @property
    def is_admin(self) -> bool:
        """Whether it may change shows."""
        return Role.ADMIN in self.roles

    def may_act_for(self, user_id: str) -> bool:
        """Whether it may see and change what belongs to this user."""
        return self.is_staff or (self.user_id is not None and self.user_id == user_id)

    def acting_user(self, named: str | None) -> str:
        """The user this call acts for, given the `user_id` it names, if any.

        Staff, and demo mode, act for whom they name, else for themselves. A customer acts for itself alone.
        """
        if self.user_id is None:
            raise unauthenticated("Sign in first: this is done for somebody.")
        if named is None or named == self.user_id:
            return self.user_id
        if self.is_staff:
            return named
        raise Problem(
            Code.FORBIDDEN,
            "A customer acts only for itself: leave out user_id, or name your own.",
            errors=[FieldError("user_id", "is not yours")],
        )


ANONYMOUS = Caller(None, frozenset(), None, "anonymous")
DEMO = Caller("guest", frozenset(Role), None, "demo")


class Authenticator:
    """Finds the caller of a request. One for each process; it remembers tokens it has verified, until they expire."""

    def __init__(
        self,
        config: AuthConfig,
        *,
        issuer: Issuer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.issuer = issuer or (Issuer(config.oidc) if config.oidc else None)
        self.origins = OriginRules(
            cors_origins=config.cors_origins, public_url=config.public_url, demo=config.demo
        )
        self._clock = clock
        self._revocations: Revocations | None = None
        # Keyed by the credential's bytes as sent ("Bearer …", or the mark and the cookie's token), oldest use first.
        self._known: OrderedDict[bytes, tuple[float, Caller, Claims]] = OrderedDict()

    def use(self, revocations: Revocations) -> None:
        """Refuse from now on what was revoked."""
        self._revocations = revocations
        revocations.on_new = self._forget_revoked

    @property
    def revocations(self) -> Revocations | None:
        """What was revoked; None where that is not kept."""
        return self._revocations

    def identify(self, scope: Scope) -> Caller | None:
        """The caller, or None where only `identify_by_issuer` can tell. Raises a 401 or 403 `Problem`."""
        authorization = cookie = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                if authorization is not None:
                    raise unauthenticated("More than one Authorization header was sent.")
                authorization = value
            elif name == b"cookie" and not cookie and _COOKIE_PREFIX in value:
                cookie = _session_token(value)
        if authorization is not None:
            return self.remembered(authorization) or self._by_header(authorization)
        if cookie:
            caller = self.remembered(_COOKIE_MARK + cookie) or self._by_cookie(cookie, scope)
            if caller is not None:
                self.origins.check_cookie(scope)
                return caller
        if self.config.demo:
            self.origins.check_demo(scope)
            return DEMO
        return ANONYMOUS

    async def identify_by_issuer(self, scope: Scope) -> Caller:
        """The caller by a token of the OpenID Connect issuer's. Only after `identify` returned None."""
        authorization = next(value for name, value in scope["headers"] if name == b"authorization")
        claims = await self.verify(_bearer_token(authorization))
        trusted_until = min(claims.expires_at, self._clock() + ISSUER_TRUST_SECONDS)
        return self._remember(authorization, claims, "token", trusted_until)

    async def verify(self, token: str) -> Claims:
        """What a token says, ours or the issuer's, fully verified with the keys of whoever it says issued it."""
        if self.issuer is not None and self.issuer.is_named_by(token):
            return self._unless_revoked(await self.issuer.verify(token))
        return self._verify_ours(token)

    def _verify_ours(self, token: str) -> Claims:
        return self._unless_revoked(tokens.verify(token, self.config.secret_keys))

    def _unless_revoked(self, claims: Claims) -> Claims:
        if self._is_revoked(claims):
            raise unauthenticated("The token was revoked. Sign in again.")
        return claims

    def _is_revoked(self, claims: Claims) -> bool:
        known = self._revocations
        return known is not None and known.revokes(claims.token_id, claims.user_id, claims.issued_at)

    def _forget_revoked(self) -> None:
        """Tokens are remembered as verified; those that were revoked since are not any more."""
        for credential in [key for key, (_, _, claims) in self._known.items() if self._is_revoked(claims)]:
            del self._known[credential]

    def _by_header(self, authorization: bytes) -> Caller | None:
        token = _bearer_token(authorization)
        if self.issuer is not None and self.issuer.is_named_by(token):
            return None
        claims = self._verify_ours(token)
        return self._remember(authorization, claims, "token", claims.expires_at)

    def _by_cookie(self, token: bytes, scope: Scope) -> Caller | None:
        """None where the cookie has gone bad and the route says that this counts as having none."""
        try:
            claims = self._verify_ours(token.decode("latin-1"))
        except Problem as problem:
            route: Any = scope.get("route_handler")
            if route is not None and route.opt.get(IGNORE_BAD_COOKIE):
                return None
            # The page can't clear an HttpOnly cookie. Were it not cleared here, a key's rotation would lock people out.
            raise unauthenticated(problem.detail, headers={"Set-Cookie": _CLEAR_COOKIE}) from None
        return self._remember(_COOKIE_MARK + token, claims, "cookie", claims.expires_at)

    def remembered(self, credential: bytes) -> Caller | None:
        """The caller with a credential, as it was sent in the Authorization header, if it was verified before and holds."""
        found = self._known.get(credential)
        if found is None:
            return None
        until, caller, _ = found
        if until <= self._clock():
            del self._known[credential]
            return None
        self._known.move_to_end(credential)
        return caller

    def _remember(
        self, credential: bytes, claims: Claims, source: Literal["token", "cookie"], until: float
    ) -> Caller:
        caller = Caller(claims.user_id, _ROLES[claims.role], claims.name, source)
        self._known[credential] = (until, caller, claims)
        if len(self._known) > KNOWN_TOKENS_MAX:
            self._known.popitem(last=False)
        return caller


class IdentityMiddleware:
    """Sets `scope["user"]`, Litestar's `request.user`, to the `Caller`.

    Installed as `DefineMiddleware(IdentityMiddleware, authenticator=…)`. A plain function that hands back the next
    app's coroutine, so that a call costs no coroutine of its own.
    """

    __slots__ = ("_authenticator", "app")

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self.app = app
        self._authenticator = authenticator

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Find the caller, then go on; a refusal is raised at once."""
        caller = self._authenticator.identify(scope)
        if caller is None:
            return self._ask_issuer(scope, receive, send)
        scope["user"] = caller
        return self.app(scope, receive, send)

    async def _ask_issuer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["user"] = await self._authenticator.identify_by_issuer(scope)
        await self.app(scope, receive, send)


# Guards are coroutines though they await nothing: Litestar runs a plain function in a thread, at 50 times the cost.


async def require_signed_in(connection: ASGIConnection[Any, Caller, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: somebody must be signed in."""
    if connection.user.user_id is None:
        raise unauthenticated("Sign in first, or send a bearer token.")


async def require_staff(connection: ASGIConnection[Any, Caller, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: the caller must be an admin or a service."""
    await require_signed_in(connection, _)
    if not connection.user.is_staff:
        raise Problem(Code.FORBIDDEN, "This needs the role admin or service.")


async def require_admin(connection: ASGIConnection[Any, Caller, Any, Any], _: BaseRouteHandler) -> None:
    """A guard: the caller must be an admin."""
    await require_signed_in(connection, _)
    if not connection.user.is_admin:
        raise Problem(Code.FORBIDDEN, "This needs the role admin.")


def _bearer_token(authorization: bytes) -> str:
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise unauthenticated("The Authorization header must be `Bearer <token>`.")
    return token.strip().decode("latin-1")


def _session_token(header: bytes) -> bytes | None:
    for pair in header.split(b";"):
        stripped = pair.strip()
        if stripped.startswith(_COOKIE_PREFIX):
            return stripped[len(_COOKIE_PREFIX) :].strip(b'"') or None
    return None
