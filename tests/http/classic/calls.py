"""What tests of the predecessors' calls share."""

from __future__ import annotations

import re
from typing import Any

import httpx

MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
BOOKING_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
NO_SUCH_BOOKING = "00000000-0000-80f8-8ade-4c57d094911f"

HALL = {"sections": [{"name": "Stalls", "rows": [{"label": "A", "seats": 4}]}]}
COACH = {  # numbered, but not in the order of the numbers
    "sections": [
        {"name": "Coach", "rows": [{"label": "1", "seats": [{"label": str(n)} for n in (2, 1, 4, 3)]}]}
    ]
}

NEW = {
    "1": ("/classic/1/admin/shows", "start_time", "total_seats"),
    "2": ("/classic/2/admin/show", "start_time", "total_seats"),
    "4": ("/classic/4/shows", "startTime", "totalSeats"),
}


async def new_show(client: httpx.AsyncClient, dialect: str, total_seats: int = 10) -> Any:
    """A show made by a predecessor's call, long past, as their pages' own examples are."""
    path, start, total = NEW[dialect]
    body = {"name": "A show", start: "2024-03-20T18:00:00Z", total: total_seats}
    answer = await client.post(path, json=body)
    assert answer.status_code == (200 if dialect == "2" else 201), answer.text
    return answer.json()["show"]


def refused(answer: httpx.Response, status: int) -> str:
    """The words of an answer that must be a predecessor's error, and nothing else."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    body = answer.json()
    assert set(body) == {"error"}
    words = body["error"]
    assert isinstance(words, str)
    return words
