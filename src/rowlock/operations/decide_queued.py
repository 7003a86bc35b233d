"""Decide queued requests: in order per show, through whatever happens, each to its end.

Both consumers hand batches of requests to `decide_in_order`, and take from it what became of each: it was decided, and is
committed, or it can't be. It returns when that is known of all. PostgreSQL may be away meanwhile for as long as it likes:
the lanes keep queued requests until they are decided, and nothing is held against a request for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from rowlock import telemetry
from rowlock.domain.commands import Book
from rowlock.domain.outcomes import Outcome
from rowlock.domain.world import Decision
from rowlock.engine.engine import Busy
from rowlock.operations.book import command_of, prepare
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.queueing import DELIVERIES_MAX, QueuedRequest
from rowlock.postgres.errors import Trouble, diagnose

log = structlog.get_logger(__name__)

RETRY_SECONDS_FIRST = 0.05
RETRY_SECONDS_MAX = 1.0
CAUSE_CHARS_MAX = 500


class Decided(msgspec.Struct, frozen=True):
    """It was decided, and that is committed."""

    decision: Decision


class Undecidable(msgspec.Struct, frozen=True):
    """It was tried so often, and could not be decided for this cause."""

    cause: str
    deliveries: int


Fate = Decided | Undecidable


async def queued_command(context: Context, queued: QueuedRequest, *, dropped: bool = False) -> Book:
    """The command that a queued request is. Raises `NotFound` or `Invalid` where it does not fit its show."""
    prepared = await prepare(context, queued.request)
    command = command_of(
        queued.request, prepared, queued.id, queued.by, queued.request_hash, trail=queued.trail
    )
    return msgspec.structs.replace(command, queued=True, dropped=dropped)


async def decide_in_order(context: Context, requests: Sequence[QueuedRequest]) -> list[Fate]:
    """Decide requests, those of a show one after the other, and wait for the end of each."""
    fates: dict[int, Fate] = {}
    failures = [0] * len(requests)
    pause = RETRY_SECONDS_FIRST
    while True:
        answers: dict[int, asyncio.Future[Decision]] = {}
        held_up: set[int] = set()  # shows whose next request could not be taken now: those behind it wait
        for index, queued in enumerate(requests):
            show_id = queued.request.show_id
            if index in fates or show_id in held_up:
                continue
            try:
                answers[index] = context.engine.submit(await queued_command(context, queued))
            except (
                NotFound,
                Invalid,
            ) as error:  # it was checked when it was taken: another database, or a bug
                fates[index] = Undecidable(str(error), 1)
            except Exception as error:
                held_up.add(show_id)
                if not isinstance(error, Busy) and diagnose(error) is Trouble.OURS:
                    _count_failure(index, error, failures, fates)
        results = await asyncio.gather(*answers.values(), return_exceptions=True)
        for index, result in zip(answers, results, strict=True):
            if isinstance(result, Busy):
                continue
            if isinstance(result, BaseException):
                if not isinstance(result, Exception):
                    raise result
                _count_failure(index, result, failures, fates)
            elif result.outcome is Outcome.SHOW_NOT_FOUND:
                fates[index] = Undecidable(f"there is no show {requests[index].request.show_id}", 1)
            else:
                fates[index] = Decided(result)
                _observe(requests[index], result)
        if len(fates) == len(requests):
            return [fates[index] for index in range(len(requests))]
        await asyncio.sleep(pause)
        pause = min(pause * 2, RETRY_SECONDS_MAX)


def _count_failure(index: int, error: BaseException, failures: list[int], fates: dict[int, Fate]) -> None:
    failures[index] += 1
    if failures[index] >= DELIVERIES_MAX:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"[:CAUSE_CHARS_MAX]
        fates[index] = Undecidable(cause, failures[index])


def _observe(queued: QueuedRequest, decision: Decision) -> None:
    telemetry.QUEUE_DECIDED.labels(decision.outcome.value).inc()
    if decision.outcome is Outcome.IDEMPOTENCY_KEY_REUSED:
        # With a broker two requests under one key may both be taken; the first one is what the id stands for.
        log.warning("queued_request_superseded", booking_id=str(queued.id))
    elif not decision.replayed:
        waited = (datetime.now(UTC) - queued.queued_at).total_seconds()
        telemetry.QUEUE_SECONDS.observe(max(0.0, waited))
