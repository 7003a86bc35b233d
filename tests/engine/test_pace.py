"""How much a lane lets wait."""

from __future__ import annotations

from rowlock.engine.pace import INTERVAL_SECONDS, Pace

BATCH = 200


def _run(pace: Pace, now: float, seconds: float, *, left: int, batch: float = 0.01) -> float:
    """So many seconds of batches, each of which leaves so many waiting. Returns when it is then."""
    until = now + seconds
    while now < until:
        pace.begin(now, left)
        now += batch
    return now


def test_a_burst_waits() -> None:
    """Everybody who is there when the sale begins would be sent away."""
    pace = Pace(BATCH)
    now = _run(pace, 0, INTERVAL_SECONDS * 0.9, left=4_000)
    assert pace.waiting_max is None
    now = _run(pace, now, 0.02, left=BATCH)
    _run(pace, now, INTERVAL_SECONDS * 0.9, left=4_000)
    assert pace.waiting_max is None, "the first burst was over"


def test_a_load_that_lasts_is_kept_short() -> None:
    """All would wait five times as long as need be."""
    pace = Pace(BATCH)
    _run(pace, 0, 3, left=500)
    assert pace.waiting_max == BATCH


def test_a_slow_database_is_no_crowd() -> None:
    """Whoever sells over a far synchronous standby would refuse what it could serve."""
    pace = Pace(BATCH)
    now = _run(pace, 0, 10, left=BATCH, batch=0.5)
    assert pace.waiting_max is None
    _run(pace, now, 10, left=BATCH + 1, batch=0.5)
    assert pace.waiting_max == BATCH, "enough for each next batch to be as large as can be"


def test_it_ends_when_nobody_is_refused_any_more() -> None:
    """The next burst would be refused for the last one."""
    pace = Pace(BATCH)
    now = _run(pace, 0, 3, left=500)
    pace.refuse(now)
    later = _run(pace, now, INTERVAL_SECONDS * 0.8, left=0)
    assert pace.waiting_max == BATCH
    _run(pace, later, INTERVAL_SECONDS, left=0)
    assert pace.waiting_max is None


def test_it_ends_when_nobody_waits() -> None:
    """A thousand who come at once, an hour later, would be refused before the first batch of theirs begins."""
    pace = Pace(BATCH)
    now = _run(pace, 0, 3, left=500)
    pace.refuse(now)
    pace.rest()
    assert pace.waiting_max is None
    _run(pace, now, 0.5, left=500)
    assert pace.waiting_max is None
