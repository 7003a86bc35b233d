"""The audit can fail: an honest history passes, and each way to doctor it breaks the rule that is meant to notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
import pytest

from rowlock.stampede.audit import RULES, Evidence, audit
from rowlock.stampede.records import (
    Attempt,
    Booking,
    Counts,
    Ledger,
    Manner,
    SeatState,
    Step,
    Then,
    Told,
    Wish,
)
from rowlock.stampede.report import verdict
from rowlock.stampede.wishes import wishes

START = datetime(2030, 1, 1, tzinfo=UTC)
LETTERS = {"AVAILABLE": "A", "RESERVED": "R", "BOOKED": "B", "BLOCKED": "X"}


def at(seconds: float) -> datetime:
    """A time of the story."""
    return START + timedelta(seconds=seconds)


def change(value: Any, **changes: Any) -> Any:
    """A frozen struct, with changes."""
    return msgspec.structs.replace(value, **changes)


@dataclass
class Story:
    """What happened at a show of six seats, in parts that a test can doctor."""

    attempts: list[Attempt] = field(default_factory=list)
    bookings: dict[str, Booking] = field(default_factory=dict)
    seats: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    letters: str = ""

    def add(
        self, seats: str, status: str, *, reason: str | None = None, begin: float, end: float | None = None,
        then: Then = Then.KEEP, manner: Manner = Manner.ONCE, named: bool = True, count: int = 0,
        conflicts: str = "", heard: bool = True,
    ) -> Attempt:  # fmt: skip
        """A wish, its booking as the books have it in the end, and the answers it got."""
        number = len(self.attempts)
        wish = Wish(number, tuple(seats) if named else (), count or len(seats), then, manner, 0, 1)
        booking = Booking(
            id=f"b{number}", user_id=wish.user_id, status=status, reason=reason, seats=tuple(seats),
            seat_count=wish.seat_count, created_at=at(begin), expires_at=None,
            settled_at=at(begin if end is None else end), history=(Step(status),), conflicts=tuple(conflicts),
        )  # fmt: skip
        first = booking
        if reason not in {"seats_taken", "not_enough_seats"}:
            expires = at(begin + 2) if then.holds else None
            first = change(
                booking, status="PENDING" if then.holds else "CONFIRMED", reason=None, expires_at=expires
            )
        refused = first.status == "FAILED"
        told = Told(409 if refused else 201, reason if refused else None, first)
        answers = [told, change(told, replayed=True)] if manner is Manner.AGAIN else [told]
        attempt = Attempt(wish, requests=len(answers), answers=answers if heard else [])
        if then in {Then.CONFIRM, Then.RELEASE, Then.CANCEL_BOOKED}:
            attempt.settled = Told(200, None, booking)
        self.attempts.append(attempt)
        self.bookings[booking.id] = booking
        return attempt

    def edit(self, identifier: str, **changes: Any) -> None:
        """Doctor a booking in the books."""
        self.bookings[identifier] = change(self.bookings[identifier], **changes)

    def broken(self) -> set[str]:
        """The rules that the audit finds broken."""
        states = tuple(SeatState(seat, status) for seat, status in self.seats.items())
        ledger = Ledger(
            tuple(self.bookings.values()),
            states,
            self.letters,
            self.counts["available_seats"],
            Counts(**self.counts),
        )
        return {finding.rule for finding in audit(Evidence(self.attempts, ledger)) if finding.offenders}


@pytest.fixture
def story() -> Story:
    """An honest one: it has every kind of ending, and every rule holds."""
    made = Story()
    made.add("12", "CONFIRMED", begin=0)  # b0
    made.add("23", "FAILED", reason="seats_taken", begin=1, conflicts="2")
    made.add("34", "CONFIRMED", begin=2, end=3, then=Then.CONFIRM, named=False, manner=Manner.AGAIN)  # b2
    made.add("5", "FAILED", reason="hold_expired", begin=2, end=4, then=Then.LAPSE)  # b3
    made.add("6", "CANCELLED", reason="cancelled_by_customer", begin=2, end=6, then=Then.CANCEL_BOOKED)  # b4
    made.add("", "FAILED", reason="not_enough_seats", begin=3, named=False, count=1)  # b5
    made.add("5", "CONFIRMED", begin=5, manner=Manner.GONE, heard=False)  # b6
    made.seats = dict(zip("123456", ["BOOKED"] * 5 + ["AVAILABLE"], strict=True))
    made.letters = "BBBBBA"
    made.counts = {
        "total_seats": 6,
        "available_seats": 1,
        "reserved_seats": 0,
        "booked_seats": 5,
        "blocked_seats": 0,
    }
    return made


def test_an_honest_history_passes(story: Story) -> None:
    """A good server would be called bad."""
    assert story.broken() == set()


def sold_twice(story: Story) -> None:
    """Two bookings have seat 1, now and for all of the time."""
    story.add("1", "CONFIRMED", begin=7)


def sold_twice_for_a_while(story: Story) -> None:
    """Seat 1 was also held by someone else, who has given it back since."""
    story.add("1", "FAILED", reason="released", begin=7, end=8, then=Then.RELEASE)


def owner_without_seat(story: Story) -> None:
    """A booked seat is free in the seat list, and counted so."""
    story.seats["1"] = "AVAILABLE"
    story.letters = "ABBBBA"
    story.counts |= {"available_seats": 2, "booked_seats": 4}


def seat_without_owner(story: Story) -> None:
    """A seat is booked by nobody."""
    story.seats["6"] = "BOOKED"
    story.letters = "BBBBBB"
    story.counts |= {"available_seats": 0, "booked_seats": 6}


def map_differs(story: Story) -> None:
    """The map of letters is another than the list."""
    story.letters = "BBBBBB"


def count_off(story: Story) -> None:
    """A count is off by one."""
    story.counts["booked_seats"] = 4


def acknowledged_lost(story: Story) -> None:
    """A booking that was acknowledged is gone, and its seats are free."""
    del story.bookings["b0"]
    story.seats |= {"1": "AVAILABLE", "2": "AVAILABLE"}
    story.letters = "AABBBA"
    story.counts |= {"available_seats": 3, "booked_seats": 3}


def acknowledged_undone(story: Story) -> None:
    """A confirmed booking was cancelled behind its owner's back."""
    story.edit("b0", status="CANCELLED", reason="cancelled_by_admin", settled_at=at(9))
    story.seats |= {"1": "AVAILABLE", "2": "AVAILABLE"}
    story.letters = "AABBBA"
    story.counts |= {"available_seats": 3, "booked_seats": 3}


def other_seats(story: Story) -> None:
    """A count booking has other seats than it was told."""
    told = story.attempts[2].answers[0]
    assert told.booking is not None
    story.attempts[2].answers = [change(told, booking=change(told.booking, seats=("5", "6")))]


def refused_but_booked(story: Story) -> None:
    """Who was told 409 has the seats."""
    told = story.attempts[6]
    booking = story.bookings["b6"]
    told.answers = [Told(409, "seats_taken", change(booking, status="FAILED", reason="seats_taken"))]


def two_bookings_a_key(story: Story) -> None:
    """The second press of a button booked again."""
    told = story.attempts[2].answers[0]
    story.bookings["b9"] = change(
        story.bookings["b2"],
        id="b9",
        status="FAILED",
        reason="seats_taken",
        conflicts=("3", "4"),
        created_at=at(4),
    )
    refused = Told(409, "seats_taken", story.bookings["b9"])
    story.attempts[2].answers = [told, refused]


def two_first_answers(story: Story) -> None:
    """Two answers under one key both say that they are the first."""
    told = story.attempts[2].answers[0]
    story.attempts[2].answers = [told, told]


def hold_stuck(story: Story) -> None:
    """A hold that was left to lapse is there for good."""
    story.edit("b3", status="PENDING", reason=None, seats=("6",))
    story.seats["6"] = "RESERVED"
    story.letters = "BBBBBR"
    story.counts |= {"available_seats": 0, "reserved_seats": 1}


def lapsed_early(story: Story) -> None:
    """A hold was taken away before its time."""
    story.edit("b3", settled_at=at(3.5))


def half_a_booking(story: Story) -> None:
    """A buyer who hung up got one of two seats."""
    story.attempts[6].wish = change(story.attempts[6].wish, seats=("5", "6"), seat_count=2)


def stranger(story: Story) -> None:
    """Somebody who never asked has a booking."""
    story.edit("b6", user_id="nobody")


def more_than_asked(story: Story) -> None:
    """A buyer has a booking more than it sent requests."""
    booking = story.bookings["b5"]
    story.bookings["b9"] = change(booking, id="b9")


def false_not_enough(story: Story) -> None:
    """Somebody was told that no seat is left while seat 5 was free."""
    story.add("", "FAILED", reason="not_enough_seats", begin=4.5, named=False, count=1)


def false_seats_taken(story: Story) -> None:
    """Somebody was told that seat 5 is taken while it was free."""
    story.add("5", "FAILED", reason="seats_taken", begin=4.5, conflicts="5")


def false_conflict(story: Story) -> None:
    """Seat 5 was named as taken beside seat 4, while it was free."""
    story.add("45", "FAILED", reason="seats_taken", begin=4.5, conflicts="45")


def server_error(story: Story) -> None:
    """A request was answered 500."""
    story.attempts[5].answers = [Told(500, "internal_error", None)]


def odd_settling(story: Story) -> None:
    """A confirm was answered 404."""
    story.attempts[2].settled = Told(404, "not_found", None)


def waited_in_vain(story: Story) -> None:
    """A request had no answer at all."""
    story.attempts[6].unanswered = 1


FAULTS: dict[str, list[Callable[[Story], None]]] = {
    "no seat is in two live bookings": [sold_twice],
    "no seat ever had two owners at once": [sold_twice, sold_twice_for_a_while],
    "the seats are as the bookings say": [owner_without_seat, seat_without_owner, map_differs],
    "the counts are as the seats say": [count_off],
    "what was acknowledged is kept": [acknowledged_lost, acknowledged_undone, other_seats],
    "who was refused has nothing": [refused_but_booked],
    "one key, one booking, one answer": [two_bookings_a_key, two_first_answers, more_than_asked],
    "holds that lapsed let go": [hold_stuck, lapsed_early],
    "bookings are whole, heard of or not": [half_a_booking],
    "no booking came from nowhere": [stranger, more_than_asked],
    "nobody was refused what was free": [false_not_enough, false_seats_taken],
    "seats named as taken were taken": [false_conflict],
    "every answer is a documented one": [server_error, odd_settling],
    "nobody waited in vain": [waited_in_vain],
}


def test_every_rule_has_a_fault_that_breaks_it() -> None:
    """A rule that can't fail would prove nothing."""
    assert list(FAULTS) == list(RULES)


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        pytest.param(rule, fault, id=f"{fault.__name__}")
        for rule, faults in FAULTS.items()
        for fault in faults
    ],
)
def test_a_doctored_history_is_caught(story: Story, rule: str, fault: Callable[[Story], None]) -> None:
    """A broken server would be called good."""
    fault(story)
    assert rule in story.broken()


def test_ties_are_not_called_false(story: Story) -> None:
    """Batches share an instant: a good server would be called bad by a guess about the order in it."""
    story.add("5", "FAILED", reason="seats_taken", begin=4, conflicts="5")  # just as the hold on 5 lapsed
    story.add(
        "", "FAILED", reason="not_enough_seats", begin=6, named=False, count=1
    )  # just as 6 was given back
    assert story.broken() == set()


def test_a_stuck_fault_is_shown_with_some_of_its_offenders(story: Story) -> None:
    """A thousand lines of one fault would hide the others."""
    for _ in range(30):
        sold_twice(story)
    states = tuple(SeatState(seat, status) for seat, status in story.seats.items())
    ledger = Ledger(tuple(story.bookings.values()), states, story.letters, 1, Counts(**story.counts))
    lines = verdict(audit(Evidence(story.attempts, ledger)), 37)
    assert lines[-1].startswith("FAIL: ")
    assert any(line.strip() == "and 20 more" for line in lines)
    assert len(lines) < 60


def test_the_same_seed_makes_the_same_wishes() -> None:
    """A run that broke something could not be run again."""
    first, again, other = (list(islice(wishes(seed, 50), 500)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert {wish.then for wish in first} == set(Then)
    assert {wish.manner for wish in first} == set(Manner)
    assert all(1 <= int(seat) <= 50 for wish in first for seat in wish.seats)


def test_wishes_fit_the_smallest_show() -> None:
    """A show of one seat could not be tried."""
    assert {wish.seats for wish in islice(wishes(1, 1), 100)} == {(), ("1",)}
