"""How much a lane lets wait."""

from __future__ import annotations

import pytest

from rowlock.engine.pace import INTERVAL_SECONDS, TARGET_SECONDS, WAITING_MIN, Pace


def _run(pace: Pace, now: float, seconds: float, *, wait: float, batch: float, commands: int) -> float:
    """So many seconds of batches, whose oldest command has waited so long. Returns when it is then."""
    until = now + seconds
    while now < until:
        pace.begin(now, now - wait)
        now += batch
        pace.end(commands, batch)
    return now


def test_a_burst_waits() -> None:
    """Everybody who is there when the sale begins would be sent away."""
    pace = Pace()
    _run(pace, 0, INTERVAL_SECONDS * 0.9, wait=5, batch=0.01, commands=100)
    assert pace.waiting_max is None


def test_a_load_that_lasts_is_kept_short() -> None:
    """All would wait five times as long as need be."""
    pace = Pace()
    _run(pace, 0, 3, wait=0.3, batch=0.01, commands=100)
    assert pace.waiting_max == pytest.approx(10_000 * TARGET_SECONDS, rel=0.01)


def test_a_slow_database_is_no_crowd() -> None:
    """Whoever sells over a far synchronous standby would refuse what it could serve."""
    pace = Pace()
    _run(pace, 0, 10, wait=0.35, batch=0.2, commands=150)
    assert pace.waiting_max is None
    now = _run(pace, 10, 10, wait=0.5, batch=0.2, commands=200)
    assert pace.waiting_max == pytest.approx(1_000 * 0.4, rel=0.05)
    pace.refuse(now)
    _run(pace, now, 0.5, wait=0.5, batch=0.2, commands=10)
    assert pace.waiting_max is not None
    assert pace.waiting_max >= WAITING_MIN


def test_it_ends_when_nobody_is_refused_any_more() -> None:
    """The next burst would be refused for the last one."""
    pace = Pace()
    now = _run(pace, 0, 3, wait=0.3, batch=0.01, commands=100)
    pace.refuse(now)
    later = _run(pace, now, INTERVAL_SECONDS * 0.8, wait=0.001, batch=0.01, commands=5)
    assert pace.waiting_max is not None
    _run(pace, later, INTERVAL_SECONDS, wait=0.001, batch=0.01, commands=5)
    assert pace.waiting_max is None
