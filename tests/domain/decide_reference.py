"""The rules of `decide`, written down once more for someone in no hurry, and scenes to try both on."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from rowlock.domain.commands import Actor, Block, Book, Cancel, CloseSale, Command, Confirm, Expire, Unblock
from rowlock.domain.ids import booking_id
from rowlock.domain.lifecycles import BookingStatus, Reason, SeatStatus
from rowlock.domain.state import AVAILABLE, BLOCKED, Booking, Sale, Seat
from rowlock.domain.world import World

SHOW = 7
NO_SHOW = 8
NOW = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
HOLD_SECONDS = 90
INSTANT = timedelta(microseconds=1)
OLD_IDS = [booking_id(SHOW, n) for n in range(1, 7)]
NEW_IDS = [booking_id(SHOW, n) for n in range(101, 104)]
UNKNOWN = booking_id(SHOW, 999)
ROW_KEYS = Booking.__struct_fields__


class Reference:
    """The rules, written down once more, for someone in no hurry."""

    def __init__(
        self,
        seats: dict[int, dict[str, Any]],
        rows: dict[UUID, dict[str, Any]],
        show: dict[str, Any],
        locked: set[int],
    ) -> None:
        self.seats = seats
        self.rows = rows
        self.show = show
        self.locked = locked

    def answer(self, command: Command, now: datetime) -> tuple[str, tuple[int, ...]]:
        """The outcome and the conflicts; what follows from it is done."""
        if command.show_id != SHOW:
            return "show_not_found", ()
        match command:
            case Book():
                return self.book(command, now)
            case Confirm():
                return self.confirm(command, now), ()
            case Cancel():
                return self.cancel(command, now), ()
            case Expire():
                return self.expire(command, now), ()
            case Block():
                return self.set_aside(command.seats, now, "X")
            case Unblock():
                return self.set_aside(command.seats, now, "A")
            case CloseSale():
                was, self.show["closed"] = self.show["closed"], True
                return "unchanged" if was else "sale_closed", ()

    def lapsed(self, number: int, now: datetime) -> bool:
        """Whether anyone may take a held seat."""
        seat = self.seats[number]
        return bool(seat["letter"] == "R" and seat["until"] <= now)  # rule 2, that instant included

    def put(self, number: int, letter: str, owner: UUID | None = None, until: datetime | None = None) -> None:
        """Set a seat."""
        self.seats[number] = {"letter": letter, "owner": owner, "until": until}

    def take(self, number: int, now: datetime) -> None:
        """Make way for someone new: rule 4."""
        if self.lapsed(number, now):
            self.fail_hold(self.rows[self.seats[number]["owner"]])

    def fail_hold(self, row: dict[str, Any]) -> None:
        """A hold is over, since its own time."""
        if row["status"] == "PENDING":
            row.update(status="FAILED", reason="hold_expired", settled_at=row["expires_at"], expires_at=None)

    def let_go(self, row: dict[str, Any]) -> None:
        """Free what is the booking's own, and forget to come back when nothing can be left."""
        for number in row["seats"]:
            if number in self.locked and self.seats[number]["owner"] == row["id"]:
                self.put(number, "A")
        if all(number in self.locked for number in row["seats"]):
            row["release_at"] = None

    def book(self, command: Book, now: datetime) -> tuple[str, tuple[int, ...]]:
        """All or nothing: rule 3."""
        row = self.rows.get(command.booking_id)
        if row is not None:  # rule 6
            if (row["user_id"], row["request_hash"]) != (command.user_id, command.request_hash):
                return "idempotency_key_reused", ()
            if row["status"] == "FAILED" and not row["held"]:
                return row["reason"], ()
            return "held" if row["held"] else "confirmed", ()
        wanted = command.wanted_count or len(command.seats)
        against = ""
        if wanted > self.show["max_seats"]:
            against = "too_many_seats"
        if command.confirm and self.show["service"] and command.by == "owner":
            against = "forbidden"
        if self.show["on_sale_at"] is not None and self.show["on_sale_at"] > now:
            against = "not_on_sale"
        if self.show["closed"]:
            against = "show_cancelled"
        if command.dropped:
            against = "dropped"
        if against:
            if command.queued:  # rule 7
                self.record(command, now, "FAILED", against)
            return against, ()
        if command.wanted_count and not command.seats:
            could_be_free = sum(seat["letter"] in "AR" for seat in self.seats.values())
            left = self.show["left"]
            if could_be_free < wanted or (left is not None and left < wanted):
                self.record(command, now, "FAILED", "not_enough_seats")
                return "not_enough_seats", ()
            return "repick", ()
        in_the_way = tuple(
            n for n in command.seats if self.seats[n]["letter"] != "A" and not self.lapsed(n, now)
        )
        if in_the_way and command.wanted_count:
            return "repick", ()
        if in_the_way:
            self.record(command, now, "FAILED", "seats_taken", in_the_way)
            return "seats_taken", in_the_way
        until = None if command.confirm else now + timedelta(seconds=HOLD_SECONDS)
        for number in command.seats:
            self.take(number, now)
            self.put(number, "B" if command.confirm else "R", command.booking_id, until)
        self.record(command, now, "CONFIRMED" if command.confirm else "PENDING", None)
        return "confirmed" if command.confirm else "held", ()

    def record(
        self, command: Book, now: datetime, status: str, reason: str | None, conflicts: tuple[int, ...] = ()
    ) -> None:
        """Keep what came of an attempt."""
        held = status == "PENDING"
        until = now + timedelta(seconds=HOLD_SECONDS) if held else None
        nothing_named = status == "FAILED" and command.wanted_count > 0
        self.rows[command.booking_id] = {
            "id": command.booking_id,
            "show_id": SHOW,
            "user_id": command.user_id,
            "customer_name": command.customer_name,
            "email": command.email,
            "status": status,
            "reason": reason,
            "seats": () if nothing_named else command.seats,
            "conflicts": conflicts,
            "seat_count": command.wanted_count or len(command.seats),
            "amount_cents": 0 if nothing_named else command.amount_cents,
            "held": held,
            "request_hash": command.request_hash,
            "created_at": now,
            "expires_at": until,
            "confirmed_at": now if status == "CONFIRMED" else None,
            "settled_at": None if held else now,
            "release_at": until,
        }

    def confirm(self, command: Confirm, now: datetime) -> str:
        """In time, and only whole: rule 5."""
        row = self.rows.get(command.booking_id)
        if row is None:
            return "booking_not_found"
        if self.show["closed"] and row["status"] != "CONFIRMED":
            return "show_cancelled"
        if self.show["service"] and command.by == "owner":
            return "forbidden"
        if row["status"] == "CONFIRMED":
            return "confirmed"
        if row["reason"] == "hold_expired":
            return "hold_expired"
        if row["status"] != "PENDING":
            return "wrong_state"
        mine = [self.seats[n]["owner"] == row["id"] and not self.lapsed(n, now) for n in row["seats"]]
        if not all(mine):  # rule 5
            self.fail_hold(row)
            self.let_go(row)
            return "hold_expired"
        for number in row["seats"]:
            self.put(number, "B", row["id"])
        row.update(status="CONFIRMED", confirmed_at=now, settled_at=now, expires_at=None, release_at=None)
        return "confirmed"

    def cancel(self, command: Cancel, now: datetime) -> str:
        """Give seats back, or say why not."""
        row = self.rows.get(command.booking_id)
        if row is None:
            return "booking_not_found"
        if row["status"] in ("FAILED", "CANCELLED"):
            had_seats = row["held"] or row["confirmed_at"] is not None
            by_a_cancel = had_seats and row["reason"] != "hold_expired"
            if row["settled_at"] in command.earlier_attempts and by_a_cancel:
                return "cancelled" if row["status"] == "CANCELLED" else "released"
            return "hold_expired" if row["reason"] == "hold_expired" else "wrong_state"
        if row["status"] == "PENDING" and row["expires_at"] <= now:
            self.fail_hold(row)
            self.let_go(row)
            return "hold_expired"
        was_held = row["status"] == "PENDING"
        reason = "released" if was_held else "cancelled_by_admin"
        if command.by == "owner" and not was_held:
            reason = "cancelled_by_customer"
        if command.by == "show":
            reason = "show_cancelled"
        self.let_go(row)
        row.update(status="FAILED" if was_held else "CANCELLED", reason=reason, settled_at=now)
        row.update(expires_at=None, release_at=None)
        return "released" if was_held else "cancelled"

    def expire(self, command: Expire, now: datetime) -> str:
        """Tidy up what is over."""
        row = self.rows.get(command.booking_id)
        if row is None or row["release_at"] is None or now < row["release_at"]:
            return "unchanged"
        self.fail_hold(row)
        self.let_go(row)
        return "expired"

    def set_aside(self, numbers: tuple[int, ...], now: datetime, letter: str) -> tuple[str, tuple[int, ...]]:
        """Take seats off sale, or put them back: all or none."""
        if self.show["closed"]:
            return "show_cancelled", ()
        in_the_way = tuple(
            n for n in numbers if self.seats[n]["letter"] not in "AX" and not self.lapsed(n, now)
        )
        if in_the_way:
            return "seats_taken" if letter == "X" else "wrong_state", in_the_way
        for number in numbers:
            self.take(number, now)
            self.put(number, letter)
        return "blocked" if letter == "X" else "unblocked", ()


# ---- random scenes


def a_booking(identifier: UUID, status: str = "CONFIRMED", **fields: Any) -> Booking:
    """A booking of one seat, made an hour ago, whole in itself."""
    times = {
        "expires_at": NOW + timedelta(seconds=HOLD_SECONDS) if status == "PENDING" else None,
        "confirmed_at": NOW - timedelta(hours=1) if status in ("CONFIRMED", "CANCELLED") else None,
        "settled_at": None if status == "PENDING" else NOW - timedelta(minutes=50),
    }
    row: dict[str, Any] = {
        "id": identifier,
        "show_id": SHOW,
        "user_id": "ada",
        "customer_name": None,
        "email": None,
        "status": BookingStatus(status),
        "reason": None,
        "seats": (0,),
        "conflicts": (),
        "seat_count": 1,
        "amount_cents": 100,
        "held": status == "PENDING",
        "request_hash": None,
        "created_at": NOW - timedelta(hours=1),
        "release_at": times["expires_at"],
        **times,
    }
    row |= fields
    row["reason"] = None if row["reason"] is None else Reason(row["reason"])
    if "seats" in fields and "seat_count" not in fields:
        row["seat_count"] = len(fields["seats"]) or 1
    return Booking(**row)


class Scene(msgspec.Struct):
    """A world to decide in: what there is, what is locked, and what was read of it."""

    seats: dict[int, Seat]
    bookings: dict[UUID, Booking]
    closed: bool
    on_sale_at: datetime | None
    service: bool
    max_seats: int
    left: int | None
    locked: set[int]
    read: set[UUID]

    def world(self) -> World:
        """As the engine would bring it."""
        letters = Counter(seat.status for seat in self.seats.values())
        sale = Sale(
            show_id=SHOW,
            closed=self.closed,
            on_sale_at=self.on_sale_at,
            max_seats=self.max_seats,
            hold_seconds=HOLD_SECONDS,
            confirm_by_service=self.service,
            available=letters[SeatStatus.AVAILABLE],
            reserved=letters[SeatStatus.RESERVED],
            version=3,
        )
        world = World(
            {(SHOW, n): seat for n, seat in self.seats.items() if n in self.locked},
            {SHOW: sale},
            {identifier: self.bookings[identifier] for identifier in self.read},
        )
        if self.left is not None:
            world.left[SHOW, None, False] = self.left
        return world

    def reference(self) -> Reference:
        """As someone would write it down by hand."""
        return Reference(
            {
                n: {"letter": str(s.status.value), "owner": s.owner, "until": s.held_until}
                for n, s in self.seats.items()
            },
            {identifier: row_of(booking) for identifier, booking in self.bookings.items()},
            {
                "closed": self.closed,
                "on_sale_at": self.on_sale_at,
                "service": self.service,
                "max_seats": self.max_seats,
                "left": self.left,
            },
            self.locked,
        )


def row_of(booking: Booking) -> dict[str, Any]:
    """A booking as a plain dict."""
    row = msgspec.structs.asdict(booking)
    row["status"] = str(row["status"])
    row["reason"] = None if row["reason"] is None else str(row["reason"])
    return row


ago = st.sampled_from([timedelta(0), INSTANT, timedelta(seconds=1), timedelta(days=1)])
hence = st.sampled_from([INSTANT, timedelta(seconds=1), timedelta(hours=1)])


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Seats and bookings that agree with each other, at NOW."""
    count = draw(st.integers(1, 7))
    bookings: dict[UUID, Booking] = {}
    seats: dict[int, Seat] = {}
    kinds = [draw(st.sampled_from(["firm", "live", "lapsed", "leftover"])) for _ in OLD_IDS[:4]]
    kinds += [draw(st.sampled_from(["refused", "short", "released", "cancelled"])) for _ in OLD_IDS[4:]]
    free: list[str | int] = ["A", "A", "A", "X"]
    places = free + list(range(4))
    where = [draw(st.sampled_from(places)) for _ in range(count)]
    for index, kind in enumerate(kinds):
        identifier = OLD_IDS[index]
        own = [n for n in range(count) if where[n] == index]
        others = sorted(draw(st.sets(st.integers(0, count - 1), max_size=2)))
        request_hash = draw(st.sampled_from([None, b"h"]))
        until = NOW + draw(hence) if kind == "live" else NOW - draw(ago)
        fields: dict[str, Any] = {"request_hash": request_hash, "seats": tuple(own)}
        match kind:
            case "firm" if own:
                bookings[identifier] = a_booking(identifier, held=draw(st.booleans()), **fields)
            case "live" | "lapsed" if own:
                bookings[identifier] = a_booking(
                    identifier, "PENDING", expires_at=until, release_at=until, **fields
                )
            case "leftover":  # overtaken at the seats that are others' now; unswept
                fields["seats"] = tuple(sorted({*own, *others}))
                if fields["seats"]:
                    fields |= {
                        "reason": "hold_expired",
                        "settled_at": until,
                        "release_at": until,
                        "held": True,
                    }
                    bookings[identifier] = a_booking(identifier, "FAILED", **fields)
            case "refused" if others:
                fields |= {"seats": tuple(others), "conflicts": (others[0],), "reason": "seats_taken"}
                bookings[identifier] = a_booking(identifier, "FAILED", **fields)
            case "short":
                fields |= {"seats": (), "seat_count": 3, "reason": "not_enough_seats"}
                bookings[identifier] = a_booking(identifier, "FAILED", **fields)
            case "released" if others:
                fields |= {"seats": tuple(others), "reason": "released", "held": True}
                bookings[identifier] = a_booking(identifier, "FAILED", **fields)
            case "cancelled" if others:
                fields |= {"seats": tuple(others), "reason": "cancelled_by_customer"}
                bookings[identifier] = a_booking(identifier, "CANCELLED", **fields)
        for number in own:
            seats[number] = (
                Seat(SeatStatus.BOOKED, identifier)
                if kind == "firm"
                else Seat(SeatStatus.RESERVED, identifier, until)
            )
    for number in range(count):
        if where[number] in ("A", "X"):
            seats[number] = AVAILABLE if where[number] == "A" else BLOCKED
    locked = set(range(count)) - draw(st.sets(st.integers(0, count - 1), max_size=1))
    on_sale_at = draw(st.sampled_from([None, None, None, NOW, NOW - INSTANT, NOW + INSTANT]))
    return Scene(
        seats=dict(sorted(seats.items())),
        bookings=bookings,
        closed=draw(st.integers(0, 7)) == 7,
        on_sale_at=on_sale_at,
        service=draw(st.integers(0, 3)) == 3,
        max_seats=draw(st.integers(1, 5)),
        left=draw(st.sampled_from([None, None, 0, 1, 3])),
        locked=locked,
        read=set(bookings),
    )


KINDS = ["book", "book", "count", "confirm", "confirm", "cancel", "cancel", "expire", "set", "close"]


@st.composite
def command_lists(draw: st.DrawFn, scene: Scene) -> list[Command]:
    """Commands that the engine might bring for a scene: their seats are locked (of an Expire's, some)."""
    locked = sorted(scene.locked)
    some_seats = (
        st.lists(st.sampled_from(locked), min_size=1, max_size=3, unique=True) if locked else st.just([])
    )
    whole = (
        [i for i, b in scene.bookings.items() if set(b.seats) <= scene.locked] * 3 + NEW_IDS * 2 + [UNKNOWN]
    )
    any_id = st.sampled_from([*scene.bookings, *scene.bookings, *NEW_IDS, UNKNOWN])
    times = st.sampled_from([NOW, NOW - timedelta(minutes=50), NOW - timedelta(minutes=49)])
    commands: list[Command] = []
    for _ in range(draw(st.integers(1, 7))):
        show_id = NO_SHOW if draw(st.integers(0, 29)) == 29 else SHOW
        kind = draw(st.sampled_from(KINDS))
        by = draw(st.sampled_from([Actor.OWNER, Actor.STAFF]))
        if kind in ("book", "count"):
            seats = tuple(draw(some_seats))
            if kind == "count" and draw(st.booleans()):
                seats = ()
            if kind == "book" and not seats:
                continue
            queued = draw(st.booleans())
            commands.append(
                Book(
                    show_id=show_id,
                    booking_id=draw(st.sampled_from([*NEW_IDS * 4, *OLD_IDS])),
                    user_id=draw(st.sampled_from(["ada", "ada", "bob"])),
                    seats=seats,
                    amount_cents=50 * len(seats),
                    confirm=draw(st.booleans()),
                    wanted_count=(len(seats) or draw(st.integers(1, 6))) if kind == "count" else 0,
                    by=by,
                    email=draw(st.sampled_from([None, "a@example.org"])),
                    request_hash=draw(st.sampled_from([None, b"h"])),
                    queued=queued,
                    dropped=queued and draw(st.integers(0, 7)) == 7,
                )
            )
        elif kind == "confirm":
            commands.append(Confirm(show_id, draw(st.sampled_from(whole)), (), by=by))
        elif kind == "cancel":
            who = draw(st.sampled_from(list(Actor)))
            attempts = tuple(draw(st.lists(times, max_size=2)))
            commands.append(
                Cancel(show_id, draw(st.sampled_from(whole)), (), by=who, earlier_attempts=attempts)
            )
        elif kind == "expire":
            commands.append(Expire(show_id, draw(any_id), ()))
        elif kind == "set":
            numbers = tuple(draw(some_seats))
            commands.append(Block(show_id, numbers) if draw(st.booleans()) else Unblock(show_id, numbers))
        elif draw(st.integers(0, 3)) == 3:
            commands.append(CloseSale(show_id))
    # An id that a Book names is read where it exists; so is whatever is confirmed, cancelled or expired.
    named = {c.booking_id for c in commands if isinstance(c, Book | Confirm | Cancel | Expire)}
    scene.read = named & set(scene.bookings) | draw(st.sets(st.sampled_from([*scene.bookings, UNKNOWN])))
    scene.read.discard(UNKNOWN)
    return commands


@st.composite
def plays(draw: st.DrawFn) -> tuple[Scene, list[Command]]:
    """A scene and commands for it."""
    scene = draw(scenes())
    return scene, draw(command_lists(scene))


def snapshot(world: World) -> dict[str, Any]:
    """All that a world holds, apart from it."""
    return {name: copy.deepcopy(getattr(world, name)) for name in World.__slots__}


def rows_now(scene: Scene, world: World) -> dict[UUID, dict[str, Any]]:
    """All bookings as the database would have them after the write, those that were not read too."""
    rows = {identifier: row_of(booking) for identifier, booking in scene.bookings.items()}
    rows |= {identifier: row_of(booking) for identifier, booking in world.bookings.items()}
    for show_id, identifier in world.overtaken:
        row = rows[identifier]
        assert (show_id, identifier in world.bookings) == (SHOW, False)
        if row["status"] == "PENDING":
            row |= {
                "status": "FAILED",
                "reason": "hold_expired",
                "settled_at": row["expires_at"],
                "expires_at": None,
            }
    return rows


def sale(**terms: Any) -> Sale:
    """Terms under which everything is allowed."""
    free: dict[str, Any] = {
        "show_id": SHOW,
        "closed": False,
        "on_sale_at": None,
        "max_seats": 10,
        "hold_seconds": HOLD_SECONDS,
        "confirm_by_service": False,
        "available": 5,
        "reserved": 0,
        "version": 0,
    }
    return Sale(**free | terms)


def world_of(seats: list[Seat], *bookings: Booking, **terms: Any) -> World:
    """A world of one show, all of it locked and read."""
    letters = Counter(seat.status for seat in seats)
    counts = {"available": letters[SeatStatus.AVAILABLE], "reserved": letters[SeatStatus.RESERVED]}
    return World(
        {(SHOW, number): seat for number, seat in enumerate(seats)},
        {SHOW: sale(**counts | terms)},
        {booking.id: booking for booking in bookings},
    )


def book(*seats: int, **fields: Any) -> Book:
    """Book seats, for bob."""
    usual: dict[str, Any] = {"booking_id": NEW_IDS[0], "user_id": "bob", "amount_cents": 0}
    return Book(show_id=SHOW, seats=seats, **usual | fields)


def held_world(until: datetime) -> tuple[World, Booking]:
    """One seat, held by ada until then."""
    hold = a_booking(OLD_IDS[0], "PENDING", expires_at=until, release_at=until)
    return world_of([Seat(SeatStatus.RESERVED, hold.id, until)], hold), hold
