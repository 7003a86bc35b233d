"""Every rule of the checker, broken in a history made by hand: what it can't see, the torture can't find."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rowlock.stampede.records import Booking, Counts, Ledger, SeatState, Step
from tests.faults.checker import RULES, check
from tests.faults.evidence import Evidence, Map, Reader
from tests.faults.history import Answer, Call, Kind

EPOCH = datetime(2031, 5, 1, tzinfo=UTC)
HOLD = 2.0


def at(seconds: float) -> datetime:
    """A time of the database's."""
    return EPOCH + timedelta(seconds=seconds)


def booking(
    name: str,
    user: str,
    seats: str,
    made: float,
    *steps: str,
    reason: str | None = None,
    settled: float | None = None,
) -> Booking:
    """A booking of seats "1" to "4"."""
    return Booking(
        id=name,
        user_id=user,
        status=steps[-1],
        reason=reason,
        seats=tuple(seats),
        seat_count=len(seats),
        created_at=at(made),
        expires_at=at(made + HOLD) if steps[-1] == "PENDING" else None,
        settled_at=at(settled if settled is not None else made),
        history=tuple(Step(step) for step in steps),
        conflicts=tuple(seats) if reason == "seats_taken" else (),
    )


def call(kind: Kind, press: str, begin: float, told: Booking | None = None, **fields: object) -> Call:
    """A request that was answered within a second."""
    made = Call(kind=kind, server=0, press=press, begin=begin, end=begin + 1, answer=Answer.DONE, told=told)
    made.booking = told.id if told else None
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def sound() -> Evidence:
    """Four seats: "1" and "2" were held and confirmed, "3" sold and given back, "4" held and lapsed; one was refused."""
    held = booking("b1", "ann", "12", 1.5, "PENDING")
    kept = booking("b1", "ann", "12", 1.5, "PENDING", "CONFIRMED", settled=2.5)
    sold = booking("b2", "bob", "3", 3.5, "CONFIRMED")
    back = booking("b2", "bob", "3", 3.5, "CONFIRMED", "CANCELLED", reason="cancelled_by_admin", settled=4.5)
    refused = booking("b3", "cy", "2", 3.6, "FAILED", reason="seats_taken")
    lapsed = booking("b4", "dee", "4", 1.2, "PENDING", "FAILED", reason="hold_expired", settled=1.2 + HOLD)
    offered = booking("b4", "dee", "4", 1.2, "PENDING")
    queued = booking(
        "b5", "eve", "3", 5.5, "CONFIRMED", "CANCELLED", reason="cancelled_by_admin", settled=6.5
    )
    calls = [
        call(Kind.BOOK, "ann", 1, held, key="k", hold=True, status=201),
        call(Kind.BOOK, "ann", 1.9, held, key="k", hold=True, status=201),
        call(Kind.CONFIRM, "c", 2, kept),
        call(Kind.BOOK, "bob", 3, sold, key="l", status=201),
        call(Kind.CANCEL, "c", 4, back),
        call(Kind.BOOK, "cy", 3, refused, key="m", answer=Answer.REFUSED, code="seats_taken", status=409),
        call(Kind.BOOK, "dee", 1, offered, hold=True, status=201),
        call(Kind.QUEUE, "eve", 5, booking="b5"),
        call(Kind.CANCEL, "c", 6, queued),
    ]
    states = ("BOOKED", "BOOKED", "AVAILABLE", "AVAILABLE")
    truth = Map(9, "BBAA")
    return Evidence(
        show=1,
        hold_seconds=HOLD,
        clock=EPOCH.timestamp(),
        ended=20,
        calls=calls,
        ledger=Ledger(
            bookings=(kept, back, refused, lapsed, queued),
            seats=tuple(SeatState(str(n + 1), state) for n, state in enumerate(states)),
            letters="BBAA",
            available=2,
            counts=Counts(4, 2, 0, 2, 0),
        ),
        in_database=truth,
        maps=[truth, truth],
        readers=[Reader(9, "BBAA")],
        offences=[],
        told_events=3,
        untold=0,
        heard=["1-1", "1-2", "1-1", "1-3"],
        consumed=["1-1", "1-2", "1-3", "1-3"],
    )


def test_a_sound_history_is_found_sound() -> None:
    """A checker that always finds something is of no use either."""
    assert {rule: found for rule, found in check(sound()).items() if found} == {}


def _books(evidence: Evidence, *bookings: Booking) -> None:
    """Put other rows into the books."""
    known = {b.id: b for b in evidence.ledger.bookings} | {b.id: b for b in bookings}
    evidence.ledger = msgspec.structs.replace(evidence.ledger, bookings=tuple(known.values()))


def _lose(evidence: Evidence, name: str) -> None:
    rest = tuple(b for b in evidence.ledger.bookings if b.id != name)
    evidence.ledger = msgspec.structs.replace(evidence.ledger, bookings=rest)


def _seat(evidence: Evidence, number: int, status: str) -> None:
    seats = list(evidence.ledger.seats)
    seats[number] = SeatState(str(number + 1), status)
    evidence.ledger = msgspec.structs.replace(evidence.ledger, seats=tuple(seats))


def _settle_late(evidence: Evidence) -> None:
    _books(evidence, booking("b1", "ann", "12", 1.5, "PENDING", "CONFIRMED", settled=1.5 + HOLD))


def _second_owner(evidence: Evidence) -> None:
    _books(evidence, booking("b9", "zoe", "3", 4.0, "CONFIRMED", "CANCELLED", reason="released", settled=4.2))


def _read_of_another(evidence: Evidence) -> None:
    evidence.calls.append(call(Kind.READ, "c", 8, evidence.ledger.bookings[0]))
    evidence.calls[-1].told = msgspec.structs.replace(
        evidence.ledger.bookings[0], status="FAILED", reason="released"
    )


def _made_before_it_was_asked(evidence: Evidence) -> None:
    _books(evidence, booking("b2", "bob", "3", 2.5, "CONFIRMED", "CANCELLED", reason="x", settled=4.5))


def _given_back_at_another_time(evidence: Evidence) -> None:
    evidence.calls[4].told = booking("b2", "bob", "3", 3.5, "CONFIRMED", "CANCELLED", reason="x", settled=7.5)


def _two_answers(evidence: Evidence) -> None:
    evidence.calls[1].told = msgspec.structs.replace(evidence.calls[1].told, id="b7")  # type: ignore[type-var]


def _done_after_all(evidence: Evidence) -> None:
    evidence.calls[3].answer = Answer.NOT_DONE


def _refused_but_sold(evidence: Evidence) -> None:
    evidence.calls[3].answer = Answer.REFUSED


def _false_refusal(evidence: Evidence) -> None:
    _books(evidence, booking("b3", "cy", "4", 3.9, "FAILED", reason="seats_taken"))


def _refused_by_nobody(evidence: Evidence) -> None:
    _books(evidence, booking("b3", "cy", "4", 3.9, "FAILED", reason="seats_taken"))
    evidence.calls[5].begin, evidence.calls[5].end = 3.5, 4.0


def _gap(evidence: Evidence) -> None:
    evidence.readers[0].gaps.append("a gap")


def _behind(evidence: Evidence) -> None:
    evidence.readers[0].version = 8


def _other_map(evidence: Evidence) -> None:
    evidence.maps[1] = Map(9, "BBBA")


def _wrong(evidence: Evidence) -> None:
    evidence.calls[0].answer = Answer.WRONG


PLANTED: list[tuple[str, Callable[[Evidence], object]]] = [
    ("what was acknowledged is there", lambda e: _lose(e, "b2")),
    (
        "what was acknowledged is there",
        lambda e: _books(e, booking("b1", "ann", "13", 1.5, "PENDING", "CONFIRMED")),
    ),
    ("what was acknowledged is there", lambda e: e.calls.pop(4)),  # cancelled, and nobody asked
    ("no seat was owned twice at one time", _second_owner),
    ("some order of the commands explains every answer", _read_of_another),
    ("some order of the commands explains every answer", _refused_by_nobody),
    ("some order of the commands explains every answer", lambda e: setattr(e, "in_database", Map(9, "BBAX"))),
    ("bookings are made and given back at one instant", _made_before_it_was_asked),
    ("bookings are made and given back at one instant", _given_back_at_another_time),
    ("holds last as long as was promised", _settle_late),
    ("holds last as long as was promised", lambda e: setattr(e, "hold_seconds", 1.5)),
    ("one wish, one booking, one answer", lambda e: _books(e, booking("b8", "ann", "4", 1.6, "CONFIRMED"))),
    ("one wish, one booking, one answer", _two_answers),
    ("who was refused has nothing", _done_after_all),
    ("who was refused has nothing", _refused_but_sold),
    ("nobody was refused what was free", _false_refusal),
    ("no seat is lost", lambda e: _seat(e, 3, "RESERVED")),
    ("no seat is lost", lambda e: _seat(e, 3, "BLOCKED")),
    ("no seat is lost", lambda e: _seat(e, 0, "AVAILABLE")),
    ("the counts are right", lambda e: setattr(e, "ledger", msgspec.structs.replace(e.ledger, available=3))),
    ("all maps and live readers have converged", _gap),
    ("all maps and live readers have converged", _behind),
    ("all maps and live readers have converged", _other_map),
    ("every event was sent", lambda e: e.heard.remove("1-2")),
    ("every event was sent", lambda e: e.heard.reverse()),
    ("every event was sent", lambda e: setattr(e, "consumed", ["1-1", "1-3"])),
    ("every event was sent", lambda e: setattr(e, "untold", 1)),
    ("what was queued was decided", lambda e: _lose(e, "b5")),
    ("every answer is a documented one", _wrong),
    ("the database is in order", lambda e: e.offences.append("counts: show 1")),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED)
def test_it_sees_what_was_planted(rule: str, plant: Callable[[Evidence], object]) -> None:
    """The torture would pass whatever happened."""
    evidence = copy.deepcopy(sound())
    plant(evidence)
    assert check(evidence)[rule], f"{rule}: nothing was found"


def test_every_rule_is_broken_by_something() -> None:
    """A rule that is added without its bug would be believed."""
    assert {rule for rule, _ in PLANTED} == set(RULES)
