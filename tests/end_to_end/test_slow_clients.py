"""Slow and stuck clients: they take nothing from those who book."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.conftest import Server
from tests.end_to_end.test_stampede import create

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

IDLE = 5_000
SLOW = 200
UNREAD = 50
BOOKINGS = 600
BUYERS = 16
SHARE_MIN = (
    0.4  # of the rate without them: what they take must not be told from what else runs on this machine
)
ROUNDS_MAX = 4


async def _open(server: Server, count: int, first: bytes) -> list[asyncio.StreamWriter]:
    """Connections that have sent so much, and nothing since."""
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(first)
        writers.append(writer)
    return writers


async def _rate(client: httpx.AsyncClient, show: int) -> float:
    """Bookings a second, of some buyers who each ask again when answered."""
    left = iter(range(BOOKINGS))
    began = time.monotonic()

    async def buy(number: int) -> None:
        for _ in left:
            body = {"show_id": show, "seat_count": 1, "user_id": f"u{number}"}
            answer = await client.post("/api/bookings", json=body)
            assert answer.status_code == 201, answer.text

    await asyncio.gather(*(buy(number) for number in range(BUYERS)))
    return BOOKINGS / (time.monotonic() - began)


async def test_they_take_nothing_from_others(dsn: str, tmp_path: Path, tokens: dict[str, str]) -> None:
    """Anybody with a slow line, or bad will, could stop a sale with a few thousand connections."""
    server = Server(dsn, tmp_path)
    writers: list[asyncio.StreamWriter] = []
    dribbling: asyncio.Task[None] | None = None
    try:
        await server.ready()
        headers = {"Authorization": tokens["admin"]}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
            show = await create(client, (2 * ROUNDS_MAX + 1) * BOOKINGS)
            big = await create(client, 20_000)
            await _rate(client, show)
            alone = await _rate(client, show)
            writers += await _open(server, IDLE, b"")
            slow = await _open(server, SLOW, b"POST /api/bookings HTTP/1.1\r\nHost: localhost\r\n")
            unread = f"GET /api/shows/{big}/seats HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
            writers += slow + await _open(server, UNREAD, unread * 4)

            async def dribble() -> None:
                while True:
                    for writer in slow:
                        with contextlib.suppress(OSError):
                            writer.write(b"X-A: b\r\n")
                    await asyncio.sleep(1)

            dribbling = asyncio.create_task(dribble())
            shares = []
            for _ in range(ROUNDS_MAX):  # others use this machine: one round in peace is enough
                shares.append(await _rate(client, show) / alone)
                if shares[-1] >= SHARE_MIN:
                    break
            assert max(shares) >= SHARE_MIN, shares
    finally:
        if dribbling is not None:
            dribbling.cancel()
        for writer in writers:
            writer.transport.abort()
        server.stop()
