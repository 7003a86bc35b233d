"""`decide` against a slow, obvious reference, and against what it promises.

The reference keeps plain dicts, goes seat by seat, and follows the numbered rules of `decide.py` and docs/api.md. It
knows nothing of batches: to it every booking is at hand, and every count is a count of seats.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from rowlock.domain.commands import Actor, Block, Book, Cancel, CloseSale, Command, Confirm, Expire, Unblock
from rowlock.domain.decide import decide
from rowlock.domain.lifecycles import SeatStatus
from rowlock.domain.outcomes import Outcome
from rowlock.domain.state import AVAILABLE, Seat
from rowlock.domain.world import Decision, World
from tests.domain.decide_reference import (
    INSTANT,
    NEW_IDS,
    NO_SHOW,
    NOW,
    OLD_IDS,
    SHOW,
    UNKNOWN,
    Reference,
    Scene,
    a_booking,
    book,
    held_world,
    plays,
    rows_now,
    sale,
    snapshot,
    world_of,
)


@settings(max_examples=800, deadline=None)
@given(plays())
def test_decide_is_what_the_rules_say(play: tuple[Scene, list[Command]]) -> None:
    """Some mixture of requests would sell a seat twice, refuse a free one, or lose a booking."""
    scene, commands = play
    world, reference = scene.world(), scene.reference()
    for command in commands:
        row = reference.rows.get(getattr(command, "booking_id", UNKNOWN))
        before = snapshot(world)
        decision = decide(command, world, NOW)
        assert snapshot(world) == before, "decide changed the world"
        assert decide(command, world, NOW) == decision
        assert all(world.seats[SHOW, number] != seat for number, seat in decision.seats), "no change is none"
        told_before = isinstance(command, Book) and row is not None and decision.booking is not None
        assert decision.replayed == (told_before and command.show_id == SHOW)
        world.apply(command.show_id, decision)
        event(decision.outcome.value)

        assert (decision.outcome.value, decision.conflicts) == reference.answer(command, NOW)
        assert rows_now(scene, world) == reference.rows
        seats = {n: seat for (_, n), seat in world.seats.items()}
        assert {n: (s.status.value, s.owner, s.held_until) for n, s in seats.items()} == {
            n: (s["letter"], s["owner"], s["until"]) for n, s in reference.seats.items() if n in scene.locked
        }
        assert world.sales[SHOW].closed == reference.show["closed"]
        check_counts(scene, world, reference)
        check_owners(reference, NOW)
    check_written(scene, world)


def check_counts(scene: Scene, world: World, reference: Reference) -> None:
    """The counts move with the seats."""
    before = Counter(seat.status.value for seat in scene.seats.values())
    after = Counter(seat["letter"] for seat in reference.seats.values())
    change = world.count_changes.get(SHOW, {})
    assert {s.value: before[s.value] + change.get(s, 0) for s in SeatStatus} == {
        s.value: after[s.value] for s in SeatStatus
    }
    assert sum(change.values()) == 0


def check_owners(reference: Reference, now: datetime) -> None:
    """No seat has two owners; a booking that stands has all of its seats."""
    for row in reference.rows.values():
        live = row["status"] == "PENDING" and row["expires_at"] > now
        if row["status"] == "CONFIRMED" or live:
            letter = "B" if row["status"] == "CONFIRMED" else "R"
            for number in row["seats"]:
                seat = reference.seats[number]
                assert (seat["letter"], seat["owner"]) == (letter, row["id"])
    for number, seat in reference.seats.items():
        assert (seat["owner"] is None) == (seat["letter"] in "AX")
        assert (seat["until"] is None) == (seat["letter"] != "R")
        if seat["owner"] is not None:
            assert number in reference.rows[seat["owner"]]["seats"]


def check_written(scene: Scene, world: World) -> None:
    """What the engine writes is what changed: new bookings apart from old ones, and the version where it must rise."""
    assert not set(world.new_bookings) & set(scene.bookings)
    assert set(world.changed_bookings) <= scene.read
    for identifier in scene.read:
        moved = world.bookings[identifier] != scene.bookings[identifier]
        assert moved == (identifier in world.changed_bookings)
    for identifier, booking in (world.new_bookings | world.changed_bookings).items():
        assert world.bookings[identifier] == booking
    for (show_id, number), seat in world.seats.items():
        if (show_id, number) in world.changed_seats:
            assert world.changed_seats[show_id, number] == seat
        else:
            assert seat == scene.seats[number]
    moved_show = bool(world.changed_seats) or world.sales[SHOW].closed != scene.closed
    assert world.changed_shows() == ({SHOW} if moved_show else set())


def shifted(value: Any, by: timedelta) -> Any:
    """A value with every time in it moved."""
    if isinstance(value, datetime):
        return value + by
    if isinstance(value, tuple):
        return tuple(shifted(part, by) for part in value)
    if isinstance(value, msgspec.Struct):
        fields = {name: shifted(part, by) for name, part in msgspec.structs.asdict(value).items()}
        return msgspec.structs.replace(value, **fields)
    return value


@settings(max_examples=200, deadline=None)
@given(plays(), st.sampled_from([timedelta(days=-20_000), -INSTANT, timedelta(days=400, seconds=5)]))
def test_no_other_clock_is_asked(play: tuple[Scene, list[Command]], by: timedelta) -> None:
    """A server whose clock is wrong would sell held seats, or refuse free ones."""
    scene, commands = play
    elsewhen = msgspec.structs.replace(
        scene,
        seats={n: shifted(seat, by) for n, seat in scene.seats.items()},
        bookings={i: shifted(booking, by) for i, booking in scene.bookings.items()},
        on_sale_at=shifted(scene.on_sale_at, by),
    )
    here, there = scene.world(), elsewhen.world()
    for command in commands:
        decision, other = decide(command, here, NOW), decide(shifted(command, by), there, NOW + by)
        assert other == shifted(decision, by)
        here.apply(command.show_id, decision)
        there.apply(command.show_id, other)


# ---- single promises


@pytest.mark.parametrize(
    ("command", "in_time", "too_late"),
    [
        (book(0), Outcome.SEATS_TAKEN, Outcome.CONFIRMED),
        (book(0, confirm=False), Outcome.SEATS_TAKEN, Outcome.HELD),
        (book(0, wanted_count=1), Outcome.REPICK, Outcome.CONFIRMED),
        (Block(SHOW, (0,)), Outcome.SEATS_TAKEN, Outcome.BLOCKED),
        (Unblock(SHOW, (0,)), Outcome.WRONG_STATE, Outcome.UNBLOCKED),
        (Expire(SHOW, OLD_IDS[0], (0,)), Outcome.UNCHANGED, Outcome.EXPIRED),
        (Confirm(SHOW, OLD_IDS[0], (0,)), Outcome.CONFIRMED, Outcome.HOLD_EXPIRED),
        (Cancel(SHOW, OLD_IDS[0], (0,)), Outcome.RELEASED, Outcome.HOLD_EXPIRED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, msgspec.Struct) else None,
)
def test_a_hold_lapses_at_its_very_instant(command: Command, in_time: Outcome, too_late: Outcome) -> None:
    """Two people could each be told that the seat is theirs, or neither."""
    world, _ = held_world(NOW)
    assert decide(command, world, NOW - INSTANT).outcome is in_time
    assert decide(command, world, NOW).outcome is too_late
    assert decide(command, world, NOW + INSTANT).outcome is too_late


def test_an_overtaken_hold_can_not_be_confirmed() -> None:
    """Whoever came too late would pay for seats of which another has one."""
    hold = a_booking(OLD_IDS[0], "PENDING", seats=(0, 1), expires_at=NOW, release_at=NOW)
    world = world_of([Seat(SeatStatus.RESERVED, hold.id, NOW)] * 2, hold)
    world.apply(SHOW, decide(book(1), world, NOW))
    assert decide(Confirm(SHOW, hold.id, hold.seats), world, NOW).outcome is Outcome.HOLD_EXPIRED
    assert world.bookings[hold.id].release_at == NOW, "its other seat is the sweeper's to free"
    world.apply(SHOW, decide(Expire(SHOW, hold.id, hold.seats), world, NOW))
    assert [world.seats[SHOW, n].owner for n in (0, 1)] == [None, NEW_IDS[0]]
    assert world.bookings[hold.id].release_at is None


def test_another_show_is_left_alone() -> None:
    """A sale at one show would move the counts of another."""
    world = world_of([AVAILABLE])
    world.seats[NO_SHOW, 0] = AVAILABLE
    world.sales[NO_SHOW] = sale(show_id=NO_SHOW)
    world.apply(SHOW, decide(book(0), world, NOW))
    assert world.seats[NO_SHOW, 0] is AVAILABLE
    assert (world.changed_shows(), set(world.count_changes)) == ({SHOW}, {SHOW})


def test_nothing_is_known_of_a_show_that_is_not_there() -> None:
    """A typing error in a show's id would end in a failure of the server."""
    world = World({}, {}, {})
    commands: list[Command] = [
        book(0),
        Confirm(SHOW, UNKNOWN, ()),
        Cancel(SHOW, UNKNOWN, ()),
        Expire(SHOW, UNKNOWN, ()),
        Block(SHOW, (0,)),
        Unblock(SHOW, (0,)),
        CloseSale(SHOW),
    ]
    assert {decide(command, world, NOW) for command in commands} == {Decision(Outcome.SHOW_NOT_FOUND)}


def test_too_few_seats_are_proved_with_what_the_batch_has_done() -> None:
    """A party would be told that too few seats are left, by counts from before the batch, or be kept waiting."""
    world = world_of([AVAILABLE] * 4)
    three = book(booking_id=NEW_IDS[2], wanted_count=3)
    world.apply(SHOW, decide(book(0, 1, confirm=False), world, NOW))
    assert decide(three, world, NOW).outcome is Outcome.REPICK, "two are held: they might have lapsed"
    world.apply(SHOW, decide(book(2, booking_id=NEW_IDS[1]), world, NOW))
    assert decide(three, world, NOW).outcome is Outcome.REPICK
    world.apply(SHOW, decide(Confirm(SHOW, NEW_IDS[0], (0, 1)), world, NOW))
    assert decide(three, world, NOW).outcome is Outcome.NOT_ENOUGH_SEATS
    world.apply(SHOW, decide(Cancel(SHOW, NEW_IDS[0], (0, 1)), world, NOW))
    assert decide(three, world, NOW).outcome is Outcome.REPICK, "three are free again"


def test_a_lost_answer_to_a_cancel_is_found_again() -> None:
    """Who gave seats back, and was cut off, would be told that it did not work."""
    at = NOW - timedelta(seconds=3)
    released = a_booking(OLD_IDS[0], "FAILED", reason="released", held=True, settled_at=at)
    cancelled = a_booking(OLD_IDS[1], "CANCELLED", reason="cancelled_by_customer", settled_at=at)
    world = world_of([AVAILABLE], released, cancelled)
    again = (at - INSTANT, at)
    for booking, outcome in ((released, Outcome.RELEASED), (cancelled, Outcome.CANCELLED)):
        assert decide(Cancel(SHOW, booking.id, (0,), earlier_attempts=again), world, NOW).outcome is outcome
    other = Cancel(SHOW, released.id, (0,), earlier_attempts=(at + INSTANT,))
    assert decide(other, world, NOW).outcome is Outcome.WRONG_STATE


def again(cancel: Cancel, at: datetime) -> Cancel:
    """The same, once more, after its answer was lost."""
    return msgspec.structs.replace(cancel, earlier_attempts=(at,))


def test_a_lost_answer_that_a_hold_had_lapsed_stays_that() -> None:
    """Who came too late would be told it was in time."""
    world, hold = held_world(NOW)
    cancel = Cancel(SHOW, hold.id, (0,))
    first = decide(cancel, world, NOW)
    world.apply(SHOW, first)
    second = decide(again(cancel, NOW), world, NOW + timedelta(seconds=1))
    assert second.outcome is first.outcome is Outcome.HOLD_EXPIRED


def test_a_lost_answer_about_a_refused_booking_stays_that() -> None:
    """A booking that never was would be called released."""
    world = world_of([Seat(SeatStatus.BOOKED, OLD_IDS[5])])
    world.apply(SHOW, decide(book(0, request_hash=b"h"), world, NOW))
    cancel = Cancel(SHOW, NEW_IDS[0], (0,))
    first = decide(cancel, world, NOW)
    second = decide(again(cancel, NOW), world, NOW + timedelta(seconds=1))
    assert second.outcome is first.outcome is Outcome.WRONG_STATE


def test_what_is_confirmed_stays_so_until_it_is_settled() -> None:
    """A payment service that asks again, its first answer lost, would refund what is refunded once more later."""
    firm = a_booking(OLD_IDS[0])
    world = world_of([Seat(SeatStatus.BOOKED, firm.id)], firm, closed=True)
    assert decide(Confirm(SHOW, firm.id, (0,), by=Actor.STAFF), world, NOW).outcome is Outcome.CONFIRMED


# ---- precedence: each refusal that a command can meet, as a change to a case where it would succeed
