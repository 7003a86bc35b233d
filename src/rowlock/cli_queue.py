"""The commands about queued bookings that could not be decided: `rowlock queue list`, `retry` and `drop`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Annotated, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import typer

from rowlock.brokers.rabbitmq import CONNECT_SECONDS_MAX, BrokerDown
from rowlock.cli_access import operator
from rowlock.engine.engine import Busy
from rowlock.operations.context import Context, open_context
from rowlock.operations.dead_letters import drop_dead, list_dead, retry_dead
from rowlock.operations.import_csv import counted
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.queueing import DeadLetter, Depth
from rowlock.postgres.pool import Database
from rowlock.postgres.reach import DatabaseError
from rowlock.settings import Settings

T = TypeVar("T")
OpenDatabase = Callable[[], AbstractContextManager[Settings]]

Ids = Annotated[
    list[str] | None, typer.Argument(help="Booking ids, as `rowlock queue list` says.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All dead letters, instead of those named.")]


class QueueError(Exception):
    """What was asked for can't be done. Its text is one line."""


def register(cli: typer.Typer, open_database: OpenDatabase) -> None:
    """Add the commands to the command line."""
    queue = typer.Typer(
        no_args_is_help=True,
        help="Queued bookings that could not be decided (dead letters): list them, put them back, give them up.",
        rich_markup_mode="rich",
    )
    cli.add_typer(queue, name="queue")

    @queue.command("list", epilog="Example: rowlock queue list --json")
    def list_(as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False) -> None:
        """List dead letters, the oldest first, with the cause of each; and say how many requests wait."""
        letters, depth = _run(open_database, _listed)
        if as_json:
            typer.echo(msgspec.json.format(msgspec.json.encode([_plain(each) for each in letters])).decode())
            return
        for letter in letters:
            typer.echo(_line(letter))
        dead, waiting = counted(len(letters), "dead letter"), counted(depth.waiting, "request")
        typer.echo(f"{dead}; {waiting} waiting.")

    @queue.command(epilog="Example: rowlock queue retry --all")
    def retry(ids: Ids = None, everything: All = False) -> None:
        """Put dead letters back into the queue, to be decided as if nothing had been."""
        chosen = _chosen(ids, everything)
        done = _run(open_database, lambda context: retry_dead(context, chosen, trail=operator()))
        _assert_found(chosen, done)
        typer.echo(f"{counted(len(done), 'dead letter')} put back.")

    @queue.command(epilog="Example: rowlock queue drop 00000000-0000-822a-b0d1-30b647e59d50")
    def drop(ids: Ids = None, everything: All = False) -> None:
        """Give dead letters up. Their bookings become FAILED, reason `dropped`."""
        chosen = _chosen(ids, everything)
        done, lost = _run(open_database, lambda context: drop_dead(context, chosen, trail=operator()))
        _assert_found(chosen, done)
        typer.echo(f"{counted(len(done), 'dead letter')} dropped.")
        if lost:
            typer.echo(
                f"{counted(lost, 'dead letter')} left no booking: unreadable, or of no show of this database."
            )


async def _listed(context: Context) -> tuple[list[DeadLetter], Depth]:
    return await list_dead(context), await context.queue.depth()


def _chosen(ids: list[str] | None, everything: bool) -> list[UUID] | None:
    """The ids that were named; None for all. Raises `QueueError`."""
    if everything == bool(ids):
        raise QueueError("name the booking ids, or say --all")
    chosen = []
    for text in ids or ():
        try:
            chosen.append(UUID(text))
        except ValueError:
            raise QueueError(f"{text!r} is not a booking id") from None
    return chosen or None


def _assert_found(chosen: list[UUID] | None, done: list[UUID]) -> None:
    missing = [str(each) for each in chosen or () if each not in done]
    if missing:
        raise QueueError(f"no dead letter has the id {', '.join(missing)}; the others are done")


def _line(letter: DeadLetter) -> str:
    when = "-" if letter.dead_at is None else _time(letter.dead_at)
    if letter.request is None:
        return f"{when}  {letter.where}  (can't be read)  {letter.cause}"
    wanted = letter.request.request
    seats = ", ".join(wanted.seats) if wanted.seats else f"{counted(wanted.seat_count, 'seat')}"
    return (
        f"{when}  {letter.where}  {letter.request.id}  show {wanted.show_id}, {wanted.user_id}: {seats}  "
        f"tried {counted(letter.deliveries, 'time')}: {letter.cause}"
    )


def _plain(letter: DeadLetter) -> dict[str, object]:
    queued = letter.request
    return {
        "id": None if queued is None else queued.id,
        "where": letter.where,
        "cause": letter.cause,
        "deliveries": letter.deliveries,
        "dead_at": letter.dead_at,
        "queued_at": None if queued is None else queued.queued_at,
        "request": None if queued is None else queued.request,
    }


def _time(time: datetime) -> str:
    return time.isoformat(timespec="seconds")


def _run(open_database: OpenDatabase, work: Callable[[Context], Awaitable[T]]) -> T:
    """Do something with the queues, on the database that the settings name. Raises `QueueError` or `DatabaseError`."""
    with open_database() as settings:
        try:
            return asyncio.run(_with_context(settings, work))
        except (BrokerDown, Busy) as error:
            raise QueueError(f"AMQP_URL: {error}" if settings.amqp_url else str(error)) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseError(f"the database failed: {' '.join(str(error).split())}") from error


async def _with_context(settings: Settings, work: Callable[[Context], Awaitable[T]]) -> T:
    assert settings.database_url is not None, "whoever opens the database sets its address"
    database = Database(
        settings.database_url, statement_cache=settings.statement_cache, sharded=settings.sharded
    )
    async with open_context(
        database,
        lanes=1,
        hold_seconds=settings.hold_seconds,
        events=settings.events,
        amqp_url=settings.amqp_url,
    ) as context:
        if isinstance(context.queue, BrokerQueue):
            try:
                await asyncio.wait_for(context.queue.broker.wait_connected(), CONNECT_SECONDS_MAX)
            except TimeoutError:
                raise BrokerDown("RabbitMQ can't be reached") from None
        return await work(context)
