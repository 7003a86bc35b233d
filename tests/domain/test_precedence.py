"""Where several refusals apply, the one that stands first in `Outcome` is said."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from rowlock.domain.commands import Block, Cancel, Command, Confirm, Unblock
from rowlock.domain.decide import decide
from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import AVAILABLE, BLOCKED, Booking, Seat, changed
from tests.domain.decide_reference import (
    HOLD_SECONDS,
    INSTANT,
    NEW_IDS,
    NOW,
    OLD_IDS,
    SHOW,
    a_booking,
    book,
    world_of,
)


def _confirmed_by_service(case: dict[str, Any]) -> None:
    case["terms"]["confirm_by_service"] = True


def _closed(case: dict[str, Any]) -> None:
    case["terms"]["closed"] = True


def _not_yet(case: dict[str, Any]) -> None:
    case["terms"]["on_sale_at"] = NOW + INSTANT


def _too_many(case: dict[str, Any]) -> None:
    case["terms"]["max_seats"] = 1


def _taken(case: dict[str, Any]) -> None:
    case["seats"][1] = Seat(SeatStatus.BOOKED, OLD_IDS[5])


def _key_used(case: dict[str, Any]) -> None:
    case["bookings"].append(a_booking(NEW_IDS[0], user_id="bob", request_hash=b"other"))


def _no_booking(case: dict[str, Any]) -> None:
    case["bookings"].clear()


def _released(case: dict[str, Any]) -> None:
    if case["bookings"]:
        case["bookings"][0] = a_booking(
            OLD_IDS[0], "FAILED", seats=(0, 1), reason="released", settled_at=NOW - INSTANT
        )


def _lapsed(case: dict[str, Any]) -> None:
    if case["bookings"]:
        case["bookings"][0] = changed(case["bookings"][0], expires_at=NOW, release_at=NOW)
        case["seats"][:2] = [Seat(SeatStatus.RESERVED, OLD_IDS[0], NOW)] * 2


def _settled_as_lapsed(case: dict[str, Any]) -> None:
    if case["bookings"]:
        case["bookings"][0] = a_booking(
            OLD_IDS[0], "FAILED", seats=(0, 1), reason="hold_expired", settled_at=NOW - INSTANT
        )


def _one_left(case: dict[str, Any]) -> None:
    case["seats"][1:] = [BLOCKED] * 4


_HOLD = [Seat(SeatStatus.RESERVED, OLD_IDS[0], NOW + timedelta(seconds=HOLD_SECONDS))] * 2
_HELD_BOOKING = a_booking(OLD_IDS[0], "PENDING", seats=(0, 1))
_SALE = {
    Outcome.SHOW_CANCELLED: _closed,
    Outcome.NOT_ON_SALE: _not_yet,
    Outcome.FORBIDDEN: _confirmed_by_service,
}
_BOOK = {Outcome.IDEMPOTENCY_KEY_REUSED: _key_used, **_SALE, Outcome.TOO_MANY_SEATS: _too_many}
_CONFIRM = {
    Outcome.BOOKING_NOT_FOUND: _no_booking,
    Outcome.SHOW_CANCELLED: _closed,
    Outcome.FORBIDDEN: _confirmed_by_service,
}
CASES: dict[str, tuple[Command, list[Seat], list[Booking], dict[Outcome, Any]]] = {
    "book": (
        book(0, 1, request_hash=b"this"),
        [AVAILABLE] * 5,
        [],
        {**_BOOK, Outcome.SEATS_TAKEN: _taken},
    ),
    "book by count": (
        book(wanted_count=2, request_hash=b"this"),
        [AVAILABLE] * 5,
        [],
        {**_BOOK, Outcome.NOT_ENOUGH_SEATS: _one_left},
    ),
    "book a pick": (
        book(0, 1, wanted_count=2, request_hash=b"this"),
        [AVAILABLE] * 5,
        [],
        {**_BOOK, Outcome.REPICK: _taken},
    ),
    "confirm": (
        Confirm(SHOW, OLD_IDS[0], (0, 1)),
        [*_HOLD, AVAILABLE],
        [_HELD_BOOKING],
        {**_CONFIRM, Outcome.WRONG_STATE: _released},
    ),
    "confirm too late": (
        Confirm(SHOW, OLD_IDS[0], (0, 1)),
        [*_HOLD, AVAILABLE],
        [_HELD_BOOKING],
        {**_CONFIRM, Outcome.HOLD_EXPIRED: _lapsed},
    ),
    "confirm what has lapsed": (
        Confirm(SHOW, OLD_IDS[0], (0, 1)),
        [AVAILABLE] * 3,
        [_HELD_BOOKING],
        {**_CONFIRM, Outcome.HOLD_EXPIRED: _settled_as_lapsed},
    ),
    "block": (
        Block(SHOW, (0, 1)),
        [AVAILABLE] * 3,
        [],
        {Outcome.SHOW_CANCELLED: _closed, Outcome.SEATS_TAKEN: _taken},
    ),
    "unblock": (
        Unblock(SHOW, (0, 1)),
        [BLOCKED] * 3,
        [],
        {Outcome.SHOW_CANCELLED: _closed, Outcome.WRONG_STATE: _taken},
    ),
    "cancel": (
        Cancel(SHOW, OLD_IDS[0], (0, 1)),
        [*_HOLD, AVAILABLE],
        [_HELD_BOOKING],
        {Outcome.BOOKING_NOT_FOUND: _no_booking, Outcome.WRONG_STATE: _released},
    ),
}
ORDER = list(Outcome)
PRECEDENCE = [  # every refusal alone, and every two that a command can meet at once
    pytest.param(name, some, id=f"{name}: {' + '.join(outcome.value for outcome in some)}")
    for name, (_, _, _, refusals) in CASES.items()
    for size in (1, 2)
    for some in itertools.combinations(refusals, size)
]


@pytest.mark.parametrize(("name", "some"), PRECEDENCE)
def test_the_refusal_that_stands_first_is_said(name: str, some: tuple[Outcome, ...]) -> None:
    """A person would be told to change seats where the show is off, and the documents would be wrong."""
    command, seats, bookings, refusals = CASES[name]
    case: dict[str, Any] = {"seats": list(seats), "bookings": list(bookings), "terms": {}}
    for outcome in sorted(some, key=ORDER.index, reverse=True):
        refusals[outcome](case)
    world = world_of(case["seats"], *case["bookings"], **case["terms"])
    assert decide(command, world, NOW).outcome is min(some, key=ORDER.index)


def test_without_any_of_these_each_command_succeeds() -> None:
    """The test above would pass for a server that refuses everything."""
    outcomes = {
        name: decide(command, world_of(seats, *bookings), NOW).outcome
        for name, (command, seats, bookings, _) in CASES.items()
    }
    assert outcomes == {
        "book": Outcome.CONFIRMED,
        "book by count": Outcome.REPICK,
        "book a pick": Outcome.CONFIRMED,
        "confirm": Outcome.CONFIRMED,
        "confirm too late": Outcome.CONFIRMED,
        "confirm what has lapsed": Outcome.HOLD_EXPIRED,
        "block": Outcome.BLOCKED,
        "unblock": Outcome.UNBLOCKED,
        "cancel": Outcome.RELEASED,
    }
