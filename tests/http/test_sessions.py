"""Signing in and out of the page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar.testing import TestClient

from rowlock.http.identity import Authenticator
from rowlock.http.sessions import is_local_path
from rowlock.http.tokens import verify
from tests.http.auth_app import OTHER_SECRET, SECRET, application, bearer, config, token

SITE = "http://tickets.example"
OUR_PAGE = {"Origin": SITE}


def client(base_url: str = SITE, **changes: Any) -> TestClient[Any]:
    """A browser, so far as cookies go."""
    return TestClient(application(Authenticator(config(**changes))), base_url=base_url)


@pytest.fixture
def site() -> Iterator[TestClient[Any]]:
    """Token mode."""
    with client() as opened:
        yield opened


def seconds_left(body: dict[str, Any]) -> float:
    """How long a session that has just begun will last."""
    return (datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)).total_seconds()


class TestGuests:
    """A visitor becomes a customer by giving a name."""

    def test_a_guest_signs_in_acts_and_signs_out(self, site: TestClient[Any]) -> None:
        """The whole visit."""
        answer = site.post("/api/session", json={"name": " Ada Lovelace "}, headers=OUR_PAGE)
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.json()
        assert body["user_id"].startswith("guest-")
        assert (body["name"], body["role"]) == ("Ada Lovelace", "customer")
        assert seconds_left(body) == pytest.approx(12 * 3600, abs=5)

        me = site.get("/api/session").json()
        assert me == {
            "user_id": body["user_id"],
            "name": "Ada Lovelace",
            "role": "customer",
            "roles": ["customer"],
            "source": "cookie",
            "login_url": None,
            "auth": "token",
        }
        assert site.post("/act", headers=OUR_PAGE).json() == {"user_id": body["user_id"]}
        assert site.delete("/api/session", headers=OUR_PAGE).status_code == 204
        assert site.get("/api/session").json()["source"] == "anonymous"
        assert site.delete("/api/session", headers=OUR_PAGE).status_code == 204

    def test_guests_can_not_be_guessed(self, site: TestClient[Any]) -> None:
        """Two guests of one name are two customers, 128 bits apart."""
        ids = {
            site.post("/api/session", json={"name": "Ada"}, headers=OUR_PAGE).json()["user_id"]
            for _ in range(3)
        }
        assert len(ids) == 3
        assert all(len(user_id) >= 28 for user_id in ids)

    @pytest.mark.parametrize(
        ("base_url", "public_url", "secure"),
        [
            (SITE, None, False),
            ("https://tickets.example", None, True),
            (SITE, "https://tickets.example", True),
        ],
    )
    def test_the_cookie_is_for_the_browser_alone(
        self, base_url: str, public_url: str | None, secure: bool
    ) -> None:
        """No script reads it, no other site's form sends it, and it goes over TLS alone where there is any."""
        with client(base_url, public_url=public_url) as site:
            header = site.post("/api/session", json={"name": "Ada"}).headers["Set-Cookie"]
        attributes = {part.strip().lower() for part in header.split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/", f"max-age={12 * 3600}"} <= attributes
        assert ("secure" in attributes) is secure
        assert "domain" not in header.lower()

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("", "1 to 64"),
            ("   ", "1 to 64"),
            ("x" * 65, "1 to 64"),
            ("a\nb", "control"),
            ("a\x00b", "control"),
        ],
    )
    def test_names_that_are_refused(self, site: TestClient[Any], name: str, said: str) -> None:
        """The field is named."""
        answer = site.post("/api/session", json={"name": name})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "name"
        assert said in answer.json()["detail"]

    @pytest.mark.parametrize("name", ["X", "x" * 64, "Zoë", "李小龍", "👩‍👩‍👧"])
    def test_names_that_are_fine(self, site: TestClient[Any], name: str) -> None:
        """People have all sorts of names."""
        assert site.post("/api/session", json={"name": name}, headers=OUR_PAGE).json()["name"] == name
        assert site.get("/api/session").json()["name"] == name

    @pytest.mark.parametrize(
        ("body", "field"), [({}, "name"), ({"name": "Ada", "token": "x"}, "token"), ({"name": None}, "name")]
    )
    def test_exactly_one_of_the_two(self, site: TestClient[Any], body: dict[str, Any], field: str) -> None:
        """Neither and both are refused."""
        answer = site.post("/api/session", json=body)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field

    @pytest.mark.parametrize(
        "body",
        [b'{"name":"Ada","role":"admin"}', b'{"name":5}', b"[]", b"nonsense", b"", b'"x"', b"null", b"\xff"],
    )
    def test_other_bodies_are_a_400(self, site: TestClient[Any], body: bytes) -> None:
        """An unknown field is refused: who asks for a role must learn that it was not given."""
        answer = site.post("/api/session", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400


class TestStaff:
    """Staff sign in with a token."""

    def test_the_session_is_the_token_s_user(self, site: TestClient[Any]) -> None:
        """Same user, same role, but a token of its own in the cookie."""
        given = token("admin", "boss", name="Bo", hours=48)
        answer = site.post("/api/session", json={"token": given}, headers=OUR_PAGE)
        body = answer.json()
        assert (answer.status_code, body["user_id"], body["role"], body["name"]) == (
            201,
            "boss",
            "admin",
            "Bo",
        )
        assert seconds_left(body) == pytest.approx(12 * 3600, abs=5)
        assert given not in answer.headers["Set-Cookie"]
        assert site.get("/admin").status_code == 200

    def test_the_session_ends_with_the_token(self, site: TestClient[Any]) -> None:
        """Signing in must not make a token live longer."""
        body = site.post("/api/session", json={"token": token("admin", hours=0.5)}).json()
        assert seconds_left(body) == pytest.approx(1800, abs=5)
        claims = verify(site.cookies["rowlock_session"], [SECRET])
        assert claims.expires_at == pytest.approx(datetime.now(UTC).timestamp() + 1800, abs=5)

    @pytest.mark.parametrize("bad", ["", "junk", "x" * 9000, "ü"])
    def test_a_bad_token_is_a_401(self, site: TestClient[Any], bad: str) -> None:
        """And is not repeated in the answer."""
        answer = site.post("/api/session", json={"token": bad})
        assert answer.status_code == 401
        assert "Set-Cookie" not in answer.headers

    def test_a_token_of_another_key_is_a_401(self, site: TestClient[Any]) -> None:
        """It may look all right."""
        assert site.post("/api/session", json={"token": token("admin", key=OTHER_SECRET)}).status_code == 401


class TestForeignPages:
    """A page elsewhere must neither sign a visitor in nor out."""

    @pytest.mark.parametrize(
        "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
    )
    def test_signing_in_and_out_is_refused(self, site: TestClient[Any], headers: dict[str, str]) -> None:
        """Also where there is no cookie yet: a visitor must not book under the name of an attacker's choosing."""
        assert site.post("/api/session", json={"name": "Eve"}, headers=headers).status_code == 403
        form = {"Content-Type": "text/plain", **headers}
        assert site.post("/api/session", content=b'{"name":"Eve"}', headers=form).status_code == 403
        assert site.delete("/api/session", headers=headers).status_code == 403

    def test_a_program_needs_no_origin(self, site: TestClient[Any]) -> None:
        """`curl` is no page."""
        assert site.post("/api/session", json={"name": "Ada"}).status_code == 201


class TestStaleCookies:
    """After a key was rotated, or a demo restarted, browsers hold cookies of the old key."""

    def test_a_stale_cookie_locks_nobody_out(self, site: TestClient[Any]) -> None:
        """It is cleared by the first answer, and signing in and out works with it."""
        stale = {"Cookie": f"rowlock_session={token(key=OTHER_SECRET)}", **OUR_PAGE}
        who = site.get("/api/session", headers=stale)
        assert (who.status_code, who.json()["source"]) == (200, "anonymous")
        assert "Max-Age=0" in who.headers["Set-Cookie"]
        assert site.delete("/api/session", headers=stale).status_code == 204
        assert site.post("/api/session", json={"name": "Ada"}, headers=stale).status_code == 201

    def test_a_bad_header_is_still_a_401(self, site: TestClient[Any]) -> None:
        """Only the cookie is forgiven: a program must learn that its token has lapsed."""
        assert site.get("/api/session", headers=bearer("junk")).status_code == 401


def test_demo_mode_says_so() -> None:
    """The page shows that everything is allowed here, and to whom bookings go."""
    with client("http://127.0.0.1:8000", demo=True) as demo:
        me = demo.get("/api/session").json()
        assert (me["user_id"], me["role"], me["source"]) == ("guest", "admin", "demo")
        assert me["roles"] == ["admin", "customer", "service"]
        assert demo.post("/api/session", json={"name": "Ada"}).status_code == 201
        assert demo.get("/api/session").json()["role"] == "customer"


def test_without_an_issuer_its_routes_are_not_there(site: TestClient[Any]) -> None:
    """404, and not an error."""
    assert site.get("/api/session/login").status_code == 404
    assert site.get("/api/session/callback?code=x&state=y").status_code == 404


@pytest.mark.parametrize("path", ["/", "/shows/1", "/shows/1?seat=A-1#map", "/a//b", "/@evil", "/%2F%2Fevil"])
def test_local_paths(path: str) -> None:
    """Where a sign-in may end."""
    assert is_local_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "shows",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/a\r\nSet-Cookie: x=y",
        "/" + "x" * 2000,
        "/" + "李" * 200,
    ],
)
def test_no_open_redirects(path: str) -> None:
    """A link to our sign-in must not end on another's page."""
    assert not is_local_path(path)


def test_every_route_is_documented(site: TestClient[Any]) -> None:
    """The API page shows what each does."""
    paths = site.get("/schema/openapi.json").json()["paths"]
    found = {
        operation["operationId"]: operation
        for path, item in paths.items()
        if path.startswith("/api/session")
        for operation in item.values()
    }
    assert set(found) == {
        "sign_in",
        "get_session",
        "sign_out",
        "begin_issuer_sign_in",
        "finish_issuer_sign_in",
    }
    for operation in found.values():
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"] == ["Session"]
