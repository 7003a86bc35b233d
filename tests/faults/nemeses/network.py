"""Nemeses of the network: between namespaces by nftables, and at the proxy before the database."""

from __future__ import annotations

import asyncio
import random

from tests.faults.world import World

CUT_SECONDS = 6.0
LOSSY_SECONDS = 8.0
RESETS = 5
DELAY_SECONDS = 0.2
DELAYED_SECONDS = 6.0
SILENT_SECONDS = 6.0
CUTS = 4
CUT_SECONDS_MAX = 15.0


async def cut(world: World, dice: random.Random) -> None:
    """A server is cut off from the database: what is sent is never heard of again."""
    await _broken(world, dice, "counter drop", CUT_SECONDS)


async def lossy(world: World, dice: random.Random) -> None:
    """One packet in twenty is lost."""
    await _broken(world, dice, "numgen random mod 100 < 5 drop", LOSSY_SECONDS)


async def reset(world: World, dice: random.Random) -> None:
    """Every connection to the database is reset, and again."""
    for _ in range(RESETS):
        await _broken(world, dice, "meta l4proto tcp reject with tcp reset", 0.3)
        await asyncio.sleep(dice.random())


async def _broken(world: World, dice: random.Random, rule: str, seconds: float) -> None:
    assert world.network is not None
    world.network.break_link(dice.randrange(len(world.servers)), rule)
    await asyncio.sleep(seconds)
    world.network.mend()
    await world.all_ready()


async def delayed(world: World, dice: random.Random) -> None:
    """All that goes to the database or comes from it takes 200 ms longer."""
    link = dice.choice(world.links)
    link.delay_seconds = DELAY_SECONDS
    await asyncio.sleep(DELAYED_SECONDS)
    link.delay_seconds = 0
    await world.all_ready()


async def half_open(world: World, dice: random.Random) -> None:
    """Connections stay open and nothing comes through, new ones too; then they break."""
    link = dice.choice(world.links)
    link.silent = True
    await asyncio.sleep(SILENT_SECONDS)
    link.silent = False
    await link.break_all()
    await world.all_ready()


async def commit_cut(world: World, dice: random.Random) -> None:
    """Answers to COMMIT are cut off: it is committed, and the server doesn't know."""
    link = dice.choice(world.links)
    before = link.cut
    link.cuts = CUTS
    for _ in range(int(CUT_SECONDS_MAX / 0.1)):
        if link.cut - before >= CUTS:
            break
        await asyncio.sleep(0.1)
    link.cuts = 0
    assert link.cut > before, "nothing was committed meanwhile"
    await world.all_ready()
