"""`rowlock stampede`, as the command line knows it. What it runs is imported when it runs."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

EXAMPLE = "Example: rowlock stampede --clients 500 --seats 2000 --url http://127.0.0.1:8000"
DEFAULT_URL = "http://127.0.0.1:8000"


def stampede(
    *,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="Where Rowlock is; again for each server that shares the database.",
            show_default=DEFAULT_URL,
        ),
    ] = None,
    clients: Annotated[int, typer.Option(min=1, max=10_000, help="Buyers at once.")] = 500,
    seats: Annotated[int, typer.Option(min=1, max=100_000, help="Seats of the show that is made.")] = 2000,
    attempts: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="End after so many.", show_default="until sold out"),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="End after so long in any case.")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed, the same wishes.")] = 1,
    token: Annotated[
        str | None,
        typer.Option(help="An admin's bearer token; not needed in demo mode.", show_default=False),
    ] = None,
    same_seats: Annotated[
        int | None,
        typer.Option(
            min=2, max=10_000, help="Only this: so many requests for the same seats.", show_default=False
        ),
    ] = None,
) -> None:
    """Rush a running Rowlock with buyers, then audit that no seat was sold twice: PASS, or what broke.

    Makes a show there and leaves it. Exit code 0: PASS; 1: FAIL; 2: it could not be tried.
    """
    from rowlock.stampede.api import StampedeError
    from rowlock.stampede.client import Client
    from rowlock.stampede.run import Plan, run

    servers = []
    for address in url or [DEFAULT_URL]:
        try:
            servers.append(Client(address, token))
        except ValueError:
            _fail(f"--url {address}: must be an address such as {DEFAULT_URL}")
    plan = Plan(
        buyers=clients, seats=seats, attempts=attempts, seconds=seconds, seed=seed, same_seats=same_seats
    )
    try:
        code = run(servers, plan, token_given=token is not None)
    except StampedeError as error:
        _fail(str(error))
    raise typer.Exit(code)


def _fail(line: str) -> NoReturn:
    typer.echo(f"rowlock: {line}", err=True)
    raise typer.Exit(2)
