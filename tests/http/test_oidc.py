"""Tokens of an OpenID Connect issuer, and signing in with it."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from litestar.testing import TestClient

from rowlock.http.identity import Authenticator
from rowlock.http.oidc import Issuer, OidcConfig, role_of
from rowlock.http.problems import Code, Problem
from rowlock.http.tokens import Role
from tests.http.auth_app import SECRET, Clock, application, bearer, config, token

ISSUER = "https://issuer.example"
CLIENT = "rowlock-client"

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def public(key: Any, algorithm: type[Any], **members: object) -> dict[str, Any]:
    """A key as the issuer publishes it."""
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **members}


RSA_JWK = public(RSA_KEY, jwt.algorithms.RSAAlgorithm, kid="rsa", use="sig")
EC_JWK = public(EC_KEY, jwt.algorithms.ECAlgorithm, kid="ec", alg="ES256")
ED_JWK = public(ED_KEY, jwt.algorithms.OKPAlgorithm, kid="ed")


class FakeIssuer(httpx.AsyncBaseTransport):
    """An issuer whose documents the tests write, and whose faults they choose."""

    def __init__(self) -> None:
        self.keys: list[Any] = [RSA_JWK, EC_JWK, ED_JWK]
        self.discovery: dict[str, Any] = {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/keys",
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
        }
        self.token_answer: tuple[int, Any] = (200, {})
        self.fault: Exception | httpx.Response | None = None
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the tests say."""
        self.asked.append(request.url.path)
        await asyncio.sleep(0)
        if isinstance(self.fault, Exception):
            raise self.fault
        if self.fault is not None:
            return self.fault
        match request.url.path:
            case "/.well-known/openid-configuration":
                return httpx.Response(200, json=self.discovery)
            case "/keys":
                return httpx.Response(200, json={"keys": self.keys})
            case "/token":
                status, body = self.token_answer
                return httpx.Response(status, json=body)
            case _:
                return httpx.Response(404)


@pytest.fixture
def fake() -> FakeIssuer:
    """An issuer in good health."""
    return FakeIssuer()


@pytest.fixture
def clock() -> Clock:
    """A monotonic clock."""
    return Clock(1000.0)


@pytest.fixture
def issuer(fake: FakeIssuer, clock: Clock) -> Issuer:
    """Our side of it."""
    return Issuer(oidc(), transport=fake, clock=clock)


def oidc(**changes: Any) -> OidcConfig:
    """The settings of most tests."""
    return OidcConfig(**{"issuer": ISSUER, "client_id": CLIENT, "audience": "tickets", **changes})


def issued(
    claims: dict[str, Any] | None = None,
    *,
    key: Any = RSA_KEY,
    algorithm: str = "RS256",
    kid: str | None = "rsa",
) -> str:
    """A token of the issuer's, with these claims over good ones; None takes one away."""
    good = {"iss": ISSUER, "aud": "tickets", "sub": "ada", "exp": int(time.time()) + 600, "name": "Ada"}
    payload = {name: value for name, value in {**good, **(claims or {})}.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def symmetric(payload: str, kid: str, secret: bytes) -> str:
    """An HS256 token, by hand: the library refuses to make such a forgery."""
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": kid}).encode()).decode()
    signature = hmac.new(secret, f"{head}.{payload}".encode(), "sha256").digest()
    return f"{head}.{payload}.{jwt.utils.base64url_encode(signature).decode()}"


async def refusal(issuer: Issuer, value: str) -> str:
    """The reason for which a token is refused."""
    with pytest.raises(Problem) as caught:
        await issuer.verify(value)
    assert caught.value.code is Code.UNAUTHENTICATED
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"
    return caught.value.detail


@pytest.mark.anyio
class TestTokens:
    """What a foreign token must be to be believed."""

    @pytest.mark.parametrize(
        ("key", "algorithm", "kid"),
        [
            (RSA_KEY, "RS256", "rsa"),
            (RSA_KEY, "PS384", "rsa"),
            (EC_KEY, "ES256", "ec"),
            (ED_KEY, "EdDSA", "ed"),
            (RSA_KEY, "RS256", None),
        ],
    )
    async def test_good_tokens(self, issuer: Issuer, key: Any, algorithm: str, kid: str | None) -> None:
        """Each kind of key with its own algorithms; a token without a kid where one key alone fits."""
        claims = await issuer.verify(issued(key=key, algorithm=algorithm, kid=kid))
        assert (claims.user_id, claims.role, claims.name) == ("ada", Role.CUSTOMER, "Ada")

    @pytest.mark.parametrize(
        ("claims", "said"),
        [
            ({"exp": int(time.time()) - 120}, "expired"),
            ({"exp": None}, "lacks its `exp`"),
            ({"iss": "https://evil.example"}, "issuer"),
            ({"iss": ISSUER + "/"}, "issuer"),
            ({"aud": "another"}, "audience"),
            ({"aud": None}, "lacks its `aud`"),
            ({"aud": CLIENT}, "audience"),
            ({"sub": None}, "lacks its `sub`"),
            ({"sub": ""}, "`sub`"),
            ({"sub": "a\x00"}, "`sub`"),
            ({"nbf": int(time.time()) + 86_400}, "not valid yet"),
        ],
    )
    async def test_claims_that_are_wrong(self, issuer: Issuer, claims: dict[str, Any], said: str) -> None:
        """Well signed, and yet not for us."""
        assert said in await refusal(issuer, issued(claims))

    async def test_a_public_key_is_no_secret(self, issuer: Issuer, fake: FakeIssuer) -> None:
        """The classic confusion: HS256 keyed with what the issuer publishes."""
        head, payload, _ = issued().split(".")
        pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for kid in ("rsa", "ec"):
            for secret in (json.dumps(RSA_JWK).encode(), RSA_JWK["n"].encode(), pem, b""):
                await refusal(issuer, symmetric(payload, kid, secret))
        secret = b"x" * 32
        fake.keys.append({"kty": "oct", "k": jwt.utils.base64url_encode(secret).decode(), "kid": "oct"})
        await refusal(issuer, symmetric(payload, "oct", secret))
        none = jwt.utils.base64url_encode(b'{"alg":"none","kid":"rsa"}').decode()
        await refusal(issuer, f"{none}.{payload}.")
        await refusal(issuer, f"{head}.{payload}.AAAA")

    async def test_a_key_verifies_by_its_own_algorithms(self, issuer: Issuer) -> None:
        """Neither another kind of key's, nor one that the issuer did not allow it, nor another's key."""
        await refusal(issuer, issued(key=EC_KEY, algorithm="ES256", kid="rsa"))
        await refusal(issuer, issued(key=rsa.generate_private_key(65537, 2048)))

    async def test_unusable_keys_are_passed_over(self, issuer: Issuer, fake: FakeIssuer) -> None:
        """An issuer may publish kinds we don't know; the others still count."""
        fake.keys[:0] = [
            "junk",
            {},
            {"kty": "??"},
            {"kty": "RSA", "kid": "rsa"},
            {**RSA_JWK, "use": "enc", "kid": "enc"},
        ]
        assert (await issuer.verify(issued())).user_id == "ada"
        await refusal(issuer, issued(kid="enc"))

    @pytest.mark.parametrize("junk", ["", "..", "a.b.c", "x" * 9000, "é.é.é"])
    async def test_junk(self, issuer: Issuer, junk: str) -> None:
        """Refused, and the issuer is not asked for it."""
        await refusal(issuer, junk)
        assert not issuer.is_named_by(junk)

    async def test_a_short_rsa_key_is_refused(self, issuer: Issuer, fake: FakeIssuer) -> None:
        """1024 bits can be factored."""
        weak = rsa.generate_private_key(65537, 1024)  # type: ignore[call-overload,unused-ignore]
        fake.keys = [public(weak, jwt.algorithms.RSAAlgorithm, kid="weak")]
        with pytest.warns(jwt.InsecureKeyLengthWarning):
            value = issued(key=weak, kid="weak")
        await refusal(issuer, value)


@pytest.mark.anyio
class TestKeys:
    """When the issuer's keys are fetched."""

    async def test_once_for_all_who_wait(self, issuer: Issuer, fake: FakeIssuer) -> None:
        """A stampede of the first tokens is one fetch; later ones are none."""
        await asyncio.gather(*(issuer.verify(issued()) for _ in range(20)))
        await issuer.verify(issued())
        assert fake.asked == ["/.well-known/openid-configuration", "/keys"]

    async def test_a_caller_that_goes_away_does_not_end_it_for_others(
        self, issuer: Issuer, fake: FakeIssuer
    ) -> None:
        """The fetch belongs to all of them."""
        first = asyncio.ensure_future(issuer.verify(issued()))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(issuer.verify(issued()))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).user_id == "ada"
        assert len(fake.asked) == 2

    async def test_again_after_an_hour(self, issuer: Issuer, fake: FakeIssuer, clock: Clock) -> None:
        """So that a key the issuer took back is not trusted for ever."""
        await issuer.verify(issued())
        fake.keys = [EC_JWK]
        clock.now += 3599
        await issuer.verify(issued())
        clock.now += 2
        await refusal(issuer, issued())

    async def test_a_new_key_is_found_at_once_but_not_for_every_stranger(
        self, issuer: Issuer, fake: FakeIssuer, clock: Clock
    ) -> None:
        """An unknown kid asks again, at most once a minute."""
        await issuer.verify(issued())
        new = ec.generate_private_key(ec.SECP256R1())
        fake.keys.append(public(new, jwt.algorithms.ECAlgorithm, kid="new"))
        value = issued(key=new, algorithm="ES256", kid="new")
        await refusal(issuer, value)
        clock.now += 60
        assert (await issuer.verify(value)).user_id == "ada"
        for number in range(10):
            await refusal(issuer, issued(kid=f"made-up-{number}"))
        assert len(fake.asked) == 4

    @pytest.mark.parametrize(
        "fault",
        [
            httpx.ConnectError("refused"),
            httpx.ReadTimeout("slow"),
            httpx.Response(500),
            httpx.Response(302, headers={"Location": "http://evil.example"}),
            httpx.Response(200, text="<html>"),
            httpx.Response(200, json={"issuer": ISSUER}),
            httpx.Response(200, json=[]),
            httpx.Response(200, json={"issuer": "https://evil.example", "jwks_uri": f"{ISSUER}/keys"}),
            httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"}),
            httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": "https://"}),
            httpx.Response(200, content=b"x" * 2_000_000),
        ],
    )
    async def test_an_issuer_in_trouble_is_a_503(
        self, issuer: Issuer, fake: FakeIssuer, clock: Clock, fault: Exception | httpx.Response
    ) -> None:
        """Not a 500, nor a wait for each; and all is well when it comes back."""
        fake.fault = fault
        for _ in range(5):
            with pytest.raises(Problem) as caught:
                await issuer.verify(issued())
            assert caught.value.code is Code.BUSY
            assert caught.value.headers["Retry-After"] == "5"
        assert len(fake.asked) <= 2
        fake.fault = None
        clock.now += 6
        assert (await issuer.verify(issued())).user_id == "ada"


@pytest.mark.parametrize(
    ("payload", "claim", "role"),
    [
        ({}, "roles", Role.CUSTOMER),
        ({"roles": "admin"}, "roles", Role.ADMIN),
        ({"roles": ["customer", "service"]}, "roles", Role.SERVICE),
        ({"roles": ["service", "admin", 7, None]}, "roles", Role.ADMIN),
        ({"roles": "administrator"}, "roles", Role.CUSTOMER),
        ({"roles": {"admin": True}}, "roles", Role.CUSTOMER),
        ({"roles": 7}, "roles", Role.CUSTOMER),
        ({"realm_access": {"roles": ["admin"]}}, "realm_access.roles", Role.ADMIN),
        ({"realm_access": "admin"}, "realm_access.roles", Role.CUSTOMER),
        ({"https://example.com/roles": ["admin"]}, "https://example.com/roles", Role.ADMIN),
    ],
)
def test_roles(payload: dict[str, Any], claim: str, role: Role) -> None:
    """The highest role the claim names; nothing odd makes anybody staff."""
    assert role_of(payload, claim) is role


def test_an_issuer_needs_an_audience() -> None:
    """Else a token made for any other application of the issuer's would do."""
    with pytest.raises(ValueError, match="audience"):
        OidcConfig(issuer=ISSUER)


SITE = "http://tickets.example"


@pytest.fixture
def site(issuer: Issuer) -> Iterator[TestClient[Any]]:
    """An application that trusts the fake issuer."""
    auth = Authenticator(config(), issuer=issuer)
    with TestClient(application(auth), base_url=SITE) as opened:
        opened.follow_redirects = False
        yield opened


class TestRequests:
    """The issuer's tokens on requests."""

    def test_both_kinds_of_tokens_work(self, site: TestClient[Any], fake: FakeIssuer) -> None:
        """Ours never asks the issuer; the issuer's is remembered."""
        assert site.get("/who", headers=bearer(token(user_id="ours"))).json()["user_id"] == "ours"
        assert fake.asked == []
        value = issued({"roles": ["admin"]})
        for _ in range(2):
            assert site.get("/admin", headers=bearer(value)).status_code == 200
        fake.fault = httpx.ConnectError("gone")
        assert site.get("/who", headers=bearer(value)).json()["user_id"] == "ada"

    def test_each_issuer_s_keys_are_for_its_own_tokens(self, site: TestClient[Any]) -> None:
        """A token that says it is ours, signed by the issuer, and the other way round."""
        assert (
            site.get("/who", headers=bearer(issued({"iss": "rowlock", "role": "admin"}))).status_code == 401
        )
        forged = jwt.encode(
            {"iss": ISSUER, "aud": "tickets", "sub": "x", "exp": time.time() + 60}, SECRET, "HS256"
        )
        assert site.get("/who", headers=bearer(forged)).status_code == 401

    def test_an_outage_is_a_503(self, site: TestClient[Any], fake: FakeIssuer) -> None:
        """For the issuer's tokens alone."""
        fake.fault = httpx.ConnectError("gone")
        answer = site.get("/who", headers=bearer(issued()))
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert answer.headers["Retry-After"] == "5"
        assert site.get("/who", headers=bearer(token())).status_code == 200

    def test_staff_sign_in_with_the_issuer_s_token(self, site: TestClient[Any]) -> None:
        """As with one of ours."""
        answer = site.post("/api/session", json={"token": issued({"roles": "service"})})
        assert (answer.status_code, answer.json()["role"]) == (201, "service")
        assert site.get("/staff").status_code == 200

    def test_an_expired_token_begins_no_session(self, site: TestClient[Any]) -> None:
        """Not even within the seconds that clocks may differ."""
        late = issued({"exp": int(time.time()) - 10})
        assert site.get("/who", headers=bearer(late)).status_code == 200
        assert site.post("/api/session", json={"token": late}).status_code == 401


class TestCodeFlow:
    """Signing in on the issuer's own page."""

    def begin(self, site: TestClient[Any], next_path: str = "/shows/1?a=b") -> dict[str, str]:
        """Go to the issuer; what it is asked."""
        answer = site.get("/api/session/login", params={"next": next_path})
        assert answer.status_code == 302
        target = urlsplit(answer.headers["Location"])
        assert f"{target.scheme}://{target.netloc}{target.path}" == f"{ISSUER}/authorize"
        return {name: values[0] for name, values in parse_qs(target.query).items()}

    def id_token(self, asked: dict[str, str], **claims: Any) -> str:
        """What the issuer would answer."""
        return issued({"aud": CLIENT, "nonce": asked["nonce"], **claims})

    def test_the_issuer_is_asked_with_pkce_state_and_nonce(self, site: TestClient[Any]) -> None:
        """And the note of it is for this browser and this path alone."""
        answer = site.get("/api/session/login")
        asked = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["response_type"] == ["code"]
        assert asked["client_id"] == [CLIENT]
        assert asked["redirect_uri"] == [f"{SITE}/api/session/callback"]
        assert len(asked["state"][0]) >= 32
        assert len(asked["nonce"][0]) >= 32
        header = answer.headers["Set-Cookie"]
        for attribute in ("HttpOnly", "SameSite=lax", "Path=/api/session", "Max-Age=600"):
            assert attribute in header

    def test_the_whole_way(self, site: TestClient[Any], fake: FakeIssuer) -> None:
        """To the issuer, back, and on to where the visitor was."""
        assert site.get("/api/session").json()["login_url"] == "/api/session/login"
        asked = self.begin(site)
        fake.token_answer = (
            200,
            {"token_type": "Bearer", "access_token": "x", "id_token": self.id_token(asked)},
        )
        answer = site.get("/api/session/callback", params={"code": "c", "state": asked["state"]})
        assert (answer.status_code, answer.headers["Location"]) == (302, "/shows/1?a=b")
        me = site.get("/api/session").json()
        assert (me["user_id"], me["role"], me["name"], me["source"]) == ("ada", "customer", "Ada", "cookie")
        again = site.get("/api/session/callback", params={"code": "c", "state": asked["state"]})
        assert again.status_code == 400

    @pytest.mark.parametrize(
        "next_path", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/e", ""]
    )
    def test_no_open_redirect(self, site: TestClient[Any], next_path: str) -> None:
        """A link to our sign-in must not end on another's page."""
        answer = site.get("/api/session/login", params={"next": next_path})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "next"

    def test_a_path_of_any_script(self, site: TestClient[Any], fake: FakeIssuer) -> None:
        """A header holds ASCII alone; the path is quoted, not lost."""
        asked = self.begin(site, "/shows/Zoë")
        fake.token_answer = (
            200,
            {"token_type": "Bearer", "access_token": "x", "id_token": self.id_token(asked)},
        )
        answer = site.get("/api/session/callback", params={"code": "c", "state": asked["state"]})
        assert answer.headers["Location"] == "/shows/Zo%C3%AB"

    def test_an_answer_to_another_sign_in(self, site: TestClient[Any]) -> None:
        """A state that is missing or not ours: somebody else's sign-in, slipped to this visitor."""
        assert site.get("/api/session/callback?code=c&state=x").status_code == 400
        self.begin(site)
        for query in (
            "code=c",
            "code=c&state=",
            "code=c&state=x",
            "code=c&state=%C3%A9",
            "code=c&state=%ED%A0%80",
            "",
        ):
            assert site.get(f"/api/session/callback?{query}").status_code == 400
            self.begin(site)
        junk = {"Cookie": "rowlock_login=junk"}
        assert site.get("/api/session/callback?code=c&state=x", headers=junk).status_code == 400
        session = {"Cookie": f"rowlock_login={token('admin')}"}
        assert site.get("/api/session/callback?code=c&state=x", headers=session).status_code == 400

    @pytest.mark.parametrize(
        "claims",
        [
            {"nonce": "another"},
            {"nonce": None},
            {"aud": "tickets"},
            {"azp": "another", "aud": [CLIENT, "another"]},
            {"exp": int(time.time()) - 120},
            {"iss": "https://evil.example"},
        ],
    )
    def test_an_id_token_that_is_wrong(
        self, site: TestClient[Any], fake: FakeIssuer, claims: dict[str, Any]
    ) -> None:
        """No session comes of it, and the note is gone."""
        asked = self.begin(site)
        id_token = self.id_token(asked, **claims)
        fake.token_answer = (200, {"token_type": "Bearer", "access_token": "x", "id_token": id_token})
        answer = site.get("/api/session/callback", params={"code": "c", "state": asked["state"]})
        assert answer.status_code == 401
        assert "rowlock_session" not in site.cookies
        assert "rowlock_login" not in site.cookies

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            ((400, {"error": "invalid_grant"}), 401),
            ((200, {"token_type": "Bearer", "access_token": "x"}), 401),
            ((200, {"token_type": "Bearer", "access_token": "x", "id_token": 7}), 401),
            ((200, {"token_type": "Bearer", "access_token": "x", "id_token": "junk"}), 401),
            ((200, []), 503),
            ((429, "slow down"), 503),
            ((502, {}), 503),
        ],
    )
    def test_a_token_endpoint_in_trouble(
        self, site: TestClient[Any], fake: FakeIssuer, answer: tuple[int, Any], status: int
    ) -> None:
        """Never a 500."""
        asked = self.begin(site)
        fake.token_answer = answer
        found = site.get("/api/session/callback", params={"code": "c", "state": asked["state"]})
        assert found.status_code == status

    def test_a_visitor_who_declines(self, site: TestClient[Any]) -> None:
        """The issuer says `error=access_denied`."""
        asked = self.begin(site)
        query = {"error": "access_denied<script>", "state": asked["state"]}
        answer = site.get("/api/session/callback", params=query)
        assert answer.status_code == 401
        assert "script" not in answer.text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the mock's own, on its own thread
class TestRealProvider:
    """The whole flow against a provider that is not ours, over loopback."""

    @pytest.fixture
    def provider(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """oidc-provider-mock on a port of its own."""
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        import oidc_provider_mock

        users = (
            oidc_provider_mock.User(sub="boss", claims={"name": "Bo", "groups": {"tickets": ["admin"]}}),
        )
        with oidc_provider_mock.run_server_in_thread(user_claims=users, require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"

    def test_signing_in(self, provider: str) -> None:
        """Discovery, the form, the code, the keys, the session, and its role."""
        settings = OidcConfig(
            issuer=provider, client_id=CLIENT, client_secret="s", roles_claim="groups.tickets"
        )
        auth = Authenticator(config(oidc=settings, public_url="http://tickets.example/"))
        with TestClient(application(auth), base_url=SITE) as site:
            site.follow_redirects = False
            start = site.get("/api/session/login", params={"next": "/admin"})
            form = httpx.get(start.headers["Location"])
            assert re.search(r"<form", form.text)
            back = httpx.post(start.headers["Location"], data={"sub": "boss"})
            assert back.status_code == 302
            target = urlsplit(back.headers["Location"])
            assert target.path == "/api/session/callback"
            answer = site.get(f"{target.path}?{target.query}")
            assert (answer.status_code, answer.headers["Location"]) == (302, "/admin")
            me = site.get("/api/session").json()
            assert (me["user_id"], me["name"], me["role"]) == ("boss", "Bo", "admin")
            assert site.get("/admin").status_code == 200
