"""Seat maps in memory: what everyone looks at, kept current by the change feed.

A map is one byte a seat, the letter of its status, and the version of the show that it shows. It never decides
anything; it only makes looking cheap.

How it stays true:

 1. It is loaded by one query, which reads the version and the seats in one snapshot. Changes that arrive meanwhile wait.
 2. A change applies to the version before it. Changes of two processes may arrive out of order: one that is ahead
    waits for those before it, and after `GAP_SECONDS_MAX` the map is loaded anew. One that is behind is old news.
 3. Once a second the versions of all maps are compared with the database's, in one query. A map that stays behind,
    because its change was never told, is loaded anew. One that is ahead shows what a database that was set back has
    lost: it is dropped, whoever listens.
 4. A map that nobody has looked at for a while is dropped, and the least recently used ones where there are too many.

A reading may have begun before the change that it is to show, so whoever needs a version says which (`expected`), and
it is read once more where that is still missing. A change that can't be one of this show is ignored.

Where maps are shared with other processes (shared.py), one is taken from there if PostgreSQL bears it out, and those that
have come to rest are put there.

Whoever listens to a map (`listeners`) is told of every step, a reload included, as the seats that differ.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import asyncpg
import structlog

from rowlock import telemetry
from rowlock.postgres.queries import load
from rowlock.seatmap.changes import Change
from rowlock.seatmap.shared import MapRow, SharedMaps

log = structlog.get_logger(__name__)
SQL = load("maps")

GAP_SECONDS_MAX: Final = 0.2  # changes of one commit reach all processes within milliseconds, or not at all
CHECK_SECONDS: Final = (
    1.0  # what people see must be current within a second, and the check is one cheap query
)
IDLE_SECONDS_MAX: Final = 300.0
MAPS_MAX: Final = 4_000
MAP_SEATS_MAX: Final = 20_000_000  # a byte a seat: 20 MB
LOADS_AT_ONCE: Final = 4  # of those a check found behind: the pool is for others too
SHARED_AT_ONCE_MAX: Final = 20  # maps a second: 2 MB, if all are of the largest kind
READINGS_MAX: Final = 3  # a version that is not there after so many was never committed

Listener = Callable[
    [int, Sequence[tuple[int, str]]], None
]  # version before, and (seat, letter) for each that differs


class SeatMap:
    """One show's map. `letters` holds a status letter a seat, in layout order; `version` is what it shows."""

    __slots__ = (
        "available",
        "expected",
        "letters",
        "listeners",
        "resting",
        "shared",
        "show_id",
        "used_at",
        "version",
        "waiting",
    )

    def __init__(self, show_id: int) -> None:
        self.show_id = show_id
        self.version = -1
        self.available = 0
        self.letters = bytearray()
        self.expected = -1
        self.waiting: dict[int, Change] = {}
        self.listeners: set[Listener] = set()
        self.used_at = 0.0
        self.resting = -1  # the version that a check bore out, the last time
        self.shared = -1  # the version that other processes can have

    @property
    def statuses(self) -> str:
        """The map as text."""
        return self.letters.decode("ascii")

    def take(self, change: Change) -> bool:
        """Take a change in; whether the map is now without a gap."""
        if change.version > self.version:
            self.waiting[change.version] = change
        return self._catch_up()

    def _catch_up(self) -> bool:
        if self.version < 0:
            return False  # not loaded yet
        while (following := self.waiting.pop(self.version + 1, None)) is not None:
            if not _fits(following, len(self.letters)):
                continue  # the true one may still come; if not, that is a gap
            self._step(
                following.version,
                following.available,
                tuple(zip(following.seats, following.letters, strict=True)),
            )
        return not self.waiting

    def replace(self, version: int, available: int, letters: bytes) -> None:
        """Take a fresh reading in. One that is older than what is shown changes nothing."""
        if version > self.version:
            if self.version < 0:
                self.letters[:] = letters
                self.version, self.available = version, available
            else:
                now = letters.decode("ascii")
                self._step(
                    version,
                    available,
                    tuple((n, now[n]) for n in range(len(now)) if letters[n] != self.letters[n]),
                )
        self.waiting = {number: change for number, change in self.waiting.items() if number > self.version}
        self._catch_up()

    def _step(self, version: int, available: int, differing: Sequence[tuple[int, str]]) -> None:
        before = self.version
        for seat, letter in differing:
            self.letters[seat] = ord(letter)
        self.version, self.available = version, available
        for listener in tuple(self.listeners):
            listener(before, differing)


def _fits(change: Change, seats: int) -> bool:
    """Whether a change can be one of a show of so many seats: anyone in the database may NOTIFY."""
    return len(change.seats) == len(change.letters) and all(0 <= seat < seats for seat in change.seats)


class Maps:
    """The maps of the shows that this process is asked about."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        shared: SharedMaps | None = None,
        *,
        maps_max: int = MAPS_MAX,
        seats_max: int = MAP_SEATS_MAX,
    ) -> None:
        self._pool = pool
        self._shared = shared
        self._borne_out: list[tuple[SeatMap, int]] = []
        self._maps_max = maps_max
        self._seats_max = seats_max
        self._maps: OrderedDict[int, SeatMap] = OrderedDict()
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._seats = 0

    def known(self, show_id: int) -> SeatMap | None:
        """A map that is at hand."""
        seat_map = self._maps.get(show_id)
        if seat_map is None or seat_map.version < 0:
            return None
        self._maps.move_to_end(show_id)
        seat_map.used_at = asyncio.get_running_loop().time()
        return seat_map

    async def get(self, show_id: int) -> SeatMap | None:
        """The map of a show; None if there is no such show. However many ask at once, it is read once."""
        seat_map = self.known(show_id)
        if seat_map is None:
            if show_id not in self._maps:
                self._maps[show_id] = SeatMap(show_id)
            await self._load(show_id)
            seat_map = self.known(show_id)
            self._forget(show_id)
        return seat_map

    def keeps(self, seat_map: SeatMap) -> bool:
        """Whether this map is one that is kept current."""
        return self._maps.get(seat_map.show_id) is seat_map

    def apply(self, change: Change) -> None:
        """Take a change in, wherever it came from; a map that nobody looks at takes none."""
        seat_map = self._maps.get(change.show_id)
        if seat_map is not None and not seat_map.take(change) and seat_map.version >= 0:
            asyncio.get_running_loop().call_later(GAP_SECONDS_MAX, self._mend, change.show_id, change.version)

    def expect(self, show_id: int, version: int) -> None:
        """A show has changed by more than could be told: read it, if anybody looks at it."""
        if self._version(show_id) < version:
            self._mend(show_id, version)

    async def check(self) -> int:
        """Compare all maps with the database. Returns how many were behind, and are loaded anew."""
        seen = {
            show_id: seat_map.version for show_id, seat_map in self._maps.items() if seat_map.version >= 0
        }
        self._borne_out = []
        if not seen:
            return 0
        rows = await self._pool.fetch(SQL.versions, list(seen))
        wanted: dict[int, int] = {row["show_id"]: row["version"] for row in rows}
        for show_id, version in seen.items():
            if wanted.get(show_id, -1) < version and show_id in self._maps and show_id not in self._loading:
                # What a map shows was committed before it was looked up, so the database was set back.
                log.warning("map_ahead", show_id=show_id, version=version, committed=wanted.get(show_id))
                self._drop(show_id)
        self._borne_out = [
            (seat_map, version)
            for show_id, version in wanted.items()
            if (seat_map := self._maps.get(show_id)) is not None and seat_map.version == version
        ]
        if not (ahead := self._behind(wanted)):
            return 0
        await asyncio.sleep(GAP_SECONDS_MAX)  # it may be on its way
        behind = self._behind({show_id: wanted[show_id] for show_id in ahead})
        telemetry.MAP_RELOADS.labels("behind").inc(len(behind))
        for n in range(0, len(behind), LOADS_AT_ONCE):
            some = behind[n : n + LOADS_AT_ONCE]
            await asyncio.gather(*(self._load(show_id, wanted[show_id]) for show_id in some))
        return len(behind)

    async def share(self) -> None:
        """Let other processes have the maps that the last two checks found alike; in a rush nobody could use them."""
        if self._shared is None:
            return
        at_rest: list[tuple[int, MapRow]] = []
        for seat_map, version in self._borne_out:
            rested, seat_map.resting = seat_map.resting == version, version
            if seat_map.version != version or seat_map.shared == version or not rested:
                continue
            if len(at_rest) < SHARED_AT_ONCE_MAX:
                seat_map.shared = version
                at_rest.append(
                    (seat_map.show_id, MapRow(version, seat_map.available, bytes(seat_map.letters)))
                )
        self._borne_out = []
        await self._shared.share(at_rest)

    def drop_idle(self) -> None:
        """Drop the maps that nobody has looked at for a while."""
        now = asyncio.get_running_loop().time()
        for show_id, seat_map in list(self._maps.items()):
            if (
                not seat_map.listeners
                and show_id not in self._loading
                and now - seat_map.used_at > IDLE_SECONDS_MAX
            ):
                self._drop(show_id)

    @property
    def count(self) -> int:
        """How many maps are kept."""
        return len(self._maps)

    def _version(self, show_id: int) -> int:
        seat_map = self._maps.get(show_id)
        return seat_map.version if seat_map is not None else 2**63

    def _behind(self, wanted: dict[int, int]) -> list[int]:
        return [show_id for show_id, version in wanted.items() if self._version(show_id) < version]

    def _mend(self, show_id: int, version: int) -> None:
        """Load a map anew that still lacks what comes before `version`."""
        if self._version(show_id) < version:
            if show_id not in self._loading:
                telemetry.MAP_RELOADS.labels("gap").inc()
            task = asyncio.ensure_future(self._load(show_id, version))
            task.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # the next check tries again

    async def _load(self, show_id: int, version: int = -1) -> None:
        """Read a map that is kept, as of `version` at least, if there is such a version."""
        seat_map = self._maps.get(show_id)
        if seat_map is None:
            return
        seat_map.expected = max(seat_map.expected, version)
        task = self._loading.get(show_id)
        if task is None:
            task = self._loading[show_id] = asyncio.create_task(self._read(seat_map))
        await asyncio.shield(task)

    async def _read(self, seat_map: SeatMap) -> None:
        show_id = seat_map.show_id
        try:
            for _ in range(READINGS_MAX):
                heard = set(seat_map.waiting)
                row = await self._fetch(show_id)
                if not self.keeps(seat_map):
                    return
                if row is None:
                    self._drop(show_id)
                    return
                if seat_map.version < 0:
                    self._seats += len(row.letters)
                seat_map.replace(*row)
                seat_map.shared = max(seat_map.shared, row.version)
                for number in heard & seat_map.waiting.keys():
                    del seat_map.waiting[number]  # told, and not committed: none of ours
                if seat_map.version >= seat_map.expected:
                    break
            seat_map.expected = -1
            if seat_map.waiting:  # a gap, among the changes that came meanwhile
                last = max(seat_map.waiting)
                asyncio.get_running_loop().call_later(GAP_SECONDS_MAX, self._mend, show_id, last)
        finally:
            del self._loading[show_id]
            if seat_map.version < 0 and self.keeps(seat_map):  # the next who asks begins anew
                self._drop(show_id)

    async def _fetch(self, show_id: int) -> MapRow | None:
        if self._shared is not None:
            return await self._shared.read(show_id)
        row = await self._pool.fetchrow(SQL.map, show_id)
        return None if row is None else MapRow(row["version"], row["available"], row["letters"])

    def _forget(self, wanted: int) -> None:
        """Drop the least recently used maps where there are too many; never one that is listened to, or `wanted` now."""
        for show_id, seat_map in list(self._maps.items()):
            if len(self._maps) <= self._maps_max and self._seats <= self._seats_max:
                return
            if not seat_map.listeners and show_id not in self._loading and show_id != wanted:
                self._drop(show_id)

    def _drop(self, show_id: int) -> None:
        self._seats -= len(self._maps.pop(show_id).letters)
