"""Shows over HTTP, on a real database."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from rowlock.http import examples
from tests.http.api import ADA, ADMIN, TOMORROW, build, new_booking, new_show, problem, running


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application."""
    async with running(build(dsn)) as opened:
        yield opened


async def test_name_time_and_seats_are_enough(client: httpx.AsyncClient) -> None:
    """The simplest show could not be made."""
    answer = await client.post(
        "/api/shows", json={"name": "A show", "start_time": TOMORROW, "total_seats": 10}, headers=ADMIN
    )
    assert answer.status_code == 201
    show = answer.json()
    assert answer.headers["Location"] == f"/api/shows/{show['id']}"
    assert show == (await client.get(answer.headers["Location"])).json()
    created_at = show.pop("created_at")
    assert created_at.endswith("Z")
    assert datetime.fromisoformat(created_at).tzinfo is not None
    assert show == {
        "id": 1,
        "kind": "show",
        "name": "A show",
        "venue": None,
        "start_time": TOMORROW,
        "end_time": None,
        "time_zone": None,
        "origin": None,
        "destination": None,
        "status": "scheduled",
        "total_seats": 10,
        "available_seats": 10,
        "reserved_seats": 0,
        "booked_seats": 0,
        "blocked_seats": 0,
        "currency": "EUR",
        "categories": [{"name": "Standard", "price_cents": 0, "color": None}],
        "max_seats_per_booking": 10,
        "hold_seconds": 120,
        "confirm_by": "owner",
        "on_sale_at": None,
    }


async def test_every_field_can_be_given(client: httpx.AsyncClient) -> None:
    """What an admin says of a show would be lost."""
    given = {
        "id": 2**53 - 1,
        "kind": "trip",
        "name": "Vienna to Graz",
        "venue": "Bus station",
        "start_time": "2035-03-02T07:10:00+01:00",
        "end_time": "2035-03-02T09:50:00+01:00",
        "time_zone": "Europe/Vienna",
        "origin": "Vienna",
        "destination": "Graz",
        "status": "scheduled",
        "currency": "CHF",
        "categories": [{"name": "Seat", "price_cents": 1990, "color": "#1a2b3c"}],
        "max_seats_per_booking": 5,
        "hold_seconds": 60,
        "confirm_by": "service",
        "on_sale_at": "2034-12-01T09:00:00+01:00",
        "created_at": "2001-01-01T00:00:00+01:00",
    }
    show = await new_show(client, **given)
    utc = {
        "start_time": "2035-03-02T06:10:00Z",
        "end_time": "2035-03-02T08:50:00Z",
        "on_sale_at": "2034-12-01T08:00:00Z",
        "created_at": "2000-12-31T23:00:00Z",
    }
    assert {name: show[name] for name in given} == given | utc


async def test_a_taken_id_is_told(client: httpx.AsyncClient) -> None:
    """A show would replace another, or a retry would look like a failure of the server."""
    await new_show(client, id=7)
    body = {"name": "x", "start_time": TOMORROW, "total_seats": 1, "id": 7}
    answer = problem(await client.post("/api/shows", json=body, headers=ADMIN), 409, "wrong_state")
    assert answer["errors"] == [{"field": "id", "message": "is taken"}]


async def test_a_layout_is_shown_as_it_was_given(client: httpx.AsyncClient) -> None:
    """Seats would be sold that stand elsewhere, or cost something else."""
    answer = await client.post("/api/shows", json=examples.NEW_SHOWS["A hall with categories"], headers=ADMIN)
    show = answer.json()
    layout = (await client.get(f"/api/shows/{show['id']}/layout")).json()
    assert [category["name"] for category in layout["categories"]] == ["Stalls", "Balcony"]
    row = layout["sections"][0]["rows"][1]
    assert [seat["label"] for seat in row["seats"]] == ["B-left", "B-2", "B-3"]
    assert [seat["gap_after"] for seat in row["seats"]] == [True, False, False]
    assert [seat["accessible"] for seat in row["seats"]] == [False, True, False]
    seats = (await client.get(f"/api/shows/{show['id']}/seats")).json()
    assert len(seats["seats"]) == show["total_seats"] == 24 + 3 + 16
    assert seats["seats"][-1] == {
        "seat": "K-16",
        "section": "Balcony",
        "row": "K",
        "category": "Balcony",
        "price_cents": 4500,
        "accessible": False,
        "status": "AVAILABLE",
    }


async def test_a_show_of_100_000_seats_takes_about_a_second(client: httpx.AsyncClient) -> None:
    """A stadium could not be sold, or would stop everybody else's bookings."""
    began = time.perf_counter()
    show = await new_show(client, total_seats=100_000)
    assert time.perf_counter() - began < 15  # a second on an idle machine; tests share theirs
    assert show["available_seats"] == 100_000
    letters = (await client.get(f"/api/shows/{show['id']}/availability")).json()
    assert (letters["available"], len(letters["statuses"])) == (100_000, 100_000)


async def test_lists_are_soonest_first_and_paged(client: httpx.AsyncClient) -> None:
    """A visitor would miss shows, or see some twice."""
    for day in (3, 1, 2):
        await new_show(client, name=f"Day {day}", start_time=f"2035-01-0{day}T00:00:00Z")
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await client.get("/api/shows", params={"limit": 1, "cursor": cursor})).json()
        names += [show["name"] for show in page["items"]]
        cursor = page["next_cursor"]
    assert names == ["Day 1", "Day 2", "Day 3"]


async def test_lists_are_filtered(client: httpx.AsyncClient) -> None:
    """A visitor who looks for a trip would be shown operas."""
    await new_show(client, name="Così fan tutte", venue="Opera House", start_time="2035-01-01T00:00:00Z")
    await new_show(client, name="By coach", kind="trip", origin="Vienna", start_time="2036-01-01T00:00:00Z")
    await new_show(client, name="100% off", status="cancelled", start_time="2037-01-01T00:00:00Z")

    async def names(**params: Any) -> list[str]:
        answer = await client.get("/api/shows", params=params)
        assert answer.status_code == 200, answer.text
        return [show["name"] for show in answer.json()["items"]]

    assert await names() == ["Così fan tutte", "By coach", "100% off"]
    assert await names(kind="trip") == ["By coach"]
    assert await names(status="cancelled") == ["100% off"]
    assert await names(q="opera") == ["Così fan tutte"]
    assert await names(q="0%") == ["100% off"]
    assert await names(q="vien", kind="show") == []
    assert await names(starts_after="2035-06-01T00:00:00+02:00") == ["By coach", "100% off"]
    assert await names(kind="", q="", status="", starts_after="", cursor="") == await names()


async def test_a_show_can_be_changed(client: httpx.AsyncClient) -> None:
    """A show that moves house could not be mended, or a change would lose what was not named."""
    show = await new_show(client, venue="Opera House", hold_seconds=60)
    path = f"/api/shows/{show['id']}"
    answer = await client.patch(path, json={"name": "Fidelio", "hold_seconds": None}, headers=ADMIN)
    assert answer.json() == show | {"name": "Fidelio", "hold_seconds": 120}
    answer = await client.patch(path, json={"venue": None, "max_seats_per_booking": 500}, headers=ADMIN)
    assert answer.json() == show | {
        "name": "Fidelio",
        "hold_seconds": 120,
        "venue": None,
        "max_seats_per_booking": 500,
    }
    assert (
        (await client.patch(path, json={}, headers=ADMIN)).json()
        == answer.json()
        == (await client.get(path)).json()
    )
    problem(await client.patch("/api/shows/99", json={"name": "x"}, headers=ADMIN), 404, "not_found")


async def test_a_cancelled_show_sells_nothing_and_ends_its_bookings(client: httpx.AsyncClient) -> None:
    """People would come to a show that does not take place."""
    show = await new_show(client)
    path = f"/api/shows/{show['id']}"
    booked = await new_booking(client, show["id"], seats=["1"])
    held = await new_booking(client, show["id"], seats=["2"], confirm=False)
    for _ in range(2):
        cancelled = (await client.post(f"{path}/cancel", headers=ADMIN)).json()
        assert cancelled == show | {"status": "cancelled"}
    for booking, status in ((booked, "CANCELLED"), (held, "FAILED")):
        now = (await client.get(f"/api/bookings/{booking['id']}", headers=ADA)).json()
        assert (now["status"], now["reason"]) == (status, "show_cancelled")
    answer = await client.post(f"{path}/bookings", json={"seats": ["3"]}, headers=ADA)
    problem(answer, 409, "show_cancelled")
    problem(await client.post(f"{path}/block", json={"seats": ["3"]}, headers=ADMIN), 409, "show_cancelled")


async def test_seats_are_blocked_all_or_none(client: httpx.AsyncClient) -> None:
    """Seats for the technicians would be sold, or sold ones taken away."""
    show = await new_show(client)
    path = f"/api/shows/{show['id']}"
    blocked = (await client.post(f"{path}/block", json={"seats": ["9", 10]}, headers=ADMIN)).json()
    assert (blocked["blocked_seats"], blocked["available_seats"]) == (2, 8)
    await new_booking(client, show["id"], seats=["1"])
    body = problem(
        await client.post(f"{path}/block", json={"seats": ["1", "2"]}, headers=ADMIN), 409, "seats_taken"
    )
    assert body["conflicts"] == ["1"]
    body = problem(
        await client.post(f"{path}/unblock", json={"seats": ["1", "9"]}, headers=ADMIN), 409, "wrong_state"
    )
    assert body["conflicts"] == ["1"]
    answer = await client.post(f"{path}/block", json={"seats": ["2", "Z-99"]}, headers=ADMIN)
    body = problem(answer, 404, "not_found")
    assert body["errors"] == [{"field": "seats[1]", "message": "there is no seat Z-99 in this show"}]
    freed = (await client.post(f"{path}/unblock", json={"seats": ["9", "10"]}, headers=ADMIN)).json()
    assert (freed["blocked_seats"], freed["available_seats"]) == (0, 9)


@pytest.mark.parametrize("what", ["seats", "availability"])
async def test_an_unchanged_map_is_not_sent_again(client: httpx.AsyncClient, what: str) -> None:
    """Each page that looks would cost the whole map, each second."""
    show = await new_show(client)
    path = f"/api/shows/{show['id']}/{what}"
    first = await client.get(path)
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    assert first.headers["Cache-Control"] == "no-cache"
    for wanted in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = await client.get(path, headers={"If-None-Match": wanted})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", etag)
    await new_booking(client, show["id"], seats=["1"])
    changed = await client.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert changed.json()["version"] == 1


async def test_the_two_maps_have_different_etags(client: httpx.AsyncClient) -> None:
    """A cache could take the one for the other."""
    await new_show(client)
    tags = {
        (await client.get(f"/api/shows/1/{what}")).headers["ETag"]
        for what in ("seats", "availability", "layout")
    }
    assert len(tags) == 3


async def test_the_map_tells_every_status(client: httpx.AsyncClient) -> None:
    """A page would show seats as free that are not."""
    show = await new_show(client, total_seats=4)
    await new_booking(client, show["id"], seats=["2"], confirm=False)
    await new_booking(client, show["id"], seats=["3"])
    await client.post("/api/shows/1/block", json={"seats": ["4"]}, headers=ADMIN)
    letters = (await client.get("/api/shows/1/availability")).json()
    assert (letters["statuses"], letters["available"], letters["version"]) == ("ARBX", 1, 3)
    listed = (await client.get("/api/shows/1/seats")).json()
    assert [seat["status"] for seat in listed["seats"]] == ["AVAILABLE", "RESERVED", "BOOKED", "BLOCKED"]


async def test_a_layout_is_kept_for_good(client: httpx.AsyncClient) -> None:
    """Each visit would load what never changes."""
    await new_show(client)
    answer = await client.get("/api/shows/1/layout")
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    again = await client.get("/api/shows/1/layout", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


async def test_a_show_can_have_the_seats_of_another(client: httpx.AsyncClient) -> None:
    """Whoever sells the same hall each night would type it in each night."""
    hall = {**examples.NEW_SHOWS["A hall with categories"], "currency": "CHF"}
    first = (await client.post("/api/shows", json=hall, headers=ADMIN)).json()
    body = {"name": "The second night", "start_time": TOMORROW, "layout_of": first["id"]}
    second = (await client.post("/api/shows", json=body, headers=ADMIN)).json()
    assert (second["total_seats"], second["currency"]) == (first["total_seats"], "CHF")
    assert second["categories"] == first["categories"]
    layouts = [(await client.get(f"/api/shows/{show['id']}/layout")).json() for show in (first, second)]
    assert layouts[0] == layouts[1]
    dearer = [{**category, "price_cents": 9900} for category in first["categories"]]
    third = await client.post("/api/shows", json={**body, "categories": dearer}, headers=ADMIN)
    assert {category["price_cents"] for category in third.json()["categories"]} == {9900}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"layout_of": 77}, "layout_of"),
        ({"layout_of": 1, "total_seats": 10}, "total_seats"),
        ({}, "total_seats"),
    ],
)
async def test_seats_are_asked_for_in_one_way(
    client: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    """A show would be made with seats that its maker did not mean."""
    body = {"name": "A show", "start_time": TOMORROW, **change}
    refused = problem(await client.post("/api/shows", json=body, headers=ADMIN), 400, "invalid_request")
    assert refused["errors"][0]["field"] == field


async def test_what_a_layout_says_makes_the_same_layout(client: httpx.AsyncClient) -> None:
    """A hall that was taken from one system to another would come out with other seats or aisles."""
    hall = examples.NEW_SHOWS["A hall with categories"]
    first = (await client.post("/api/shows", json=hall, headers=ADMIN)).json()
    layout = (await client.get(f"/api/shows/{first['id']}/layout")).json()
    body = {
        "name": "A copy",
        "start_time": TOMORROW,
        "categories": layout["categories"],
        "layout": {"sections": layout["sections"]},
    }
    second = (await client.post("/api/shows", json=body, headers=ADMIN)).json()
    assert (await client.get(f"/api/shows/{second['id']}/layout")).json() == layout


async def test_shows_are_found_by_what_they_cost(client: httpx.AsyncClient) -> None:
    """Somebody with 30 euros in their pocket would page through all that they can't pay for, or miss a cheap row."""
    prices = {"Dear": [9_000], "Mixed": [9_000, 2_500], "Free": [0]}
    for name, cents in prices.items():
        categories = [{"name": f"C{at}", "price_cents": price} for at, price in enumerate(cents)]
        await new_show(client, name=name, categories=categories)

    async def found(**query: Any) -> list[str]:
        answer = await client.get("/api/shows", params=query)
        return sorted(show["name"] for show in answer.json()["items"])

    assert await found(price_cents_max=9_000) == ["Dear", "Free", "Mixed"]
    assert await found(price_cents_max=8_999) == ["Free", "Mixed"]
    assert await found(price_cents_max=2_500) == ["Free", "Mixed"]
    assert await found(price_cents_max=2_499) == ["Free"]
    assert await found(price_cents_max=2_500, q="mix") == ["Mixed"]
    for nonsense in (-1, 10**10, "cheap"):
        refused = await client.get("/api/shows", params={"price_cents_max": nonsense})
        assert problem(refused, 400, "invalid_request")["errors"][0]["field"] == "price_cents_max"


async def test_shows_are_found_by_whether_there_are_seats(client: httpx.AsyncClient) -> None:
    """Somebody who wants to go out tonight would read through what is sold out, or called off."""
    full, off, _ = [
        (await new_show(client, name=name, total_seats=2))["id"] for name in ("Full", "Off", "Open")
    ]
    body = {"seat_count": 2, "user_id": "ada"}
    assert (await client.post(f"/api/shows/{full}/bookings", json=body, headers=ADMIN)).status_code == 201
    await client.post(f"/api/shows/{off}/cancel", headers=ADMIN)

    async def found(**query: Any) -> list[str]:
        answer = await client.get("/api/shows", params=query)
        return sorted(show["name"] for show in answer.json()["items"])

    assert await found(seats_left="true") == ["Open"]
    assert await found(seats_left="false") == ["Full", "Off"]
    assert await found() == ["Full", "Off", "Open"]
    # Page by page it is the same list.
    more = await new_show(client, name="Open too")
    first = (await client.get("/api/shows", params={"seats_left": "true", "limit": 1})).json()
    query = {"seats_left": "true", "limit": 1, "cursor": first["next_cursor"]}
    second = (await client.get("/api/shows", params=query)).json()
    assert [show["name"] for show in first["items"] + second["items"]] == ["Open", "Open too"]
    assert (second["items"][0]["id"], second["next_cursor"]) == (more["id"], None)


async def test_shows_are_found_by_when_they_start(client: httpx.AsyncClient) -> None:
    """Somebody who looks for a show in March would page through all of the year."""
    for month in (3, 4, 5):
        await new_show(client, name=f"Month {month}", start_time=f"2035-0{month}-15T20:00:00Z")
    query = {"starts_after": "2035-04-01T00:00:00Z", "starts_before": "2035-05-01T00:00:00Z"}
    found = (await client.get("/api/shows", params=query)).json()["items"]
    assert [show["name"] for show in found] == ["Month 4"]
    refused = problem(
        await client.get("/api/shows", params={"starts_before": "2035-05-01T00:00:00"}),
        400,
        "invalid_request",
    )
    assert refused["errors"][0]["field"] == "starts_before"
