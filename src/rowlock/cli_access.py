"""The command about access: `rowlock revoke`. And who gives commands at the command line, for the audit trail."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import typer

from rowlock.domain.trails import Trail
from rowlock.operations.revocations import Revocations
from rowlock.postgres.pool import Database, create_pool
from rowlock.postgres.reach import DatabaseError
from rowlock.settings import Settings, SettingsError

OpenDatabase = Callable[[], AbstractContextManager[Settings]]
OPERATOR = "operator"


class AccessError(Exception):
    """What was asked for can't be done. Its text is one line."""


def operator() -> Trail:
    """Who sits at the command line, as the machine knows them."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # in a container, under a number that has no name
        user = "unknown"
    return Trail(user, OPERATOR, socket.gethostname().replace(" ", "-") or None)


def register(cli: typer.Typer, open_database: OpenDatabase) -> None:
    """Add the command to the command line."""

    @cli.command(epilog="Example: rowlock revoke --user-id ada")
    def revoke(
        user_id: Annotated[
            str | None, typer.Option(help="Every token and session of this user, issued until now.")
        ] = None,
        token: Annotated[str | None, typer.Option(help="This token.")] = None,
        token_id: Annotated[str | None, typer.Option(help="The token of this id (its `jti`).")] = None,
    ) -> None:
        """Revoke tokens: servers refuse them within seconds.

        Of a lost or leaked token, or all of a user's. They can't be made good again; new ones can be minted.
        """
        if sum(value is not None for value in (user_id, token, token_id)) != 1:
            raise AccessError("say one of --user-id, --token and --token-id")
        with open_database() as settings:
            expires_at = None
            if token is not None:
                token_id, expires_at = _told_by(token, settings)
            try:
                asyncio.run(_revoke(settings, user_id, token_id, expires_at))
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                raise DatabaseError(f"the database failed: {' '.join(str(error).split())}") from error
        typer.echo("Revoked. Servers refuse it within seconds.")


def _told_by(token: str, settings: Settings) -> tuple[str, datetime]:
    """A token's id, and when it ends. Raises `AccessError` for one that isn't ours, or ended already."""
    from rowlock.http import tokens  # noqa: PLC0415 (the framework behind it takes its time)
    from rowlock.http.problems import Problem  # noqa: PLC0415

    if not settings.secret_keys:
        raise SettingsError("ROWLOCK_SECRET_KEY is not set: tokens are verified with it")
    try:
        claims = tokens.verify(token, settings.secret_keys)
    except Problem as problem:
        raise AccessError(f"the token is refused already: {problem.detail}") from None
    if claims.token_id is None:
        raise AccessError("the token has no id (`jti`): revoke all of its user's with --user-id")
    return claims.token_id, datetime.fromtimestamp(claims.expires_at, UTC)


async def _revoke(
    settings: Settings, user_id: str | None, token_id: str | None, expires_at: datetime | None
) -> None:
    assert settings.database_url is not None, "whoever opens the database sets its address"
    database = Database(settings.database_url, pool_size=4, statement_cache=settings.statement_cache)
    pool = await create_pool(database)
    try:
        revocations = Revocations(pool)
        if user_id is not None:
            await revocations.revoke_user(user_id, trail=operator())
        elif token_id is not None:
            await revocations.revoke_token(token_id, expires_at, trail=operator())
    finally:
        await pool.close()
