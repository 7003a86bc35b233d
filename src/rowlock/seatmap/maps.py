"""Seat maps in memory: what everyone looks at, kept current by the change feed.

A map is one byte a seat, the letter of its status, and the version of the show that it shows. It never decides
anything; it only makes looking cheap.

How it stays true:

 1. It is loaded by one query, which reads the version and the seats in one snapshot. Changes that arrive meanwhile wait.
 2. A change applies to the version before it. Changes of two processes may arrive out of order: one that is ahead
    waits for those before it, and after `GAP_SECONDS_MAX` the map is loaded anew. One that is behind is old news.
 3. Once a second the versions of all maps are compared with the database's, in one query. A map that stays behind,
    because its change was never told, is loaded anew.
 4. A database that was set back, by a restore or a fail-over, comes to the same versions again by other changes. Each
    reading and each check says of which lineage it is (sql/maps.sql). Where that is another than before, or a map is
    ahead of the database, nothing that is remembered is believed any more: all of it is dropped, whoever reads.
 5. A map that nobody has looked at for a while is dropped, and the least recently used ones where there are too many.

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
from hashlib import blake2b
from typing import Final

import asyncpg
import structlog

from rowlock import __version__, telemetry
from rowlock.domain.lifecycles import SeatStatus
from rowlock.postgres.errors import is_cancelled
from rowlock.seatmap.changes import Change
from rowlock.seatmap.reading import read_map, read_standing
from rowlock.seatmap.shared import MapRow, SharedMaps
from rowlock.tasks import end_all, retrieve

log = structlog.get_logger(__name__)

GAP_SECONDS_MAX: Final = 0.2  # changes of one commit reach all processes within milliseconds, or not at all
CHECK_SECONDS: Final = (
    1.0  # what people see must be current within a second, and the check is one cheap query
)
IDLE_SECONDS_MAX: Final = 300.0
MAPS_MAX: Final = 4_000
MAP_SEATS_MAX: Final = 20_000_000  # a byte a seat: 20 MB
LOADS_AT_ONCE: Final = 4  # of those a check found behind: the pool is for others too
SHARED_AT_ONCE_MAX: Final = 20  # maps a second: 2 MB, if all are of the largest kind
WANTED_AGAIN_SECONDS: Final = 1.0  # after maps could not be read that somebody can do without
LETTERS: Final = frozenset(status.value for status in SeatStatus)
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
        "lost",
        "readers",
        "resting",
        "shared",
        "show_id",
        "used_at",
        "version",
        "waiting",
        "wanted",
    )

    def __init__(self, show_id: int, lost: int = -1) -> None:
        self.show_id = show_id
        self.version = -1
        self.lost = (
            lost  # versions up to this may have meant something else, before the database was set back
        )
        self.available = 0
        self.letters = bytearray()
        self.expected = -1
        self.waiting: dict[int, Change] = {}
        self.listeners: set[Listener] = set()
        self.readers = 0  # who read it live
        self.wanted = 0  # who wait for it to be loaded
        self.used_at = 0.0
        self.resting = -1  # the version that a check bore out, the last time
        self.shared = -1  # the version that other processes can have

    @property
    def in_use(self) -> bool:
        """Whether somebody would miss it."""
        return self.readers > 0 or self.wanted > 0

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
    return (
        len(change.seats) == len(change.letters)
        and min(change.seats, default=0) >= 0
        and max(change.seats, default=0) < seats
        and LETTERS.issuperset(change.letters)
    )


def _short_name(history: str) -> str:
    return blake2b(f"{__version__} {history}".encode(), digest_size=4).hexdigest()


class Maps:
    """The maps of the shows that this process is asked about."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        shared: SharedMaps | None = None,
        *,
        maps_max: int = MAPS_MAX,
        seats_max: int = MAP_SEATS_MAX,
        on_set_back: Callable[[], None] = lambda: None,
        sharded: bool = False,
    ) -> None:
        """`on_set_back` forgets what else is remembered of shows. `sharded`: tables are spread by show."""
        self._pool = pool
        self._sharded = sharded
        self._shared = shared
        self._borne_out: list[tuple[SeatMap, int]] = []
        self._maps_max = maps_max
        self._seats_max = seats_max
        self._maps: OrderedDict[int, SeatMap] = OrderedDict()
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._seats = 0
        self._wanted: dict[int, None] = {}  # maps to be read when there is time, in order
        self._reading: asyncio.Task[None] | None = None
        self._closed = False
        self._on_set_back = on_set_back
        self._lineage = ""
        self._lost: dict[int, int] = {}  # of each show that was kept then, the last version that may be lost
        self.history = ""  # a short name of what versions, and bodies made of them, mean now; alike in all processes, as a rule

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
            loading = self._maps.get(show_id)
            if loading is None:
                loading = self._maps[show_id] = SeatMap(show_id, self._lost.get(show_id, -1))
                loading.used_at = asyncio.get_running_loop().time()
            loading.wanted += (
                1  # until its turn comes another may be loaded, and look for what can be forgotten
            )
            try:
                await self._load(show_id)
            finally:
                loading.wanted -= 1
            seat_map = self.known(show_id)
            self._forget(show_id)
        return seat_map

    def letters_of(self, show_id: int, now: float) -> bytearray | None:
        """A map's letters, for whoever gains by having them and can do without; it is read meanwhile, if there is room for
        it. `now` is a time of the loop's clock.
        """
        seat_map = self._maps.get(show_id)
        if seat_map is None:
            self._want(show_id)
            return None
        self._maps.move_to_end(show_id)
        seat_map.used_at = now
        return seat_map.letters

    def _want(self, show_id: int) -> None:
        """Read a map, one after another; one for which there is no room is not read."""
        full = len(self._maps) + len(self._wanted) >= self._maps_max or self._seats >= self._seats_max
        if full or self._closed:
            return
        self._wanted[show_id] = None
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_wanted())
            self._reading.add_done_callback(retrieve)

    async def _read_wanted(self) -> None:
        try:
            while self._wanted:
                show_id = next(iter(self._wanted))
                await self.get(show_id)
                self._wanted.pop(show_id, None)
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            log.warning("maps_not_loaded", maps=len(self._wanted), error=repr(error))
            await asyncio.sleep(WANTED_AGAIN_SECONDS)  # none of them is wanted again meanwhile
        finally:
            self._wanted.clear()
            self._reading = None

    async def close(self) -> None:
        """Read no more of what is only wanted."""
        self._closed = True
        if self._reading is not None:
            await end_all([self._reading])
            self._reading = None

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
        rows = await read_standing(self._pool, list(seen), sharded=self._sharded)
        self._belong_to(rows[0]["lineage"])
        wanted: dict[int, int] = {
            row["show_id"]: row["version"] for row in rows if row["show_id"] is not None
        }
        for show_id, version in seen.items():
            if wanted.get(show_id, -1) < version and show_id in self._maps and show_id not in self._loading:
                # What a map shows was committed before it was looked up, so the database was set back.
                log.warning("map_ahead", show_id=show_id, version=version, committed=wanted.get(show_id))
                self._begin_anew(f"{self._lineage} {show_id} {version}")
                break
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
            loads = (self._load(show_id, wanted[show_id]) for show_id in some)
            for show_id, failed in zip(
                some, await asyncio.gather(*loads, return_exceptions=True), strict=True
            ):
                if failed is not None:  # one show's trouble is not the others'
                    log.warning("map_not_loaded", show_id=show_id, error=repr(failed))
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
                row = MapRow(version, seat_map.available, bytes(seat_map.letters), self._lineage)
                at_rest.append((seat_map.show_id, row))
        self._borne_out = []
        await self._shared.share(at_rest)

    def drop_idle(self) -> None:
        """Drop the maps that nobody has looked at for a while."""
        now = asyncio.get_running_loop().time()
        for show_id, seat_map in list(self._maps.items()):
            idle = now - seat_map.used_at > IDLE_SECONDS_MAX
            if idle and not seat_map.in_use and show_id not in self._loading:
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
            task.add_done_callback(retrieve)  # the next check tries again

    async def _load(self, show_id: int, version: int = -1) -> None:
        """Read a map that is kept, as of `version` at least, if there is such a version."""
        seat_map = self._maps.get(show_id)
        if seat_map is None:
            return
        seat_map.expected = max(seat_map.expected, version)
        task = self._loading.get(show_id)
        if task is None:
            task = self._loading[show_id] = asyncio.create_task(self._read(seat_map))
            task.add_done_callback(retrieve)
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
                self._belong_to(row.lineage)
                if not self.keeps(seat_map):
                    return
                if seat_map.version < 0:
                    self._seats += len(row.letters)
                elif len(row.letters) != len(seat_map.letters):
                    log.warning("map_of_another_size", show_id=show_id, version=row.version)
                    self._drop(
                        show_id
                    )  # somebody has changed the hall by hand; the next who asks begins anew
                    return
                seat_map.replace(row.version, row.available, row.letters)
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
            if self._loading.get(show_id) is asyncio.current_task():
                del self._loading[show_id]
            if seat_map.version < 0 and self.keeps(seat_map):  # the next who asks begins anew
                self._drop(show_id)

    async def _fetch(self, show_id: int) -> MapRow | None:
        if self._shared is not None:
            return await self._shared.read(show_id)
        row = await read_map(self._pool, show_id, sharded=self._sharded)
        return None if row is None else MapRow(*row)

    def _forget(self, wanted: int) -> None:
        """Drop the least recently used maps where there are too many; never one that is in use, or `wanted` now."""
        for show_id, seat_map in list(self._maps.items()):
            if len(self._maps) <= self._maps_max and self._seats <= self._seats_max:
                return
            if not seat_map.in_use and show_id not in self._loading and show_id != wanted:
                self._drop(show_id)

    def _drop(self, show_id: int) -> None:
        self._seats -= len(self._maps.pop(show_id).letters)
        self._loading.pop(show_id, None)

    def _belong_to(self, lineage: str) -> None:
        """Take note of the lineage that the database has now."""
        if lineage == self._lineage:
            return
        before, self._lineage = self._lineage, lineage
        if before:
            log.warning("database_set_back", before=before, now=lineage)
            self._begin_anew(lineage)
        else:
            self.history = _short_name(lineage)

    def _begin_anew(self, history: str) -> None:
        """Drop all that is known; a map that is being read for the first time is known by nobody yet."""
        self.history = _short_name(history)
        for show_id, seat_map in list(self._maps.items()):
            if seat_map.version >= 0:
                self._lost[show_id] = max(seat_map.version, seat_map.lost)
                self._drop(show_id)
            else:
                seat_map.waiting.clear()
        while len(self._lost) > self._maps_max:
            del self._lost[next(iter(self._lost))]
        self._on_set_back()
