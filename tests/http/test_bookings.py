"""Bookings over HTTP, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from tests.http.api import ADA, ADMIN, BOB, SERVICE, build, new_booking, new_show, problem, running
from tests.support import let_lapse


@pytest.fixture
async def app(dsn: str) -> Litestar:
    """The application."""
    return build(dsn)


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client of it, once it has started."""
    async with running(app) as opened:
        yield opened


async def test_named_seats_are_booked(client: httpx.AsyncClient) -> None:
    """Nobody could book."""
    await new_show(client, categories=[{"name": "Stalls", "price_cents": 1250}])
    answer = await client.post(
        "/api/bookings",
        json={"show_id": 1, "seats": ["7", 8], "customer_name": "Ada L.", "email": "ada@example.org"},
        headers=ADA,
    )
    assert answer.status_code == 201
    booking = answer.json()
    assert answer.headers["Location"] == f"/api/bookings/{booking['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert booking == (await client.get(answer.headers["Location"], headers=ADA)).json()
    assert UUID(booking.pop("id")).version == 8
    at = booking["created_at"]
    assert booking == {
        "show_id": 1,
        "user_id": "ada",
        "customer_name": "Ada L.",
        "email": "ada@example.org",
        "status": "CONFIRMED",
        "reason": None,
        "seats": ["7", "8"],
        "seat_count": 2,
        "amount_cents": 2500,
        "currency": "EUR",
        "created_at": at,
        "expires_at": None,
        "settled_at": at,
        "history": [{"status": "CONFIRMED", "reason": None, "at": at}],
    }


async def test_a_count_takes_the_best_seats(client: httpx.AsyncClient) -> None:
    """A visitor in a hurry would have to pick seats."""
    await new_show(client, categories=[{"name": "Stalls", "price_cents": 100}])
    booking = await new_booking(client, 1, seat_count=2, category="Stalls")
    assert booking["seat_count"] == len(booking["seats"]) == 2
    assert booking["amount_cents"] == 200


async def test_the_show_may_stand_in_the_address(client: httpx.AsyncClient) -> None:
    """Clients that know the show by its address could not book."""
    await new_show(client)
    answer = await client.post("/api/shows/1/bookings", json={"seats": ["1"]}, headers=ADA)
    assert (answer.status_code, answer.json()["show_id"]) == (201, 1)


async def test_taken_seats_are_named(client: httpx.AsyncClient) -> None:
    """A visitor would not learn which of the seats to change."""
    await new_show(client)
    await new_booking(client, 1, seats=["1", "2"])
    answer = await client.post("/api/bookings", json={"show_id": 1, "seats": ["2", "3", "1"]}, headers=BOB)
    body = problem(answer, 409, "seats_taken")
    assert body["conflicts"] == body["booking"]["conflicts"] == ["2", "1"]
    assert body["booking"]["status"] == "FAILED"
    assert body["booking"]["reason"] == "seats_taken"
    assert "Seats 2 and 1 are taken" in body["detail"]
    listed = (await client.get("/api/bookings?status=FAILED", headers=BOB)).json()["items"]
    assert listed == [body["booking"]]


async def test_too_few_seats_are_told(client: httpx.AsyncClient) -> None:
    """A group would be split up, or left waiting."""
    await new_show(client, total_seats=3)
    answer = await client.post("/api/bookings", json={"show_id": 1, "seat_count": 4}, headers=ADA)
    body = problem(answer, 409, "not_enough_seats")
    assert (body["booking"]["status"], body["booking"]["seats"]) == ("FAILED", [])


async def test_more_seats_than_the_show_allows(client: httpx.AsyncClient) -> None:
    """One buyer could take the house, or would not learn how many are allowed."""
    await new_show(client, max_seats_per_booking=2)
    for wanted in ({"seats": ["1", "2", "3"]}, {"seat_count": 3}):
        answer = await client.post("/api/bookings", json={"show_id": 1, **wanted}, headers=ADA)
        assert "at most 2 seats" in problem(answer, 422, "too_many_seats")["detail"]


async def test_before_the_sale_nothing_is_sold(client: httpx.AsyncClient) -> None:
    """Seats would be gone before the doors open."""
    await new_show(client, on_sale_at="2034-12-01T09:00:00Z")
    answer = await client.post("/api/bookings", json={"show_id": 1, "seats": ["1"]}, headers=ADA)
    assert problem(answer, 409, "not_on_sale")["on_sale_at"] == "2034-12-01T09:00:00Z"


async def test_what_is_not_there_is_named(client: httpx.AsyncClient) -> None:
    """A caller would not learn whether the show or the seat is wrong."""
    answer = await client.post("/api/bookings", json={"show_id": 5, "seats": ["1"]}, headers=ADA)
    assert "show 5" in problem(answer, 404, "not_found")["detail"]
    await new_show(client)
    answer = await client.post("/api/bookings", json={"show_id": 1, "seats": ["1", "11"]}, headers=ADA)
    body = problem(answer, 404, "not_found")
    assert "seat 11" in body["detail"]
    assert body["errors"][0]["field"] == "seats[1]"


async def test_a_hold_is_confirmed_once_and_again(client: httpx.AsyncClient) -> None:
    """A retry after a lost answer would look like a failure."""
    await new_show(client)
    held = await new_booking(client, 1, seats=["1"], confirm=False)
    assert (held["status"], held["settled_at"]) == ("PENDING", None)
    assert held["expires_at"] is not None
    path = f"/api/bookings/{held['id']}/confirm"
    first = await client.post(path, headers=ADA)
    assert first.status_code == 200
    assert [step["status"] for step in first.json()["history"]] == ["PENDING", "CONFIRMED"]
    assert (await client.post(path, headers=ADA)).json() == first.json()


async def test_a_lapsed_hold_is_told_as_such(app: Litestar, client: httpx.AsyncClient) -> None:
    """A visitor who comes too late would think that the seats are theirs."""
    await new_show(client)
    held = await new_booking(client, 1, seats=["1"], confirm=False)
    await let_lapse(app.state.context, UUID(held["id"]))
    now = (await client.get(f"/api/bookings/{held['id']}", headers=ADA)).json()
    assert (now["status"], now["reason"]) == ("FAILED", "hold_expired")
    answer = await client.post(f"/api/bookings/{held['id']}/confirm", headers=ADA)
    body = problem(answer, 409, "hold_expired")
    assert (body["booking"]["id"], body["booking"]["status"]) == (held["id"], "FAILED")
    assert (await client.post("/api/shows/1/bookings", json={"seats": ["1"]}, headers=BOB)).status_code == 201


async def test_giving_back_frees_the_seats_at_once(client: httpx.AsyncClient) -> None:
    """Seats that nobody wants any more could not be sold."""
    await new_show(client)
    held = await new_booking(client, 1, seats=["1"], confirm=False)
    booked = await new_booking(client, 1, seats=["2"])
    released = (await client.post(f"/api/bookings/{held['id']}/cancel", headers=ADA)).json()
    assert (released["status"], released["reason"]) == ("FAILED", "released")
    cancelled = (await client.post(f"/api/bookings/{booked['id']}/cancel", headers=ADA)).json()
    assert (cancelled["status"], cancelled["reason"]) == ("CANCELLED", "cancelled_by_customer")
    by_staff = await new_booking(client, 1, seats=["1", "2"])
    cancelled = (await client.post(f"/api/bookings/{by_staff['id']}/cancel", headers=ADMIN)).json()
    assert cancelled["reason"] == "cancelled_by_admin"
    answer = await client.post(f"/api/bookings/{by_staff['id']}/confirm", headers=ADA)
    assert problem(answer, 409, "wrong_state")["booking"]["status"] == "CANCELLED"


async def test_the_same_key_gets_the_same_booking(client: httpx.AsyncClient) -> None:
    """A retry would book twice."""
    await new_show(client)
    body = {"show_id": 1, "seat_count": 2}
    answers = await asyncio.gather(
        *(
            client.post("/api/bookings", json=body, headers=ADA | {"Idempotency-Key": "once"})
            for _ in range(10)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    other = await client.post(
        "/api/bookings", json=body | {"seat_count": 3}, headers=ADA | {"Idempotency-Key": "once"}
    )
    problem(other, 422, "idempotency_key_reused")
    bobs = await client.post("/api/bookings", json=body, headers=BOB | {"Idempotency-Key": "once"})
    assert (bobs.status_code, "Idempotency-Replayed" in bobs.headers) == (201, False)


async def test_a_replay_has_the_first_status_and_the_booking_as_it_is(client: httpx.AsyncClient) -> None:
    """A client that retries a failure would take it for a success, or miss what has become of its booking."""
    await new_show(client)
    await new_booking(client, 1, seats=["1"])
    lost = {"show_id": 1, "seats": ["1"]}
    for replayed in (None, "true"):
        answer = await client.post("/api/bookings", json=lost, headers=BOB | {"Idempotency-Key": "lost"})
        assert problem(answer, 409, "seats_taken")["conflicts"] == ["1"]
        assert answer.headers.get("Idempotency-Replayed") == replayed
    won = {"show_id": 1, "seats": ["2"]}
    first = await client.post("/api/bookings", json=won, headers=BOB | {"Idempotency-Key": "won"})
    await client.post(f"/api/bookings/{first.json()['id']}/cancel", headers=BOB)
    again = await client.post("/api/bookings", json=won, headers=BOB | {"Idempotency-Key": "won"})
    assert (again.status_code, again.json()["status"]) == (201, "CANCELLED")


async def test_lists_are_newest_first_paged_and_filtered(client: httpx.AsyncClient) -> None:
    """A customer would miss bookings, or see some twice."""
    await new_show(client)
    await new_show(client)
    ids = [(await new_booking(client, 1 + n % 2, seats=[str(n + 1)]))["id"] for n in range(5)]

    async def listed(path: str = "/api/bookings", **params: Any) -> list[str]:
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": 2, "cursor": cursor, **params}
            page = (await client.get(path, params=query, headers=SERVICE)).json()
            found += [booking["id"] for booking in page["items"]]
            cursor = page["next_cursor"]
        return found

    assert await listed() == ids[::-1]
    assert await listed(show_id=1) == ids[::2][::-1]
    assert await listed(user_id="bob") == []
    assert await listed("/api/bookings/user/ada", status="CONFIRMED") == ids[::-1]
    assert await listed("/api/bookings/user/ada", show_id=2) == ids[1::2][::-1]
    assert await listed(status="PENDING") == []


async def test_a_hundred_clients_at_the_same_seats(client: httpx.AsyncClient) -> None:
    """A seat would be sold twice."""
    await new_show(client)
    answers = await asyncio.gather(
        *(client.post("/api/shows/1/bookings", json={"seats": ["1", "2"]}, headers=ADA) for _ in range(100))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 99
    assert all(answer.json()["conflicts"] for answer in answers if answer.status_code == 409)
