"""What a booking costs, by counts that are the same on any machine: time is for `make bench`, and for no test.

Each ceiling is some 15 % above what was counted. Whoever makes bookings cheaper brings it down; the figures are printed
by `pytest tests/benchmarks/test_guard.py -s`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import FrameType
from typing import Any

import asyncpg
import msgspec
import pytest
from litestar import Litestar

from rowlock.operations.context import Context
from tests.http.api import ADMIN, SERVICE, build, new_show, running
from tests.support import lanes_of

SHOWS = 20
SEATS = 100
BOOKINGS = 200  # at once, ten of each show: as many as a batch may have
# Python 3.12 counts comprehensions as part of what they stand in: fewer calls there, so the ceiling is 3.11's.
CALLS_MAX = 137
STATEMENTS_MAX = 1  # of a batch: straight bookings are one
WAL_BYTES_MAX = 1_290


class Costs(msgspec.Struct, frozen=True):
    """What `BOOKINGS` bookings at once have cost."""

    calls: float
    statements: float
    wal_bytes: float


@pytest.fixture
async def costs(dsn: str) -> AsyncIterator[Costs]:
    """The costs of bookings through the door, down to COMMIT, once all is warm."""
    app = build(dsn)
    async with running(app) as client:
        shows = [(await new_show(client, total_seats=SEATS))["id"] for _ in range(SHOWS)]
        for show_id in shows:  # each show is met once by the framework, and is known then
            body = {"show_id": show_id, "seats": ["1"], "user_id": "ada"}
            answer = await client.post("/api/bookings", json=body, headers=SERVICE)
            assert answer.status_code == 201, answer.text
        await _book_all(app, shows, first=2)
        yield await _measure(app, shows, dsn)
        answer = await client.get(f"/api/shows/{shows[0]}", headers=ADMIN)
        assert answer.json()["booked_seats"] == 1 + 2 * 2 * BOOKINGS // SHOWS


async def _measure(app: Litestar, shows: list[int], dsn: str) -> Costs:
    context: Context = app.state.context
    statements: list[str] = []
    for lane in lanes_of(context):
        if lane._connection is not None:
            lane._connection.add_query_logger(lambda query: statements.append(query.query))
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = await _wal(dsn)
    sys.setprofile(count)
    try:
        await _book_all(app, shows, first=2 + 2 * BOOKINGS // SHOWS)
    finally:
        sys.setprofile(None)
    wal_bytes = await _wal(dsn) - before
    batches = sum(statement == "COMMIT" or "AS met" in statement for statement in statements)
    found = Costs(calls / BOOKINGS, len(statements) / batches, wal_bytes / BOOKINGS)
    print(f"\n{found}, {batches} batches")  # noqa: T201 (for whoever renews the ceilings)
    return found


async def _book_all(app: Litestar, shows: list[int], first: int) -> None:
    """Two seats each, all at once, from seat `first` of each show on; every one must succeed."""
    headers = [(b"content-type", b"application/json"), (b"authorization", SERVICE["Authorization"].encode())]
    answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    statuses: list[int] = []

    def reply(status: int, _answer: bytes) -> None:
        statuses.append(status)
        if len(statuses) == BOOKINGS:
            answered.set_result(None)

    head = app.state.door.read(b"/api/bookings", headers, None)
    for n in range(BOOKINGS):
        seat = first + n // SHOWS * 2
        body = {"show_id": shows[n % SHOWS], "seats": [str(seat), str(seat + 1)], "user_id": f"buyer-{n}"}
        assert app.state.door.take(head, json.dumps(body).encode(), reply)
    await asyncio.wait_for(answered, 30)
    assert statuses == [201] * BOOKINGS


async def _wal(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        position: int = await connection.fetchval("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    finally:
        await connection.close()
    return position


async def test_a_booking_costs_no_more_than_it_did(costs: Costs) -> None:
    """A careless line on the path of a booking would make every sale slower, and no other test would tell."""
    assert costs.calls <= CALLS_MAX
    assert costs.statements <= STATEMENTS_MAX
    assert costs.wal_bytes <= WAL_BYTES_MAX
