"""What a failure of PostgreSQL means: SQLSTATEs and constraint names, translated in this one place.

    Trouble.PASSING       the same again may well work: serialization, deadlock, a lock or statement that timed out
    Trouble.SHORT         the server is out of something: connections, memory, disk
    Trouble.DISCONNECTED  the connection is of no more use: connect again, perhaps elsewhere
    Trouble.OURS          nothing that waiting helps: a bug, or a value that the schema refuses

Message texts are never looked at; they are translated by the server into its own language.
"""

from __future__ import annotations

from asyncio import CancelledError, current_task
from enum import Enum

import asyncpg


class Trouble(Enum):
    """What can be done about a failure."""

    PASSING = "passing"
    SHORT = "short"
    DISCONNECTED = "disconnected"
    OURS = "ours"


_PASSING = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available: lock_timeout
    "57014",  # query_canceled: statement_timeout
}
_DISCONNECTED = {
    "25006",  # read_only_sql_transaction: we are talking to a standby, as during a fail-over
    "25P03",  # idle_in_transaction_session_timeout
    "0A000",  # a cached plan outlived its table: a new connection plans anew
    "26000",  # a prepared statement is gone: someone discarded it under us
}
_SHORT_CLASS = "53"  # insufficient resources
# Connection exceptions, operator intervention, system errors; and what can only fail while connecting: who we are
# (28), and to which database (3D). No command is to blame for those.
_LOST_CLASSES = ("08", "57P", "58", "28", "3D")


def diagnose(error: BaseException) -> Trouble:
    """What kind of trouble an exception from the driver is."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        if state in _PASSING:
            return Trouble.PASSING
        if state.startswith(_SHORT_CLASS):
            return Trouble.SHORT
        if state in _DISCONNECTED or state.startswith(_LOST_CLASSES):
            return Trouble.DISCONNECTED
        return Trouble.OURS
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError | CancelledError):
        return (
            Trouble.DISCONNECTED
        )  # TimeoutError is an OSError: an answer that does not come is a lost connection
    return Trouble.OURS


def is_cancelled(error: BaseException) -> bool:
    """Whether an exception is the running task's own cancellation.

    A transport that is closed under the driver can cancel what the driver waits for, too. That is no wish of ours, but
    a lost connection.
    """
    task = current_task()
    return isinstance(error, CancelledError) and task is not None and task.cancelling() > 0


def broken_constraint(error: BaseException) -> str | None:
    """The name of the constraint that an error is about, if it is about one."""
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        name: str | None = error.constraint_name
        return name
    return None
