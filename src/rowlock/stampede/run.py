"""A stampede from beginning to end: check the servers, make a show, rush, read the books, audit, report."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Sequence

import typer
import uvloop
from msgspec import Struct

from rowlock.stampede import api, report
from rowlock.stampede.audit import Evidence, audit
from rowlock.stampede.buyers import Rush
from rowlock.stampede.client import Client
from rowlock.stampede.same_seats import same_seats
from rowlock.stampede.wishes import wishes

PASS, FAIL = 0, 1
INTERRUPTED = 130  # as a shell says of what Ctrl-C has ended


class Plan(Struct, frozen=True, kw_only=True):
    """What to do; `same_seats` is another test, for which the rest doesn't count. `attempts` None: until sold out."""

    buyers: int
    seats: int
    attempts: int | None
    seconds: float
    seed: int
    same_seats: int | None


def run(servers: Sequence[Client], plan: Plan, *, token_given: bool) -> int:
    """Do it, and print what came of it. Returns the exit code. Raises `StampedeError` if it can't be tried."""
    _allow_many_connections()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signal(servers, plan, token_given))


async def _until_signal(servers: Sequence[Client], plan: Plan, token_given: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        for server in servers:
            await api.check(server, token_given)
        return await (_rush(servers, plan) if plan.same_seats is None else _same(servers, plan.same_seats))
    except asyncio.CancelledError:
        return INTERRUPTED
    finally:
        for server in servers:
            server.close()


async def _same(servers: Sequence[Client], requests: int) -> int:
    lines, passed = await same_seats(servers, requests)
    _print(lines)
    return PASS if passed else FAIL


async def _rush(servers: Sequence[Client], plan: Plan) -> int:
    show_id = await api.make_show(servers, plan.seats)
    rush = Rush(servers, show_id, plan.seats, wishes(plan.seed, plan.seats), plan.attempts)
    where = "1 server" if len(servers) == 1 else f"{len(servers)} servers"
    who = f"{plan.buyers:,} buyers at {where}, seed {plan.seed}"
    _print([f"Stampede at show {show_id}, of {plan.seats:,} seats: {who}", ""])
    try:
        with report.progress(plan.seats) as show:
            await rush.run(plan.buyers, plan.seconds, show)
        ledger = await api.read_ledger(servers[0], show_id)
    except asyncio.CancelledError:
        _print([*report.figures(rush.tally, len(rush.attempts), None), "", "INTERRUPTED: not audited"])
        raise
    rush.tally.sold = ledger.counts.booked_seats
    findings = audit(Evidence(rush.attempts, ledger))
    _print([*report.figures(rush.tally, len(rush.attempts), findings), ""])
    _print(report.verdict(findings, len(ledger.bookings)))
    return FAIL if any(finding.offenders for finding in findings) else PASS


def _print(lines: Sequence[str]) -> None:
    typer.echo("\n".join(lines))


def _allow_many_connections() -> None:
    """Raise our own limit of open files as far as we may: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
