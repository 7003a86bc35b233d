"""Who may do what: every route, for every kind of caller. A route that is not in the table fails the test."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from litestar.routes import HTTPRoute

from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from tests.http.api import ADA, ADMIN, BOB, SECRET, SERVICE, TOMORROW, build, new_booking, new_show, running

CALLERS = {"anonymous": {}, "guest": {}, "other": BOB, "owner": ADA, "service": SERVICE, "admin": ADMIN}


class Case(NamedTuple):
    """A request, and the status that each caller gets, in the order of CALLERS; a guest gets what another customer does.

    {show} and {booking} are filled in.
    """

    method: str
    path: str
    statuses: tuple[int, int, int, int, int]
    body: dict[str, Any] | None = None
    route: str = ""
    confirmed: bool = False


PUBLIC = (200, 200, 200, 200, 200)
ADMIN_ONLY = (401, 403, 403, 403, 200)
OWN = (401, 404, 200, 200, 200)
A_TARGET = "https://192.0.78.9/hooks"  # never asked: no worker runs
SHOW = {"name": "A show", "start_time": TOMORROW, "total_seats": 10}

CLASSIC_CASES = [
    Case("POST", "/classic/1/admin/shows", (401, 403, 403, 403, 201), SHOW),
    Case("GET", "/classic/1/shows", PUBLIC),
    Case("GET", "/classic/1/shows/{show_id}/seats", PUBLIC),
    Case(
        "POST",
        "/classic/1/shows/{show_id}/book",
        (401, 403, 201, 201, 201),
        {"seat_nos": ["1"], "user_id": "ada"},
    ),
    Case("GET", "/classic/1/bookings/{booking_id}", OWN),
    Case("POST", "/classic/2/admin/show", ADMIN_ONLY, SHOW),
    Case("GET", "/classic/2/shows", PUBLIC),
    Case("POST", "/classic/2/book", (401, 200, 200, 200, 200), {"show_id": 1, "seat_count": 1}),
    Case("GET", "/classic/4/health", PUBLIC),
    Case(
        "POST",
        "/classic/4/shows",
        (401, 403, 403, 403, 201),
        {"name": "A show", "startTime": TOMORROW, "totalSeats": 10},
    ),
    Case("GET", "/classic/4/shows", PUBLIC),
    Case("GET", "/classic/4/shows/{show_id}", PUBLIC),
    Case(
        "POST",
        "/classic/4/shows/{show_id}/bookings",
        (401, 201, 201, 201, 201),
        {"seats": [1], "userName": "ada"},
    ),
    Case("GET", "/classic/4/bookings/{booking_id}", OWN),
]

CASES = [
    Case("GET", "/api/shows", PUBLIC),
    Case("POST", "/api/shows", (401, 403, 403, 403, 201), SHOW),
    Case("GET", "/api/shows/{show_id}", PUBLIC),
    Case("PATCH", "/api/shows/{show_id}", ADMIN_ONLY, {"name": "Another"}),
    Case("POST", "/api/shows/{show_id}/cancel", ADMIN_ONLY),
    Case("POST", "/api/shows/{show_id}/block", ADMIN_ONLY, {"seats": ["9"]}),
    Case("POST", "/api/shows/{show_id}/unblock", ADMIN_ONLY, {"seats": ["9"]}),
    Case("GET", "/api/shows/{show_id}/layout", PUBLIC),
    Case("GET", "/api/shows/{show_id}/seats", PUBLIC),
    Case("GET", "/api/shows/{show_id}/availability", PUBLIC),
    Case("HEAD", "/api/shows/{show_id}/live", PUBLIC),  # GET has no end
    Case("POST", "/api/shows/{show_id}/bookings", (401, 201, 201, 201, 201), {"seat_count": 1}),
    Case(
        "POST",
        "/api/shows/{show_id}/bookings",
        (401, 403, 201, 201, 201),
        {"seat_count": 1, "user_id": "ada"},
    ),
    Case("POST", "/api/bookings", (401, 201, 201, 201, 201), {"seat_count": 1, "show_id": 1}),
    Case(
        "POST",
        "/api/bookings",
        (401, 403, 201, 201, 201),
        {"seat_count": 1, "show_id": 1, "user_id": "ada"},
    ),
    Case("GET", "/api/bookings", (401, 200, 200, 200, 200)),
    Case("GET", "/api/bookings?user_id=ada", (401, 403, 200, 200, 200), route="/api/bookings"),
    Case("GET", "/api/bookings/user/ada", (401, 403, 200, 200, 200), route="/api/bookings/user/{user_id}"),
    Case("GET", "/api/bookings/{booking_id}", OWN),
    Case("POST", "/api/bookings/{booking_id}/confirm", OWN),
    Case("POST", "/api/bookings/{booking_id}/cancel", OWN),
    Case("POST", "/api/bookings/{booking_id}/cancel", OWN, confirmed=True),
    Case("POST", "/api/session", (201, 201, 201, 201, 201), {"name": "Somebody"}),
    Case("GET", "/api/session", PUBLIC),
    Case("DELETE", "/api/session", (204, 204, 204, 204, 204)),
    Case("GET", "/api/session/login", (404, 404, 404, 404, 404)),
    Case("GET", "/api/session/callback", (404, 404, 404, 404, 404)),
    Case("GET", "/api/audit", ADMIN_ONLY),
    Case("GET", "/api/shows/{show_id}/statistics", ADMIN_ONLY),
    Case("GET", "/api/shows/{show_id}/bookings", (401, 403, 403, 200, 200)),
    Case("GET", "/api/shows/{show_id}/bookings.csv", (401, 403, 403, 200, 200)),
    Case("GET", "/api/bookings/{booking_id}/calendar.ics", OWN),
    Case("POST", "/api/webhooks", (401, 403, 403, 403, 201), {"url": A_TARGET}),
    Case("GET", "/api/webhooks", ADMIN_ONLY),
    Case("GET", "/api/webhooks/{webhook_id}", ADMIN_ONLY),
    Case("PATCH", "/api/webhooks/{webhook_id}", ADMIN_ONLY, {"active": True}),
    Case("DELETE", "/api/webhooks/{webhook_id}", (401, 403, 403, 403, 204)),
    Case("GET", "/api/webhooks/{webhook_id}/deliveries", ADMIN_ONLY),
    Case(
        "POST",
        "/api/webhooks/{webhook_id}/deliveries/1-1/redeliver",
        (401, 403, 403, 403, 404),
        route="/api/webhooks/{webhook_id}/deliveries/{event_id}/redeliver",
    ),
    *CLASSIC_CASES,
    Case("GET", "/", PUBLIC),
    Case("GET", "/booking/1", PUBLIC, route="/booking/{booking_id}"),
    Case("GET", "/bookings", PUBLIC),
    Case("GET", "/bookings/{booking_id}", PUBLIC),
    Case("GET", "/sign-in", PUBLIC),
    Case("GET", "/admin", PUBLIC),
    Case("GET", "/admin/shows/1", PUBLIC, route="/admin/{path}"),
    Case("GET", "/favicon.svg", PUBLIC),
    Case("GET", "/assets/nothing.js", (404, 404, 404, 404, 404), route="/assets/{path}"),
    Case("GET", "/health", PUBLIC),
    Case("GET", "/ready", PUBLIC),
    Case("GET", "/metrics", PUBLIC),
    Case("GET", "/favicon.ico", PUBLIC),
    Case("GET", "/api-docs", PUBLIC),
    Case("GET", "/api-docs/openapi.json", PUBLIC),
    Case("GET", "/api-docs/start.js", PUBLIC),
    Case("GET", "/api-docs/swagger-ui.css", PUBLIC),
    Case("GET", "/api-docs/swagger-ui-bundle.js", PUBLIC),
    Case("GET", "/api-docs/favicon-32x32.png", PUBLIC),
    Case("GET", "/api-docs/nothing", (404, 404, 404, 404, 404), route="/api-docs/{path}"),
]


async def guest_session(client: httpx.AsyncClient) -> str:
    """The cookie of a new guest."""
    assert (await client.post("/api/session", json={"name": "Gina"})).status_code == 201
    value = client.cookies["rowlock_session"]
    client.cookies.clear()
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.method} {case.path}")
async def test_each_caller_gets_its_status(dsn: str, case: Case) -> None:
    """A stranger could do what only staff, or only the owner, may."""
    async with running(build(dsn)) as client:
        nobody, other, *others = case.statuses
        for (caller, headers), status in zip(CALLERS.items(), (nobody, other, other, *others), strict=True):
            show = await new_show(client) if "{show_id}" in case.path else {"id": 1}
            if case.body and case.body.get("show_id"):
                show = await new_show(client)
            booking: dict[str, Any] = {"id": ""}
            if "{booking_id}" in case.path:
                show = await new_show(client)
                booking = await new_booking(client, show["id"], seats=["1"], confirm=case.confirmed)
            body = case.body and case.body | ({"show_id": show["id"]} if "show_id" in case.body else {})
            webhook = 0
            if "{webhook_id}" in case.path:
                made = await client.post("/api/webhooks", json={"url": A_TARGET}, headers=ADMIN)
                webhook = made.json()["id"]
            path = case.path.format(show_id=show["id"], booking_id=booking["id"], webhook_id=webhook)
            if caller == "guest":
                client.cookies.set("rowlock_session", await guest_session(client))
            credential = {"Sec-Fetch-Site": "same-origin"} if caller == "guest" else headers
            answer = await client.request(case.method, path, json=body, headers=credential)
            assert answer.status_code == status, f"{caller}: {answer.text}"
            client.cookies.clear()


def test_every_route_is_in_the_table() -> None:
    """A new route would be open to whoever finds it."""
    app = create_http(AuthConfig(secret_keys=(SECRET,)))
    routes = {
        (method, route.path_format or "/")
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"
    }
    assert routes == {(case.method.replace("HEAD", "GET"), case.route or case.path) for case in CASES}


@pytest.mark.parametrize("caller", ["anonymous", "other", "owner", "service", "admin"])
async def test_demo_mode_lets_callers_without_credentials_do_all(dsn: str, caller: str) -> None:
    """The first try of a newcomer would end at a sign-in."""
    async with running(build(dsn, auth="demo", secret_key=None)) as client:
        assert (await client.post("/api/shows", json=SHOW)).status_code == 201
        body = {"seat_count": 1} if caller == "anonymous" else {"seat_count": 1, "user_id": caller}
        booked = await client.post("/api/shows/1/bookings", json=body)
        assert booked.status_code == 201
        owner = "guest" if caller == "anonymous" else caller
        assert booked.json()["user_id"] == owner
        assert (await client.get(f"/api/bookings/user/{owner}")).json()["items"] == [booked.json()]
        assert (await client.get("/api/bookings", params={"user_id": "nobody"})).json()["items"] == []
        assert (await client.post(f"/api/bookings/{booked.json()['id']}/cancel")).status_code == 200


async def test_customers_see_only_their_own(dsn: str) -> None:
    """One customer's name, address and seats would be another's to read."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        hers = await new_booking(client, show["id"], seats=["1"])
        assert (await client.get("/api/bookings", headers=BOB)).json()["items"] == []
        assert (await client.get("/api/bookings", headers=ADA)).json()["items"] == [hers]
        assert (await client.get("/api/bookings", headers=SERVICE)).json()["items"] == [hers]
        missing = (await client.get("/api/bookings/00000000-0000-80f8-8ade-4c57d094911f", headers=BOB)).json()
        foreign = (await client.get(f"/api/bookings/{hers['id']}", headers=BOB)).json()
        assert missing["title"] == foreign["title"]
        assert (
            missing["detail"].replace("00000000-0000-80f8-8ade-4c57d094911f", hers["id"]) == foreign["detail"]
        )


async def test_where_a_service_confirms_owners_may_not(dsn: str) -> None:
    """Seats would be given away before they are paid for."""
    async with running(build(dsn)) as client:
        show = await new_show(client, confirm_by="service")
        path = f"/api/shows/{show['id']}/bookings"
        refused = await client.post(path, json={"seats": ["1"]}, headers=ADA)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        held = await client.post(path, json={"seats": ["1"], "confirm": False}, headers=ADA)
        confirm = f"/api/bookings/{held.json()['id']}/confirm"
        assert (await client.post(confirm, headers=ADA)).status_code == 403
        assert (await client.post(confirm, headers=SERVICE)).json()["status"] == "CONFIRMED"


async def test_a_bad_token_is_refused_everywhere(dsn: str) -> None:
    """A caller whose token has lapsed would act as somebody else."""
    async with running(build(dsn)) as client:
        answer = await client.get("/api/shows", headers={"Authorization": "Bearer nonsense"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


UNSAFE = [case for case in CASES if case.method not in {"GET", "HEAD"}]


@pytest.mark.parametrize("case", UNSAFE, ids=lambda case: f"{case.method} {case.path}")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
        {"Origin": "null"},
    ],
    ids=["silent", "cross-site", "same-site", "null"],
)
async def test_no_foreign_page_changes_anything_with_a_visitors_cookie(
    dsn: str, case: Case, headers: dict[str, str]
) -> None:
    """A page that staff happens to look at would cancel a show for them."""
    async with running(build(dsn)) as client:
        cookie = {"Cookie": f"rowlock_session={ADMIN['Authorization'].removeprefix('Bearer ')}"}
        identifier = "00000000-0000-80f8-8ade-4c57d094911f"
        path = case.path.format(show_id=1, booking_id=identifier, webhook_id=1)
        answer = await client.request(case.method, path, json=case.body, headers={**cookie, **headers})
        assert answer.status_code == 403, answer.text
        assert (await client.get("/api/audit", headers=ADMIN)).json()["items"] == [], "and nothing was done"


async def test_lists_leak_nothing(dsn: str) -> None:
    """A list, a search or a cursor of one customer would show another's bookings."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        hers = [await new_booking(client, show["id"], seats=[str(n)]) for n in range(1, 4)]
        await client.post("/api/bookings", json={"show_id": show["id"], "seats": ["9"]}, headers=BOB)
        page = (await client.get("/api/bookings", params={"limit": 1}, headers=ADA)).json()
        stolen = {"cursor": page["next_cursor"], "limit": 10}
        client.cookies.set("rowlock_session", await guest_session(client))
        own_page = {"Sec-Fetch-Site": "same-origin"}
        for params in ({}, {"show_id": show["id"]}, {"status": "CONFIRMED"}, stolen):
            seen = (await client.get("/api/bookings", params=params, headers=BOB)).json()["items"]
            assert {booking["user_id"] for booking in seen} <= {"bob"}, params
            assert (await client.get("/api/bookings", params=params, headers=own_page)).json()["items"] == []
        client.cookies.clear()
        public = [
            f"/api/shows{rest}"
            for rest in ("", *(f"/{show['id']}{at}" for at in ("", "/seats", "/layout", "/availability")))
        ]
        for path in [
            *public,
            f"/classic/1/shows/{show['id']}/seats",
            f"/classic/4/shows/{show['id']}",
            "/metrics",
        ]:
            said = (await client.get(path)).text
            assert all(word not in said for word in ("ada", "bob", *(booking["id"] for booking in hers))), (
                path
            )


async def test_ids_of_bookings_cannot_be_guessed(dsn: str) -> None:
    """Whoever has a booking would know its neighbours' ids."""
    async with running(build(dsn)) as client:
        show = await new_show(client, total_seats=40)
        made = [UUID((await new_booking(client, show["id"], seats=[str(n)]))["id"]).int for n in range(1, 33)]
        tails = [value & (2**62 - 1) for value in made]
        assert len({tail >> 22 for tail in tails}) == 32, "they differ from the first bits on"
        for bit in range(62):
            ones = sum(tail >> bit & 1 for tail in tails)
            assert 3 <= ones <= 29, f"bit {bit} is the same in nearly all"
