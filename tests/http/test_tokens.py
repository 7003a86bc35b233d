"""What a token must be to be believed: were one of these accepted, anybody could be anyone."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rowlock.http.problems import Code, Problem
from rowlock.http.tokens import TOKEN_BYTES_MAX, Role, clean_name, mint, read, sign, verify
from tests.http.auth_app import OTHER_SECRET, SECRET


def forged(claims: dict[str, Any], *, key: str = SECRET, algorithm: str = "HS256") -> str:
    """A token with these claims over good ones; None takes one away."""
    good = {"iss": "rowlock", "sub": "u-1", "role": "customer", "exp": int(time.time()) + 60}
    return jwt.encode(
        {k: v for k, v in {**good, **claims}.items() if v is not None}, key, algorithm=algorithm
    )


def segment(value: object) -> str:
    """One part of a token, by hand."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refusal(token: str, *keys: str) -> str:
    """The reason for which a token is refused."""
    with pytest.raises(Problem) as caught:
        verify(token, keys or (SECRET,))
    problem = caught.value
    assert problem.code is Code.UNAUTHENTICATED
    assert problem.headers["WWW-Authenticate"] == "Bearer"
    assert len(token) < 2 or token not in problem.detail
    return problem.detail


def test_a_minted_token_says_who_it_was_minted_for() -> None:
    """What goes in comes out."""
    claims = verify(mint(SECRET, user_id="u-1", role="admin", hours=2, name="Ada"), [SECRET])
    assert (claims.user_id, claims.role, claims.name) == ("u-1", Role.ADMIN, "Ada")
    assert claims.expires_at == pytest.approx(time.time() + 7200, abs=3)


def test_no_two_tokens_are_alike() -> None:
    """Each has an id of its own, so that one can be told from another in an audit."""
    assert mint(SECRET, user_id="u", role="admin", hours=1) != mint(
        SECRET, user_id="u", role="admin", hours=1
    )


def test_a_rotated_key_still_verifies_while_it_is_listed() -> None:
    """Rotating the secret signs nobody out until the old key is taken off."""
    token = mint(OTHER_SECRET, user_id="u-1", role="customer", hours=1)
    assert verify(token, [SECRET, OTHER_SECRET]).user_id == "u-1"
    assert "signature" in refusal(token, SECRET)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"exp": None}, "lacks its `exp`"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
        ({"iss": None}, "lacks its `iss`"),
        ({"iss": "somebody"}, "issuer"),
        ({"iss": "rowlock-login"}, "issuer"),
        ({"aud": "another"}, "audience"),
        ({"sub": None}, "`sub`"),
        ({"sub": ""}, "`sub`"),
        ({"sub": "x" * 256}, "`sub`"),
        ({"sub": "a\nb"}, "`sub`"),
        ({"sub": "a\x00b"}, "`sub`"),
        ({"sub": "a\ud800b"}, "`sub`"),
        ({"role": None}, "`role`"),
        ({"role": "root"}, "`role`"),
        ({"role": ["admin"]}, "`role`"),
        ({"role": {"admin": True}}, "`role`"),
    ],
)
def test_claims_that_are_wrong(claims: dict[str, Any], said: str) -> None:
    """Signed with the right key, and yet not a token of ours."""
    assert said in refusal(forged(claims))


def test_a_far_expiry_is_no_error() -> None:
    """A token for ever is the operator's choice; it must not overflow a date."""
    assert verify(forged({"exp": 10**30}), [SECRET]).expires_at == 253_402_300_799


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["HS256"], {"HS256": 1}])
def test_a_token_without_a_signature(algorithm: object) -> None:
    """`alg: none` is the oldest forgery there is."""
    payload = {"iss": "rowlock", "sub": "u", "role": "admin", "exp": int(time.time()) + 60}
    head = segment({"alg": algorithm, "typ": "JWT"})
    for signature in ("", "AAAA"):
        refusal(f"{head}.{segment(payload)}.{signature}")


def test_other_algorithms_are_refused() -> None:
    """HS512 with the right key, and RS256 with a key of the forger's: the algorithm is ours to choose."""
    assert "algorithm" in refusal(forged({}, key=SECRET * 2, algorithm="HS512"), SECRET * 2)
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    assert "algorithm" in refusal(forged({}, key=pem, algorithm="RS256"))


@pytest.mark.parametrize(
    "junk",
    ["", ".", "..", "...", "a.b.c", "x" * 100, "ü.ü.ü", "e30.e30.e30", "\x00", f"{'[' * 5000}.e30.e30"],
)
def test_junk_is_a_refusal_and_never_an_error(junk: str) -> None:
    """Strangers send what they like."""
    refusal(junk)


def test_deeply_nested_json_is_a_refusal() -> None:
    """It must not exhaust the decoder's stack."""
    deep = base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    refusal(f"{deep}.{deep}.AAAA")


def test_an_oversized_token_is_not_decoded() -> None:
    """Even a well signed one: the bound stands before the work."""
    assert "longer" in refusal(forged({"padding": "x" * TOKEN_BYTES_MAX}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"user_id": ""},
        {"user_id": "x" * 256},
        {"user_id": "a\tb"},
        {"role": "root"},
        {"name": " padded "},
        {"name": ""},
        {"name": "x" * 65},
    ],
)
def test_mint_refuses_what_verify_would(arguments: dict[str, Any]) -> None:
    """Who mints a bad token is told so, and not its bearer later."""
    with pytest.raises(ValueError, match=r"user id|Role|name"):
        mint(SECRET, **{"user_id": "u", "role": "customer", "hours": 1, **arguments})


def test_a_short_key_is_refused() -> None:
    """A key that can be guessed makes every token forgeable."""
    with pytest.raises(ValueError, match="at least 32"):
        mint("too short", user_id="u", role="customer", hours=1)


def test_a_note_for_one_purpose_is_good_for_no_other() -> None:
    """A sign-in under way is no session, and a session no sign-in."""
    note = sign(SECRET, "rowlock-login", {"sub": "u", "role": "admin"}, seconds=60)
    assert read(note, [SECRET], "rowlock-login")["sub"] == "u"
    assert "issuer" in refusal(note)


def test_names_are_made_fit_to_show() -> None:
    """A name never refuses its bearer, and never breaks a log or a page."""
    assert clean_name(" Ada\x00\n ") == "Ada"
    assert clean_name("x" * 80) == "x" * 64
    assert clean_name(" \n") is None
    assert clean_name(7) is None
