"""Counts that processes share, for rate limits: one round trip for all that has gathered, in one script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis

from rowlock.brokers.redis import ANSWER_SECONDS_MAX, Away, Link

# Each count lives for one window, which begins with the first that is counted. Whatever else may lie under its key is
# thrown away. It is sent each time: it is short, and whoever empties Redis empties it of scripts, too.
_ADD: Final = """
local answers = {}
for n, key in ipairs(KEYS) do
    local count = redis.pcall('INCRBY', key, ARGV[n + 1])
    if type(count) ~= 'number' then
        redis.call('DEL', key)
        count = redis.call('INCRBY', key, ARGV[n + 1])
    end
    local left = redis.call('PTTL', key)
    if left < 0 or left > tonumber(ARGV[1]) then
        redis.call('PEXPIRE', key, ARGV[1])
        left = tonumber(ARGV[1])
    end
    answers[2 * n - 1] = count
    answers[2 * n] = left
end
return answers
"""


class RedisCounts:
    """The counts of one database's callers."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def up(self) -> bool:
        """Whether asking is worth while at this moment."""
        return self._link.up

    async def add(
        self, hits: Mapping[bytes, int], window_seconds: float
    ) -> Mapping[bytes, tuple[int, float]] | None:
        """What each count is after adding these, and the seconds until it ends; None where Redis is away.

        It may take a second to be known that Redis is away. Who can't wait that long doesn't.
        """
        keys = [b"%brate:%b" % (self._link.prefix.encode(), key.hex().encode()) for key in hits]

        async def add(redis: Redis) -> list[int]:
            answer = redis.eval(_ADD, len(keys), *keys, int(window_seconds * 1000), *hits.values())
            return cast("list[int]", await cast("Any", answer))

        try:
            answers = await self._link.ask(add, seconds_max=ANSWER_SECONDS_MAX)
        except Away:
            return None
        pairs = zip(answers[::2], answers[1::2], strict=True)
        return {key: (count, left / 1000) for key, (count, left) in zip(hits, pairs, strict=True)}
