"""The torture: rounds in worlds of every kind, for as long as asked, each with a checked history. `make torture MINUTES=30`.

The schedule, and what each client wants, come from the seed alone; how threads and packets interleave does not. It says what
it does, and ends with a summary; with 1 where the checker found something, and the history is then left to be looked at.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.faults import history
from tests.faults.checker import answers_by_kind, check
from tests.faults.nemeses import ANYWHERE, ONLY_IN
from tests.faults.rounds import Round, run
from tests.faults.world import Setting, opened
from tests.rabbit import RabbitServer
from tests.rabbit import missing as rabbit_missing

STRIKES = 5  # of a round: a minute or so, and a history that is looked through in seconds


class Summary(msgspec.Struct):
    """What was done, and found."""

    commands: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    answers: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    faults: collections.Counter[str] = msgspec.field(default_factory=collections.Counter)
    histories: int = 0
    bookings: int = 0
    events: int = 0
    findings: list[str] = []


def schedule(seed: int) -> list[tuple[Setting, list[str]]]:
    """One cycle: every nemesis of every world at least once, in an order that the seed decides."""
    dice = random.Random(seed)
    cycle: list[tuple[Setting, list[str]]] = []
    for setting, only in ONLY_IN.items():
        names = list(only) * (2 if len(only) == 1 else 1)
        if setting is Setting.PLAIN:
            names += ["PostgreSQL killed", "PostgreSQL crashed"] * 2  # three times each
        names += dice.sample(list(ANYWHERE), 2 if len(only) > 1 else 1)
        dice.shuffle(names)
        cycle += [(setting, names[at : at + STRIKES]) for at in range(0, len(names), STRIKES)]
    dice.shuffle(cycle)
    return cycle


async def torture(minutes: float, seed: int, folder: Path) -> Summary:
    """Play rounds until the time is over; the last one is played to its end."""
    summary = Summary()
    ends = time.monotonic() + minutes * 60
    rabbit = RabbitServer(folder / "rabbit")
    number = 0
    try:
        await asyncio.to_thread(rabbit.start)
        while time.monotonic() < ends:
            for setting, strikes in schedule(seed):
                if time.monotonic() >= ends:
                    break
                number += 1
                plan = Round(seed * 10_000 + number, strikes)
                await _play(plan, setting, _folder(folder, number), rabbit, summary)
            seed += 1
    finally:
        rabbit.close()
    return summary


def _folder(folder: Path, number: int) -> Path:
    """A round's own; other accounts may pass through it."""
    found = folder / f"round-{number}"
    found.mkdir(mode=0o755)
    return found


async def _play(plan: Round, setting: Setting, folder: Path, rabbit: RabbitServer, summary: Summary) -> None:
    _say(f"round {folder.name}, {setting}, seed {plan.seed}: {', '.join(plan.strikes)}")
    try:
        async with opened(setting, folder, rabbit=rabbit) as world:
            world.say = _say
            evidence = await run(world, plan)
    except Exception as error:
        summary.findings.append(f"{folder.name}: ended by {error!r}")
        _say(summary.findings[-1])
        return
    summary.histories += 1
    summary.bookings += len(evidence.ledger.bookings)
    summary.events += evidence.told_events
    summary.commands.update(call.kind.value for call in evidence.calls)
    summary.answers.update(answers_by_kind(evidence.calls))
    summary.faults.update(plan.strikes)
    found = [f"{folder.name}: {rule}: {what}" for rule, all_ in check(evidence).items() for what in all_]
    history.save(evidence.calls, folder / "history.jsonl")
    (folder / "evidence.json").write_bytes(msgspec.json.encode(evidence))
    summary.findings += found
    for line in found[:20]:
        _say(f"  FOUND {line}")
    _say(
        f"  {len(evidence.calls)} commands, {len(evidence.ledger.bookings)} bookings: {'FAIL' if found else 'ok'}"
    )


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 (a command's output)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    wanted = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the torture makes network namespaces and mounts a file system: run it as root")
    if (missing := rabbit_missing()) is not None:
        parser.error(missing)
    folder = Path(tempfile.mkdtemp(prefix="rowlock-torture-", dir="/tmp"))
    folder.chmod(0o755)
    began = time.monotonic()
    _say(f"seed {wanted.seed}, {wanted.minutes:g} minutes; what is written is in {folder}")
    summary = asyncio.run(torture(wanted.minutes, wanted.seed, folder))
    _say(f"\n{(time.monotonic() - began) / 60:.1f} minutes, seed {wanted.seed}")
    for name in ("commands", "answers", "faults"):
        counted: collections.Counter[str] = getattr(summary, name)
        each = ", ".join(f"{what} {count}" for what, count in counted.most_common())
        _say(f"{counted.total():>9,} {name}: {each}")
    _say(
        f"{summary.histories:>9,} histories checked: {summary.bookings:,} bookings, {summary.events:,} events"
    )
    for line in summary.findings:
        _say(f"FOUND {line}")
    _say("FAIL" if summary.findings else "PASS")
    return int(bool(summary.findings))


if __name__ == "__main__":
    sys.exit(main())
