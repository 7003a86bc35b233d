"""Queued bookings through real servers, workers and brokers, all of which are killed: each request is decided once.

`settled` asserts the end of every story: every id is decided, there is a row for each and no other, no seat is sold twice,
and `rowlock verify` says so too.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from rowlock.http.tokens import mint
from rowlock.postgres.embedded import EmbeddedPostgres
from tests.conftest import FAST
from tests.end_to_end.conftest import SECRET_KEY, Server
from tests.processes import environment, rowlock
from tests.rabbit import RabbitServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SECONDS_MAX = 240.0  # for what takes seconds on an idle machine
SERVICE = {"Authorization": "Bearer " + mint(SECRET_KEY, user_id="shop", role="service", hours=1)}
ADMIN = {"Authorization": "Bearer " + mint(SECRET_KEY, user_id="root", role="admin", hours=1)}
ASYNC = {"Prefer": "respond-async"}


class Worker:
    """One `rowlock work`, or a script of the same arguments, in a process of its own."""

    _numbers = itertools.count(1)

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.log = folder / f"worker-{next(self._numbers)}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *(arguments or ("-m", "rowlock", "work"))],
                cwd=folder,
                env=environment(folder, ROWLOCK_SWEEP_SECONDS="0.2", **variables),
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def end(self) -> None:
        """End it in order, if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(60) == 0, self.log.read_text()


class World:
    """A server that does no background work, on a database; with a broker, or without."""

    def __init__(self, folder: Path, dsn: str, rabbit: RabbitServer | None) -> None:
        self.folder, self.dsn, self.rabbit = folder, dsn, rabbit
        self.variables = {"DATABASE_URL": dsn} | ({"AMQP_URL": rabbit.url} if rabbit else {})
        amqp = {"AMQP_URL": rabbit.url} if rabbit else {}
        self.server = Server(dsn, folder, ROWLOCK_WORK="off", **amqp)
        self.workers: list[Worker] = []
        self.client = httpx.AsyncClient(
            base_url=self.server.url,
            headers=SERVICE,
            timeout=60,
            limits=httpx.Limits(max_connections=64),
        )

    async def open(self) -> None:
        """Wait until it serves, and the broker takes requests."""
        await self.server.ready()
        show = await self.new_show(1)
        await eventually(lambda: self._takes(show))

    async def _takes(self, show: int) -> bool:
        answer = await self.post(show, seats=["1"])
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202

    async def close(self) -> None:
        """End all processes."""
        await self.client.aclose()
        for worker in self.workers:
            worker.end()
        self.server.stop()

    def work(self) -> Worker:
        """Another worker."""
        worker = Worker(self.folder, **self.variables)
        self.workers.append(worker)
        return worker

    async def new_show(self, seats: int, **fields: Any) -> int:
        """A show of numbered seats."""
        body = {"name": "A show", "start_time": "2031-05-01T20:00:00Z", "total_seats": seats, **fields}
        answer = await self.client.post("/api/shows", json=body, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    async def post(
        self, show: int, *, key: str | None = None, user_id: str = "ada", wait: bool = False, **body: Any
    ) -> httpx.Response:
        """Ask for seats; `wait`: for the decision, too."""
        headers = ({} if wait else ASYNC) | ({"Idempotency-Key": key} if key else {})
        return await self.client.post(
            "/api/bookings", json={"show_id": show, "user_id": user_id, **body}, headers=headers
        )

    async def queue(self, show: int, **body: Any) -> str:
        """Queue a request, asking again as long as the queue is away. Returns the id."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                answer = await self.post(show, **body)
                if answer.status_code in (201, 202, 409):
                    told = answer.json()
                    return str(told["id"] if "id" in told else told["booking"]["id"])
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["Retry-After"]) >= 1
                await asyncio.sleep(0.2)

    async def read(self, identifier: str) -> Any:
        """A booking."""
        answer = await self.client.get(f"/api/bookings/{identifier}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def decided(self, identifiers: list[str]) -> list[Any]:
        """The bookings, once all of them are decided."""
        found = []
        deadline = time.monotonic() + SECONDS_MAX
        for identifier in identifiers:
            while (booking := await self.read(identifier))["reason"] == "queued":
                assert time.monotonic() < deadline, f"{identifier} is still queued"
                await asyncio.sleep(0.1)
            found.append(booking)
        return found

    async def sql(self, query: str, *values: object) -> Any:
        """A value from the database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchval(query, *values)
        finally:
            await connection.close()

    async def settled(self, show: int, identifiers: list[str]) -> list[Any]:
        """All are decided, each once, and all is well. Returns the bookings."""
        assert len(set(identifiers)) == len(identifiers), "two requests have one booking"
        bookings = await self.decided(identifiers)
        assert await self.sql("SELECT count(*) FROM bookings WHERE show_id = $1", show) == len(identifiers)
        held = "SELECT count(*) FROM seats WHERE show_id = $1 AND status = 'B'"
        sold = sum(b["seat_count"] for b in bookings if b["status"] == "CONFIRMED")
        assert await self.sql(held, show) == sold
        await eventually(self._nothing_waits)
        # Its events tell all of it, so that `verify` replays them, too.
        assert await self.sql("SELECT told_version = version FROM inventory WHERE show_id = $1", show)
        report = await asyncio.to_thread(rowlock, self.folder, "verify", **self.variables)
        assert report.returncode == 0, report.stdout
        return bookings

    async def _nothing_waits(self) -> bool:
        return bool(await self.sql("SELECT count(*) = 0 FROM booking_requests"))


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline:
        if await check():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it never came to that")


@pytest.fixture
async def broker_world(tmp_path: Path, dsn: str, rabbit: RabbitServer) -> AsyncIterator[World]:
    """With RabbitMQ."""
    world = World(tmp_path, dsn, rabbit)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(world.close)
        await world.open()
        yield world


@pytest.fixture
async def table_world(tmp_path: Path, dsn: str) -> AsyncIterator[World]:
    """Without a broker."""
    world = World(tmp_path, dsn, None)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(world.close)
        await world.open()
        yield world


async def rush(world: World, show: int, requests: int) -> list[str]:
    """Many requests at once, some for named seats and most for a count, with a consumer that is killed twice.

    With a broker, that is killed in between, too. Each has a key of its own, so that asking again after a lost answer is the
    same request.
    """
    worker = world.work()
    line = iter(range(requests))
    found: dict[int, str] = {}

    async def buyer() -> None:
        for n in line:
            wish: dict[str, Any] = {"seats": [str(n % 300 + 1)]} if n % 5 == 0 else {"seat_count": n % 3 + 1}
            found[n] = await world.queue(show, key=f"request {n}", user_id=f"u{n % 50}", **wish)

    async def decided(count: int) -> None:
        query = "SELECT count(*) >= $2 FROM bookings WHERE show_id = $1"
        await eventually(lambda: world.sql(query, show, count))

    buyers = [asyncio.create_task(buyer()) for _ in range(30)]
    await decided(requests // 20)
    worker.kill()
    worker = world.work()
    await decided(requests // 5)
    if world.rabbit is not None:
        await asyncio.to_thread(world.rabbit.kill)
        await asyncio.to_thread(world.rabbit.start)
    await decided(requests // 3)
    worker.kill()
    world.work()
    await asyncio.gather(*buyers)
    return [found[n] for n in range(requests)]


async def test_a_thousand_requests_survive_the_end_of_everybody(broker_world: World) -> None:
    """An accepted request would be lost, or two of them sold one seat, when a process or the broker dies."""
    show = await broker_world.new_show(300)
    bookings = await broker_world.settled(show, await rush(broker_world, show, 1000))
    assert {booking["status"] for booking in bookings} == {"CONFIRMED", "FAILED"}
    assert sum(b["seat_count"] for b in bookings if b["status"] == "CONFIRMED") == 300, "it is sold out"


async def test_the_table_survives_it_too(table_world: World) -> None:
    """The same without a broker."""
    show = await table_world.new_show(300)
    bookings = await table_world.settled(show, await rush(table_world, show, 1000))
    assert sum(b["seat_count"] for b in bookings if b["status"] == "CONFIRMED") == 300, "it is sold out"


KILLED_BEFORE_ACK = """
import asyncio, sys
from aio_pika.message import IncomingMessage

async def never(self, multiple=False):
    print("committed", flush=True)
    await asyncio.sleep(3600)

IncomingMessage.ack = never
sys.argv = ["rowlock", "work"]
from rowlock.cli import main
main()
"""


async def test_killed_between_commit_and_acknowledgement(broker_world: World) -> None:
    """The request would be booked once more, on other seats, when the broker delivers it again."""
    show = await broker_world.new_show(50)
    ids = [await broker_world.queue(show, seat_count=2, user_id=f"u{n}") for n in range(10)]
    first = Worker(broker_world.folder, "-c", KILLED_BEFORE_ACK, **broker_world.variables)
    await eventually(lambda: _says(first, "committed"))
    first.kill()
    before = {each: await broker_world.read(each) for each in ids}
    assert any(booking["status"] == "CONFIRMED" for booking in before.values()), (
        "it was decided, and not acknowledged"
    )
    broker_world.work()
    bookings = await broker_world.settled(show, ids)
    for booking in bookings:
        if before[booking["id"]]["status"] == "CONFIRMED":
            assert booking == before[booking["id"]], "decided once more"
    assert [booking["status"] for booking in bookings] == ["CONFIRMED"] * 10


async def _says(worker: Worker, text: str) -> bool:
    assert worker.process.poll() is None, worker.log.read_text()
    return text in worker.log.read_text()


@contextmanager
def own_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that may be stopped."""
    server = EmbeddedPostgres(folder, options=FAST)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def test_postgresql_stops_for_ten_seconds(
    tmp_path: Path, short_dir: Path, rabbit: RabbitServer
) -> None:
    """What the queue is for: a sale that goes on while the database is away, and loses nobody's place in the line."""
    with own_postgres(short_dir / f"stops-{os.getpid()}") as postgres:
        made = await asyncio.to_thread(rowlock, tmp_path, "migrate", DATABASE_URL=postgres.dsn)
        assert made.returncode == 0, made.stderr
        world = World(tmp_path, postgres.dsn, rabbit)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(world.close)
            await world.open()
            show = await world.new_show(20)
            world.work()
            ids = [await world.queue(show, seats=["20"])]
            await world.decided(ids)
            await asyncio.to_thread(postgres.stop)
            stopped = time.monotonic()
            for n in range(40):
                answer = await world.post(show, seats=[str(n % 19 + 1)], user_id=f"u{n}")
                assert answer.status_code == 202, answer.text
                ids.append(answer.json()["id"])
            queued = await world.read(ids[1])
            assert (queued["status"], queued["reason"]) == ("PENDING", "queued")
            assert (await world.post(show, seats=["1"], wait=True)).status_code == 503
            assert (await world.post(show + 7, seats=["1"])).status_code == 503, (
                "whether it is there is not known"
            )
            forged = ids[1][:-1] + ("0" if ids[1][-1] != "0" else "1")
            assert (
                await world.client.get(
                    f"/api/bookings/{forged}",
                    headers={
                        "Authorization": "Bearer " + mint(SECRET_KEY, user_id="u0", role="customer", hours=1)
                    },
                )
            ).status_code == 503, "a forged id proves nothing, and the database can't be asked"
            await asyncio.sleep(max(0.0, stopped + 10 - time.monotonic()))
            await asyncio.to_thread(postgres.start)
            bookings = await world.settled(show, ids)
            won = [booking["status"] for booking in bookings[1:]]
            assert won == ["CONFIRMED"] * 19 + ["FAILED"] * 21, "whoever came first has the seat"


async def test_a_broker_that_is_down_leaves_direct_booking_alone(broker_world: World) -> None:
    """The whole sale would stop with the broker."""
    show = await broker_world.new_show(10)
    assert broker_world.rabbit is not None
    await asyncio.to_thread(broker_world.rabbit.kill)
    try:
        refused = await broker_world.post(show, seats=["1"])
        assert (refused.status_code, refused.json()["code"]) == (503, "busy")
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await broker_world.post(show, seats=["1"], wait=True)).status_code == 201
    finally:
        await asyncio.to_thread(broker_world.rabbit.start)
    broker_world.work()
    await broker_world.decided([await broker_world.queue(show, seats=["2"], key="again")])


async def first_come_first_served(world: World) -> None:
    """Forty want thirty single seats, at three shows, with two consumers."""
    shows = [await world.new_show(30) for _ in range(3)]
    ids: dict[int, list[str]] = {show: [] for show in shows}
    for n in range(40):
        for show in shows:
            ids[show].append(await world.queue(show, seat_count=1, user_id=f"u{n}"))
    for _ in range(2):
        world.work()
    for show in shows:
        bookings = await world.settled(show, ids[show])
        assert [booking["status"] for booking in bookings] == ["CONFIRMED"] * 30 + ["FAILED"] * 10
        times = [booking["created_at"] for booking in bookings]
        assert times == sorted(times)


async def test_first_come_first_served_at_the_broker(broker_world: World) -> None:
    """Whoever came later would have the seats, because another consumer was quicker."""
    await first_come_first_served(broker_world)


async def test_first_come_first_served_in_the_table(table_world: World) -> None:
    """The same without a broker."""
    await first_come_first_served(table_world)


async def put_aside(world: World) -> None:
    """Three of seven requests can't be written; then one is given up, and the others are tried again."""
    show = await world.new_show(10)
    await world.sql("ALTER TABLE bookings ADD CONSTRAINT no_poison CHECK (customer_name <> 'poison')")
    ids = [
        await world.queue(show, seats=[str(n)], customer_name="poison" if n in (2, 4, 6) else "Ada")
        for n in range(1, 8)
    ]
    good, bad = ids[::2], ids[1::2]
    world.work()
    assert {booking["status"] for booking in await world.decided(good)} == {"CONFIRMED"}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return rowlock(world.folder, "queue", *arguments, **world.variables)

    async def all_dead() -> bool:
        return (await asyncio.to_thread(command, "list")).stdout.count("no_poison") == 3

    await eventually(all_dead)
    listed = (await asyncio.to_thread(command, "list")).stdout
    assert all(each in listed for each in bad)
    assert "tried 5 times: CheckViolationError" in listed
    assert "3 dead letters; 0 requests waiting." in listed
    assert (await world.read(bad[0]))["reason"] == "queued", "it is not decided"
    await world.sql("ALTER TABLE bookings DROP CONSTRAINT no_poison")
    assert (await asyncio.to_thread(command, "drop", bad[0])).stdout == "1 dead letter dropped.\n"
    dropped = await world.read(bad[0])
    assert (dropped["status"], dropped["reason"]) == ("FAILED", "dropped")
    assert (await asyncio.to_thread(command, "retry", "--all")).stdout == "2 dead letters put back.\n"
    assert {booking["status"] for booking in await world.decided(bad[1:])} == {"CONFIRMED"}
    assert (await asyncio.to_thread(command, "list")).stdout == "0 dead letters; 0 requests waiting.\n"
    missing = await asyncio.to_thread(command, "drop", bad[0])
    assert missing.returncode == 2
    assert missing.stderr.splitlines()[-1].startswith(f"rowlock: no dead letter has the id {bad[0]}")
    await world.settled(show, ids)


async def test_what_the_broker_cannot_get_rid_of_is_put_aside(broker_world: World) -> None:
    """One bad request would stop the queue of its show for good, or vanish without a trace."""
    await put_aside(broker_world)


async def test_what_the_table_cannot_get_rid_of_is_put_aside(table_world: World) -> None:
    """The same without a broker."""
    await put_aside(table_world)
