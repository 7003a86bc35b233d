"""Events on their way out: every one of them, each show's in order, whatever fails on the way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat

from rowlock.domain.commands import Actor
from rowlock.operations.block_seats import block_seats
from rowlock.operations.context import Context, open_context
from rowlock.operations.events import CONTENT_TYPE, Spelled
from rowlock.operations.find_bookings import find_booking
from rowlock.operations.find_shows import find_show
from rowlock.operations.settle_booking import confirm_booking, owner_of
from rowlock.postgres.pool import Database
from rowlock.workers import outbox
from rowlock.workers.outbox import Keeping, Publishing, Queueing
from tests.events import ListedExchange, assert_in_order, body_of
from tests.support import make_show, try_book

pytestmark = pytest.mark.anyio
SOURCE = "https://tickets.example.org"


async def drain(stage: Publishing | Queueing) -> None:
    """Rounds until there is nothing more."""
    while await stage.round():
        pass


def ids(events: Sequence[Spelled], show: int) -> list[str]:
    """The ids of a show's events, as they were sent."""
    return [event.id for event in events if event.show_id == show]


async def test_an_event_is_a_cloud_event_and_says_the_booking_as_it_was(context: Context, dsn: str) -> None:
    """Other people's software could not read it, or would read what is not so any more."""
    show = await make_show(context, 10)
    held = (await try_book(context, show, ["1", "2"], "ada", confirm=False, email="ada@example.org")).booking
    assert held is not None
    await confirm_booking(context, await owner_of(context, held.id), by=Actor.OWNER)
    await block_seats(context, show, ["7"], blocked=True)
    exchange = ListedExchange()
    stage = Publishing(context, Database(dsn), SOURCE, exchange)
    await drain(stage)
    await stage.close()
    read = [
        from_structured_event(HTTPMessage({"content-type": CONTENT_TYPE}, event.body), JSONFormat())
        for event in exchange.sent
    ]
    assert [event.get_type() for event in read] == [
        "show.created",
        "booking.held",
        "booking.confirmed",
        "show.updated",
    ]
    assert [event.get_id() for event in read] == [f"{show}-{n}" for n in range(1, 5)]
    assert [event.get_source() for event in read] == [SOURCE] * 4
    assert [int(event.get_extension("sequence")) for event in read] == [1, 2, 3, 4]
    assert read[1].get_subject() == f"shows/{show}/bookings/{held.id}"
    assert isinstance(read[1].get_time(), datetime)
    created, then, firm, blocked = (body_of(event)["data"] for event in exchange.sent)
    assert then == {"show_id": show, "version": 1, "booking": msgspec.to_builtins(held)}
    now = msgspec.to_builtins(await find_booking(context, held.id))
    assert firm == {"show_id": show, "version": 2, "booking": now}
    assert (then["booking"]["status"], firm["booking"]["status"]) == ("PENDING", "CONFIRMED")
    assert (created["version"], created["show"]["available_seats"]) == (0, 10)
    assert blocked["blocked"] == ["7"]
    assert blocked["show"] == msgspec.to_builtins(await find_show(context, show))


async def test_any_number_of_publishers_keep_the_order(context: Context, dsn: str) -> None:
    """Two workers would publish a show's events past each other."""
    shows = [await make_show(context, 100) for _ in range(4)]
    dice = random.Random(3)

    class Slow(ListedExchange):
        async def publish(self, events: Sequence[Spelled]) -> list[bool]:
            await asyncio.sleep(dice.uniform(0, 0.02))
            for event in events:  # one by one, as a network does
                self.sent.append(event)
                await asyncio.sleep(0)
            return [True] * len(events)

    exchange = Slow()
    stages = [Publishing(context, Database(dsn), SOURCE, exchange) for _ in range(4)]
    buying = [
        asyncio.create_task(try_book(context, shows[n % 4], [str(n // 4 + 1)], f"u{n}")) for n in range(320)
    ]
    while not all(task.done() for task in buying):
        await asyncio.gather(*(stage.round() for stage in stages))
    await drain(stages[0])
    for stage in stages:
        await stage.close()
    for show in shows:
        sent = ids(exchange.sent, show)
        assert sent == [f"{show}-{n}" for n in range(1, 82)], "in order, and each once"


async def test_what_is_not_confirmed_is_sent_again_and_nothing_is_skipped(context: Context, dsn: str) -> None:
    """A broker that says no once would make a sale unheard of."""
    first, second = await make_show(context, 50), await make_show(context, 50)
    for n in range(20):
        await try_book(context, first, [str(n + 1)])
        await try_book(context, second, [str(n + 1)])
    exchange = ListedExchange()
    exchange.refused = {f"{first}-7"}
    stage = Publishing(context, Database(dsn), SOURCE, exchange)
    for _ in range(6):
        await stage.round()
    marked = await context.pool.fetch(
        "SELECT seq FROM outbox WHERE show_id = $1 AND published ORDER BY seq", first
    )
    assert [row["seq"] for row in marked] == list(range(1, 7)), "nothing counts that comes after it"
    assert_in_order(ids(exchange.sent, second), 21)  # who is not concerned, is not held up
    exchange.refused = set()
    exchange.sent.clear()
    await drain(stage)
    await stage.close()
    assert ids(exchange.sent, first) == [f"{first}-{n}" for n in range(7, 22)]


async def test_an_event_that_commits_late_is_not_skipped(context: Context, dsn: str) -> None:
    """A slow transaction's sale would be passed over for good by a publisher that has seen a later one."""
    show = await make_show(context, 10)
    exchange = ListedExchange()
    stage = Publishing(context, Database(dsn), SOURCE, exchange)
    slow = await asyncpg.connect(dsn)
    transaction = slow.transaction()
    await transaction.start()
    # As a batch does: the inventory row first, then its event, and a COMMIT that takes its time.
    await slow.execute("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", show)
    await slow.execute("UPDATE inventory SET told_events = told_events + 1 WHERE show_id = $1", show)
    await slow.execute(
        "INSERT INTO outbox (show_id, seq, events, version, at, body) "
        "SELECT show_id, 2, 1, 0, clock_timestamp(), body FROM outbox WHERE show_id = $1",
        show,
    )
    behind = asyncio.create_task(try_book(context, show, ["1"]))
    await drain(stage)
    assert ids(exchange.sent, show) == [f"{show}-1"]
    await transaction.commit()
    await behind
    await drain(stage)
    assert ids(exchange.sent, show) == [f"{show}-{n}" for n in (1, 2, 3)]
    await stage.close()
    await slow.close()


async def test_a_publisher_that_dies_leaves_nothing_claimed(context: Context, dsn: str) -> None:
    """A show would be silent for as long as a dead worker's claim lasts."""
    show = await make_show(context, 10)

    asked = asyncio.Event()

    class Hanging(ListedExchange):
        async def publish(self, events: Sequence[Spelled]) -> list[bool]:
            self.sent += events
            asked.set()
            await asyncio.sleep(3600)
            return []

    hanging = Hanging()
    dying = Publishing(context, Database(dsn), SOURCE, hanging)
    task = asyncio.create_task(dying.round())
    await asked.wait()
    exchange = ListedExchange()
    other = Publishing(context, Database(dsn), SOURCE, exchange)
    assert not await other.round(), "somebody has it"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while not exchange.sent:  # the server notices that the connection is gone
        await other.round()
        await asyncio.sleep(0.02)
    await other.close()
    assert ids(exchange.sent, show) == ids(hanging.sent, show)


async def test_a_row_that_can_not_be_read_holds_up_its_own_show_only(context: Context, dsn: str) -> None:
    """One broken row would silence everybody."""
    first, second = await make_show(context, 10), await make_show(context, 10)
    await try_book(context, first, ["1"])
    await try_book(context, second, ["1"])
    await context.pool.execute("UPDATE outbox SET body = '\\x00' WHERE show_id = $1 AND seq = 1", first)
    exchange = ListedExchange()
    stage = Publishing(context, Database(dsn), SOURCE, exchange)
    for _ in range(3):
        await stage.round()
    await stage.close()
    assert ids(exchange.sent, first) == []
    assert ids(exchange.sent, second) == [f"{second}-1", f"{second}-2"]


async def test_many_shows_and_long_logs_are_taken_in_turns(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One show in great demand would keep all others waiting."""
    monkeypatch.setattr(outbox, "SHOWS_AT_ONCE", 3)
    monkeypatch.setattr(outbox, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(outbox, "EVENTS_AT_ONCE", 4)
    shows = [await make_show(context, 30) for _ in range(7)]
    for n in range(10):
        await try_book(context, shows[0], [str(n + 1)])
    exchange = ListedExchange()
    stage = Publishing(context, Database(dsn), SOURCE, exchange)
    for _ in range(6):
        await stage.round()
    assert {event.show_id for event in exchange.sent} == set(shows)
    await drain(stage)
    await stage.round()
    await drain(stage)
    await stage.close()
    assert_in_order(ids(exchange.sent, shows[0]), 11)


@pytest.mark.parametrize("publishes", [True, False])
async def test_what_is_done_and_old_is_pruned_and_nothing_else(
    context: Context, dsn: str, *, publishes: bool
) -> None:
    """The outbox would grow for ever, or an event would be thrown away before it was told."""
    show = await make_show(context, 10)
    await try_book(context, show, ["1"])
    queueing = Queueing(context, Database(dsn), SOURCE, publishes=publishes)
    await drain(queueing)
    await queueing.close()
    await context.pool.execute("UPDATE outbox SET at = now() - interval '2 days'")
    await try_book(context, show, ["2"])
    await Keeping(context, 1, publishes=publishes).round()
    left = [row["seq"] for row in await context.pool.fetch("SELECT seq FROM outbox ORDER BY seq")]
    assert left == ([1, 2, 3] if publishes else [3])


async def test_what_a_broker_was_to_have_is_done_once_there_is_none(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without AMQP_URL the first row that was not published would keep every later one for ever, and count as late."""
    monkeypatch.setattr(outbox, "PRUNE_AT_ONCE", 2)
    show = await make_show(context, 10)
    for seat in ("1", "2"):
        await try_book(context, show, [seat])
    before = Queueing(context, Database(dsn), SOURCE, publishes=True)
    await drain(before)
    await before.close()
    await context.pool.execute(
        "INSERT INTO webhooks (url, types, secret) VALUES ('https://x.example', '{}', '')"
    )
    await try_book(context, show, ["3"])  # waits for the webhooks, which there are with and without a broker
    keeping = Keeping(context, 7, publishes=False)
    assert await keeping.round(), "there is more than a portion"
    await keeping.round()
    query = "SELECT seq, published FROM outbox ORDER BY seq"
    assert [row["published"] for row in await context.pool.fetch(query)] == [True, True, True, False]
    await context.pool.execute("UPDATE outbox SET at = now() - interval '8 days'")
    while await keeping.round():
        pass
    await keeping.round()
    assert [row["seq"] for row in await context.pool.fetch(query)] == [4]


async def test_the_lag_is_the_age_of_what_waits(context: Context, dsn: str) -> None:
    """Nobody would notice that events have not gone out for an hour."""
    from rowlock import telemetry

    def lag(stage: str) -> float:
        return float(telemetry.EVENTS_LAG.labels(stage)._value.get())

    await context.pool.execute(
        "INSERT INTO webhooks (url, types, secret) VALUES ('https://x.example', '{}', '')"
    )
    await make_show(context, 10)
    await context.pool.execute("UPDATE outbox SET at = now() - interval '1 hour'")
    keeping = Keeping(context, 1, publishes=True)
    await keeping.measure()
    assert 3600 <= lag("queued") < 4000
    assert 3600 <= lag("published") < 4000
    queueing = Queueing(context, Database(dsn), SOURCE, publishes=True)
    await drain(queueing)
    await queueing.close()
    await keeping.measure()
    assert lag("queued") == 0
    assert lag("published") >= 3600


async def test_what_nobody_reads_is_done_as_it_is_written(context: Context, dsn: str) -> None:
    """Every booking would be paid for twice, where nobody wants to be told; or somebody would not be told."""
    keeping = Keeping(context, 7, publishes=False)
    await keeping.round()
    await make_show(context, 10)
    query = "SELECT queued, published FROM outbox ORDER BY show_id, seq"
    assert [tuple(row) for row in await context.pool.fetch(query)] == [(True, True)]
    show = await make_show(context, 10)
    await try_book(context, show, ["1"])
    assert [tuple(row) for row in await context.pool.fetch(query)] == [(True, True)] * 3

    await Keeping(context, 7, publishes=True).round()
    await try_book(context, show, ["2"])
    await context.pool.execute(
        "INSERT INTO webhooks (url, types, secret) VALUES ('https://x.example', '{}', '')"
    )
    await try_book(context, show, ["3"])
    await context.pool.execute("UPDATE webhooks SET active = false")
    await try_book(context, show, ["4"])
    told = [tuple(row) for row in await context.pool.fetch(query)][3:]
    assert told == [(True, False), (False, False), (True, False)]


async def test_where_nothing_is_old_pruning_reads_one_row_of_a_show(context: Context) -> None:
    """Each process would read a hundred rows of every show each minute, for nothing."""
    await context.pool.execute(
        "INSERT INTO outbox (show_id, seq, events, version, at, queued, published, body) "
        "SELECT show, n, 1, n, now(), true, true, '\\x90' "
        "FROM generate_series(1, 100) AS show, generate_series(1, 200) AS n"
    )
    await context.pool.execute("VACUUM ANALYZE outbox")
    query = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {outbox.SQL.prune}"
    ((plan,),) = await context.pool.fetch(query, 7, 1_000, 100)

    def read(node: dict[str, Any]) -> float:
        own = node["Actual Rows"] * node["Actual Loops"] if node.get("Relation Name") == "outbox" else 0
        return float(own + sum(read(child) for child in node.get("Plans", ())))

    assert 100 <= read(msgspec.json.decode(plan)[0]["Plan"]) <= 110, plan


async def test_the_search_for_what_is_to_do_reads_no_history(context: Context, dsn: str) -> None:
    """Each look would cost more with each day that events are kept."""
    await context.pool.execute(
        "INSERT INTO outbox (show_id, seq, events, version, at, queued, published, body) "
        "SELECT 1 + n % 50, n, 1, n, now(), n < 49990, n < 49990, '\\x90' FROM generate_series(1, 50000) AS n"
    )
    await context.pool.execute("VACUUM ANALYZE outbox")
    for query, values in (
        (outbox.SQL.claim_to_queue, (0, 20)),
        (outbox.SQL.claim_to_publish, (0, 20)),
        (outbox.SQL.to_queue, ([1, 2, 3], 10)),
        (outbox.SQL.to_publish, ([1, 2, 3], 10)),
        (outbox.SQL.lag, (1000,)),
    ):
        plan = await context.pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {query}", *values)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan on outbox" not in text, text
    async with open_context(Database(dsn)) as other:  # and it finds what there is
        rows = await other.pool.fetch(outbox.SQL.claim_to_queue, 0, 20)
        assert len(rows) == 11
