"""Webhooks: signed, in order, at least once, to receivers that hang, refuse and fail; and never where they may not lead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpcore
import pytest

from rowlock.domain.events import EventType
from rowlock.operations.context import Context, open_context
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.sealing import CannotOpen, Sealer
from rowlock.operations.targets import TargetRefused, assert_public
from rowlock.operations.webhooks import (
    DeliveryStatus,
    WebhookChange,
    WebhookView,
    change_webhook,
    create_webhook,
    delete_webhook,
    find_webhook,
    list_deliveries,
    list_webhooks,
    redeliver,
)
from rowlock.postgres.pool import Database
from rowlock.workers import deliveries, outgoing
from rowlock.workers.deliveries import Deliverer, backoff
from rowlock.workers.outbox import Keeping, Queueing
from rowlock.workers.outgoing import Outgoing
from tests.events import assert_in_order, until_so
from tests.support import make_show, try_book
from tests.workers.receiver import BROKEN, OK, receiving

pytestmark = pytest.mark.anyio

KEY = "a key that is only for the tests, and long enough"
ADVANCE = deliveries.SQL.advance
SECONDS_MAX = 60  # for what takes one or two on an idle machine


@pytest.fixture
async def context(dsn: str) -> AsyncIterator[Context]:
    """Rowlock, with webhooks that may lead to this machine."""
    async with open_context(Database(dsn), secret_keys=(KEY,), allow_private_webhooks=True) as context:
        yield context


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts and pauses that tests can wait for."""
    monkeypatch.setattr(outgoing, "ATTEMPT_SECONDS_MAX", 3.0)
    monkeypatch.setattr(deliveries, "RETRY_SECONDS_FIRST", 0.05)
    monkeypatch.setattr(deliveries, "RETRY_SECONDS_MAX", 0.5)


@asynccontextmanager
async def delivering(context: Context, dsn: str, **options: Any) -> AsyncIterator[Deliverer]:
    """A worker that queues and delivers."""
    queueing = Queueing(context, Database(dsn), "urn:test", publishes=False)
    deliverer = Deliverer(context, **{"disable_days": 3, "look_seconds": 0.02, **options})
    deliverer.start()

    async def queue() -> None:
        while True:
            await queueing.round()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(queue())
    try:
        yield deliverer
    finally:
        task.cancel()
        await asyncio.wait([task])
        await queueing.close()
        await deliverer.stop()


async def until(true: Callable[[], bool], what: str = "it never came to that") -> None:
    """Wait until something is so."""
    deadline = asyncio.get_running_loop().time() + SECONDS_MAX
    while not true():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


async def log_of(context: Context, webhook: WebhookView, status: DeliveryStatus) -> list[str]:
    """The events in a webhook's log that are of a status, the oldest first."""
    page = await list_deliveries(context, webhook.id, status=status, limit=200)
    return [delivery.event_id for delivery in reversed(page.items)]


async def until_logged(context: Context, webhook: WebhookView, status: DeliveryStatus, count: int) -> None:
    """Wait until so many deliveries of a webhook are of a status."""
    deadline = asyncio.get_running_loop().time() + SECONDS_MAX
    while len(await log_of(context, webhook, status)) < count:
        assert asyncio.get_running_loop().time() < deadline, await list_deliveries(context, webhook.id)
        await asyncio.sleep(0.05)


async def test_events_come_signed_in_order_and_as_asked_for(context: Context, dsn: str) -> None:
    """A receiver could not tell ours from a forged one, or would have to sort them."""
    async with receiving() as all_of_them, receiving() as sales, delivering(context, dsn):
        everything = await create_webhook(context, all_of_them.url)
        sold = await create_webhook(context, sales.url, [EventType.BOOKING_CONFIRMED])
        show = await make_show(context, 30)
        await asyncio.gather(*(try_book(context, show, [str(1 + n % 20)], f"u{n}") for n in range(30)))
        await until(lambda: len(all_of_them.heard) >= 31 and len(sales.heard) >= 20)
        await until_logged(context, everything, DeliveryStatus.DELIVERED, 31)
        assert_in_order(all_of_them.ids(show), 31)
        assert {heard.event["type"] for heard in sales.heard} == {"booking.confirmed"}
        assert everything.secret
        assert sold.secret
        all_of_them.verify(str(everything.secret))
        sales.verify(str(sold.secret))
        first = all_of_them.heard[0]
        assert first.headers["content-type"] == "application/cloudevents+json"
        assert first.event["id"] == first.id
        assert len(await log_of(context, sold, DeliveryStatus.DELIVERED)) == 20


async def test_receivers_that_hang_refuse_and_fail_get_every_event_in_order(
    context: Context, dsn: str
) -> None:
    """A shop whose server was down for an hour would have lost an hour of sales."""
    async with receiving() as hanging, receiving() as failing, receiving() as refusing, receiving() as well:
        receivers = [hanging, failing, refusing, well]
        hanging.answer = lambda _: None
        failing.answer = lambda _: BROKEN
        await refusing.close()
        hooks = [await create_webhook(context, receiver.url) for receiver in receivers]
        async with delivering(context, dsn):
            first, second = await make_show(context, 30), await make_show(context, 30)
            for n in range(6):
                await try_book(context, first, [str(n + 1)])
                await try_book(context, second, [str(n + 1)])
            # Whoever is well is not held up by those who aren't.
            await until_logged(context, hooks[3], DeliveryStatus.DELIVERED, 14)
            await until(lambda: len(failing.ids(first)) >= 3 and len(hanging.heard) >= 2)
            assert set(failing.ids(first)) == {f"{first}-1"}, "the next one waits for the one before it"
            assert set(failing.ids(second)) == {f"{second}-1"}, "and other shows don't"
            assert (await find_webhook(context, hooks[1].id)).failing_since is not None
            hanging.answer = failing.answer = lambda _: OK
            await refusing.open()
            for hook in hooks:
                await until_logged(context, hook, DeliveryStatus.DELIVERED, 14)
        for receiver in receivers:
            for show in (first, second):
                assert_in_order(receiver.ids(show), 7)
        views = [await find_webhook(context, hook.id) for hook in hooks]
        assert [(view.active, view.failing_since, view.notice) for view in views] == [(True, None, None)] * 4


async def test_the_log_says_what_came_of_it(context: Context, dsn: str) -> None:
    """Nobody could find out why a receiver does not get its events."""
    async with receiving() as receiver, delivering(context, dsn):
        hook = await create_webhook(context, receiver.url)
        receiver.answer = lambda heard: (
            BROKEN if sum(one.id == heard.id for one in receiver.heard) < 3 else OK
        )
        show = await make_show(context, 3)
        await until_logged(context, hook, DeliveryStatus.DELIVERED, 1)
        (delivery,) = (await list_deliveries(context, hook.id)).items
        assert (delivery.event_id, delivery.type, delivery.show_id) == (f"{show}-1", "show.created", show)
        assert (delivery.attempts, delivery.answer_status, delivery.answer) == (3, 200, "ok")
        assert delivery.error is None
        assert delivery.delivered_at is not None


async def test_an_event_is_given_up_after_a_day_and_the_next_one_tried(context: Context, dsn: str) -> None:
    """One event that a receiver chokes on would keep it from all that follow, for ever."""
    async with receiving() as receiver, delivering(context, dsn, retry_seconds_total=1):
        receiver.answer = lambda heard: BROKEN if heard.event["type"] == "show.created" else OK
        hook = await create_webhook(context, receiver.url)
        show = await make_show(context, 3)
        await try_book(context, show, ["1"])
        await until_logged(context, hook, DeliveryStatus.DELIVERED, 1)
        assert await log_of(context, hook, DeliveryStatus.FAILED) == [f"{show}-1"]
        assert await log_of(context, hook, DeliveryStatus.DELIVERED) == [f"{show}-2"]
        (dead, _) = reversed((await list_deliveries(context, hook.id)).items)
        assert dead.attempts > 1
        assert (dead.answer_status, dead.answer, dead.error) == (500, "oops", "answered 500")
        # On request it is sent once more, with the same id.
        receiver.answer = lambda _: OK
        before = len(receiver.heard)
        await redeliver(context, hook.id, f"{show}-1")
        await until_logged(context, hook, DeliveryStatus.DELIVERED, 2)
        assert [heard.id for heard in receiver.heard[before:]] == [f"{show}-1"]
        with pytest.raises(NotFound):
            await redeliver(context, hook.id, f"{show}-77")


async def test_days_of_failure_switch_a_webhook_off_with_a_notice(context: Context, dsn: str) -> None:
    """A receiver that is gone would be asked for ever, and nobody told."""
    async with receiving() as receiver, delivering(context, dsn):
        receiver.answer = lambda _: BROKEN
        hook = await create_webhook(context, receiver.url)
        show = await make_show(context, 9)
        await until(lambda: len(receiver.heard) >= 2)
        await context.pool.execute("UPDATE webhooks SET failing_since = failing_since - interval '4 days'")
        deadline = asyncio.get_running_loop().time() + SECONDS_MAX
        while (view := await find_webhook(context, hook.id)).active:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        assert view.notice is not None
        assert "3 days" in view.notice
        assert "answered 500" in view.notice
        heard = len(receiver.heard)
        await try_book(context, show, ["1"])
        await until_so(context, "SELECT bool_and(queued) FROM outbox", SECONDS_MAX)
        await asyncio.sleep(0.5)
        assert len(receiver.heard) == heard, "nothing is sent to it"
        # Switched on again, it gets what waited, and what happens from now on.
        receiver.answer = lambda _: OK
        on = await change_webhook(context, hook.id, WebhookChange(active=True))
        assert (on.active, on.notice, on.failing_since) == (True, None, None)
        await try_book(context, show, ["2"])
        await until_logged(context, hook, DeliveryStatus.DELIVERED, 2)
        assert await log_of(context, hook, DeliveryStatus.DELIVERED) == [f"{show}-1", f"{show}-3"]


async def test_gone_means_gone(context: Context, dsn: str) -> None:
    """A receiver that says so politely would be asked for days."""
    async with receiving() as receiver, delivering(context, dsn):
        receiver.answer = lambda _: b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
        hook = await create_webhook(context, receiver.url)
        await make_show(context, 3)
        deadline = asyncio.get_running_loop().time() + SECONDS_MAX
        while (view := await find_webhook(context, hook.id)).active:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
        assert "410 Gone" in str(view.notice)
        assert len(receiver.heard) == 1


async def test_a_worker_that_dies_is_followed_by_another(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a dead worker had in hand would never be delivered."""
    monkeypatch.setattr(deliveries, "LEASE_SECONDS", 1.0)
    async with receiving() as receiver:
        receiver.answer = lambda _: None
        hook = await create_webhook(context, receiver.url)
        async with delivering(context, dsn) as dying:
            show = await make_show(context, 3)
            await until(lambda: len(receiver.heard) == 1)
            # As if its process were gone: what it has in hand it neither records nor gives back.
            monkeypatch.setattr(
                deliveries.SQL, "advance", "SELECT $1::bigint, $2::bigint, $3::bigint, $4::float8"
            )
            for task in list(dying._tasks):
                task.cancel()
            await dying.idle()
        monkeypatch.setattr(deliveries.SQL, "advance", ADVANCE)
        receiver.answer = lambda _: OK
        async with delivering(context, dsn):
            await until_logged(context, hook, DeliveryStatus.DELIVERED, 1)
        assert set(receiver.ids(show)) == {f"{show}-1"}


async def test_a_slow_failure_does_not_undo_a_delivery(context: Context, dsn: str) -> None:
    """The log would say of an event that arrived that it is still to come, and nobody would ever try it again."""
    async with receiving() as receiver:
        receiver.answer = lambda _: None if len(receiver.heard) == 1 else OK
        hook = await create_webhook(context, receiver.url)
        async with delivering(context, dsn):
            show = await make_show(context, 3)
            await until(lambda: len(receiver.heard) == 1)
            await redeliver(context, hook.id, f"{show}-1")  # while the first attempt hangs
            await until_so(context, "SELECT attempts = 2 FROM deliveries", SECONDS_MAX)
        (delivery,) = (await list_deliveries(context, hook.id)).items
        assert delivery.status is DeliveryStatus.DELIVERED
        assert (delivery.answer_status, delivery.answer, delivery.error) == (200, "ok", None)


async def test_redeliveries_to_one_webhook_leave_slots_to_others(
    context: Context, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for a day's events again, of a receiver that hangs, would keep all others from theirs."""
    monkeypatch.setattr(deliveries, "SLOTS", 4)
    monkeypatch.setattr(deliveries, "WEBHOOK_SLOTS", 2)
    async with receiving() as hanging, receiving() as well:
        slow, quick = [await create_webhook(context, receiver.url) for receiver in (hanging, well)]
        async with delivering(context, dsn):
            show = await make_show(context, 9)
            for n in range(5):
                await try_book(context, show, [str(n + 1)])
            for hook in (slow, quick):
                await until_logged(context, hook, DeliveryStatus.DELIVERED, 6)
        hanging.answer = lambda _: None
        for n in range(1, 7):
            await redeliver(context, slow.id, f"{show}-{n}")
        await redeliver(context, quick.id, f"{show}-1")
        deliverer = Deliverer(context, disable_days=3)
        try:
            await deliverer.round()
            assert deliverer._busy[slow.id] == 2
            await deliverer.round()
            assert deliverer._busy[slow.id] <= 2
            await until(lambda: len(well.heard) == 7)
        finally:
            await deliverer.stop()


async def test_a_look_costs_the_same_however_many_webhooks_there_are(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred webhooks that nothing happens to would ask the database four hundred times a second."""
    await context.pool.execute(
        "INSERT INTO webhooks (url, types, secret) SELECT 'https://192.0.78.9/', '{}', 'x' FROM generate_series(1, 50)"
    )
    ours = {deliveries.SQL.targets, deliveries.SQL.claim, deliveries.SQL.requested}
    fetch, asked = asyncpg.Pool.fetch, []

    async def counting(pool: asyncpg.Pool, query: str, *values: object, **options: Any) -> Any:
        if query in ours:
            asked.append(query)
        return await fetch(pool, query, *values, **options)

    monkeypatch.setattr(asyncpg.Pool, "fetch", counting)
    deliverer = Deliverer(context, disable_days=3)
    await deliverer.round()
    await deliverer.stop()
    assert sorted(asked) == sorted(ours)


async def test_only_so_much_of_an_answer_is_read(context: Context) -> None:
    """A receiver could fill our memory, or keep us busy for ever."""
    async with receiving() as receiver:
        client = Outgoing(allow_private=True)
        receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 100_000
        answer = await client.post(receiver.url, {}, b"{}")
        assert answer.delivered
        assert answer.text == "x" * 500
        receiver.answer = lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nx"  # and then nothing
        answer = await client.post(receiver.url, {}, b"{}")
        assert not answer.delivered
        assert "no answer within" in str(answer.error)
        receiver.answer = lambda _: b"nonsense\r\n\r\n"
        assert (await client.post(receiver.url, {}, b"{}")).status is None
        await client.close()


async def test_redirects_are_not_followed(context: Context) -> None:
    """A public address would lead to a private one after all."""
    async with receiving() as receiver, receiving() as inside:
        receiver.answer = lambda _: (
            f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {inside.url}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        client = Outgoing(allow_private=True)
        answer = await client.post(receiver.url, {}, b"{}")
        await client.close()
        assert (answer.status, answer.delivered, inside.heard) == (307, False, [])


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.0.192", "198.18.0.1", "168.63.129.16", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:a00:1::1", "::127.0.0.1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "fec0::1", "::ffff:0:7f00:1", "::1:7f00:1", "4000::1", "64:ff9b:1::808:808", "::8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_told(address: str) -> None:
    """Whoever may make a webhook could reach what only Rowlock can reach."""
    with pytest.raises(TargetRefused):
        assert_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_are_taken(address: str) -> None:
    """Nobody could have a webhook."""
    assert_public(address)


URLS = [
    "http://127.0.0.1/", "http://localhost:8000/x", "https://[::1]/", "http://2130706433/", "http://0x7f.1/", "http://0/",
    "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/", "ftp://example.org/", "https:///x", "nonsense", "",
    "https://user:pw@example.org/", "https://example.org/#part", "https://example.org:99999/", "https://exa mple.org/",
    "https://[::1", "https://example.org/" + "x" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
async def test_a_url_that_may_not_be_is_refused_by_name(dsn: str, url: str) -> None:
    """An admin would find out days later, from the log, or never."""
    async with open_context(Database(dsn)) as strict:
        with pytest.raises(Invalid) as refused:
            await create_webhook(strict, url)
        assert refused.value.field == "url"


async def test_what_is_connected_to_is_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was public when it was checked would be 127.0.0.1 when it is connected to (DNS rebinding)."""
    async with receiving() as receiver:
        looks = 0

        async def resolve(host: str, port: int, **_: Any) -> list[Any]:
            nonlocal looks
            looks += 1
            address = "93.184.215.14" if looks == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        loop = asyncio.get_running_loop()
        client = Outgoing(allow_private=False)
        connected: list[str] = []

        async def connect(host: str, *_: Any) -> Any:
            connected.append(host)
            raise httpcore.ConnectError("nobody is there")

        backend = client._client._transport._pool._network_backend  # type: ignore[attr-defined]
        monkeypatch.setattr(backend._backend, "connect_tcp", connect)
        monkeypatch.setattr(type(loop), "getaddrinfo", lambda _self, *args, **named: resolve(*args, **named))
        first = await client.post(f"http://rebinding.example:{receiver.port}/", {}, b"{}")
        second = await client.post(f"http://rebinding.example:{receiver.port}/", {}, b"{}")
        await client.close()
        assert connected == ["93.184.215.14"], "the number that was checked, and not the name"
        assert "nobody is there" in str(first.error)
        assert second.error == "refused: 127.0.0.1 is not a public address"
        assert receiver.heard == []


async def test_secrets_are_sealed_and_shown_once(context: Context, dsn: str) -> None:
    """Whoever sees a backup could sign as we do."""
    made = await create_webhook(context, "https://192.0.78.9/")
    secret = str(made.secret)
    assert "secret" not in str((await list_webhooks(context)).items[0]).replace("secret=UNSET", "")
    row = await context.pool.fetchval("SELECT secret FROM webhooks")
    assert secret.encode() not in row
    assert secret.removeprefix("whsec_").encode() not in row
    assert context.sealer.open(row) == secret
    with pytest.raises(CannotOpen):
        Sealer(b"another key of thirty-two bytes or so").open(row)
    own = "whsec_" + "QUJD" * 8
    changed = await change_webhook(context, made.id, WebhookChange(secret=own))
    assert changed.secret == own
    for bad in ("whsec_QUJD", "QUJD" * 8, "whsec_!!!!", "whsec_" + "QUJD" * 30):
        with pytest.raises(Invalid) as refused:
            await change_webhook(context, made.id, WebhookChange(secret=bad))
        assert refused.value.field == "secret"
        assert bad not in str(refused.value)


async def test_another_key_is_told_in_the_log(context: Context, dsn: str) -> None:
    """After a change of ROWLOCK_SECRET_KEY requests would be signed with nonsense, or silently not sent."""
    async with receiving() as receiver:
        hook = await create_webhook(context, receiver.url)
        await make_show(context, 3)
        async with (
            open_context(Database(dsn), secret_keys=("k" * 40,), allow_private_webhooks=True) as other,
            delivering(other, dsn),
        ):
            deadline = asyncio.get_running_loop().time() + SECONDS_MAX
            while not (log := (await list_deliveries(other, hook.id)).items) or not log[0].error:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.05)
        assert "ROWLOCK_SECRET_KEY" in str(log[0].error)
        assert receiver.heard == []


async def test_what_a_deleted_webhook_had_is_removed(context: Context, dsn: str) -> None:
    """Its log would stay for ever, and nobody could see it."""
    async with receiving() as receiver, delivering(context, dsn):
        hook, other = [await create_webhook(context, receiver.url) for _ in range(2)]
        await make_show(context, 3)
        for one in (hook, other):
            await until_logged(context, one, DeliveryStatus.DELIVERED, 1)
        await delete_webhook(context, hook.id)
        with pytest.raises(NotFound):
            await find_webhook(context, hook.id)
    for _ in range(2):
        await Keeping(context, 7, publishes=False).round()
    for table in ("deliveries", "webhook_queues"):
        assert await context.pool.fetchval(f"SELECT count(*) FROM {table}") == 1
    await context.pool.execute("UPDATE deliveries SET created_at = now() - interval '8 days'")
    for _ in range(2):
        await Keeping(context, 7, publishes=False).round()
    for table in ("deliveries", "webhook_queues"):
        assert await context.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


def test_pauses_grow_to_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that is down would be asked ten times a second, or never again."""
    monkeypatch.undo()
    pauses = [backoff(attempts) for attempts in range(1, 40)]
    assert all(4 <= pause <= 4320 for pause in pauses)
    assert pauses[0] <= 6
    assert all(pause >= 2880 for pause in pauses[10:])
    day = sum(5 * 2**n for n in range(10)) + 3600 * 22
    assert day >= 84_000, "some 32 attempts are a day"


async def test_pages_of_the_log_fit_together(context: Context, dsn: str) -> None:
    """Entries would be shown twice, or not at all."""
    async with receiving() as receiver, delivering(context, dsn):
        hook = await create_webhook(context, receiver.url)
        show = await make_show(context, 9)
        for n in range(6):
            await try_book(context, show, [str(n + 1)])
        await until_logged(context, hook, DeliveryStatus.DELIVERED, 7)
    found = []
    cursor = None
    while True:
        page = await list_deliveries(context, hook.id, limit=3, cursor=cursor)
        found += [delivery.event_id for delivery in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(found) == [f"{show}-{n}" for n in range(1, 8)]
    with pytest.raises(Invalid):
        await list_deliveries(context, hook.id, cursor="nonsense")
