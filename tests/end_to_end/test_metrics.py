"""What an operator sees of a running server."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import Server
from tests.end_to_end.test_stampede import create

pytestmark = pytest.mark.anyio

SERIES = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.e+-]+)$", re.MULTILINE)


async def test_metrics_count_every_process(dsn: str, tmp_path: Path, tokens: dict[str, str]) -> None:
    """An operator would see the half of what is sold, and another half at each look."""
    server = Server(dsn, tmp_path, ROWLOCK_WORKERS="2", ROWLOCK_LOG_LEVEL="info")
    try:
        await server.ready()
        headers = {"Authorization": tokens["admin"], "X-Request-Id": "look-for-me"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            show, other = await create(client, 100), await create(client, 100)
        # A connection each, so that both processes get some.
        for n in range(60):
            async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
                answer = await client.post(
                    "/api/bookings", json={"show_id": show, "seats": [str(n % 40 + 1)]}
                )
                assert answer.status_code == (201 if n < 40 else 409)
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers
        ) as client:  # by count: no straight one
            answer = await client.post("/api/bookings", json={"show_id": other, "seat_count": 1})
            assert answer.status_code == 201
        await asyncio.sleep(1.2)  # gauges are set once a second
        for _ in range(4):  # whichever process answers
            async with httpx.AsyncClient(base_url=server.url) as client:
                text = (await client.get("/metrics")).text
            values = {(name, labels): float(value) for name, labels, value in SERIES.findall(text)}
            assert values["rowlock_bookings_total", 'outcome="confirmed"'] == 41
            assert values["rowlock_bookings_total", 'outcome="seats_taken"'] == 20
            requests = sum(
                value
                for (name, labels), value in values.items()
                if name == "rowlock_http_requests_total" and 'route="/api/bookings"' in labels
            )
            assert requests == 61
            for phase in ("straight", "lock", "decide", "write", "commit"):
                assert values["rowlock_batch_seconds_count", f'phase="{phase}"'] >= 1
            assert values["rowlock_lane_depth", ""] == 0
            assert values["rowlock_pool_connections", 'state="idle"'] >= 2
    finally:
        server.stop()
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert any(line.get("request_id") == "look-for-me" and line.get("status") == 201 for line in lines)
