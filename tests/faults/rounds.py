"""A round: clients at a new show, readers of its map, one nemesis after the other; then quiet, and the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx
import msgspec

from rowlock.operations import verify
from rowlock.postgres.pool import Database
from rowlock.stampede.api import read_ledger
from rowlock.stampede.client import Client
from tests.faults.clients import Crowd
from tests.faults.evidence import Evidence, Map, Reader
from tests.faults.history import Answer, Kind, now
from tests.faults.nemeses import nemeses
from tests.faults.readers import follow
from tests.faults.world import EXCHANGE, QUEUE, World
from tests.workers.test_exchange import read

T = TypeVar("T")

CUSTOMERS = 12
SEATS = 60
BOX_OFFICE = ("7", "8", "31", "32", "55")
HOLD_SECONDS = 2
READERS = 4
CALM_SECONDS = 1.0  # between nemeses, so that there is something to break
QUIET_SECONDS_MAX = 60.0
STATE = """
    SELECT i.version, i.told_events, i.version - i.told_version AS untold, string_agg(s.status::text, '' ORDER BY s.seat_no) AS letters
    FROM inventory i JOIN seats s USING (show_id) WHERE show_id = $1 GROUP BY i.version, i.told_events, i.told_version"""


class Round(msgspec.Struct):
    """What a round is made of. `strikes`: the names of nemeses, in their order."""

    seed: int
    strikes: Sequence[str]
    customers: int = CUSTOMERS
    seats: int = SEATS
    calm_seconds: float = CALM_SECONDS


async def run(world: World, plan: Round, extra: Callable[[World], Awaitable[None]] | None = None) -> Evidence:
    """Play a round in a world that serves. `extra` is done beside the nemeses, and first."""
    dice = random.Random(plan.seed)
    clock = time.time() - time.monotonic()
    world.show = await _new_show(world, plan.seats)
    urls = [server.url for server in world.servers]
    crowd = Crowd(urls, world.token, world.show, seats=plan.seats, box_office=BOX_OFFICE, seed=plan.seed)
    readers = [Reader() for _ in range(READERS)]
    async with contextlib.AsyncExitStack() as stack:
        for number, reader in enumerate(readers):
            task = asyncio.create_task(follow(reader, urls, world.show, plan.seed + number))
            stack.push_async_callback(_cancel, task)
        running = asyncio.create_task(crowd.run(plan.customers))
        stack.push_async_callback(_cancel, running)
        await asyncio.sleep(plan.calm_seconds)
        if extra is not None:
            await extra(world)
        known = nemeses(world.setting)
        for name in plan.strikes:
            began = now()
            await known[name](world, random.Random(f"{plan.seed} {name} {dice.random()}"))
            world.say(f"  {name}: {now() - began:.1f} s, {len(crowd.calls)} commands so far")
            await asyncio.sleep(plan.calm_seconds)
            if running.done():
                break
        crowd.ending.set()
        await running
        crowd.close()
        await world.all_ready()
        return await _gather(world, crowd, readers, clock)


async def _gather(world: World, crowd: Crowd, readers: list[Reader], clock: float) -> Evidence:
    """Wait until all is quiet, and look at everything."""
    client = Client(world.servers[0].url, world.token)
    try:
        queued = {
            c.booking for c in crowd.calls if c.kind is Kind.QUEUE and c.answer is Answer.DONE and c.booking
        }
        await _until(lambda: _decided(world, queued))
        ledger = await read_ledger(client, world.show)
    finally:
        client.close()
    ended = now()
    state = await world.sql(STATE, world.show)
    assert state is not None
    truth = Map(state["version"], state["letters"])
    heard = world.receiver
    await _until(lambda: _is(len(set(heard.ids(world.show))) >= state["told_events"]))
    await _until(lambda: _is(all((r.version, r.letters) == (truth.version, truth.letters) for r in readers)))
    maps: list[Map] = []
    await _until(lambda: _converged(world, truth, maps))
    consumed = None
    if world.rabbit is not None:
        consumed = await _consumed(world, state["told_events"])
    report = await verify.verify(Database(world.dsn), sweep_seconds=0.5)
    return Evidence(
        show=world.show,
        hold_seconds=HOLD_SECONDS,
        clock=clock,
        ended=ended,
        calls=crowd.calls,
        ledger=ledger,
        in_database=truth,
        maps=maps,
        readers=readers,
        offences=[f"{f.rule.name}: {offence}" for f in report.findings for offence in f.offences],
        told_events=state["told_events"],
        untold=state["untold"],
        heard=heard.ids(world.show),
        consumed=consumed,
        emptied=world.emptied,
        box_office=frozenset(BOX_OFFICE),
    )


async def _new_show(world: World, seats: int) -> int:
    headers = {"Authorization": f"Bearer {world.token}"}
    async with httpx.AsyncClient(base_url=world.servers[0].url, headers=headers, timeout=30) as client:
        if not (await client.get("/api/webhooks")).json()["items"]:
            hook = await client.post("/api/webhooks", json={"url": world.receiver.url})
            assert hook.status_code == 201, hook.text
        body = {
            "name": "Torture",
            "start_time": "2031-05-01T20:00:00Z",
            "total_seats": seats,
            "hold_seconds": HOLD_SECONDS,
        }
        made = await client.post("/api/shows", json=body)
        assert made.status_code == 201, made.text
        return int(made.json()["id"])


async def _decided(world: World, identifiers: set[str]) -> bool:
    """Whether all of these have a row of their own, and no request waits."""
    if world.emptied is not None:
        await asyncio.sleep(3)  # who was thrown away is never decided
        return True
    row = await world.sql(
        "SELECT count(*) AS made FROM bookings WHERE show_id = $1 AND id = ANY ($2::uuid[])",
        world.show,
        list(identifiers),
    )
    return row is not None and row["made"] >= len(identifiers)


async def _converged(world: World, truth: Map, maps: list[Map]) -> bool:
    """Read each server's map; whether all are as they should be."""
    maps.clear()
    async with httpx.AsyncClient(timeout=10) as client:
        for server in world.servers:
            answer = (await client.get(f"{server.url}/api/shows/{world.show}/availability")).json()
            maps.append(Map(answer["version"], answer["statuses"]))
    return all(one == truth for one in maps)


async def _consumed(world: World, events: int) -> list[str]:
    """What RabbitMQ has of this show, once all of it is there, or nothing more comes."""
    assert world.rabbit is not None
    found: list[str] = []

    async def whole() -> bool:
        assert world.rabbit is not None
        messages = await read(world.rabbit.url, EXCHANGE, QUEUE, keep=True)
        found.extend(str(message.message_id) for message in messages)
        return len({i for i in found if i.startswith(f"{world.show}-")}) >= events

    await _until(whole)
    return found


async def _until(check: Callable[[], Awaitable[T]]) -> T:
    """Wait until something is so, or long enough: the checker tells what is not."""
    deadline = now() + QUIET_SECONDS_MAX
    while True:
        found = await check()
        if found or now() > deadline:
            return found
        await asyncio.sleep(0.2)


async def _is(so: bool) -> bool:
    return so


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
