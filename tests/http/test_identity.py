"""Who the server takes a caller for, and what it then lets it do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from rowlock.http import identity
from rowlock.http.identity import ANONYMOUS, DEMO, AuthConfig, Authenticator, Caller, IdentityMiddleware, Role
from rowlock.http.origins import cors_config, is_loopback_host
from rowlock.http.problems import Code, Problem
from tests.http.auth_app import SECRET, Clock, application, bearer, config, token

SITE = "http://tickets.example"


def client(base_url: str = SITE, **changes: Any) -> TestClient[Any]:
    """A client of an application with these settings."""
    return TestClient(application(Authenticator(config(**changes))), base_url=base_url)


@pytest.fixture
def site() -> Iterator[TestClient[Any]]:
    """Token mode."""
    with client() as opened:
        yield opened


@pytest.fixture
def demo() -> Iterator[TestClient[Any]]:
    """Demo mode, asked by a loopback name."""
    with client("http://127.0.0.1:8000", demo=True) as opened:
        yield opened


def cookie(value: str) -> dict[str, str]:
    """The header that carries a session."""
    return {"Cookie": f"a=b; rowlock_session={value}; c=d"}


class TestCredentials:
    """The header, the cookie, and neither."""

    def test_nobody(self, site: TestClient[Any]) -> None:
        """No credential is no refusal on a public route."""
        body = site.get("/who").json()
        nobody: dict[str, Any] = {
            "user_id": None,
            "roles": [],
            "name": None,
            "source": "anonymous",
            "is_staff": False,
            "acts_as": "",
        }
        assert body == nobody

    def test_bearer(self, site: TestClient[Any]) -> None:
        """A token says who; the second time it is remembered, and says the same."""
        for _ in range(2):
            body = site.get("/who", headers=bearer(token("service", "bot"))).json()
            assert (body["user_id"], body["roles"], body["source"]) == ("bot", ["service"], "token")

    def test_cookie(self, site: TestClient[Any]) -> None:
        """The same in the cookie."""
        body = site.get("/who", headers=cookie(token("admin", "boss", name="Bo"))).json()
        boss = {
            "user_id": "boss",
            "roles": ["admin"],
            "name": "Bo",
            "source": "cookie",
            "is_staff": True,
            "acts_as": "admin",
        }
        assert body == boss

    def test_another_cookie_that_ends_alike_is_not_ours(self, site: TestClient[Any]) -> None:
        """Cookies of other applications on the host are none of our business."""
        headers = {"Cookie": f"xrowlock_session={token('admin')}; rowlock_session="}
        assert site.get("/who", headers=headers).json()["source"] == "anonymous"

    def test_the_header_wins(self, site: TestClient[Any]) -> None:
        """A program that sends a token means it, whatever its cookie jar holds."""
        headers = {**bearer(token(user_id="header")), **cookie(token(user_id="cookie"))}
        assert site.get("/who", headers=headers).json()["user_id"] == "header"

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Bearer",
            "Bearer ",
            "Basic dTpw",
            "Bearer a b",
            "bearer x",
            "Bearer ü",
            "\xff\xfe",
            "Bearer " + "x" * 9000,
        ],
    )
    def test_a_bad_header_is_a_401_even_on_public_routes(self, site: TestClient[Any], value: str) -> None:
        """A lapsed caller must not act as nobody, or, in demo mode, as everybody."""
        answer = site.get("/who", headers={b"Authorization": value.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_two_headers_are_a_401(self, site: TestClient[Any]) -> None:
        """A proxy and we must not believe two different ones."""
        headers = [("Authorization", f"Bearer {token()}"), ("Authorization", f"Bearer {token('admin')}")]
        assert site.get("/who", headers=headers).status_code == 401

    def test_a_bad_cookie_is_a_401_that_clears_itself(self, site: TestClient[Any]) -> None:
        """After the key is rotated a browser would else be locked out: its page can't clear the cookie."""
        answer = site.get("/who", headers=cookie("stale"))
        assert answer.status_code == 401
        assert answer.headers["Set-Cookie"].startswith("rowlock_session=; ")
        assert "Max-Age=0" in answer.headers["Set-Cookie"]

    @pytest.mark.parametrize("value", ['"', '""', ";;;", "\xff", "=", "a=b", "x" * 9000])
    def test_junk_cookies_are_never_an_error(self, site: TestClient[Any], value: str) -> None:
        """Whatever stands there."""
        raw = b"rowlock_session=" + value.encode("latin-1")
        assert site.get("/who", headers={b"Cookie": raw}).status_code in {200, 401}

    def test_a_remembered_token_still_expires(self) -> None:
        """Memory must not outlive the token."""
        clock = Clock()
        auth = Authenticator(config(), clock=clock)
        scope: Any = {
            "type": "http",
            "method": "GET",
            "headers": [(b"authorization", f"Bearer {token(hours=0.5)}".encode())],
        }
        first = auth.identify(scope)
        assert first is auth.identify(scope)
        clock.now += 1801
        assert auth.remembered(scope["headers"][0][1]) is None
        assert not auth._known

    def test_what_was_learnt_from_a_cookie_is_not_taken_for_a_header(self, site: TestClient[Any]) -> None:
        """And the other way round: each is read by its own rules, remembered or not."""
        value = token()
        assert site.get("/who", headers=cookie(value)).status_code == 200
        assert site.get("/who", headers={"Authorization": value}).status_code == 401
        assert site.get("/who", headers=bearer(value)).status_code == 200
        assert site.get("/who", headers=cookie(f"Bearer {value}")).status_code == 401

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The token used longest ago makes room."""
        monkeypatch.setattr(identity, "KNOWN_TOKENS_MAX", 2)
        auth = Authenticator(config())
        for user_id in ("a", "b", "c"):
            headers = [(b"authorization", f"Bearer {token(user_id=user_id)}".encode())]
            scope: Any = {"type": "http", "method": "GET", "headers": headers}
            auth.identify(scope)
        assert [caller.user_id for _, caller, _ in auth._known.values()] == ["b", "c"]

    def test_a_key_too_short_stops_the_start(self) -> None:
        """Better no server than one whose tokens can be forged."""
        with pytest.raises(ValueError, match="at least 32"):
            AuthConfig(secret_keys=("short",))
        with pytest.raises(ValueError, match="at least one"):
            AuthConfig(secret_keys=())
        assert SECRET not in repr(config())


class TestRoles:
    """Guards, and whom a caller may act for."""

    @pytest.mark.parametrize(
        ("role", "statuses"),
        [
            (None, (401, 401, 401)),
            ("customer", (200, 403, 403)),
            ("service", (200, 200, 403)),
            ("admin", (200, 200, 200)),
        ],
    )
    def test_guards(self, site: TestClient[Any], role: str | None, statuses: tuple[int, ...]) -> None:
        """Who gets in where."""
        headers = bearer(token(role)) if role else {}
        paths = ("/signed-in", "/staff", "/admin")
        assert tuple(site.get(path, headers=headers).status_code for path in paths) == statuses

    def test_a_customer_acts_for_itself_alone(self, site: TestClient[Any]) -> None:
        """Naming another user is refused, and the field is named."""
        headers = bearer(token(user_id="u-1"))
        assert site.post("/act", headers=headers).json() == {"user_id": "u-1"}
        assert site.post("/act?named=u-1", headers=headers).json() == {"user_id": "u-1"}
        answer = site.post("/act?named=u-2", headers=headers)
        assert answer.status_code == 403
        assert answer.json()["errors"][0]["field"] == "user_id"

    @pytest.mark.parametrize("role", ["service", "admin"])
    def test_staff_act_for_anyone(self, site: TestClient[Any], role: str) -> None:
        """And for themselves where they name nobody."""
        headers = bearer(token(role, "boss"))
        assert site.post("/act?named=u-2", headers=headers).json() == {"user_id": "u-2"}
        assert site.post("/act", headers=headers).json() == {"user_id": "boss"}

    def test_nobody_acts_for_nobody(self, site: TestClient[Any]) -> None:
        """A booking always belongs to somebody."""
        assert site.post("/act?named=u-2").status_code == 401

    def test_may_act_for(self) -> None:
        """What belongs to whom."""
        customer = Caller("u-1", frozenset({Role.CUSTOMER}), None, "token")
        service = Caller("bot", frozenset({Role.SERVICE}), None, "token")
        assert customer.may_act_for("u-1")
        assert not customer.may_act_for("u-2")
        assert service.may_act_for("u-2")
        assert (service.is_staff, service.is_admin) == (True, False)
        assert not ANONYMOUS.may_act_for("None")
        assert DEMO.may_act_for("u-2")
        assert DEMO.is_admin


class TestDemo:
    """Demo mode asks for no credentials, so it must be reachable only from the machine it runs on."""

    def test_every_role_and_any_name(self, demo: TestClient[Any]) -> None:
        """A guest unless it names somebody."""
        assert demo.post("/act").json() == {"user_id": "guest"}
        assert demo.post("/act?named=ada").json() == {"user_id": "ada"}
        assert demo.get("/admin").status_code == 200
        assert demo.get("/who").json()["source"] == "demo"

    def test_a_token_is_believed(self, demo: TestClient[Any]) -> None:
        """With credentials a call is what its token says, and a bad one is refused."""
        assert demo.get("/admin", headers=bearer(token("customer"))).status_code == 403
        assert demo.get("/who", headers=bearer("junk")).status_code == 401
        with client("http://demo.example", demo=True) as elsewhere:
            assert elsewhere.get("/admin", headers=bearer(token("admin"))).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "127.0.0.256",
            "127.1",
            "0.0.0.0",
            "128.0.0.1",
            "[::2]",
            "::1",
            "localhost:",
            "localhost:99999999",
            "localhost@evil.example",
            "evil.example, localhost",
            "",
            ".localhost",
            "localhost\x00",
        ],
    )
    def test_other_hosts_are_refused(self, host: str) -> None:
        """A page that rebinds its name to 127.0.0.1 still sends its own name."""
        assert not is_loopback_host(host)

    @pytest.mark.parametrize(
        "host",
        [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1",
            "127.9.8.7:80",
            "[::1]",
            "[::1]:8000",
            "demo.localhost:3000",
        ],
    )
    def test_loopback_hosts(self, host: str) -> None:
        """All the names a browser on this machine may use."""
        assert is_loopback_host(host)

    def test_the_refusal_says_why(self) -> None:
        """Whoever put a demo on a server learns what to do."""
        with client("http://demo.example", demo=True) as elsewhere:
            answer = elsewhere.get("/who")
        assert answer.status_code == 403
        assert "localhost" in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({}, 201),
            ({"Origin": "http://localhost:8000"}, 201),
            ({"Origin": "http://127.0.0.1:5173"}, 201),
            ({"Origin": "http://[::1]:5173", "Sec-Fetch-Site": "cross-site"}, 201),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "http://localhost.evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "http://localhost:8000/../x"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
        ],
    )
    def test_a_page_elsewhere_can_not_book(
        self, demo: TestClient[Any], headers: dict[str, str], status: int
    ) -> None:
        """Through a visitor's browser any site reaches localhost."""
        assert demo.post("/act", headers=headers).status_code == status

    def test_cors_admits_loopback_alone(self, demo: TestClient[Any]) -> None:
        """A page under development on another port may ask; no other."""
        good = demo.get("/who", headers={"Origin": "http://localhost:5173"})
        assert good.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
        assert good.headers["Access-Control-Allow-Credentials"] == "true"
        bad = demo.get("/who", headers={"Origin": "http://localhost.evil.example"})
        assert "Access-Control-Allow-Origin" not in bad.headers


class TestPages:
    """Cross-site requests: the cookie is sent by the browser, whoever's page asked."""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Origin": "http://tickets.example"}, 201),
            ({"Origin": "https://tickets.example"}, 201),  # TLS ends at a proxy
            ({"Origin": "https://tickets.example:443"}, 201),
            ({"Origin": "https://public.example"}, 201),
            ({"Origin": "https://partner.example"}, 201),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "https://rewritten.example"}, 201),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "https://partner.example"}, 201),
            ({}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "https://tickets.example:8443"}, 403),
            ({"Origin": "https://tickets.example.evil.example"}, 403),
            ({"Origin": "https://partner.example.evil.example"}, 403),
            ({"Origin": "http://localhost"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
        ],
    )
    def test_a_change_by_cookie_comes_from_our_page(self, headers: dict[str, str], status: int) -> None:
        """Else a foreign page could book, or cancel, as whoever visits it."""
        with client(cors_origins=("https://partner.example",), public_url="https://public.example/") as site:
            session = cookie(token())
            assert site.post("/act", headers={**session, **headers}).status_code == status
            assert site.get("/who", headers={**session, **headers}).status_code == 200

    def test_a_change_by_token_may_come_from_anywhere(self, site: TestClient[Any]) -> None:
        """No page can send a token it doesn't have."""
        headers = {**bearer(token()), "Origin": "https://evil.example"}
        assert site.post("/act", headers=headers).status_code == 201

    def test_cors_is_closed_unless_opened(self, site: TestClient[Any]) -> None:
        """By default no other site reads our answers."""
        assert cors_config((), demo=False) is None
        assert "Access-Control-Allow-Origin" not in site.get("/who", headers={"Origin": SITE}).headers

    def test_cors_preflight(self) -> None:
        """A named site may send what our API takes, and read what it answers."""
        with client(cors_origins=("https://partner.example",)) as site:
            asked = {
                "Origin": "https://partner.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, idempotency-key, content-type, prefer",
            }
            assert site.options("/act", headers=asked).status_code == 204
            refused = site.options("/act", headers={**asked, "Origin": "https://evil.example"})
            assert refused.status_code == 400
            answer = site.get("/who", headers={"Origin": "https://partner.example"})
            assert "Idempotency-Replayed" in answer.headers["Access-Control-Expose-Headers"]
            assert answer.headers["Access-Control-Allow-Credentials"] == "true"
            # A refusal must be readable too: the page shows why.
            denied = site.get("/who", headers={"Origin": "https://partner.example", **bearer("x")})
            assert denied.headers["Access-Control-Allow-Origin"] == "https://partner.example"

    def test_a_star_never_admits_cookies(self) -> None:
        """`*` is for public data: it must not let every page act as its visitor."""
        with client(cors_origins=("*",)) as site:
            headers = {**cookie(token()), "Origin": "https://evil.example"}
            assert site.post("/act", headers=headers).status_code == 403
            answer = site.get("/who", headers={"Origin": "https://evil.example"})
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_middleware_adds_no_coroutine() -> None:
    """It lies on the path of every booking: it hands back the next app's own awaitable."""
    handed_back: Any = object()
    middleware = IdentityMiddleware(lambda *_: handed_back, Authenticator(config()))
    scope: Any = {"type": "http", "method": "GET", "headers": [(b"host", b"x")]}
    nothing: Any = None
    assert middleware(scope, nothing, nothing) is handed_back
    assert scope["user"] is ANONYMOUS


def test_problems_are_raised_with_their_code() -> None:
    """So that the one exception handler can render them."""
    with pytest.raises(Problem) as caught:
        ANONYMOUS.acting_user("u")
    assert caught.value.code is Code.UNAUTHENTICATED
