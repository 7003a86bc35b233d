"""Tokens that are good no more: one by its id (`jti`), or all that were issued to a user until some time.

PostgreSQL keeps them. Each process reads what is new every `REFRESH_SECONDS`, and remembers all that still matters: a
look-up is one in a dict, and only for tokens that are not remembered as verified. While the database is away,
what is known goes on being refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from rowlock.domain.trails import Trail
from rowlock.operations.auditing import record
from rowlock.postgres.queries import load

SQL = load("revocations")

REFRESH_SECONDS: Final = 2.0  # how long another process may go on believing a token
TOKEN_ID_LENGTH_MAX: Final = 255
LONGEST = timedelta(days=3651)  # no token is minted for longer (cli.py)


class Revocations:
    """What one process knows of them. `on_new` is called after something new was learnt."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.on_new: Callable[[], None] = lambda: None
        self._pool = pool
        self._tokens: dict[str, datetime] = {}  # until when it matters
        self._users: dict[str, tuple[float, datetime]] = {}  # issued until when (Unix seconds), and the same
        self._seen: datetime | None = None

    def revokes(self, token_id: str | None, user_id: str, issued_at: float | None) -> bool:
        """Whether a token is good no more. One that does not say when it was issued is as old as can be."""
        if token_id is not None and token_id in self._tokens:
            return True
        of_user = self._users.get(user_id)
        return of_user is not None and (issued_at or 0.0) <= of_user[0]

    async def refresh(self) -> bool:
        """Read what is new. False: there is no more to do at once."""
        self._learn(await self._pool.fetch(SQL.revoked_since, self._seen))
        self._forget(datetime.now(UTC))
        return False

    async def revoke_token(
        self, token_id: str, expires_at: datetime | None = None, *, trail: Trail | None = None
    ) -> None:
        """Call one token back. `expires_at`: when it would end by itself, if that is known."""
        await self._revoke("token", token_id, expires_at or datetime.now(UTC) + LONGEST, trail)

    async def revoke_user(self, user_id: str, *, trail: Trail | None = None) -> None:
        """Call back every token of a user that was issued until now: sign it out everywhere."""
        await self._revoke("user", user_id, datetime.now(UTC) + LONGEST, trail)

    async def _revoke(self, kind: str, value: str, until: datetime, trail: Trail | None) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL.revoke, kind, value, until)
            await record(connection, trail, f"{kind}.revoke", f"{kind} {value}")
        self._learn([row], seen=False)

    def _learn(self, rows: list[Mapping[str, Any]], *, seen: bool = True) -> None:
        new = False
        for row in rows:
            value, until = row["value"], row["until"]
            if row["kind"] == "token":
                new = new or value not in self._tokens
                self._tokens[value] = until
            else:
                before = row["revoked_at"].timestamp()
                new = new or self._users.get(value, (0.0, until))[0] < before
                self._users[value] = (before, until)
            if seen:  # one's own says nothing of what others did before it
                self._seen = max(self._seen or row["revoked_at"], row["revoked_at"])
        if new:
            self.on_new()

    def _forget(self, now: datetime) -> None:
        self._tokens = {value: until for value, until in self._tokens.items() if until > now}
        self._users = {value: known for value, known in self._users.items() if known[1] > now}
