"""Bookings that are queued, over HTTP: what callers are told before and after the decision, and who is told."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar

from rowlock.domain.ids import booking_id, queued_booking_id
from rowlock.operations import queue_table
from rowlock.operations.context import Context
from rowlock.operations.queueing import Depth
from rowlock.workers.sweeper import Sweeper
from rowlock.workers.table_consumer import TableConsumer
from tests.http.api import ADA, ADMIN, BOB, SERVICE, build, new_show, problem, running
from tests.rabbit import RabbitServer

pytestmark = pytest.mark.timeout(600)  # a broker takes its time to start

ASYNC = {"Prefer": "respond-async"}


@pytest.fixture
async def app(dsn: str) -> Litestar:
    """The application, without background work: nothing is decided unless a test does it."""
    return build(dsn)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, once it has started."""
    async with running(app) as opened:
        yield opened


@pytest.fixture
async def broker_client(dsn: str, rabbit: RabbitServer) -> AsyncIterator[tuple[httpx.AsyncClient, Context]]:
    """A client of an application whose queue is at RabbitMQ, where nobody consumes it."""
    app = build(dsn, amqp_url=rabbit.url)
    async with running(app) as opened:
        await app.state.context.queue.broker.wait_connected()
        yield opened, app.state.context


async def queue(client: httpx.AsyncClient, caller: dict[str, str] = ADA, **body: Any) -> httpx.Response:
    """Ask for a booking, and don't wait for it."""
    headers = ASYNC | caller | body.pop("headers", {})
    return await client.post("/api/bookings", json={"show_id": 1, **body}, headers=headers)


async def decide(app: Litestar) -> None:
    """Decide all that waits in the table."""
    consumer = TableConsumer(app.state.context)
    while await consumer.run_once():
        pass


async def read(client: httpx.AsyncClient, identifier: str, caller: dict[str, str] = ADA) -> httpx.Response:
    """Ask for a booking."""
    return await client.get(f"/api/bookings/{identifier}", headers=caller)


async def test_a_queued_booking_from_the_202_to_its_end(client: httpx.AsyncClient, app: Litestar) -> None:
    """A customer who was told that it is queued could not follow it up."""
    await new_show(client, categories=[{"name": "Stalls", "price_cents": 1250}])
    answer = await queue(client, seats=["7", 8], customer_name="Ada L.", email="ada@example.org")
    assert answer.status_code == 202
    booking = answer.json()
    assert answer.headers["Location"] == f"/api/bookings/{booking['id']}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Cache-Control"] == "no-store"
    at = booking["created_at"]
    assert booking == {
        "id": booking["id"],
        "show_id": 1,
        "user_id": "ada",
        "customer_name": "Ada L.",
        "email": "ada@example.org",
        "status": "PENDING",
        "reason": "queued",
        "seats": ["7", "8"],
        "seat_count": 2,
        "amount_cents": 2500,
        "currency": "EUR",
        "created_at": at,
        "expires_at": None,
        "settled_at": None,
        "history": [{"status": "PENDING", "reason": "queued", "at": at}],
    }
    assert (await read(client, booking["id"])).json() == booking
    await decide(app)
    decided = (await read(client, booking["id"])).json()
    assert (decided["status"], decided["reason"], decided["seats"]) == ("CONFIRMED", None, ["7", "8"])
    assert decided["amount_cents"] == 2500
    assert decided["customer_name"] == "Ada L."
    listed = (await client.get("/api/bookings", headers=ADA)).json()["items"]
    assert [each["id"] for each in listed] == [booking["id"]]


async def test_a_queued_hold_holds_from_its_decision(client: httpx.AsyncClient, app: Litestar) -> None:
    """A hold would run out while it waits in the queue."""
    await new_show(client)
    booking = (await queue(client, seat_count=2, confirm=False)).json()
    assert (booking["seats"], booking["seat_count"], booking["amount_cents"]) == ([], 2, None)
    await decide(app)
    held = (await read(client, booking["id"])).json()
    assert (held["status"], held["reason"], len(held["seats"])) == ("PENDING", None, 2)
    assert held["expires_at"] > held["created_at"] >= booking["created_at"]
    confirmed = await client.post(f"/api/bookings/{booking['id']}/confirm", headers=ADA)
    assert confirmed.json()["status"] == "CONFIRMED"


async def test_it_goes_by_the_preference_alone(client: httpx.AsyncClient) -> None:
    """A client with other preferences would be answered in a way that it doesn't know."""
    await new_show(client)
    for prefer in ("Respond-Async", "handling=lenient, respond-async; wait=5", "respond-async;wait=1"):
        assert (await queue(client, seat_count=1, headers={"Prefer": prefer})).status_code == 202
    for prefer in ("wait=10", "respond-asynchronously", "return=minimal; respond-async"):
        answer = await queue(client, seat_count=1, headers={"Prefer": prefer})
        assert answer.status_code == 201
        assert "Preference-Applied" not in answer.headers
    at_show = await client.post("/api/shows/1/bookings", json={"seat_count": 1}, headers=ADA | ASYNC)
    assert at_show.status_code == 202


async def test_what_can_be_refused_at_once_is(client: httpx.AsyncClient) -> None:
    """A mistyped request would come back as FAILED a minute later, if ever."""
    await new_show(client)
    problem(await queue(client, seats=["77"]), 404, "not_found")
    problem(await queue(client, seats=["1", "1"]), 400, "invalid_request")
    problem(await queue(client, seat_count=1, category="Balcony"), 400, "invalid_request")
    problem(await queue(client, show_id=99, seat_count=1), 404, "not_found")
    problem(await queue(client, seat_count=0), 400, "invalid_request")
    problem(await queue(client, seat_count=1, user_id="bob"), 403, "forbidden")
    assert (await queue(client, {}, seat_count=1)).status_code == 401


@pytest.mark.parametrize(
    ("terms", "body", "reason"),
    [
        ({"on_sale_at": "2031-01-01T00:00:00Z"}, {"seats": ["1"]}, "not_on_sale"),
        ({"confirm_by": "service"}, {"seats": ["1"]}, "forbidden"),
        ({"max_seats_per_booking": 2}, {"seat_count": 3}, "too_many_seats"),
        ({}, {"seats": ["10"]}, "seats_taken"),
        ({}, {"seat_count": 10}, "not_enough_seats"),
    ],
)
async def test_what_is_refused_later_is_failed_with_its_reason(
    client: httpx.AsyncClient, app: Litestar, terms: dict[str, Any], body: dict[str, Any], reason: str
) -> None:
    """The booking would read as queued for good, with nobody left to say why it failed."""
    show = await new_show(client, **terms)
    if not terms:
        taken = {"show_id": 1, "seats": ["10"], "user_id": "bob"}
        assert (await client.post("/api/bookings", json=taken, headers=SERVICE)).status_code == 201
    booking = (await queue(client, **body, headers={"Idempotency-Key": "k"})).json()
    await decide(app)
    failed = (await read(client, booking["id"])).json()
    assert (failed["status"], failed["reason"], failed["show_id"]) == ("FAILED", reason, show["id"])
    again = await queue(client, **body, headers={"Idempotency-Key": "k"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Preference-Applied" not in again.headers
    assert again.json()["code"] == reason
    assert again.json()["booking"] == failed


async def test_a_show_that_is_cancelled_meanwhile(client: httpx.AsyncClient, app: Litestar) -> None:
    """Seats of a show that is off would be sold."""
    await new_show(client)
    booking = (await queue(client, seats=["1"])).json()
    assert (await client.post("/api/shows/1/cancel", headers=ADMIN)).status_code == 200
    await decide(app)
    failed = (await read(client, booking["id"])).json()
    assert (failed["status"], failed["reason"]) == ("FAILED", "show_cancelled")
    assert failed["history"] == [{"status": "FAILED", "reason": "show_cancelled", "at": failed["settled_at"]}]


async def test_the_same_key_is_the_same_booking(client: httpx.AsyncClient, app: Litestar) -> None:
    """A customer whose connection broke would book twice."""
    await new_show(client)
    key = {"Idempotency-Key": "once"}
    first = await queue(client, seat_count=2, headers=key)
    again = await queue(client, seat_count=2, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    problem(await queue(client, seat_count=3, headers=key), 422, "idempotency_key_reused")
    others = await queue(client, BOB, seat_count=2, headers=key)
    assert others.json()["id"] != first.json()["id"]
    # Whoever then can't wait is served at once; the queue finds that booking.
    direct = await client.post("/api/bookings", json={"show_id": 1, "seat_count": 2}, headers=ADA | key)
    assert (direct.status_code, direct.json()["id"]) == (201, first.json()["id"])
    await decide(app)
    assert (await read(client, first.json()["id"])).json() == direct.json()
    decided = await queue(client, seat_count=2, headers=key)
    assert (decided.status_code, decided.json()) == (201, direct.json())
    assert decided.headers["Idempotency-Replayed"] == "true"
    problem(await queue(client, seat_count=3, headers=key), 422, "idempotency_key_reused")
    assert await app.state.context.pool.fetchval("SELECT count(*) FROM bookings WHERE user_id = 'ada'") == 1


async def test_a_queued_booking_is_neither_confirmed_nor_cancelled(client: httpx.AsyncClient) -> None:
    """A customer would believe that it is given back, and be sold the seats a moment later."""
    await new_show(client)
    identifier = (await queue(client, seats=["1"])).json()["id"]
    for move in ("confirm", "cancel"):
        said = problem(
            await client.post(f"/api/bookings/{identifier}/{move}", headers=ADA), 409, "wrong_state"
        )
        assert "queued" in said["detail"]
        problem(await client.post(f"/api/bookings/{identifier}/{move}", headers=BOB), 404, "not_found")


async def test_others_and_forgers_find_nothing(client: httpx.AsyncClient, app: Litestar) -> None:
    """Ids would tell what other people are about to book."""
    await new_show(client)
    identifier = (await queue(client, seats=["1"])).json()["id"]
    assert (await read(client, identifier, SERVICE)).json()["user_id"] == "ada"
    problem(await read(client, identifier, BOB), 404, "not_found")
    secret = app.state.context.ids_secret
    for number in (1, 2, 3):  # those that could be, but were never put into the table
        made_up = queued_booking_id(secret, 1, "ada", number)
        problem(await read(client, str(made_up)), 404, "not_found")


async def test_at_a_broker_the_id_alone_tells(
    broker_client: tuple[httpx.AsyncClient, Context],
) -> None:
    """There would be no such booking, right after the 202 that named it."""
    client, context = broker_client
    await new_show(client)
    queued = (await queue(client, seats=["1"], headers={"Idempotency-Key": "k"})).json()
    assert queued["seats"] == ["1"]
    told = (await read(client, queued["id"])).json()
    assert told == queued | {
        "seats": [],
        "seat_count": None,
        "amount_cents": None,
        "created_at": None,
        "history": [],
    }
    assert (await read(client, queued["id"], SERVICE)).json() == told | {"user_id": None}
    assert (await queue(client, seats=["1"], headers={"Idempotency-Key": "k"})).json()["id"] == queued["id"]
    problem(await read(client, queued["id"], BOB), 404, "not_found")
    problem(await read(client, str(booking_id(1, 12345)), SERVICE), 404, "not_found")
    for digit in "0123456789abcdef":
        forged = queued["id"][:-1] + digit
        if forged != queued["id"]:
            problem(await read(client, forged), 404, "not_found")
    foreign = queued_booking_id(context.ids_secret, 99, "ada", 5)
    problem(await read(client, str(foreign)), 404, "not_found")
    said = problem(await client.post(f"/api/bookings/{queued['id']}/cancel", headers=ADA), 409, "wrong_state")
    assert "queued" in said["detail"]


async def test_what_was_pruned_is_not_queued_again(
    broker_client: tuple[httpx.AsyncClient, Context],
) -> None:
    """A booking that failed a month ago would read as if it were still to come."""
    client, context = broker_client
    await new_show(client, max_seats_per_booking=1)
    identifier = (await queue(client, seats=["1"], headers={"Idempotency-Key": "k"})).json()["id"]
    direct = await client.post(
        "/api/bookings",
        json={"show_id": 1, "seats": ["1"]},
        headers=ADA | {"Idempotency-Key": "k"},
    )
    assert direct.json()["id"] == identifier
    await client.post(f"/api/bookings/{identifier}/cancel", headers=ADA)
    await context.pool.execute(
        "UPDATE bookings SET status = 'FAILED', reason = 'seats_taken', confirmed_at = NULL, "
        "created_at = created_at - interval '31 days', settled_at = settled_at - interval '31 days'"
    )
    assert (await Sweeper(context, 30).run_once()).pruned == 1
    problem(await read(client, identifier), 404, "not_found")


async def test_what_was_pruned_is_remembered_only_where_a_broker_needs_it(
    client: httpx.AsyncClient, app: Litestar
) -> None:
    """Every direct booking with a key that failed would leave a row for ever, which nobody reads."""
    context = app.state.context
    await new_show(client)
    for _ in range(2):
        await client.post(
            "/api/bookings",
            json={"show_id": 1, "seats": ["1"]},
            headers=ADA | {"Idempotency-Key": secrets.token_hex(4)},
        )
    await context.pool.execute(
        "UPDATE bookings SET created_at = created_at - interval '31 days', settled_at = settled_at - interval '31 days' "
        "WHERE status = 'FAILED'"
    )
    assert (await Sweeper(context, 30).run_once()).pruned == 1
    assert await context.pool.fetchval("SELECT count(*) FROM pruned_requests") == 0


async def test_a_full_queue_says_when_to_come_again(
    client: httpx.AsyncClient, app: Litestar, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue would grow without end, and everybody in it wait for ever."""
    await new_show(client)
    monkeypatch.setattr(queue_table, "QUEUED_REQUESTS_MAX", 3)
    answers = [await queue(client, seat_count=1) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 202, 503]
    assert problem(answers[-1], 503, "busy")["retry_after"] >= 1
    assert await app.state.context.queue.depth() == Depth(3, 0)
    await decide(app)
    assert await app.state.context.queue.depth() == Depth(0, 0)
    assert (await queue(client, seat_count=1)).status_code == 202
