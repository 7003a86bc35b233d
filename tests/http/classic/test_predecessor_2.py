"""Predecessor 2: only counts."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.http.api import TOMORROW
from tests.http.classic.calls import BOOKING_ID, HALL, SECONDS, new_show, refused

BASE = "/classic/2"


async def test_a_show_is_made(client: httpx.AsyncClient) -> None:
    """Its admin page could not make a show; the answer is the page's own, to the letter."""
    body = {"name": "Movie Name", "start_time": "2024-03-20T18:00:00Z", "total_seats": 40}
    made = await client.post(f"{BASE}/admin/show", json=body)
    assert made.status_code == 200
    assert made.json() == {
        "message": "Show created successfully",
        "show": {
            "id": 1,
            "name": "Movie Name",
            "start_time": "2024-03-20T18:00:00Z",
            "total_seats": 40,
            "booked_seats": 0,
        },
    }


async def test_shows_are_listed_soonest_first(client: httpx.AsyncClient) -> None:
    """Visitors would look for tonight's show at the end."""
    later = {"name": "Later", "start_time": "2031-01-01T00:00:00Z", "total_seats": 3}
    await client.post(f"{BASE}/admin/show", json=later)
    await new_show(client, "2", 40)
    for count in (2, 3):
        await client.post(f"{BASE}/book", json={"show_id": 2, "seat_count": count})
    answer = await client.get(f"{BASE}/shows")
    assert answer.status_code == 200
    assert answer.json() == [
        {
            "id": 2,
            "name": "A show",
            "start_time": "2024-03-20T18:00:00Z",
            "total_seats": 40,
            "available_seats": 35,
        },
        {
            "id": 1,
            "name": "Later",
            "start_time": "2031-01-01T00:00:00Z",
            "total_seats": 3,
            "available_seats": 3,
        },
    ]


async def test_seats_are_booked_by_count(client: httpx.AsyncClient) -> None:
    """A customer would get no seats, or not so many."""
    await new_show(client, "2")
    made = await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 2})
    assert made.status_code == 200
    booking = made.json()["booking"]
    assert made.json() == {
        "message": "Booking CONFIRMED",
        "booking": {
            "id": booking["id"],
            "show_id": 1,
            "seat_count": 2,
            "status": "CONFIRMED",
            "created_at": booking["created_at"],
        },
    }
    assert BOOKING_ID.fullmatch(booking["id"])
    assert SECONDS.fullmatch(booking["created_at"])
    stored = (await client.get(f"/api/bookings/{booking['id']}")).json()
    assert (stored["user_id"], len(stored["seats"])) == ("guest", 2)


async def test_a_booking_fails_where_too_few_are_left(client: httpx.AsyncClient) -> None:
    """A customer would be told nothing, or be sold what is not there."""
    await new_show(client, "2", 3)
    first = await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 2})
    assert first.json()["message"] == "Booking CONFIRMED"
    second = await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 2})
    assert second.status_code == 200
    assert second.json()["message"] == "Booking FAILED"
    assert (second.json()["booking"]["status"], second.json()["booking"]["seat_count"]) == ("FAILED", 2)
    assert BOOKING_ID.fullmatch(second.json()["booking"]["id"])
    assert (await client.get(f"{BASE}/shows")).json()[0]["available_seats"] == 1


async def test_the_last_seats_go_once(client: httpx.AsyncClient) -> None:
    """More tickets would be sold than there are seats."""
    await new_show(client, "2", 10)
    answers = await asyncio.gather(
        *(client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 3}) for _ in range(10))
    )
    told = Counter(answer.json()["message"] for answer in answers)
    assert told == {"Booking CONFIRMED": 3, "Booking FAILED": 7}
    assert (await client.get(f"{BASE}/shows")).json()[0]["available_seats"] == 1


async def test_more_than_a_show_allows(client: httpx.AsyncClient) -> None:
    """A client would be told that a show is sold out, while it only asked for too many."""
    await new_show(client, "2", 10)
    body = {"name": "Hall", "start_time": TOMORROW, "layout": HALL, "max_seats_per_booking": 2}
    assert (await client.post("/api/shows", json=body)).status_code == 201
    words = refused(await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 11}), 400)
    assert words.startswith("seat_count: must be at most 10 seats")
    words = refused(await client.post(f"{BASE}/book", json={"show_id": 2, "seat_count": 3}), 400)
    assert words.startswith("seat_count: must be at most 2 seats")
    words = refused(await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 501}), 400)
    assert words == "seat_count: must be at most 500 seats"
    assert (await client.post(f"{BASE}/book", json={"show_id": 1, "seat_count": 10})).status_code == 200
    assert (await client.post(f"{BASE}/book", json={"show_id": 2, "seat_count": 2})).status_code == 200


async def test_what_is_not_there(client: httpx.AsyncClient) -> None:
    """A client would take a show that never was for one that is sold out."""
    answer = await client.post(f"{BASE}/book", json={"show_id": 7, "seat_count": 1})
    assert refused(answer, 404) == "There is no show 7."
