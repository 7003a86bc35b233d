"""The exports in docs/moving.md, run on the tables that they assume, and imported."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg
import pytest

from rowlock.operations.import_bookings import import_bookings
from rowlock.operations.verify import verify
from rowlock.postgres.pool import Database

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "moving.md"
SHOWS = (
    "CREATE TABLE shows (id serial PRIMARY KEY, name text, start_time timestamp, total_seats int, "
    "created_at timestamptz DEFAULT now());"
    "INSERT INTO shows (name, start_time, total_seats) VALUES ('One, two', '2025-12-25 19:00', 40), ('Three', now(), 10);"
)
BOOKING = "id serial PRIMARY KEY, show_id int, created_at timestamptz DEFAULT now() - interval '1 h'"
# The tables of each predecessor, as far as its README tells them, with a confirmed booking of two seats and a failed one.
TABLES = {
    "0": f"CREATE TABLE bookings ({BOOKING}, user_id text, status text, seat_numbers int[]);"
    "INSERT INTO bookings (show_id, user_id, status, seat_numbers) VALUES (1, 'ada', 'confirmed', '{3,4}'), "
    "(1, 'bo', 'failed', '{3}');",
    "1": "CREATE TABLE seats (id serial PRIMARY KEY, show_id int, seat_no text, status text);"
    "INSERT INTO seats (show_id, seat_no, status) SELECT s, n::text, 'AVAILABLE' FROM generate_series(1, 2) s, "
    "generate_series(1, 10) n;"
    f"CREATE TABLE bookings ({BOOKING}, user_id text, status text, expires_at timestamptz);"
    "CREATE TABLE booking_seats (booking_id int, seat_id int);"
    "INSERT INTO bookings (show_id, user_id, status) VALUES (1, 'ada', 'CONFIRMED'), (1, 'bo', 'FAILED');"
    "INSERT INTO booking_seats VALUES (1, 3), (1, 4), (2, 3);",
    "2": f"CREATE TABLE bookings ({BOOKING}, seat_count int, status text);"
    "INSERT INTO bookings (show_id, seat_count, status) VALUES (1, 2, 'CONFIRMED'), (1, 41, 'FAILED');",
    "3": f"CREATE TABLE bookings ({BOOKING}, user_id text, status text);"
    "CREATE TABLE seats (show_id int, seat_number int, booking_id int);"
    "INSERT INTO bookings (show_id, user_id, status) VALUES (1, 'ada', 'Confirmed'), (1, 'bo', 'Failed');"
    "INSERT INTO seats VALUES (1, 3, 1), (1, 4, 1), (1, 5, NULL);",
    "4": f"CREATE TABLE bookings ({BOOKING}, user_name text, status text, expires_at timestamptz);"
    "CREATE TABLE booking_seats (booking_id int, show_id int, seat_number int, UNIQUE (show_id, seat_number));"
    "INSERT INTO bookings (show_id, user_name, status) VALUES (1, 'Maya', 'CONFIRMED'), (1, 'Bo', 'FAILED');"
    "INSERT INTO booking_seats VALUES (1, 1, 3), (1, 1, 4);",
}


@pytest.mark.parametrize("predecessor", TABLES)
async def test_the_documented_exports_can_be_imported(
    empty_dsn: str, dsn: str, tmp_path: Path, *, predecessor: str
) -> None:
    """Whoever moves would find out at the night of the move that the documented way is none."""
    section = PAGE.read_text().split(f"### Predecessor {predecessor}\n")[1].split("\n### ")[0]
    exports = re.findall(r"^\\copy \((.*)\) TO '(\w+\.csv)' CSV HEADER$", section, re.MULTILINE)
    assert [name for _, name in exports] == ["shows.csv", "bookings.csv"]
    old = await asyncpg.connect(empty_dsn)
    await old.execute(SHOWS + TABLES[predecessor])
    for query, name in exports:
        await old.copy_from_query(query, output=str(tmp_path / name), format="csv", header=True)
    await old.close()
    database = Database(dsn)
    made = await import_bookings(
        database, tmp_path / "shows.csv", tmp_path / "bookings.csv", source="old", sweep_seconds=5
    )
    assert (made.shows, made.bookings) == (2, 2)
    assert (await verify(database, sweep_seconds=5)).passed
    new = await asyncpg.connect(dsn)
    rows = await new.fetch("SELECT status, cardinality(seats) AS seats FROM bookings ORDER BY import_id")
    await new.close()
    assert (rows[0]["status"], rows[0]["seats"], rows[1]["status"]) == ("CONFIRMED", 2, "FAILED")
