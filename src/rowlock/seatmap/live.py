"""Live maps: a show's changes, as they happen, for anyone who reads along.

A hub for each show that has readers turns the steps of its map into deltas: whatever changed within one tick is one
delta, encoded once for all readers. Each delta begins at the version where the one before it ended, so a reader who
applies them in order sees every version's map, without gaps or repeats.

A reader has no queue of its own, only the version it has read up to. The hub keeps a ring of recent deltas, which
together weigh no more than a snapshot would; a reader that falls off its end, slow or long away, gets a snapshot instead.
So does one whose version is from before the database was set back, or from another process that is ahead.

Looking must not slow booking down, however many look. So the more readers a show has, the rarer are its deltas, and the
larger: the sending has a share of the process, and no more. And readers are woken some at a time, with whatever else
has come served in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from rowlock import telemetry
from rowlock.seatmap.maps import Maps, SeatMap

TICK_SECONDS: Final = (
    0.1  # changes closer together than this are one delta: ten a second is as live as an eye needs
)
# To send an event costs some 15 µs for each reader: so at most a seventh of the process's time. 2,000 readers have a
# delta each 0.2 s; all that a process takes (http/live.py), one a second.
TICK_SECONDS_A_READER: Final = 0.000_1
WAKE_READERS: Final = 100  # at a time: a millisecond or two, in which nobody else is served
RING_BYTES_MIN: Final = 64_000  # where a snapshot is smaller: most of a minute of a stampede
CATCH_UP_BYTES: Final = 16_000  # events are joined to so much at a time, a copy for each reader who lags
SNAPSHOT_SECONDS_MAX: Final = (
    1.0  # readers who come together share a snapshot, and get what came since as deltas
)
UNREAD_SECONDS_MAX: Final = 60.0  # a reader whose connection broke comes back within seconds
KEEP_ALIVE_SECONDS: Final = 15.0  # proxies close connections that are silent for 30 to 60 s
KEEP_ALIVE: Final = b": still here\n\n"


class Delta(msgspec.Struct, frozen=True):
    """What changed from one version to another; seats by their position in layout order."""

    from_version: int
    version: int
    available: int
    changes: tuple[tuple[int, str], ...]


class Snapshot(msgspec.Struct, frozen=True):
    """A whole map."""

    show_id: int
    version: int
    available: int
    statuses: str


def event(name: str, version: int, data: Delta | Snapshot) -> bytes:
    """A server-sent event (the HTML standard, section 9.2); `id` is the version after it."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), version, msgspec.json.encode(data))


class Hub:
    """The readers of one show."""

    def __init__(self, seat_map: SeatMap) -> None:
        loop = asyncio.get_running_loop()
        self.map = seat_map
        self.readers = 0
        self.unread_since = loop.time()
        self.closed = False
        self._ring: dict[int, tuple[int, bytes]] = {}  # from a version: to which one, and the event
        self._ring_bytes = 0
        self._ring_bytes_max = max(RING_BYTES_MIN, len(seat_map.letters))
        self._pending: dict[int, str] = {}
        self._told = seat_map.version
        self._ticking = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._to_wake = 0  # so many of those that have waited longest
        self._snapshot: tuple[int, bytes] = (-1, b"")
        self._snapshot_at = 0.0
        seat_map.listeners.add(self._on_step)
        self._keep_alive = loop.call_later(KEEP_ALIVE_SECONDS, self._stay_awake)

    @property
    def version(self) -> int:
        """The version that readers have been told of."""
        return self._told

    @property
    def tick_seconds(self) -> float:
        """Within so long, whatever changes is one delta."""
        return max(TICK_SECONDS, self.readers * TICK_SECONDS_A_READER)

    def close(self) -> None:
        """End all reading."""
        self.closed = True
        self.map.listeners.discard(self._on_step)
        self._keep_alive.cancel()
        self._to_wake = 0
        while self._waiting:
            _wake(self._waiting.popleft())

    def since(self, version: int) -> tuple[int, bytes] | None:
        """Events that lead on from `version`, as many as are worth a write, and to where; None if none do."""
        if version == self._told:
            return version, b""
        events: list[bytes] = []
        size = 0
        while size < CATCH_UP_BYTES and (step := self._ring.get(version)) is not None:
            version, encoded = step
            events.append(encoded)
            size += len(encoded)
        return (version, b"".join(events)) if events else None  # of one there is no copy

    def snapshot(self) -> tuple[int, bytes]:
        """The map as of a version that the deltas lead on from, as an event: of now, or of a moment ago."""
        now = asyncio.get_running_loop().time()
        if now - self._snapshot_at > SNAPSHOT_SECONDS_MAX or self.since(self._snapshot[0]) is None:
            self._tick_now()
            whole = Snapshot(self.map.show_id, self._told, self.map.available, self.map.statuses)
            self._snapshot, self._snapshot_at = (self._told, event("snapshot", self._told, whole)), now
        return self._snapshot

    def news(self) -> asyncio.Future[None]:
        """Done when there is more, when it is closed, or when there was nothing for `KEEP_ALIVE_SECONDS`."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(news)  # one that is given up stays until its turn
        return news

    def _on_step(self, _before: int, differing: Sequence[tuple[int, str]]) -> None:
        self._pending.update(differing)
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(self.tick_seconds, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._tick_now()

    def _tick_now(self) -> None:
        version = self.map.version
        if version == self._told or self.closed:
            return
        delta = Delta(self._told, version, self.map.available, tuple(sorted(self._pending.items())))
        encoded = event("delta", version, delta)
        self._ring[self._told] = version, encoded
        self._ring_bytes += len(encoded)
        while self._ring_bytes > self._ring_bytes_max:
            _, dropped = self._ring.pop(next(iter(self._ring)))
            self._ring_bytes -= len(dropped)
        self._pending.clear()
        self._told = version
        self._wake_all()

    def _stay_awake(self) -> None:
        self._keep_alive = asyncio.get_running_loop().call_later(KEEP_ALIVE_SECONDS, self._stay_awake)
        self._wake_all()

    def _wake_all(self) -> None:
        """Wake all who wait now; whoever is being woken already is so once."""
        if not self._to_wake:
            asyncio.get_running_loop().call_soon(self._wake_some)
        self._to_wake = len(self._waiting)

    def _wake_some(self) -> None:
        for _ in range(min(self._to_wake, WAKE_READERS)):
            self._to_wake -= 1
            _wake(self._waiting.popleft())
        if self._to_wake:
            asyncio.get_running_loop().call_soon(self._wake_some)


def _wake(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)


class Live:
    """The live maps of this process."""

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._hubs: dict[int, Hub] = {}
        self._closing = False

    async def read(self, show_id: int, last_version: int | None = None) -> AsyncIterator[bytes] | None:
        """Events of a show from `last_version` on, else from a snapshot; None if there is no such show."""
        seat_map = await self._maps.get(show_id)
        return None if seat_map is None else self._events(seat_map, last_version)

    def close(self) -> None:
        """End all reading, cleanly: each reader's stream ends where an event does."""
        self._closing = True
        for hub in self._hubs.values():
            hub.close()

    def forget(self) -> None:
        """Drop the hubs that nobody has read for a minute, and those whose map is not kept current any more."""
        now = asyncio.get_running_loop().time()
        for show_id, hub in list(self._hubs.items()):
            unread = not hub.readers and now - hub.unread_since > UNREAD_SECONDS_MAX
            if unread or not self._maps.keeps(hub.map):
                del self._hubs[show_id]
                hub.close()

    def _hub(self, seat_map: SeatMap) -> Hub:
        hub = self._hubs.get(seat_map.show_id)
        if hub is None or hub.map is not seat_map:
            if hub is not None:
                hub.close()
            hub = self._hubs[seat_map.show_id] = Hub(seat_map)
            if self._closing:
                hub.close()
        return hub

    async def _events(self, seat_map: SeatMap, last_version: int | None) -> AsyncIterator[bytes]:
        hub = self._hub(seat_map)  # not before somebody really reads
        hub.readers += 1
        seat_map.readers += 1
        telemetry.LIVE_READERS.inc()
        try:
            told = -1 if last_version is None or last_version <= seat_map.lost else last_version
            while not hub.closed:
                following = hub.since(told)
                if following is None:
                    told, encoded = hub.snapshot()
                    yield encoded
                    continue
                told, encoded = following
                if encoded:
                    yield encoded
                    continue
                await hub.news()
                if hub.version == told and not hub.closed:
                    yield KEEP_ALIVE
        finally:
            hub.readers -= 1
            seat_map.readers -= 1
            hub.unread_since = asyncio.get_running_loop().time()
            telemetry.LIVE_READERS.dec()
