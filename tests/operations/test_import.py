"""Moving over from a predecessor: all of it, or nothing and every bad line by name."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from typer.testing import CliRunner

from rowlock import cli_data
from rowlock.domain.outcomes import Outcome
from rowlock.operations import import_bookings as import_module
from rowlock.operations.bulk import write_shows
from rowlock.operations.context import Context
from rowlock.operations.find_bookings import find_booking, list_bookings
from rowlock.operations.find_shows import find_show
from rowlock.operations.import_bookings import Imported, ImportRefused, import_bookings
from rowlock.operations.import_csv import PROBLEMS_MAX
from rowlock.operations.verify import verify
from rowlock.operations.views import BookingView
from rowlock.postgres.pool import Database
from rowlock.settings import Settings
from rowlock.workers.sweeper import Sweeper
from tests.support import make_show, try_book

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC).replace(microsecond=0)
SOON = (NOW + timedelta(hours=1)).isoformat()
SHOWS = """id,name,start_time,total_seats
3,Rock Concert 2025,2025-12-25T19:00:00Z,40
7,"Ballet, in three acts",2031-01-01 20:00:00+01,10
"""
BOOKINGS = f"""id,show_id,status,seat_nos,user_id,created_at,expires_at
1,3,CONFIRMED,"{{1,2,3}}",ada,2025-11-01 10:00:00.25+00,
2,3,PENDING,7 8,bo,2025-11-01T10:00:00,{SOON}
3,3,PENDING,4,cy,2025-11-01T10:00:00Z,2025-11-01T10:02:00Z
4,3,FAILED,1;9,di,2025-11-01T12:00:00+02:00,
5,7,CANCELLED,"5,6",eve,,
6,7,confirmed,"{{""10""}}",eve,,
"""


class Mover:
    """Writes the files, and imports them."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.dsn = dsn

    def write(self, shows: str, bookings: str, encoding: str = "utf-8") -> tuple[Path, Path]:
        """The two files."""
        paths = (self.folder / "shows.csv", self.folder / "bookings.csv")
        for path, text in zip(paths, (shows, bookings), strict=True):
            path.write_text(text, encoding=encoding)
        return paths

    async def move(self, shows: str, bookings: str, *, source: str = "box office") -> Imported:
        """Import."""
        return await import_bookings(
            Database(self.dsn), *self.write(shows, bookings), source=source, sweep_seconds=5
        )

    async def refused(self, shows: str, bookings: str) -> list[str]:
        """Why an import was refused; nothing of it is there."""
        with pytest.raises(ImportRefused) as caught:
            await self.move(shows, bookings)
        connection = await asyncpg.connect(self.dsn)
        left = await connection.fetchval(
            "SELECT (SELECT count(*) FROM shows) + (SELECT count(*) FROM inventory) + (SELECT count(*) FROM seats)"
            " + (SELECT count(*) FROM bookings)"
        )
        await connection.close()
        assert left == 0
        return caught.value.problems


@pytest.fixture
def mover(tmp_path: Path, dsn: str) -> Mover:
    """Moves into a fresh database."""
    return Mover(tmp_path, dsn)


async def by_old_id(context: Context) -> dict[str, BookingView]:
    """The bookings that were brought over, by their old ids."""
    rows = await context.pool.fetch("SELECT id, import_id FROM bookings")
    return {row["import_id"]: await find_booking(context, row["id"]) for row in rows}


async def test_shows_and_bookings_come_over(context: Context, mover: Mover) -> None:
    """Someone's ticket would be lost in the move, or their seat be sold again."""
    assert await mover.move(SHOWS, BOOKINGS) == Imported(shows=2, bookings=6, seats=50)
    assert (await verify(Database(mover.dsn), sweep_seconds=5)).passed
    ids = {
        row["import_id"]: row["id"]
        for row in await context.pool.fetch(
            "SELECT id, import_id FROM shows WHERE import_source = 'box office'"
        )
    }
    rock, ballet = await find_show(context, ids["3"]), await find_show(context, ids["7"])
    assert (rock.available_seats, rock.reserved_seats, rock.booked_seats) == (35, 2, 3)
    assert (ballet.name, ballet.start_time.hour, ballet.booked_seats) == ("Ballet, in three acts", 19, 1)
    assert (rock.max_seats_per_booking, ballet.max_seats_per_booking) == (40, 10)
    was = await by_old_id(context)
    assert [(key, was[key].status.value, was[key].reason, was[key].seats) for key in sorted(was)] == [
        ("1", "CONFIRMED", None, ["1", "2", "3"]),
        ("2", "PENDING", None, ["7", "8"]),
        ("3", "FAILED", "hold_expired", ["4"]),
        ("4", "FAILED", "seats_taken", ["1", "9"]),
        ("5", "CANCELLED", "cancelled_by_admin", ["5", "6"]),
        ("6", "CONFIRMED", None, ["10"]),
    ]
    assert was["1"].created_at == datetime(2025, 11, 1, 10, 0, 0, 250_000, tzinfo=UTC)
    assert was["2"].created_at == was["4"].created_at == datetime(2025, 11, 1, 10, tzinfo=UTC)
    assert was["2"].expires_at == NOW + timedelta(hours=1)
    assert (await try_book(context, ids["3"], ["2"])).outcome is Outcome.SEATS_TAKEN
    assert (await try_book(context, ids["3"], ["4"])).outcome is Outcome.CONFIRMED
    assert len((await list_bookings(context, user_id="eve")).items) == 2


async def test_counts_get_the_best_seats_in_order(context: Context, mover: Mover) -> None:
    """Predecessor 2 knows only how many: those who came first would sit behind those who came last."""
    shows = "id,name,start_time,total_seats\n1,Movie Name,2024-03-20T18:00:00Z,10\n"
    bookings = (
        "id,show_id,seat_count,status,created_at\n"
        "1,1,4,CONFIRMED,2024-03-19T10:05:00Z\n"
        "2,1,2,CONFIRMED,2024-03-19T10:00:00Z\n"
        "3,1,9,FAILED,2024-03-19T10:06:00Z\n"
        "4,1,3,PENDING,2024-03-19T10:07:00Z\n"
    )
    await mover.move(shows, bookings)
    was = await by_old_id(context)
    assert was["2"].seats == ["5", "6"]
    assert len(was["1"].seats) == 4
    assert (was["3"].reason, was["3"].seats, was["3"].seat_count) == ("not_enough_seats", [], 9)
    assert (was["4"].reason, was["4"].seat_count) == ("hold_expired", 3)
    assert was["1"].user_id == "imported"
    assert (await verify(Database(mover.dsn), sweep_seconds=5)).passed


async def test_names_stand_for_users(context: Context, mover: Mover) -> None:
    """Predecessor 4's people would not find their bookings."""
    bookings = 'id,show_id,user_name,status,seats\nx1,7,Maya,CONFIRMED,"{1,2}"\n'
    await mover.move(SHOWS, bookings)
    (booking,) = (await list_bookings(context, user_id="Maya")).items
    assert (booking.customer_name, booking.seats) == ("Maya", ["1", "2"])


async def test_every_bad_line_is_named(mover: Mover) -> None:
    """A night would be spent on finding one bad line after the other."""
    shows = (
        "id,name,start_time,total_seats,kind\n"
        "1,One,2025-01-01,10,show\n"
        "2,,2025-01-01,10,\n"
        "3,Three,soon,0,circus\n"
        "1,Again,2025-01-01,10,trip\n"
        "5,Short,2025-01-01\n"
    )
    bookings = (
        "id,show_id,status,seat_nos,created_at,expires_at\n"
        "1,1,CONFIRMED,1 2,,\n"
        "2,1,CONFIRMED,2 3,,\n"
        "3,1,CONFIRMED,99,,\n"
        "4,1,SOLD,4,,\n"
        "1,1,FAILED,4,,\n"
        "6,1,CONFIRMED,,,\n"
        "7,1,PENDING,5 5,,\n"
        "8,1,CONFIRMED,6,2999-01-01,\n"
        "9,1,PENDING,7,2025-01-02,2025-01-01\n"
        '10,1,FAILED,"8\n9",,\n'
        "11,1,FAILED,8,yesterday,\n"
        "12,1,CANCELLED,,,\n"
        "13,1,CONFIRMED,05,,\n"
    )
    assert sorted(await mover.refused(shows, bookings)) == sorted(
        [
            "shows.csv:3: name: is empty",
            "shows.csv:4: kind: 'circus' is neither show nor trip",
            "shows.csv:4: start_time: 'soon' is no time such as 2026-03-20T18:00:00Z",
            "shows.csv:4: total_seats: '0' is no number from 1 to 100,000",
            "shows.csv:5: id: show 1 stands at shows.csv:2, too",
            "shows.csv:6: has 3 columns, the header 5",
            "bookings.csv:3: seat_nos: seat 2 of show 1 is booking 1's (bookings.csv:2)",
            "bookings.csv:4: seat_nos: seat 99 is not in show 1",
            "bookings.csv:5: status: SOLD is none of PENDING, CONFIRMED, FAILED, CANCELLED",
            "bookings.csv:6: id: booking 1 stands at bookings.csv:2, too",
            "bookings.csv:7: seat_nos: a CONFIRMED booking needs its seats",
            "bookings.csv:8: seat_nos: names seat 5 twice",
            "bookings.csv:9: created_at: 2999-01-01 00:00:00+00:00 is still to come",
            "bookings.csv:10: expires_at: is not after created_at",
            "bookings.csv:13: created_at: 'yesterday' is no time such as 2026-03-20T18:00:00Z",
            "bookings.csv:14: seat_nos: a CANCELLED booking needs its seats",
            "bookings.csv:15: seat_nos: seat 05 is not in show 1",
        ]
    )


async def test_a_bad_line_hides_no_other_fault(mover: Mover) -> None:
    """The second try would fail of what the first could have named, and the night be over."""
    shows = (
        "id,name,start_time,total_seats\n"
        "1,,2025-01-01,10\n"
        "2,Two,2025-01-01,none\n"
        "2,Again,soon,10\n"
        "3,Three,0001-01-01,10\n"
        "4,Four,9999-12-31T23:59:59.999999Z,10\n"
    )
    bookings = (
        "id,show_id,status,seats,user_id,created_at,expires_at\n"
        "1,1,CONFIRMED,99,,,\n"
        "2,2,CONFIRMED,99,,,\n"
        "3,9,CONFIRMED,1,,,\n"
        "1,1,SOLD,98 1,,,\n"
        "5,1,CONFIRMED,2,,,\n"
        "6,1,CONFIRMED,2,a\u2028b,,\n"
        "7,1,PENDING,3,,later,2025-01-01\n"
        "8,9,PENDING,3,,0001-01-01,9999-12-31T23:59:59-01:00\n"
    )
    assert sorted(await mover.refused(shows, bookings)) == sorted(
        [
            "shows.csv:2: name: is empty",
            "shows.csv:3: total_seats: 'none' is no number from 1 to 100,000",
            "shows.csv:4: id: show 2 stands at shows.csv:3, too",
            "shows.csv:4: start_time: 'soon' is no time such as 2026-03-20T18:00:00Z",
            "shows.csv:5: start_time: '0001-01-01' is not in the years 2 to 9998",
            "shows.csv:6: start_time: '9999-12-31T23:59:59.999999Z' is not in the years 2 to 9998",
            "bookings.csv:2: seats: seat 99 is not in show 1",
            "bookings.csv:4: show_id: show 9 is not in the file of shows",
            "bookings.csv:5: id: booking 1 stands at bookings.csv:2, too",
            "bookings.csv:5: seats: seat 98 is not in show 1",
            "bookings.csv:5: status: SOLD is none of PENDING, CONFIRMED, FAILED, CANCELLED",
            "bookings.csv:7: seats: seat 2 of show 1 is booking 5's (bookings.csv:6)",
            "bookings.csv:7: user_id: has a line break or another control character in it",
            "bookings.csv:8: created_at: 'later' is no time such as 2026-03-20T18:00:00Z",
            "bookings.csv:9: created_at: '0001-01-01' is not in the years 2 to 9998",
            "bookings.csv:9: expires_at: '9999-12-31T23:59:59-01:00' is not in the years 2 to 9998",
            "bookings.csv:9: show_id: show 9 is not in the file of shows",
        ]
    )


async def test_texts_are_as_long_as_the_api_allows(context: Context, mover: Mover) -> None:
    """What came over could be read, and never be saved again."""
    header = "id,name,start_time,total_seats,venue\n"
    assert await mover.refused(
        f"{header}1,{'n' * 201},2025-01-01,10,{'v' * 201}\n2,a\u200bb,2025-01-01,10,\n",
        f"id,show_id,status,user_id,user_name\n1,1,FAILED,{'u' * 256},{'m' * 201}\n",
    ) == [
        "shows.csv:2: name: is longer than 200 characters",
        "shows.csv:2: venue: is longer than 200 characters",
        "shows.csv:3: name: has an invisible character in it",
        "bookings.csv:2: user_name: is longer than 200 characters",
        "bookings.csv:2: user_id: is longer than 255 characters",
    ]
    made = await mover.move(
        f"{header}1,{'n' * 200},0002-01-01,10,{'v' * 200}\n",
        f"id,show_id,status,user_id,user_name\n1,1,FAILED,{'u' * 255},{'m' * 200}\n",
    )
    assert made.bookings == 1


async def test_semicolons_between_columns(context: Context, mover: Mover) -> None:
    """What Excel saves in half of Europe would be refused."""
    shows = "id;name;start_time;total_seats\n7;Ballet, in three acts;2031-01-01;10\n"
    bookings = 'id;show_id;status;seats\n1;7;CONFIRMED;"1;2"\n2;7;CONFIRMED;3,4\n'
    assert (await mover.move(shows, bookings)).bookings == 2
    assert {key: was.seats for key, was in (await by_old_id(context)).items()} == {
        "1": ["1", "2"],
        "2": ["3", "4"],
    }


async def test_shows_that_are_missing_or_too_small(mover: Mover) -> None:
    """Bookings would be dropped for want of a show, or two people share a seat for want of two."""
    bookings = "id,show_id,seat_count,status\n1,8,1,CONFIRMED\n2,7,11,CONFIRMED\n3,7,x,CONFIRMED\n"
    assert await mover.refused(SHOWS, bookings) == [
        "bookings.csv:4: seat_count: 'x' is no number from 1 to 100,000",
        "bookings.csv:2: show_id: show 8 is not in the file of shows",
        "bookings.csv:3: seat_count: 11 seats, and 10 left in show 7",
    ]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("id,show_id", "bookings.csv:1: the header has no status; it needs id, show_id, status"),
        ("id,show_id,status,status", "bookings.csv:1: status comes twice"),
        ("id,show_id,status,seats,seat_nos", "bookings.csv:1: seat_nos comes twice"),
        (
            "id,show_id,status,expire_at",
            "bookings.csv:1: there is no column 'expire_at'; known are id, show_id, ",
        ),
    ],
)
async def test_headers_are_checked(mover: Mover, header: str, problem: str) -> None:
    """A mistyped column would be left out, and every hold with it."""
    (found,) = await mover.refused(SHOWS, header + "\n1,3,FAILED\n")
    assert found.startswith(problem)


async def test_an_empty_file_has_no_header(mover: Mover) -> None:
    """An export that failed would count as a move of nothing."""
    assert len(await mover.refused("", "id,show_id,status\n")) == 4


async def test_files_that_are_no_csv(mover: Mover, tmp_path: Path) -> None:
    """A spreadsheet, another encoding or a cut-off file would come over as gibberish."""
    shows, bookings = mover.write(SHOWS, 'id,show_id,status\n1,3,"CONF')
    database = Database(mover.dsn)
    with pytest.raises(ImportRefused) as caught:
        await import_bookings(database, shows, bookings, source="s", sweep_seconds=5)
    assert caught.value.problems == ["bookings.csv:2: unexpected end of data"]
    bookings.write_bytes(
        b"id,show_id,status,user_name,seats\n"
        + b"0,3,FAILED,,\n" * 500
        + b"1,3,FAILED,Zo\xeb,99\n2,3,SOLD,,\n"
    )
    with pytest.raises(ImportRefused) as caught:
        await import_bookings(database, shows, bookings, source="s", sweep_seconds=5)
    assert "bookings.csv:502: is not UTF-8 (byte 0xEB)" in caught.value.problems
    shows.write_bytes(b"\xff\xfe" + SHOWS.encode("utf-16-le"))
    bookings.write_text('id,show_id,status\n1,3,"CON"F\n2,3,SOLD\n')
    with pytest.raises(ImportRefused) as caught:
        await import_bookings(database, shows, bookings, source="s", sweep_seconds=5)
    found = [line for line in caught.value.problems if line.startswith("bookings")]
    assert found == [
        "bookings.csv:2: ',' expected after '\"'",
        "bookings.csv:3: status: SOLD is none of PENDING, CONFIRMED, FAILED, CANCELLED",
    ]
    assert caught.value.problems[0] == "shows.csv:1: is not UTF-8 (byte 0xFF)"
    with pytest.raises(ImportRefused) as caught:
        await import_bookings(database, tmp_path / "none.csv", shows, source="s", sweep_seconds=5)
    assert "none.csv: can't be read: No such file or directory" in caught.value.problems[0]


async def test_many_bad_lines_are_counted_and_some_listed(mover: Mover) -> None:
    """A file with the wrong separator would fill the screen."""
    lines = "".join(f"{n},3,NO,,\n" for n in range(1_000))
    with pytest.raises(ImportRefused) as caught:
        await mover.move(SHOWS, "id,show_id,status,seats,user_id\n" + lines)
    assert (len(caught.value.problems), caught.value.count) == (PROBLEMS_MAX, 1_000)


async def test_a_byte_order_mark_is_no_part_of_the_header(mover: Mover) -> None:
    """What Excel saves would be refused."""
    paths = mover.write(SHOWS, BOOKINGS, "utf-8-sig")
    done = await import_bookings(Database(mover.dsn), *paths, source="excel", sweep_seconds=5)
    assert done.bookings == 6


async def test_twice_is_refused(context: Context, mover: Mover) -> None:
    """An impatient second try would double every show, and every ticket be sold again."""
    await mover.move(SHOWS, BOOKINGS)
    with pytest.raises(ImportRefused) as caught:
        await mover.move(SHOWS, BOOKINGS)
    assert caught.value.problems[0].startswith(
        "shows.csv:2: id: show 3 of 'box office' is here already, as show "
    )
    assert await context.pool.fetchval("SELECT count(*) FROM shows") == 2
    await mover.move(SHOWS, BOOKINGS, source="another system with the same ids")
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 12


async def test_a_failure_halfway_leaves_nothing(context: Context, mover: Mover) -> None:
    """Half a move would be in the way of the whole one."""
    await context.pool.execute("ALTER TABLE inventory ADD CONSTRAINT broken CHECK (total < 40)")
    mover.write(SHOWS, BOOKINGS)
    with pytest.raises(asyncpg.CheckViolationError):
        await mover.move(SHOWS, BOOKINGS)
    for table in ("shows", "inventory", "seats", "bookings"):
        assert await context.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_what_breaks_a_rule_is_not_imported(
    context: Context, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the import itself would be sold on top of, and be found at the door."""

    async def write_wrongly(connection: asyncpg.Connection, *rows: Any) -> None:
        await write_shows(connection, *rows)
        await connection.execute("UPDATE bookings SET amount_cents = 1 WHERE import_id = '1'")

    monkeypatch.setattr(import_module, "write_shows", write_wrongly)
    (found,) = await mover.refused(SHOWS, BOOKINGS)
    assert found.startswith("amounts: show ")


async def test_other_peoples_faults_refuse_no_import(
    context: Context, mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move would fail for a hold that somebody else's server has not swept."""
    first, between, last = [await make_show(context, 10) for _ in range(3)]
    await context.pool.execute("DELETE FROM shows WHERE id IN ($1, $2)", first, last)
    for table in ("inventory", "seats"):
        await context.pool.execute(f"DELETE FROM {table} WHERE show_id IN ($1, $2)", first, last)
    await context.pool.execute(
        "UPDATE inventory SET available = 9, blocked = 1, version = 1 WHERE show_id = $1", between
    )

    async def around(*_: object) -> list[int]:
        return [first, last]

    monkeypatch.setattr(import_module, "new_show_ids", around)
    assert (await mover.move(SHOWS, BOOKINGS)).shows == 2
    report = await verify(Database(mover.dsn), sweep_seconds=5)
    assert [(f.rule.name, f.offences[0].show_id) for f in report.findings if f.count] == [("counts", between)]


async def test_failed_history_is_kept(context: Context, mover: Mover) -> None:
    """What was brought over would be gone seconds after the move."""
    await mover.move(SHOWS, BOOKINGS)
    assert (await Sweeper(context, 0.001).run_once()).pruned == 0
    assert await context.pool.fetchval("SELECT count(*) FROM bookings WHERE status = 'FAILED'") == 2
    await context.pool.execute("UPDATE bookings SET import_id = NULL")
    assert (await Sweeper(context, 0.001).run_once()).pruned == 2


def test_the_command(mover: Mover) -> None:
    """A script could not tell whether the move went well."""

    @contextlib.contextmanager
    def database() -> Iterator[Settings]:
        yield Settings(database_url=mover.dsn)

    app = typer.Typer()
    cli_data.register(app, database)
    shows, bookings = mover.write(SHOWS, BOOKINGS)
    result = CliRunner().invoke(app, ["import", str(shows), str(bookings)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("2 shows, 50 seats and 6 bookings imported in ")
    assert result.output.endswith("PASS\n")
    again = CliRunner().invoke(app, ["import", str(shows), str(bookings)])
    assert again.exit_code == 2
    assert again.stderr.splitlines()[-1] == "rowlock: nothing was imported: 2 problems"


def test_an_old_fault_does_not_spoil_the_exit_code(mover: Mover) -> None:
    """A move that went well would be undone by a script, for a hold that lapsed while no server ran."""

    @contextlib.contextmanager
    def database() -> Iterator[Settings]:
        yield Settings(database_url=mover.dsn)

    async def plant() -> None:
        connection = await asyncpg.connect(mover.dsn)
        await connection.execute("INSERT INTO seats (show_id, seat_no) VALUES (9999, 0)")
        await connection.close()

    asyncio.run(plant())
    app = typer.Typer()
    cli_data.register(app, database)
    result = CliRunner().invoke(app, ["import", *map(str, mover.write(SHOWS, BOOKINGS))])
    assert result.exit_code == 0, result.output
    assert "show 9999: has seats, but is no show" in result.output
    assert result.output.splitlines()[-2:] == [
        "FAIL",
        "The import itself passed its audit, and is done: FAIL is about the whole database.",
    ]
