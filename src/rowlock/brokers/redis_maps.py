"""Where shared seat maps lie in Redis: a key each, gone by itself when nobody has put it there for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from redis.asyncio import Redis

from rowlock import telemetry
from rowlock.brokers.redis import Away, Link

KEEP_MS: Final = 600_000  # a show that nobody has loaded or changed for longer is soon read from PostgreSQL
CLAIM_MS: Final = (
    300  # a reading takes 50 ms at most; one who dies at it holds the others up no longer than this
)
ENTRY_BYTES_MAX: Final = 110_000  # the largest show there may be, with its numbers and its seal
GET_SECONDS_MAX: Final = 0.05  # PostgreSQL would have answered by then
PUT_SECONDS_MAX: Final = 0.25


class RedisMaps:
    """Keeps the maps of one database."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, show_id: int) -> bytes | None:
        """What was put there last, if it is still there."""
        key = self._key(show_id)

        async def get(redis: Redis) -> bytes | None:
            # However much somebody may have put there; what is cut off by this bears no seal.
            return cast("bytes", await redis.getrange(key, 0, ENTRY_BYTES_MAX - 1)) or None

        try:
            return self._link.opened(key, await self._link.ask(get, seconds_max=GET_SECONDS_MAX))
        except Away:
            telemetry.REDIS_FALLBACKS.labels("maps").inc()
            return None

    async def put(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Keep maps. Whoever read them need not be waited for any more."""

        async def put(redis: Redis) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                for show_id, entry in entries:
                    key = self._key(show_id)
                    pipeline.set(key, self._link.sealed(key, entry), px=KEEP_MS)
                pipeline.delete(*(self._claim_key(show_id) for show_id, _ in entries))
                await pipeline.execute()

        try:
            await self._link.ask(put, seconds_max=PUT_SECONDS_MAX)
        except Away:
            telemetry.REDIS_FALLBACKS.labels("maps").inc()

    async def claim(self, show_id: int) -> bool:
        """Whether it is on us to read this map."""
        key = self._claim_key(show_id)

        async def claim(redis: Redis) -> bool:
            return bool(await redis.set(key, b"", px=CLAIM_MS, nx=True))

        try:
            return await self._link.ask(claim, seconds_max=GET_SECONDS_MAX)
        except Away:
            return True

    def _key(self, show_id: int) -> str:
        return f"{self._link.prefix}map:{show_id}"

    def _claim_key(self, show_id: int) -> str:
        return f"{self._link.prefix}map-claim:{show_id}"
