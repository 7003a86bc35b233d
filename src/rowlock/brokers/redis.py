"""The one way to Redis: whether it is there, and how long anyone may wait for it.

Redis is never needed. Whoever asks it gets an answer in the time that they give it, or `Away`, and goes on without.

 1. One task looks after the server. While Redis is up it asks each second whether it still takes what we write. When
    it does not, or when anyone's question fails, Redis is down: one warning, and from then on every question is refused
    at once, without a try. The same task tries until it is back: one line says so, and its use goes on.
 2. A question has two limits. The one who asks waits as long as they say, some tens of milliseconds. The question
    itself lives on in the background until it is answered, or fails at `ANSWER_SECONDS_MAX`: which is how a server that
    takes connections and never answers is found out.
 3. While any question is overdue, new ones are refused: a server that hangs holds up those who asked at that moment,
    once. Never more than `QUESTIONS_MAX` are under way; more of them stand in line, within the time that they have.
 4. Whatever we shall believe is sealed with a key that lies in the database. Redis may be shared with others, have no
    password, or have been filled by hand: what bears no seal of ours is nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import random
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.maint_notifications import MaintNotificationsConfig

from rowlock import telemetry
from rowlock.postgres.errors import is_cancelled
from rowlock.tasks import end_all, retrieve

log = structlog.get_logger(__name__)
T = TypeVar("T")

ANSWER_SECONDS_MAX: Final = 1.0  # Redis answers within a millisecond; what takes longer than this is broken
QUESTIONS_MAX: Final = 16  # a connection each; one loop asks no faster than a few connections carry
CONNECTIONS_MAX: Final = QUESTIONS_MAX + 4  # and the listener's, the probe's, and those being closed
SEAL_BYTES: Final = 16
PROBE_SECONDS: Final = 1.0  # what nobody asks is noticed to be gone within this and `ANSWER_SECONDS_MAX`
RETRY_SECONDS_MIN: Final = 0.1
RETRY_SECONDS_MAX: Final = 1.0  # so its use goes on within about a second of its return

# Redis is there, and yet of no use: it must not be written to, is full, or does not let us.
_USELESS = (ReadOnlyError, OutOfMemoryError, NoPermissionError, MasterDownError)


class Away(Exception):  # noqa: N818 - a circumstance, not an error: whoever asked goes on without
    """Redis has not answered in time, or is known to be gone."""


class Link:
    """The way of one process to its Redis. Keys and channels begin with `prefix`; `key` is what seals are made with."""

    def __init__(self, url: str, prefix: str, key: bytes) -> None:
        self._key = blake2b(key, person=b"rowlock redis").digest()
        self._server = _public_name(url)
        self._pool = ConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            socket_timeout=ANSWER_SECONDS_MAX,
            socket_connect_timeout=ANSWER_SECONDS_MAX,
            retry=Retry(NoBackoff(), 0),  # trying again is for the watcher
            protocol=2,  # which every version and every relative of Redis speaks
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
        # Channels know nothing of databases; with this, two numbers are two worlds for them, too.
        self.prefix = f"{prefix}{self._pool.connection_kwargs.get('db', 0)}:"
        self._redis: Redis = Redis(connection_pool=self._pool)
        self._up = False
        self._said_away = False
        self._changed = asyncio.Event()  # up or down since it was last looked at
        self._back = asyncio.Event()
        self._looked = asyncio.Event()
        self._questions: set[asyncio.Task[Any]] = set()
        self._overdue = 0
        self._watcher: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether asking is worth while at this moment."""
        return self._up and not self._overdue

    @property
    def connected(self) -> bool:
        """Whether Redis is there, as far as is known."""
        return self._up

    async def until_back(self) -> None:
        """Wait until Redis is there."""
        await self._back.wait()

    async def start(self) -> None:
        """Look whether Redis is there, and go on looking. Does not fail where it isn't."""
        telemetry.REDIS_UP.labels(self._server).set(0)
        self._watcher = asyncio.create_task(self._watch(), name="redis watcher")
        await _within(self._looked.wait(), ANSWER_SECONDS_MAX)

    async def stop(self) -> None:
        """End. What is still being asked is given up."""
        self._up = False
        tasks = [*self._questions, *([self._watcher] if self._watcher is not None else [])]
        await end_all(tasks)
        await self._pool.disconnect()

    async def ask(self, question: Callable[[Redis], Awaitable[T]], *, seconds_max: float) -> T:
        """The answer. Raises `Away` where there is none by then, for whatever reason."""
        now = asyncio.get_running_loop().time
        deadline = now() + seconds_max
        while self.up and len(self._questions) >= QUESTIONS_MAX and now() < deadline:
            timeout = deadline - now()
            await asyncio.wait(self._questions, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not self.up or len(self._questions) >= QUESTIONS_MAX:
            raise Away
        task = asyncio.create_task(self._ask(question), name="redis question")
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)
        done, _ = await asyncio.wait((task,), timeout=max(0.0, deadline - now()))
        if not done:
            self._overdue += 1
            task.add_done_callback(self._late)
            raise Away
        if task.cancelled():  # we are about to end
            raise Away
        return task.result()

    def sealed(self, place: str, data: bytes) -> bytes:
        """`data` with our seal, which is good for this key or channel only."""
        return self._seal(place, data) + data

    def opened(self, place: str, raw: bytes | None) -> bytes | None:
        """What was sealed for that place; None where there is nothing, or none of ours."""
        if raw is None:
            return None
        data = raw[SEAL_BYTES:]
        if hmac.compare_digest(raw[:SEAL_BYTES], self._seal(place, data)):
            return data
        telemetry.REDIS_UNSEALED.inc()
        return None

    def _seal(self, place: str, data: bytes) -> bytes:
        seal = blake2b(f"{place}\n".encode(), key=self._key, digest_size=SEAL_BYTES)
        seal.update(data)
        return seal.digest()

    def subscriber(self) -> PubSub:
        """A connection that only listens."""
        return self._redis.pubsub()

    async def _ask(self, question: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            return await question(self._redis)
        except _USELESS as error:
            self._lose(error)
            raise Away from error
        except ResponseError as error:  # a key that holds something else, say: not the server's fault
            log.debug("redis_refused", error=repr(error))
            raise Away from error
        except (Exception, asyncio.CancelledError) as error:
            # Whatever speaks at that address, it must break nobody who asks.
            if is_cancelled(error):
                raise
            self._lose(error)
            raise Away from error

    def _late(self, task: asyncio.Task[Any]) -> None:
        self._overdue -= 1
        retrieve(task)  # `_lose` has said it

    async def _watch(self) -> None:
        pause = RETRY_SECONDS_MIN
        while True:
            try:
                await self._probe()
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled(error):
                    raise
                self._lose(error)
            else:
                self._find()
            self._looked.set()
            self._changed.clear()
            if self._up:
                steady = await _within(self._changed.wait(), PROBE_SECONDS)
                pause = RETRY_SECONDS_MIN if steady else pause
            else:
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, RETRY_SECONDS_MAX)

    async def _probe(self) -> None:
        """Whether Redis takes what we write: one that only answers, a replica say, is of no use."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.set(f"{self.prefix}probe", b"", px=1000)
            pipeline.publish(f"{self.prefix}probe", b"")
            await pipeline.execute()

    def _find(self) -> None:
        if self._up:
            return
        self._up = True
        self._back.set()
        self._changed.set()
        telemetry.REDIS_UP.labels(self._server).set(1)
        if self._said_away:
            self._said_away = False
            log.info("redis_back", server=self._server)
        else:
            log.debug("redis_found", server=self._server)

    def _lose(self, error: BaseException) -> None:
        self._back.clear()
        self._changed.set()
        telemetry.REDIS_UP.labels(self._server).set(0)
        self._up = False
        if not self._said_away:
            self._said_away = True
            log.warning("redis_away", server=self._server, error=repr(error))


async def _within(waiting: Awaitable[object], seconds: float) -> bool:
    """Whether the time passed without what is waited for."""
    try:
        async with asyncio.timeout(seconds):
            await waiting
    except TimeoutError:
        return True
    return False


def _public_name(url: str) -> str:
    """The server without its password, for logs and metrics."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    host = parts.hostname or ""
    return f"{f'[{host}]' if ':' in host else host}:{parts.port or 6379}"
