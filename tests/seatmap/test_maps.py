"""Seat maps: whatever order the news comes in, what is shown is what holds, and memory stays bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.domain.outcomes import Outcome
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database, create_pool
from rowlock.seatmap.changes import Change
from rowlock.seatmap.maps import Maps, SeatMap
from rowlock.seatmap.reading import SQL
from tests.support import make_show, try_book

LETTERS = "ARBX"
SEATS = 8


def history(steps: Sequence[dict[int, str]]) -> tuple[list[Change], list[str]]:
    """The changes that `steps` are, and the map at each version from 1 on."""
    letters = ["A"] * SEATS
    changes, shown = [], ["A" * SEATS]
    for version, step in enumerate(steps, 2):
        for seat, letter in step.items():
            letters[seat] = letter
        text = "".join(letters)
        changes.append(Change(7, version, text.count("A"), tuple(step), "".join(step.values())))
        shown.append(text)
    return changes, shown


def loaded(text: str = "A" * SEATS, version: int = 1) -> SeatMap:
    """A map that was read at `version`."""
    seat_map = SeatMap(7)
    seat_map.replace(version, text.count("A"), text.encode())
    return seat_map


STEPS = st.lists(
    st.dictionaries(st.integers(0, SEATS - 1), st.sampled_from(LETTERS), min_size=1), min_size=1, max_size=12
)


@given(STEPS, st.data())
def test_any_order_ends_alike(steps: list[dict[int, str]], data: st.DataObject) -> None:
    """Two processes' news cross on their way: a seat would be shown free for good that is sold."""
    changes, shown = history(steps)
    told = data.draw(st.lists(st.sampled_from(changes), max_size=30))  # in any order, often, with gaps
    readings = data.draw(st.lists(st.tuples(st.integers(0, len(told)), st.integers(0, len(steps)))))
    seat_map = loaded()
    folded = list(shown[0])
    versions = [1]

    def listen(before: int, differing: Sequence[tuple[int, str]]) -> None:
        assert before == versions[-1]
        for seat, letter in differing:
            folded[seat] = letter
        assert "".join(folded) == seat_map.statuses
        assert seat_map.version > before
        versions.append(seat_map.version)

    seat_map.listeners.add(listen)
    for n in range(len(told) + 1):
        for at, index in readings:
            if at == n:
                seat_map.replace(index + 1, shown[index].count("A"), shown[index].encode())
                assert seat_map.version >= index + 1
        if n < len(told):
            seat_map.take(told[n])
        assert seat_map.statuses == shown[seat_map.version - 1]
        assert seat_map.available == seat_map.statuses.count("A")
    for change in changes:
        seat_map.take(change)
    assert (seat_map.version, seat_map.statuses) == (len(shown), shown[-1])
    assert not seat_map.waiting
    assert versions == sorted(set(versions))


@given(STEPS, st.data())
def test_changes_before_the_first_reading_wait(steps: list[dict[int, str]], data: st.DataObject) -> None:
    """A map that is asked for in a stampede would miss what is sold while it is read."""
    changes, shown = history(steps)
    seat_map = SeatMap(7)
    for change in data.draw(st.permutations(changes)):
        assert not seat_map.take(change)
    read = data.draw(st.integers(0, len(steps)))
    seat_map.replace(read + 1, shown[read].count("A"), shown[read].encode())
    assert (seat_map.version, seat_map.statuses) == (len(shown), shown[-1])


@pytest.mark.parametrize(
    "junk",
    [
        Change(7, 2, 0, (SEATS,), "B"),
        Change(7, 2, 0, (-1,), "B"),
        Change(7, 2, 0, (0, 1), "B"),
        Change(7, 2, 0, (0,), "Z"),
        Change(7, 2, 0, (0, 1), "B☃"),
    ],
)
def test_a_change_that_cannot_be_is_ignored(junk: Change) -> None:
    """Anyone who may NOTIFY could leave half a change in everybody's map."""
    seat_map = loaded()
    seat_map.take(junk)
    assert (seat_map.version, seat_map.statuses) == (1, "A" * SEATS)
    seat_map.take(Change(7, 2, 7, (0,), "B"))
    assert (seat_map.version, seat_map.statuses) == (2, "BAAAAAAA")


class Counting:
    """A pool that counts, waits or fails as a test wants it to."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.reads = self.checks = 0
        self.read_first = asyncio.Event()  # set: the reading is done, and its answer may come
        self.read_first.set()
        self.reading = asyncio.Event()

    async def fetchrow(self, query: str, show_id: int) -> asyncpg.Record | None:
        """A map."""
        self.reads += 1
        row = await self.pool.fetchrow(query, show_id)
        self.reading.set()
        await self.read_first.wait()
        return row

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        """Versions."""
        self.checks += 1
        rows: list[asyncpg.Record] = await self.pool.fetch(query, *args)
        return rows


@pytest.fixture
def pool(context: Context) -> Counting:
    """The pool of the maps below."""
    return Counting(context.pool)


@pytest.fixture
def maps(pool: Counting) -> Maps:
    """Maps that no feed keeps current."""
    return Maps(pool)


async def committed(context: Context, show_id: int) -> tuple[int, int, str]:
    """What a fresh reading shows."""
    row = await context.pool.fetchrow(SQL.map, show_id)
    return row["version"], row["available"], row["letters"].decode()


async def shown(maps: Maps, show_id: int) -> tuple[int, int, str]:
    """What the map shows."""
    seat_map = await maps.get(show_id)
    assert seat_map is not None
    return seat_map.version, seat_map.available, seat_map.statuses


async def test_many_callers_one_reading(context: Context, pool: Counting, maps: Maps) -> None:
    """A thousand people who open a show at noon would be a thousand scans of its seats."""
    show = await make_show(context, 50)
    await try_book(context, show, ["3", "5"])
    found = await asyncio.gather(*(maps.get(show) for _ in range(500)))
    assert pool.reads == 1
    assert len({id(seat_map) for seat_map in found}) == 1
    assert await shown(maps, show) == await committed(context, show)
    assert pool.reads == 1


async def test_one_caller_who_leaves_takes_nobody_along(context: Context, pool: Counting, maps: Maps) -> None:
    """One closed browser tab would break the page for all who wait for the same map."""
    show = await make_show(context)
    pool.read_first.clear()
    first, second = asyncio.create_task(maps.get(show)), asyncio.create_task(maps.get(show))
    await pool.reading.wait()
    first.cancel()
    await asyncio.wait([first])
    pool.read_first.set()
    assert await second is not None


async def test_a_change_while_it_is_read(context: Context, pool: Counting, maps: Maps) -> None:
    """What is sold while a map is read would be shown as free."""
    show = await make_show(context, 10)
    await try_book(context, show, ["1"])
    pool.read_first.clear()
    reading = asyncio.create_task(maps.get(show))
    await pool.reading.wait()
    version = (await committed(context, show))[0]
    maps.apply(Change(show, version + 2, 7, (2,), "B"))
    maps.apply(Change(show, version + 1, 8, (1,), "B"))
    pool.read_first.set()
    await reading
    assert await shown(maps, show) == (version + 2, 7, "BBBAAAAAAA")
    assert pool.reads == 1


async def test_a_show_told_of_by_name_while_it_is_read(context: Context, pool: Counting, maps: Maps) -> None:
    """A block of the whole balcony would be missing from a map that was read just before."""
    show = await make_show(context, 10)
    pool.read_first.clear()
    reading = asyncio.create_task(maps.get(show))
    await pool.reading.wait()
    await try_book(context, show, ["1"])
    maps.expect(show, (await committed(context, show))[0])
    pool.read_first.set()
    await reading
    assert await shown(maps, show) == await committed(context, show)
    assert pool.reads == 2


async def test_a_gap_is_waited_for_then_read(context: Context, pool: Counting, maps: Maps) -> None:
    """A lost message would leave a map behind, or every crossing of two would cost a scan."""
    show = await make_show(context, 10)
    before = (await shown(maps, show))[0]
    for seat in ("1", "2"):
        await try_book(context, show, [seat])
    maps.apply(Change(show, before + 2, 8, (1,), "B"))
    await asyncio.sleep(0.1)
    assert (await shown(maps, show))[0] == before
    assert pool.reads == 1
    maps.apply(Change(show, before + 1, 9, (0,), "B"))  # late, not lost
    assert await shown(maps, show) == await committed(context, show)
    await asyncio.sleep(0.2)
    assert pool.reads == 1

    for seat in ("3", "4"):
        await try_book(context, show, [seat])
    maps.apply(Change(show, before + 4, 6, (3,), "B"))
    await asyncio.sleep(0.35)
    assert await shown(maps, show) == await committed(context, show)
    assert pool.reads == 2


async def test_a_gap_that_came_while_it_was_read(context: Context, pool: Counting, maps: Maps) -> None:
    """Only the check of each second would find it: twice as late as people are promised."""
    show = await make_show(context, 10)
    pool.read_first.clear()
    reading = asyncio.create_task(maps.get(show))
    await pool.reading.wait()
    for seat in ("1", "2"):
        await try_book(context, show, [seat])
    maps.apply(Change(show, (await committed(context, show))[0], 8, (1,), "B"))
    pool.read_first.set()
    await reading
    await asyncio.sleep(0.35)
    assert await shown(maps, show) == await committed(context, show)


async def test_versions_that_were_never_committed(context: Context, pool: Counting, maps: Maps) -> None:
    """One forged message would have a map read over and over for ever."""
    show = await make_show(context, 10)
    await maps.get(show)
    maps.apply(Change(show, 2**60, 0, (1,), "B"))
    maps.expect(show, 2**61)
    await asyncio.sleep(0.7)
    reads = pool.reads
    assert reads <= 10
    await asyncio.sleep(0.5)
    assert pool.reads == reads
    assert await shown(maps, show) == await committed(context, show)


async def test_check_finds_what_was_never_told(context: Context, pool: Counting, maps: Maps) -> None:
    """A process whose feed is cut would show yesterday's seats; or ask for each show by itself."""
    shows = [await make_show(context, 10) for _ in range(12)]
    for show in shows:
        await maps.get(show)
    assert await maps.check() == 0
    for show in shows[:7]:
        await try_book(context, show, ["1"])
    assert await maps.check() == 7
    assert pool.checks == 2
    assert pool.reads == 12 + 7
    for show in shows:
        assert await shown(maps, show) == await committed(context, show)


async def test_a_database_that_was_set_back(context: Context, maps: Maps) -> None:
    """After a fail-over that lost a second, sold seats would be shown wrong until the show has caught up, and after."""
    show = await make_show(context, 10)
    await try_book(context, show, ["1"])
    heard: list[int] = []
    seat_map = await maps.get(show)
    assert seat_map is not None
    seat_map.listeners.add(lambda before, _: heard.append(before))
    seat_map.take(Change(show, seat_map.version + 1, 8, (5,), "B"))
    await maps.check()
    assert maps.known(show) is None
    assert not maps.keeps(seat_map)
    assert await shown(maps, show) == await committed(context, show)


async def test_a_show_that_is_not_there(maps: Maps) -> None:
    """Anyone could fill the memory by asking for shows that don't exist."""
    for number in range(50):
        assert await maps.get(10**9 + number) is None
        maps.apply(Change(10**9 + number, 1, 0, (0,), "B"))
    assert (maps.count, maps._seats, maps._loading) == (0, 0, {})


async def test_the_least_recently_used_go(context: Context, pool: Counting) -> None:
    """A robot that opens every show would fill the memory, or throw out the map that people watch."""
    maps = Maps(pool, maps_max=3)
    shows = [await make_show(context, 10 + n) for n in range(6)]
    watched = await maps.get(shows[0])
    assert watched is not None
    watched.readers += 1
    for show in shows[1:3]:
        await maps.get(show)
    assert maps.known(shows[1]) is not None  # so that the third show is the one used longest ago
    await maps.get(shows[3])
    assert [show for show in shows if maps.known(show)] == [shows[0], shows[1], shows[3]]
    for show in shows:
        await maps.get(show)
    assert maps.known(shows[0]) is watched
    assert maps.count == 3
    assert maps._seats == sum(len(seat_map.letters) for seat_map in maps._maps.values())


async def test_seats_are_bounded_and_what_is_asked_for_is_kept(context: Context, pool: Counting) -> None:
    """A map that is handed out and dropped at once would be watched, and never change again."""
    maps = Maps(pool, seats_max=25)
    shows = [await make_show(context, size) for size in (10, 10, 10, 40)]
    for show in shows:
        seat_map = await maps.get(show)
        assert seat_map is not None
        assert maps.keeps(seat_map)
        assert maps._seats == sum(len(m.letters) for m in maps._maps.values())
    assert maps._seats == 40
    await maps.get(shows[0])
    assert (maps._seats, maps.count) == (10, 1)


async def test_idle_maps_go(context: Context, maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every show that was ever looked at would stay in memory; or one be dropped under its readers."""
    shows = [await make_show(context) for _ in range(3)]
    for show in shows:
        seat_map = await maps.get(show)
        assert seat_map is not None
        seat_map.used_at -= 400 if show != shows[2] else 0
    maps._maps[shows[1]].readers += 1
    maps.drop_idle()
    assert list(maps._maps) == shows[1:]
    assert maps._seats == 20


async def test_a_failing_database_leaves_nothing_behind(context: Context, dsn: str) -> None:
    """One hiccup of the database, and the page of that show would be broken until the next restart."""
    show = await make_show(context, 10)
    pool = await create_pool(Database(dsn, pool_size=1))
    maps = Maps(pool)
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1"
    blocker = await asyncpg.connect(dsn)
    async with blocker.transaction():
        await blocker.execute("LOCK TABLE seats IN ACCESS EXCLUSIVE MODE")
        asking = [asyncio.create_task(maps.get(show)) for _ in range(3)]
        await asyncio.sleep(0.1)
        maps.apply(Change(show, 1000, 0, (1,), "B"))
        async with asyncio.timeout(5):
            pids = await context.pool.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            for row in pids:
                await context.pool.execute(kill, row["pid"])
            answers = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(answer, asyncpg.PostgresError | OSError) for answer in answers), answers
    assert (maps.count, maps._seats, maps._loading) == (0, 0, {})
    assert await shown(maps, show) == await committed(context, show)

    await try_book(context, show, ["1"])
    await pool.close()
    with pytest.raises(asyncpg.InterfaceError):
        await maps.check()
    other = await make_show(context, 10)
    with pytest.raises(asyncpg.InterfaceError):
        await maps.get(other)
    maps._mend(show, 10**6)
    await asyncio.sleep(0.05)
    assert (maps.count, maps._loading) == (1, {})
    maps._pool = context.pool
    assert await maps.get(other) is not None
    assert await maps.check() == 1
    assert await shown(maps, show) == await committed(context, show)
    await blocker.close()


async def test_a_map_wrong_in_both_directions_never_decides(context: Context) -> None:
    """People would be sold what is sold, or be told "sold out" before free seats, for a map that is behind."""
    show = await make_show(context, 12)
    for seat in range(1, 7):
        await try_book(context, show, [str(seat)])
    seat_map = await context.maps.get(show)
    assert seat_map is not None
    seat_map.letters[:] = b"AAAAAABBBBBB"  # all of it the wrong way round
    first = await try_book(context, show, 4)
    assert first.outcome is Outcome.CONFIRMED
    seat_map.letters[:] = b"B" * 12  # nothing left, it says
    second = await try_book(context, show, 2)
    assert second.outcome is Outcome.CONFIRMED
    seat_map.letters[:] = b"A" * 12  # all is free, it says
    third = await try_book(context, show, 1)
    assert third.outcome is Outcome.NOT_ENOUGH_SEATS
    assert first.booking is not None
    assert second.booking is not None
    assert {*first.booking.seats, *second.booking.seats} == {"7", "8", "9", "10", "11", "12"}
    assert (await committed(context, show))[1:] == (0, "B" * 12)


async def test_counts_on_maps_that_lie(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a map says, every seat must be sold once, and nobody be refused while there are enough."""
    show = await make_show(context, 60)
    seat_map = await context.maps.get(show)
    assert seat_map is not None
    lies = [b"A" * 60, b"B" * 60, b"AB" * 30, b"R" * 60, b"BA" * 30]
    for n in range(0, 40, 4):
        seat_map.letters[:] = lies[n // 4 % len(lies)]
        wishes = [try_book(context, show, 2 if m % 2 else [str(n + m + 1)], f"u{n}{m}") for m in range(4)]
        answers = await asyncio.gather(*wishes)
        counted = [answer.outcome for m, answer in enumerate(answers) if m % 2]
        free = (await committed(context, show))[1]
        if free >= 2:
            assert set(counted) == {Outcome.CONFIRMED}
    bookings = await context.pool.fetch("SELECT seats FROM bookings WHERE status = 'CONFIRMED'")
    sold = [seat for row in bookings for seat in row["seats"]]
    assert len(sold) == len(set(sold))
    assert len(sold) == (await committed(context, show))[2].count("B")


async def restored(
    context: Context, show_id: int, backup: list[asyncpg.Record], counts: asyncpg.Record
) -> None:
    """Set the database back to a backup, as pg_restore does."""
    async with context.pool.acquire() as connection, connection.transaction():
        await connection.execute("TRUNCATE seats, inventory, bookings, outbox CASCADE")
        await connection.copy_records_to_table("inventory", records=[tuple(counts)])
        await connection.copy_records_to_table("seats", records=[tuple(row) for row in backup])


async def test_a_database_that_was_set_back_and_sold_on(context: Context, dsn: str) -> None:
    """After a restore other seats are sold under the same versions: maps, streams and tags would stay those of before."""
    show = await make_show(context, 10)
    backup = await context.pool.fetch("SELECT * FROM seats WHERE show_id = $1", show)
    counts = await context.pool.fetchrow("SELECT * FROM inventory WHERE show_id = $1", show)
    assert counts is not None
    for seat in ("1", "2", "3"):
        await try_book(context, show, [seat])
    before = await shown(context.maps, show)
    history = context.maps.history
    old_map = context.maps.known(show)
    events = await context.live.read(show)
    assert events is not None
    assert await anext(events)
    plan = await context.plans.get(show)

    await restored(context, show, backup, counts)
    async with open_context(Database(dsn)) as elsewhere:
        for seat in ("8", "9", "10"):  # before anybody looks
            await try_book(elsewhere, show, [seat])
        after = await committed(context, show)
        assert (after[0], after[2] != before[2]) == (before[0], True)
        await context.maps.check()
        context.live.forget()
        assert [event async for event in events] == []
        assert await shown(context.maps, show) == after
        assert context.maps.known(show) is not old_map
        assert await context.plans.get(show) is not plan
        await elsewhere.maps.check()
        assert context.maps.history == elsewhere.maps.history != history
        for last in (before[0], before[0] - 1):  # the same number, another map
            events = await context.live.read(show, last)
            assert events is not None
            assert (await anext(events)).startswith(b"event: snapshot")
            await events.aclose()  # type: ignore[attr-defined]


async def test_shows_that_are_loaded_at_once_are_all_there(context: Context, pool: Counting) -> None:
    """Somebody would be told that a show does not exist, because so many others are looked at."""
    shows = [await make_show(context, 10) for _ in range(6)]

    class Together:
        """A pool whose readings end in the same turn of the loop."""

        def __init__(self) -> None:
            self.go = asyncio.Event()

        async def fetchrow(self, _query: str, _show_id: int) -> tuple[int, int, bytes, str]:
            await self.go.wait()
            return 0, 10, b"A" * 10, "lineage"

    together = Together()
    maps = Maps(together, maps_max=2)
    asking = [asyncio.create_task(maps.get(show)) for show in shows]
    await asyncio.sleep(0)
    maps.drop_idle()
    together.go.set()
    assert None not in await asyncio.gather(*asking)
    assert maps.count == 2
    for _ in range(10):
        maps = Maps(pool, maps_max=2)
        assert None not in await asyncio.gather(*(maps.get(show) for show in shows))


async def test_a_hall_that_was_changed_by_hand(context: Context) -> None:
    """One show whose map can't be mended would keep all others from it, and everything that is done each second."""
    poisoned, other = await make_show(context, 10), await make_show(context, 10)
    for show in (poisoned, other):
        await context.maps.get(show)
    await context.pool.execute(
        "INSERT INTO seats (show_id, seat_no) SELECT $1, n FROM generate_series(10, 14) n", poisoned
    )
    await context.pool.execute(
        "UPDATE inventory SET total = 15, available = 15, version = version + 1 WHERE show_id = $1", poisoned
    )
    assert await context.maps.check() == 1
    assert context.maps.known(poisoned) is None
    assert await context.maps.check() == 0
    assert context.maps.known(other) is not None
    assert await shown(context.maps, poisoned) == await committed(context, poisoned)


async def test_one_show_that_fails_to_load_is_not_the_others_trouble(
    context: Context, pool: Counting
) -> None:
    """The check would end at the first broken show, each second, and no other be current."""
    maps = Maps(pool)
    shows = [await make_show(context, 10) for _ in range(6)]
    for show in shows:
        await maps.get(show)
        await try_book(context, show, ["1"])
    read = pool.fetchrow

    async def fails(query: str, show_id: int) -> asyncpg.Record | None:
        if show_id == shows[0]:
            raise asyncpg.DataCorruptedError
        return await read(query, show_id)

    pool.fetchrow = fails  # type: ignore[method-assign]
    assert await maps.check() == 6
    for show in shows[1:]:
        assert await shown(maps, show) == await committed(context, show)
