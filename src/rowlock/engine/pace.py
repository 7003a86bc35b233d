"""Pace: how much of a load that lasts a lane lets wait.

A burst waits: it is worked off in a moment, and everybody gets an answer. A load that lasts is another matter. Whoever waits
behind a queue that never empties waits for nothing: the rate is the same with a short one. One whole batch is what must
wait, so that the next is as large as can be; whoever comes then is served by the batch after the one in flight. So where more than that
has been left waiting by every batch for a second, the rest are refused at once, until a second has passed without a refusal, or nobody waits.

No target in time is needed, and none would do: a batch takes 20 ms here, and half a second over a far synchronous standby.
The second is the interval of controlled delay (K. Nichols, V. Jacobson: Controlling Queue Delay, ACM Queue 10 (5), 2012), for
callers in place of packets: a person's patience and not a network's round trip.
"""

from __future__ import annotations

INTERVAL_SECONDS = 1.0


class Pace:
    """What a lane knows of its load, whose batches take `batch_max` commands; times are of the event loop's clock, in seconds."""

    __slots__ = ("_batch_max", "_long_since", "_refused_at", "waiting_max")

    def __init__(self, batch_max: int) -> None:
        self._batch_max = batch_max
        self._long_since: float | None = None
        self._refused_at = float("-inf")
        self.waiting_max: int | None = None  # None: no bound but the lane's own

    def begin(self, now: float, left: int) -> None:
        """A batch begins, and has left so many commands waiting."""
        if left <= self._batch_max:
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now
        lasts = self._long_since is not None and now - self._long_since > INTERVAL_SECONDS
        lasts = lasts or now - self._refused_at < INTERVAL_SECONDS
        self.waiting_max = self._batch_max if lasts else None

    def rest(self) -> None:
        """Nothing waits: whatever there was is over, and the next burst is not to pay for it."""
        self._long_since = self.waiting_max = None
        self._refused_at = float("-inf")

    def refuse(self, now: float) -> None:
        """Somebody was refused."""
        self._refused_at = now
