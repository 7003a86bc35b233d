"""How much a lane lets wait."""

from __future__ import annotations

from rowlock.engine.pace import INTERVAL_SECONDS, WAITING_BUSY, Pace

BATCH = 200


def _run(
    pace: Pace, now: float, seconds: float, *, left: int, batch: float = 0.02, busy: float = 0.99
) -> float:
    """So many seconds of batches, each of which leaves so many waiting. Returns when it is then."""
    until = now + seconds
    while now < until:
        pace.begin(now, left)
        now += batch
        pace.end(batch, batch * busy)
    return now


def test_a_burst_waits() -> None:
    """Everybody who is there when the sale begins would be sent away."""
    pace = Pace(BATCH)
    now = _run(pace, 0, INTERVAL_SECONDS * 0.9, left=4_000)
    assert not pace.is_full(4_000, now)
    now = _run(pace, now, 0.02, left=BATCH)
    now = _run(pace, now, INTERVAL_SECONDS * 0.9, left=4_000)
    assert not pace.is_full(4_000, now), "the first burst was over"


def test_a_load_that_lasts_is_kept_short() -> None:
    """All would wait five times as long as need be."""
    pace = Pace(BATCH)
    now = _run(pace, 0, INTERVAL_SECONDS * 1.1, left=500)
    assert pace.is_full(WAITING_BUSY, now)
    assert not pace.is_full(WAITING_BUSY - 1, now)


def test_a_slow_database_is_no_crowd() -> None:
    """Whoever sells over a far synchronous standby would refuse what it could serve."""
    pace = Pace(BATCH)
    now = _run(pace, 0, 10, left=BATCH, batch=0.2, busy=0.1)
    assert not pace.is_full(BATCH, now)
    now = _run(pace, now, INTERVAL_SECONDS * 1.4, left=BATCH + 1, batch=0.2, busy=0.1)
    for batch, busy in ((0.2, 0.1), (0.03, 0.6), (0.2, 0.99)):  # the last one's refusals take all its time
        for _ in range(4):
            pace.refuse(now)
            now = _run(pace, now, INTERVAL_SECONDS * 0.9, left=BATCH + 1, batch=batch, busy=busy)
        assert pace.is_full(BATCH, now)
        assert not pace.is_full(BATCH - 1, now), "enough for each next batch to be as large as can be"


def test_it_lasts_while_somebody_is_refused() -> None:
    """It would be forgotten whenever a lane has nothing to do for a moment, and all would wait again for a second."""
    pace = Pace(BATCH)
    now = _run(pace, 0, INTERVAL_SECONDS * 1.1, left=500)
    for _ in range(10):
        assert pace.is_full(BATCH, now)
        pace.refuse(now)
        now = _run(pace, now, INTERVAL_SECONDS * 0.9, left=0)


def test_it_ends_when_nobody_is_refused_any_more() -> None:
    """A thousand who come at once, an hour later, would be refused before the first batch of theirs begins."""
    pace = Pace(BATCH)
    now = _run(pace, 0, INTERVAL_SECONDS * 1.1, left=500)
    pace.refuse(now)
    assert pace.is_full(BATCH, now)
    assert not pace.is_full(BATCH, now + 3600)
    now = _run(pace, now + 3600, INTERVAL_SECONDS * 0.9, left=500)
    assert not pace.is_full(500, now)
