"""An orderly end: what is in hand is answered, within ten seconds, and nothing is taken any more."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import asyncpg
import httpx
import pytest

from rowlock.serving import DRAIN_SECONDS_MAX
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_stampede import create

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_what_is_in_hand_is_answered(
    dsn: str, tmp_path: Path, tokens: dict[str, str], workers: str
) -> None:
    """Each new version would cost the bookings that are under way when the old one ends."""
    server = Server(dsn, tmp_path, ROWLOCK_WORKERS=workers)
    blocker = await asyncpg.connect(dsn)
    try:
        await server.ready()
        async with httpx.AsyncClient(
            base_url=server.url, headers={"Authorization": tokens["admin"]}, timeout=30
        ) as client:
            show = await create(client, 40)
            await blocker.execute("BEGIN")
            await blocker.execute("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
            bookings = [
                asyncio.create_task(
                    client.post(
                        "/api/bookings", json={"show_id": show, "seats": [str(n + 1)], "user_id": "ada"}
                    )
                )
                for n in range(20)
            ]
            await asyncio.sleep(1)  # all of them are there, and wait for the row
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await asyncio.sleep(2)
            with pytest.raises(httpx.TransportError):
                await asyncio.to_thread(httpx.get, server.url + "/health", timeout=2)
            await blocker.execute("ROLLBACK")
            answers = await asyncio.gather(*bookings)
            await asyncio.to_thread(server.process.wait, 30)
        assert [answer.status_code for answer in answers] == [201] * 20
        assert time.monotonic() - began < DRAIN_SECONDS_MAX
        assert server.process.returncode == 0
        assert await blocker.fetchval("SELECT count(*) FROM bookings WHERE status = 'CONFIRMED'") == 20
    finally:
        await blocker.close()
        if server.process.poll() is None:
            server.stop()
