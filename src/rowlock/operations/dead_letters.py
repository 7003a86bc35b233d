"""Dead letters: queued requests that could not be decided. List them, put them back, or give them up.

Those of the table and those of the broker are treated alike, whichever is in use now.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from rowlock.domain.trails import Trail
from rowlock.operations.auditing import record
from rowlock.operations.context import Context
from rowlock.operations.decide_queued import queued_command
from rowlock.operations.errors import NotFound
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.queueing import DeadLetter

# Of each queue, at a time: those of a broker are taken out of it together, and held in memory meanwhile.
LETTERS_MAX = 10_000


async def list_dead(context: Context) -> list[DeadLetter]:
    """Dead letters of all queues, the oldest of each first. Raises `BrokerDown`."""
    letters = await context.table.dead_letters(LETTERS_MAX)
    if isinstance(context.queue, BrokerQueue):
        async with context.queue.dead_letters(LETTERS_MAX) as taken:
            letters += [letter for letter, _ in taken]
    return letters


async def retry_dead(
    context: Context, identifiers: Sequence[UUID] | None, *, trail: Trail | None = None
) -> list[UUID]:
    """Put dead letters back into the queue; all where `identifiers` is None. Returns which.

    One of the table takes its old place; one of the broker goes to the end. What can't even be read stays. The wish is in
    the audit trail before anything is done: a broker has no transaction to share.
    """
    await record(context.pool, trail, "queue.retry", "queue", detail=_wish(identifiers))
    done = [
        letter.request.id
        for letter in await context.table.dead_letters(LETTERS_MAX, identifiers)
        if letter.request is not None and await context.table.revive(letter.request)
    ]
    if isinstance(context.queue, BrokerQueue):
        async with context.queue.dead_letters(LETTERS_MAX) as taken:
            for letter, message in taken:
                if letter.request is not None and _meant(letter, identifiers):
                    await context.queue.put(letter.request)
                    await message.ack()
                    done.append(letter.request.id)
    return done


async def drop_dead(
    context: Context, identifiers: Sequence[UUID] | None, *, trail: Trail | None = None
) -> tuple[list[UUID], int]:
    """Give dead letters up: their bookings become FAILED (`dropped`), and then they are gone.

    All where `identifiers` is None; then also those that can't be read, or whose show is not there, which leave nothing.
    Returns the ids, and how many left nothing. As with `retry_dead`, the wish is in the audit trail before.
    """
    await record(context.pool, trail, "queue.drop", "queue", detail=_wish(identifiers))
    done, lost = [], 0
    for letter in await context.table.dead_letters(LETTERS_MAX, identifiers):
        assert letter.request is not None, "what the table has, it has been given"
        lost += not await _fail(context, letter)
        await context.table.discard(letter.request)
        done.append(letter.request.id)
    if isinstance(context.queue, BrokerQueue):
        async with context.queue.dead_letters(LETTERS_MAX) as taken:
            for letter, message in taken:
                if _meant(letter, identifiers):
                    lost += not await _fail(context, letter)
                    await message.ack()
                    done += [] if letter.request is None else [letter.request.id]
    return done, lost


def _wish(identifiers: Sequence[UUID] | None) -> dict[str, object]:
    return {"bookings": "all" if identifiers is None else [str(each) for each in identifiers]}


def _meant(letter: DeadLetter, identifiers: Sequence[UUID] | None) -> bool:
    return identifiers is None or (letter.request is not None and letter.request.id in identifiers)


async def _fail(context: Context, letter: DeadLetter) -> bool:
    """Write the booking of a dead letter as FAILED; whether there is a row for it now."""
    if letter.request is None:
        return False
    try:
        command = await queued_command(context, letter.request, dropped=True)
    except NotFound:
        return False
    decision = await context.engine.submit(command)
    return decision.booking is not None
