"""The buyers' wishes: an endless, seeded sequence. The n-th wish is the same in every run with the same seed and seats."""

from __future__ import annotations

import random
from collections.abc import Iterator

from rowlock.stampede.records import Manner, Then, Wish

SEATS_WANTED_MAX = 4  # a family
NAMED_SHARE = 0.5  # the others ask for a count
FRONT_SHARE = 0.5  # of the named ones, so many want the front tenth: that is where the crush is
THINK_SECONDS_MAX = 0.3  # to look at the basket
HOLD_SECONDS = 2  # of the show; short, so that holds lapse and their seats come back while the sale is on
LATE_SECONDS = 0.25  # so long after its hold has lapsed comes who comes too late

_THEN = {
    Then.KEEP: 60,
    Then.CANCEL_BOOKED: 8,
    Then.CONFIRM: 16,
    Then.RELEASE: 6,
    Then.LAPSE: 8,
    Then.CONFIRM_LATE: 2,
}
_MANNERS = {Manner.ONCE: 60, Manner.AGAIN: 12, Manner.AT_ONCE: 13, Manner.HANG_UP: 10, Manner.GONE: 5}
_CUTS = (0.5, 0.95, 1.0, 1.0, 1.0)  # in the middle of the headers, of the body, or after all was sent


def wishes(seed: int, total_seats: int) -> Iterator[Wish]:
    """Wishes for seats "1" to `total_seats`, without end."""
    dice = random.Random(seed)
    thens, then_weights = list(_THEN), list(_THEN.values())
    manners, manner_weights = list(_MANNERS), list(_MANNERS.values())
    number = 0
    while True:
        count = min(dice.randint(1, SEATS_WANTED_MAX), total_seats)
        named = dice.random() < NAMED_SHARE
        reach = total_seats // 10 if dice.random() < FRONT_SHARE else total_seats
        first = 1 + dice.randrange(max(1, min(reach, total_seats - count + 1)))
        then = dice.choices(thens, then_weights)[0]
        yield Wish(
            number=number,
            seats=tuple(map(str, range(first, first + count))) if named else (),
            seat_count=count,
            then=then,
            manner=dice.choices(manners, manner_weights)[0],
            think_seconds=(
                HOLD_SECONDS + LATE_SECONDS
                if then is Then.CONFIRM_LATE
                else dice.random() * THINK_SECONDS_MAX
            ),
            cut=dice.choice(_CUTS),
        )
        number += 1
