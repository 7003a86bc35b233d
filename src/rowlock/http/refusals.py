"""Refusals: which outcome is told as which problem, in one table, and with which words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rowlock.domain.outcomes import Outcome
from rowlock.http.problems import Code, FieldError, Problem
from rowlock.operations.views import BookingView, ShowView

REFUSED: dict[Outcome, Code] = {
    Outcome.IDEMPOTENCY_KEY_REUSED: Code.IDEMPOTENCY_KEY_REUSED,
    Outcome.SHOW_NOT_FOUND: Code.NOT_FOUND,
    Outcome.BOOKING_NOT_FOUND: Code.NOT_FOUND,
    Outcome.SHOW_CANCELLED: Code.SHOW_CANCELLED,
    Outcome.NOT_ON_SALE: Code.NOT_ON_SALE,
    Outcome.FORBIDDEN: Code.FORBIDDEN,
    Outcome.TOO_MANY_SEATS: Code.TOO_MANY_SEATS,
    Outcome.TOO_MANY_HOLDS: Code.TOO_MANY_HOLDS,
    Outcome.WRONG_STATE: Code.WRONG_STATE,
    Outcome.HOLD_EXPIRED: Code.HOLD_EXPIRED,
    Outcome.SEATS_TAKEN: Code.SEATS_TAKEN,
    Outcome.NOT_ENOUGH_SEATS: Code.NOT_ENOUGH_SEATS,
    Outcome.DROPPED: Code.DROPPED,
    Outcome.REPICK: Code.BUSY,  # never told by the engine; were it ever, coming again is what would help
}

SUCCEEDED = frozenset(
    {
        Outcome.HELD,
        Outcome.CONFIRMED,
        Outcome.CANCELLED,
        Outcome.RELEASED,
        Outcome.EXPIRED,
        Outcome.UNCHANGED,
        Outcome.BLOCKED,
        Outcome.UNBLOCKED,
        Outcome.SALE_CLOSED,
    }
)

_WORDS = {
    Outcome.IDEMPOTENCY_KEY_REUSED: "This Idempotency-Key was used for another request; take a new one.",
    Outcome.SHOW_NOT_FOUND: "There is no such show.",
    Outcome.BOOKING_NOT_FOUND: "There is no such booking.",
    Outcome.SHOW_CANCELLED: "The show is cancelled; nothing of it is sold or changed any more.",
    Outcome.FORBIDDEN: "Bookings of this show are confirmed by a service, as when a payment must come first. "
    "Hold the seats with `confirm: false`.",
    Outcome.TOO_MANY_HOLDS: "You hold as much of this show as one customer may, or have held these seats too often: "
    "confirm or release what you hold, or take other seats.",
    Outcome.HOLD_EXPIRED: "The hold ran out before it was confirmed; its seats are free to anyone.",
    Outcome.DROPPED: "The queued request could not be decided, and was given up; nothing was booked.",
    Outcome.REPICK: "Too many want the same seats at this moment; ask again.",
}

_LABELS_SAID = 10  # `conflicts` has them all


def refusal(
    outcome: Outcome,
    *,
    booking: BookingView | None = None,
    conflicts: Sequence[str] = (),
    show: ShowView | None = None,
    detail: str | None = None,
    headers: Mapping[str, str] | None = None,
    field: str | None = None,
) -> Problem:
    """The problem that tells an outcome. `show`: where its terms are the reason; `field`: what asked for too much."""
    extra: dict[str, Any] = {}
    if conflicts:
        extra["conflicts"] = list(conflicts)
    if booking is not None:
        extra["booking"] = booking
    if outcome is Outcome.NOT_ON_SALE and show is not None and show.on_sale_at is not None:
        extra["on_sale_at"] = show.on_sale_at
    if REFUSED[outcome] is Code.BUSY:
        extra["retry_after"] = 1
    words = detail or _detail(outcome, booking, conflicts, show)
    errors = []
    if outcome is Outcome.TOO_MANY_SEATS and field is not None and show is not None:
        errors = [FieldError(field, f"must be at most {show.max_seats_per_booking} seats")]
    return Problem(REFUSED[outcome], words, errors=errors, headers=headers, **extra)


def _detail(
    outcome: Outcome, booking: BookingView | None, conflicts: Sequence[str], show: ShowView | None
) -> str:
    match outcome:
        case Outcome.SEATS_TAKEN:
            return f"{_seats(conflicts)} taken; nothing was booked."
        case Outcome.NOT_ENOUGH_SEATS:
            count = booking.seat_count if booking is not None else 0
            return f"Fewer than {count} such seats are left; nothing was booked."
        case Outcome.TOO_MANY_SEATS:
            most = f"at most {show.max_seats_per_booking} seats" if show is not None else "fewer seats"
            return f"This show allows {most} in a booking."
        case Outcome.NOT_ON_SALE:
            at = (
                f" before {_time(show.on_sale_at)}"
                if show is not None and show.on_sale_at is not None
                else " yet"
            )
            return f"This show is not on sale{at}."
        case Outcome.WRONG_STATE:
            return (
                "This can't be done now."
                if booking is None
                else f"The booking is {booking.status.value}; this can't be done to it any more."
            )
        case _:
            return _WORDS[outcome]


def _seats(labels: Sequence[str]) -> str:
    """ "Seat A-1 is", "Seats A-1 and A-2 are"."""
    if len(labels) == 1:
        return f"Seat {labels[0]} is"
    said = list(labels[:_LABELS_SAID])
    rest = len(labels) - len(said)
    last = f"{rest} more" if rest else said.pop()
    return f"Seats {', '.join(said)} and {last} are"


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
