"""How much a lane lets wait."""

from __future__ import annotations

from rowlock.engine.pace import INTERVAL_SECONDS, REST_SECONDS, WAITING_BUSY, Pace

BATCH = 200


def _run(
    pace: Pace,
    now: float,
    seconds: float,
    *,
    left: int = 500,
    batch: float = 0.02,
    busy: float = 0.99,
    served: int = BATCH,
    refused: int = 0,
) -> float:
    """So many seconds of batches, each of which leaves so many waiting, while so many are refused. Returns when it is then."""
    until = now + seconds
    while now < until:
        pace.begin(now, left)
        for _ in range(refused):
            pace.refuse()
        now += batch
        pace.end(now, served, batch, batch * busy)
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
    now = _run(pace, 0, INTERVAL_SECONDS * 1.1)
    for _ in range(5):
        assert pace.is_full(WAITING_BUSY, now)
        assert not pace.is_full(WAITING_BUSY - 1, now)
        now = _run(pace, now, INTERVAL_SECONDS, left=0, refused=100)


def test_a_slow_database_is_no_crowd() -> None:
    """Whoever sells over a far synchronous standby would refuse what it could serve."""
    pace = Pace(BATCH)
    now = _run(pace, 0, 10, left=BATCH, batch=0.2, busy=0.1)
    assert not pace.is_full(BATCH, now)
    now = _run(pace, now, INTERVAL_SECONDS * 1.4, left=BATCH + 1, batch=0.2, busy=0.1)
    for batch, busy in ((0.2, 0.1), (0.03, 0.6), (0.2, 0.99)):  # the last one's refusals take all its time
        now = _run(pace, now, 4, left=BATCH + 1, batch=batch, busy=busy, refused=50)
        assert pace.is_full(BATCH, now)
        assert not pace.is_full(BATCH - 1, now), "enough for each next batch to be as large as can be"


def _crowd(pace: Pace) -> float:
    now = _run(pace, 0, INTERVAL_SECONDS * 1.1)
    assert pace.is_full(BATCH, now)
    return _run(pace, now, INTERVAL_SECONDS, left=0, refused=100)


def test_it_lasts_while_many_are_refused() -> None:
    """It would be forgotten whenever a lane has nothing to do for a moment, and all would wait again for a second."""
    pace = Pace(BATCH)
    now = _crowd(pace)
    for _ in range(20):
        now += REST_SECONDS / 2  # all who were served are on their way back
        assert pace.is_full(BATCH, now)
        now = _run(pace, now, INTERVAL_SECONDS / 4, left=0, refused=100)


def test_it_ends_when_few_are_refused_any_more() -> None:
    """A hiccup a second would have some sent away, all evening long, after one rush at eight."""
    pace = Pace(BATCH)
    now = _crowd(pace)
    now = _run(pace, now, INTERVAL_SECONDS * 2.2, left=0, refused=5)
    assert not pace.is_full(BATCH, now)


def test_it_ends_when_nobody_comes_for_a_moment() -> None:
    """A few hundred who come together would be refused, before the first batch of theirs begins, for who came an hour ago."""
    pace = Pace(BATCH)
    now = _crowd(pace) + REST_SECONDS * 1.1
    assert not pace.is_full(BATCH, now)
    pace = Pace(BATCH)
    now = _crowd(pace) + REST_SECONDS * 1.1
    pace.begin(now, left=500)
    assert not pace.is_full(BATCH, now), "nor once it began"


def test_a_batch_that_takes_long_is_no_rest() -> None:
    """A slow database's crowd would be let in whenever one looks."""
    pace = Pace(BATCH)
    now = _crowd(pace)
    pace.begin(now, left=BATCH)
    assert pace.is_full(BATCH, now + REST_SECONDS * 3)


def test_one_of_two_batches_in_flight_is_no_rest() -> None:
    """A crowd would be let in at once because one statement of two was quick, while all wait for the other."""
    pace = Pace(BATCH)
    now = _crowd(pace)
    pace.begin(now, 500)
    pace.begin(now, 500)
    pace.end(now, BATCH, 0.02, 0.02)
    assert pace.is_full(BATCH, now + REST_SECONDS * 3)
    pace.end(now, BATCH, 0.02, 0.02)
    assert not pace.is_full(BATCH, now + REST_SECONDS * 3)
