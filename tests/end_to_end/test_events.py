"""Events through real processes: a server, workers that are killed, RabbitMQ, a webhook's receiver, and a PostgreSQL that stops.

Whatever happens meanwhile, every event of what was sold comes to both, of each show in order, again only with the same
id; and what the events tell is what `rowlock verify` finds in the seats.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.end_to_end.conftest import SECRET_KEY, Server
from tests.end_to_end.test_queued import ADMIN, Worker, eventually, own_postgres
from tests.events import assert_in_order
from tests.processes import rowlock
from tests.rabbit import RabbitServer
from tests.workers.receiver import BROKEN, OK, receiving
from tests.workers.test_exchange import bind, read

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

EXCHANGE = "rowlock.events"
SHOWS, BUYERS, EACH = 3, 12, 25
STOPPED_SECONDS = 10


async def test_postgresql_stops_and_a_worker_is_killed(
    tmp_path: Path, short_dir: Path, rabbit: RabbitServer
) -> None:
    """A ledger that is fed by events would differ from what was sold, and nobody would know."""
    with own_postgres(short_dir / f"events-{os.getpid()}") as postgres:
        async with AsyncExitStack() as stack:
            variables = {
                "DATABASE_URL": postgres.dsn,
                "AMQP_URL": rabbit.url,
                "ROWLOCK_SECRET_KEY": SECRET_KEY,
                "ROWLOCK_WEBHOOK_ALLOW_PRIVATE": "on",
            }
            made = await asyncio.to_thread(rowlock, tmp_path, "migrate", DATABASE_URL=postgres.dsn)
            assert made.returncode == 0, made.stderr
            queue = f"end-to-end-{os.getpid()}"
            await bind(rabbit.url, EXCHANGE, queue, "#")
            settings = {name: value for name, value in variables.items() if name != "DATABASE_URL"}
            server = Server(postgres.dsn, tmp_path, ROWLOCK_WORK="off", **settings)
            stack.callback(server.stop)
            workers = [Worker(tmp_path, **variables) for _ in range(2)]
            for worker in workers:
                stack.callback(worker.end)
            await server.ready()
            receiver = await stack.enter_async_context(receiving())
            # The first event of a show fails at first: those after it must wait.
            receiver.answer = lambda heard: (
                BROKEN
                if heard.id.endswith("-1") and sum(one.id == heard.id for one in receiver.heard) < 2
                else OK
            )
            client = await stack.enter_async_context(
                httpx.AsyncClient(base_url=server.url, headers=ADMIN, timeout=60)
            )
            hook = (await client.post("/api/webhooks", json={"url": receiver.url})).json()
            body = {"name": "A show", "start_time": "2031-05-01T20:00:00Z", "total_seats": 200}
            shows = [int((await client.post("/api/shows", json=body)).json()["id"]) for _ in range(SHOWS)]

            async def buy(n: int) -> None:
                for k in range(EACH):
                    wish = {
                        "seats": [str((n // SHOWS) * EACH + k + 1)],
                        "confirm": k % 3 > 0,
                        "user_id": f"u{n}",
                    }
                    await _book(client, shows[n % SHOWS], f"{n}-{k}", wish)

            buying = [asyncio.create_task(buy(n)) for n in range(BUYERS)]
            await eventually(lambda: _is(len(receiver.heard) > 20))
            workers[0].process.kill()
            workers[0].process.wait()
            workers.append(Worker(tmp_path, **variables))
            stack.callback(workers[-1].end)
            await asyncio.to_thread(postgres.stop)
            await asyncio.sleep(STOPPED_SECONDS)
            await asyncio.to_thread(postgres.start)
            await asyncio.gather(*buying)

            async def told() -> dict[int, int]:
                connection = await asyncpg.connect(postgres.dsn)
                try:
                    rows = await connection.fetch(
                        "SELECT show_id, told_events FROM inventory ORDER BY show_id"
                    )
                    whole = await connection.fetchval(
                        "SELECT bool_and(told_version = version) FROM inventory"
                    )
                    assert whole, "some change was not told"
                    return {row["show_id"]: row["told_events"] for row in rows}
                finally:
                    await connection.close()

            async def nothing_waits() -> bool:
                connection = await asyncpg.connect(postgres.dsn)
                try:
                    return bool(
                        await connection.fetchval(
                            "SELECT NOT EXISTS (SELECT FROM outbox WHERE NOT (published AND queued)) "
                            "AND NOT EXISTS (SELECT FROM deliveries WHERE status = 'pending')"
                        )
                    )
                finally:
                    await connection.close()

            await eventually(nothing_waits)
            expected = await told()
            published = [str(message.message_id) for message in await read(rabbit.url, EXCHANGE, queue)]
            for show in shows:
                assert expected[show] >= 1 + BUYERS // SHOWS * EACH
                assert_in_order([one for one in published if one.startswith(f"{show}-")], expected[show])
                assert_in_order(receiver.ids(show), expected[show])
            receiver.verify(hook["secret"])
            page = (await client.get(f"/api/webhooks/{hook['id']}/deliveries", params={"limit": 200})).json()
            assert {delivery["status"] for delivery in page["items"]} == {"delivered"}
            report = await asyncio.to_thread(rowlock, tmp_path, "verify", **variables)
            assert report.returncode == 0, report.stdout


async def _is(so: bool) -> bool:
    return so


async def _book(client: httpx.AsyncClient, show: int, key: str, wish: dict[str, Any]) -> None:
    """Book, asking again with the same key for as long as the database is away."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        answer = await client.post(f"/api/shows/{show}/bookings", json=wish, headers={"Idempotency-Key": key})
        if answer.status_code == 201:
            return
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.3)
    raise AssertionError("the server did not come back")


async def test_a_server_does_the_work_itself_unless_told_not_to(dsn: str, tmp_path: Path) -> None:
    """Who runs one server, or the demo, would have webhooks that are never called."""
    async with receiving() as receiver, httpx.AsyncClient(headers=ADMIN, timeout=30) as client:
        server = Server(dsn, tmp_path, ROWLOCK_WEBHOOK_ALLOW_PRIVATE="on")
        try:
            await server.ready()
            made = await client.post(f"{server.url}/api/webhooks", json={"url": receiver.url})
            assert made.status_code == 201, made.text
            body = {"name": "A show", "start_time": "2031-05-01T20:00:00Z", "total_seats": 20}
            show = (await client.post(f"{server.url}/api/shows", json=body)).json()
            await eventually(lambda: _is(bool(receiver.heard)))
            assert receiver.heard[0].event["data"]["show"] == show
            text = (await client.get(f"{server.url}/metrics")).text
            assert 'rowlock_webhook_attempts_total{result="delivered"}' in text
            assert 'rowlock_events_lag_seconds{stage="queued"}' in text
        finally:
            server.stop()
        refusing = Server(dsn, tmp_path)
        try:
            await refusing.ready()
            answer = await client.post(f"{refusing.url}/api/webhooks", json={"url": receiver.url})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "url")
        finally:
            refusing.stop()
