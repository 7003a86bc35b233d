"""The change feed: what one process sells, the others show at once; and what is lost on the way is found again."""

from __future__ import annotations

import asyncio
import gc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.operations.block_seats import block_seats
from rowlock.operations.context import Context, open_context
from rowlock.postgres.pool import Database
from rowlock.seatmap import feed as feeds
from rowlock.seatmap.changes import Change
from rowlock.seatmap.feed import PostgresFeed, decode, encode
from rowlock.seatmap.maps import Maps
from tests.seatmap.test_maps import committed, shown
from tests.support import make_show, try_book

BIG = 2**53 - 1
FEEDS = "FROM pg_stat_activity WHERE application_name = 'rowlock feed' AND datname = current_database()"
KILL = f"SELECT pg_terminate_backend(pid) {FEEDS}"
LISTENERS = f"SELECT count(*) {FEEDS} AND query ~ 'pg_notify'"  # what a listener says first


@st.composite
def a_change(draw: st.DrawFn) -> Change:
    """A change of any size."""
    count = draw(st.one_of(st.integers(0, 10), st.integers(900, 1200), st.just(20_000)))
    first = draw(st.integers(0, 100_000 - count))
    numbers = tuple(range(first, first + count))
    return Change(
        draw(st.integers(1, BIG)),
        draw(st.integers(1, 2**62)),
        draw(st.integers(0, 10**5)),
        numbers,
        "B" * count,
    )


@given(st.lists(a_change(), max_size=60))
def test_messages_are_short_and_lose_nothing(changes: list[Change]) -> None:
    """PostgreSQL refuses a payload of 8,000 bytes: with it, all that was told beside it would be lost."""
    payloads = encode("cafe0123", changes)
    assert all(len(payload.encode()) < 8_000 for payload in payloads)
    messages = [message for message in map(decode, payloads) if message is not None]
    assert len(messages) == len(payloads)
    assert {message.sender for message in messages} <= {"cafe0123"}
    whole = [change for message in messages for change in message.changes]
    named = [each for message in messages for each in message.large]
    assert whole == [change for change in changes if change in whole]
    assert named == [(c.show_id, c.version) for c in changes if c not in whole]
    assert all(len(change.seats) > 900 for change in changes if change not in whole)


def test_the_largest_that_is_told_whole() -> None:
    """A payload at the very limit would be refused."""
    for count in range(1, 1200):
        numbers = tuple(range(100_000 - count, 100_000))
        assert all(
            len(p) < 8_000 for p in encode("cafe0123", [Change(BIG, 2**62, 100_000, numbers, "B" * count)])
        )
    many = [Change(BIG, 2**62 + n, 100_000, (), "") for n in range(2000)]
    assert all(len(p) < 8_000 for p in encode("cafe0123", many))


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
def test_junk_is_none_of_ours(payload: str) -> None:
    """Anyone in the database could end our listening with one NOTIFY."""
    assert decode(payload) is None or payload == ""


@pytest.mark.parametrize("raw", [[], ["x"], ["x", [[1, 2]]], ["x", [[1, "2", 3, [], ""]]], {"a": 1}, 7, None])
def test_messages_of_another_shape(raw: Any) -> None:
    """An older or newer version of us beside this one would do the same."""
    assert decode(b64encode(msgspec.msgpack.encode(raw)).decode()) is None


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Context]:
    """Another process than `context`."""
    async with open_context(Database(dsn)) as context:
        yield context


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - it is PostgreSQL that is asked
            await asyncio.sleep(0.002)


async def until_shown(context: Context, show_id: int, seconds: float) -> float:
    """How long it takes until the map shows what is committed."""
    started = perf_counter()
    wanted = await committed(context, show_id)

    async def holds() -> bool:
        return await shown(context.maps, show_id) == wanted

    await until(holds, seconds)
    return perf_counter() - started


async def listening(context: Context, count: int) -> None:
    """Wait until so many feeds listen."""

    async def holds() -> bool:
        found: int = await context.pool.fetchval(LISTENERS)
        return found == count

    await until(holds, 5)


async def test_the_other_process_hears_of_it(
    context: Context, other: Context, record_property: Callable[[str, object], None]
) -> None:
    """Half of the buyers would look at seats that the other half has bought."""
    show = await make_show(context, 100)
    await listening(context, 2)
    await shown(other.maps, show)
    took = []
    for seat in range(1, 31):
        await try_book((context, other)[seat % 2], show, [str(seat)])
        took.append(await until_shown(other, show, 0.5))
        took.append(await until_shown(context, show, 0.5))
    record_property("ms_to_the_other_process_max", max(took) * 1000)
    assert await context.maps.check() == await other.maps.check() == 0


async def test_own_messages_are_not_taken_twice(
    context: Context, other: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process would do all of its work on maps a second time."""
    show = await make_show(context, 100)
    await listening(context, 2)
    await shown(context.maps, show)
    await shown(other.maps, show)
    applied: list[tuple[Maps, int]] = []
    apply = Maps.apply

    def counted(maps: Maps, change: Change) -> None:
        applied.append((maps, change.version))
        apply(maps, change)

    monkeypatch.setattr(Maps, "apply", counted)
    for seat in range(1, 11):
        await try_book(context, show, [str(seat)])
    await until_shown(other, show, 0.5)
    await asyncio.sleep(0.1)
    assert len(applied) == len(set(applied)) == 20


async def test_a_cut_listener_comes_back_and_catches_up(context: Context, other: Context) -> None:
    """After a restart of the database, or a fail-over, what people see would stand still."""
    show = await make_show(context, 100)
    await listening(context, 2)
    await shown(other.maps, show)
    for seat in range(1, 4):
        assert len(await context.pool.fetch(KILL)) == 2
        await try_book(context, show, [str(seat)])  # while nobody listens
        await until_shown(other, show, 2)
        await listening(context, 2)
    await try_book(context, show, ["9"])
    await until_shown(other, show, 0.5)


async def test_a_listener_that_broke_silently(
    context: Context, other: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that forgets a silent connection would leave a process deaf until its restart."""
    monkeypatch.setattr(feeds, "PING_SECONDS", 0.1)

    class Dead:
        closed = False

        def is_closed(self) -> bool:
            return self.closed

        async def execute(self, *_query: object, timeout: float) -> None:  # noqa: ASYNC109
            raise TimeoutError

    feed = PostgresFeed(Database(""), context.pool, context.maps)
    dead = Dead()
    with pytest.raises(TimeoutError):
        await feed._attend(dead)
    dead.closed = True
    await feed._attend(dead)


async def test_a_sender_that_fails_is_made_good_by_the_check(
    context: Context, other: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One NOTIFY that fails would leave all other processes behind; or the rest of the queue never be sent."""
    monkeypatch.setattr(feeds, "RESEND_SECONDS", 0.05)
    show = await make_show(context, 100)
    await listening(context, 2)
    await shown(other.maps, show)
    with monkeypatch.context() as broken:
        broken.setattr(feeds, "encode", lambda *_: ["x" * 9000])
        await try_book(context, show, ["1"])
        await asyncio.sleep(0.1)
        assert await shown(other.maps, show) != await committed(context, show)
    assert await other.maps.check() == 1
    assert await shown(other.maps, show) == await committed(context, show)
    await try_book(context, show, ["2"])
    await until_shown(other, show, 0.5)

    calls = []

    def once(sender: str, changes: Any) -> list[str]:
        calls.append(len(changes))
        return encode(sender, changes) if len(calls) > 1 else ["x" * 9000]

    monkeypatch.setattr(feeds, "encode", once)
    monkeypatch.setattr(feeds, "SEND_AT_ONCE_MAX", 1)
    second = await make_show(context, 10)
    version = (await shown(other.maps, second))[0]
    lost, kept = Change(show, 99, 0, (), ""), Change(second, version + 1, 9, (0,), "B")
    context.engine._lanes._lanes[0]._feed.publish([lost, kept])

    async def heard() -> bool:
        return (await shown(other.maps, second))[0] == version + 1

    await until(heard, 0.5)


async def test_a_block_of_five_thousand_seats(context: Context, other: Context) -> None:
    """Closing a stand would not be seen by the other processes, or break their feed."""
    show = await make_show(context, 6_000)
    await listening(context, 2)
    await shown(other.maps, show)
    await block_seats(context, show, [str(n) for n in range(1, 5_001)], blocked=True)
    await until_shown(other, show, 0.5)
    assert (await shown(other.maps, show))[2] == "X" * 5_000 + "A" * 1_000


async def test_publishing_never_fails(context: Context) -> None:
    """A booking that is committed would be run again because somebody who looks at it broke."""
    show = await make_show(context, 10)
    seat_map = await context.maps.get(show)
    assert seat_map is not None

    def broken(_before: int, _differing: Any) -> None:
        raise RuntimeError

    seat_map.listeners.add(broken)
    booked = await try_book(context, show, ["1"])
    assert not booked.replayed
    seat_map.listeners.clear()
    assert await context.pool.fetchval("SELECT count(*) FROM bookings") == 1
    await context.maps.check()
    assert await shown(context.maps, show) == await committed(context, show)


async def test_stopping_is_clean(dsn: str) -> None:
    """What was sold last before a restart would be told to nobody; or the shutdown hang, or complain."""
    async with open_context(Database(dsn)) as other:
        async with open_context(Database(dsn)) as context:
            show = await make_show(context, 10)
            await listening(context, 2)
            await shown(other.maps, show)
            await try_book(context, show, ["1"])
        await until_shown(other, show, 0.5)
        feed = PostgresFeed(Database(dsn), other.pool, Maps(other.pool))
        await feed.stop()  # before it began
        await feed.start()
        await feed.stop()  # while it connects
        await feed.stop()
        await listening(other, 1)
    left = [task for task in asyncio.all_tasks() if "feed" in task.get_name()]
    assert not left
    gc.collect()


@pytest.mark.parametrize("failure", [asyncio.CancelledError, OSError])
async def test_what_could_not_be_told_is_told_later(
    monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    """One connection that breaks would leave the other processes behind, or end the telling for good."""
    monkeypatch.setattr(feeds, "RESEND_SECONDS", 0.01)
    told: list[int] = []

    class Breaking:
        failed = 0

        async def execute(self, _query: str, _channel: str, payloads: list[str]) -> None:
            if self.failed < 3:
                self.failed += 1
                raise failure
            for payload in payloads:
                message = decode(payload)
                assert message is not None
                told.extend(change.version for change in message.changes)

    pool = Breaking()
    feed = PostgresFeed(Database("postgresql://127.0.0.1:1/none"), pool, Maps(pool))
    await feed.start()
    for version in range(5):
        feed.publish([Change(1, version, 0, (0,), "B")])
        await asyncio.sleep(0.005)

    async def all_told() -> bool:
        return told == [0, 1, 2, 3, 4]

    await until(all_told, 10)
    await feed.stop()


async def test_a_check_that_fails_does_not_end_listening(
    context: Context, other: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One show that can't be read would make a process deaf for all."""

    async def fails(_maps: Maps) -> int:
        raise asyncpg.DataCorruptedError

    show = await make_show(context, 10)
    await listening(context, 2)
    await shown(other.maps, show)
    monkeypatch.setattr(Maps, "check", fails)
    assert len(await context.pool.fetch(KILL)) == 2
    await asyncio.sleep(0.3)
    await listening(context, 2)
    await try_book(context, show, ["1"])
    await until_shown(other, show, 10)


async def test_our_own_messages_are_not_read(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process would spell out all that it has told, to find that it was itself."""
    sent: list[str] = []

    class Pool:
        async def execute(self, _query: str, _channel: str, payloads: list[str]) -> None:
            sent.extend(payloads)

    one, other = (PostgresFeed(Database(""), Pool(), context.maps) for _ in range(2))
    one.publish([Change(show, 2, 7, (1, 2), "BB") for show in range(1, 300)])
    one.publish([Change(1, 3, 7, tuple(range(9_000)), "B" * 9_000)])
    await one._flush()
    assert len(sent) > 2
    read: list[str] = []
    real = feeds.decode

    def note(payload: str) -> Any:
        read.append(payload)
        return real(payload)

    monkeypatch.setattr(feeds, "decode", note)
    for payload in sent:
        one._take(payload)
        one._take(payload.encode())
    assert not read
    for payload in sent:
        other._take(payload)
    assert read == sent


@pytest.fixture
async def told(dsn: str) -> AsyncIterator[list[Change]]:
    """All changes that anybody is told of, heard by somebody who says nothing."""
    heard: list[Change] = []

    def hear(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
        message = decode(payload)
        assert message is not None
        heard.extend(message.changes)

    connection = await asyncpg.connect(dsn)
    await connection.add_listener(feeds.CHANNEL, hear)
    yield heard
    await connection.close()


async def test_who_is_alone_tells_nobody_until_somebody_comes(
    dsn: str, told: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that sells alone would pay for telling itself; one that has just come would be told of nothing."""
    monkeypatch.setattr(feeds, "GREETED_SECONDS", 0.1)
    async with open_context(Database(dsn)) as context:
        show = await make_show(context, 100)
        await listening(context, 1)
        await asyncio.sleep(0.3)
        told.clear()
        for seat in range(1, 4):
            await try_book(context, show, [str(seat)])
            await asyncio.sleep(0.05)
        assert not told
        async with open_context(Database(dsn)) as other:
            await shown(other.maps, show)
            await listening(context, 2)
            await asyncio.sleep(0.3)  # longer than one who hears of nobody goes on telling
            for first, second in ((other, context), (context, other)):  # who has only read is known, too
                told.clear()
                await try_book(first, show, ["10" if first is context else "20"])
                await until_shown(second, show, 0.5)

                async def all_told() -> bool:
                    return len(told) == 1

                await until(all_told, 0.5)


async def test_who_is_gone_is_told_no_more_and_who_is_quiet_is(
    dsn: str, told: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose others were stopped would tell nobody for ever; one that only reads would be forgotten."""
    monkeypatch.setattr(feeds, "GREETED_SECONDS", 0.1)
    monkeypatch.setattr(feeds, "PING_SECONDS", 0.4)
    monkeypatch.setattr(feeds, "HEARD_SECONDS", 2.0)
    async with open_context(Database(dsn)) as context:
        show = await make_show(context, 100)
        async with open_context(Database(dsn)) as other:
            await listening(context, 2)
            await asyncio.sleep(3.5)
            told.clear()
            await try_book(context, show, ["1"])
            await until_shown(other, show, 0.5)

            async def all_told() -> bool:
                return len(told) == 1

            await until(all_told, 0.5)
        await asyncio.sleep(2.5)
        told.clear()
        await try_book(context, show, ["2"])
        await asyncio.sleep(0.2)
        assert not told


async def test_who_comes_back_is_not_alone(
    dsn: str, told: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have heard of it lately, and greet only who is new: it would tell nobody until they say something."""
    monkeypatch.setattr(feeds, "GREETED_SECONDS", 0.1)
    async with open_context(Database(dsn)) as context, open_context(Database(dsn)) as other:
        show = await make_show(context, 100)
        await shown(other.maps, show)
        await listening(context, 2)
        await asyncio.sleep(0.3)
        (first, *_) = await context.pool.fetch(f"SELECT pid {FEEDS}")
        await context.pool.execute("SELECT pg_terminate_backend($1)", first["pid"])
        await asyncio.sleep(0.5)
        await listening(context, 2)
        await asyncio.sleep(0.3)
        for seat, (seller, reader) in enumerate(((context, other), (other, context)), 1):
            await try_book(seller, show, [str(seat)])
            await until_shown(reader, show, 0.5)


async def test_who_is_deaf_is_not_alone(
    dsn: str, told: list[Change], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler LISTEN succeeds, and hears nothing: those who listen directly would be told nothing any more."""
    monkeypatch.setattr(feeds, "GREETED_SECONDS", 0.1)
    monkeypatch.setattr(PostgresFeed, "_hear", lambda *_: None)
    async with open_context(Database(dsn)) as context:
        show = await make_show(context, 100)
        await listening(context, 1)
        await asyncio.sleep(0.3)
        await try_book(context, show, ["1"])

        async def all_told() -> bool:
            return len(told) == 1

        await until(all_told, 1)


async def test_who_has_a_broker_is_not_alone(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker reaches processes that can't be heard by LISTEN, behind a pooler, say: they would be told nothing any more."""
    monkeypatch.setattr(feeds, "GREETED_SECONDS", 0.1)
    monkeypatch.setattr(feeds, "HEARD_SECONDS", 0.1)  # that of the context is gone soon
    told: list[str] = []

    class Broker:
        async def send(self, payloads: Sequence[str]) -> bool:
            told.extend(payloads)
            return True

        async def listen(self, _hear: object, _begun: object) -> None:
            await asyncio.Event().wait()

    feed = PostgresFeed(Database(dsn), context.pool, context.maps, Broker())
    await feed.start()
    await listening(context, 2)  # that of the context, too, which has none
    await asyncio.sleep(0.3)
    feed.publish([Change(1, 2, 7, (1, 2), "BB")])

    async def all_told() -> bool:
        return len(told) == 1

    await until(all_told, 1)
    await feed.stop()


async def test_what_comes_of_a_lost_connection_tells_nothing(context: Context) -> None:
    """A process would take itself for alone while it hears nobody."""
    feed = PostgresFeed(Database(""), context.pool, context.maps)
    for closed in (True, False):
        feed._hear(SimpleNamespace(is_closed=lambda closed=closed: closed), 0, feeds.CHANNEL, feed._here)
        assert (feed._alone_from == float("inf")) is closed
