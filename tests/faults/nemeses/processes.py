"""Nemeses of the servers: killed, frozen, short of descriptors and memory, with another clock."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource

import httpx
import psutil

from tests.faults.world import World, shifted

FROZEN_SECONDS = 10.0
DESCRIPTORS = 48
CROWD = 120  # connections beyond what there are descriptors for
MEMORY_BYTES = 24 << 20  # more than a server has now: enough to go on, not for what a crowd asks
PRESSED_SECONDS = 4.0


async def server_killed(world: World, dice: random.Random) -> None:
    """`kill -9` in mid-batch; started again a moment later."""
    server = dice.choice(world.servers)
    server.kill()
    await asyncio.sleep(dice.random())
    await asyncio.to_thread(server.start)
    await world.ready(server)


async def server_frozen(world: World, dice: random.Random, seconds: float = FROZEN_SECONDS) -> None:
    """SIGSTOP, and on again; it may hold locks meanwhile, which PostgreSQL takes from it."""
    server = dice.choice(world.servers)
    server.freeze()
    await asyncio.sleep(seconds)
    server.thaw()
    await world.ready(server)


async def descriptors_low(world: World, dice: random.Random) -> None:
    """A server that has hardly any descriptors, and more callers than that: they are refused, and it doesn't crash."""
    server = dice.choice(world.servers)
    await _limited(world, server.number, resource.RLIMIT_NOFILE, DESCRIPTORS)


async def memory_low(world: World, dice: random.Random) -> None:
    """A server that gets no more memory, and is asked for much: it refuses, and doesn't crash."""
    server = dice.choice(world.servers)
    used = psutil.Process(server.pid).memory_info().vms
    await _limited(world, server.number, resource.RLIMIT_AS, used + MEMORY_BYTES)


async def _limited(world: World, number: int, what: int, limit: int) -> None:
    """Set a limit of a running server low, press it, and lift it: it must be the same process afterwards."""
    server = world.servers[number]
    before = resource.prlimit(server.pid, what)
    resource.prlimit(server.pid, what, (limit, before[1]))
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(CROWD):
                group.create_task(_press(server.url, world))
    finally:
        if server.runs:
            resource.prlimit(server.pid, what, before)
    assert server.runs, f"the server crashed: {server.log.read_text()[-3000:]}"
    await world.ready(server)


async def _press(url: str, world: World) -> None:
    """Send and ask for much, on a connection of its own."""
    headers = {"Authorization": f"Bearer {world.token}", "Content-Type": "application/json"}
    with contextlib.suppress(httpx.HTTPError):
        async with httpx.AsyncClient(timeout=PRESSED_SECONDS, headers=headers) as client:
            await client.post(f"{url}/api/bookings", content=b"[" + b"1," * 400_000 + b"1]")
            await client.get(f"{url}/api/bookings?limit=200")


async def clocks_apart(world: World, dice: random.Random) -> None:
    """The servers' clocks are ten minutes apart: they are started anew with them, and stay so for this world."""
    for server, by in zip(
        world.servers, dice.choice((("+5m", "-5m"), ("-5m", "+5m"), ("+10m", "+0m"))), strict=True
    ):
        server.kill()
        server.clock = shifted(by)
        await asyncio.to_thread(server.start)
        await world.ready(server)
