"""Predecessor 1: seats by name."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime

import httpx

from tests.http.api import TOMORROW
from tests.http.classic.calls import BOOKING_ID, HALL, MILLISECONDS, NO_SUCH_BOOKING, new_show, refused

BASE = "/classic/1"


async def test_a_show_is_made_and_listed(client: httpx.AsyncClient) -> None:
    """Its admin page could not make a show, or its front page not list it."""
    body = {"name": "Rock Concert 2025", "start_time": "2025-12-25T19:00:00Z", "total_seats": 100}
    made = await client.post(f"{BASE}/admin/shows", json=body)
    assert made.status_code == 201
    show = made.json()["show"]
    assert made.json() == {"message": "Show created successfully", "show": show}
    assert show == {
        "id": 1,
        "name": "Rock Concert 2025",
        "start_time": "2025-12-25T19:00:00.000Z",
        "total_seats": 100,
        "created_at": show["created_at"],
    }
    assert MILLISECONDS.fullmatch(show["created_at"])
    second = await new_show(client, "1")
    listed = await client.get(f"{BASE}/shows")
    assert listed.status_code == 200
    assert listed.json() == {"shows": [show, second], "count": 2}, "by id, though the second starts first"


async def test_seats_are_listed_with_their_statuses(client: httpx.AsyncClient) -> None:
    """Its seat map would offer seats that can't be had."""
    show = await new_show(client, "1", 4)
    await client.post(f"{BASE}/shows/1/book", json={"seat_nos": ["1"], "user_id": "u"})
    held = {"seat_nos": ["2"], "user_id": "u", "immediate_confirm": False}
    await client.post(f"{BASE}/shows/1/book", json=held)
    await client.post("/api/shows/1/block", json={"seats": ["3"]})
    answer = await client.get(f"{BASE}/shows/1/seats")
    assert answer.status_code == 200
    assert answer.json() == {
        "show_id": show["id"],
        "seats": [
            {"id": 1, "seat_no": "1", "status": "BOOKED"},
            {"id": 2, "seat_no": "2", "status": "RESERVED"},
            {"id": 3, "seat_no": "3", "status": "BOOKED"},
            {"id": 4, "seat_no": "4", "status": "AVAILABLE"},
        ],
        "count": 4,
    }


async def test_a_booking_is_made_and_found(client: httpx.AsyncClient) -> None:
    """A customer would not get seats, or not find them again."""
    await new_show(client, "1")
    body = {"seat_nos": ["1", "2", "3"], "user_id": "user123", "immediate_confirm": True}
    made = await client.post(f"{BASE}/shows/1/book", json=body)
    assert made.status_code == 201
    booking = made.json()["booking"]
    assert made.json() == {"message": "Booking created successfully", "booking": booking}
    assert booking == {
        "id": booking["id"],
        "status": "CONFIRMED",
        "seat_nos": ["1", "2", "3"],
        "created_at": booking["created_at"],
        "expires_at": None,
    }
    assert BOOKING_ID.fullmatch(booking["id"])
    assert MILLISECONDS.fullmatch(booking["created_at"])
    found = await client.get(f"{BASE}/bookings/{booking['id']}")
    assert found.status_code == 200
    assert found.json() == {"booking": booking | {"show_id": 1, "user_id": "user123"}}


async def test_a_hold_lasts_two_minutes(client: httpx.AsyncClient) -> None:
    """A customer who pays within the promised time would lose the seats."""
    await new_show(client, "1")
    body = {"seat_nos": ["1"], "user_id": "user123", "immediate_confirm": False}
    booking = (await client.post(f"{BASE}/shows/1/book", json=body)).json()["booking"]
    assert booking["status"] == "PENDING"
    assert MILLISECONDS.fullmatch(booking["expires_at"])
    made, expires = map(datetime.fromisoformat, (booking["created_at"], booking["expires_at"]))
    assert (expires - made).total_seconds() == 120
    found = (await client.get(f"{BASE}/bookings/{booking['id']}")).json()["booking"]
    assert found["expires_at"] == booking["expires_at"]


async def test_what_its_database_took_is_taken(client: httpx.AsyncClient) -> None:
    """Clients that send numbers for seats and users, or more fields than are known, would break."""
    await new_show(client, "1")
    body = {"seat_nos": [7, "8"], "user_id": 42, "promo": {"code": "X"}}
    booking = (await client.post(f"{BASE}/shows/1/book?utm=mail", json=body)).json()["booking"]
    assert (booking["seat_nos"], booking["status"]) == (["7", "8"], "CONFIRMED")
    found = (await client.get(f"{BASE}/bookings/{booking['id']}")).json()["booking"]
    assert found["user_id"] == "42"


async def test_taken_seats_are_named(client: httpx.AsyncClient) -> None:
    """A customer would not know which seats to give up."""
    await new_show(client, "1")
    first = await client.post(f"{BASE}/shows/1/book", json={"seat_nos": ["2", "3"], "user_id": "a"})
    assert first.status_code == 201
    second = await client.post(f"{BASE}/shows/1/book", json={"seat_nos": ["1", "2", "3"], "user_id": "b"})
    assert refused(second, 409) == "Seats 2 and 3 are taken; nothing was booked."
    seats = (await client.get(f"{BASE}/shows/1/seats")).json()["seats"]
    assert [seat["status"] for seat in seats[:4]] == ["AVAILABLE", "BOOKED", "BOOKED", "AVAILABLE"]


async def test_ten_requests_for_the_same_seats(client: httpx.AsyncClient) -> None:
    """Its own concurrency test would not say PASS."""
    await new_show(client, "1")
    answers = await asyncio.gather(
        *(
            client.post(f"{BASE}/shows/1/book", json={"seat_nos": ["5", "6"], "user_id": f"user{n}"})
            for n in range(10)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}


async def test_any_labels_fit(client: httpx.AsyncClient) -> None:
    """Shows made elsewhere could not be sold by its clients."""
    body = {"name": "Hall", "start_time": TOMORROW, "layout": HALL}
    assert (await client.post("/api/shows", json=body)).status_code == 201
    seats = (await client.get(f"{BASE}/shows/1/seats")).json()["seats"]
    assert [seat["seat_no"] for seat in seats] == ["A-1", "A-2", "A-3", "A-4"]
    booked = await client.post(f"{BASE}/shows/1/book", json={"seat_nos": ["A-1"], "user_id": "u"})
    assert booked.json()["booking"]["seat_nos"] == ["A-1"]


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    """A client would wait for something that never comes, or crash on a page of HTML."""
    await new_show(client, "1")
    body = {"seat_nos": ["1"], "user_id": "u"}
    assert refused(await client.get(f"{BASE}/shows/7/seats"), 404) == "There is no show 7."
    assert refused(await client.get(f"{BASE}/shows/first/seats"), 404) == "There is no show first."
    assert refused(await client.post(f"{BASE}/shows/7/book", json=body), 404) == "There is no show 7."
    unknown = await client.post(f"{BASE}/shows/1/book", json=body | {"seat_nos": ["1", "99"]})
    assert refused(unknown, 404) == "There is no seat 99 in this show."
    for booking in ("1", "x", NO_SUCH_BOOKING):
        missing = await client.get(f"{BASE}/bookings/{booking}")
        assert refused(missing, 404) == f"There is no booking {booking}."


async def test_a_lapsed_hold_is_told_as_failed(client: httpx.AsyncClient) -> None:
    """A customer would believe to have seats that others may take."""
    show = {"name": "Short", "start_time": TOMORROW, "total_seats": 2, "hold_seconds": 1}
    await client.post("/api/shows", json=show)
    body = {"seat_nos": ["1"], "user_id": "u", "immediate_confirm": False}
    booking = (await client.post(f"{BASE}/shows/1/book", json=body)).json()["booking"]
    await asyncio.sleep(1.1)
    found = (await client.get(f"{BASE}/bookings/{booking['id']}")).json()["booking"]
    assert (found["status"], found["expires_at"]) == ("FAILED", None)
    assert (await client.post(f"{BASE}/shows/1/book", json=body)).status_code == 201
