"""Seat maps that processes share, so that one which has just started need not read them from PostgreSQL.

What is shared lies with a broker, which may have kept something old, and may be away. So a map from there is believed on
three conditions, and read from PostgreSQL where one fails:

 1. One of us has put it there, and not a byte has changed: the store sees to that.
 2. It has the version that PostgreSQL gives for the show at this moment, in one cheap query.
 3. It is of the same lineage. A database that was restored from a backup counts on from an older version, and comes
    to versions again that meant something else before; but it has been started, made or filled anew.

Where many processes need the same map, one reads it and shares it, while the others wait for it, a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import asyncpg
import msgspec

from rowlock import telemetry
from rowlock.seatmap.reading import read_map, read_standing

WAIT_SECONDS_MAX: Final = 0.5  # for another process's reading: 100,000 seats take PostgreSQL some 50 ms
POLL_SECONDS: Final = 0.02


class MapRow(NamedTuple):
    """A show's map at one version, wherever it came from."""

    version: int
    available: int
    letters: bytes
    lineage: str


class Store(Protocol):
    """Where shared maps lie. It may be away: then there is nothing in it, and nobody else at work.

    Nothing but what was put there comes out of it, whoever else may write to it.
    """

    async def get(self, show_id: int) -> bytes | None:
        """What was put there last, if it is still there. Takes some tens of milliseconds at most, and never fails."""

    async def put(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Keep maps, for a while. As above."""

    async def claim(self, show_id: int) -> bool:
        """Whether it is on the caller to read this map; else someone has begun to a moment ago. As above."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    show_id: int
    lineage: str
    version: int
    available: int
    letters: bytes


class SharedMaps:
    """Reads maps: from where they are shared, or else from PostgreSQL."""

    def __init__(self, store: Store, pool: asyncpg.Pool, *, sharded: bool = False) -> None:
        self._store = store
        self._pool = pool
        self._sharded = sharded

    async def read(self, show_id: int) -> MapRow | None:
        """A map as it is now, or has become since the call; None if there is no such show."""
        standing = None
        found = _unpacked(show_id, await self._store.get(show_id))
        if found is not None:
            standing = await self._standing(show_id)
            if standing is None:
                return None
            if (row := _borne_out(found, standing, standing)) is not None:
                telemetry.SHARED_MAPS.labels("used").inc()
                return row
        claimed, found = await self._claim(show_id)
        if found is not None:
            standing = await self._standing(show_id)
            if standing is None:
                return None
            if (row := _borne_out(found, standing, standing)) is not None:
                telemetry.SHARED_MAPS.labels("used").inc()
                return row
        if not claimed:
            standing = standing or await self._standing(show_id)
            if standing is None:
                return None
            row, claimed = await self._from_another(show_id, standing)
            if row is not None:
                telemetry.SHARED_MAPS.labels("used").inc()
                return row
        telemetry.SHARED_MAPS.labels("read").inc()
        return await self._from_postgres(show_id, share=claimed)

    async def share(self, maps: Sequence[tuple[int, MapRow]]) -> None:
        """Let others have maps that are known to be current."""
        if maps:
            await self._store.put([(show_id, _packed(show_id, row)) for show_id, row in maps])

    async def _from_another(self, show_id: int, asked: Any) -> tuple[MapRow | None, bool]:
        """What another process has read since; else whether it is on us to read."""
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(POLL_SECONDS)
            found = _unpacked(show_id, await self._store.get(show_id))
            if found is not None and found.version >= asked["version"]:
                now = await self._standing(show_id)
                if now is None:
                    return None, False
                if (row := _borne_out(found, asked, now)) is not None:
                    return row, False
            claimed, found = await self._claim(show_id)
            if claimed:
                now = None if found is None else await self._standing(show_id)
                return None if found is None or now is None else _borne_out(found, asked, now), True
        return None, False

    async def _claim(self, show_id: int) -> tuple[bool, _Entry | None]:
        """Whether it is on us to read a map; and what was put there between our last look and that."""
        if not await self._store.claim(show_id):
            return False, None
        return True, _unpacked(show_id, await self._store.get(show_id))

    async def _from_postgres(self, show_id: int, *, share: bool) -> MapRow | None:
        read = await read_map(self._pool, show_id, sharded=self._sharded)
        if read is None:
            return None
        row = MapRow(*read)
        if share:
            await self._store.put([(show_id, _packed(show_id, row))])
        return row

    async def _standing(self, show_id: int) -> Any:
        (row,) = await read_standing(self._pool, [show_id], sharded=self._sharded)
        return None if row["show_id"] is None else row


def _packed(show_id: int, row: MapRow) -> bytes:
    return msgspec.msgpack.encode(_Entry(show_id, row.lineage, row.version, row.available, row.letters))


def _unpacked(show_id: int, raw: bytes | None) -> _Entry | None:
    if raw is None:
        return None
    try:
        entry = msgspec.msgpack.decode(raw, type=_Entry)
    except msgspec.MsgspecError:  # of another version of us
        return None
    return entry if entry.show_id == show_id else None


def _borne_out(entry: _Entry, asked: Any, now: Any) -> MapRow | None:
    """The map, if PostgreSQL says that it was current at some time between `asked` and `now`."""
    if (
        asked["version"] <= entry.version <= now["version"]
        and entry.lineage == asked["lineage"] == now["lineage"]
        and len(entry.letters) == now["total"]
    ):
        return MapRow(entry.version, entry.available, entry.letters, entry.lineage)
    return None
