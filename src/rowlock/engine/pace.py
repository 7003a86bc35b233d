"""Pace: how much of a load that lasts a lane lets wait.

A burst waits: it is worked off in a moment, and everybody gets an answer. A load that lasts is another matter. Whoever waits
behind a queue that never empties waits for nothing: the rate is the same with a short one. So where every batch has left more
than a whole one waiting for a second, the queue is kept short and the rest are refused at once, until a second has passed
without a refusal. The second is the interval of controlled delay (K. Nichols, V. Jacobson: Controlling Queue Delay, ACM Queue
10 (5), 2012), for callers in place of packets: a person's patience and not a network's round trip.

How short depends on what all wait for. Where it is the database, far away, say, or waiting for its standby, a batch takes as
long whatever its size: a whole one must wait, or the next would be smaller for nothing. Where it is this process, whose time goes by commands
and not by batches, `WAITING_BUSY` are enough to keep both at work.
"""

from __future__ import annotations

INTERVAL_SECONDS = 1.0
WAITING_BUSY = 64
# This process is what all wait for, where it is at work for so much of the time, and batches take no longer.
BUSY_SHARE = 0.8
BATCH_SECONDS_BUSY = 0.05
_SHARE_OF_NEW = 0.1  # of the newest batch in what is known of them


class Pace:
    """What a lane knows of its load, whose batches take `batch_max` commands; times are of the event loop's clock, in seconds."""

    __slots__ = ("_batch_max", "_bounded", "_busy_share", "_long_since", "_refused_at", "_seconds")

    def __init__(self, batch_max: int) -> None:
        self._batch_max = batch_max
        self._seconds = 0.0  # that a batch takes
        self._busy_share = 0.0  # of that, at work
        self._bounded = False
        self._long_since: float | None = None
        self._refused_at = 0.0  # or, if later, when the bound was set

    def begin(self, now: float, left: int) -> None:
        """A batch begins, and has left so many commands waiting."""
        if left <= self._batch_max:
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now
        elif not self._bounded and now - self._long_since > INTERVAL_SECONDS:
            self._bounded = True
            self._refused_at = now

    def end(self, seconds: float, busy_seconds: float) -> None:
        """A batch took so long, in which this process was at work for so long, on whatever it was."""
        self._seconds += _SHARE_OF_NEW * (seconds - self._seconds)
        share = busy_seconds / max(seconds, 1e-4)
        self._busy_share += _SHARE_OF_NEW * (share - self._busy_share)

    @property
    def waiting_max(self) -> int:
        """How many are let wait while the load lasts."""
        if self._busy_share > BUSY_SHARE and self._seconds < BATCH_SECONDS_BUSY:
            return min(WAITING_BUSY, self._batch_max)
        return self._batch_max

    def is_full(self, waiting: int, now: float) -> bool:
        """Whether no more are let wait than the `waiting` who do."""
        if not self._bounded or waiting < self.waiting_max:
            return False
        # Looked at here and not by a batch: the first of the next burst, an hour later, come before one begins.
        if now - self._refused_at > INTERVAL_SECONDS:
            self._bounded = False
            self._long_since = None
        return self._bounded

    def refuse(self, now: float) -> None:
        """Somebody was refused."""
        self._refused_at = now
