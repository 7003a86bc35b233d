"""Pages of shows, encoded: a key each, for as long as such a page is current."""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis

from rowlock import telemetry
from rowlock.brokers.redis import Away, Link

PAGE_BYTES_MAX: Final = 250_000  # 200 shows, with long names; what is larger is not shared
GET_SECONDS_MAX: Final = 0.05  # PostgreSQL would have answered by then
PUT_SECONDS_MAX: Final = 0.25


class RedisPages:
    """Keeps the pages of one database."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get(self, name: str) -> tuple[bytes, float] | None:
        """A page, and for how many seconds more it is current; None where there is none."""
        key = self._key(name)

        async def get(redis: Redis) -> list[Any]:
            async with redis.pipeline(transaction=False) as pipeline:
                pipeline.getrange(key, 0, PAGE_BYTES_MAX)
                pipeline.pttl(key)
                return await pipeline.execute()

        try:
            raw, left = await self._link.ask(get, seconds_max=GET_SECONDS_MAX)
        except Away:
            telemetry.REDIS_FALLBACKS.labels("pages").inc()
            return None
        page = self._link.opened(key, raw or None)
        return (page, left / 1000) if page is not None and left > 0 else None

    async def put(self, name: str, page: bytes, seconds: float) -> None:
        """Keep a page for so long."""
        key = self._key(name)
        sealed = self._link.sealed(key, page)
        if len(sealed) > PAGE_BYTES_MAX or seconds < 0.001:
            return

        async def put(redis: Redis) -> None:
            await redis.set(key, sealed, px=int(seconds * 1000))

        try:
            await self._link.ask(put, seconds_max=PUT_SECONDS_MAX)
        except Away:
            telemetry.REDIS_FALLBACKS.labels("pages").inc()

    def _key(self, name: str) -> str:
        return f"{self._link.prefix}page:{name}"
