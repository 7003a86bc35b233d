"""Real bugs in real servers: the checker sees each, by the rule that it breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rowlock.stampede import api
from tests.faults import rounds
from tests.faults.conftest import found_in
from tests.faults.planted import BUGS
from tests.faults.rounds import Round, run
from tests.faults.world import Setting, opened

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SEES = {
    "acknowledges_before_commit": "what was acknowledged is there",
    "sells_held_seats": "no seat was owned twice at one time",
    "goes_by_its_own_clock": "bookings are made and given back at one instant",
    "forgets_events": "the database is in order",
    "forgets_keys": "one wish, one booking, one answer",
    "never_sweeps": "no seat is lost",
    "refuses_what_is_free": "nobody was refused what was free",
}
EXPLAINED = "some order of the commands explains every answer"
NO_ORDER = {"acknowledges_before_commit", "sells_held_seats", "goes_by_its_own_clock", "refuses_what_is_free"}


@pytest.mark.parametrize("bug", BUGS)
async def test_the_checker_sees_it(bug: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of this kind could be written tomorrow, and the torture would pass."""
    monkeypatch.setattr(api, "SETTLE_SECONDS_MAX", 3.0)
    monkeypatch.setattr(rounds, "QUIET_SECONDS_MAX", 3.0)
    clocks = ("+5m", "-5m") if bug == "goes_by_its_own_clock" else ()
    async with opened(Setting.PLAIN, place, clocks=clocks, bug=bug) as world:
        evidence = await run(world, Round(seed=11, strikes=(), customers=16, calm_seconds=3.0))
    found = found_in(evidence)
    assert SEES[bug] in found, found
    assert bug not in NO_ORDER or EXPLAINED in found, found
