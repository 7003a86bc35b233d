"""Worlds to be sold: shows made by COPY in some seconds, and the requests that buyers will send, made beforehand.

spread   400 shows of 5,000 seats, any pair of any show; three in a hundred want a pair that was sold before
hot      shows of 20,000 seats, one after another: the next is begun when all pairs of the last were asked for
sold     a show of 20,000 seats of which none is free, as when it is sold out: each request is refused
counts   the same hall by `seat_count`: the best seats that are left
holds    spread, held first and confirmed then
read     spread, with ten looks at a show's map for each booking

A request is a line: the path, a tab, the body. Pairs are neighbours (1 and 2, 3 and 4, …), so that no two requests want
one seat of each other's pair: either both seats are free or both are sold.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import NumberedSpec, encode_spec
from rowlock.operations.bulk import BulkShow, write_shows
from rowlock.operations.show_ids import new_show_ids
from rowlock.operations.views import ShowKind
from rowlock.postgres.jobs import connect_job, job_transaction
from rowlock.postgres.pool import Database

LOOKS = 10  # at a map, for each booking
REPEATS = 0.03  # of the requests want seats that are gone
SHOWS_AT_ONCE = 100  # of a transaction

_BOOK = '/api/bookings\t{{"show_id":{show},"seats":["{a}","{b}"],"user_id":"buyer-{n}"}}\n'
_HOLD = '/api/bookings\t{{"show_id":{show},"seats":["{a}","{b}"],"user_id":"buyer-{n}","confirm":false}}\n'
_COUNT = '/api/bookings\t{{"show_id":{show},"seat_count":2,"user_id":"buyer-{n}"}}\n'
_LOOK = "/api/shows/{show}/availability\t\n"
EXPRESS = '/shows/{show}/book\t{{"seat_nos":["{a}","{b}"],"user_id":"buyer-{n}","immediate_confirm":true}}\n'


class World(StrEnum):
    """What is sold, and how."""

    SPREAD = "spread"
    HOT = "hot"
    SOLD = "sold"
    COUNTS = "counts"
    HOLDS = "holds"
    READ = "read"

    @property
    def is_spread(self) -> bool:
        """Whether all shows are sold at the same time."""
        return self in {World.SPREAD, World.HOLDS, World.READ}


class Size(msgspec.Struct, frozen=True):
    """So many shows of so many seats."""

    shows: int
    seats: int

    @property
    def pairs(self) -> int:
        """How many bookings of two seats there can be."""
        return self.shows * (self.seats // 2)


SPREAD = Size(400, 5_000)
HALL_SEATS = 20_000


def size_for(world: World, requests: int) -> Size:
    """How large a world is for so many requests."""
    if world.is_spread:
        return SPREAD
    if world is World.SOLD:
        return Size(1, HALL_SEATS)
    return Size(requests // (HALL_SEATS // 2) + 1, HALL_SEATS)


def make_shows(dsn: str, size: Size, *, free: bool = True) -> list[int]:
    """New shows; returns their ids. What was written before is on disk, so that no checkpoint is due meanwhile, and so are they:
    what the kernel has not written yet it would write while they are sold.
    """
    ids = asyncio.run(_make_shows(dsn, size, free))
    os.sync()
    return ids


async def _make_shows(dsn: str, size: Size, free: bool) -> list[int]:
    layout = compile_layout(NumberedSpec(size.seats), ())
    now = datetime.now(UTC)
    async with connect_job(Database(dsn)) as connection:
        # What is left of an earlier world is vacuumed before the checkpoint: after it, that writes each of its pages whole, and
        # the next checkpoint is due in the middle of a window.
        await connection.execute("VACUUM seats, inventory, bookings, outbox")
        await connection.execute("CHECKPOINT")
        ids = await new_show_ids(connection, size.shows)
        for first in range(0, len(ids), SHOWS_AT_ONCE):
            shows = [
                BulkShow(
                    id=show_id,
                    kind=ShowKind.SHOW,
                    name=f"Benchmark {show_id}",
                    start_time=now + timedelta(days=30),
                    created_at=now,
                    currency="EUR",
                    categories=msgspec.json.encode(layout.categories).decode(),
                    layout=encode_spec(NumberedSpec(size.seats)),
                    total_seats=size.seats,
                    max_seats=10,
                    blocked=() if free else tuple(range(size.seats)),
                )
                for show_id in ids[first : first + SHOWS_AT_ONCE]
            ]
            async with job_transaction(connection):
                await write_shows(connection, shows, ())
        await connection.execute("VACUUM (ANALYZE) seats, inventory, shows")
    return ids


def write_requests(
    path: Path,
    world: World,
    shows: Sequence[int],
    size: Size,
    count: int,
    *,
    first: int = 0,
    form: str | None = None,
) -> None:
    """Write `count` requests to a file, from the `first` pair of a world's order on."""
    with path.open("w") as lines:
        lines.writelines(itertools.islice(_lines(world, shows, size, form), first, first + count))


def _lines(world: World, shows: Sequence[int], size: Size, form: str | None) -> Iterator[str]:
    chance = random.Random(1)
    if form is None:
        form = _HOLD if world is World.HOLDS else _BOOK
    if world is World.COUNTS:
        number = 0
        for show_id in shows:
            for _ in range(size.seats // 2):
                number += 1
                yield _COUNT.format(show=show_id, n=number)
        return
    for n, (show_id, pair) in enumerate(_pairs(world, shows, size, chance)):
        yield form.format(show=show_id, a=2 * pair + 1, b=2 * pair + 2, n=n)
        if world is World.READ:
            yield from itertools.repeat(_LOOK.format(show=show_id), LOOKS)


def _pairs(
    world: World, shows: Sequence[int], size: Size, chance: random.Random
) -> Iterator[tuple[int, int]]:
    """Shows and numbers of pairs, in the order in which they are asked for."""
    if world.is_spread:
        every = list(range(size.pairs))
        chance.shuffle(every)
        for number in _with_repeats(every, chance):
            yield shows[number % size.shows], number // size.shows
        return
    for show_id in shows:
        of_show = list(range(size.seats // 2))
        chance.shuffle(of_show)
        yield from ((show_id, pair) for pair in _with_repeats(of_show, chance))


def _with_repeats(pairs: Sequence[int], chance: random.Random) -> Iterator[int]:
    for n, pair in enumerate(pairs):
        yield pair
        if chance.random() < REPEATS:
            yield pairs[chance.randrange(n + 1)]
