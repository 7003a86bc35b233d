"""Pace: how much of a load that lasts a lane lets wait.

A burst waits: it is worked off in a moment, and everybody gets an answer. A load that lasts is another matter. Whoever waits
behind a queue that never empties waits for nothing: the rate is the same with a short one. So where the oldest command has waited
for too long in every batch for a second, the queue is kept as short as the lane works off in that time, by its
own pace, and the others are refused at once; until a second has passed without a refusal. Too long is `TARGET_SECONDS`, or
twice what a batch takes, where a database is slow: whoever comes in the middle of a batch waits for one anyway. The two bounds are those of
controlled delay (K. Nichols, V. Jacobson: Controlling Queue Delay, ACM Queue 10 (5), 2012), for callers in place of
packets, with an interval of a second: a person's patience and not a network's round trip.
"""

from __future__ import annotations

# A few times as long as a command waits where throughput is best, and less than a person minds.
TARGET_SECONDS = 0.1
INTERVAL_SECONDS = 1.0
# Below it nothing is refused: a whole batch.
WAITING_MIN = 200
_SHARE_OF_NEW = 0.2  # of the newest batch in what is known of the pace


class Pace:
    """What a lane knows of its own pace; times are of the event loop's clock, in seconds."""

    __slots__ = ("_batch_seconds", "_late_since", "_per_second", "_refused_at", "waiting_max")

    def __init__(self) -> None:
        self._per_second = 0.0
        self._batch_seconds = 0.0
        self._late_since: float | None = None
        self._refused_at = float("-inf")
        self.waiting_max: int | None = None  # None: no bound but the lane's own

    def begin(self, now: float, oldest: float) -> None:
        """A batch begins, the oldest of whose commands has been there since `oldest`."""
        target = max(TARGET_SECONDS, 2 * self._batch_seconds)
        if now - oldest > target:
            if self._late_since is None:
                self._late_since = now
        else:
            self._late_since = None
        lasts = self._late_since is not None and now - self._late_since > INTERVAL_SECONDS
        if lasts or now - self._refused_at < INTERVAL_SECONDS:
            self.waiting_max = max(WAITING_MIN, int(self._per_second * target))
        else:
            self.waiting_max = None

    def end(self, commands: int, seconds: float) -> None:
        """A batch of so many commands took so long."""
        rate = commands / max(seconds, 1e-4)
        self._per_second += _SHARE_OF_NEW * (rate - self._per_second)
        self._batch_seconds += _SHARE_OF_NEW * (seconds - self._batch_seconds)

    def refuse(self, now: float) -> None:
        """Somebody was refused."""
        self._refused_at = now
