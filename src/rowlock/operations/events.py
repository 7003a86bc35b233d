"""Events as others read them: CloudEvents 1.0 in JSON, the same for RabbitMQ and for webhooks.

An event's id is its show's and its number: it is the same however often it is sent. Together with `source` it names
the event for good. `sequence` is the number: a reader who has n of a show and gets n + 2 knows that one is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from rowlock.domain.events import Event, EventType, unpack
from rowlock.operations.context import Context
from rowlock.operations.find_shows import show_from_row
from rowlock.operations.seats import plan_of
from rowlock.operations.views import BookingView, ShowView, view_booking
from rowlock.seatmap.plans import Plan

CONTENT_TYPE = "application/cloudevents+json"
NUMBER_DIGITS = 19  # of a bigint: numbers of one length sort as texts do, which is what `sequence` is


class BookingData(msgspec.Struct, frozen=True):
    """What became of a booking: the booking as it was then, and the version of its show that this made."""

    show_id: int
    version: int
    booking: BookingView


class ShowData(msgspec.Struct, frozen=True):
    """What became of a show: the show as it was then. The seats, by label, that an update took off sale or put back."""

    show_id: int
    version: int
    show: ShowView
    blocked: list[str] | UnsetType = UNSET
    unblocked: list[str] | UnsetType = UNSET


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The envelope (CloudEvents 1.0, with the extensions `partitionkey` and `sequence`)."""

    specversion: str = "1.0"
    id: str
    source: str
    type: EventType
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    partitionkey: str
    sequence: str
    data: BookingData | ShowData


class Spelled(msgspec.Struct, frozen=True):
    """An event, ready to be sent."""

    show_id: int
    seq: int
    type: EventType
    body: bytes

    @property
    def id(self) -> str:
        """The event's id."""
        return event_id(self.show_id, self.seq)


def event_id(show_id: int, seq: int) -> str:
    """The id of an event: the same wherever, and however often, it is sent."""
    return f"{show_id}-{seq}"


async def spell_out(context: Context, row: Mapping[str, Any], source: str) -> list[Spelled]:
    """The events of a row of the outbox. Raises `NotFound` where its show is gone, `msgspec.MsgspecError` for one of no use."""
    plan = await plan_of(context, row["show_id"])
    spelled = []
    for position, event in enumerate(unpack(row["body"], row["at"])):
        seq = row["seq"] + position
        envelope = CloudEvent(
            id=event_id(row["show_id"], seq),
            source=source,
            type=event.type,
            subject=f"shows/{row['show_id']}"
            if event.booking is None
            else f"shows/{row['show_id']}/bookings/{event.booking.id}",
            time=row["at"].astimezone(UTC),
            partitionkey=str(row["show_id"]),
            sequence=f"{seq:0{NUMBER_DIGITS}}",
            data=_data(row, event, plan, context.hold_seconds),
        )
        spelled.append(Spelled(row["show_id"], seq, event.type, msgspec.json.encode(envelope)))
    return spelled


def _data(row: Mapping[str, Any], event: Event, plan: Plan, hold_seconds: int) -> BookingData | ShowData:
    if event.booking is not None:
        view = view_booking(event.booking, plan.layout, plan.currency)
        return BookingData(row["show_id"], row["version"], view)
    assert event.show is not None, "an event is a booking's or a show's"
    return ShowData(
        row["show_id"],
        row["version"],
        show_from_row(event.show, hold_seconds),
        plan.layout.labels(event.blocked) if event.blocked else UNSET,
        plan.layout.labels(event.unblocked) if event.unblocked else UNSET,
    )
