"""Stampedes through HTTP, at two server processes."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from tests.support import TOMORROW, audit

pytestmark = pytest.mark.anyio


@pytest.fixture
async def context(dsn: str) -> AsyncIterator[Context]:
    """A look into the database."""
    async with open_context(Database(dsn)) as context:
        yield context


async def create(client: httpx.AsyncClient, total_seats: int, **fields: Any) -> int:
    """A show by HTTP. Returns its id."""
    body = {"name": "On sale", "start_time": TOMORROW.isoformat(), "total_seats": total_seats, **fields}
    answer = await client.post("/api/shows", json=body)
    assert answer.status_code == 201, answer.text
    show_id: int = answer.json()["id"]
    return show_id


async def test_a_hundred_at_the_same_two_seats(clients: list[httpx.AsyncClient], context: Context) -> None:
    """One pair of seats would be sold to two pairs of people, or the losers not told why."""
    show = await create(clients[0], 50)
    answers = await asyncio.gather(
        *(
            clients[n % 2].post(
                "/api/bookings", json={"show_id": show, "seats": ["7", "8"], "user_id": f"u{n}"}
            )
            for n in range(100)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 99}
    for answer in answers:
        if answer.status_code == 409:
            problem = answer.json()
            assert problem["code"] == "seats_taken"
            assert problem["conflicts"] == ["7", "8"]
            assert problem["booking"]["status"] == "FAILED"
    await audit(context)


async def test_two_hundred_with_overlapping_sets(clients: list[httpx.AsyncClient], context: Context) -> None:
    """What was answered 201 would not be in the database, or a seat in it twice."""
    show = await create(clients[0], 150)
    dice = random.Random(42)

    async def buyer(n: int) -> list[dict[str, Any]]:
        won = []
        for _ in range(3):
            seats = [str(seat) for seat in dice.sample(range(1, 151), dice.randint(1, 5))]
            body = {"show_id": show, "seats": seats, "user_id": f"u{n}"}
            answer = await dice.choice(clients).post("/api/bookings", json=body)
            assert answer.status_code in {201, 409}, answer.text
            if answer.status_code == 201:
                won.append(answer.json())
        return won

    bookings = [booking for won in await asyncio.gather(*(buyer(n) for n in range(200))) for booking in won]
    owners = Counter(seat for booking in bookings for seat in booking["seats"])
    assert set(owners.values()) == {1}
    rows = await context.pool.fetch("SELECT id, seat_count FROM bookings WHERE status = 'CONFIRMED'")
    assert {str(row["id"]) for row in rows} == {booking["id"] for booking in bookings}
    counts = (await clients[1].get(f"/api/shows/{show}")).json()
    assert counts["booked_seats"] == len(owners)
    assert counts["available_seats"] == 150 - len(owners)
    await audit(context)


async def test_one_key_from_fifty_clients(clients: list[httpx.AsyncClient], context: Context) -> None:
    """Whoever presses twice would pay twice."""
    show = await create(clients[0], 100)
    answers = await asyncio.gather(
        *(
            clients[n % 2].post(
                f"/api/shows/{show}/bookings",
                json={"seat_count": 2, "user_id": "ada"},
                headers={"Idempotency-Key": "one-press"},
            )
            for n in range(50)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 49
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 1
    await audit(context)


async def test_a_show_of_a_hundred_thousand_seats(clients: list[httpx.AsyncClient], context: Context) -> None:
    """A stadium could not be sold."""
    show = await create(clients[0], 100_000)
    assert await context.pool.fetchval("SELECT count(*) FROM seats WHERE show_id = $1", show) == 100_000
    answer = await clients[1].post(
        "/api/bookings", json={"show_id": show, "seats": ["100000"], "user_id": "ada"}
    )
    assert answer.status_code == 201
    best = await clients[0].post("/api/bookings", json={"show_id": show, "seat_count": 10, "user_id": "bob"})
    assert best.status_code == 201
    await audit(context)


async def test_a_hold_lapses_by_itself(clients: list[httpx.AsyncClient], context: Context) -> None:
    """Seats that nobody paid for would stay empty."""
    show = await create(clients[0], 10, hold_seconds=1)
    body = {"show_id": show, "seats": ["1"], "confirm": False, "user_id": "ada"}
    held = (await clients[0].post("/api/bookings", json=body)).json()
    assert held["status"] == "PENDING"
    for _ in range(100):
        counts = (await clients[1].get(f"/api/shows/{show}")).json()
        if counts["available_seats"] == 10:
            break
        await asyncio.sleep(0.05)
    assert counts["reserved_seats"] == 0
    now = (await clients[1].get(f"/api/bookings/{held['id']}")).json()
    assert (now["status"], now["reason"]) == ("FAILED", "hold_expired")
    late = await clients[0].post(f"/api/bookings/{held['id']}/confirm")
    assert (late.status_code, late.json()["code"]) == (409, "hold_expired")
    await audit(context)
