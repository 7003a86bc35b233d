"""The best seats that are free: which n seats a booking by count is offered.

A seat is eligible if it is free, of the category asked for (if one was), and accessible if that was asked for.
A window is n eligible seats side by side in one segment of a row (there is no aisle between them).
An orphan is a free seat, eligible or not, beside a window and left without a free neighbour in its segment.

The rules, each deciding only between what is equal by those before it:

1. Where accessible seats were not asked for, those are left out, for whoever needs them. Only if fewer than n others
   are free, even scattered, all eligible seats count, accessible or not, by the rules that follow.
2. A window of n, if there is any; else see rule 6.
3. The window that makes the fewest orphans (0, 1 or 2).
4. The window nearest the middle front: dx² + dy² in half-seat units, where dx is from the window's middle to the
   middle of its row, and dy is 2 for each row behind the first, counted in layout order through all sections.
5. The window of the lowest seat number.
6. Without a window of n: the fewest rows, consecutive in layout order, that have n eligible seats between them; the
   frontmost such rows. (Every row is centred, so of two equal blocks of rows the frontmost is the nearest.) In these,
   again and again until there are n seats: the largest window that exists and isn't more than is still needed,
   by rules 3 to 5, with the seats already picked counting as taken.

There is an answer whenever n eligible seats are free, and none otherwise. How windows are found, and what is pruned,
is told in windows.py. Eligibility is one `&` of the hall, as an integer, with the layout's mask. Rule 6 counts the
eligible seats of each row, at C speed, and then goes over the counts once.
"""

from __future__ import annotations

from itertools import compress, count, repeat

from rowlock.domain.layouts import Layout
from rowlock.domain.windows import Seats, best_window


def best_available(
    layout: Layout, free: Seats, seat_count: int, *, category: str | None = None, accessible: bool = False
) -> tuple[int, ...] | None:
    """Pick the best `seat_count` free seats, as seat numbers in ascending order.

    `free` has a byte a seat, 0 or 1. `category` restricts to that category (one the show doesn't have, has no seats),
    `accessible` to accessible seats. None if fewer than `seat_count` eligible seats are free, and only then.
    """
    if seat_count < 1:
        raise ValueError(f"A pick is of 1 seat or more, not {seat_count}")
    # Rule 1, as values of `_eligible`'s argument: only the others (False), then all (None).
    stages = (accessible or None,) if accessible or not layout.accessible else (False, None)
    for stage in stages:
        eligible = _eligible(layout, free, category, stage)
        window = best_window(layout, free, eligible, seat_count, range(layout.row_count))
        if window is not None:
            return tuple(range(window[2], window[2] + seat_count))
        if eligible.count(1) >= seat_count:
            return _split(layout, free, eligible, seat_count)
    return None


def count_free(layout: Layout, free: Seats, *, category: str | None = None, accessible: bool = False) -> int:
    """Count the seats that `best_available` could pick, by the same rules of eligibility."""
    return _eligible(layout, free, category, accessible or None).count(1)


def _eligible(layout: Layout, free: Seats, category: str | None, accessible: bool | None) -> Seats:
    """The free seats of a category (None: any), accessible or not (None: either). May end early: no more follow."""
    if len(free) != layout.total_seats:
        raise ValueError(f"{len(free)} states for {layout.total_seats} seats")
    category_no = None if category is None else layout.category_no(category)
    if category is not None and category_no is None:
        return b""
    mask = layout.mask(category_no, accessible)
    if mask.bits is None and mask.first == 0 and mask.stop == layout.total_seats:
        return free
    kind = free[mask.first : mask.stop]
    if mask.bits is not None:
        kind = (int.from_bytes(kind, "little") & mask.bits).to_bytes(len(kind), "little")
    return bytes(mask.first) + kind


def _split(layout: Layout, free: Seats, eligible: Seats, seat_count: int) -> tuple[int, ...]:
    """Rule 6. There are at least `seat_count` eligible seats, but not side by side."""
    rows = _fewest_rows(layout, eligible, seat_count)
    free, eligible = bytearray(free), bytearray(eligible)
    picked: list[int] = []
    size = seat_count - 1
    while len(picked) < seat_count:
        size = min(size, seat_count - len(picked))
        window = best_window(layout, free, eligible, size, rows)
        if window is None:
            size -= 1
            assert size > 0, "the rows have enough seats, so that a window of one is left"
            continue
        first, stop = window[2], window[2] + size
        free[first:stop] = eligible[first:stop] = bytes(size)
        picked.extend(range(first, stop))
    return tuple(sorted(picked))


def _fewest_rows(layout: Layout, eligible: Seats, seat_count: int) -> range:
    """The fewest consecutive rows with `seat_count` eligible seats, of equally many the frontmost."""
    row_first = layout.row_first
    counts = list(map(eligible.count, repeat(1), row_first, row_first[1:]))
    least = -(
        -seat_count // max(counts)
    )  # No fewer rows can do, so that the search ends where as few are found.
    # Two hands go over the rows that have any; the front one follows while there are enough without its row.
    rows = list(compress(count(), counts))
    best: range | None = None
    front, total = 0, 0
    for row in rows:
        total += counts[row]
        while total - counts[rows[front]] >= seat_count:
            total -= counts[rows[front]]
            front += 1
        if total >= seat_count and (best is None or row + 1 - rows[front] < len(best)):
            best = range(rows[front], row + 1)
            if len(best) == least:
                break
    assert best is not None, "the caller has counted enough seats"
    return best
