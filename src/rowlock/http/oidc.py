"""An OpenID Connect issuer's tokens: its keys, fetched when first needed, and what its tokens say.

1. A key verifies only with the algorithms of its own kind, and never with HS*: a public key is no secret.
2. Keys are kept for an hour. A token that names an unknown key has them fetched again, at most once a minute, so that
   a stranger's made-up key ids can't make us call the issuer at will.
3. However many callers wait, one fetch is under way. An issuer that can't be reached is a 503, and asked again
   after a pause.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import msgspec

from rowlock.http.problems import Code, Problem
from rowlock.http.tokens import (
    BAD_TOKEN_ERRORS,
    Claims,
    Role,
    check_shape,
    clean_name,
    expiry,
    issue_time,
    reason,
    subject,
    token_id,
    unauthenticated,
)

TIMEOUT_SECONDS = 5.0
KEYS_FRESH_SECONDS = 3600.0
UNKNOWN_KEY_PAUSE_SECONDS = 60.0
FAILURE_PAUSE_SECONDS = 5  # so that an issuer's outage costs each caller nothing but the answer
DOCUMENT_BYTES_MAX = 1_048_576  # the largest key sets of public issuers are some 10 kB
CLOCK_SKEW_SECONDS = 30.0

_ALGORITHMS = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OidcConfig:
    """An issuer, and who we are to it. `roles_claim` may be a dotted path, such as `realm_access.roles`."""

    issuer: str
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    audience: str | None = None
    roles_claim: str = "roles"

    def __post_init__(self) -> None:
        if not (self.audience or self.client_id):
            raise ValueError(
                "an issuer needs an audience or a client id: else a token meant for any other app would do"
            )


class Discovery(msgspec.Struct, frozen=True):
    """What we need of the issuer's `/.well-known/openid-configuration`."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = []


class _Jwk(msgspec.Struct, frozen=True):
    kty: str
    kid: str | None = None
    crv: str | None = None
    alg: str | None = None
    use: str | None = None


class _Key(msgspec.Struct, frozen=True):
    kid: str | None
    by_algorithm: dict[str, jwt.PyJWK]


class _Snapshot(msgspec.Struct, frozen=True):
    """The issuer's documents as fetched at `fetched_at`, by the monotonic clock."""

    discovery: Discovery
    keys: tuple[_Key, ...]
    fetched_at: float

    def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key a token names. One that names none is given the only key that fits, if there is but one."""
        fitting = [
            key.by_algorithm[algorithm]
            for key in self.keys
            if algorithm in key.by_algorithm and (kid is None or key.kid == kid)
        ]
        if not fitting or (kid is None and len(fitting) > 1):
            return None
        return fitting[0]


class _Unverified(msgspec.Struct, frozen=True):
    iss: str


class Issuer:
    """One OpenID Connect issuer. Of its network only `transport` can be replaced, and only tests do."""

    def __init__(
        self,
        config: OidcConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self._transport = transport
        self._clock = clock
        self._snapshot: _Snapshot | None = None
        self._fetching: asyncio.Task[_Snapshot] | None = None
        self._failed_at: float | None = None

    def is_named_by(self, token: str) -> bool:
        """Whether a token says that it is this issuer's. Unverified: it only chooses whose keys to verify with."""
        parts = token.split(".")
        if len(parts) != 3:
            return False
        try:
            payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            issuer = msgspec.json.decode(payload, type=_Unverified).iss
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, as base64's are
            return False
        return issuer.rstrip("/") == self.config.issuer.rstrip("/")

    async def discover(self) -> Discovery:
        """The issuer's endpoints. Raises a 503 `Problem` where it can't be reached."""
        return (await self._current()).discovery

    async def verify(self, token: str) -> Claims:
        """What an access token says; else a 401 with the reason, or a 503 where the issuer can't be reached."""
        audience = self.config.audience or self.config.client_id
        assert audience is not None
        return self._claims(await self._payload(token, audience))

    async def verify_id_token(self, token: str, *, nonce: str) -> Claims:
        """What an id token says that was made for our client, and for the sign-in that this nonce belongs to."""
        assert self.config.client_id is not None
        payload = await self._payload(token, self.config.client_id)
        if payload.get("nonce") != nonce:
            raise unauthenticated("The issuer's answer belongs to another sign-in.")
        if payload.get("azp", self.config.client_id) != self.config.client_id:
            raise unauthenticated("The token is meant for another audience.")
        return self._claims(payload)

    def authorization_url(
        self, discovery: Discovery, *, state: str, nonce: str, verifier: str, redirect_uri: str
    ) -> str:
        """Where to send a visitor to sign in: the code flow, with PKCE."""
        if discovery.authorization_endpoint is None:
            raise _unreachable()
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # noqa: PLC0415 (see _authlib)
        from authlib.oauth2.rfc7636 import create_s256_code_challenge  # noqa: PLC0415

        url = prepare_grant_uri(
            discovery.authorization_endpoint,
            self.config.client_id,
            "code",
            redirect_uri=redirect_uri,
            scope="openid profile email",
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return str(url)

    async def exchange_code(self, code: str, *, verifier: str, redirect_uri: str) -> str:
        """The id token that the issuer gives for a code; else a 401 where it refuses, a 503 where it can't be reached."""
        discovery = await self.discover()
        if discovery.token_endpoint is None:
            raise _unreachable()
        oauth_client, oauth_error = _authlib()
        methods = discovery.token_endpoint_auth_methods_supported
        only_post = "client_secret_post" in methods and "client_secret_basic" not in methods
        client = oauth_client(
            client_id=self.config.client_id,
            client_secret=self.config.client_secret,
            # None lets Authlib choose: basic where there is a secret, none where there isn't.
            token_endpoint_auth_method="client_secret_post"
            if only_post and self.config.client_secret
            else None,
            timeout=TIMEOUT_SECONDS,
            transport=self._transport,
        )
        try:
            async with client:
                answer: Mapping[str, object] = await client.fetch_token(
                    discovery.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    redirect_uri=redirect_uri,
                )
        except oauth_error as error:
            logger.warning("the issuer refused a code: %s", error)
            raise unauthenticated("The issuer refused the sign-in. Try again.") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            logger.warning("the issuer's token endpoint failed: %r", error)
            raise _unreachable() from None
        id_token = answer.get("id_token")
        if not isinstance(id_token, str):
            raise unauthenticated("The issuer's answer has no id token.")
        return id_token

    def _claims(self, payload: Mapping[str, Any]) -> Claims:
        return Claims(
            subject(payload),
            role_of(payload, self.config.roles_claim),
            expiry(payload),
            clean_name(payload.get("name")) or clean_name(payload.get("preferred_username")),
            token_id=token_id(payload),
            issued_at=issue_time(payload),
        )

    async def _payload(self, token: str, audience: str) -> dict[str, Any]:
        check_shape(token)
        try:
            header = jwt.get_unverified_header(token)
        except BAD_TOKEN_ERRORS as error:
            raise unauthenticated(reason(error)) from None
        snapshot, key = await self._find_key(header.get("kid"), str(header.get("alg")))
        if key is None:
            raise unauthenticated("The token is signed with no key of its issuer's.")
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=snapshot.discovery.issuer,
                audience=audience,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": ["exp", "iss", "sub"], "enforce_minimum_key_length": True},
            )
        except BAD_TOKEN_ERRORS as error:
            raise unauthenticated(reason(error)) from None

    async def _find_key(self, kid: str | None, algorithm: str) -> tuple[_Snapshot, jwt.PyJWK | None]:
        snapshot = await self._current()
        key = snapshot.find(kid, algorithm)
        if key is None and self._clock() - snapshot.fetched_at >= UNKNOWN_KEY_PAUSE_SECONDS:
            snapshot = await self._fetch_shared()
            key = snapshot.find(kid, algorithm)
        return snapshot, key

    async def _current(self) -> _Snapshot:
        snapshot = self._snapshot
        if snapshot is not None and self._clock() - snapshot.fetched_at < KEYS_FRESH_SECONDS:
            return snapshot
        return await self._fetch_shared()

    async def _fetch_shared(self) -> _Snapshot:
        """Join the fetch under way, or begin one. A caller that goes away does not end it for the others."""
        if self._fetching is None:
            if self._failed_at is not None and self._clock() - self._failed_at < FAILURE_PAUSE_SECONDS:
                raise _unreachable()
            self._fetching = asyncio.create_task(self._fetch(), name="oidc-fetch")
            self._fetching.add_done_callback(self._fetched)
        try:
            return await asyncio.shield(self._fetching)
        except Problem:  # each caller raises one of its own, as it may add to it
            raise _unreachable() from None

    def _fetched(self, task: asyncio.Task[_Snapshot]) -> None:
        self._fetching = None
        if task.cancelled():
            return
        if task.exception() is None:
            self._snapshot, self._failed_at = task.result(), None
        else:
            self._failed_at = self._clock()

    async def _fetch(self) -> _Snapshot:
        url = self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, transport=self._transport) as client:
                discovery = msgspec.json.decode(await _download(client, url), type=Discovery)
                if discovery.issuer.rstrip("/") != self.config.issuer.rstrip("/"):
                    raise ValueError(f"it calls itself {discovery.issuer!r}")
                _check_endpoints(discovery)
                keys = _read_keys(await _download(client, discovery.jwks_uri))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            logger.warning("the OpenID Connect issuer %s can't be used: %r", self.config.issuer, error)
            raise _unreachable() from None
        return _Snapshot(discovery, keys, self._clock())


def role_of(payload: Mapping[str, Any], claim: str) -> Role:
    """The highest role a claim holds, by name: a string or a list; `customer` where it holds none we know."""
    value: object = payload.get(claim)  # a name may itself have dots: https://example.com/roles
    if value is None:
        value = payload
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    held = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return next((role for role in (Role.ADMIN, Role.SERVICE) if role.value in held), Role.CUSTOMER)


def _read_keys(document: bytes) -> tuple[_Key, ...]:
    """The keys of a JWKS that can verify signatures; keys of kinds unknown to us are passed over."""
    entries = msgspec.json.decode(document, type=dict[str, Any]).get("keys")
    if not isinstance(entries, list):
        raise ValueError("its key set has no keys")
    keys = []
    for entry in entries:
        try:
            jwk = msgspec.convert(entry, _Jwk)
            algorithms = _ALGORITHMS.get((jwk.kty, jwk.crv), frozenset())
            if jwk.use not in {None, "sig"} or (jwk.alg is not None and jwk.alg not in algorithms):
                continue
            chosen = algorithms if jwk.alg is None else {jwk.alg}
            keys.append(_Key(jwk.kid, {name: jwt.PyJWK(entry, name) for name in chosen}))
        except BAD_TOKEN_ERRORS:
            continue
    return tuple(keys)


def _check_endpoints(discovery: Discovery) -> None:
    scheme = discovery.issuer.split(":", 1)[0].lower()
    for url in (discovery.jwks_uri, discovery.authorization_endpoint, discovery.token_endpoint):
        if url is not None and not url.lower().startswith(("https://", f"{scheme}://")):
            raise ValueError(f"its endpoint {url!r} is not safe to use")


async def _download(client: httpx.AsyncClient, url: str) -> bytes:
    body = bytearray()
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as response:
        response.raise_for_status()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > DOCUMENT_BYTES_MAX:
                raise ValueError(f"{url} is longer than {DOCUMENT_BYTES_MAX} bytes")
    return bytes(body)


def _unreachable() -> Problem:
    return Problem(
        Code.BUSY,
        "The sign-in service can't be reached just now. Try again shortly.",
        headers={"Retry-After": str(FAILURE_PAUSE_SECONDS)},
        retry_after=FAILURE_PAUSE_SECONDS,
    )


def _authlib() -> tuple[Any, type[Exception]]:
    """Authlib's client and its error, imported where first used: few servers have an issuer, and it takes a while.

    Authlib 1.7 and later warn that they would rather have httpx2, which is not ours to act on.
    """
    with warnings.catch_warnings():
        from authlib.deprecate import AuthlibDeprecationWarning  # noqa: PLC0415

        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError  # noqa: PLC0415
    return AsyncOAuth2Client, OAuthError
