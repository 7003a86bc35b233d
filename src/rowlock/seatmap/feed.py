"""The change feed: after a commit, every process learns what changed.

Told after COMMIT and not within: NOTIFY in a transaction takes a lock that serializes all commits of the database. So a
message can be lost (the process dies between the two, the network breaks), come twice, or come late. None of that
matters: versions tell, and `maps.py` reads anew what has a gap.

Messages are short: a NOTIFY's payload must stay below 8,000 bytes. Changes that were made close together share a
payload, and a change too large for one is only named; whoever keeps that map reads it.

Where nobody else listens nobody is told, for a process that sells alone would tell its own listener, and wake two sessions of
PostgreSQL for it, fifty times a second. So who listens says so, at first, every few seconds, and to whoever is new; and who
has heard itself, and nobody else for a while, is alone. Whoever is thought to be gone and is not, finds what it missed by its check
(maps.py), a second later.

Where there is a broker, it is used to tell, which takes that load off PostgreSQL; while it is away, or does not take a
message, NOTIFY is. Everybody listens to both, always, so nobody has to agree on anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from binascii import a2b_base64, b2a_base64
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import asyncpg
import msgspec
import structlog

from rowlock import telemetry
from rowlock.postgres.errors import Trouble, diagnose, is_cancelled
from rowlock.postgres.pool import Database, connect_listener
from rowlock.postgres.queries import load
from rowlock.seatmap.changes import Change
from rowlock.seatmap.maps import Maps
from rowlock.tasks import end_all

log = structlog.get_logger(__name__)
SQL = load("maps")
_NEVER: Final = float("inf")

CHANNEL: Final = "rowlock_changes"
PAYLOAD_BYTES_MAX: Final = 7_900
RAW_BYTES_MAX: Final = (
    PAYLOAD_BYTES_MAX * 3 // 4
)  # base 64 makes four letters of three bytes, in C; base 85 is made in Python
SEND_AT_ONCE_MAX: Final = 500
QUEUE_CHANGES_MAX: Final = 20_000  # a few seconds of a stampede; what is dropped beyond is found by the check
RECONNECT_SECONDS_MAX: Final = 5.0
RESEND_SECONDS: Final = 0.5
# Changes that come so soon after others are told together: a message costs PostgreSQL, and every process, as much as a
# small batch. The first after a rest is told at once; a tenth of what a map waits for a missing one (maps.py).
TOGETHER_SECONDS: Final = 0.02
STOP_SECONDS_MAX: Final = 1.5  # for what is queued when a process ends, the way over NOTIFY included
# A connection that broke silently hears nothing, and would never know. Others hear of us as often.
PING_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 10.0  # to a ping
GREETED_SECONDS: Final = 1.0  # whoever is there greets who is new within milliseconds
HEARD_SECONDS: Final = 2.5 * PING_SECONDS  # who was not heard of for so long is gone


class Message(msgspec.Struct, frozen=True, array_like=True):
    """What goes over the wire: who says it, changes, and shows that changed by more than fits, with their versions."""

    sender: str
    changes: tuple[Change, ...]
    large: tuple[tuple[int, int], ...] = ()


def encode(sender: str, changes: Sequence[Change]) -> list[str]:
    """Messages for `changes`, each below the limit of a NOTIFY."""
    payloads: list[str] = []
    packed: list[Change] = []
    size = 64  # the sender, and what the lists themselves take
    large = []
    for change in changes:
        weight = 40 + 5 * len(change.seats) + len(change.letters)
        if 64 + weight > RAW_BYTES_MAX:
            large.append((change.show_id, change.version))
            continue
        if size + weight > RAW_BYTES_MAX:
            payloads.append(_pack(Message(sender, tuple(packed))))
            packed, size = [], 64
        packed.append(change)
        size += weight
    if packed:
        payloads.append(_pack(Message(sender, tuple(packed))))
    payloads += [_pack(Message(sender, (), tuple(large[n : n + 200]))) for n in range(0, len(large), 200)]
    return payloads


def _pack(message: Message) -> str:
    return b2a_base64(msgspec.msgpack.encode(message), newline=False).decode("ascii")


def decode(payload: str | bytes) -> Message | None:
    """A message, or None for what is none of ours."""
    try:
        return msgspec.msgpack.decode(a2b_base64(payload, strict_mode=True), type=Message)
    except (ValueError, msgspec.MsgspecError):
        return None


class Feed(Protocol):
    """How changes reach the maps of every process."""

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell of changes that were just committed. Never waits, never fails."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


class Broadcast(Protocol):
    """A way to tell all processes that is quicker than NOTIFY, and may be away."""

    async def send(self, payloads: Sequence[str]) -> bool:
        """Whether these were told. Takes a fraction of a second at most, and never fails."""

    async def listen(self, hear: Callable[[bytes], None], begun: Callable[[], Awaitable[object]]) -> None:
        """Hear, until cancelled; `begun` is called whenever hearing begins, and what was told before is gone."""


class PostgresFeed:
    """The feed over LISTEN and NOTIFY; and over a `broadcast` before NOTIFY, where there is one."""

    def __init__(
        self, database: Database, pool: asyncpg.Pool, maps: Maps, broadcast: Broadcast | None = None
    ) -> None:
        self._database = database
        self._pool = pool
        self._maps = maps
        self._broadcast = broadcast
        self._others: dict[str, float] = {}  # processes that were heard of, and when
        self._alone_from = _NEVER  # when nobody else is thought to listen, on the loop's clock
        self._silence_seconds = GREETED_SECONDS  # from when we hear to when we are alone
        self._stirred = asyncio.Event()  # the listener: somebody is to hear of us, or the connection is lost
        # With what stands before it, nine bytes: twelve letters of base 64, by which our own messages are known unread.
        self._sender = secrets.token_hex(4)[:7]
        self._here = _pack(Message(self._sender, ()))
        self._own = encode(self._sender, [Change(0, 0, 0, (), "")])[0][:12]
        self._own_bytes = self._own.encode()
        self._queue: deque[Change] = deque(maxlen=QUEUE_CHANGES_MAX)
        self._unsent: list[Change] = []  # out of the queue, and not told yet
        self._wanted = asyncio.Event()
        self._sending = asyncio.Lock()  # `stop` must not cut off what the sender has taken and not sent yet
        self._tasks: list[asyncio.Task[None]] = []

    def publish(self, changes: Sequence[Change]) -> None:
        """Our own maps first; the others are told in the background."""
        for change in changes:
            self._apply(change)
        if asyncio.get_running_loop().time() < self._alone_from:
            self._queue.extend(changes)
            self._wanted.set()

    async def start(self) -> None:
        """Begin to send and to listen."""
        self._tasks = [
            asyncio.create_task(self._send(), name="feed sender"),
            asyncio.create_task(self._listen(), name="feed listener"),
        ]
        if self._broadcast is not None:
            listening = self._broadcast.listen(self._take, self._catch_up)
            self._tasks.append(asyncio.create_task(listening, name="feed broadcast listener"))

    async def stop(self) -> None:
        """Send what is queued, as far as that is quick, and end."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._flush()
        await end_all(self._tasks)

    async def _send(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._flush()
                await asyncio.sleep(TOGETHER_SECONDS)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                log.warning("feed_not_sent", error=repr(error))  # their check finds it sooner
                if diagnose(error) is Trouble.OURS:
                    self._unsent = []  # it would fail again, and hold up what comes after it
                await asyncio.sleep(RESEND_SECONDS)
                self._wanted.set()  # for what is still queued

    async def _flush(self) -> None:
        async with self._sending:
            while self._unsent or self._queue:
                while self._queue and len(self._unsent) < SEND_AT_ONCE_MAX:
                    self._unsent.append(self._queue.popleft())
                payloads = encode(self._sender, self._unsent)
                if self._broadcast is None or not await self._told(self._broadcast, payloads):
                    await self._pool.execute(SQL.notify, CHANNEL, payloads)
                telemetry.FEED_CHANGES.labels("sent").inc(len(self._unsent))
                self._unsent = []

    @staticmethod
    async def _told(broadcast: Broadcast, payloads: Sequence[str]) -> bool:
        told = await broadcast.send(payloads)
        if not told:
            telemetry.REDIS_FALLBACKS.labels("feed").inc()
        return told

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            checking: list[asyncio.Task[None]] = []
            try:
                connection = await connect_listener(self._database)
                try:
                    connection.add_termination_listener(lambda *_: self._stirred.set())
                    await connection.add_listener(CHANNEL, self._hear)
                    await self._say_here(connection)
                    # Beside what follows: it may wait for the pool, and others are to hear of us meanwhile.
                    checking.append(asyncio.create_task(self._catch_up(), name="feed check"))
                    pause = 0.1
                    await self._attend(connection)
                finally:
                    self._alone_from = _NEVER  # who hears nothing can't know
                    # Who has heard of us lately does not greet us again.
                    self._silence_seconds = HEARD_SECONDS
                    self._others.clear()
                    connection.terminate()
                    await end_all(checking)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                log.warning("feed_not_heard", error=repr(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, RECONNECT_SECONDS_MAX)

    async def _say_here(self, connection: asyncpg.Connection) -> None:
        """Let others know that we listen."""
        await connection.execute(SQL.notify, CHANNEL, [self._here], timeout=ANSWER_SECONDS)

    async def _attend(self, connection: asyncpg.Connection) -> None:
        """Wait until the connection is lost, and say now and then that we are here. Raises where it does not answer."""
        while not connection.is_closed():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PING_SECONDS):
                    await self._stirred.wait()
            self._stirred.clear()  # before it is said: whoever comes meanwhile may not hear it
            if not connection.is_closed():
                await self._say_here(connection)

    async def _catch_up(self) -> None:
        """Find what was told while nobody listened. Where that fails there is a next check, and listening goes on."""
        try:
            await self._maps.check()
        except (Exception, asyncio.CancelledError) as error:
            if is_cancelled(error):
                raise
            log.warning("maps_not_checked", error=repr(error))

    def _apply(self, change: Change) -> None:
        """Let our map have a change. What is published is committed, and must not fail for a listener's fault."""
        try:
            self._maps.apply(change)
        except Exception:
            log.exception("change_not_applied", show_id=change.show_id, version=change.version)

    def _hear(self, connection: Any, _pid: int, _channel: str, payload: str) -> None:
        if payload != self._here:
            self._take(payload)
        elif not connection.is_closed():  # what was still on its way when it was lost tells nothing
            self._hear_ourselves()

    def _take(self, payload: str | bytes) -> None:
        if payload[:12] in (self._own, self._own_bytes):
            return
        message = decode(payload)
        if message is None or message.sender == self._sender:
            return
        self._meet(message.sender)
        telemetry.FEED_CHANGES.labels("heard").inc(len(message.changes) + len(message.large))
        for change in message.changes:
            self._apply(change)
        for show_id, version in message.large:
            self._maps.expect(show_id, version)

    def _hear_ourselves(self) -> None:
        """We do hear, so we would hear of others. (Behind a pooler a listener may be deaf, and never know.) With a broadcast we
        may reach some who can't be heard here.
        """
        if self._alone_from == _NEVER and self._broadcast is None:
            self._alone_from = asyncio.get_running_loop().time() + self._silence_seconds

    def _meet(self, sender: str) -> None:
        """Somebody else is there: tell them what changes, and that we are there, where they may not know."""
        now = asyncio.get_running_loop().time()
        if now - self._others.get(sender, -HEARD_SECONDS) >= HEARD_SECONDS:
            self._stirred.set()
            self._others = {name: at for name, at in self._others.items() if now - at < HEARD_SECONDS}
        self._others[sender] = now
        if self._alone_from != _NEVER:
            self._alone_from = now + HEARD_SECONDS
