"""Selling: windows of Rowlock under load, each on a server just started and on shows just made.

Rowlock runs with everything on, as it would be run: a service signs in with its token, requests are checked, logs are at
warning, metrics are counted, events are written.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import rush, servers, worlds
from benchmarks.clients import client
from benchmarks.rush import Rush
from benchmarks.servers import Postgres, Server
from benchmarks.worlds import Size, World
from rowlock.http import tokens

CONNECTIONS = 64
WARM_SECONDS = 2
CROWD_CONNECTIONS = 256
REQUESTS_PER_SECOND_MAX = 25_000  # more than any variant can answer: that many are made for each second

MODES = {World.HOLDS: "confirm", World.READ: "read"}


@contextmanager
def rowlock(where: Path, database: Postgres, workers: int, **settings: str) -> Iterator[tuple[Server, str]]:
    """Rowlock with everything on, signing in included, and the Authorization header of a service."""
    secret = secrets.token_hex(32)
    token = tokens.mint(secret, user_id="bench", role="service", hours=1)
    with servers.rowlock(
        where,
        database,
        workers=workers,
        ROWLOCK_AUTH="token",
        ROWLOCK_SECRET_KEY=secret,
        ROWLOCK_LOG_LEVEL="warning",
        **settings,
    ) as server:
        yield server, f"Bearer {token}"


def window(
    where: Path,
    server: Server,
    authorization: str,
    database: Postgres,
    world: World,
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    keys: bool = False,
    size: Size | None = None,
    readers: int = 0,
) -> Rush:
    """Sell a new world for so long, after a warm-up on the same; with so many readers of the first show's live map."""
    crowd = max(1, connections // CROWD_CONNECTIONS)  # those who are refused ask again sooner
    wanted = int((seconds + WARM_SECONDS) * REQUESTS_PER_SECOND_MAX * crowd)
    size = size or worlds.size_for(world, wanted)
    shows = worlds.make_shows(database.dsn, size, free=world is not World.SOLD)
    file = where / f"requests-{secrets.token_hex(4)}"
    try:
        worlds.write_requests(file, world, shows, size, wanted)
        wishes: dict[str, Any] = {"connections": connections, "authorization": authorization, "keys": keys}
        sell = partial(rush.rush, server, database, shows, file, mode=MODES.get(world, "-"), **wishes)
        _, used = sell(seconds=WARM_SECONDS)
        with _watched(server, shows[0], readers):
            found, _ = sell(seconds=seconds, skip=used)
    finally:
        file.unlink(missing_ok=True)
    return found


@contextmanager
def _watched(server: Server, show: int, readers: int) -> Iterator[None]:
    """While so many read a show's live map; they are not asked what they saw (benchmarks.live_maps does that)."""
    if not readers:
        yield
        return
    with client("readers", port=server.port, show=show, readers=readers, linger_seconds=0) as crowd:
        crowd.begin()
        yield
        crowd.stop()
        crowd.result()
