"""Pace: how much of a load that lasts a lane lets wait.

A burst waits: it is worked off in a moment, and everybody gets an answer. A load that lasts is another matter. Whoever waits
behind a queue that never empties waits for nothing: the rate is the same with a short one. So where every batch has left more
than a whole one waiting for a second, the queue is kept short and the rest are refused at once; until of those who came in a
second less than a tenth was refused, or nobody came for a fifth of one. The second is the interval of controlled delay
(K. Nichols, V. Jacobson: Controlling Queue Delay, ACM Queue 10 (5), 2012), for callers in place of packets: a person's
patience and not a network's round trip.

How short depends on what all wait for. Where it is the database, far away, say, or waiting for its standby, a batch takes as
long whatever its size: a whole one must wait, or the next would be smaller for nothing. Where it is this process, whose time goes by commands
and not by batches, `WAITING_BUSY` are enough to keep both at work.
"""

from __future__ import annotations

INTERVAL_SECONDS = 1.0
REFUSED_SHARE = 0.1
REST_SECONDS = 0.2  # a crowd leaves none: it is back after some ten milliseconds
WAITING_BUSY = 64
# This process is what all wait for, where it is at work for so much of the time, and batches take no longer.
BUSY_SHARE = 0.8
BATCH_SECONDS_BUSY = 0.05
_SHARE_OF_NEW = 0.1  # of the newest batch in what is known of them


class Pace:
    """What a lane knows of its load, whose batches take `batch_max` commands; times are of the event loop's clock, in seconds."""

    __slots__ = (
        "_at_work",
        "_batch_max",
        "_busy_share",
        "_ended_at",
        "_long_since",
        "_looked_at",
        "_refused",
        "_seconds",
        "_served",
        "bounded",
    )

    def __init__(self, batch_max: int) -> None:
        self._batch_max = batch_max
        self._seconds = 0.0  # that a batch takes
        self._busy_share = 0.0  # of that, at work
        self._at_work = 0  # how many batches are
        self._ended_at = 0.0  # the last batch
        self.bounded = False  # whether the load lasts, so that not all are let wait
        self._long_since: float | None = None
        self._looked_at = 0.0  # whether the load lasts; since then so many were served, and refused
        self._served = self._refused = 0

    def begin(self, now: float, left: int) -> None:
        """A batch begins, and has left so many commands waiting."""
        if self.bounded:
            self._look(now)
        self._at_work += 1
        if left <= self._batch_max:
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now
        elif not self.bounded and now - self._long_since > INTERVAL_SECONDS:
            self.bounded = True
            self._count_from(now)

    def end(self, now: float, commands: int, seconds: float, busy_seconds: float) -> None:
        """A batch of so many took so long, in which this process was at work for so long, on whatever it was."""
        self._at_work -= 1
        self._ended_at = now
        self._served += commands
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
        if not self.bounded or waiting < self.waiting_max:
            return False
        # Not only as a batch begins: the first of the next burst, an hour later, come before one does.
        self._look(now)
        return self.bounded

    def refuse(self) -> None:
        """Somebody was refused."""
        self._refused += 1

    def _look(self, now: float) -> None:
        """Let go of the bound where there is no crowd any more."""
        if not self._at_work and now - self._ended_at > REST_SECONDS:
            self.bounded = False
        elif now - self._looked_at > INTERVAL_SECONDS:
            self.bounded = self._refused > REFUSED_SHARE * (self._refused + self._served)
            self._count_from(now)

    def _count_from(self, now: float) -> None:
        self._looked_at = now
        self._served = self._refused = 0
        self._long_since = None
