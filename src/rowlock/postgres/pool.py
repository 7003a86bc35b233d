"""Connections: one way to make them, with every limit set.

A lane has a connection of its own; everything that only reads shares a pool.

Behind a pooler in transaction mode (PgBouncer, Supabase) set ROWLOCK_STATEMENT_CACHE=0: nothing is then prepared, and
the limits are set inside each transaction, because a session's settings would be another session's surprise. Only LISTEN
needs a session of its own: it goes to `Database.direct_dsn`, where one is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

# What a command may take beyond what the server itself allows it, before we call the connection lost.
ANSWER_GRACE_SECONDS = 5.0
CONNECT_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is, and the limits of a session there; seconds throughout.

    `direct_dsn` leads to the same database without a pooler, where `dsn` has one. `sharded`: its tables are spread by show,
    over several nodes (Citus), and every statement that locks is to name one show.
    """

    dsn: str
    pool_size: int = 10
    statement_cache: int = 100
    statement_timeout: float = 10.0
    lock_timeout: float = 5.0
    idle_in_transaction: float = 3.0
    direct_dsn: str | None = None
    sharded: bool = False

    @property
    def pooled(self) -> bool:
        """Whether a pooler stands between, so that a session is not ours."""
        return self.statement_cache == 0

    @property
    def answer_seconds_max(self) -> float | None:
        """When to stop waiting for an answer; None: never, as the server has no limit either."""
        return self.statement_timeout + ANSWER_GRACE_SECONDS if self.statement_timeout else None

    def limits(self) -> dict[str, str]:
        """The server's own settings that bound a session, in milliseconds."""
        return {
            "statement_timeout": f"{self.statement_timeout * 1000:.0f}",
            "lock_timeout": f"{self.lock_timeout * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{self.idle_in_transaction * 1000:.0f}",
        }

    def begin(self) -> str:
        """How a lane begins a transaction. READ COMMITTED is relied on: a lock waited for shows the row's newest state."""
        begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
        if not self.pooled:
            return begin
        return "; ".join([begin, *(f"SET LOCAL {name} = {value}" for name, value in self.limits().items())])

    def shard_limits(self) -> tuple[str, ...]:
        """What a lane says in its transaction where tables are spread: the wait for a lock is at the show's node.

        Citus hands a SET LOCAL on with all that was sent along with it, so each of them is sent by itself. (To a PostgreSQL
        without Citus the first one is a name like any other.)
        """
        lock_timeout = self.limits()["lock_timeout"]
        limits = (f"SET LOCAL lock_timeout = {lock_timeout}",)
        return ("SET LOCAL citus.propagate_set_commands = 'local'", *limits) if self.pooled else limits

    def lane_settings(self, lock_seconds: float | None = None) -> dict[str, str]:
        """How a lane's statements are planned: once where that can be, and for rows found by their keys.

        Citus must see the show's id to know its shard, so there a statement is planned each time. A statement that is a
        transaction of its own relies on READ COMMITTED, too.
        """
        if self.sharded:
            return {"plan_cache_mode": "auto"}
        waits = {} if lock_seconds is None else {"lock_timeout": f"{lock_seconds * 1000:.0f}"}
        return waits | {
            "default_transaction_isolation": "read committed",
            "plan_cache_mode": "force_generic_plan",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
            "enable_memoize": "off",  # no row is looked for twice
            "enable_bitmapscan": "off",  # without statistics a key seems to have many rows
        }


def _session(database: Database, application: str, **settings: str) -> dict[str, Any]:
    own = {"application_name": application}
    if not database.pooled:
        # No limit of the server's ends a session that is sending to a machine which is gone: the network's would, in 15 minutes.
        own["tcp_user_timeout"] = f"{(database.answer_seconds_max or 0) * 1000:.0f}"
        own |= database.limits() | settings
        if database.sharded:
            # Citus hides its shards from catalogue queries, and so asyncpg's questions about types take half a second each.
            own |= {"citus.override_table_visibility": "off", "citus.propagate_set_commands": "local"}
    return {
        "dsn": database.dsn,
        "timeout": CONNECT_SECONDS_MAX,
        "command_timeout": database.answer_seconds_max,
        "statement_cache_size": database.statement_cache,
        "server_settings": own,
    }


async def connect_lane(
    database: Database,
    on_notice: Callable[[asyncpg.Connection, Any], None],
    *,
    lock_seconds: float | None = None,
) -> asyncpg.Connection:
    """A connection for a lane; `on_notice` hears the server's warnings. `lock_seconds`: in place of the usual limit.

    Its statements meet arrays of every length, and are planned once (`force_generic_plan`): planning the write each
    time would cost more than running it. They are planned for rows found by their keys, however small a table was when
    the lane began: a scan that was right for an empty table would be kept when it has grown. A stricter `tcp_user_timeout`
    frees the seats of a server that was cut off.
    """
    connection = await asyncpg.connect(
        **_session(
            database,
            "rowlock lane",
            **database.lane_settings(lock_seconds),
            jit="off",
            client_min_messages="warning",  # a warning on COMMIT must be heard, whatever the role's own setting
            tcp_user_timeout=f"{database.idle_in_transaction * 1000:.0f}",
        )
    )
    connection.add_log_listener(on_notice)
    return connection


async def connect_listener(database: Database) -> asyncpg.Connection:
    """A connection that only hears notifications; it needs a session of its own, so no pooler may stand between."""
    return await asyncpg.connect(
        **_session(database, "rowlock feed") | {"dsn": database.direct_dsn or database.dsn}
    )


async def connect_worker(database: Database) -> asyncpg.Connection:
    """A connection for a worker that keeps a transaction open while it waits for somebody else than the database."""
    return await asyncpg.connect(**_session(database, "rowlock worker", jit="off"))


async def create_pool(database: Database) -> asyncpg.Pool:
    """The pool for everything that only reads, or writes beside the seats."""
    return await asyncpg.create_pool(
        **_session(database, "rowlock", jit="off"),
        min_size=1,
        max_size=database.pool_size,
        reset=_keep,
    )


async def _keep(connection: asyncpg.Connection) -> None:
    """Nothing to reset: no session state is ever left behind, and the round trip is saved."""
