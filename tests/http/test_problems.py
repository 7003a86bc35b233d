"""What goes wrong is told as a problem, bears a request id, is counted and is logged; and nothing leaks."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from litestar import Litestar, get
from litestar.exceptions import HTTPException

from rowlock import telemetry
from rowlock.domain.outcomes import Outcome
from rowlock.engine.engine import Busy, OutcomeUnknown
from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from rowlock.http.problems import STATUS, Code
from rowlock.http.reading import plain
from rowlock.http.refusals import REFUSED, SUCCEEDED, refusal
from rowlock.http.rendering import TITLES
from tests.http.api import ADA, ADMIN, BOB, SECRET, SERVICE, build, new_show, problem, running


@pytest.fixture
async def app(dsn: str) -> Litestar:
    """The application."""
    return build(dsn)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, with one show."""
    async with running(app) as opened:
        await new_show(opened)
        yield opened


def test_every_outcome_is_told() -> None:
    """A refusal would be a 500, or taken for a success."""
    assert set(REFUSED) | SUCCEEDED == set(Outcome)
    assert not set(REFUSED) & SUCCEEDED


@pytest.mark.parametrize("outcome", REFUSED)
def test_every_refusal_has_words(outcome: Outcome) -> None:
    """A person would be shown a bare code."""
    told = refusal(outcome, conflicts=["1", "2"])
    assert told.code is REFUSED[outcome]
    assert re.fullmatch(r"[A-Z].*\.", told.detail)


def test_every_code_has_a_status_and_a_title() -> None:
    """A code would break the rendering of the very error it is for."""
    assert set(TITLES) == set(STATUS) == set(Code)


def test_many_conflicts_are_counted_in_words_and_listed_in_full() -> None:
    """A problem about a whole stadium would be a wall of text."""
    labels = [str(number) for number in range(100)]
    told = refusal(Outcome.SEATS_TAKEN, conflicts=labels)
    assert told.detail.startswith("Seats 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more are taken")
    assert told.extra["conflicts"] == labels


def test_no_message_speaks_of_regular_expressions() -> None:
    """A person would be told of msgspec and its patterns."""
    assert plain("Expected `str` matching regex '^[A-Z]{3}$(?!\\n)'", "currency", []).startswith(
        "must be three"
    )
    assert plain("Something new", "x", []) == "is not valid"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api", 404, "not_found"),
        ("GET", "/api/shows/1/nothing", 404, "not_found"),
        ("POST", "/nothing", 404, "not_found"),
        ("HEAD", "/nothing", 404, "not_found"),
        ("PUT", "/api/shows", 405, "method_not_allowed"),
        ("DELETE", "/api/shows/1", 405, "method_not_allowed"),
        ("BREW", "/api/shows", 405, "method_not_allowed"),
        ("POST", "/health", 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_a_problem(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    """A client would be given something other than it can read."""
    answer = await client.request(method, path)
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (status, b"")
        return
    problem(answer, status, code)
    if status == 405:
        assert "GET" in answer.headers["Allow"].split(", ")


async def test_methods_are_told(client: httpx.AsyncClient) -> None:
    """A client would not learn what an address takes."""
    for path, allow in (
        ("/api/shows", "GET, HEAD, OPTIONS, POST"),
        ("/api/shows/1", "GET, HEAD, OPTIONS, PATCH"),
        ("/api/shows/1/cancel", "OPTIONS, POST"),
    ):
        asked = await client.options(path)
        assert (asked.status_code, asked.headers["Allow"]) == (204, allow)
        refused = await client.put(path)
        assert (refused.status_code, refused.headers["Allow"]) == (405, allow)


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    """Whoever only looks whether something has changed would get 405."""
    plain = {"Accept-Encoding": "identity"}
    head = await client.head("/api/shows/1/seats", headers=plain)
    full = await client.get("/api/shows/1/seats", headers=plain)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == full.headers["ETag"]
    assert head.headers["Content-Length"] == str(len(full.content))


async def test_a_bad_host_is_a_problem(client: httpx.AsyncClient) -> None:
    """Litestar's own refusal would have another shape."""
    problem(await client.get("/api/shows", headers={"Host": "a b"}), 400, "invalid_request")


@pytest.mark.parametrize("path", ["/api/shows", "/nothing", "/api/shows/7", "/api-docs", "/health"])
async def test_every_answer_bears_the_security_headers_and_an_id(
    client: httpx.AsyncClient, path: str
) -> None:
    """A browser could be made to misuse an answer, and a complaint could not be found in the logs."""
    answer = await client.get(path, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == "mine-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert len(answer.headers.get_list("Content-Security-Policy")) == 1


@pytest.mark.parametrize("sent", ["", "x" * 129, "two words", "caf\u00e9", "a\tb"])
async def test_an_unfit_request_id_is_replaced(client: httpx.AsyncClient, sent: str) -> None:
    """A stranger could write into the logs."""
    answer = await client.get("/health", headers={b"X-Request-Id": sent.encode("latin-1")})
    assert re.fullmatch(r"[0-9a-f]{24}", answer.headers["X-Request-Id"])
    assert answer.headers["X-Request-Id"] != (await client.get("/health")).headers["X-Request-Id"]


async def failing(error: Exception) -> tuple[httpx.Response, list[Any]]:
    """The answer of a route that fails so, and what was logged."""

    @get("/fails")
    async def fails() -> None:
        raise error

    app = create_http(AuthConfig(secret_keys=(SECRET,)))
    app.register(fails)
    async with running(app) as client:
        with structlog.testing.capture_logs() as logs:
            return await client.get("/fails"), logs


async def test_a_bug_tells_nothing_but_the_request(caplog: pytest.LogCaptureFixture) -> None:
    """A stranger would read our secrets in an error, or an operator would not find its cause."""
    answer, logs = await failing(RuntimeError("password=hunter2"))
    body = problem(answer, 500, "internal_error")
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert body["request_id"] in body["detail"]
    assert "hunter2" not in answer.text
    failures = [line for line in logs if line["event"] == "request_failed"]
    assert len(failures) == 1
    assert str(failures[0]["exc_info"]) == "password=hunter2"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        TimeoutError(),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.QueryCanceledError("timeout"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.InterfaceError("pool is closing"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_is_away_is_busy(error: Exception) -> None:
    """A client would give up where waiting helps, and the logs would fill with tracebacks."""
    answer, logs = await failing(error)
    assert problem(answer, 503, "busy")["retry_after"] == int(answer.headers["Retry-After"]) == 1
    assert [line["event"] for line in logs if line["event"] != "request"] == ["database_unavailable"]


async def test_a_mistake_in_sql_is_a_bug() -> None:
    """A bug would hide behind \u201ccome again\u201d."""
    answer, _ = await failing(asyncpg.UndefinedTableError("no such table"))
    problem(answer, 500, "internal_error")


async def test_busy_says_when_to_come_again() -> None:
    """A stampede would come back at once."""
    answer, _ = await failing(Busy("too many bookings are waiting", 3))
    body = problem(answer, 503, "busy")
    assert (body["retry_after"], answer.headers["Retry-After"]) == (3, "3")
    assert body["detail"] == "Too many bookings are waiting."


async def test_an_unknown_outcome_says_how_to_find_out() -> None:
    """A caller would book again, and have two."""
    answer, _ = await failing(OutcomeUnknown("the answer was lost", 5))
    assert "Idempotency-Key" in problem(answer, 503, "busy")["detail"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "invalid_request"), (418, "invalid_request"), (403, "forbidden"), (500, "internal_error")],
)
async def test_litestars_own_errors_have_our_shape(status: int, code: str) -> None:
    """A client would have to know two kinds of errors."""
    answer, _ = await failing(HTTPException("Because", status_code=status))
    problem(answer, STATUS[Code(code)], code)


async def test_bookings_are_limited_by_caller(dsn: str) -> None:
    """One script could take the server from everybody."""
    async with running(build(dsn, rate_bookings_per_minute=2)) as client:
        await new_show(client)
        for _ in range(2):
            assert (
                await client.post("/api/shows/1/bookings", json={"seat_count": 1}, headers=ADA)
            ).status_code == 201
        for path, body in (("/api/shows/1/bookings", {}), ("/api/bookings", {"show_id": 1})):
            answer = await client.post(path, json={"seat_count": 1, **body}, headers=ADA)
            told = problem(answer, 429, "rate_limited")
            assert told["retry_after"] == int(answer.headers["Retry-After"])
            assert 1 <= told["retry_after"] <= 60
        assert (
            await client.post("/api/shows/1/bookings", json={"seat_count": 1}, headers=BOB)
        ).status_code == 201
        assert (await client.get("/api/bookings", headers=ADA)).status_code == 200
        for _ in range(4):  # a shop's own server books for many
            answer = await client.post("/api/shows/1/bookings", json={"seat_count": 1}, headers=SERVICE)
            assert answer.status_code == 201


async def test_sign_ins_are_limited_by_address(dsn: str) -> None:
    """Guests could be made up by the million."""
    async with running(build(dsn, rate_sign_ins_per_minute=2)) as client:
        for _ in range(2):
            assert (await client.post("/api/session", json={"name": "Ada"})).status_code == 201
            client.cookies.clear()
        problem(await client.post("/api/session", json={"name": "Ada"}), 429, "rate_limited")
        assert (await client.get("/api/session")).status_code == 200


async def test_demo_mode_has_no_limits(dsn: str) -> None:
    """A demonstration of a stampede would stop at its first minute's limit."""
    async with running(build(dsn, auth="demo", secret_key=None, rate_bookings_per_minute=1)) as client:
        await client.post(
            "/api/shows", json={"name": "x", "start_time": "2035-01-01T00:00:00Z", "total_seats": 9}
        )
        for _ in range(3):
            answer = await client.post("/api/shows/1/bookings", json={"seat_count": 1})
            assert answer.status_code == 201, answer.text


async def test_requests_are_counted_by_template(client: httpx.AsyncClient) -> None:
    """Strangers could fill the metrics with addresses of their own making."""
    await client.get("/api/shows/1/seats")
    await client.get("/api/shows/2/seats")
    await client.get("/made/up")
    await client.request("BREW", "/api/shows")
    text = telemetry.render()[0].decode()
    assert 'rowlock_http_requests_total{method="GET",route="/api/shows/{show_id}/seats",status="200"}' in text
    assert 'rowlock_http_requests_total{method="GET",route="unmatched",status="404"}' in text
    assert 'method="other",route="unmatched",status="405"' in text
    assert "made" not in text
    assert "BREW" not in text


async def test_each_request_is_one_log_line(client: httpx.AsyncClient) -> None:
    """An operator would not see what was asked, or drown in it."""
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        await client.get("/api/shows/1", headers={"X-Request-Id": "mine"})
        await client.get("/health")
        looked = await client.get("/api/shows/1/availability")
        await client.get("/api/shows/1/availability", headers={"If-None-Match": looked.headers["ETag"]})
        await client.get("/api/shows/999/availability")
    assert [(line["log_level"], line["route"], line["status"]) for line in logs] == [
        ("info", "/api/shows/{show_id}", 200),
        ("debug", "/health", 200),
        ("debug", "/api/shows/{show_id}/availability", 200),
        ("debug", "/api/shows/{show_id}/availability", 304),
        ("info", "/api/shows/{show_id}/availability", 404),
    ]
    assert logs[0]["request_id"] == "mine"
    assert logs[0]["ms"] > 0


async def test_health_needs_no_database_and_ready_does(app: Litestar, client: httpx.AsyncClient) -> None:
    """A process would be restarted for its database's fault, or sent requests that it can't serve."""
    assert (await client.get("/health")).json()["status"] == "ok"
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    pool = app.state.context.pool
    await pool.execute("UPDATE alembic_version SET version_num = '0000'")
    assert "rowlock migrate" in problem(await client.get("/ready"), 503, "busy")["detail"]
    await pool.execute("DROP TABLE alembic_version")
    answer = await client.get("/ready")
    problem(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "1"
    await pool.close()
    assert "database" in problem(await client.get("/ready"), 503, "busy")["detail"]
    problem(await client.get("/api/shows"), 503, "busy")
    assert (await client.get("/health")).status_code == 200


async def test_before_it_has_started_it_is_not_ready() -> None:
    """Requests would be sent to a server that can't serve them yet."""
    async with running(create_http(AuthConfig(secret_keys=(SECRET,)))) as client:
        problem(await client.get("/ready"), 503, "busy")


async def test_whoever_hangs_up_in_the_middle_is_no_bug(client: httpx.AsyncClient, app: Litestar) -> None:
    """Each closed laptop would be a traceback in the logs."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"host", b"localhost")]
    headers += [(name.lower().encode(), value.encode()) for name, value in ADMIN.items()]
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": "/api/bookings",
        "query_string": b"",
        "headers": headers,
    }
    with structlog.testing.capture_logs() as logs:
        await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert [line["event"] for line in logs] == ["request"]


async def test_asking_for_the_methods_is_open_and_not_counted(dsn: str) -> None:
    """A probe, or a browser that asks first, would use up what a customer may book."""
    async with running(build(dsn, rate_bookings_per_minute=1)) as client:
        await new_show(client)
        for headers in ({}, ADA):
            for _ in range(3):
                answer = await client.options("/api/bookings", headers=headers)
                assert (answer.status_code, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        answer = await client.post("/api/shows/1/bookings", json={"seat_count": 1}, headers=ADA)
        assert answer.status_code == 201


async def test_too_many_seats_names_the_field_and_the_limit(dsn: str) -> None:
    """A form could not say which of its fields to mend."""
    async with running(build(dsn)) as client:
        await new_show(client, max_seats_per_booking=3)
        for body, field in (({"seat_count": 4}, "seat_count"), ({"seats": ["1", "2", "3", "4"]}, "seats")):
            answer = await client.post("/api/shows/1/bookings", json=body, headers=ADA)
            told = problem(answer, 422, "too_many_seats")
            assert told["errors"] == [{"field": field, "message": "must be at most 3 seats"}]
