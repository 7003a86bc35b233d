"""Each named constraint refuses the bad state that it is named for, and failures are told apart."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import rowlock
from rowlock.domain.ids import SHOW_ID_MAX, booking_id
from rowlock.postgres.errors import Trouble, broken_constraint, diagnose

pytestmark = pytest.mark.anyio

NOW = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(minutes=2)
OWNER = booking_id(1, 1)

# A good row of each table: every bad one below differs from it by what it is bad for.
GOOD: dict[str, dict[str, Any]] = {
    "shows": {
        "id": 1,
        "kind": "show",
        "name": "A show",
        "start_time": NOW,
        "end_time": LATER,
        "currency": "EUR",
        "categories": "[]",
        "layout": "{}",
    },
    "inventory": {
        "show_id": 1,
        "total": 10,
        "available": 4,
        "reserved": 3,
        "booked": 2,
        "blocked": 1,
        "closed": False,
        "settling": False,
        "max_seats": 10,
        "hold_seconds": 120,
    },
    "seats": {"show_id": 1, "seat_no": 0, "status": b"R", "booking_id": OWNER, "held_until": LATER},
    "outbox": {"show_id": 1, "seq": 1, "events": 1, "version": 1, "at": NOW, "body": b""},
    "webhooks": {"id": 1, "url": "https://example.org/", "types": [], "secret": b""},
    "deliveries": {"show_id": 1, "webhook_id": 1, "seq": 1, "type": "booking.held", "body": b""},
    "booking_requests": {
        "show_id": 1,
        "id": OWNER,
        "user_id": "ada",
        "request": b"{}",
        "request_hash": b"h",
        "deliveries": 0,
        "dead_at": None,
        "cause": None,
    },
    "event_readers": {"name": "broker"},
    "bookings": {
        "show_id": 1,
        "id": OWNER,
        "user_id": "ada",
        "status": "PENDING",
        "reason": None,
        "seats": [0],
        "seat_count": 1,
        "amount_cents": 0,
        "held": True,
        "created_at": NOW,
        "expires_at": LATER,
        "confirmed_at": None,
        "settled_at": None,
        "release_at": LATER,
    },
}
CONFIRMED = {
    "status": "CONFIRMED",
    "expires_at": None,
    "release_at": None,
    "confirmed_at": NOW,
    "settled_at": NOW,
}
FAILED = {
    "status": "FAILED",
    "reason": "seats_taken",
    "expires_at": None,
    "release_at": None,
    "settled_at": NOW,
}
CANCELLED = {**CONFIRMED, "status": "CANCELLED", "reason": "cancelled_by_admin"}

BAD: list[tuple[str, dict[str, Any]]] = [
    ("shows_id_range", {"id": 0}),
    ("shows_id_range", {"id": -1}),
    ("shows_id_range", {"id": SHOW_ID_MAX + 1}),
    ("shows_kind_known", {"kind": "film"}),
    ("shows_end_after_start", {"end_time": NOW}),
    ("shows_import_whole", {"import_id": "7"}),
    ("shows_import_whole", {"import_source": "old-box-office"}),
    ("shows_end_after_start", {"end_time": NOW - timedelta(seconds=1)}),
    ("inventory_total_range", {"total": 0, "available": 0, "reserved": 0, "booked": 0, "blocked": 0}),
    ("inventory_total_range", {"total": 100_001, "available": 99_995}),
    ("inventory_counts_positive", {"available": -1, "booked": 7}),
    ("inventory_counts_positive", {"reserved": -1, "booked": 6}),
    ("inventory_counts_positive", {"booked": -1, "available": 7}),
    ("inventory_counts_positive", {"blocked": -1, "available": 6}),
    ("inventory_counts_add_up", {"available": 5}),
    ("inventory_counts_add_up", {"booked": 1}),
    ("inventory_settling_when_closed", {"settling": True}),
    ("inventory_max_seats_range", {"max_seats": 0}),
    ("inventory_max_seats_range", {"max_seats": 501}),
    ("inventory_hold_seconds_range", {"hold_seconds": 0}),
    ("inventory_hold_seconds_range", {"hold_seconds": 86_401}),
    ("seats_status_known", {"status": b"Q", "booking_id": None, "held_until": None}),
    ("seats_owned_when_taken", {"booking_id": None}),
    ("seats_owned_when_taken", {"status": b"B", "booking_id": None, "held_until": None}),
    ("seats_owned_when_taken", {"status": b"A", "held_until": None}),
    ("seats_owned_when_taken", {"status": b"X", "held_until": None}),
    ("seats_time_when_reserved", {"held_until": None}),
    ("seats_time_when_reserved", {"status": b"B"}),
    ("seats_time_when_reserved", {"status": b"A", "booking_id": None}),
    ("bookings_status_known", {**FAILED, "status": "LOST", "reason": None}),
    ("bookings_reason_known", {**FAILED, "reason": "bad_weather"}),
    ("bookings_reason_when_ended", {"reason": "released"}),
    ("bookings_reason_when_ended", {**CONFIRMED, "reason": "released"}),
    ("bookings_reason_when_ended", {**FAILED, "reason": None}),
    ("bookings_reason_when_ended", {**CANCELLED, "reason": None}),
    ("bookings_expiry_when_pending", {"expires_at": None}),
    ("bookings_expiry_when_pending", {**CONFIRMED, "expires_at": LATER}),
    ("bookings_expiry_when_pending", {**FAILED, "expires_at": LATER}),
    ("bookings_settled_unless_pending", {"settled_at": NOW}),
    ("bookings_settled_unless_pending", {**CONFIRMED, "settled_at": None}),
    ("bookings_settled_unless_pending", {**FAILED, "settled_at": None}),
    ("bookings_confirmed_at", {"confirmed_at": NOW}),
    ("bookings_confirmed_at", {**CONFIRMED, "confirmed_at": None}),
    ("bookings_confirmed_at", {**CANCELLED, "confirmed_at": None}),
    ("bookings_confirmed_at", {**FAILED, "confirmed_at": NOW}),
    ("bookings_release_of_holds", {"release_at": NOW}),
    ("bookings_release_of_holds", {"release_at": None}),
    ("bookings_release_of_holds", {**CONFIRMED, "release_at": LATER}),
    ("bookings_release_of_holds", {**CANCELLED, "release_at": LATER}),
    ("bookings_seat_count", {"seats": []}),
    ("bookings_seat_count", {"seats": [0, 1]}),
    ("bookings_seat_count", {**CONFIRMED, "seats": []}),
    ("bookings_seat_count", {**FAILED, "seats": [0, 1]}),
    ("bookings_seat_count_positive", {**FAILED, "seats": [], "seat_count": 0}),
    ("bookings_amount_positive", {"amount_cents": -1}),
    ("outbox_seq_positive", {"seq": 0}),
    ("outbox_events_positive", {"events": 0}),
    ("webhooks_id_range", {"id": 0}),
    ("deliveries_status_known", {"status": "lost"}),
    ("booking_requests_cause_when_dead", {"dead_at": NOW}),
    ("booking_requests_cause_when_dead", {"cause": "a bug"}),
    ("booking_requests_deliveries", {"deliveries": -1}),
    ("event_readers_known", {"name": "nobody"}),
]
GOOD_VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((table, {}) for table in GOOD),
    ("shows", {"id": SHOW_ID_MAX, "kind": "trip", "end_time": None}),
    ("inventory", {"closed": True, "settling": True, "hold_seconds": None}),
    ("seats", {"status": b"B", "held_until": None}),
    ("seats", {"status": b"A", "booking_id": None, "held_until": None}),
    ("seats", {"status": b"X", "booking_id": None, "held_until": None}),
    ("bookings", CONFIRMED),
    ("bookings", CANCELLED),
    ("bookings", FAILED),
    ("bookings", {**FAILED, "release_at": NOW}),
    ("bookings", {**FAILED, "seats": [], "seat_count": 3}),
    ("bookings", {**FAILED, "reason": "dropped"}),
    ("booking_requests", {"dead_at": NOW, "cause": "a bug", "deliveries": 5}),
]


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a fresh database."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def insert(connection: asyncpg.Connection, table: str, changes: dict[str, Any]) -> None:
    """Insert a row that differs from the good one by `changes`."""
    row = GOOD[table] | changes
    places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await connection.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})",
        *row.values(),
    )


def table_of(constraint: str) -> str:
    """Constraints begin with their table's name."""
    return max((table for table in GOOD if constraint.startswith(f"{table}_")), key=len)


async def refusals(connection: asyncpg.Connection, constraint: str) -> list[BaseException | None]:
    """What comes of each bad row of a constraint."""
    found: list[BaseException | None] = []
    for name, changes in BAD:
        if name == constraint:
            try:
                async with connection.transaction():
                    await insert(connection, table_of(name), changes)
            except asyncpg.PostgresError as error:
                found.append(error)
            else:
                found.append(None)
    return found


@pytest.mark.parametrize("constraint", sorted({name for name, _ in BAD}))
async def test_a_bad_state_is_refused_by_its_name(connection: asyncpg.Connection, constraint: str) -> None:
    """A slip in the code, or a hand in the database, could leave a seat sold to nobody, or to two."""
    errors = await refusals(connection, constraint)
    assert [error and broken_constraint(error) for error in errors] == [constraint] * len(errors)
    assert {diagnose(error) for error in errors if error} == {Trouble.OURS}


async def test_good_states_are_not_refused(connection: asyncpg.Connection) -> None:
    """A constraint too strict would refuse bookings that are right."""
    for table, changes in GOOD_VARIANTS:
        async with connection.transaction():
            await connection.execute(f"DELETE FROM {table}")  # what a migration has put there
            await insert(connection, table, changes)
            await connection.execute(f"DELETE FROM {table}")


async def test_every_check_is_tried(connection: asyncpg.Connection) -> None:
    """A rule could be in the schema for show."""
    rows = await connection.fetch(
        "SELECT conname FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
    )
    folder = Path(rowlock.__file__).parent / "postgres" / "migrations" / "versions"
    steps = "".join(step.read_text() for step in folder.glob("0*.py"))
    written = set(re.findall(r"CONSTRAINT (\w+)\s+CHECK", steps))
    assert written == {name for name, _ in BAD}
    assert written <= {row["conname"] for row in rows}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("shows", "shows_pkey"),
        ("inventory", "inventory_pkey"),
        ("seats", "seats_pkey"),
        ("bookings", "bookings_pkey"),
    ],
)
async def test_nothing_is_there_twice(connection: asyncpg.Connection, table: str, key: str) -> None:
    """One seat could have two rows, and so two owners."""
    await insert(connection, table, {})
    with pytest.raises(asyncpg.UniqueViolationError) as caught:
        await insert(connection, table, {})
    assert broken_constraint(caught.value) == key
    assert diagnose(caught.value) is Trouble.OURS


async def test_a_missing_value_names_no_constraint(connection: asyncpg.Connection) -> None:
    """A NOT NULL would be taken for a rule of ours."""
    with pytest.raises(asyncpg.NotNullViolationError) as caught:
        await insert(connection, "bookings", {"user_id": None})
    assert broken_constraint(caught.value) is None
    assert diagnose(caught.value) is Trouble.OURS


async def test_passing_trouble_is_told_from_ours(connection: asyncpg.Connection, dsn: str) -> None:
    """A booking would fail for good where a second try had done, or be tried forever."""
    with pytest.raises(asyncpg.QueryCanceledError) as slow:
        await connection.execute("SET statement_timeout = 20; SELECT pg_sleep(5)")
    assert diagnose(slow.value) is Trouble.PASSING
    with pytest.raises(asyncpg.UndefinedTableError) as missing:
        await connection.execute("SELECT * FROM no_such_table")
    assert diagnose(missing.value) is Trouble.OURS
    other = await asyncpg.connect(dsn)
    await insert(other, "inventory", {})
    async with other.transaction():
        await other.execute("SELECT FROM inventory FOR UPDATE")
        with pytest.raises(asyncpg.LockNotAvailableError) as locked:
            await connection.execute("SET lock_timeout = 20; SELECT FROM inventory FOR UPDATE")
    assert diagnose(locked.value) is Trouble.PASSING
    await connection.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())
    # Which of these it is depends on how far the news has come.
    broken = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
    with pytest.raises(broken) as ended:
        await other.execute("SELECT 1")
    assert diagnose(ended.value) is Trouble.DISCONNECTED
    assert broken_constraint(ended.value) is None
    other.terminate()


@pytest.mark.parametrize(
    ("sqlstate", "trouble"),
    [
        ("40001", Trouble.PASSING),
        ("40P01", Trouble.PASSING),
        ("55P03", Trouble.PASSING),
        ("57014", Trouble.PASSING),
        ("53300", Trouble.SHORT),
        ("53100", Trouble.SHORT),
        ("57P01", Trouble.DISCONNECTED),
        ("57P03", Trouble.DISCONNECTED),
        ("08006", Trouble.DISCONNECTED),
        ("58030", Trouble.DISCONNECTED),
        ("25006", Trouble.DISCONNECTED),
        ("25P03", Trouble.DISCONNECTED),
        ("26000", Trouble.DISCONNECTED),
        ("23514", Trouble.OURS),
        ("22P02", Trouble.OURS),
        ("42P01", Trouble.OURS),
        ("XX000", Trouble.OURS),
    ],
)
def test_an_sqlstate_has_one_meaning(sqlstate: str, trouble: Trouble) -> None:
    """A fail-over would end in errors, or a bug in endless retries."""
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "any language", "S": "ERROR"})
    assert diagnose(error) is trouble


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.InterfaceError("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_broken_line_is_a_lost_connection(error: Exception) -> None:
    """A pulled cable would be taken for a bug, and its bookings fail."""
    assert diagnose(error) is Trouble.DISCONNECTED
    assert diagnose(ValueError()) is Trouble.OURS
