"""The commands about whole databases: `verify`, `import` and `seed`. cli.py registers them, and opens the database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, TypeAlias, TypeVar

import asyncpg
import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from rowlock import settings as settings_module
from rowlock.operations.context import open_context
from rowlock.operations.import_bookings import Imported, ImportRefused, import_bookings
from rowlock.operations.import_csv import counted
from rowlock.operations.seed import seed_samples
from rowlock.operations.seed_world import BOOKINGS_MAX, SHOWS_MAX, World, seed_world
from rowlock.operations.seed_world import Progress as Made
from rowlock.operations.verify import Report
from rowlock.operations.verify import verify as run_verify
from rowlock.postgres.embedded import EmbeddedPostgres
from rowlock.postgres.pool import Database
from rowlock.postgres.reach import DatabaseError
from rowlock.settings import Settings

T = TypeVar("T")
OpenDatabase: TypeAlias = Callable[[], AbstractContextManager[Settings]]
"""Opens the database that the settings name, migrated; for as long as the command runs."""

SHOWS, SEATS, BOOKINGS = 10, 500, 0  # of a big world, where not said: made in a second


def register(cli: typer.Typer, open_database: OpenDatabase) -> None:
    """Add the commands to the command line."""

    @cli.command(epilog="Example: rowlock verify && echo all is well")
    def verify(
        as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    ) -> None:
        """Audit the database while it is in use: no seat sold twice, counts right, amounts right, nothing overdue.

        Reads one snapshot, locks nothing. Exit code 0: PASS; 1: FAIL, with the ids that break each rule; 2: could not run.
        """
        _assert_there_is_one()
        with open_database() as settings:
            passed = _verify(settings, as_json=as_json)
        if not passed:
            raise typer.Exit(1)

    @cli.command("import", epilog="Example: rowlock import shows.csv bookings.csv --source old-box-office")
    def import_(
        shows: Annotated[Path, typer.Argument(help="The shows: id, name, start_time, total_seats, …")],
        bookings: Annotated[
            Path, typer.Argument(help="The bookings: id, show_id, status, seats or seat_count, …")
        ],
        source: Annotated[
            str,
            typer.Option(help="A name for where they come from; a source's show is imported once."),
        ] = "predecessor",
    ) -> None:
        """Bring another system's shows and bookings over, all or nothing; then verify. See docs/moving.md.

        Every bad line is named, and then nothing is imported: exit code 2. What is imported is audited before it counts;
        the report on the whole database that follows changes nothing about the exit code.
        """
        with open_database() as settings:
            _refuse_spread(settings, "import")
            _import(settings, shows, bookings, source)
            if not _verify(settings):
                typer.echo(
                    "The import itself passed its audit, and is done: FAIL is about the whole database."
                )

    @cli.command(epilog="Example: rowlock seed --shows 1000 --seats 5000 --bookings 1000000")
    def seed(
        shows: Annotated[
            int | None, typer.Option(min=1, max=SHOWS_MAX, help=f"How many shows; {SHOWS} if left out.")
        ] = None,
        seats: Annotated[
            int | None, typer.Option(min=1, max=100_000, help=f"Seats of each; {SEATS} if left out.")
        ] = None,
        bookings: Annotated[
            int | None,
            typer.Option(min=0, max=BOOKINGS_MAX, help=f"Bookings of all together; {BOOKINGS} if left out."),
        ] = None,
        random_seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same world.")] = 1,
    ) -> None:
        """Make sample shows, if there are no shows: a concert hall, a cinema and a coach trip.

        With any of --shows, --seats and --bookings: make a big world, on top of what is there.
        """
        with open_database() as settings:
            _refuse_spread(settings, "seed")
            if shows is seats is bookings is None:
                made = _run(_samples(settings))
                typer.echo(
                    f"{counted(made, 'show')} made." if made else "There are shows already; none was made."
                )
            else:
                world = World(shows or SHOWS, seats or SEATS, bookings or BOOKINGS, random_seed)
                _seed_world(settings, world)


def _assert_there_is_one() -> None:
    """Raises `DatabaseError` where opening the database would make a new one: there is nothing to audit."""
    settings = settings_module.load()
    if settings.database_url is not None:
        return
    folder = EmbeddedPostgres(settings.data_dir).data
    try:
        there = folder.exists()
    except PermissionError:
        return  # whoever opens it says so
    if not there:
        raise DatabaseError(
            "there is no database to verify: DATABASE_URL is not set, and "
            f"ROWLOCK_DATA_DIR={settings.data_dir} has no {folder.name} in it"
        )


def _verify(settings: Settings, *, as_json: bool = False) -> bool:
    """Verify, and print what was found; whether all is well."""
    began = perf_counter()
    with _progress() as progress:
        task = progress.add_task("verifying", total=None)

        def show(shows: int, seats: int) -> None:
            progress.update(task, completed=shows, description=f"verifying · {counted(seats, 'seat')}")

        report = _run(run_verify(_database(settings), sweep_seconds=settings.sweep_seconds, on_progress=show))
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(_as_json(report))).decode())
        return report.passed
    console = Console(highlight=False, soft_wrap=True)
    if console.is_terminal:
        console.print(_table(report))
    else:
        for line in _lines(report):
            typer.echo(line)
    seconds = perf_counter() - began
    shows_and_seats = f"{counted(report.shows, 'show')} and {counted(report.seats, 'seat')}"
    typer.echo(f"{shows_and_seats} verified in {seconds:.1f} s.")
    if console.is_terminal:
        console.print("[bold green]PASS[/]" if report.passed else "[bold red]FAIL[/]")
    else:
        typer.echo("PASS" if report.passed else "FAIL")
    return report.passed


def _lines(report: Report) -> Iterator[str]:
    for finding in report.findings:
        if not finding.count:
            yield f"ok    {finding.rule.name}: {finding.rule.sentence}"
            continue
        yield f"FAIL  {finding.rule.name}: {finding.rule.sentence}: {finding.count:,} broken"
        for offence in finding.offences:
            yield f"      {offence}"
        if finding.rest:
            yield f"      … and {finding.rest:,} more"


def _table(report: Report) -> Table:
    table = Table("rule", "what must hold", "broken by")
    for finding in report.findings:
        rest = [f"… and {finding.rest:,} more"] if finding.rest else []
        broken = "\n".join([*map(str, finding.offences), *rest])
        color = "red" if finding.count else "green"
        table.add_row(
            f"[{color}]{finding.rule.name}[/]",
            finding.rule.sentence,
            f"{finding.count:,}:\n{escape(broken)}" if finding.count else "[green]ok[/]",
        )
    return table


def _as_json(report: Report) -> dict[str, object]:
    return {
        "passed": report.passed,
        "shows": report.shows,
        "seats": report.seats,
        "rules": [
            {
                "name": finding.rule.name,
                "sentence": finding.rule.sentence,
                "count": finding.count,
                "offences": finding.offences,
            }
            for finding in report.findings
        ],
    }


def _refuse_spread(settings: Settings, command: str) -> None:
    """What writes many shows at once does so before they are spread."""
    if settings.sharded:
        raise DatabaseError(
            f"ROWLOCK_SHARDED=true: run `rowlock {command}` before `rowlock migrate --distributed`, which spreads what is there"
        )


def _import(settings: Settings, shows: Path, bookings: Path, source: str) -> None:
    began = perf_counter()
    work = import_bookings(
        _database(settings), shows, bookings, source=source, sweep_seconds=settings.sweep_seconds
    )
    try:
        made = _run(work)
    except ImportRefused as refused:
        for line in refused.problems:
            typer.echo(line, err=True)
        if refused.count > len(refused.problems):
            typer.echo(f"… and {refused.count - len(refused.problems):,} more", err=True)
        typer.echo(f"rowlock: {refused}", err=True)
        raise typer.Exit(2) from None
    seconds = perf_counter() - began
    typer.echo(f"{_amounts(made)} imported in {seconds:.1f} s.")


def _seed_world(settings: Settings, world: World) -> None:
    began = perf_counter()
    with _progress() as progress:
        task = progress.add_task("seeding", total=world.shows)

        def show(made: Made) -> None:
            progress.update(
                task,
                completed=made.shows,
                description=f"seeding · {counted(made.seats, 'seat')} · {counted(made.bookings, 'booking')}",
            )

        made = _run(seed_world(_database(settings), world, show))
    seconds = perf_counter() - began
    typer.echo(f"{_amounts(made)} made in {seconds:.1f} s.")


def _amounts(made: Imported | Made) -> str:
    seats_and_bookings = f"{counted(made.seats, 'seat')} and {counted(made.bookings, 'booking')}"
    return f"{counted(made.shows, 'show')}, {seats_and_bookings}"


async def _samples(settings: Settings) -> int:
    async with open_context(_database(settings), lanes=1, events=settings.events) as context:
        return len(await seed_samples(context))


def _database(settings: Settings) -> Database:
    assert settings.database_url is not None, "whoever opens the database sets its address"
    return Database(settings.database_url, statement_cache=settings.statement_cache, sharded=settings.sharded)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress display on a terminal's stderr, gone at the end; nothing elsewhere."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("shows"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as progress:
        yield progress


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a job. Raises `DatabaseError` where the database fails it."""
    try:
        return asyncio.run(work)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseError(f"the database failed: {' '.join(str(error).split()) or repr(error)}") from error
