"""Every call on the five predecessors' pages, sent as printed there to a server in demo mode.

Only the base address is changed, and the ids are those that were returned.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from rowlock.postgres.embedded import EmbeddedPostgres
from tests.conftest import on_database, run_sql
from tests.end_to_end.conftest import Server

CURL_LINES = """\
curl http://localhost:3000/shows
curl http://localhost:3000/shows/1/seats
curl -X POST http://localhost:3000/shows/1/book -H "Content-Type: application/json" \
-d '{"seat_nos":["7","8"],"user_id":"user789","immediate_confirm":true}'
curl http://localhost:3000/bookings/1
"""

PAGE = Path(__file__).parents[2] / "docs" / "predecessors.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
TIME_NOW = re.compile(r'"(created_?at|expires_?at)":"[^"]+"', re.IGNORECASE)
BOOKING_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")

SHOW_FIELDS = {"id", "name", "start_time", "total_seats"}


@pytest.fixture(scope="module")
def demo(
    server: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """What `make run` runs, on a database of its own, with its samples."""
    run_sql(server.dsn, f"CREATE DATABASE predecessors TEMPLATE {template}")
    process = Server(
        on_database(server.dsn, "predecessors"),
        tmp_path_factory.mktemp("demo"),
        command="demo",
        ROWLOCK_SECRET_KEY="",
    )
    try:
        asyncio.run(process.ready())
        yield process
    finally:
        process.stop()
        run_sql(server.dsn, "DROP DATABASE predecessors WITH (FORCE)")


@pytest.fixture
async def client(demo: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client without credentials."""
    async with httpx.AsyncClient(base_url=demo.url, timeout=20) as client:
        yield client


async def shell(line: str) -> str:
    """What a line prints."""
    with anyio.fail_after(20):
        return (await anyio.run_process(["bash", "-c", line])).stdout.decode()


def told(answer: httpx.Response, status: int, *fields: str) -> Any:
    """The body of an answer that must have this status and just these fields."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert set(body) == set(fields)
    return body


@pytest.mark.parametrize("page", [0, 3])
async def test_predecessors_0_and_3(client: httpx.AsyncClient, page: int) -> None:
    """Their clients would not find what their pages name at the same addresses."""
    documentation = await client.get("/api-docs")
    assert documentation.status_code == 200
    assert documentation.headers["Content-Type"].startswith("text/html")
    body = {"name": f"Page {page}", "start_time": "2035-01-01T20:00:00+01:00", "total_seats": 20}
    made = await client.post("/api/shows", json=body)
    assert made.status_code == 201
    show = made.json()["id"]
    listed = told(await client.get("/api/shows?limit=200"), 200, "items", "next_cursor")
    assert show in [item["id"] for item in listed["items"]]
    assert (await client.get(f"/api/shows/{show}")).json()["available_seats"] == 20
    seats = told(await client.get(f"/api/shows/{show}/seats"), 200, "show_id", "version", "seats")
    assert [seat["status"] for seat in seats["seats"]] == ["AVAILABLE"] * 20
    wish = {"show_id": show, "seats": ["7", "8"], "user_id": f"user-{page}"}
    booked = await client.post("/api/bookings", json=wish)
    assert (booked.status_code, booked.json()["status"]) == (201, "CONFIRMED")
    again = await client.post("/api/bookings", json=wish)
    assert (again.status_code, again.json()["booking"]["status"]) == (409, "FAILED")
    found = await client.get(f"/api/bookings/{booked.json()['id']}")
    assert found.json() == booked.json()
    mine = told(await client.get(f"/api/bookings/user/user-{page}"), 200, "items", "next_cursor")
    assert [item["status"] for item in mine["items"]] == ["FAILED", "CONFIRMED"]


async def test_predecessor_1(client: httpx.AsyncClient) -> None:
    """Its clients could not book by seat names, at once or with a hold."""
    base = "/classic/1"
    body = {"name": "Rock Concert 2025", "start_time": "2025-12-25T19:00:00Z", "total_seats": 100}
    made = told(await client.post(f"{base}/admin/shows", json=body), 201, "message", "show")
    show = made["show"]
    assert set(show) == SHOW_FIELDS | {"created_at"}
    assert isinstance(show["id"], int)
    listed = told(await client.get(f"{base}/shows"), 200, "shows", "count")
    assert show in listed["shows"]
    assert listed["count"] == len(listed["shows"])
    seats = told(await client.get(f"{base}/shows/{show['id']}/seats"), 200, "show_id", "seats", "count")
    assert (seats["show_id"], seats["count"]) == (show["id"], 100)
    assert seats["seats"][0] == {"id": 1, "seat_no": "1", "status": "AVAILABLE"}
    wish = {"seat_nos": ["1", "2", "3"], "user_id": "user123", "immediate_confirm": True}
    path = f"{base}/shows/{show['id']}/book"
    booked = told(await client.post(path, json=wish), 201, "message", "booking")
    assert booked["message"] == "Booking created successfully"
    assert set(booked["booking"]) == {"id", "status", "seat_nos", "created_at", "expires_at"}
    assert (booked["booking"]["status"], booked["booking"]["expires_at"]) == ("CONFIRMED", None)
    taken = told(await client.post(path, json=wish), 409, "error")
    assert taken["error"] == "Seats 1, 2 and 3 are taken; nothing was booked."
    found = told(await client.get(f"{base}/bookings/{booked['booking']['id']}"), 200, "booking")
    assert found["booking"] == booked["booking"] | {"show_id": show["id"], "user_id": "user123"}
    held = {"seat_nos": ["4"], "user_id": "user123", "immediate_confirm": False}
    pending = told(await client.post(path, json=held), 201, "message", "booking")["booking"]
    assert pending["status"] == "PENDING"
    assert pending["expires_at"] > pending["created_at"]


async def test_predecessor_1_by_curl(demo: Server, client: httpx.AsyncClient) -> None:
    """Whoever tries its page's own lines in a shell would get an error."""
    body = {"name": "Rock Concert 2025", "start_time": "2025-12-25T19:00:00Z", "total_seats": 100}
    show = (await client.post("/classic/1/admin/shows", json=body)).json()["show"]["id"]
    booking = ""
    answers = []
    for line in CURL_LINES.splitlines():
        here = line.replace("http://localhost:3000", f"{demo.url}/classic/1")
        here = here.replace("/shows/1/", f"/shows/{show}/").replace("/bookings/1", f"/bookings/{booking}")
        answers.append(json.loads(await shell(here)))
        booking = answers[-1].get("booking", {}).get("id", "")
    shows, seats, booked, found = answers
    assert show in [item["id"] for item in shows["shows"]]
    assert seats["count"] == 100
    assert booked["booking"]["seat_nos"] == ["7", "8"]
    assert found["booking"] == booked["booking"] | {"show_id": show, "user_id": "user789"}


async def test_predecessor_1_ten_requests_for_the_same_seats(client: httpx.AsyncClient) -> None:
    """Its `npm run test:concurrent` would not say PASS: one booking succeeds, nine fail."""
    body = {"name": "Rock Concert 2025", "start_time": "2025-12-25T19:00:00Z", "total_seats": 100}
    show = (await client.post("/classic/1/admin/shows", json=body)).json()["show"]["id"]
    answers = await asyncio.gather(
        *(
            client.post(
                f"/classic/1/shows/{show}/book",
                json={"seat_nos": ["1", "2", "3"], "user_id": f"user{n}", "immediate_confirm": True},
            )
            for n in range(10)
        )
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    seats = (await client.get(f"/classic/1/shows/{show}/seats")).json()["seats"]
    assert Counter(seat["status"] for seat in seats) == {"BOOKED": 3, "AVAILABLE": 97}


async def test_predecessor_2(client: httpx.AsyncClient) -> None:
    """Its clients could not book by count, or not read whether that was CONFIRMED or FAILED."""
    base = "/classic/2"
    body = {"name": "Movie Name", "start_time": "2024-03-20T18:00:00Z", "total_seats": 40}
    made = told(await client.post(f"{base}/admin/show", json=body), 200, "message", "show")
    show = made["show"]["id"]
    assert isinstance(show, int)
    assert made == {
        "message": "Show created successfully",
        "show": body | {"id": show, "booked_seats": 0},
    }
    for seat_count, status in ((2, "CONFIRMED"), (39, "FAILED"), (38, "CONFIRMED"), (1, "FAILED")):
        wish = {"show_id": show, "seat_count": seat_count}
        booked = told(await client.post(f"{base}/book", json=wish), 200, "message", "booking")
        booking = booked["booking"]
        assert booked["message"] == f"Booking {status}"
        assert set(booking) == {"id", "show_id", "seat_count", "status", "created_at"}
        assert (booking["show_id"], booking["seat_count"], booking["status"]) == (show, seat_count, status)
    listed = await client.get(f"{base}/shows")
    assert listed.status_code == 200
    shows = listed.json()
    assert body | {"id": show, "available_seats": 0} in shows
    assert all(set(item) == SHOW_FIELDS | {"available_seats"} for item in shows)
    assert [item["start_time"] for item in shows] == sorted(item["start_time"] for item in shows)
    told(await client.post(f"{base}/book", json={"seat_count": 2}), 400, "error")
    told(await client.post(f"{base}/book", json={"show_id": 2**52, "seat_count": 2}), 404, "error")


async def test_predecessor_4(client: httpx.AsyncClient) -> None:
    """Its clients could not book by seat numbers, or not read which of them others have."""
    base = "/classic/4"
    assert (await client.get(f"{base}/health")).status_code == 200
    body = {"name": "City Express", "startTime": "2024-12-12T15:00:00Z", "totalSeats": 40}
    show = told(await client.post(f"{base}/shows", json=body), 201, "show")["show"]
    fields = {"id", "name", "startTime", "totalSeats", "reservedSeats", "availableSeats"}
    assert set(show) == fields
    assert isinstance(show["id"], str)
    path = f"{base}/shows/{show['id']}"
    wish = {"seats": [1, 2, 3], "userName": "Maya"}
    booked = told(
        await client.post(f"{path}/bookings", json=wish),
        201,
        "bookingId",
        "status",
        "showId",
        "seatsConfirmed",
    )
    assert (booked["status"], booked["showId"], booked["seatsConfirmed"]) == (
        "CONFIRMED",
        show["id"],
        [1, 2, 3],
    )
    failed = told(
        await client.post(f"{path}/bookings", json={"seats": [3, 4], "userName": "Noor"}),
        200,
        "bookingId",
        "status",
        "showId",
        "failedSeats",
        "reason",
    )
    assert (failed["status"], failed["failedSeats"]) == ("FAILED", [3])
    listed = told(await client.get(f"{base}/shows"), 200, "shows")["shows"]
    assert show | {"reservedSeats": 3, "availableSeats": 37} in listed
    assert all(set(item) == fields for item in listed)
    shown = told(await client.get(path), 200, "show")["show"]
    assert set(shown) == fields | {"reservedSeatNumbers", "availableSeatNumbers"}
    assert shown["reservedSeats"] == shown["reservedSeatNumbers"] == [1, 2, 3]
    assert shown["availableSeats"] == shown["availableSeatNumbers"] == list(range(4, 41))
    for identifier, status in ((booked["bookingId"], "CONFIRMED"), (failed["bookingId"], "FAILED")):
        found = told(await client.get(f"{base}/bookings/{identifier}"), 200, "booking")["booking"]
        assert set(found) == {"id", "showId", "userName", "status", "seats", "createdAt", "expiresAt"}
        assert (found["id"], found["status"]) == (identifier, status)


async def test_a_page_of_another_port_may_call(client: httpx.AsyncClient) -> None:
    """Predecessor 4's own page, served by Vite on its own port, could not reach the demo."""
    origin = "http://localhost:5173"
    answer = await client.post(
        "/classic/4/shows",
        json={"name": "City Express", "startTime": "2024-12-12T15:00:00Z", "totalSeats": 40},
        headers={"Origin": origin},
    )
    assert answer.status_code == 201
    assert answer.headers["Access-Control-Allow-Origin"] == origin


async def test_the_documentation_is_true(dsn: str, tmp_path: Path) -> None:
    """Whoever moves over would prepare for answers that never come."""
    ids: dict[str, str] = {}

    def in_this_run(text: str) -> str:
        return BOOKING_ID.sub(lambda found: ids[found[0]], text)

    server = Server(dsn, tmp_path, ROWLOCK_AUTH="demo", ROWLOCK_SECRET_KEY="")
    try:
        await server.ready()
        lines = [line for block in BLOCK.findall(PAGE.read_text()) for line in block.splitlines()]
        assert len(lines) >= 40
        for command, documented in zip(lines[::2], lines[1::2], strict=True):
            here = command.removeprefix("$ ").replace("http://127.0.0.1:8000", server.url)
            answer = await shell(in_this_run(here))
            for old, new in zip(BOOKING_ID.findall(documented), BOOKING_ID.findall(answer), strict=True):
                ids.setdefault(old, new)
            expected = in_this_run(documented)
            assert TIME_NOW.sub(r"\1", answer) == TIME_NOW.sub(r"\1", expected), command
    finally:
        server.stop()
