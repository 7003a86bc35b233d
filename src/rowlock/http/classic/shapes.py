"""What the predecessors' clients send, and what they read: names and types exactly as they know them.

Unknown fields are ignored, as their own servers did. Times come and go as texts, in the form that common.py tells.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.domain.layout_spec import SeatCount
from rowlock.http.wire import TITLE_CHARS_MAX, AtLeastOne, Label, ShowId, Text, UserId

NameField: TypeAlias = Annotated[Text, Meta(description="What it is called.", examples=["Rock Concert 2025"])]
GivenTime: TypeAlias = Annotated[
    str,
    Meta(
        max_length=64,
        description="When it begins, past or future, in any zone; without one it is taken for UTC.",
        examples=["2025-12-25T19:00:00Z"],
    ),
]
GivenSeats: TypeAlias = Annotated[
    SeatCount, Meta(description='So many seats, labelled "1" to "n".', examples=[100])
]

_TIME = {"format": "date-time"}
StartTime: TypeAlias = Annotated[
    str,
    Meta(description="When it begins.", examples=["2025-12-25T19:00:00.000Z"], extra_json_schema=_TIME),
]
StartSecond: TypeAlias = Annotated[
    str, Meta(description="When it begins.", examples=["2024-03-20T18:00:00Z"], extra_json_schema=_TIME)
]
CreatedAt: TypeAlias = Annotated[
    str, Meta(description="When it was made.", examples=["2025-11-01T12:00:00.123Z"], extra_json_schema=_TIME)
]
CreatedSecond: TypeAlias = Annotated[
    str, Meta(description="When it was made.", examples=["2024-03-19T10:00:00Z"], extra_json_schema=_TIME)
]
ExpiresAt: TypeAlias = Annotated[
    str | None,
    Meta(
        description="Until when a PENDING booking holds its seats; else null.",
        examples=["2025-11-01T12:02:00.123Z"],
    ),
]
Total: TypeAlias = Annotated[int, Meta(description="All of its seats.", examples=[100])]
Id: TypeAlias = Annotated[int, Meta(description="The show's id.", examples=[1])]
TextId: TypeAlias = Annotated[str, Meta(description="The show's id, as a text.", examples=["1"])]
BookingId: TypeAlias = Annotated[
    str, Meta(description="The booking's id.", examples=["00000000-0001-8a5d-9c3e-0b8f6d2a7e41"])
]
Status: TypeAlias = Annotated[
    str,
    Meta(
        description="PENDING, CONFIRMED or FAILED; CANCELLED where it was given back by other means.",
        examples=["CONFIRMED"],
    ),
]
Message: TypeAlias = Annotated[str, Meta(description="What was done, in words.")]


class ClassicError(Struct, frozen=True):
    """What went wrong, in plain words that name the field, the seats or the thing."""

    error: Annotated[
        str, Meta(description="What went wrong.", examples=["Seat 7 is taken; nothing was booked."])
    ]


# Predecessor 1: seats by name.


class ClassicOneNewShow(Struct, frozen=True):
    """A show to be made."""

    name: NameField
    start_time: GivenTime
    total_seats: GivenSeats


class ClassicOneShow(Struct, frozen=True):
    """A show."""

    id: Id
    name: NameField
    start_time: StartTime
    total_seats: Total
    created_at: CreatedAt


class ClassicOneShowMade(Struct, frozen=True):
    """A show that was made."""

    message: Message
    show: Annotated[ClassicOneShow, Meta(description="The show.")]


class ClassicOneShows(Struct, frozen=True):
    """All shows."""

    shows: Annotated[list[ClassicOneShow], Meta(description="By id.")]
    count: Annotated[int, Meta(description="How many.", examples=[1])]


class ClassicOneSeat(Struct, frozen=True):
    """A seat of a show."""

    id: Annotated[int, Meta(description="Its place in the show, from 1.", examples=[7])]
    seat_no: Annotated[str, Meta(description="Its label.", examples=["7"])]
    status: Annotated[
        str,
        Meta(
            description="AVAILABLE, RESERVED or BOOKED; what is off sale is BOOKED.", examples=["AVAILABLE"]
        ),
    ]


class ClassicOneSeats(Struct, frozen=True):
    """All seats of a show."""

    show_id: Id
    seats: Annotated[list[ClassicOneSeat], Meta(description="In layout order.")]
    count: Annotated[int, Meta(description="How many.", examples=[100])]


class ClassicOneNewBooking(Struct, frozen=True):
    """Seats to be booked, all or none."""

    seat_nos: Annotated[
        tuple[Label, ...],
        Meta(description="Seats by their labels; a numbered one may be a number.", examples=[["1", "2"]]),
    ]
    user_id: Annotated[
        UserId | Annotated[int, Meta(ge=0, le=SHOW_ID_MAX)],
        Meta(description="Whom to book for: staff for anyone, customers for themselves.", examples=["u-17"]),
    ]
    immediate_confirm: Annotated[
        bool, Meta(description="False: only hold the seats, for two minutes.", examples=[True])
    ] = True


class ClassicOneNewBookingMade(Struct, frozen=True):
    """A booking as it was made."""

    id: BookingId
    status: Status
    seat_nos: Annotated[list[str], Meta(description="Its seats.", examples=[["1", "2"]])]
    created_at: CreatedAt
    expires_at: ExpiresAt


class ClassicOneBooked(Struct, frozen=True):
    """Seats that were booked, or are held."""

    message: Message
    booking: Annotated[ClassicOneNewBookingMade, Meta(description="The booking.")]


class ClassicOneBooking(Struct, frozen=True):
    """A booking."""

    id: BookingId
    show_id: Id
    user_id: Annotated[str, Meta(description="Whose it is.", examples=["u-17"])]
    status: Status
    seat_nos: Annotated[list[str], Meta(description="Its seats.", examples=[["1", "2"]])]
    created_at: CreatedAt
    expires_at: ExpiresAt


class ClassicOneBookingFound(Struct, frozen=True):
    """A booking that was asked for."""

    booking: Annotated[ClassicOneBooking, Meta(description="The booking.")]


# Predecessor 2: only counts.


class ClassicTwoNewShow(Struct, frozen=True):
    """A show to be made."""

    name: NameField
    start_time: GivenTime
    total_seats: GivenSeats


class ClassicTwoNewShowMade(Struct, frozen=True):
    """A show as it was made."""

    id: Id
    name: NameField
    start_time: StartSecond
    total_seats: Total
    booked_seats: Annotated[int, Meta(description="Seats that can't be had any more.", examples=[0])]


class ClassicTwoShowMade(Struct, frozen=True):
    """A show that was made."""

    message: Message
    show: Annotated[ClassicTwoNewShowMade, Meta(description="The show.")]


class ClassicTwoShow(Struct, frozen=True):
    """A show with what is left."""

    id: Id
    name: NameField
    start_time: StartSecond
    total_seats: Total
    available_seats: Annotated[int, Meta(description="Seats that can be had.", examples=[35])]


class ClassicTwoNewBooking(Struct, frozen=True):
    """So many seats to be booked, the best there are, for whoever is calling."""

    show_id: ShowId
    seat_count: Annotated[AtLeastOne, Meta(description="How many, all or none.", examples=[2])]


class ClassicTwoBooking(Struct, frozen=True):
    """A booking."""

    id: BookingId
    show_id: Id
    seat_count: Annotated[int, Meta(description="How many seats were asked for.", examples=[2])]
    status: Status
    created_at: CreatedSecond


class ClassicTwoBooked(Struct, frozen=True):
    """What came of a request to book."""

    message: Annotated[str, Meta(description="`Booking CONFIRMED` or `Booking FAILED`.")]
    booking: Annotated[ClassicTwoBooking, Meta(description="The booking.")]


# Predecessor 4: seats by number, ids as texts, camelCase.

_NAME_OR_NONE = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"

SeatNumbers: TypeAlias = Annotated[list[int], Meta(description="Seats by their numbers.", examples=[[1, 2]])]


class ClassicFourHealth(Struct, frozen=True):
    """The process lives."""

    status: Annotated[str, Meta(description="Always `ok`.", examples=["ok"])]


class ClassicFourNewShow(Struct, frozen=True, rename="camel"):
    """A show to be made."""

    name: NameField
    start_time: GivenTime
    total_seats: GivenSeats


class ClassicFourShow(Struct, frozen=True, rename="camel"):
    """A show with its counts."""

    id: TextId
    name: NameField
    start_time: StartTime
    total_seats: Total
    reserved_seats: Annotated[int, Meta(description="Seats that can't be had.", examples=[3])]
    available_seats: Annotated[int, Meta(description="Seats that can be had.", examples=[37])]


class ClassicFourShowMade(Struct, frozen=True):
    """A show that was made."""

    show: Annotated[ClassicFourShow, Meta(description="The show.")]


class ClassicFourShows(Struct, frozen=True):
    """All shows."""

    shows: Annotated[list[ClassicFourShow], Meta(description="By id.")]


class ClassicFourSeatMap(Struct, frozen=True, rename="camel"):
    """A show with its seats."""

    id: TextId
    name: NameField
    start_time: StartTime
    total_seats: Total
    reserved_seats: SeatNumbers
    available_seats: SeatNumbers
    reserved_seat_numbers: SeatNumbers
    available_seat_numbers: SeatNumbers


class ClassicFourShowFound(Struct, frozen=True):
    """A show that was asked for."""

    show: Annotated[ClassicFourSeatMap, Meta(description="The show.")]


class ClassicFourNewBooking(Struct, frozen=True, rename="camel"):
    """Seats to be booked, all or none."""

    seats: Annotated[
        tuple[AtLeastOne, ...], Meta(description="Seats by their numbers.", examples=[[1, 2, 3]])
    ]
    user_name: Annotated[
        Annotated[str, Meta(max_length=TITLE_CHARS_MAX, pattern=_NAME_OR_NONE)] | None,
        Meta(description="Who books; whoever is calling if left out.", examples=["Maya"]),
    ] = None


class ClassicFourConfirmed(Struct, frozen=True, rename="camel"):
    """Seats that were booked."""

    booking_id: BookingId
    status: Status
    show_id: TextId
    seats_confirmed: SeatNumbers


class ClassicFourFailed(Struct, frozen=True, rename="camel"):
    """Seats that could not be booked."""

    booking_id: BookingId
    status: Status
    show_id: TextId
    failed_seats: Annotated[
        list[int], Meta(description="The seats that stood in the way.", examples=[[2, 3]])
    ]
    reason: Annotated[
        str, Meta(description="Why, in words.", examples=["Seats 2 and 3 are taken; nothing was booked."])
    ]


class ClassicFourBooking(Struct, frozen=True, rename="camel"):
    """A booking."""

    id: BookingId
    show_id: TextId
    user_name: Annotated[str, Meta(description="The name that came with it, or its user.", examples=["Maya"])]
    status: Status
    seats: SeatNumbers
    created_at: CreatedAt
    expires_at: ExpiresAt


class ClassicFourBookingFound(Struct, frozen=True):
    """A booking that was asked for."""

    booking: Annotated[ClassicFourBooking, Meta(description="The booking.")]
