"""The box office over HTTP: statistics, the search of a show's bookings, and their export."""

from __future__ import annotations

import csv
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import httpx
import pytest

from rowlock.http.box_office import COLUMNS, guarded
from rowlock.operations import search_bookings
from tests.http.api import ADMIN, SERVICE, build, new_show, problem, running

HALL: dict[str, Any] = {
    "categories": [{"name": "Stalls", "price_cents": 8900}, {"name": "Balcony", "price_cents": 4500}],
    "layout": {
        "sections": [
            {
                "name": "Hall",
                "rows": [{"label": "A", "seats": 6}, {"label": "K", "category": "Balcony", "seats": 4}],
            }
        ]
    },
    "total_seats": None,
}


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application, asked by an admin."""
    async with running(build(dsn), **ADMIN) as opened:
        yield opened


async def book(client: httpx.AsyncClient, show: int, user: str, *seats: str, **body: Any) -> Any:
    """A booking, whatever becomes of it."""
    given = {"seats": list(seats), "user_id": user, **body}
    answer = (await client.post(f"/api/shows/{show}/bookings", json=given)).json()
    return answer.get("booking", answer)


async def test_the_statistics_add_up(client: httpx.AsyncClient) -> None:
    """The box office would settle accounts by numbers that are not so."""
    show = (await new_show(client, **HALL))["id"]
    await book(client, show, "ada", "A-1", "A-2")
    await book(client, show, "bob", "K-1")
    given_back = await book(client, show, "cleo", "K-2", "K-3")
    await client.post(f"/api/bookings/{given_back['id']}/cancel")
    await book(client, show, "dan", "A-3", confirm=False)
    await book(client, show, "eve", "A-1", "A-4")
    await client.post(f"/api/shows/{show}/block", json={"seats": ["A-6"]})
    found = (await client.get(f"/api/shows/{show}/statistics")).json()
    assert found["revenue_cents"] == 2 * 8900 + 4500
    assert found["bookings"] == {"pending": 1, "confirmed": 2, "failed": 1, "cancelled": 1}
    assert {reason["reason"]: (reason["bookings"], reason["seats"]) for reason in found["reasons"]} == {
        "seats_taken": (1, 2),
        "cancelled_by_admin": (1, 2),
    }
    stalls, balcony = found["categories"]
    assert (stalls["category"], stalls["revenue_cents"]) == ("Stalls", 17800)
    names = ["total_seats", "available_seats", "reserved_seats", "booked_seats", "blocked_seats"]
    assert [stalls[name] for name in names] == [6, 2, 1, 2, 1]
    assert [balcony[name] for name in names] == [4, 3, 0, 1, 0]
    assert found["interval_seconds"] == 60
    sums = [sum(one[name] for one in found["timeline"]) for name in ("confirmed", "seats", "amount_cents")]
    assert sums == [2, 3, found["revenue_cents"]]


async def test_a_hold_past_its_time_counts_as_failed(client: httpx.AsyncClient, dsn: str) -> None:
    """The numbers would differ from the list until the sweeper has come round."""
    show = (await new_show(client))["id"]
    await book(client, show, "ada", "1", confirm=False)
    async with running(build(dsn), **ADMIN) as other:
        transport: Any = other._transport
        await transport.app.state.context.pool.execute(
            "UPDATE bookings SET expires_at = now() - interval '1 s', release_at = now() - interval '1 s'"
        )
        found = (await other.get(f"/api/shows/{show}/statistics")).json()
    assert found["bookings"] == {"pending": 0, "confirmed": 0, "failed": 1, "cancelled": 0}
    assert found["reasons"] == [{"reason": "hold_expired", "bookings": 1, "seats": 1}]


async def test_an_empty_show_has_statistics_too(client: httpx.AsyncClient) -> None:
    """A show that has just been made would be answered with an error."""
    show = (await new_show(client))["id"]
    found = (await client.get(f"/api/shows/{show}/statistics")).json()
    assert (found["timeline"], found["reasons"], found["revenue_cents"]) == ([], [], 0)
    problem(await client.get("/api/shows/77/statistics"), 404, "not_found")


async def test_an_interval_is_one_of_those_there_are(client: httpx.AsyncClient) -> None:
    """A caller could ask for as many intervals as it likes."""
    show = (await new_show(client))["id"]
    path = f"/api/shows/{show}/statistics"
    refused = problem(await client.get(path, params={"interval_seconds": 7}), 400, "invalid_request")
    assert refused["errors"][0]["field"] == "interval_seconds"
    assert (await client.get(path, params={"interval_seconds": 86400})).json()["interval_seconds"] == 86400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "lovel"}, ["ada"]),
        ({"q": "EXAMPLE.org"}, ["bob", "ada"]),
        ({"q": "cle"}, ["cleo"]),
        ({"q": "100%"}, ["cleo"]),
        ({"q": "%"}, ["cleo"]),
        ({"q": "nobody at all"}, []),
        ({"seat": "3"}, ["bob"]),
        ({"seat": "9"}, []),
        ({"seat": "3", "status": "PENDING"}, []),
        ({"status": "PENDING"}, ["cleo"]),
        ({"q": "example", "status": "PENDING"}, []),
        ({}, ["cleo", "bob", "ada"]),
    ],
    ids=str,
)
async def test_a_search_finds_whom_it_is_for(
    client: httpx.AsyncClient, query: dict[str, str], expected: list[str]
) -> None:
    """Somebody would stand at the counter whose booking nobody can find."""
    show = (await new_show(client))["id"]
    await book(client, show, "ada", "1", "2", customer_name="Ada Lovelace", email="ada@example.org")
    await book(client, show, "bob", "3", email="BOB@example.org")
    await book(client, show, "cleo", "4", customer_name="100% Cleo", confirm=False)
    other = (await new_show(client))["id"]
    await book(client, other, "zoe", "1", customer_name="Lovelace", email="zoe@example.org")
    found = (await client.get(f"/api/shows/{show}/bookings", params=query)).json()
    assert [item["user_id"] for item in found["items"]] == expected
    assert found["next_cursor"] is None


async def test_a_booking_is_found_by_its_id(client: httpx.AsyncClient) -> None:
    """The number on the ticket would lead nowhere; or into another show."""
    show, other = (await new_show(client))["id"], (await new_show(client))["id"]
    made = await book(client, show, "ada", "1")
    for number, expected in ((show, [made]), (other, [])):
        found = await client.get(f"/api/shows/{number}/bookings", params={"q": made["id"]})
        assert found.json()["items"] == expected


async def test_a_search_goes_on_where_it_stopped(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booking that lies deep would never be found, or a search take as long as there are bookings."""
    monkeypatch.setattr(search_bookings, "LOOKED_AT_MAX", 3)
    show = (await new_show(client, total_seats=30))["id"]
    for number in range(1, 11):
        await book(client, show, "ada" if number in {1, 2, 6} else f"u{number}", str(number))
    found, pages, cursor = [], 0, ""
    while True:
        query = {"q": "ada", "cursor": cursor}
        page = (await client.get(f"/api/shows/{show}/bookings", params=query)).json()
        found += [item["seats"][0] for item in page["items"]]
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert (found, pages) == (["6", "2", "1"], 4)
    refused = await client.get(f"/api/shows/{show}/bookings", params={"cursor": "nonsense"})
    assert problem(refused, 400, "invalid_request")["errors"][0]["field"] == "cursor"


async def test_pages_of_a_search_are_as_long_as_asked_for(client: httpx.AsyncClient) -> None:
    """A page of the table would be as long as the search is lucky."""
    show = (await new_show(client))["id"]
    for number in range(1, 6):
        await book(client, show, "ada", str(number))
    path = f"/api/shows/{show}/bookings"
    seats, cursor = [], ""
    for length in (2, 2, 1):
        page = (await client.get(path, params={"q": "ada", "limit": 2, "cursor": cursor})).json()
        assert len(page["items"]) == length
        seats += [item["seats"][0] for item in page["items"]]
        cursor = page["next_cursor"] or ""
    assert (seats, cursor) == (["5", "4", "3", "2", "1"], "")


async def test_a_seat_that_is_not_there_is_said_so(client: httpx.AsyncClient) -> None:
    """A slip of the keyboard would look like an empty seat."""
    show = (await new_show(client))["id"]
    refused = problem(
        await client.get(f"/api/shows/{show}/bookings", params={"seat": "Z-9"}), 404, "not_found"
    )
    assert refused["errors"][0]["field"] == "seat"


async def test_the_export_is_all_of_it(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table for the door would lack somebody, or have a row too many."""
    monkeypatch.setattr(search_bookings, "EXPORTED_AT_ONCE", 2)
    show = (await new_show(client))["id"]
    names = ["Ada, Countess", 'The "Great"', "two\nlines", "Zoë", "plain"]
    for number, name in enumerate(names, 1):
        body = {} if "\n" in name else {"customer_name": name}
        await book(client, show, f"u{number}", str(number), **body)
    answer = await client.get(f"/api/shows/{show}/bookings.csv", headers=SERVICE)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f"bookings-of-show-{show}.csv" in answer.headers["Content-Disposition"]
    assert answer.content.startswith(b"\xef\xbb\xbfid,")
    rows = list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["seats"] for row in rows] == ["5", "4", "3", "2", "1"]
    assert [row["customer_name"] for row in rows] == [
        "" if "\n" in name else name for name in reversed(names)
    ]
    none = await client.get(f"/api/shows/{show}/bookings.csv", params={"status": "FAILED"})
    assert none.text.count("\r\n") == 1
    head = await client.head(f"/api/shows/{show}/bookings.csv")
    assert (head.status_code, head.content) == (200, b"")
    problem(await client.get("/api/shows/77/bookings.csv"), 404, "not_found")


async def test_the_export_of_a_search_is_what_it_finds(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box office would look at three names, take the file along, and stand at the door with three hundred."""
    monkeypatch.setattr(search_bookings, "LOOKED_AT_MAX", 3)
    monkeypatch.setattr(search_bookings, "EXPORTED_AT_ONCE", 2)
    show = (await new_show(client))["id"]
    for number in range(1, 9):
        await book(client, show, "ada" if number in {1, 2, 3, 7} else f"u{number}", str(number))
    given_back = (await client.get(f"/api/shows/{show}/bookings", params={"seat": "2"})).json()["items"][0]
    await client.post(f"/api/bookings/{given_back['id']}/cancel")
    path = f"/api/shows/{show}/bookings.csv"

    async def exported(**query: str) -> list[str]:
        text = (await client.get(path, params=query)).content.decode("utf-8-sig")
        return [row["seats"] for row in csv.DictReader(StringIO(text, newline=""))]

    assert await exported(q="ADA") == ["7", "3", "2", "1"]
    assert await exported(q="ada", status="CONFIRMED") == ["7", "3", "1"]
    assert await exported(q=given_back["id"]) == ["2"]
    assert await exported(q="nobody") == []
    assert await exported(seat="5") == ["5"]
    assert await exported(seat="2") == [], "nobody has it now"
    refused = problem(await client.get(path, params={"seat": "Z-9"}), 404, "not_found")
    assert refused["errors"][0]["field"] == "seat"
    head = await client.head(path, params={"q": "ada"})
    assert (head.status_code, head.content) == (200, b"")


async def test_a_name_is_no_formula(client: httpx.AsyncClient) -> None:
    """What a customer calls itself would be run by the box office's spreadsheet."""
    show = (await new_show(client))["id"]
    name = '=HYPERLINK("http://evil.example","Click")'
    await book(client, show, "@SUM(1+1)", "1", customer_name=name, email="+1@example.org")
    text = (await client.get(f"/api/shows/{show}/bookings.csv")).content.decode("utf-8-sig")
    row = next(csv.DictReader(StringIO(text, newline="")))
    assert (row["customer_name"], row["user_id"], row["email"]) == (
        f"'{name}",
        "'@SUM(1+1)",
        "'+1@example.org",
    )
    assert [guarded(text) for text in ("-1", "\t=1", "Ada", "")] == ["'-1", "'\t=1", "Ada", ""]
