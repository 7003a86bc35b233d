"""The command line. Whatever fails predictably says so in one line on stderr, naming the cause and the setting: exit code 2."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Annotated, Any, Literal, NoReturn

import typer
import uvloop

from rowlock import __version__, cli_access, cli_data, cli_queue, serving, telemetry
from rowlock import settings as settings_module
from rowlock.cli_access import AccessError
from rowlock.cli_queue import QueueError
from rowlock.postgres import reach
from rowlock.postgres.embedded import EmbeddedError, EmbeddedPostgres
from rowlock.postgres.migrate import head as current_schema
from rowlock.postgres.reach import DatabaseError
from rowlock.serving import StartError
from rowlock.settings import Settings, SettingsError
from rowlock.stampede import command as stampede

cli = typer.Typer(
    name="rowlock",
    help="Rowlock sells reserved seats, and never sells one twice.\n\n"
    "Settings come from the environment and from .env: DATABASE_URL, HOST, PORT and ROWLOCK_*. "
    "Without DATABASE_URL an embedded PostgreSQL keeps its data in ./var.",
    epilog="Example: [bold]rowlock demo[/bold], then open http://127.0.0.1:8000",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

_PORT_AT_FAULT = {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL}

HostOption = Annotated[
    str | None, typer.Option(help="Address to listen on; overrides HOST.", show_default=False)
]
PortOption = Annotated[
    int | None, typer.Option(help="Port to listen on; overrides PORT.", show_default=False)
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Server processes; overrides ROWLOCK_WORKERS.", show_default=False)
]


@cli.callback(invoke_without_command=True)
def rowlock(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version, and end.", is_eager=True)
    ] = False,
) -> None:
    """Options before any command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@cli.command(epilog="Example: ROWLOCK_SECRET_KEY=$(openssl rand -hex 32) rowlock serve --workers 2")
def serve(host: HostOption = None, port: PortOption = None, workers: WorkersOption = None) -> None:
    """Serve the API, for production.

    Needs ROWLOCK_SECRET_KEY and a migrated database; the embedded PostgreSQL is migrated on the way.
    """
    settings = _settings(HOST=host, PORT=port, ROWLOCK_WORKERS=workers)
    if settings.auth == "token":
        _secret_key(settings)
    _serve(settings, migrate_first=False, samples=False)


@cli.command(epilog="Example: PORT=9000 rowlock demo")
def demo(host: HostOption = None, port: PortOption = None, workers: WorkersOption = None) -> None:
    """Serve the API on this machine with sample shows, and no sign-in: to try things.

    Migrates the database, and makes the samples if it has no shows.
    """
    settings = _settings(HOST=host, PORT=port, ROWLOCK_WORKERS=workers, ROWLOCK_AUTH="demo")
    _serve(settings, migrate_first=True, samples=True)


@cli.command(epilog="Example: ROWLOCK_WORK=off rowlock serve & rowlock work")
def work() -> None:
    """Do the background work where the servers don't (ROWLOCK_WORK=off), or beside them: any number may run.

    Decides queued bookings. Publishes events and delivers them to webhooks. Sweeps overdue holds and old failed bookings.
    """
    with _database(_settings(), migrate_first=False) as settings:
        from rowlock.app import run_worker

        try:
            _run_until_signal(run_worker(settings))
        except OSError as cause:
            if cause.errno not in _PORT_AT_FAULT:
                raise
            raise StartError(
                f"ROWLOCK_METRICS_PORT={settings.metrics_port}: can't listen on {settings.host}: {cause.strerror}"
            ) from None


@cli.command(epilog="Example: DATABASE_URL=postgresql://me@db.example.org/rowlock rowlock migrate")
def migrate(
    distributed: Annotated[
        bool,
        typer.Option("--distributed", help="Spread the tables by show over the nodes of a Citus cluster."),
    ] = False,
) -> None:
    """Bring the database's schema to this version's. Safe to run at any time, and by several at once."""
    settings = _settings()
    if distributed and settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set: --distributed needs the coordinator of a Citus cluster")
    with _database(settings, migrate_first=True, distributed=distributed):
        typer.echo(f"The schema is {current_schema()}{', spread by show' if distributed else ''}.")


@cli.command(epilog="Example: rowlock token --role admin --user-id ops --hours 1")
def token(
    user_id: Annotated[str, typer.Option(help="Whom the token speaks for.")],
    role: Annotated[
        Literal["customer", "service", "admin"], typer.Option(help="What it may do.")
    ] = "customer",
    hours: Annotated[float, typer.Option(min=0.01, max=87_600, help="How long it is good for.")] = 12,
) -> None:
    """Print a bearer token, signed with ROWLOCK_SECRET_KEY. `rowlock revoke` calls it back."""
    key = _secret_key(_settings())

    from rowlock.http.tokens import mint

    try:
        typer.echo(mint(key, user_id=user_id, role=role, hours=hours))
    except ValueError as cause:
        _fail(f"no token: {cause}")


@cli.command(epilog="Example: rowlock openapi > openapi.json")
def openapi() -> None:
    """Print the API's description, OpenAPI 3.1 as JSON: to make clients from. Needs no settings and no server."""
    from rowlock.app import openapi as document

    typer.echo(document())


def main() -> None:
    """Run the command line, and turn what fails predictably into a line and exit code 2."""
    serving.handle(
        serving.SIGNALS, signal.default_int_handler
    )  # while we start, all end us in order, as Ctrl-C does
    try:
        cli()
    except (
        SettingsError,
        EmbeddedError,
        DatabaseError,
        StartError,
        QueueError,
        AccessError,
    ) as error:  # their text is the one line to show
        _fail(str(error))


def _fail(line: str) -> NoReturn:
    typer.echo(f"rowlock: {line}", err=True)
    sys.exit(2)


def _settings(**options: object) -> Settings:
    """The settings, options first. Options go by the environment, so that worker processes find them too."""
    os.environ.update({name: str(value) for name, value in options.items() if value is not None})
    settings = settings_module.load()

    telemetry.configure(settings)
    return settings


def _secret_key(settings: Settings) -> str:
    if settings.secret_key is None:
        raise SettingsError(
            f"ROWLOCK_SECRET_KEY is not set: tokens are signed with it, {settings_module.SECRET_KEY_BYTES_MIN} bytes or more (`openssl rand -hex 32` makes one)"
        )
    return settings.secret_keys[0]


@contextlib.contextmanager
def _database(settings: Settings, *, migrate_first: bool, distributed: bool = False) -> Iterator[Settings]:
    """The settings of a database that is there, with the right schema: the embedded one if none is named."""

    with contextlib.ExitStack() as stack:
        if settings.database_url is None:
            variable, migrate_first = "ROWLOCK_DATA_DIR", True  # it is ours alone, so nobody minds
            server = EmbeddedPostgres(settings.data_dir)
            stack.callback(server.stop)
            stack.callback(serving.ignore_signals)
            dsn = server.start()
            os.environ["DATABASE_URL"] = dsn  # for worker processes
            settings = settings.model_copy(update={"database_url": dsn})
        else:
            variable, dsn = settings_module.database_variable(), settings.database_url
        asyncio.run(reach.check(dsn, variable))
        if settings.direct_database_url is not None:
            asyncio.run(reach.check(settings.direct_database_url, "ROWLOCK_DIRECT_DATABASE_URL"))
        if migrate_first:
            asyncio.run(reach.upgrade(dsn, variable, distributed=distributed))
        else:
            asyncio.run(reach.check_schema(dsn, variable, sharded=settings.sharded))
        yield settings


def _serve(chosen: Settings, *, migrate_first: bool, samples: bool) -> None:
    listener = serving.bind(chosen.host, chosen.port)
    # What is known only now is the same for all processes: the port where 0 was asked for, and a key in demo mode.
    port, secret_key = listener.getsockname()[1], chosen.secret_key or secrets.token_hex(32)
    os.environ.update(PORT=str(port), ROWLOCK_SECRET_KEY=secret_key)
    chosen = chosen.model_copy(update={"port": port, "secret_key": secret_key})
    with listener, _database(chosen, migrate_first=migrate_first) as settings:
        address = serving.url(listener)
        lines = [f"Rowlock {__version__} is ready on {address}"]
        if samples:
            lines = asyncio.run(_welcome(settings, address))
        serving.serve(settings, listener, on_ready=lambda: typer.echo("\n".join(lines)))


async def _welcome(settings: Settings, address: str) -> list[str]:
    """Make the samples, and say what to do with them."""
    from rowlock.app import sample_curl, seed

    await seed(settings)
    return [
        "",
        f"Rowlock {__version__} is ready, in demo mode: whoever is on this machine may do everything.",
        "",
        f"  Open:  {address} (the page), {address}/admin (the box office), {address}/api-docs (the API)",
        f"  Book:  {await sample_curl(settings)}",
        "  Stop:  Ctrl-C",
        "",
    ]


def _run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until it ends, or a signal cancels it."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        for number in serving.SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as serving.handle left it
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


cli_data.register(cli, lambda: _database(_settings(), migrate_first=False))
cli_access.register(cli, lambda: _database(_settings(), migrate_first=False))
cli_queue.register(cli, lambda: _database(_settings(), migrate_first=False))
cli.command(epilog=stampede.EXAMPLE)(stampede.stampede)
