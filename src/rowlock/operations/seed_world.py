"""A big world to try things on: many shows, sold to all degrees, with a booking history as years of sales leave it.

What is made is as the engine would have left it (`rowlock verify` finds nothing), and depends on the seed alone, but
for the ids of shows, which follow those that are taken. Some shows are over, some cancelled; some are sold out and
were fought for, so that most of their bookings failed; holds run for hours, so that they outlive a look around.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from rowlock.domain.ids import TAIL_BITS, booking_id
from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import (
    Category,
    LayoutSpec,
    NumberedSpec,
    RowSpec,
    SeatSpec,
    SectionSpec,
    encode_spec,
)
from rowlock.domain.layouts import Layout
from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.state import Booking, changed
from rowlock.operations.bulk import BulkBooking, BulkShow, write_shows
from rowlock.operations.show_ids import new_show_ids
from rowlock.operations.views import ShowKind
from rowlock.postgres.jobs import connect_job, job_transaction
from rowlock.postgres.pool import Database

SHOWS_MAX = 100_000
BOOKINGS_MAX = 100_000_000
# What is committed together, whichever comes first: some seconds' work, and some 50 MB here.
CHUNK_SEATS = 200_000
CHUNK_BOOKINGS = 50_000

PARTY_SIZES = (1, 2, 2, 2, 2, 3, 4, 4, 5, 6)
USERS_PER_BOOKING = 0.2
SKEW = 0.7  # the nth show is asked for n^-0.7 times as much as the first: a few hits, a long tail
OVER_SHARE, CANCELLED_SHARE, BLOCKED_SHARE = 0.25, 0.02, 0.01
PENDING_SHARE, CANCELLED_BOOKING_SHARE, FAILED_SHARE = 0.02, 0.05, 0.2

_CITIES = ("Graz", "Linz", "Salzburg", "Innsbruck", "Vienna", "Bregenz", "Villach")
_NAMES = ("Ada", "Bo", "Chidi", "Dunja", "Emre", "Fatima", "Goran", "Hana", "Ines", "Jun")
_PIECES = ("Symphony", "Quartet", "Comedy", "Derby", "Requiem", "Jazz Night", "Gala", "Premiere")


class World(msgspec.Struct, frozen=True):
    """How much is made."""

    shows: int
    seats: int
    bookings: int
    seed: int = 1


class Progress(msgspec.Struct, frozen=True):
    """How far it is."""

    shows: int
    seats: int
    bookings: int


class _Hall(msgspec.Struct, frozen=True):
    """A layout, and how it is stored."""

    kind: ShowKind
    layout: Layout
    stored: str
    categories: str


async def seed_world(
    database: Database,
    world: World,
    on_progress: Callable[[Progress], None] = lambda _: None,
    *,
    today: datetime | None = None,
) -> Progress:
    """Make a world, on top of what is there. An interruption leaves what was made so far, which is whole.

    `today` is what its times are counted from.
    """
    start = today or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    shows = seats = bookings = 0
    async with connect_job(database) as connection:
        ids = await new_show_ids(connection, world.shows)
        chunks = _chunks(world, ids, start)
        # The next chunk is made while PostgreSQL writes the one before.
        coming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
        while (chunk := await coming) is not None:
            coming = asyncio.create_task(asyncio.to_thread(next, chunks, None))
            async with job_transaction(connection):
                await write_shows(connection, *chunk)
            shows += len(chunk[0])
            seats += sum(show.total_seats for show in chunk[0])
            bookings += len(chunk[1])
            on_progress(Progress(shows, seats, bookings))
        await connection.execute("ANALYZE shows, inventory, seats, bookings")
    return Progress(shows, seats, bookings)


def _chunks(
    world: World, ids: list[int], today: datetime
) -> Iterator[tuple[list[BulkShow], list[BulkBooking]]]:
    dice = random.Random(world.seed)
    halls = _halls(world.seats)
    users = max(1, int(world.bookings * USERS_PER_BOOKING))
    shows: list[BulkShow] = []
    bookings: list[BulkBooking] = []
    seats = 0
    for show_id, share in zip(ids, _shares(world, dice), strict=True):
        hall = dice.choice(halls)
        show = _show(show_id, hall, today, dice)
        shows.append(show)
        bookings.extend(_bookings(show, hall.layout, share, users=users, today=today, dice=dice))
        seats += show.total_seats
        if seats >= CHUNK_SEATS or len(bookings) >= CHUNK_BOOKINGS:
            yield shows, bookings
            shows, bookings, seats = [], [], 0
    if shows:
        yield shows, bookings


def _shares(world: World, dice: random.Random) -> list[int]:
    """How many bookings each show gets: few get many."""
    weights = [(n + 1) ** -SKEW for n in range(world.shows)]
    dice.shuffle(weights)
    whole = sum(weights)
    shares = [int(world.bookings * weight / whole) for weight in weights]
    for n in range(world.bookings - sum(shares)):
        shares[n % world.shows] += 1
    return shares


def _halls(seats: int) -> list[_Hall]:
    """A numbered hall, one with sections and prices, and a train, of so many seats each."""
    prices = (
        Category(name="Premium", price_cents=9800, color="#D55E00"),
        Category(name="Standard", price_cents=6400, color="#0072B2"),
        Category(name="Economy", price_cents=2900, color="#009E73"),
    )
    fare = (Category(name="Seat", price_cents=2400, color="#E69F00"),)
    return [
        _hall(ShowKind.SHOW, NumberedSpec(total_seats=seats), ()),
        _hall(ShowKind.SHOW, _theatre(seats), prices),
        _hall(ShowKind.TRIP, _train(seats), fare),
    ]


def _hall(kind: ShowKind, spec: LayoutSpec | NumberedSpec, categories: tuple[Category, ...]) -> _Hall:
    layout = compile_layout(spec, categories)
    return _Hall(kind, layout, encode_spec(spec), msgspec.json.encode(layout.categories).decode())


def _theatre(seats: int) -> LayoutSpec:
    """Rows of 40 in three parts, each dearer than the one behind it."""
    rows = [
        RowSpec(label=f"R{row + 1}", seats=min(40, seats - row * 40), category=None)
        for row in range((seats + 39) // 40)
    ]
    parts = []
    for number, name in enumerate(("Premium", "Standard", "Economy")):
        some = rows[len(rows) * number // 3 : len(rows) * (number + 1) // 3]
        named = tuple(msgspec.structs.replace(row, category=name) for row in some)
        if named:
            parts.append(SectionSpec(name=name, rows=named))
    return LayoutSpec(sections=tuple(parts))


def _train(seats: int) -> LayoutSpec:
    """Coaches of 80, two and two with an aisle between."""
    coaches = []
    for first in range(0, seats, 80):
        stop = min(first + 80, seats)
        rows = tuple(
            RowSpec(
                label=f"{first // 80 + 1}.{(seat - first) // 4 + 1}",
                seats=tuple(SeatSpec(gap_after=place == 1) for place in range(min(4, stop - seat))),
            )
            for seat in range(first, stop, 4)
        )
        coaches.append(SectionSpec(name=f"Coach {first // 80 + 1}", rows=rows))
    return LayoutSpec(sections=tuple(coaches))


def _show(show_id: int, hall: _Hall, today: datetime, dice: random.Random) -> BulkShow:
    over = dice.random() < OVER_SHARE
    days = -dice.randint(1, 365) if over else dice.randint(1, 365)
    start_time = today + timedelta(days=days, minutes=15 * dice.randint(0, 40))
    closed = not over and dice.random() < CANCELLED_SHARE
    total = hall.layout.total_seats
    blocked = () if closed else tuple(sorted(dice.sample(range(total), int(total * BLOCKED_SHARE))))
    origin, destination = dice.sample(_CITIES, 2)
    trip = hall.kind is ShowKind.TRIP
    piece = f"{dice.choice(_PIECES)} No. {dice.randint(1, 99)}"
    return BulkShow(
        id=show_id,
        kind=hall.kind,
        name=f"{origin} to {destination}" if trip else piece,
        venue=None if trip else f"Hall {origin}",
        origin=origin if trip else None,
        destination=destination if trip else None,
        start_time=start_time,
        end_time=start_time + timedelta(hours=2),
        time_zone="Europe/Vienna",
        created_at=min(start_time, today) - timedelta(days=120),
        currency="EUR",
        categories=hall.categories,
        layout=hall.stored,
        total_seats=total,
        max_seats=10,
        closed=closed,
        blocked=blocked,
    )


def _bookings(
    show: BulkShow, layout: Layout, count: int, *, users: int, today: datetime, dice: random.Random
) -> Iterator[BulkBooking]:
    """A show's bookings, in the order they were made. Live ones take seats from front to back, with gaps."""
    blocked = set(show.blocked)
    span = min(show.start_time, today) - show.created_at
    free = 0  # no seat from here on is taken
    for number in range(count):
        made = show.created_at + span * ((number + dice.random()) / count)
        size = min(dice.choice(PARTY_SIZES), show.total_seats)
        draw = dice.random()
        live = draw >= CANCELLED_BOOKING_SHARE + FAILED_SHARE and free + size <= show.total_seats
        first = free if live else dice.randint(0, show.total_seats - size)
        seats = tuple(range(first, first + size))
        if live:
            free += size + (dice.random() < 0.1)
            live = blocked.isdisjoint(seats)
        booking = Booking(
            id=booking_id(show.id, dice.getrandbits(TAIL_BITS)),
            show_id=show.id,
            user_id=f"user-{int(users * dice.random() ** 2) + 1}",
            customer_name=dice.choice(_NAMES) if dice.random() < 0.5 else None,
            email=None,
            status=BookingStatus.CONFIRMED,
            reason=None,
            seats=seats,
            conflicts=(),
            seat_count=size,
            amount_cents=layout.amount_cents(seats),
            held=dice.random() < 0.3,
            request_hash=None,
            created_at=made,
            expires_at=None,
            confirmed_at=made,
            settled_at=made,
            release_at=None,
        )
        yield BulkBooking(_aged(booking, show, live, draw, today=today, dice=dice))


def _aged(
    booking: Booking, show: BulkShow, live: bool, draw: float, *, today: datetime, dice: random.Random
) -> Booking:
    """What became of a booking."""
    later = min(booking.created_at + timedelta(seconds=dice.randint(10, 120)), today)
    if live and show.closed:
        return changed(
            booking, status=BookingStatus.CANCELLED, reason=Reason.SHOW_CANCELLED, settled_at=today
        )
    if live and show.start_time > today and draw > 1 - PENDING_SHARE:
        made = today - timedelta(seconds=dice.randint(0, 3600))
        until = today + timedelta(seconds=dice.randint(12 * 3600, 23 * 3600))
        return changed(
            booking,
            status=BookingStatus.PENDING,
            held=True,
            created_at=made,
            expires_at=until,
            confirmed_at=None,
            settled_at=None,
            release_at=until,
        )
    if live:
        return changed(booking, confirmed_at=later, settled_at=later) if booking.held else booking
    if draw < CANCELLED_BOOKING_SHARE:
        reason = dice.choice((Reason.CANCELLED_BY_CUSTOMER, Reason.CANCELLED_BY_ADMIN))
        return changed(booking, status=BookingStatus.CANCELLED, reason=reason, held=False, settled_at=later)
    reason = dice.choice((Reason.SEATS_TAKEN, Reason.NOT_ENOUGH_SEATS, Reason.HOLD_EXPIRED, Reason.RELEASED))
    held = reason in {Reason.HOLD_EXPIRED, Reason.RELEASED}
    picked = reason is not Reason.NOT_ENOUGH_SEATS
    return changed(
        booking,
        status=BookingStatus.FAILED,
        reason=reason,
        held=held,
        seats=booking.seats if picked else (),
        amount_cents=booking.amount_cents if picked else 0,
        conflicts=booking.seats[:1] if reason is Reason.SEATS_TAKEN else (),
        confirmed_at=None,
        settled_at=later if held else booking.created_at,
    )
