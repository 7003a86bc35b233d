"""A booking for a calendar: what comes out of a calendar's own reader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from icalendar import Calendar

from tests.http.api import ADA, ADMIN, build, new_booking, new_show, running


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application, asked by a customer."""
    async with running(build(dsn), **ADA) as opened:
        yield opened


async def event_of(client: httpx.AsyncClient, booking: Any) -> Any:
    """The entry of a booking, and that there is no other."""
    answer = await client.get(f"/api/bookings/{booking['id']}/calendar.ics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert f"booking-{booking['id']}.ics" in answer.headers["Content-Disposition"]
    assert max(map(len, answer.content.split(b"\r\n"))) <= 75
    calendar: Any = Calendar.from_ical(answer.content)
    (event,) = calendar.walk("VEVENT")
    return event, calendar


async def test_it_says_when_where_and_which_seats(client: httpx.AsyncClient) -> None:
    """Somebody would stand before a closed door, or at the wrong row."""
    times = {"start_time": "2035-07-01T19:30:00+02:00", "end_time": "2035-07-01T22:00:00+02:00"}
    place = {
        "time_zone": "Europe/Vienna",
        "venue": "Opera House",
        "name": "Così fan tutte; Act I, with words" * 3,
    }
    show = await new_show(client, **times, **place)
    booking = await new_booking(client, show["id"], seats=["7", "8"])
    event, calendar = await event_of(client, booking)
    start = event["DTSTART"].dt
    assert start.isoformat() == "2035-07-01T19:30:00+02:00"
    assert event["DTSTART"].params["TZID"] == "Europe/Vienna"
    assert [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")] == ["Europe/Vienna"]
    assert event["DTEND"].dt - start == timedelta(hours=2.5)
    assert str(event["SUMMARY"]) == place["name"]
    assert str(event["LOCATION"]) == "Opera House"
    assert "Seats 7, 8" in str(event["DESCRIPTION"])
    assert str(event["STATUS"]) == "CONFIRMED"


async def test_a_cancelled_booking_takes_the_entry_away(client: httpx.AsyncClient) -> None:
    """A calendar would still send somebody who has given the seats back."""
    show = await new_show(client)
    booking = await new_booking(client, show["id"], seats=["7"], confirm=False)
    held, _ = await event_of(client, booking)
    await client.post(f"/api/bookings/{booking['id']}/confirm")
    before, _ = await event_of(client, booking)
    await client.post(f"/api/bookings/{booking['id']}/cancel")
    after, _ = await event_of(client, booking)
    assert [str(one["STATUS"]) for one in (held, before, after)] == ["TENTATIVE", "CONFIRMED", "CANCELLED"]
    assert held["UID"] == before["UID"] == after["UID"] == f"{booking['id']}@rowlock"
    assert held["SEQUENCE"] < before["SEQUENCE"] < after["SEQUENCE"]


async def test_a_show_without_zone_or_end_has_an_entry(client: httpx.AsyncClient) -> None:
    """The simplest show's bookings could not be put into a calendar."""
    show = await new_show(client)
    booking = await new_booking(client, show["id"], seats=["7"])
    event, calendar = await event_of(client, booking)
    assert event["DTSTART"].dt.isoformat() == show["start_time"].replace("Z", "+00:00")
    assert "DTEND" not in event
    assert calendar.walk("VTIMEZONE") == []


async def test_with_the_show_its_entries_are_cancelled(client: httpx.AsyncClient) -> None:
    """A calendar would send somebody to a show that isn't."""
    show = await new_show(client)
    booking = await new_booking(client, show["id"], seats=["7"])
    await client.post(f"/api/shows/{show['id']}/cancel", headers=ADMIN)
    event, _ = await event_of(client, booking)
    assert str(event["STATUS"]) == "CANCELLED"
