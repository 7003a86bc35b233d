"""The checker: rules, each with a name, that what was done and told must keep. Each yields its offenders.

`tests/faults/test_checker.py` breaks each of them in a history made by hand, and `test_planted.py` plants bugs into real
servers: a rule that can't fail proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rowlock.stampede import audit as stampede
from rowlock.stampede import history as past
from rowlock.stampede.records import Booking, Ledger, SeatState
from tests.faults.evidence import CLOCK_SECONDS, Evidence
from tests.faults.history import Answer, Call, Kind
from tests.faults.linear import linearize
from tests.faults.seats import FREE, State, operations, step

REFUSED = {"seats_taken", "not_enough_seats"}


def check(evidence: Evidence) -> dict[str, list[str]]:
    """What breaks each rule; nothing, where it holds."""
    return {rule: list(find(evidence)) for rule, find in RULES.items()}


def _acknowledged(evidence: Evidence) -> Iterator[str]:
    """Every booking that was acknowledged is in the books, with its seats, in a status that somebody asked for."""
    for call in evidence.calls:
        told = call.told
        if call.answer is not Answer.DONE or told is None:
            continue
        kept = evidence.by_id.get(told.id)
        if kept is None:
            yield f"{told.id} of {told.user_id} was told as {told.status} ({call.kind}), and is gone"
        elif (kept.seats, kept.user_id) != (told.seats, told.user_id):
            yield f"{told.id} was told with {told.seats} of {told.user_id}, and has {kept.seats} of {kept.user_id}"
        elif kept.status not in (allowed := _statuses(evidence, told)):
            yield f"{told.id} was told as {told.status} ({call.kind}), and is {kept.status} ({kept.reason}), not {allowed}"


def _statuses(evidence: Evidence, told: Booking) -> set[str]:
    """The statuses that a booking may have ended in, after it was told as `told` and asked for all that it was."""
    asked = {call.kind for call in evidence.settling.get(told.id, ())}
    may_cancel = {"CANCELLED"} if Kind.CANCEL in asked else set()
    match told.status:
        case "CONFIRMED":
            return {"CONFIRMED"} | may_cancel
        case "PENDING":
            confirmed = {"CONFIRMED"} | may_cancel if Kind.CONFIRM in asked else set()
            return {"FAILED"} | confirmed
        case _:
            return {told.status}


def _one_owner(evidence: Evidence) -> Iterator[str]:
    """By the bookings' own times, no seat was owned by two of them at once."""
    return past.overlaps(evidence.ledger.bookings)


def _explained(evidence: Evidence) -> Iterator[str]:
    """Some order of the commands on each seat explains every answer, and what the seat is in the end."""
    final = _final(evidence)
    lapses = {
        booking.id: evidence.at(booking.created_at) + evidence.hold_seconds for booking in evidence.held()
    }
    ops = operations(evidence.calls, evidence.ledger.bookings, lapses, final, evidence.ended)
    for seat, of_seat in ops.items():
        found = linearize(of_seat, FREE, step)
        if not found.ok:
            assert found.unexplained is not None
            last = [of_seat[n].act for n in found.order[-6:]]
            yield f"seat {seat}: {of_seat[found.unexplained].act} has no explanation after {last}"


def _final(evidence: Evidence) -> dict[str, State]:
    owners = {
        seat: booking.id
        for booking in evidence.ledger.bookings
        if booking.status in {"PENDING", "CONFIRMED"}
        for seat in booking.seats
    }
    letters = zip(evidence.ledger.seats, evidence.in_database.letters, strict=True)
    return {s.seat: State(letter, owners.get(s.seat) if letter in "RB" else None) for s, letter in letters}


def _whole(evidence: Evidence) -> Iterator[str]:
    """The database's times are an order of the bookings across all seats: each lies between request and answer.

    With the rule that no seat has two owners by these times, that makes what is explained seat by seat hold for bookings
    of several seats: they were taken, and given back, at one instant.
    """
    for press in evidence.presses:
        for booking in evidence.by_user.get(press[0].press, ()):
            made = evidence.at(booking.created_at)
            first = min(call.begin for call in press)
            heard = [
                c.end for c in press if c.kind is Kind.BOOK and c.answer in {Answer.DONE, Answer.REFUSED}
            ]
            if not first - CLOCK_SECONDS <= made <= min(heard, default=evidence.ended) + CLOCK_SECONDS:
                yield f"{booking.id} was asked for at {first:.3f}, answered at {heard}, and made at {made:.3f}"
    for call in evidence.calls:
        told = call.told
        if (
            call.kind is not Kind.CANCEL
            or call.answer is not Answer.DONE
            or told is None
            or told.settled_at is None
        ):
            continue
        others = [c for c in evidence.settling[told.id] if c.kind is Kind.CANCEL]
        settled = evidence.at(told.settled_at)
        if not min(c.begin for c in others) - CLOCK_SECONDS <= settled <= call.end + CLOCK_SECONDS:
            yield f"{told.id} was given back at {settled:.3f}, which nobody asked for then"


def _holds(evidence: Evidence) -> Iterator[str]:
    """A hold lasts as long as it was promised, by the database's clock, and not an instant longer."""
    for booking in evidence.ledger.bookings:
        if booking.status == "PENDING":
            yield f"{booking.id} is still a hold"
        elif booking.reason == "hold_expired":
            lasted = (booking.settled_at - booking.created_at).total_seconds() if booking.settled_at else -1
            if abs(lasted - evidence.hold_seconds) > 0.001:
                yield f"{booking.id} was held for {lasted} s, not {evidence.hold_seconds}"
        elif booking.status == "CONFIRMED" and len(booking.history) > 1 and booking.settled_at:
            took = (booking.settled_at - booking.created_at).total_seconds()
            if took >= evidence.hold_seconds:
                yield f"{booking.id} was confirmed {took} s after it was held"
    for call in evidence.calls:
        if call.kind is Kind.BOOK and call.told and call.told.status == "PENDING" and call.told.expires_at:
            promised = (call.told.expires_at - call.told.created_at).total_seconds()
            if abs(promised - evidence.hold_seconds) > 0.001:
                yield f"{call.told.id} was promised for {promised} s"


def _one_booking(evidence: Evidence) -> Iterator[str]:
    """A wish with a key is one booking and has one answer; without a key, one at most for each request."""
    for press in evidence.presses:
        made = evidence.by_user.get(press[0].press, ())
        most = 1 if press[0].key is not None else len(press)
        if len(made) > most:
            yield f"{press[0].press} has {len(made)} bookings after {len(press)} requests, key {press[0].key}"
        answers = {(c.status, c.code, c.told.id) for c in press if c.told is not None and c.kind is Kind.BOOK}
        if press[0].key is not None and len(answers) > 1:
            yield f"{press[0].press} was answered in different ways: {sorted(map(str, answers))}"


def _nothing(evidence: Evidence) -> Iterator[str]:
    """Who was refused has nothing, and where nothing was done, nothing was."""
    for press in evidence.presses:
        made = evidence.by_user.get(press[0].press, [])
        live = [b for b in made if b.reason not in REFUSED]
        answers = {call.answer for call in press}
        if answers <= {Answer.NOT_DONE, Answer.UNREACHABLE} and made:
            yield f"{press[0].press} was told that nothing was done, and has {made[0].id}, {made[0].status}"
        refused = [c for c in press if c.answer is Answer.REFUSED and c.kind is Kind.BOOK]
        if press[0].key is not None and refused and live:
            yield f"{press[0].press} was told {refused[0].code}, and has {live[0].id}, {live[0].status}"


def _refusals(evidence: Evidence) -> Iterator[str]:
    """Nobody was refused what was free. Seats that the box office blocks now and then count as blocked throughout."""
    ledger = evidence.ledger
    seats = tuple(SeatState(s.seat, "BLOCKED") if s.seat in evidence.box_office else s for s in ledger.seats)
    careful = Ledger(ledger.bookings, seats, ledger.letters, ledger.available, ledger.counts)
    yield from past.false_refusals(careful)
    yield from past.unfounded_conflicts(careful)


def _seats(evidence: Evidence) -> Iterator[str]:
    """No seat is lost: each is free, a live booking's, or the box office's."""
    yield from _stampede(evidence, "the seats are as the bookings say")
    for state in evidence.ledger.seats:
        if state.status == "RESERVED":
            yield f"seat {state.seat} is held for ever"
        elif state.status == "BLOCKED" and state.seat not in evidence.box_office:
            yield f"seat {state.seat} is blocked, and nobody did that"


def _counts(evidence: Evidence) -> Iterator[str]:
    yield from _stampede(evidence, "the counts are as the seats say")


def _stampede(evidence: Evidence, rule: str) -> Iterator[str]:
    return stampede.RULES[rule](stampede.Evidence((), evidence.ledger))


def _converged(evidence: Evidence) -> Iterator[str]:
    """Every server's map, and every live reader, show what the database has."""
    truth = evidence.in_database
    for number, shown in enumerate(evidence.maps):
        if shown != truth:
            yield f"server {number} shows {shown}, and the database has {truth}"
    for number, reader in enumerate(evidence.readers):
        if (reader.version, reader.letters) != (truth.version, truth.letters):
            yield f"reader {number} shows version {reader.version} {reader.letters}, and the database has {truth}"
        for gap in reader.gaps:
            yield f"reader {number}: {gap}"


def _events(evidence: Evidence) -> Iterator[str]:
    """Every change has its event, and every event was sent, those of the show in order; again only with the same id."""
    if evidence.untold:
        yield f"{evidence.untold} changes have no event"
    for name, ids in (("the webhook", evidence.heard), ("the consumer", evidence.consumed)):
        if ids is None:
            continue
        of_show = (i.partition("-") for i in ids)
        firsts = list(dict.fromkeys(int(number) for show, _, number in of_show if show == str(evidence.show)))
        if firsts != list(range(1, evidence.told_events + 1)):
            missing = sorted(set(range(1, evidence.told_events + 1)) - set(firsts))
            yield f"{name} got {len(firsts)} of {evidence.told_events} events; missing {missing[:10]}, or out of order"


def _queued(evidence: Evidence) -> Iterator[str]:
    """What was taken into the queue was decided."""
    for call in evidence.calls:
        if call.kind is not Kind.QUEUE or call.answer is not Answer.DONE or not call.booking:
            continue
        thrown_away = evidence.emptied is not None and call.begin < evidence.emptied
        kept = evidence.by_id.get(call.booking)
        if kept is None and not thrown_away:
            yield f"{call.booking} was queued for {call.press}, and never decided"


def _answers(evidence: Evidence) -> Iterator[str]:
    """Every answer is one that the API knows: no failure but 503, which says when to come again."""
    for call in evidence.calls:
        if call.answer is Answer.WRONG:
            yield f"{call.kind} for {call.press} at {call.begin:.3f} was answered {call.status} {call.code} {call.detail}"


def _verify(evidence: Evidence) -> Iterator[str]:
    """`rowlock verify` finds nothing: 18 rules on the rows, among them that events, replayed, give the seats."""
    yield from evidence.offences


RULES: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "what was acknowledged is there": _acknowledged,
    "no seat was owned twice at one time": _one_owner,
    "some order of the commands explains every answer": _explained,
    "bookings are made and given back at one instant": _whole,
    "holds last as long as was promised": _holds,
    "one wish, one booking, one answer": _one_booking,
    "who was refused has nothing": _nothing,
    "nobody was refused what was free": _refusals,
    "no seat is lost": _seats,
    "the counts are right": _counts,
    "all maps and live readers have converged": _converged,
    "every event was sent": _events,
    "what was queued was decided": _queued,
    "every answer is a documented one": _answers,
    "the database is in order": _verify,
}


def answers_by_kind(calls: list[Call]) -> dict[str, int]:
    """How many calls came to what."""
    found: dict[str, int] = {}
    for call in calls:
        found[call.answer.value] = found.get(call.answer.value, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
