"""Bearer tokens of our own: HS256 JSON Web Tokens, minted here and verified here.

1. One algorithm. A token that names another (`none`, RS256, …) is refused before its signature is looked at.
2. `iss` tells what a token is for, so that the signed note of a sign-in under way is never taken for a session.
3. A refusal says why in plain words, and never repeats the token.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from math import ceil
from typing import Any

import jwt
import msgspec

from rowlock.http.problems import Code, Problem

ISSUER = "rowlock"
ALGORITHM = "HS256"
SECRET_KEY_BYTES_MIN = 32  # RFC 7518, 3.2: no shorter than the hash
TOKEN_BYTES_MAX = 8192  # an issuer's token with some hundred groups; more is an attack on the decoder
USER_ID_LENGTH_MAX = 255
NAME_LENGTH_MAX = 64
_YEAR_9999 = 253_402_300_799

# Control characters, line separators and halves of surrogate pairs: they break logs, headers and UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Whatever a decoder may throw at bytes a stranger chose. Verification turns all of it into a refusal.
BAD_TOKEN_ERRORS = (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError)


class Role(StrEnum):
    """What a caller may do: book for itself, book for anyone, or run the house."""

    CUSTOMER = "customer"
    SERVICE = "service"
    ADMIN = "admin"


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says. Times are in Unix seconds; `token_id` and `issued_at` are what it can be revoked by."""

    user_id: str
    role: Role
    expires_at: int
    name: str | None = None
    token_id: str | None = None
    issued_at: float | None = None


def unauthenticated(detail: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    """A 401, with the challenge that RFC 9110 asks for."""
    return Problem(Code.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer", **(headers or {})})


def mint(
    secret_key: str,
    *,
    user_id: str,
    role: str,
    hours: float,
    now: float | None = None,
    name: str | None = None,
) -> str:
    """A signed token for this user, good for so many hours from `now` (Unix seconds; default: the clock).

    Raises ValueError where `verify` would refuse the result: a user id, name or role that can't be, a key too short.
    """
    if not is_user_id(user_id):
        raise ValueError(
            f"a user id has 1 to {USER_ID_LENGTH_MAX} characters, none of them a control character"
        )
    if name is not None and clean_name(name) != name:
        raise ValueError(f"a name has 1 to {NAME_LENGTH_MAX} characters, none of them a control character")
    claims = {"sub": user_id, "role": Role(role).value, "jti": secrets.token_urlsafe(12)}
    if name is not None:
        claims["name"] = name
    return sign(secret_key, ISSUER, claims, seconds=hours * 3600, now=now)


def verify(token: str, keys: Sequence[str]) -> Claims:
    """What this token of ours says, if one of `keys` signed it and it has not expired; else a 401 with the reason."""
    payload = read(token, keys, ISSUER)
    user_id = subject(payload)
    try:
        role = Role(payload["role"])
    except (KeyError, ValueError):
        raise unauthenticated("The token's `role` is none of customer, service, admin.") from None
    return Claims(
        user_id,
        role,
        expiry(payload),
        clean_name(payload.get("name")),
        token_id=token_id(payload),
        issued_at=issue_time(payload),
    )


def sign(
    secret_key: str, issuer: str, claims: Mapping[str, str], *, seconds: float, now: float | None = None
) -> str:
    """Sign some claims for one purpose (`issuer`), for so many seconds."""
    issued_at = time.time() if now is None else now
    # To the millisecond, rounded up: whoever signs in again after all of a user's tokens were called back is let in.
    issued = ceil(issued_at * 1000) / 1000
    payload = {**claims, "iss": issuer, "iat": issued, "exp": int(int(issued_at) + seconds)}
    return jwt.encode(payload, signing_key(secret_key), algorithm=ALGORITHM)


def read(token: str, keys: Sequence[str], issuer: str) -> dict[str, Any]:
    """The claims of a token that `sign` made for this purpose; else a 401 with the reason."""
    check_shape(token)
    refusal = "The token's signature does not match."
    for key in keys:
        try:
            return jwt.decode(
                token,
                signing_key(key),
                algorithms=[ALGORITHM],
                issuer=issuer,
                # A clock a second ahead where the token was minted must not refuse it: `exp` is what bounds it.
                options={"require": ["exp", "iss"], "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            continue
        except BAD_TOKEN_ERRORS as error:
            refusal = reason(error)
            break
    raise unauthenticated(refusal)


def check_shape(token: str) -> None:
    """Refuse, before any decoding, what can't be a token."""
    if len(token) > TOKEN_BYTES_MAX:
        raise unauthenticated(f"The token is longer than {TOKEN_BYTES_MAX} bytes.")
    if not token.isascii():
        raise unauthenticated("The token is malformed.")


def reason(error: Exception) -> str:
    """Why a token is refused, without a word of the token itself."""
    match error:
        case jwt.ExpiredSignatureError():
            return "The token has expired."
        case jwt.ImmatureSignatureError():
            return "The token is not valid yet."
        case jwt.InvalidIssuerError():
            return "The token comes from an issuer that is not accepted here."
        case jwt.InvalidAudienceError():
            return "The token is meant for another audience."
        case jwt.MissingRequiredClaimError():
            return f"The token lacks its `{error.claim}`."
        case jwt.InvalidAlgorithmError():
            return "The token is signed with an algorithm that is not accepted here."
        case jwt.InvalidSignatureError():
            return "The token's signature does not match."
        case _:
            return "The token is malformed."


def expiry(payload: Mapping[str, Any]) -> int:
    """A verified payload's `exp`, bounded so that it can be written as a date."""
    return min(int(payload["exp"]), _YEAR_9999)


def token_id(payload: Mapping[str, Any]) -> str | None:
    """A verified payload's `jti`, if it has one."""
    value = payload.get("jti")
    return value if isinstance(value, str) and is_user_id(value) else None


def issue_time(payload: Mapping[str, Any]) -> float | None:
    """A verified payload's `iat`, if it is a time."""
    value = payload.get("iat")
    return float(value) if isinstance(value, int | float) and 0 <= value <= _YEAR_9999 else None


def subject(payload: Mapping[str, Any]) -> str:
    """A verified payload's `sub`, if it can be a user id; else a 401."""
    user_id = payload.get("sub")
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise unauthenticated("The token's `sub` is not a user id.")
    return user_id


def is_user_id(value: str) -> bool:
    """Whether this can name a user: 1 to 255 characters, none of them a control character."""
    if not 0 < len(value) <= USER_ID_LENGTH_MAX:
        return False
    return value.isprintable() or not UNPRINTABLE.search(value)  # the rule first: it costs a tenth


def clean_name(value: object) -> str | None:
    """A name fit to show, cut to its bound, or None where there is none. An odd name is no reason to refuse anyone."""
    if not isinstance(value, str):
        return None
    return UNPRINTABLE.sub("", value).strip()[:NAME_LENGTH_MAX].strip() or None


@lru_cache(maxsize=16)  # as many keys as a rotation could ever hold at once
def signing_key(secret_key: str) -> jwt.PyJWK:
    """The key, bound to its one algorithm. Raises ValueError where it is too short to be safe."""
    key = secret_key.encode()
    if len(key) < SECRET_KEY_BYTES_MIN:
        raise ValueError(
            f"the secret key has {len(key)} bytes; it needs at least {SECRET_KEY_BYTES_MIN}, best random ones"
        )
    return jwt.PyJWK({"kty": "oct", "k": base64.urlsafe_b64encode(key).rstrip(b"=").decode()}, ALGORITHM)
