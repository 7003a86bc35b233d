"""Every test of the engine runs three times: with straight bookings, with batches alone, and with a lane a show, as on tables
that are spread."""

from __future__ import annotations

import pytest

from tests.conftest import CITUS_URL
from tests.support import batches_alone, spread_by_default


@pytest.fixture(params=["sharded"] if CITUS_URL else ["straight", "together", "sharded"], autouse=True)
def sharded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the tables count as spread by show."""
    spread = bool(request.param == "sharded")
    if spread:
        spread_by_default(monkeypatch)
    if request.param == "together":
        batches_alone(monkeypatch)
    return spread
