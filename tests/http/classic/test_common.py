"""What holds for all predecessors: the same rules as at /api, told in their words."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from rowlock.engine.engine import Busy
from rowlock.postgres.embedded import EmbeddedPostgres
from tests.conftest import on_database, run_sql
from tests.http.api import ADA, ADMIN, BOB, TOMORROW, build, running
from tests.http.classic.calls import NEW, new_show, refused

DIALECTS = ["1", "2", "4"]
BOOK: dict[str, tuple[str, dict[str, Any], str, int]] = {
    "1": ("/classic/1/shows/1/book", {"seat_nos": ["1"], "user_id": "ada"}, "seat_nos", 201),
    "2": ("/classic/2/book", {"show_id": 1, "seat_count": 1}, "seat_count", 200),
    "4": ("/classic/4/shows/1/bookings", {"seats": [1]}, "seats", 201),
}


@pytest.fixture(scope="module")
def module_dsn(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A database for all tests of what is refused: that changes nothing."""
    run_sql(server.dsn, f"CREATE DATABASE bad_classic TEMPLATE {template}")
    yield on_database(server.dsn, "bad_classic")
    run_sql(server.dsn, "DROP DATABASE bad_classic WITH (FORCE)")


@pytest.fixture(scope="module")
async def strict(module_dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application in token mode, called by an admin; show 1 has a hundred seats."""
    async with running(build(module_dsn)) as opened:
        opened.headers.update(ADMIN)
        await new_show(opened, "1", 100)
        yield opened


BAD_SHOWS: list[tuple[dict[str, Any], str]] = [
    ({"total": "100"}, "total"),
    ({"total": 0}, "total"),
    ({"total": -5}, "total"),
    ({"total": 1.5}, "total"),
    ({"total": True}, "total"),
    ({"total": None}, "total"),
    ({"total": 100_001}, "total"),
    ({"total": 10**30}, "total"),
    ({"total": [1]}, "total"),
    ({"name": ""}, "name"),
    ({"name": None}, "name"),
    ({"name": 5}, "name"),
    ({"name": "a\x00"}, "name"),
    ({"name": "x" * 201}, "name"),
    ({"start": "soon"}, "start"),
    ({"start": ""}, "start"),
    ({"start": "2025-13-01T00:00:00Z"}, "start"),
    ({"start": "2025-02-30"}, "start"),
    ({"start": "2025-01-01T25:00:00Z"}, "start"),
    ({"start": "2025-01-01T00:00:00+99:00"}, "start"),
    ({"start": "\uff12\uff10\uff12\uff15-01-01"}, "start"),
    ({"start": "0001-01-01T00:00:00Z"}, "start"),
    ({"start": "0001-01-01T00:00:00+14:00"}, "start"),
    ({"start": "9999-12-31T23:59:59-14:00"}, "start"),
    ({"start": "2" * 65}, "start"),
    ({"start": 1_735_000_000_000}, "start"),
    ({"start": None}, "start"),
    ({"start": {}}, "start"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("change", "at_fault"), BAD_SHOWS)
async def test_a_bad_show_is_refused_by_field(
    strict: httpx.AsyncClient, dialect: str, change: dict[str, Any], at_fault: str
) -> None:
    """An admin who mistypes would not learn what."""
    path, start, total = NEW[dialect]
    names = {"start": start, "total": total, "name": "name"}
    body = {"name": "A show", start: TOMORROW, total: 10}
    body |= {names[field]: value for field, value in change.items()}
    words = refused(await strict.post(path, json=body), 400)
    assert words.startswith(f"{names[at_fault]}: "), words


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("missing", ["name", "start", "total"])
async def test_a_missing_field_is_named(strict: httpx.AsyncClient, dialect: str, missing: str) -> None:
    """An admin would not learn what is missing."""
    path, start, total = NEW[dialect]
    names = {"start": start, "total": total, "name": "name"}
    body: dict[str, Any] = {"name": "A show", start: TOMORROW, total: 10}
    del body[names[missing]]
    assert refused(await strict.post(path, json=body), 400) == f"{names[missing]}: is missing"


BAD_BOOKINGS: list[tuple[str, dict[str, Any], str]] = [
    ("1", {"seat_nos": []}, "seat_nos"),
    ("1", {"seat_nos": "1"}, "seat_nos"),
    ("1", {"seat_nos": None}, "seat_nos"),
    ("1", {"seat_nos": {"0": "1"}}, "seat_nos"),
    ("1", {"seat_nos": ["1", "2", "1"]}, "seat_nos[2]"),
    ("1", {"seat_nos": [7, "7"]}, "seat_nos[1]"),
    ("1", {"seat_nos": ["1", 2.5]}, "seat_nos[1]"),
    ("1", {"seat_nos": ["1", None]}, "seat_nos[1]"),
    ("1", {"seat_nos": ["1", ["2"]]}, "seat_nos[1]"),
    ("1", {"seat_nos": [""]}, "seat_nos[0]"),
    ("1", {"seat_nos": ["a\x00"]}, "seat_nos[0]"),
    ("1", {"seat_nos": [10**40]}, "seat_nos[0]"),
    ("1", {"seat_nos": [str(n) for n in range(501)]}, "seat_nos"),
    ("1", {"user_id": None}, "user_id"),
    ("1", {"user_id": ""}, "user_id"),
    ("1", {"user_id": "a\x00"}, "user_id"),
    ("1", {"user_id": "x" * 256}, "user_id"),
    ("1", {"user_id": -1}, "user_id"),
    ("1", {"user_id": 1.5}, "user_id"),
    ("1", {"immediate_confirm": "no"}, "immediate_confirm"),
    ("1", {"immediate_confirm": None}, "immediate_confirm"),
    ("1", {"immediate_confirm": 0}, "immediate_confirm"),
    ("2", {"show_id": "1"}, "show_id"),
    ("2", {"show_id": 0}, "show_id"),
    ("2", {"show_id": 2**53}, "show_id"),
    ("2", {"show_id": None}, "show_id"),
    ("2", {"seat_count": 0}, "seat_count"),
    ("2", {"seat_count": -1}, "seat_count"),
    ("2", {"seat_count": 1.5}, "seat_count"),
    ("2", {"seat_count": "2"}, "seat_count"),
    ("2", {"seat_count": True}, "seat_count"),
    ("2", {"seat_count": None}, "seat_count"),
    ("2", {"seat_count": 101}, "seat_count"),
    ("2", {"seat_count": 10**30}, "seat_count"),
    ("4", {"seats": []}, "seats"),
    ("4", {"seats": 1}, "seats"),
    ("4", {"seats": None}, "seats"),
    ("4", {"seats": ["1"]}, "seats[0]"),
    ("4", {"seats": [1, 0]}, "seats[1]"),
    ("4", {"seats": [1, -1]}, "seats[1]"),
    ("4", {"seats": [1, 1.5]}, "seats[1]"),
    ("4", {"seats": [1, True]}, "seats[1]"),
    ("4", {"seats": [1, 2, 1]}, "seats[2]"),
    ("4", {"seats": [1, 101]}, "seats[1]"),
    ("4", {"seats": [10**30]}, "seats[0]"),
    ("4", {"seats": list(range(1, 502))}, "seats"),
    ("4", {"userName": 5}, "userName"),
    ("4", {"userName": "a\x00"}, "userName"),
    ("4", {"userName": "a\u2028b"}, "userName"),
    ("4", {"userName": "x" * 201}, "userName"),
]


@pytest.mark.parametrize(("dialect", "change", "field"), BAD_BOOKINGS)
async def test_a_bad_booking_is_refused_by_field(
    strict: httpx.AsyncClient, dialect: str, change: dict[str, Any], field: str
) -> None:
    """A page could not tell its visitor which seat or field to mend."""
    path, body, _, _ = BOOK[dialect]
    words = refused(await strict.post(path, json=body | change), 400)
    assert words.startswith(f"{field}: "), words


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"name": "\\ud800"}',
        b'{"a": ' + b'{"a":' * 50_000,
        b'{"total_seats": 1' + b"0" * 10_000 + b"}",
    ],
    ids=range(9),
)
async def test_what_is_no_json_is_refused(strict: httpx.AsyncClient, dialect: str, body: bytes) -> None:
    """A garbled request would be an error of the server."""
    for path in (NEW[dialect][0], BOOK[dialect][0]):
        refused(await strict.post(path, content=body, headers={"Content-Type": "application/json"}), 400)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_is_refused_before_it_is_read(strict: httpx.AsyncClient, dialect: str) -> None:
    """A form or a huge upload would be taken for a request, or answered in words the client can't read."""
    path = NEW[dialect][0]
    words = refused(await strict.post(path, data={"name": "A show"}), 400)
    assert "application/json" in words
    refused(
        await strict.post(path, content=b" " * 1_100_000, headers={"Content-Type": "application/json"}), 413
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/classic"),
        ("GET", "/classic/1"),
        ("GET", "/classic/3/shows"),
        ("GET", "/classic/1/nothing"),
        ("POST", "/classic/1/shows"),
        ("DELETE", "/classic/4/shows/1"),
        ("GET", "/classic/2/book"),
        ("GET", "/classic/4/shows/1/bookings"),
        ("GET", "/classic/1/bookings"),
        ("GET", "/classic/1/bookings/a/b"),
    ],
)
async def test_an_unknown_call_is_404(strict: httpx.AsyncClient, method: str, path: str) -> None:
    """A client with a typing error would get an answer that it can't read."""
    refused(await strict.request(method, path), 404)


async def test_other_addresses_keep_their_problems(strict: httpx.AsyncClient) -> None:
    """Clients of the API would get errors in the predecessors' words."""
    for path in ("/classical", "/api/shows/7", "/nothing"):
        answer = await strict.get(path)
        assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2030-01-01T19:30:00Z", "2030-01-01T19:30:00.000Z"),
        ("2030-01-01T19:30:00.123456Z", "2030-01-01T19:30:00.123Z"),
        ("2030-01-01T19:30:00+01:00", "2030-01-01T18:30:00.000Z"),
        ("2030-01-01T19:30:00-0530", "2030-01-02T01:00:00.000Z"),
        ("2030-01-01 19:30:00+01", "2030-01-01T18:30:00.000Z"),
        ("2030-01-01t19:30:00z", "2030-01-01T19:30:00.000Z"),
        ("2030-01-01T19:30:00", "2030-01-01T19:30:00.000Z"),
        ("2030-01-01T19:30", "2030-01-01T19:30:00.000Z"),
        ("2030-01-01", "2030-01-01T00:00:00.000Z"),
        ("1999-12-31T23:59:59Z", "1999-12-31T23:59:59.000Z"),
        ("0002-01-01T00:00:00Z", "0002-01-01T00:00:00.000Z"),
        ("9998-12-31T23:59:59Z", "9998-12-31T23:59:59.000Z"),
    ],
)
async def test_times_of_any_zone_and_age(client: httpx.AsyncClient, text: str, utc: str) -> None:
    """Clients that write times as JavaScript and browsers do could not make shows, or not find them."""
    body = {"name": "A show", "startTime": text, "totalSeats": 1}
    made = await client.post("/classic/4/shows", json=body)
    assert made.json()["show"]["startTime"] == utc
    assert (await client.get("/classic/4/shows")).json()["shows"] == [made.json()["show"]]
    assert len((await client.get("/classic/2/shows")).json()) == 1
    body = {"name": "A show", "start_time": text, "total_seats": 1}
    assert (await client.post("/classic/1/admin/shows", json=body)).json()["show"]["start_time"] == utc


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_whole_small_house_can_be_booked_at_once(client: httpx.AsyncClient, dialect: str) -> None:
    """Their clients know no limit but the house."""
    await new_show(client, dialect, 40)
    await new_show(client, dialect, 600)
    assert (await client.get("/api/shows/1")).json()["max_seats_per_booking"] == 40
    assert (await client.get("/api/shows/2")).json()["max_seats_per_booking"] == 500
    path, body, field, status = BOOK[dialect]
    for show, count in ((1, 40), (2, 500)):
        seats: Any = count if dialect == "2" else list(range(1, count + 1))
        where = path.replace("/1/bo", f"/{show}/bo")
        wish = body | {field: seats} | ({"show_id": show} if dialect == "2" else {})
        assert (await client.post(where, json=wish)).status_code == status


async def test_a_limit_of_the_show_is_told_by_field(client: httpx.AsyncClient) -> None:
    """A client could not tell its visitor to take fewer seats."""
    body = {"name": "A show", "start_time": TOMORROW, "total_seats": 10, "max_seats_per_booking": 2}
    await client.post("/api/shows", json=body)
    for dialect in DIALECTS:
        path, booking, field, _ = BOOK[dialect]
        wish = booking | {field: 3 if dialect == "2" else [1, 2, 3]}
        words = refused(await client.post(path, json=wish), 400)
        assert words == f"{field}: must be at most 2 seats: this show allows no more in a booking"


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_cannot_be_sold_now(client: httpx.AsyncClient, dialect: str) -> None:
    """Seats of a show that will not be, or before the sale, would be sold."""
    show = {"name": "A show", "start_time": TOMORROW, "total_seats": 10, "on_sale_at": "2100-01-01T00:00:00Z"}
    await client.post("/api/shows", json=show)
    path, body, _, _ = BOOK[dialect]
    words = refused(await client.post(path, json=body), 409)
    assert words == "This show is not on sale before 2100-01-01T00:00:00Z."
    await client.post("/api/shows/1/cancel")
    assert "cancelled" in refused(await client.post(path, json=body), 409)


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_the_same_key_books_once(client: httpx.AsyncClient, dialect: str) -> None:
    """Whoever presses twice would pay twice."""
    await new_show(client, dialect)
    path, body, field, status = BOOK[dialect]
    key = {"Idempotency-Key": "one-press"}
    first = await client.post(path, json=body, headers=key)
    again = await client.post(path, json=body, headers=key)
    assert (first.status_code, again.status_code) == (status, status)
    assert again.text == first.text
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    other = body | {field: 2 if dialect == "2" else [2]}
    assert "Idempotency-Key" in refused(await client.post(path, json=other, headers=key), 400)
    bad = await client.post(path, json=body, headers={"Idempotency-Key": "x" * 256})
    assert refused(bad, 400).startswith("Idempotency-Key: ")
    assert len((await client.get("/api/bookings")).json()["items"]) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_refusal_is_replayed_as_such(client: httpx.AsyncClient, dialect: str) -> None:
    """Whoever asks again after a refusal would get seats that another request was refused."""
    await new_show(client, dialect, 1)
    path, body, _, _ = BOOK[dialect]
    taken = (await client.post(path, json=body)).json()
    key = {"Idempotency-Key": "late"}
    first = await client.post(path, json=body, headers=key)
    assert first.status_code == (409 if dialect == "1" else 200)
    booking = taken["bookingId"] if dialect == "4" else taken["booking"]["id"]
    assert (await client.post(f"/api/bookings/{booking}/cancel")).status_code == 200
    again = await client.post(path, json=body, headers=key)
    assert (again.status_code, again.text) == (first.status_code, first.text)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_signing_in_works_as_elsewhere(dsn: str) -> None:
    """Strangers could make shows and read other people's bookings through a side door."""
    async with running(build(dsn)) as client:
        client.headers.update(ADMIN)
        for dialect in DIALECTS:
            await new_show(client, dialect)
        del client.headers["Authorization"]
        for dialect in DIALECTS:
            path, body, _, status = BOOK[dialect]
            nobody = await client.post(path, json=body)
            refused(nobody, 401)
            assert nobody.headers["WWW-Authenticate"] == "Bearer"
            refused(await client.post(path, json=body, headers={"Authorization": "Bearer no"}), 401)
            refused(
                await client.get(f"/classic/{dialect}/shows", headers={"Authorization": "Bearer no"}), 401
            )
            refused(await client.post(NEW[dialect][0], json={}), 401)
            refused(await client.post(NEW[dialect][0], json={}, headers=ADA), 403)
            seats: dict[str, dict[str, Any]] = {"1": {"seat_nos": ["9"]}, "2": {}, "4": {"seats": [8]}}
            made = await client.post(path, json=body | seats[dialect], headers=ADA)
            assert made.status_code == status
            booking = made.json()["bookingId"] if dialect == "4" else made.json()["booking"]["id"]
            stored = await client.get(f"/api/bookings/{booking}", headers=ADA)
            assert stored.json()["user_id"] == "ada"
            if dialect != "2":
                where = f"/classic/{dialect}/bookings/{booking}"
                refused(await client.get(where), 401)
                assert refused(await client.get(where, headers=BOB), 404) == f"There is no booking {booking}."
                assert (await client.get(where, headers=ADA)).status_code == 200
        path, body, _, _ = BOOK["1"]
        words = refused(await client.post(path, json=body, headers=BOB), 403)
        assert "user_id" in words


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("error", "status"), [(Busy("too much is waiting"), 503), (KeyError("oops"), 500)])
async def test_the_servers_own_troubles(
    dsn: str, monkeypatch: pytest.MonkeyPatch, dialect: str, error: Exception, status: int
) -> None:
    """A client would not know to come again, or be shown the insides of the server."""

    def fail(*_: object) -> None:
        raise error

    app = build(dsn, auth="demo", secret_key=None)
    async with running(app) as client:
        await new_show(client, dialect)
        monkeypatch.setattr(app.state.context.engine, "submit_for", fail)
        path, body, _, _ = BOOK[dialect]
        answer = await client.post(path, json=body, headers={"X-Request-Id": "mine"})
        words = refused(answer, status)
        assert "oops" not in words
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert ("mine" in words) == (status == 500)


async def test_where_a_service_confirms_customers_only_hold(dsn: str) -> None:
    """Seats would be given away before they are paid for."""
    async with running(build(dsn)) as client:
        show = {"name": "A show", "start_time": TOMORROW, "total_seats": 10, "confirm_by": "service"}
        await client.post("/api/shows", json=show, headers=ADMIN)
        for dialect in DIALECTS:
            path, body, _, _ = BOOK[dialect]
            refused(await client.post(path, json=body, headers=ADA), 403)
        path, body, _, _ = BOOK["1"]
        held = await client.post(path, json=body | {"immediate_confirm": False}, headers=ADA)
        assert held.json()["booking"]["status"] == "PENDING"


async def test_the_limits_are_shared(dsn: str) -> None:
    """A buyer's robot would have four times as many tries."""
    async with running(build(dsn, rate_bookings_per_minute=4)) as client:
        client.headers.update(ADMIN)
        await new_show(client, "1")
        client.headers.update(ADA)
        assert (await client.post("/api/bookings", json={"show_id": 1, "seat_count": 1})).status_code == 201
        for dialect, seat in (("1", {"seat_nos": ["9"]}), ("2", {}), ("4", {"seats": [8]})):
            path, body, _, status = BOOK[dialect]
            assert (await client.post(path, json=body | seat)).status_code == status
        for dialect in DIALECTS:
            path, body, _, _ = BOOK[dialect]
            late = await client.post(path, json=body)
            assert "ask again in" in refused(late, 429)
            assert int(late.headers["Retry-After"]) > 0
        assert (await client.get("/classic/1/shows")).status_code == 200


async def test_other_sites_pages_may_call_where_they_are_named(dsn: str) -> None:
    """A predecessor's page, served from its own address, could not reach the server."""
    site = "https://tickets.example.org"
    async with running(build(dsn, cors_origins=(site,))) as client:
        for path in ("/classic/4/shows", "/classic/4/shows/7"):
            answer = await client.get(path, headers={"Origin": site})
            assert answer.headers["Access-Control-Allow-Origin"] == site
        asked = await client.options(
            "/classic/4/shows",
            headers={"Origin": site, "Access-Control-Request-Method": "POST"},
        )
        assert asked.headers["Access-Control-Allow-Origin"] == site


async def test_a_foreign_host_is_refused_in_demo_mode(client: httpx.AsyncClient) -> None:
    """A page that rebinds its name could book through a newcomer's demo."""
    refused(await client.get("/classic/1/shows", headers={"Host": "evil.example"}), 403)


async def test_they_are_counted_and_may_be_asked_for_headers(client: httpx.AsyncClient) -> None:
    """Operators would not see what old clients do."""
    answer = await client.head("/classic/1/shows", headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.content, answer.headers["X-Request-Id"]) == (200, b"", "mine")
    metrics = (await client.get("/metrics")).text
    assert 'route="/classic/1/shows"' in metrics


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_ten_thousand_shows_are_listed(dsn: str, dialect: str) -> None:
    """A house with a long history could not open its front page."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("""
        INSERT INTO shows (id, kind, name, start_time, currency, categories, layout)
        SELECT n, 'show', 'Show ' || n, timestamptz '2000-01-01Z' + (n * 7919 % 10000) * interval '1 hour', 'EUR',
               '[{"name": "Standard", "price_cents": 0}]', '{"total_seats": 5}' FROM generate_series(1, 10000) AS n;
        INSERT INTO inventory (show_id, total, available, max_seats)
        SELECT n, 5, 5, 5 FROM generate_series(1, 10000) AS n;
    """)
    await connection.close()
    async with running(build(dsn)) as client:
        began = time.perf_counter()
        answer = (await client.get(f"/classic/{dialect}/shows")).json()
        assert time.perf_counter() - began < 10
    shows = answer if dialect == "2" else answer["shows"]
    assert sorted(int(show["id"]) for show in shows) == list(range(1, 10_001))
    if dialect == "2":
        starts = [show["start_time"] for show in shows]
        assert starts == sorted(starts)
    else:
        assert [int(show["id"]) for show in shows] == list(range(1, 10_001))
