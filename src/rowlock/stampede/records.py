"""What the buyers wanted, what they were told, and what the server's own books say: all that the audit looks at."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from msgspec import Struct


class Then(Enum):
    """What a buyer does with a booking once it has one."""

    KEEP = "keeps what was confirmed at once"
    CANCEL_BOOKED = "gives back what was confirmed at once"
    CONFIRM = "confirms its hold"
    RELEASE = "gives its hold back"
    LAPSE = "lets its hold lapse"
    CONFIRM_LATE = "confirms its hold after it has lapsed"

    @property
    def holds(self) -> bool:
        """Whether the booking begins as a hold."""
        return self not in {Then.KEEP, Then.CANCEL_BOOKED}


class Manner(Enum):
    """How a buyer asks."""

    ONCE = "asks once, without a key"
    AGAIN = "asks, and again with the same key"
    AT_ONCE = "asks three times at once with the same key"
    HANG_UP = "hangs up, and asks again with the same key"
    GONE = "hangs up and is never seen again"

    @property
    def keyed(self) -> bool:
        """Whether an Idempotency-Key goes along."""
        return self in {Manner.AGAIN, Manner.AT_ONCE, Manner.HANG_UP}


class Wish(Struct, frozen=True):
    """What one buyer wants: named seats, or else so many. The same seed makes the same wishes.

    `think_seconds` lies between hold and confirm. `cut` is the part of the request that is sent before hanging up.
    """

    number: int
    seats: tuple[str, ...]
    seat_count: int
    then: Then
    manner: Manner
    think_seconds: float
    cut: float

    @property
    def user_id(self) -> str:
        """A user of its own, by which the audit knows the wish's bookings."""
        return f"buyer-{self.number}"

    @property
    def key(self) -> str | None:
        """Its Idempotency-Key, if it sends one."""
        return f"press-{self.number}" if self.manner.keyed else None


class Step(Struct, frozen=True):
    """A status that a booking has had."""

    status: str


class Booking(Struct, frozen=True):
    """A booking as the API tells it."""

    id: str
    user_id: str
    status: str
    reason: str | None
    seats: tuple[str, ...]
    seat_count: int
    created_at: datetime
    expires_at: datetime | None
    settled_at: datetime | None
    history: tuple[Step, ...] = ()
    conflicts: tuple[str, ...] = ()


class Problem(Struct, frozen=True):
    """A refusal as the API tells it."""

    code: str
    detail: str = ""
    booking: Booking | None = None
    conflicts: tuple[str, ...] = ()


class Told(Struct, frozen=True):
    """An answer that a buyer got. `code` is a refusal's; `booking` stands in both kinds of answer."""

    status: int
    code: str | None
    booking: Booking | None
    replayed: bool = False


class Attempt(Struct):
    """A wish, and what became of it.

    `requests` that booked or were refused are in `answers`; the others hung up, broke off, or met 503 or 429.
    `unanswered` ones, to confirm and cancel too, were waited for in vain.
    """

    wish: Wish
    requests: int = 0
    unanswered: int = 0
    answers: list[Told] = []
    settled: Told | None = None  # the last answer to confirm or cancel
    settle_unknown: bool = False  # a confirm or cancel was sent whose answer never came

    @property
    def booking(self) -> Booking | None:
        """The booking it was given."""
        return next((told.booking for told in self.answers if told.status == 201), None)


class SeatState(Struct, frozen=True):
    """A seat of the seat list."""

    seat: str
    status: str


class Counts(Struct, frozen=True):
    """A show's counts."""

    total_seats: int
    available_seats: int
    reserved_seats: int
    booked_seats: int
    blocked_seats: int


class Ledger(Struct, frozen=True):
    """The server's books after the rush: every booking of the show, every seat, and the counts, of one instant.

    `letters` is the seat map as `/availability` tells it, one letter a seat in the order of `seats`.
    """

    bookings: tuple[Booking, ...]
    seats: tuple[SeatState, ...]
    letters: str
    available: int
    counts: Counts
