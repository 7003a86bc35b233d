"""The audit trail: who did what to which booking, block, show or webhook, from where; appended only."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from tests.http.api import ADA, ADMIN, BOB, SERVICE, build, new_booking, new_show, problem, running

TARGET = {"url": "https://192.0.78.9/hooks?key=secret"}  # never asked: no worker runs


async def trail(client: httpx.AsyncClient, **filters: Any) -> list[Any]:
    """What was done, the oldest first."""
    answer = await client.get("/api/audit", params={"limit": 200, **filters}, headers=ADMIN)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items[::-1]


def said(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Who did what to what, and what it came to."""
    return entry["user_id"], entry["role"], entry["action"], entry["target"], entry["outcome"]


async def test_every_change_is_there_with_who_and_from_where(dsn: str) -> None:
    """Nobody could tell who gave the front row away."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        at = f"/api/shows/{show['id']}"
        of_show = f"show {show['id']}"
        await client.patch(at, json={"name": "Another", "max_seats_per_booking": 4}, headers=ADMIN)
        await client.post(f"{at}/block", json={"seats": ["9", "10"]}, headers=ADMIN)
        await client.post(f"{at}/unblock", json={"seats": ["10"]}, headers=ADMIN)
        hers = await new_booking(client, show["id"], seats=["1"])
        body = {"seats": ["2"], "confirm": False, "user_id": "bob"}
        held = await client.post(f"{at}/bookings", json=body, headers={**SERVICE, "X-Request-Id": "r-17"})
        lost = await client.post(f"{at}/bookings", json={"seats": ["1"]}, headers=BOB)
        his, tried = held.json()["id"], lost.json()["booking"]["id"]
        await client.post(f"/api/bookings/{his}/confirm", headers=BOB)
        await client.post(f"/api/bookings/{his}/confirm", headers=BOB)  # changes nothing
        await client.post(f"/api/bookings/{hers['id']}/cancel", headers=ADMIN)
        await client.post(f"{at}/cancel", headers=ADMIN)
        done = await trail(client, show_id=show["id"])
        assert [said(entry) for entry in done] == [
            ("root", "admin", "show.create", of_show, None),
            ("root", "admin", "show.change", of_show, None),
            ("root", "admin", "seats.block", of_show, "blocked"),
            ("root", "admin", "seats.unblock", of_show, "unblocked"),
            ("ada", "customer", "booking.book", hers["id"], None),
            ("shop", "service", "booking.hold", his, None),
            ("bob", "customer", "booking.book", tried, "seats_taken"),
            ("bob", "customer", "booking.confirm", his, "confirmed"),
            ("root", "admin", "booking.cancel", hers["id"], "cancelled"),
            ("root", "admin", "show.cancel", of_show, "sale_closed"),
        ]
        assert done[1]["detail"] == {"name": ["A show", "Another"], "max_seats_per_booking": [10, 4]}
        assert done[2]["detail"] == {"seats": ["9", "10"]}
        assert (done[5]["request_id"], done[5]["address"]) == ("r-17", "127.0.0.1")
        assert all(entry["show_id"] == show["id"] and entry["request_id"] for entry in done)
        assert [entry["action"] for entry in await trail(client, booking_id=his)] == [
            "booking.hold",
            "booking.confirm",
        ]
        assert {entry["target"] for entry in await trail(client, user_id="bob")} == {his, tried}


async def test_webhooks_are_in_it_without_their_secrets(dsn: str) -> None:
    """Whoever has customers' data sent elsewhere would leave no trace; or the trace would give the key away."""
    async with running(build(dsn)) as client:
        made = (await client.post("/api/webhooks", json=TARGET, headers=ADMIN)).json()
        at = f"/api/webhooks/{made['id']}"
        await client.patch(at, json={"active": False}, headers=ADMIN)
        await client.delete(at, headers=ADMIN)
        done = await trail(client)
        assert [(entry["action"], entry["detail"]) for entry in done] == [
            ("webhook.create", {"url": "https://192.0.78.9"}),
            ("webhook.change", {"changed": ["active"], "url": "https://192.0.78.9"}),
            ("webhook.delete", None),
        ]
        assert all(entry["show_id"] is None for entry in done)


async def test_its_pages_hold_everything_once(dsn: str) -> None:
    """A change would be missing from the trail, for being on the edge of a page."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        for number in range(1, 6):
            made = await new_booking(client, show["id"], seats=[str(number)])
            await client.post(f"/api/bookings/{made['id']}/cancel", headers=ADMIN)
        whole = await trail(client)
        pages, cursor = [], None
        while True:
            params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/api/audit", params=params, headers=ADMIN)).json()
            pages += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert pages[::-1] == whole
        assert len(whole) == 11
        bad = await client.get("/api/audit", params={"cursor": "nonsense"}, headers=ADMIN)
        problem(bad, 400, "invalid_request")


async def test_a_change_that_does_not_hold_leaves_nothing(dsn: str) -> None:
    """The trail would tell of what never happened."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        made = await new_booking(client, show["id"], seats=["1"])
        refused = await client.post(f"/api/shows/{show['id']}/block", json={"seats": ["1"]}, headers=ADMIN)
        assert refused.status_code == 409
        assert (await client.post(f"/api/bookings/{made['id']}/cancel", headers=BOB)).status_code == 404
        assert [entry["action"] for entry in await trail(client)] == ["show.create", "booking.book"]


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit SET user_id = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"],
)
async def test_it_is_appended_to_and_nothing_else(dsn: str, statement: str) -> None:
    """Whoever did it could undo the trace."""
    async with running(build(dsn)) as client:
        await new_show(client)
        connection = await asyncpg.connect(dsn)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await connection.execute(statement)
        finally:
            await connection.close()
        assert len(await trail(client)) == 1


async def test_a_guests_trail_names_the_guest(dsn: str) -> None:
    """Guests would share one name in the trail."""
    async with running(build(dsn)) as client:
        show = await new_show(client)
        guest = (await client.post("/api/session", json={"name": "Gina"})).json()["user_id"]
        own_page = {"Sec-Fetch-Site": "same-origin"}
        booked = await client.post(
            "/api/bookings", json={"show_id": show["id"], "seat_count": 1}, headers=own_page
        )
        assert booked.status_code == 201, booked.text
        client.cookies.clear()
        assert (await trail(client, user_id=guest))[0]["user_id"] == guest
        problem(await client.get("/api/audit", headers=ADA), 403, "forbidden")
