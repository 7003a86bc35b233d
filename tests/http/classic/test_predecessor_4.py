"""Predecessor 4: seats by number."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.http.api import ADA, ADMIN, SERVICE, TOMORROW, build, running
from tests.http.classic.calls import (
    BOOKING_ID,
    COACH,
    HALL,
    MILLISECONDS,
    NO_SUCH_BOOKING,
    new_show,
    refused,
)

BASE = "/classic/4"


async def test_it_lives(client: httpx.AsyncClient) -> None:
    """Its supervisor would start it again and again."""
    answer = await client.get(f"{BASE}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_a_show_is_made_and_listed(client: httpx.AsyncClient) -> None:
    """Its admin page could not make a show, or its front page not list it."""
    body = {"name": "City Express", "startTime": "2024-12-12T15:00:00Z", "totalSeats": 40}
    made = await client.post(f"{BASE}/shows", json=body)
    assert made.status_code == 201
    show = {
        "id": "1",
        "name": "City Express",
        "startTime": "2024-12-12T15:00:00.000Z",
        "totalSeats": 40,
        "reservedSeats": 0,
        "availableSeats": 40,
    }
    assert made.json() == {"show": show}
    second = await new_show(client, "4")
    await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1, 2, 3]})
    await client.post("/api/shows/1/block", json={"seats": ["40"]})
    listed = await client.get(f"{BASE}/shows")
    assert listed.status_code == 200
    assert listed.json() == {"shows": [show | {"reservedSeats": 4, "availableSeats": 36}, second]}


async def test_a_show_is_shown_with_its_seats(client: httpx.AsyncClient) -> None:
    """Its seat grid would be empty, or offer what can't be had."""
    await new_show(client, "4", 5)
    await client.post(f"{BASE}/shows/1/bookings", json={"seats": [4, 1]})
    held = {"seats": ["2"], "confirm": False}
    await client.post("/api/shows/1/bookings", json=held)
    answer = await client.get(f"{BASE}/shows/1")
    assert answer.status_code == 200
    assert answer.json() == {
        "show": {
            "id": "1",
            "name": "A show",
            "startTime": "2024-03-20T18:00:00.000Z",
            "totalSeats": 5,
            "reservedSeats": [1, 2, 4],
            "availableSeats": [3, 5],
            "reservedSeatNumbers": [1, 2, 4],
            "availableSeatNumbers": [3, 5],
        }
    }


async def test_a_booking_is_made_and_found(client: httpx.AsyncClient) -> None:
    """A customer would not get seats, or not find them again."""
    await new_show(client, "4")
    made = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1, 2, 3], "userName": "Maya"})
    assert made.status_code == 201
    booking_id = made.json()["bookingId"]
    assert made.json() == {
        "bookingId": booking_id,
        "status": "CONFIRMED",
        "showId": "1",
        "seatsConfirmed": [1, 2, 3],
    }
    assert BOOKING_ID.fullmatch(booking_id)
    found = await client.get(f"{BASE}/bookings/{booking_id}")
    assert found.status_code == 200
    booking = found.json()["booking"]
    assert found.json() == {
        "booking": {
            "id": booking_id,
            "showId": "1",
            "userName": "Maya",
            "status": "CONFIRMED",
            "seats": [1, 2, 3],
            "createdAt": booking["createdAt"],
            "expiresAt": None,
        }
    }
    assert MILLISECONDS.fullmatch(booking["createdAt"])
    stored = (await client.get(f"/api/bookings/{booking_id}")).json()
    assert (stored["user_id"], stored["customer_name"]) == ("Maya", "Maya")


async def test_a_hold_tells_when_it_ends(client: httpx.AsyncClient) -> None:
    """Its status panel could not count down."""
    await new_show(client, "4")
    held = (await client.post("/api/shows/1/bookings", json={"seats": ["2"], "confirm": False})).json()
    booking = (await client.get(f"{BASE}/bookings/{held['id']}")).json()["booking"]
    assert (booking["status"], booking["userName"]) == ("PENDING", "guest")
    assert MILLISECONDS.fullmatch(booking["expiresAt"])


async def test_taken_seats_are_told(client: httpx.AsyncClient) -> None:
    """A customer would not know which seats to give up."""
    await new_show(client, "4")
    await client.post(f"{BASE}/shows/1/bookings", json={"seats": [2, 3]})
    answer = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1, 2, 3], "userName": "Maya"})
    assert answer.status_code == 200
    failed = answer.json()
    assert failed == {
        "bookingId": failed["bookingId"],
        "status": "FAILED",
        "showId": "1",
        "failedSeats": [2, 3],
        "reason": "Seats 2 and 3 are taken; nothing was booked.",
    }
    found = (await client.get(f"{BASE}/bookings/{failed['bookingId']}")).json()["booking"]
    assert (found["status"], found["seats"], found["userName"]) == ("FAILED", [1, 2, 3], "Maya")
    assert (await client.get(f"{BASE}/shows/1")).json()["show"]["reservedSeats"] == [2, 3]


@pytest.mark.parametrize("body", [{}, {"userName": None}, {"userName": ""}])
async def test_a_name_may_be_missing(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """Clients that ask for no name could not book."""
    await new_show(client, "4")
    made = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1], **body})
    assert made.status_code == 201
    found = (await client.get(f"{BASE}/bookings/{made.json()['bookingId']}")).json()["booking"]
    assert found["userName"] == "guest"


async def test_a_name_makes_nobody_somebody_else(dsn: str) -> None:
    """A customer could book as, and then see the bookings of, whoever it names."""
    async with running(build(dsn)) as client:
        client.headers.update(ADMIN)
        await new_show(client, "4")
        for seat, headers, owner in ((1, ADA, "ada"), (2, SERVICE, "bob"), (3, ADMIN, "bob")):
            body = {"seats": [seat], "userName": "bob"}
            made = await client.post(f"{BASE}/shows/1/bookings", json=body, headers=headers)
            stored = (await client.get(f"/api/bookings/{made.json()['bookingId']}")).json()
            assert (stored["user_id"], stored["customer_name"]) == (owner, "bob")


async def test_numbers_in_another_order_fit(client: httpx.AsyncClient) -> None:
    """The passenger who chose seat 1 would sit on seat 2."""
    body = {"kind": "trip", "name": "Coach", "start_time": TOMORROW, "layout": COACH}
    assert (await client.post("/api/shows", json=body)).status_code == 201
    made = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1, 4]})
    assert made.json()["seatsConfirmed"] == [1, 4]
    shown = (await client.get(f"{BASE}/shows/1")).json()["show"]
    assert (shown["reservedSeats"], shown["availableSeats"]) == ([1, 4], [2, 3])
    letters = (await client.get("/api/shows/1/availability")).json()["statuses"]
    assert letters == "ABBA"
    again = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1, 2]})
    assert again.json()["failedSeats"] == [1]


async def test_labels_that_are_no_numbers_do_not_fit(client: httpx.AsyncClient) -> None:
    """Some seat would be sold as another, or the list would break for all shows."""
    body = {"name": "Hall", "start_time": TOMORROW, "layout": HALL}
    assert (await client.post("/api/shows", json=body)).status_code == 201
    booking = (await client.post("/api/shows/1/bookings", json={"seats": ["A-1"]})).json()
    assert (await client.get(f"{BASE}/shows")).json()["shows"][0]["availableSeats"] == 3
    for answer, field in (
        (await client.get(f"{BASE}/shows/1"), "id"),
        (await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1]}), "seats"),
        (await client.get(f"{BASE}/bookings/{booking['id']}"), "id"),
    ):
        words = refused(answer, 400)
        assert words.startswith(f"{field}: the seats of show 1 are not numbered 1 to 4")


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    """A client would wait for something that never comes."""
    await new_show(client, "4")
    assert refused(await client.get(f"{BASE}/shows/7"), 404) == "There is no show 7."
    assert refused(await client.get(f"{BASE}/shows/x"), 404) == "There is no show x."
    answer = await client.post(f"{BASE}/shows/7/bookings", json={"seats": [1]})
    assert refused(answer, 404) == "There is no show 7."
    missing = await client.get(f"{BASE}/bookings/{NO_SUCH_BOOKING}")
    assert refused(missing, 404) == f"There is no booking {NO_SUCH_BOOKING}."


async def test_a_booking_given_back_has_no_seats_when_asked_again(client: httpx.AsyncClient) -> None:
    """Whoever repeats a request would be told to have seats that were given back since."""
    await new_show(client, "4")
    key = {"Idempotency-Key": "one"}
    first = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1]}, headers=key)
    await client.post(f"/api/bookings/{first.json()['bookingId']}/cancel")
    again = await client.post(f"{BASE}/shows/1/bookings", json={"seats": [1]}, headers=key)
    assert again.status_code == 201
    assert again.json() == first.json() | {"status": "CANCELLED", "seatsConfirmed": []}
