"""The torture's short version: every kind of fault once, under load, and the history checked. `make torture` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import rounds
from tests.faults.conftest import found_in, needs_root
from tests.faults.history import Answer
from tests.faults.nemeses import ANYWHERE, ONLY_IN, network, processes
from tests.faults.rounds import Round, run
from tests.faults.torture import schedule
from tests.faults.world import Setting, opened
from tests.rabbit import RabbitServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults last as long as it takes to see that they are there, and no longer."""
    monkeypatch.setattr(processes, "FROZEN_SECONDS", 5.0)
    monkeypatch.setattr(network, "CUT_SECONDS", 4.0)
    monkeypatch.setattr(network, "LOSSY_SECONDS", 4.0)
    monkeypatch.setattr(network, "DELAYED_SECONDS", 3.0)
    monkeypatch.setattr(network, "SILENT_SECONDS", 4.0)
    monkeypatch.setattr(network, "RESETS", 3)
    monkeypatch.setattr(rounds, "CALM_SECONDS", 0.5)


PROCESSES = (
    "server killed",
    "PostgreSQL killed",
    "PostgreSQL crashed",
    "backends ended",
    "server frozen",
)
PROXY = ("network delayed", "answer to COMMIT cut off", "network half-open")
STORES = ("Redis stopped", "Redis frozen", "Redis emptied", "descriptors low", "memory low")
BROKERS = ("RabbitMQ restarted", "RabbitMQ killed", "RabbitMQ emptied")


@pytest.mark.parametrize("strikes", [PROCESSES, PROXY, STORES], ids=["processes", "proxy", "stores"])
async def test_nothing_is_lost_whatever_breaks(strikes: tuple[str, ...], place: Path) -> None:
    """Something that was sold would be gone, or sold twice, the next time that a machine fails in a rush."""
    async with opened(Setting.PLAIN, place) as world:
        evidence = await run(world, Round(seed=1, strikes=strikes))
    assert found_in(evidence) == {}
    assert sum(call.answer is Answer.DONE for call in evidence.calls) > 100, "hardly anything was done"


async def test_the_broker_decides_nothing(place: Path, rabbit: RabbitServer) -> None:
    """A broker that dies or is emptied would take bookings or events with it."""
    async with opened(Setting.PLAIN, place, rabbit=rabbit) as world:
        evidence = await run(world, Round(seed=2, strikes=BROKERS))
    assert found_in(evidence) == {}


async def test_servers_clocks_decide_nothing(place: Path) -> None:
    """A hold would end ten minutes early at a server whose clock is wrong."""
    async with opened(Setting.PLAIN, place, clocks=("+5m", "-5m")) as world:
        evidence = await run(world, Round(seed=3, strikes=(), calm_seconds=6.0))
    assert found_in(evidence) == {}
    lapsed = [b for b in evidence.ledger.bookings if b.reason == "hold_expired"]
    assert lapsed, "no hold lapsed"


async def test_the_network_breaks(place: Path) -> None:
    """A server that is cut off, or whose packets are lost, would keep seats locked or sell them twice."""
    needs_root()
    async with opened(Setting.NETWORK, place) as world:
        strikes = ("network cut", "network lossy", "network reset")
        evidence = await run(world, Round(seed=4, strikes=strikes))
    assert found_in(evidence) == {}


async def test_the_standby_takes_over(place: Path) -> None:
    """What was sold a moment before the primary died would be gone with it."""
    async with opened(Setting.PAIR, place) as world:
        evidence = await run(world, Round(seed=5, strikes=("fail-over",), calm_seconds=2.0))
    assert found_in(evidence) == {}


async def test_the_disk_is_full(place: Path) -> None:
    """A full disk would break the sale for good, lose bookings, or be told as a failure of ours."""
    needs_root()
    async with opened(Setting.DISK, place) as world:
        evidence = await run(world, Round(seed=6, strikes=("disk full",), calm_seconds=2.0))
    assert found_in(evidence) == {}
    busy = {Answer.NOT_DONE, Answer.DOUBTFUL}
    assert any(call.answer in busy for call in evidence.calls), "nobody was told to come again"
    assert evidence.calls[-1].answer not in busy, "it did not recover"


def test_the_long_run_has_every_fault() -> None:
    """A nemesis that is never called proves nothing."""
    for seed in range(5):
        played = [name for _, strikes in schedule(seed) for name in strikes]
        assert {name for only in ONLY_IN.values() for name in only} <= set(played)
        assert schedule(seed) == schedule(seed), "the schedule comes from the seed alone"
    assert set(ANYWHERE) <= {name for seed in range(9) for _, s in schedule(seed) for name in s}
    counts = [name for _, strikes in schedule(1) for name in strikes]
    assert counts.count("PostgreSQL killed") >= 3
    assert counts.count("PostgreSQL crashed") >= 3
