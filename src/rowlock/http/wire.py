"""What callers send: the bodies of requests, and what of them the operations take.

Types, ranges and patterns stand at the fields. Whatever needs two fields at once is checked where a body becomes the
operation's own request. Every refusal names its field.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from rowlock.domain.events import EventType
from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.domain.layout_spec import (
    CATEGORIES_MAX,
    TEXT_PATTERN,
    Category,
    LayoutSpec,
    Name,
    NumberedSpec,
    SeatCount,
)
from rowlock.http import tokens
from rowlock.http.problems import Code, FieldError, Problem, invalid
from rowlock.operations.book import BookRequest
from rowlock.operations.change_show import ShowChange
from rowlock.operations.create_show import MAX_SEATS_PER_BOOKING, NewShow, SeatsOf
from rowlock.operations.targets import URL_CHARS_MAX
from rowlock.operations.views import ConfirmBy, ShowKind, ShowStatus
from rowlock.operations.webhooks import WebhookChange

SEATS_PER_BOOKING_MAX = 500  # no show can allow more; see the inventory table
TITLE_CHARS_MAX = 200  # names of shows, venues and places: a line on a page
EMAIL_CHARS_MAX = 254  # RFC 5321's limit on a path, less its brackets

_EMAIL_PATTERN = r"^[^\s@\x00-\x1f\x7f-\x9f]+@[^\s@\x00-\x1f\x7f-\x9f]+$(?!\n)"

ShowId: TypeAlias = Annotated[
    int, Meta(ge=1, le=SHOW_ID_MAX, description="The show's id, 1 to 2^53-1.", examples=[1])
]
AtLeastOne: TypeAlias = Annotated[int, Meta(ge=1)]
UserId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=tokens.USER_ID_LENGTH_MAX)]
_YEARS_OF_INFINITY = (1, 9999)

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=TITLE_CHARS_MAX, pattern=TEXT_PATTERN)]
Time: TypeAlias = Annotated[datetime, Meta(tz=True)]
Label: TypeAlias = Name | Annotated[int, Meta(ge=0, le=SHOW_ID_MAX)]
Labels: TypeAlias = Annotated[
    tuple[Label, ...],
    Meta(
        description="Seats by their labels; a numbered one may be given as a number.",
        examples=[["A-12", "A-13"]],
    ),
]
MaxSeats: TypeAlias = Annotated[
    int, Meta(ge=1, le=SEATS_PER_BOOKING_MAX, description="Most seats in one booking.", examples=[10])
]
HoldSeconds: TypeAlias = Annotated[
    int,
    Meta(
        ge=1, le=86_400, description="How long a PENDING booking holds its seats, in seconds.", examples=[120]
    ),
]
Email: TypeAlias = Annotated[
    str, Meta(max_length=EMAIL_CHARS_MAX, pattern=_EMAIL_PATTERN, examples=["ada@example.org"])
]


WebhookUrl: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=URL_CHARS_MAX,
        description="Where events are sent: an address of the public internet.",
        examples=["https://example.org/hooks"],
    ),
]
EventTypes: TypeAlias = Annotated[
    tuple[EventType, ...],
    Meta(
        max_length=len(EventType),
        description="Only events of these types; of every type if empty.",
        examples=[["booking.confirmed", "booking.cancelled"]],
    ),
]
WebhookSecret: TypeAlias = Annotated[
    str, Meta(max_length=200, examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="])
]


class NewShowBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A show to be made. `name`, `start_time` and one of `total_seats`, `layout` and `layout_of` are enough."""

    name: Annotated[Text, Meta(description="What it is called.", examples=["Così fan tutte"])]
    start_time: Annotated[
        Time,
        Meta(description="When it begins: in the future, with an offset.", examples=["2030-01-01T19:30:00Z"]),
    ]
    total_seats: Annotated[
        SeatCount | None,
        Meta(
            description='So many seats, labelled "1" to "n", in rows of 10. Instead of `layout`.',
            examples=[120],
        ),
    ] = None
    layout: Annotated[
        LayoutSpec | None, Meta(description="Sections, rows and seats. Instead of `total_seats`.")
    ] = None
    layout_of: Annotated[
        ShowId | None,
        Meta(
            description="The seats of this show, with its categories and currency where none are given. Instead of "
            "`total_seats` and `layout`."
        ),
    ] = None
    id: Annotated[
        ShowId | None, Meta(description="An id of your own; the next free one if left out.", examples=[2026])
    ] = None
    kind: Annotated[ShowKind, Meta(description="`show`, or `trip`.", examples=["show"])] = ShowKind.SHOW
    venue: Annotated[Text | None, Meta(description="Where it is.", examples=["Opera House"])] = None
    origin: Annotated[Text | None, Meta(description="Where a trip begins.", examples=["Vienna"])] = None
    destination: Annotated[Text | None, Meta(description="Where a trip ends.", examples=["Graz"])] = None
    end_time: Annotated[
        Time | None, Meta(description="When it ends: after `start_time`.", examples=["2030-01-01T22:30:00Z"])
    ] = None
    time_zone: Annotated[
        Name | None, Meta(description="The IANA time zone of the place.", examples=["Europe/Vienna"])
    ] = None
    status: Annotated[
        ShowStatus, Meta(description="`cancelled` makes a show that sells nothing.", examples=["scheduled"])
    ] = ShowStatus.SCHEDULED
    currency: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)")] | None,
        Meta(description="ISO 4217, of all prices of the show; EUR if left out.", examples=["EUR"]),
    ] = None
    categories: Annotated[
        tuple[Category, ...],
        Meta(
            max_length=CATEGORIES_MAX,
            description="Price bands; the first is the one of seats that name none.",
        ),
    ] = ()
    max_seats_per_booking: MaxSeats = MAX_SEATS_PER_BOOKING
    hold_seconds: Annotated[HoldSeconds | None, Meta(description="The server's setting if left out.")] = None
    confirm_by: Annotated[
        ConfirmBy,
        Meta(
            description="Who confirms: also the booking's `owner`, or only a `service`.", examples=["owner"]
        ),
    ] = ConfirmBy.OWNER
    on_sale_at: Annotated[
        Time | None, Meta(description="Before this nothing is sold.", examples=["2029-12-01T09:00:00Z"])
    ] = None
    created_at: Annotated[
        Time | None,
        Meta(
            description="For shows brought along from elsewhere; now if left out.",
            examples=["2029-11-01T12:00:00Z"],
        ),
    ] = None

    def to_new_show(self, now: datetime) -> NewShow:
        """What the operation takes. `now` tells what is past."""
        if (given := 3 - [self.total_seats, self.layout, self.layout_of].count(None)) != 1:
            say = "give only" if given else "give"
            raise invalid("total_seats", f"{say} one of total_seats, layout and layout_of")
        spec: LayoutSpec | NumberedSpec | SeatsOf = self.layout or NumberedSpec(self.total_seats or 0)
        if self.layout_of is not None:
            spec = SeatsOf(self.layout_of)
        return NewShow(
            name=self.name,
            start_time=_future("start_time", self.start_time, now),
            layout=spec,
            id=self.id,
            kind=self.kind,
            venue=self.venue,
            origin=self.origin,
            destination=self.destination,
            end_time=_utc("end_time", self.end_time),
            time_zone=self.time_zone,
            status=self.status,
            currency=self.currency,
            categories=self.categories,
            max_seats_per_booking=self.max_seats_per_booking,
            hold_seconds=self.hold_seconds,
            confirm_by=self.confirm_by,
            on_sale_at=_utc("on_sale_at", self.on_sale_at),
            created_at=_utc("created_at", self.created_at),
        )


class ShowChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a show; what is left out stays. Its seats, categories and prices never change."""

    name: Annotated[Text | UnsetType, Meta(description="What it is called.", examples=["Fidelio"])] = UNSET
    venue: Annotated[Text | UnsetType | None, Meta(description="Where it is.", examples=["Opera House"])] = (
        UNSET
    )
    start_time: Annotated[
        Time | UnsetType,
        Meta(description="When it begins: in the future.", examples=["2030-01-01T20:00:00Z"]),
    ] = UNSET
    end_time: Annotated[
        Time | UnsetType | None, Meta(description="When it ends.", examples=["2030-01-01T23:00:00Z"])
    ] = UNSET
    time_zone: Annotated[
        Name | UnsetType | None, Meta(description="An IANA time zone.", examples=["Europe/Vienna"])
    ] = UNSET
    on_sale_at: Annotated[
        Time | UnsetType | None,
        Meta(description="Before this nothing is sold.", examples=["2029-12-01T09:00:00Z"]),
    ] = UNSET
    max_seats_per_booking: MaxSeats | UnsetType = UNSET
    hold_seconds: Annotated[
        HoldSeconds | UnsetType | None, Meta(description="Null: the server's setting.")
    ] = UNSET
    confirm_by: Annotated[ConfirmBy | UnsetType, Meta(description="Who confirms.", examples=["service"])] = (
        UNSET
    )

    def to_change(self, now: datetime) -> ShowChange:
        """What the operation takes. A start in the past is refused only where it is given."""
        values = msgspec.structs.asdict(self)
        if self.start_time is not UNSET:
            values["start_time"] = _future("start_time", self.start_time, now)
        for field in ("end_time", "on_sale_at"):
            if values[field] is not UNSET:
                values[field] = _utc(field, values[field])
        return ShowChange(**values)


class ShowBookingBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seats to be booked, all or none: either `seats` by name, or the best `seat_count`."""

    seats: Annotated[
        Labels | None, Meta(description="These seats, by their labels; a numbered one may be a number.")
    ] = None
    seat_count: Annotated[
        AtLeastOne | None,
        Meta(description="So many of the best seats left. Instead of `seats`.", examples=[2]),
    ] = None
    category: Annotated[
        Name | None, Meta(description="With `seat_count`: only seats of this category.", examples=["Balcony"])
    ] = None
    accessible: Annotated[
        bool, Meta(description="With `seat_count`: only accessible seats.", examples=[False])
    ] = False
    confirm: Annotated[
        bool, Meta(description="True: book at once. False: hold, and confirm later.", examples=[True])
    ] = True
    user_id: Annotated[
        UserId | None,
        Meta(
            description="Whom to book for: staff for anyone, customers for themselves. The caller if left out.",
            examples=["u-17"],
        ),
    ] = None
    customer_name: Annotated[
        Text | None, Meta(description="A name to keep with it.", examples=["Ada Lovelace"])
    ] = None
    email: Annotated[Email | None, Meta(description="An address to keep with it.")] = None

    def to_request(self, show_id: int, user_id: str) -> BookRequest:
        """What the operation takes, for the user that the caller acts for."""
        if (self.seats is None) == (self.seat_count is None):
            say = "give" if self.seats is None else "give only"
            raise invalid("seats", f"{say} one of seats and seat_count")
        if (self.seat_count or 0) > SEATS_PER_BOOKING_MAX:
            raise _too_many("seat_count")
        seats = () if self.seats is None else labels(self.seats, SEATS_PER_BOOKING_MAX)
        if self.seats is not None and (self.category is not None or self.accessible):
            raise invalid(
                "category" if self.category is not None else "accessible", "goes with seat_count only"
            )
        return BookRequest(  # by position: keywords cost twice as much
            show_id,
            user_id,
            seats,
            self.seat_count or 0,
            self.category,
            self.accessible,
            self.confirm,
            self.customer_name,
            self.email,
        )


class BookingBody(ShowBookingBody, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seats of a show to be booked, all or none: either `seats` by name, or the best `seat_count`."""

    show_id: ShowId


class SeatsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Seats by name, all or none."""

    seats: Labels

    def labels(self) -> tuple[str, ...]:
        """The labels as the operation takes them."""
        return labels(self.seats, None)


class WebhookBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook to be made. `url` is enough: it is told of everything, and a secret is made."""

    url: WebhookUrl
    types: EventTypes = ()
    description: Annotated[
        Text | None, Meta(description="What it is for.", examples=["The box office's ledger"])
    ] = None
    secret: Annotated[
        WebhookSecret | None, Meta(description="`whsec_` and the Base64 of 24 to 64 bytes; made if left out.")
    ] = None


class WebhookChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a webhook; what is left out stays."""

    url: WebhookUrl | UnsetType = UNSET
    types: EventTypes | UnsetType = UNSET
    description: Annotated[
        Text | UnsetType | None, Meta(description="What it is for.", examples=["The ledger"])
    ] = UNSET
    active: Annotated[
        bool | UnsetType,
        Meta(
            description="True: switch it on, and forget its failures. False: switch it off.", examples=[True]
        ),
    ] = UNSET
    secret: Annotated[WebhookSecret | UnsetType, Meta(description="Signs from the next attempt on.")] = UNSET

    def to_change(self) -> WebhookChange:
        """What the operation takes."""
        return WebhookChange(**msgspec.structs.asdict(self))


def labels(given: tuple[str | int, ...], most: int | None) -> tuple[str, ...]:
    """Seats by name: at least one, none twice. The number 7 is the label "7"."""
    if most is not None and len(given) > most:
        raise _too_many("seats")
    if not given:
        raise invalid("seats", "must name at least one seat")
    named = tuple(map(str, given))
    if len(set(named)) < len(named):
        seen: set[str] = set()
        for index, label in enumerate(named):
            if label in seen:
                raise invalid(f"seats[{index}]", f"names seat {label} a second time")
            seen.add(label)
    return named


def check_user_id(value: str) -> str:
    """A user id that may stand in a query, path or body."""
    if not tokens.is_user_id(value):
        raise invalid(
            "user_id", f"must have 1 to {tokens.USER_ID_LENGTH_MAX} characters and no control characters"
        )
    return value


def check_text(field: str, value: str) -> str:
    """A text that may stand in a query: no control characters, no halves of surrogate pairs."""
    if tokens.UNPRINTABLE.search(value):
        raise invalid(field, "must not have control characters")
    return value


def _too_many(field: str) -> Problem:
    return Problem(
        Code.TOO_MANY_SEATS,
        f"No show allows more than {SEATS_PER_BOOKING_MAX} seats in a booking.",
        errors=[FieldError(field, f"must be at most {SEATS_PER_BOOKING_MAX} seats")],
    )


def _utc(field: str, time: datetime | None) -> datetime | None:
    return None if time is None else to_utc(field, time)


def to_utc(field: str, time: datetime) -> datetime:
    """The same time in UTC. Not at the ends of the calendar, which the driver takes for infinity."""
    try:
        utc = time.astimezone(UTC)
    except OverflowError:
        utc = None
    if utc is None or utc.year in _YEARS_OF_INFINITY:
        raise invalid(field, "must lie between the years 2 and 9998 in UTC")
    return utc


def _future(field: str, time: datetime, now: datetime) -> datetime:
    utc = to_utc(field, time)
    if utc <= now:
        raise invalid(field, "must not be in the past")
    return utc
