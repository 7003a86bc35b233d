"""The audit: what buyers were told, held against the server's books. Pure: data in, findings out.

Each check is a rule with a name, and yields its offenders. What is proved:

 1. Of the present: no seat has two owners, no owner lacks a seat, seat map and counts say the same as the bookings.
 2. Of the past: replayed by the bookings' own times, no seat ever had two owners, and nobody was refused what was
    free (`history.py`).
 3. Of the buyers: what was acknowledged holds, what was refused holds nothing, a key made one booking, and a request
    whose answer nobody heard was done whole or not at all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

from msgspec import Struct

from rowlock.stampede.history import false_refusals, overlaps, unfounded_conflicts
from rowlock.stampede.records import Attempt, Booking, Ledger, Then, Told

LIVE = frozenset({"PENDING", "CONFIRMED"})
REFUSALS = frozenset({"seats_taken", "not_enough_seats"})
_LETTERS = {"AVAILABLE": "A", "RESERVED": "R", "BOOKED": "B", "BLOCKED": "X"}


class Finding(Struct, frozen=True):
    """A rule, and what breaks it; nothing, if it holds."""

    rule: str
    offenders: tuple[str, ...]


class Evidence(Struct, frozen=True, dict=True):
    """What is audited: what the buyers wrote down, and the books."""

    attempts: Sequence[Attempt]
    ledger: Ledger

    @cached_property
    def by_id(self) -> dict[str, Booking]:
        """The bookings by id."""
        return {booking.id: booking for booking in self.ledger.bookings}

    @cached_property
    def by_user(self) -> dict[str, list[Booking]]:
        """The bookings by user; each attempt is a user of its own."""
        found: dict[str, list[Booking]] = defaultdict(list)
        for booking in self.ledger.bookings:
            found[booking.user_id].append(booking)
        return dict(found)

    def answers(self) -> Iterator[tuple[Attempt, Told]]:
        """Every answer to a request to book, with whose it was."""
        for attempt in self.attempts:
            for told in attempt.answers:
                yield attempt, told


def audit(evidence: Evidence) -> list[Finding]:
    """Every rule, in order, with its offenders."""
    return [Finding(rule, tuple(check(evidence))) for rule, check in RULES.items()]


def _one_owner_now(evidence: Evidence) -> Iterator[str]:
    owners: dict[str, list[str]] = defaultdict(list)
    for booking in evidence.ledger.bookings:
        if booking.status in LIVE:
            for seat in booking.seats:
                owners[seat].append(booking.id)
    for seat, ids in owners.items():
        if len(ids) > 1:
            yield f"seat {seat} is in bookings {', '.join(ids)}"


def _one_owner_ever(evidence: Evidence) -> Iterator[str]:
    return overlaps(evidence.ledger.bookings)


def _seats_equal_bookings(evidence: Evidence) -> Iterator[str]:
    expected = {"CONFIRMED": "BOOKED", "PENDING": "RESERVED"}
    owned = {
        seat: expected[booking.status]
        for booking in evidence.ledger.bookings
        if booking.status in expected
        for seat in booking.seats
    }
    ledger = evidence.ledger
    for state in ledger.seats:
        should = owned.pop(state.seat, None)
        if should is None and state.status in {"BOOKED", "RESERVED"}:
            yield f"seat {state.seat} is {state.status}, but in no booking"
        elif should is not None and state.status != should:
            yield f"seat {state.seat} is {state.status}, but its booking makes it {should}"
    yield from (f"seat {seat} is booked, but not in the seat map" for seat in owned)
    letters = "".join(_LETTERS.get(state.status, "?") for state in ledger.seats)
    if letters != ledger.letters:
        yield "the seat list and the seat map differ"


def _counts_equal_seats(evidence: Evidence) -> Iterator[str]:
    ledger = evidence.ledger
    counted = Counter(state.status for state in ledger.seats)
    counts = ledger.counts
    told = {
        "total_seats": (counts.total_seats, len(ledger.seats)),
        "available_seats": (counts.available_seats, counted["AVAILABLE"]),
        "reserved_seats": (counts.reserved_seats, counted["RESERVED"]),
        "booked_seats": (counts.booked_seats, counted["BOOKED"]),
        "blocked_seats": (counts.blocked_seats, counted["BLOCKED"]),
        "the seat map's available": (ledger.available, counted["AVAILABLE"]),
    }
    for name, (says, really) in told.items():
        if says != really:
            yield f"{name} is {says}, but {really} seats are so"


def _acknowledged_is_kept(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        given = attempt.booking
        if given is None:
            continue
        kept = evidence.by_id.get(given.id)
        if kept is None:
            yield f"booking {given.id} of {given.user_id} was acknowledged as {given.status} and is gone"
        elif kept.seats != given.seats or kept.user_id != given.user_id:
            yield f"booking {given.id} was acknowledged with seats {_list(given.seats)}, and has {_list(kept.seats)}"
        elif kept.status not in (allowed := _allowed(attempt, given)):
            yield f"booking {given.id} should be {' or '.join(sorted(allowed))}, and is {kept.status}"


def _allowed(attempt: Attempt, given: Booking) -> frozenset[str]:
    """The statuses that a booking may end in, by the last that its buyer heard of it."""
    told = attempt.settled
    if attempt.settle_unknown:
        return frozenset({"CONFIRMED", "CANCELLED", "FAILED"})
    if told is None:
        return frozenset({"CONFIRMED"} if given.status == "CONFIRMED" else {"FAILED"})
    if told.status < 300 and told.booking is not None:
        return frozenset({told.booking.status})
    return frozenset({"FAILED"})  # 409 hold_expired; other answers break another rule


def _refused_got_nothing(evidence: Evidence) -> Iterator[str]:
    for attempt, told in evidence.answers():
        if told.code not in REFUSALS:
            continue
        user_id = attempt.wish.user_id
        booking = told.booking and evidence.by_id.get(told.booking.id)
        if not booking:
            yield f"{user_id} was told {told.code}, with no booking that the books know"
        elif (booking.status, booking.reason) != ("FAILED", told.code):
            yield f"{user_id} was told {told.code}, but booking {booking.id} is {booking.status} ({booking.reason})"


def _one_booking_a_key(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        wish = attempt.wish
        made = len(evidence.by_user.get(wish.user_id, ()))
        if wish.key is None:
            # Each request may have made one: an answer lost or a 503 is no promise that nothing was done.
            if made > attempt.requests:
                yield f"{wish.user_id} has {made} bookings after {attempt.requests} requests"
            continue
        if made > 1:
            yield f"{wish.user_id} has {made} bookings under one key"
        answers = {
            (told.status, told.code, told.booking.id if told.booking else None) for told in attempt.answers
        }
        if len(answers) > 1:
            yield f"{wish.user_id} got different answers under one key: {sorted(map(str, answers))}"
        firsts = sum(not told.replayed for told in attempt.answers)
        if firsts > 1:
            yield f"{wish.user_id} was given {firsts} first answers under one key"


def _lapsed_let_go(evidence: Evidence) -> Iterator[str]:
    reserved = {state.seat for state in evidence.ledger.seats if state.status == "RESERVED"}
    if reserved:
        yield f"seats {_list(sorted(reserved))} are still held; is a sweeper running?"
    for attempt in evidence.attempts:
        given = attempt.booking
        late = attempt.settled is not None and attempt.settled.code == "hold_expired"
        if given is None or not (attempt.wish.then is Then.LAPSE or late):
            continue
        kept = evidence.by_id.get(given.id)
        if kept is None:
            continue  # another rule's offender
        if (kept.status, kept.reason) != ("FAILED", "hold_expired"):
            yield f"booking {kept.id} was left to lapse, and is {kept.status} ({kept.reason})"
        elif given.expires_at is not None and kept.settled_at != given.expires_at:
            yield f"booking {kept.id} was to lapse at {given.expires_at}, and did at {kept.settled_at}"


def _whole_or_nothing(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        wish = attempt.wish
        for booking in evidence.by_user.get(wish.user_id, ()):
            if booking.seat_count != wish.seat_count:
                yield f"booking {booking.id} is for {booking.seat_count} seats, asked were {wish.seat_count}"
            if booking.reason == "not_enough_seats":
                continue
            if wish.seats and booking.seats != wish.seats:
                yield f"booking {booking.id} has seats {_list(booking.seats)}, asked were {_list(wish.seats)}"
            elif len(set(booking.seats)) != wish.seat_count:
                yield f"booking {booking.id} has seats {_list(booking.seats)}, asked were {wish.seat_count}"


def _no_strangers(evidence: Evidence) -> Iterator[str]:
    users = {attempt.wish.user_id for attempt in evidence.attempts}
    for booking in evidence.ledger.bookings:
        if booking.user_id not in users:
            yield f"booking {booking.id} is of {booking.user_id}, who was not there"
    heard: dict[str, set[str]] = defaultdict(set)
    for attempt, told in evidence.answers():
        if told.booking is not None:
            heard[attempt.wish.user_id].add(told.booking.id)
    for attempt in evidence.attempts:
        user_id = attempt.wish.user_id
        unheard = [b.id for b in evidence.by_user.get(user_id, ()) if b.id not in heard[user_id]]
        if len(unheard) > attempt.requests - len(attempt.answers):
            yield f"{user_id} has bookings that no request can have made: {', '.join(unheard)}"


def _no_false_refusals(evidence: Evidence) -> Iterator[str]:
    return false_refusals(evidence.ledger)


def _conflicts_are_true(evidence: Evidence) -> Iterator[str]:
    return unfounded_conflicts(evidence.ledger)


def _answers_are_documented(evidence: Evidence) -> Iterator[str]:
    for attempt, told in evidence.answers():
        fits = (
            (told.status == 201 and told.booking is not None)
            or (told.status == 409 and told.code in REFUSALS)
        )  # fmt: skip
        if not fits:
            yield f"{attempt.wish.user_id} was answered {told.status} {told.code or ''}".rstrip()
    for attempt in evidence.attempts:
        settled = attempt.settled
        if settled is None or settled.status == 200 or settled.code == "hold_expired":
            continue
        if not (
            attempt.settle_unknown and settled.code == "wrong_state"
        ):  # done by a request that went unheard
            yield f"{attempt.wish.user_id} was answered {settled.status} {settled.code} on settling"


def _all_are_answered(evidence: Evidence) -> Iterator[str]:
    for attempt in evidence.attempts:
        if attempt.unanswered:
            yield f"{attempt.wish.user_id} waited in vain for {attempt.unanswered} of its answers"


def _list(seats: Sequence[str]) -> str:
    return ", ".join(seats[:10]) + (" …" if len(seats) > 10 else "")


Check = Callable[[Evidence], Iterator[str]]

RULES: dict[str, Check] = {
    "no seat is in two live bookings": _one_owner_now,
    "no seat ever had two owners at once": _one_owner_ever,
    "the seats are as the bookings say": _seats_equal_bookings,
    "the counts are as the seats say": _counts_equal_seats,
    "what was acknowledged is kept": _acknowledged_is_kept,
    "who was refused has nothing": _refused_got_nothing,
    "one key, one booking, one answer": _one_booking_a_key,
    "holds that lapsed let go": _lapsed_let_go,
    "bookings are whole, heard of or not": _whole_or_nothing,
    "no booking came from nowhere": _no_strangers,
    "nobody was refused what was free": _no_false_refusals,
    "seats named as taken were taken": _conflicts_are_true,
    "every answer is a documented one": _answers_are_documented,
    "nobody waited in vain": _all_are_answered,
}
FALSE_REFUSALS = "nobody was refused what was free"
