"""Webhooks: who is told of events over HTTP, and the log of what was delivered."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgspec
from msgspec import UNSET, UnsetType

from rowlock.domain.events import EventType
from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.domain.trails import Trail
from rowlock.operations.auditing import record
from rowlock.operations.context import Context
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.events import Spelled, event_id
from rowlock.operations.targets import check_url
from rowlock.operations.views import Page
from rowlock.postgres.queries import load

SQL = load("webhooks")

WEBHOOKS_MAX: Final = 100  # each event may be sent to each of them
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 (how the specification begins every one)
SECRET_BYTES: Final = 32  # of one that we make; the specification asks for 24 to 64
SECRET_BYTES_MIN, SECRET_BYTES_MAX = 24, 64


class WebhookView(msgspec.Struct, frozen=True):
    """A webhook. `types` empty: it is told of everything. `secret` is shown once, when it is made or changed."""

    id: int
    url: str
    types: list[EventType]
    description: str | None
    active: bool
    notice: str | None
    failing_since: datetime | None
    created_at: datetime
    secret: str | UnsetType = UNSET


class DeliveryStatus(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class DeliveryView(msgspec.Struct, frozen=True):
    """An event's way to a webhook: how often it was tried, and what came of the last attempt."""

    event_id: str
    type: EventType
    show_id: int
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    attempted_at: datetime | None
    delivered_at: datetime | None
    answer_status: int | None
    answer: str | None
    error: str | None


class WebhookChange(msgspec.Struct, frozen=True):
    """New values; what is UNSET stays. `active` True also clears the notice."""

    url: str | UnsetType = UNSET
    types: tuple[EventType, ...] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET
    secret: str | UnsetType = UNSET


class Subscriptions:
    """Who is to be told of what, as it is in the transaction that queues events."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._wanted = [(row["id"], frozenset(row["types"])) for row in rows]

    def __bool__(self) -> bool:
        return bool(self._wanted)

    @classmethod
    async def read(cls, connection: asyncpg.Connection) -> Subscriptions:
        """Read them."""
        return cls(await connection.fetch(SQL.subscriptions))

    async def queue(self, connection: asyncpg.Connection, events: Sequence[Spelled]) -> None:
        """Queue events for those who want them; of each show they come in order."""
        wanted = [
            (event, webhook_id)
            for event in events
            for webhook_id, types in self._wanted
            if not types or event.type in types
        ]
        if not wanted:
            return
        keys = (
            [event.show_id for event, _ in wanted],
            [webhook_id for _, webhook_id in wanted],
            [event.seq for event, _ in wanted],
        )
        types, bodies = [event.type.value for event, _ in wanted], [event.body for event, _ in wanted]
        await connection.execute(SQL.queue, *keys, types, bodies)
        await connection.execute(SQL.queue_up, *keys)


async def create_webhook(
    context: Context,
    url: str,
    types: Sequence[EventType] = (),
    *,
    description: str | None = None,
    secret: str | None = None,
    trail: Trail | None = None,
) -> WebhookView:
    """Make a webhook; it is told of what happens from now on. Raises `Invalid`."""
    await check_url(url, allow_private=context.allow_private_webhooks)
    secret = _new_secret() if secret is None else _checked_secret(secret)
    if await context.pool.fetchval(SQL.count) >= WEBHOOKS_MAX:
        raise Invalid("url", f"there are {WEBHOOKS_MAX} webhooks already, and no more are allowed")
    async with context.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            SQL.insert, url, _values(types), description, context.sealer.seal(secret)
        )
        await record(
            connection, trail, "webhook.create", f"webhook {row['id']}", detail={"url": _origin(url)}
        )
    return _webhook(row, secret)


async def find_webhook(context: Context, identifier: int) -> WebhookView:
    """One webhook. Raises `NotFound`."""
    return _webhook(await _row(context, identifier))


async def list_webhooks(context: Context, *, limit: int = 50, cursor: str | None = None) -> Page[WebhookView]:
    """All webhooks, the oldest first. Raises `Invalid` for a bad cursor."""
    after = _decode(context, "webhooks", cursor, int) or 0
    rows = await context.pool.fetch(SQL.list, after, limit + 1)
    items = [_webhook(row) for row in rows[:limit]]
    more = len(rows) > limit
    return Page(items, encode_cursor(context.ids_secret, "webhooks", items[-1].id) if more else None)


async def change_webhook(
    context: Context, identifier: int, change: WebhookChange, *, trail: Trail | None = None
) -> WebhookView:
    """Change a webhook. Raises `NotFound`, `Invalid`."""
    now = await _row(context, identifier)
    url = now["url"] if change.url is UNSET else change.url
    active = now["active"] if change.active is UNSET else change.active
    if change.url is not UNSET:
        await check_url(url, allow_private=context.allow_private_webhooks)
    secret = UNSET if change.secret is UNSET else _checked_secret(change.secret)
    async with context.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(
            SQL.change,
            identifier,
            url,
            now["types"] if change.types is UNSET else _values(change.types),
            now["description"] if change.description is UNSET else change.description,
            active,
            change.active is True,
        )
        if row is None:
            raise NotFound(f"webhook {identifier}")
        if secret is not UNSET:
            await connection.execute(SQL.change_secret, identifier, context.sealer.seal(secret))
        if change.active is True or change.url is not UNSET:
            await connection.execute(SQL.wake, identifier)
        said = sorted(name for name, value in msgspec.structs.asdict(change).items() if value is not UNSET)
        await record(
            connection,
            trail,
            "webhook.change",
            f"webhook {identifier}",
            detail={"changed": said, "url": _origin(url)},
        )
    return _webhook(row, secret)


async def delete_webhook(context: Context, identifier: int, *, trail: Trail | None = None) -> None:
    """Delete a webhook, and, by and by, its log. Raises `NotFound`."""
    async with context.pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(SQL.delete, identifier) is None:
            raise NotFound(f"webhook {identifier}")
        await record(connection, trail, "webhook.delete", f"webhook {identifier}")


async def list_deliveries(
    context: Context,
    identifier: int,
    *,
    status: DeliveryStatus | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[DeliveryView]:
    """A webhook's delivery log, newest first. Raises `NotFound`, `Invalid` for a bad cursor."""
    await _row(context, identifier)
    after = _decode(context, f"deliveries {identifier}", cursor, tuple[datetime, int, int])
    rows = await context.pool.fetch(
        SQL.deliveries, identifier, status and status.value, *(after or (None, None, None)), limit + 1
    )
    items = [_delivery(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    last = (rows[limit - 1]["created_at"], rows[limit - 1]["show_id"], rows[limit - 1]["seq"])
    return Page(items, encode_cursor(context.ids_secret, f"deliveries {identifier}", last))


async def redeliver(
    context: Context, identifier: int, event: str, *, trail: Trail | None = None
) -> DeliveryView:
    """Have an event sent to a webhook once more, or, where it waits to be tried again, now. Raises `NotFound`."""
    await _row(context, identifier)
    key = _parse_event_id(event)
    missing = NotFound(f"delivery {event[:60]} in the log of this webhook")
    if key is None:
        raise missing
    async with context.pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(SQL.request, key[0], identifier, key[1])
        if row is None:
            raise missing
        await record(
            connection,
            trail,
            "webhook.redeliver",
            f"webhook {identifier}",
            show_id=key[0],
            detail={"event": event},
        )
    return _delivery(row)


def _parse_event_id(text: str) -> tuple[int, int] | None:
    show, _, number = text.partition("-")
    for part in (show, number):
        if not (part.isascii() and part.isdigit()) or part[0] == "0" or int(part[:17]) > SHOW_ID_MAX:
            return None
    return (int(show), int(number)) if len(show) < 17 and len(number) < 17 else None


async def _row(context: Context, identifier: int) -> Mapping[str, Any]:
    row: Mapping[str, Any] | None = await context.pool.fetchrow(SQL.get, identifier)
    if row is None:
        raise NotFound(f"webhook {identifier}")
    return row


def _decode(context: Context, kind: str, cursor: str | None, type_: Any) -> Any:
    if cursor is None:
        return None
    try:
        return decode_cursor(context.ids_secret, kind, cursor, type_)
    except BadCursor:
        raise Invalid("cursor", "is not one that this list gave out") from None


def _origin(url: str) -> str:
    """Where an address leads, without what may be a secret in its path or query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _values(types: Sequence[EventType]) -> list[str]:
    return sorted({type_.value for type_ in types})


def _new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def _checked_secret(secret: str) -> str:
    """A secret in the specification's form. Raises `Invalid`, which never repeats it."""
    try:
        size = len(b64decode(secret.removeprefix(SECRET_PREFIX), validate=True))
    except (Base64Error, ValueError):
        size = 0
    if not secret.startswith(SECRET_PREFIX) or not SECRET_BYTES_MIN <= size <= SECRET_BYTES_MAX:
        raise Invalid(
            "secret",
            f"must be {SECRET_PREFIX} and the Base64 of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes; leave it out, and one is made",
        )
    return secret


def _webhook(row: Mapping[str, Any], secret: str | UnsetType = UNSET) -> WebhookView:
    return WebhookView(
        id=row["id"],
        url=row["url"],
        types=[EventType(name) for name in row["types"]],
        description=row["description"],
        active=row["active"],
        notice=row["notice"],
        failing_since=row["failing_since"],
        created_at=row["created_at"],
        secret=secret,
    )


def _delivery(row: Mapping[str, Any]) -> DeliveryView:
    return DeliveryView(
        event_id=event_id(row["show_id"], row["seq"]),
        type=EventType(row["type"]),
        show_id=row["show_id"],
        status=DeliveryStatus(row["status"]),
        attempts=row["attempts"],
        created_at=row["created_at"],
        attempted_at=row["attempted_at"],
        delivered_at=row["delivered_at"],
        answer_status=row["answer_status"],
        answer=row["answer"],
        error=row["error"],
    )
