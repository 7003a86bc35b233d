"""The best place for n seats side by side: rules 2 to 5 of best_available.py, which defines the words used here.

Theory. A hall is a bytes object, a byte a seat, 1 if free; nothing here loops over its seats in Python. Read as one
big integer (seat 0 in the lowest byte), a shift by 8 bits moves every seat to its neighbour's place, and a few `&`
find all places at once where a window can start, and which of those make orphans, at about a nanosecond a seat.

Pruning:
- `bytes.find` of n ones jumps over all rows without a window, front to back. (What it finds across an aisle or the
  end of a row is no window: it only ends the jump too early.)
- From there the rows are taken in blocks, a small one first: most picks end in it.
- Once a window without orphans is known at distance d, the first row whose dy² alone is d or more ends the search:
  windows there are farther, or equal and of a higher seat number. In the same way, within a block and a number of
  orphans; and numbers of orphans above the best known are not looked at.
- In a row, only the two windows next to its middle, one to the left and one to the right, can be the nearest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from rowlock.domain.layouts import Layout

Seats: TypeAlias = bytes | bytearray
"""A byte a seat in layout order: 1 for a seat that may be taken, 0 for one that may not."""

Window: TypeAlias = tuple[int, int, int]
"""Orphans, squared distance in half seats, first seat: the smaller, the better (rules 3, 4, 5)."""

FIRST_BLOCK_SEATS = 1_000  # Some 20 rows, in which a pick usually ends; costs 5 µs.
BLOCK_GROWTH = 4  # Where it didn't end there, it may be far: a 100,000-seat hall is 5 blocks.


def best_window(layout: Layout, free: Seats, eligible: Seats, size: int, rows: range) -> Window | None:
    """Find the best window of `size` eligible seats within some consecutive rows.

    `eligible` are those of the `free` seats that may be taken; it may end before the last seat. `free` decides what
    is an orphan.
    """
    row_first = layout.row_first
    ones = b"\x01" * size
    end = row_first[rows.stop]
    block_seats = FIRST_BLOCK_SEATS
    best: Window | None = None
    seat_no = eligible.find(ones, row_first[rows.start], end)
    while seat_no >= 0:
        row = layout.row_of(seat_no)
        if best is not None and best[0] == 0 and best[1] <= 4 * row * row:
            break
        start = row_first[row]
        stop = row_first[min(max(layout.row_of(start + block_seats), row + 1), rows.stop)]
        within = slice(start, stop)
        whole = free is eligible
        free_block = int.from_bytes(free[within], "little")
        eligible_block = free_block if whole else int.from_bytes(eligible[within], "little")
        inner_block = int.from_bytes(layout.inner[within], "little")
        for orphans, windows in enumerate(_window_starts(free_block, eligible_block, inner_block, size)):
            if best is not None and best[0] < orphans:
                break
            if windows:
                known = best[1:] if best is not None and best[0] == orphans else None
                starts = windows.to_bytes(stop - start, "little")
                best = (orphans, *_nearest(layout, starts, start, size, known))
                break
        seat_no = eligible.find(ones, stop, end)
        block_seats *= BLOCK_GROWTH
    return best


def _window_starts(free: int, eligible: int, inner: int, size: int) -> Iterator[int]:
    """Find where windows start that make 0, 1 and 2 orphans: three integers of a byte a seat, as the arguments are.

    `inner` marks the seats that have a left neighbour in their segment.
    """
    # Seats that continue a window from their left, and then those from which `length` seats do.
    chain = eligible & inner
    length = 1
    while length < size - 1:
        step = min(length, size - 1 - length)
        chain &= chain >> 8 * step
        length += step
    windows = eligible & (chain >> 8) if size > 1 else eligible
    # The first and the last seats of runs of free ones. Taking up to its neighbour leaves such a seat alone.
    heads = free ^ (free & inner & (free << 8))
    tails = free ^ (free & ((free & inner) >> 8))
    left = windows & inner & (heads << 8)
    right = windows & ((tails & inner) >> 8 * size)
    yield windows ^ (left | right)
    yield left ^ right
    yield left & right


def _nearest(
    layout: Layout, starts: bytes, offset: int, size: int, best: tuple[int, int] | None
) -> tuple[int, int]:
    """Rules 4 and 5: the nearest of some windows (squared distance, first seat), or `best` if none is nearer.

    `starts` has a 1 for the first seat of each window, beginning with seat `offset`, the first of a row. There is
    at least one.
    """
    row_first = layout.row_first
    at = starts.find(1)
    while at >= 0:
        row = layout.row_of(offset + at)
        depth = 4 * row * row
        if best is not None and best[0] <= depth:
            break
        # A window from seat s has its middle (2s + size) - (row_start + row_stop) half seats from its row's.
        row_start, row_stop = row_first[row], row_first[row + 1]
        middle = row_start + row_stop - size
        half = (middle + 1) // 2 - offset
        for near in (
            starts.rfind(1, row_start - offset, half),
            starts.find(1, half, row_stop - offset),
        ):
            if near >= 0:
                seat_no = near + offset
                window = (depth + (2 * seat_no - middle) ** 2, seat_no)
                best = window if best is None else min(best, window)
        at = starts.find(1, row_stop - offset)
    assert best is not None, "there was at least one window"
    return best
