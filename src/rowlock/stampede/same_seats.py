"""Predecessor 1's test, in its own words: so many requests for the same seats at the same moment; one may succeed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from rowlock.stampede import api
from rowlock.stampede.client import Client, Lost, Unreachable

SEATS = ("1", "2", "3")
TOTAL_SEATS = 10


async def same_seats(clients: Sequence[Client], requests: int) -> tuple[list[str], bool]:
    """Send the requests. Returns the lines to print, and whether exactly one succeeded and the rest were told why."""
    show_id = await api.make_show(clients, TOTAL_SEATS)
    try:
        for client in clients:
            await client.connect(-(-requests // len(clients)))
    except Unreachable as error:
        raise api.StampedeError(f"{requests} connections at once: {error}") from None
    answers = await asyncio.gather(
        *(_book(clients[n % len(clients)], show_id, f"user{n + 1}") for n in range(requests))
    )
    return _judge(answers)


async def _book(client: Client, show_id: int, user_id: str) -> str:
    """ "booked", or why not."""
    body = msgspec.json.encode({"seats": SEATS, "user_id": user_id})
    try:
        reply = await client.ask("POST", f"/api/shows/{show_id}/bookings", body)
    except (Lost, Unreachable) as error:
        return str(error)
    if reply.status == 201:
        return "booked"
    try:
        return str(msgspec.json.decode(reply.body, type=dict[str, object])["code"])
    except (msgspec.DecodeError, KeyError):
        return f"answered {reply.status}"


def _judge(answers: Sequence[str]) -> tuple[list[str], bool]:
    counts = Counter(answers)
    booked = counts.pop("booked", 0)
    lines = [
        "RESULTS:",
        "--------",
        f"Total requests: {len(answers)}",
        f"Successful bookings: {booked}",
        f"Failed bookings: {len(answers) - booked}",
        "",
    ]
    others = {code: count for code, count in counts.items() if code != "seats_taken"}
    if booked == 1 and not others:
        lines.append("✓ PASS: Exactly 1 booking succeeded (concurrency control working!)")
        return lines, True
    if booked == 1:
        told = ", ".join(f"{count} {code}" for code, count in others.items())
        lines.append(
            f"✗ FAIL: 1 booking succeeded, but not all others were told that the seats are taken: {told}"
        )
    else:
        lines.append(f"✗ FAIL: {booked} bookings succeeded, instead of exactly 1")
    return lines, False
