"""A seat as an object that operations act on: what each answer says of it, and what it may be from one to the next.

A seat's value is its owner: nobody, a hold, a booking, or the box office. That a hold lapses is an act of its own, at the
hold's end: before, nothing that needs it can be explained, and afterwards nothing that needs the hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rowlock.stampede.records import Booking
from tests.faults.evidence import CLOCK_SECONDS
from tests.faults.history import Answer, Call, Kind, presses
from tests.faults.linear import NEVER, Op


class State(NamedTuple):
    """What a seat is, by its letter in maps, and whose."""

    letter: str
    owner: str | None = None


FREE = State("A")


class Act(NamedTuple):
    """What an answer says was done to a seat, or seen of it."""

    what: str
    owner: str | None = None
    letter: str = ""


def step(state: State, act: Act) -> State | None:
    """What a seat is after an act; None where the act can't have been."""
    mine = state.owner == act.owner
    match act.what:
        case "take":
            return State(act.letter, act.owner) if state == FREE else None
        case "confirm":
            return State("B", act.owner) if mine and state.letter in "RB" else None
        case "cancel":
            return FREE if mine else None
        case "lapse":
            return FREE if mine and state.letter == "R" else state
        case "lost":
            return None if mine else state
        case "is":
            return state if mine and state.letter == act.letter else None
        case "taken":
            return None if state == FREE else state
        case "sold":
            return state if state.letter in "RB" else None
        case "free":
            return state if state == FREE else None
        case "unsold":
            return state if state.letter in "AX" else None
        case "block":
            return State("X") if state.letter in "AX" else None
        case "unblock":
            return FREE if state.letter in "AX" else None
    raise AssertionError(act)


def operations(
    calls: Sequence[Call],
    bookings: Iterable[Booking],
    lapses: dict[str, float],
    final: dict[str, State],
    end: float,
) -> dict[str, list[Op[Act]]]:
    """The operations on each seat. `lapses`: when each hold runs out; `final`: what the seats are after `end`."""
    known = {booking.id: booking for booking in bookings}
    of_user = {booking.user_id: booking for booking in known.values()}
    ops: dict[str, list[Op[Act]]] = defaultdict(list)
    for press in presses(calls):
        for seat, op in _booked(press, of_user.get(press[0].press)):
            ops[seat].append(op)
    for call in calls:
        booking = known.get(call.booking or "")
        if call.kind in {Kind.CONFIRM, Kind.CANCEL, Kind.READ} and booking is not None:
            for op in _settled(call, booking):
                for seat in booking.seats:
                    ops[seat].append(op)
        elif call.kind in {Kind.BLOCK, Kind.UNBLOCK}:
            for seat, op in _set_aside(call):
                ops[seat].append(op)
    for identifier, lapse in lapses.items():
        for seat in known[identifier].seats:
            ops[seat].append(Op(lapse - CLOCK_SECONDS, lapse + CLOCK_SECONDS, Act("lapse", identifier)))
    for seat, state in final.items():
        ops[seat].append(Op(end, end + 1, Act("is", state.owner, state.letter)))
    return ops


def _booked(press: list[Call], made: Booking | None) -> Iterator[tuple[str, Op[Act]]]:
    """A wish, however often it was asked for: its booking has a user of its own, so the books tell what came of it."""
    begin = press[0].begin
    answered = [
        call for call in press if call.kind is Kind.BOOK and call.answer in {Answer.DONE, Answer.REFUSED}
    ]
    end = min((call.end for call in answered), default=NEVER)
    if made is None:
        return
    refused = made.status == "FAILED" and made.reason in {"seats_taken", "not_enough_seats"}
    if not refused:
        letter = "R" if made.history and made.history[0].status == "PENDING" else "B"
        for seat in made.seats:
            yield seat, Op(begin, end, Act("take", made.id, letter))
    elif made.reason == "seats_taken" and end != NEVER:
        for seat in made.seats:
            yield seat, Op(begin, end, Act("taken" if seat in made.conflicts else "free"))


def _settled(call: Call, booking: Booking) -> Iterator[Op[Act]]:
    """A confirmation, a cancellation or a look at a booking."""
    end = call.end if call.answer in {Answer.DONE, Answer.REFUSED} else NEVER
    if call.answer in {Answer.NOT_DONE, Answer.UNREACHABLE} or call.code == "not_found":
        return
    if call.kind is Kind.READ:
        if call.answer is Answer.DONE and call.told is not None:
            letter = {"CONFIRMED": "B", "PENDING": "R"}.get(call.told.status)
            if letter is not None:
                yield Op(call.begin, end, Act("is", booking.id, letter))
            elif call.told.reason not in {"seats_taken", "not_enough_seats"}:
                yield Op(call.begin, end, Act("lost", booking.id))
    elif call.answer is Answer.REFUSED:
        if call.code in {"hold_expired", "wrong_state"} and call.told is not None:
            yield Op(call.begin, end, Act("lost", booking.id))
    else:
        yield Op(call.begin, end, Act(call.kind.value, booking.id))


def _set_aside(call: Call) -> Iterator[tuple[str, Op[Act]]]:
    """The box office takes seats off sale, or puts them back."""
    blocks = call.kind is Kind.BLOCK
    if call.answer is Answer.DONE:
        for seat in call.seats:
            yield seat, Op(call.begin, call.end, Act(call.kind.value))
    elif call.answer is Answer.REFUSED:
        for seat in call.seats:
            if blocks and call.conflicts:
                yield seat, Op(call.begin, call.end, Act("sold" if seat in call.conflicts else "unsold"))
            elif len(call.seats) == 1 or set(call.conflicts) == set(call.seats):
                yield seat, Op(call.begin, call.end, Act("sold"))
    elif call.answer in {Answer.DOUBTFUL, Answer.LOST}:
        # Run again in doubt, it may undo what was done in between: docs/decisions/0002.
        for seat in call.seats * 2:
            yield seat, Op(call.begin, NEVER, Act(call.kind.value))
