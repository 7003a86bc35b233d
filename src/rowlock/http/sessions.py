"""Signing in and out of the page: guests by name, staff by token, anyone by the OpenID Connect issuer.

A session is a token of ours in an HttpOnly cookie; the server keeps nothing of it, so any process can answer. Signing
out clears the cookie and revokes its token, so that a copy is of no use; or all tokens of the user, everywhere.
"""

from __future__ import annotations

import hmac
import secrets
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from litestar import Request, Response, Router, delete, get, post
from litestar.datastructures import CacheControlHeader, Cookie
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct

from rowlock.http import tokens
from rowlock.http.identity import GUEST_PREFIX, IGNORE_BAD_COOKIE, SESSION_COOKIE, Authenticator, Caller, Role
from rowlock.http.oidc import Issuer
from rowlock.http.problems import Code, Problem, invalid
from rowlock.http.rates import limit_sign_ins
from rowlock.http.trails import trail_of
from rowlock.operations.revocations import Revocations

LOGIN_COOKIE = "rowlock_login"
LOGIN_ISSUER = "rowlock-login"  # what tells a sign-in's note from a session; see tokens.py
LOGIN_SECONDS = 600  # to type a password, find a telephone and read its code
SESSION_PATH = "/api/session"
NEXT_LENGTH_MAX = 1024  # with the rest it must fit a cookie of 4 kB

Auth = NamedDependency[Authenticator]


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Who signs in: a guest by `name`, or staff by `token`. Exactly one of the two."""

    name: Annotated[
        str | None,
        Meta(
            description="A guest's name, 1 to 64 characters. The guest becomes a new customer.",
            examples=["Ada Lovelace"],
        ),
    ] = None
    token: Annotated[
        str | None,
        Meta(
            description="A token minted by `rowlock token`, or one of the OpenID Connect issuer's.",
            examples=["eyJhbGciOiJIUzI1NiJ9.…"],
        ),
    ] = None


class SignedIn(Struct, frozen=True):
    """The session that has just begun. Its credential is in the cookie."""

    user_id: Annotated[str, Meta(description="The user this session acts as.", examples=["guest-4QyB1n0zVh"])]
    name: Annotated[str | None, Meta(description="The name to show.", examples=["Ada Lovelace"])]
    role: Annotated[Role, Meta(description="What the user may do.", examples=["customer"])]
    expires_at: Annotated[
        datetime, Meta(description="When the session ends.", examples=["2030-01-01T20:00:00Z"])
    ]


class Session(Struct, frozen=True):
    """Who is calling, as the server sees it."""

    user_id: Annotated[str | None, Meta(description="Null where nobody is signed in.", examples=["u-17"])]
    name: Annotated[str | None, Meta(description="The name to show, if known.", examples=["Ada Lovelace"])]
    role: Annotated[
        Role | None,
        Meta(description="The highest role; null where nobody is signed in.", examples=["customer"]),
    ]
    roles: Annotated[list[Role], Meta(description="All roles; demo mode gives every one.")]
    source: Annotated[
        Literal["anonymous", "token", "cookie", "demo"],
        Meta(description="Where this is known from.", examples=["cookie"]),
    ]
    auth: Annotated[
        Literal["token", "demo"],
        Meta(
            description="`demo`: whoever is on this machine may do all, and nobody need sign in.",
            examples=["token"],
        ),
    ]
    login_url: Annotated[
        str | None,
        Meta(
            description="Where to sign in with the issuer; null where none is set up.",
            examples=["/api/session/login"],
        ),
    ]


@post(
    "/",
    summary="Sign in",
    description=(
        "With `name`, become a guest customer with an id of its own. With `token`, sign in as the token's user. "
        "Sets the cookie `rowlock_session`; a session by token lasts no longer than the token."
    ),
    operation_id="sign_in",
    opt={IGNORE_BAD_COOKIE: True},
)
async def sign_in(
    request: Request[Caller, Any, Any], data: JSONBody[SignIn], auth: Auth
) -> Response[SignedIn]:
    """Begin a session. Refused to foreign pages, which must not sign a visitor in as somebody of their choosing."""
    auth.origins.check_page(request.scope)
    if data.token is not None and data.name is not None:
        raise invalid("token", "give either name or token, not both")
    seconds = auth.config.session_hours * 3600
    if data.token is not None:
        claims = await auth.verify(data.token)
        await limit_sign_ins(request, claims.user_id)
        seconds = min(seconds, claims.expires_at - time.time())
        if seconds < 1:  # an issuer's token is taken for some seconds more, but begins no session
            raise tokens.unauthenticated("The token has expired.")
        return _begin(
            request, auth, user_id=claims.user_id, role=claims.role, name=claims.name, seconds=seconds
        )
    name = _guest_name(data.name)
    guest = (
        f"{GUEST_PREFIX}{secrets.token_urlsafe(16)}"  # 128 bits: nobody comes upon another guest's bookings
    )
    return _begin(request, auth, user_id=guest, role=Role.CUSTOMER, name=name, seconds=seconds)


@get(
    "/",
    summary="Who am I",
    description="The caller as the server sees it. Answers callers who are not signed in, too.",
    operation_id="get_session",
    opt={IGNORE_BAD_COOKIE: True},
)
async def get_session(request: Request[Caller, Any, Any], auth: Auth) -> Response[Session]:
    """Who is calling. A cookie that has gone bad is cleared."""
    caller = request.user
    highest = next((role for role in (Role.ADMIN, Role.SERVICE, Role.CUSTOMER) if role in caller.roles), None)
    login_url = f"{SESSION_PATH}/login" if _code_flow(auth) else None
    body = Session(
        caller.user_id,
        caller.name,
        highest,
        sorted(caller.roles),
        source=caller.source,
        auth="demo" if auth.config.demo else "token",
        login_url=login_url,
    )
    stale = caller.source in {"anonymous", "demo"} and SESSION_COOKIE in request.cookies
    return Response(body, cookies=[_clear(SESSION_COOKIE)] if stale else [])


@delete(
    "/",
    summary="Sign out",
    description="Clears the cookie, and revokes its token: other processes refuse it within seconds. With `everywhere`, "
    "every token and session of the user is revoked, on all of its devices. Signing out twice is no error.",
    operation_id="sign_out",
    opt={IGNORE_BAD_COOKIE: True},
)
async def sign_out(
    request: Request[Caller, Any, Any],
    auth: Auth,
    everywhere: Annotated[
        bool, QueryParameter(description="Revoke all tokens and sessions of whoever is signed in.")
    ] = False,
) -> Response[None]:
    """End the session, or all of the user's."""
    auth.origins.check_page(request.scope)
    caller, kept = request.user, auth.revocations
    if kept is not None and caller.user_id is not None and caller.source != "demo":
        if everywhere:
            await kept.revoke_user(caller.user_id, trail=trail_of(request))
        elif caller.source == "cookie":
            await _revoke_session(request, auth, kept)
    return Response(None, status_code=204, cookies=[_clear(SESSION_COOKIE)])


@get(
    "/login",
    status_code=302,
    summary="Sign in with the issuer",
    description="Redirects to the OpenID Connect issuer; afterwards the visitor comes back to `next`.",
    operation_id="begin_issuer_sign_in",
    opt={IGNORE_BAD_COOKIE: True},
    responses={404: ResponseSpec(None, description="No issuer is set up", generate_examples=False)},
)
async def begin_issuer_sign_in(
    request: Request[Caller, Any, Any],
    auth: Auth,
    next_path: Annotated[
        str, QueryParameter(name="next", description="A path of this site to come back to.")
    ] = "/",
) -> Response[None]:
    """Send the visitor to the issuer, and keep in a signed cookie what its answer must match."""
    issuer = _require_code_flow(auth)
    if not is_local_path(next_path):
        raise invalid("next", "must be a path of this site, such as /shows/1")
    discovery = await issuer.discover()
    note = {
        "state": secrets.token_urlsafe(24),
        "nonce": secrets.token_urlsafe(24),
        "verifier": secrets.token_urlsafe(48),
        "next": next_path,
    }
    location = issuer.authorization_url(
        discovery,
        state=note["state"],
        nonce=note["nonce"],
        verifier=note["verifier"],
        redirect_uri=_redirect_uri(request, auth),
    )
    value = tokens.sign(auth.config.secret_keys[0], LOGIN_ISSUER, note, seconds=LOGIN_SECONDS)
    return _redirect(
        location, [_cookie(request, auth, LOGIN_COOKIE, value, seconds=LOGIN_SECONDS, path=SESSION_PATH)]
    )


@get(
    "/callback",
    status_code=302,
    summary="Come back from the issuer",
    description="Where the OpenID Connect issuer sends the visitor. Sets the session's cookie and redirects to the page.",
    operation_id="finish_issuer_sign_in",
    opt={IGNORE_BAD_COOKIE: True},
    responses={404: ResponseSpec(None, description="No issuer is set up", generate_examples=False)},
)
async def finish_issuer_sign_in(
    request: Request[Caller, Any, Any],
    auth: Auth,
    code: Annotated[str | None, QueryParameter(name="code", description="The issuer's code.")] = None,
    returned_state: Annotated[
        str | None, QueryParameter(name="state", description="What was sent along to the issuer.")
    ] = None,
    issuer_error: Annotated[
        str | None, QueryParameter(name="error", description="Why the issuer refused.")
    ] = None,
) -> Response[None]:
    """Exchange the code for an id token, verify it, and begin the session. The note in the cookie serves once."""
    issuer = _require_code_flow(auth)
    try:
        note = _login_note(request, auth, returned_state)
        if issuer_error is not None or code is None:
            raise tokens.unauthenticated("The issuer did not sign you in. Try again.")
        id_token = await issuer.exchange_code(
            code, verifier=note["verifier"], redirect_uri=_redirect_uri(request, auth)
        )
        claims = await issuer.verify_id_token(id_token, nonce=note["nonce"])
    except Problem as problem:
        problem.headers["Set-Cookie"] = _clear(LOGIN_COOKIE, SESSION_PATH).to_header(header="")
        raise
    seconds = auth.config.session_hours * 3600
    value = _session_value(auth, claims.user_id, claims.role, claims.name, seconds)
    cookies = [
        _cookie(request, auth, SESSION_COOKIE, value, seconds=seconds),
        _clear(LOGIN_COOKIE, SESSION_PATH),
    ]
    return _redirect(note["next"] if is_local_path(note["next"]) else "/", cookies)


def session_router(auth: Authenticator) -> Router:
    """The routes under `/api/session`."""
    return Router(
        SESSION_PATH,
        route_handlers=[sign_in, get_session, sign_out, begin_issuer_sign_in, finish_issuer_sign_in],
        dependencies={"auth": Provide(lambda: auth, sync_to_thread=False)},
        cache_control=CacheControlHeader(no_store=True),
        tags=["Session"],
    )


def is_local_path(path: str) -> bool:
    """Whether a browser sent to `path` stays on this site.

    `//host` and `/\\host` are other sites to a browser, which also drops tabs and newlines before it looks.
    """
    return (
        path.startswith("/")
        and not path.startswith("//")
        and "\\" not in path
        and not tokens.UNPRINTABLE.search(path)
        and len(_quoted(path)) <= NEXT_LENGTH_MAX
    )


def _begin(
    request: Request[Caller, Any, Any],
    auth: Authenticator,
    *,
    user_id: str,
    role: Role,
    name: str | None,
    seconds: float,
) -> Response[SignedIn]:
    value = _session_value(auth, user_id, role, name, seconds)
    expires_at = datetime.fromtimestamp(int(time.time() + seconds), UTC)
    cookie = _cookie(request, auth, SESSION_COOKIE, value, seconds=seconds)
    return Response(SignedIn(user_id, name, role, expires_at), cookies=[cookie])


async def _revoke_session(request: Request[Caller, Any, Any], auth: Authenticator, kept: Revocations) -> None:
    claims = await auth.verify(request.cookies[SESSION_COOKIE])
    if claims.token_id is not None:
        ends_at = datetime.fromtimestamp(claims.expires_at, UTC)
        await kept.revoke_token(claims.token_id, ends_at, trail=trail_of(request))


def _session_value(auth: Authenticator, user_id: str, role: Role, name: str | None, seconds: float) -> str:
    key = auth.config.secret_keys[0]
    return tokens.mint(key, user_id=user_id, role=role, hours=seconds / 3600, name=name)


def _guest_name(name: str | None) -> str:
    if name is None:
        raise invalid("name", "give a name, or a token")
    stripped = name.strip()
    if not 1 <= len(stripped) <= tokens.NAME_LENGTH_MAX:
        raise invalid("name", f"must have 1 to {tokens.NAME_LENGTH_MAX} characters")
    if tokens.UNPRINTABLE.search(stripped):
        raise invalid("name", "must not have control characters")
    return stripped


def _login_note(request: Request[Caller, Any, Any], auth: Authenticator, state: str | None) -> dict[str, Any]:
    """What was kept when the sign-in began, if this answer belongs to it."""
    value = request.cookies.get(LOGIN_COOKIE, "")
    try:
        note = tokens.read(value, auth.config.secret_keys, LOGIN_ISSUER)
    except Problem:
        raise invalid("state", "this sign-in has lapsed or was begun elsewhere; begin again") from None
    if state is None or not hmac.compare_digest(state.encode(), str(note["state"]).encode()):
        raise invalid("state", "this answer belongs to another sign-in; begin again")
    return note


def _code_flow(auth: Authenticator) -> Issuer | None:
    """The issuer, where it can be used from the page: that takes a client id."""
    return auth.issuer if auth.issuer is not None and auth.issuer.config.client_id else None


def _require_code_flow(auth: Authenticator) -> Issuer:
    issuer = _code_flow(auth)
    if issuer is None:
        raise Problem(Code.NOT_FOUND, "No OpenID Connect issuer is set up here.")
    return issuer


def _redirect_uri(request: Request[Caller, Any, Any], auth: Authenticator) -> str:
    base = auth.config.public_url or str(request.base_url)
    return f"{base.rstrip('/')}{SESSION_PATH}/callback"


def _redirect(location: str, cookies: list[Cookie]) -> Response[None]:
    return Response(None, status_code=302, headers={"Location": _quoted(location)}, cookies=cookies)


def _quoted(location: str) -> str:
    """As a header can hold it, in ASCII. What is quoted already stays as it is."""
    return quote(location, safe="/%?#[]@!$&'()*+,;=:~-._")


def _cookie(
    request: Request[Caller, Any, Any],
    auth: Authenticator,
    key: str,
    value: str,
    *,
    seconds: float,
    path: str = "/",
) -> Cookie:
    secure = request.scope["scheme"] == "https" or (auth.config.public_url or "").startswith("https://")
    return Cookie(
        key,
        path=path,
        value=value,
        max_age=max(0, int(seconds)),
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def _clear(key: str, path: str = "/") -> Cookie:
    return Cookie(key, path=path, value="", max_age=0, httponly=True, samesite="lax")
