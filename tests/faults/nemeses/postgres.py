"""Nemeses of PostgreSQL: crashed, its backends ended, failed over, out of disk."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil

import asyncpg

from tests.faults.history import now
from tests.faults.world import World, follow

BACKENDS_ENDED = 10
FULL_SECONDS = 11.0  # longer than a command waits, so that callers hear of it
FULL_SECONDS_MAX = 60
ROOM_SECONDS_MAX = 8.0  # then there was room in the pages and segments that PostgreSQL has
DISK_FULL = b"No space left on device"


async def postgres_killed(world: World, dice: random.Random) -> None:
    """`kill -9` of the postmaster; its children notice and end, and it is started again."""
    await asyncio.to_thread(world.cluster.kill)
    await asyncio.sleep(dice.random())
    await asyncio.to_thread(world.cluster.start)
    await world.all_ready()


async def postgres_crashed(world: World, dice: random.Random) -> None:
    """`pg_ctl stop -m immediate`: all ends at once, and recovers at the next start."""
    await asyncio.to_thread(world.cluster.stop, "immediate")
    await asyncio.sleep(dice.random())
    await asyncio.to_thread(world.cluster.start)
    await world.all_ready()


async def backends_ended(world: World, dice: random.Random) -> None:
    """`pg_terminate_backend` of whoever comes, twice a second."""
    connection = await asyncpg.connect(world.dsn)
    try:
        for _ in range(BACKENDS_ENDED):
            rows = await connection.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rowlock%' ORDER BY pid"
            )
            if rows:
                await connection.execute("SELECT pg_terminate_backend($1)", dice.choice(rows)["pid"])
            await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def failed_over(world: World, dice: random.Random) -> None:
    """The primary dies, its synchronous standby is promoted; then the old one follows the new."""
    old, new = world.cluster, world.standby
    assert new is not None
    await asyncio.to_thread(dice.choice((old.stop, old.kill)))
    await asyncio.to_thread(new.run, "pg_ctl", "promote", "-w", "-D", str(new.data))
    world.cluster, world.standby = new, old
    connection = await asyncpg.connect(new.dsn)
    # Nobody follows it yet: for so long it commits alone, as an operator would have it.
    await connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    await world.all_ready()
    shutil.rmtree(old.data)
    await follow(new, old)


async def disk_full(world: World, dice: random.Random) -> None:
    """The file system is filled to the brim until PostgreSQL says so and callers are told, and is given room again.

    PostgreSQL may crash of it, and is then started.
    """
    ballast = world.folder / "pg" / "ballast"
    log = world.folder / "pg" / "log"
    said = log.read_bytes().count(DISK_FULL)
    began, full_since = now(), 0.0
    with ballast.open("ab", buffering=0) as file:
        for _ in range(FULL_SECONDS_MAX * 4):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * 8_192)
            if not full_since and log.read_bytes().count(DISK_FULL) > said:
                full_since = now()
            if full_since and now() - full_since > FULL_SECONDS:
                break
            if not full_since and now() - began > ROOM_SECONDS_MAX:
                await _write_on(world)
            await asyncio.sleep(0.25)
    assert full_since, "it was never full"
    ballast.unlink()
    await asyncio.to_thread(world.cluster.start)  # nothing to do, where it still runs
    await world.all_ready()


async def _write_on(world: World) -> None:
    """Have PostgreSQL begin another segment of its log, for which it needs room."""
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await world.sql("SELECT pg_logical_emit_message(true, 'torture', 'full'), pg_switch_wal()")
