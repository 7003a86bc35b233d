"""Nemeses of PostgreSQL: crashed, its backends ended, failed over, out of disk."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil

import asyncpg

from tests.faults.world import World, follow

BACKENDS_ENDED = 10
DISK_LEFT_BYTES = 64 << 10
FULL_SECONDS = 6.0


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
    await asyncio.to_thread(old.stop, dice.choice(("immediate",)))
    await asyncio.to_thread(new.run, "pg_ctl", "promote", "-w", "-D", str(new.data))
    world.cluster, world.standby = new, old
    connection = await asyncpg.connect(new.dsn)
    with contextlib.closing(contextlib.ExitStack()):
        # Nobody confirms until the other follows: for so long it commits alone, as an operator would have it.
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        await connection.execute("SELECT pg_reload_conf()")
    await connection.close()
    await world.all_ready()
    shutil.rmtree(old.data)
    await follow(new, old)


async def disk_full(world: World, dice: random.Random) -> None:
    """The file system is filled to the brim, and given room again. PostgreSQL may crash of it, and is then started."""
    ballast = world.folder / "pg" / "ballast"
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:  # noqa: ASYNC230 (in memory)
        for _ in range(max(0, free - DISK_LEFT_BYTES) >> 16):
            file.write(b"\0" * 65_536)
    await asyncio.sleep(FULL_SECONDS)
    assert shutil.disk_usage(ballast.parent).free < DISK_LEFT_BYTES * 4, "it was never full"
    ballast.unlink()
    await asyncio.to_thread(world.cluster.start)  # nothing to do, where it still runs
    await world.all_ready()
