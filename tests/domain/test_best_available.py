"""The best free seats, against a reference that tries every window and every block of rows."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rowlock.domain.best_available import best_available, count_free
from rowlock.domain.layout_compile import compile_layout, simple_layout
from rowlock.domain.layout_spec import Category, LayoutSpec, RowSpec, SeatSpec, SectionSpec
from rowlock.domain.layouts import Layout
from rowlock.domain.windows import FIRST_BLOCK_SEATS

CATEGORIES = tuple(Category(name=name, price_cents=100) for name in "ABC")


class Ask(NamedTuple):
    """One question to `best_available`."""

    layout: Layout
    free: bytes
    seat_count: int
    category: str | None
    accessible: bool

    def pick(self) -> tuple[int, ...] | None:
        """Ask it."""
        return best_available(
            self.layout, self.free, self.seat_count, category=self.category, accessible=self.accessible
        )


def reference(ask: Ask) -> tuple[int, ...] | None:
    """The rules of best_available.py, word by word, seat by seat."""
    eligible = {
        seat_no
        for seat_no, seat in enumerate(ask.layout.seats())
        if ask.free[seat_no]
        and ask.category in (None, seat.category)
        and (seat.accessible or not ask.accessible)
    }
    if not ask.accessible:
        others = {seat_no for seat_no in eligible if not ask.layout.is_accessible(seat_no)}
        if len(others) >= ask.seat_count:
            eligible = others
    if len(eligible) < ask.seat_count:
        return None
    free = {seat_no for seat_no, state in enumerate(ask.free) if state}
    rows = list(range(ask.layout.row_count))
    whole = reference_window(ask.layout, free, eligible, ask.seat_count, rows)
    if whole is not None:
        return tuple(whole)
    row_seats = [set(range(row.first, row.first + row.count)) for row in ask.layout.rows()]
    blocks = [rows[first:stop] for stop in range(len(rows) + 1) for first in range(stop)]
    block = min(
        (block for block in blocks if sum(len(row_seats[row] & eligible) for row in block) >= ask.seat_count),
        key=lambda block: (len(block), block[0]),
    )
    picked: set[int] = set()
    while len(picked) < ask.seat_count:
        size = ask.seat_count - len(picked)
        while (window := reference_window(ask.layout, free - picked, eligible - picked, size, block)) is None:
            size -= 1
        picked |= set(window)
    return tuple(sorted(picked))


def reference_window(
    layout: Layout, free: set[int], eligible: set[int], size: int, rows: list[int]
) -> range | None:
    """Rules 2 to 5 by trying every window."""
    all_rows = list(layout.rows())
    windows: list[tuple[int, float, int]] = []
    for row in rows:
        row_middle = all_rows[row].first + (all_rows[row].count - 1) / 2
        for start, stop in layout.segments(row):
            for first in range(start, stop - size + 1):
                window = range(first, first + size)
                if not eligible.issuperset(window):
                    continue
                left_free = {seat for seat in range(start, stop) if seat in free} - set(window)
                orphans = sum(
                    seat in left_free and not left_free & {seat - 1, seat + 1}
                    for seat in (first - 1, first + size)
                )
                dx = 2 * (first + (size - 1) / 2 - row_middle)
                windows.append((orphans, dx**2 + (2 * row) ** 2, first))
    return range(min(windows)[2], min(windows)[2] + size) if windows else None


seat_specs = st.builds(
    SeatSpec,
    category=st.sampled_from([None, None, None, "A", "B"]),
    accessible=st.sampled_from([False, False, False, True]),
    gap_after=st.sampled_from([False, False, False, False, True]),
)
row_seats = st.integers(1, 14) | st.lists(seat_specs, min_size=1, max_size=14).map(tuple)


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    """Small halls, with aisles, categories and accessible seats, from empty to full; some only numbered."""
    if draw(st.integers(0, 4)) == 0:
        layout = simple_layout(draw(st.integers(1, 45)))
    else:
        sections: list[SectionSpec] = []
        for number in range(draw(st.integers(1, 2))):
            rows = tuple(
                RowSpec(label=f"{number}.{row}", seats=seats, category=draw(st.sampled_from("ABC")))
                for row, seats in enumerate(draw(st.lists(row_seats, min_size=1, max_size=5)))
            )
            sections.append(SectionSpec(name=f"S{number}", rows=rows))
        layout = compile_layout(LayoutSpec(sections=tuple(sections)), CATEGORIES)
    total = layout.total_seats
    # A few seats taken, or a few left: both ends are where the rules bite.
    some = draw(st.sets(st.integers(0, total - 1), max_size=total))
    free = bytes((seat in some) == (len(some) % 2 == 0) for seat in range(total))
    return Ask(
        layout,
        free,
        draw(st.integers(1, 9)),
        draw(st.sampled_from([None, None, None, "A", "B", "Standard", "none such"])),
        draw(st.sampled_from([False, False, False, True])),
    )


@settings(max_examples=500, deadline=None)
@given(asks())
def test_the_rules_are_what_the_page_says(ask: Ask) -> None:
    """Lost: the best seats, for whoever asks for some and trusts us to choose."""
    assert ask.pick() == reference(ask)


@settings(max_examples=100, deadline=None)
@given(asks())
def test_small_blocks_change_nothing(ask: Ask) -> None:
    """Lost: the best seats in a hall that is too big to be searched in one block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowlock.domain.windows.FIRST_BLOCK_SEATS", 1)
        patch.setattr("rowlock.domain.windows.BLOCK_GROWTH", 2)
        assert ask.pick() == reference(ask)


@settings(max_examples=200, deadline=None)
@given(asks())
def test_a_pick_is_of_free_seats_and_never_refused_while_there_are_enough(ask: Ask) -> None:
    """Lost: a sale that could have been made, or a seat that somebody already has."""
    picked = ask.pick()
    enough = (
        count_free(ask.layout, ask.free, category=ask.category, accessible=ask.accessible) >= ask.seat_count
    )
    assert (picked is not None) == enough
    if picked is not None:
        assert list(picked) == sorted(set(picked))
        assert len(picked) == ask.seat_count
        assert all(ask.free[seat_no] for seat_no in picked)
        names = {ask.layout.categories[ask.layout.category_of[seat_no]].name for seat_no in picked}
        assert ask.category is None or names == {ask.category}
        assert not ask.accessible or all(map(ask.layout.is_accessible, picked))


@settings(max_examples=200, deadline=None)
@given(asks())
@example(Ask(simple_layout(30), b"\1" * 30, 9, None, False))
def test_a_group_sits_together_where_any_row_has_room(ask: Ask) -> None:
    """Lost: an evening together, though there were seats for it."""
    picked = ask.pick()
    usable = {
        seat_no
        for seat_no in range(ask.layout.total_seats)
        if ask.free[seat_no] and not ask.layout.is_accessible(seat_no)
    }
    room = reference_window(ask.layout, usable, usable, ask.seat_count, list(range(ask.layout.row_count)))
    if ask.category is None and not ask.accessible and room is not None:
        assert picked is not None
        assert picked[-1] - picked[0] == ask.seat_count - 1
        assert len({ask.layout.row_of(seat_no) for seat_no in picked}) == 1


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_fresh_hall_sells_its_middle_front_first(kind: type[bytes | bytearray]) -> None:
    """Lost: the front row's middle, for the first to come."""
    layout = simple_layout(50)
    assert best_available(layout, kind(b"\1" * 50), 2) == (4, 5)
    assert best_available(layout, kind(b"\1" * 50), 10) == tuple(range(10))


def test_a_seat_farther_off_is_taken_rather_than_leave_one_alone() -> None:
    """Lost: single seats that nobody buys, all over the hall."""
    layout = simple_layout(10)
    free = bytes([0, 0, 0, 1, 1, 1, 0, 1, 1, 0])
    assert best_available(layout, free, 2) == (7, 8)


def test_accessible_seats_are_kept_for_those_who_need_them() -> None:
    """Lost: the wheelchair place, sold to somebody who could have sat in two other rows."""
    seats = (SeatSpec(), SeatSpec(accessible=True), SeatSpec(accessible=True), SeatSpec())
    rows = (RowSpec(label="A", seats=seats), RowSpec(label="B", seats=1))
    layout = compile_layout(LayoutSpec(sections=(SectionSpec(name="Main", rows=rows),)))
    everything = b"\1" * 5
    assert best_available(layout, everything, 3) == (0, 3, 4)
    assert best_available(layout, everything, 4) == (0, 1, 2, 3)
    assert best_available(layout, everything, 2, accessible=True) == (1, 2)
    assert best_available(layout, everything, 3, accessible=True) is None
    assert count_free(layout, everything) == 5
    assert count_free(layout, everything, accessible=True) == 2


def test_a_group_is_split_over_the_fewest_neighbouring_rows() -> None:
    """Lost: a party of six, one in every corner of the hall."""
    free = bytearray(40)
    for seat_no in (0, 1, 15, 16, 17, 22, 24, 25, 26):
        free[seat_no] = 1
    assert best_available(simple_layout(40), free, 6) == (15, 16, 17, 24, 25, 26)


def test_a_window_far_behind_the_first_block_is_found() -> None:
    """Lost: the last good seats of a stadium."""
    layout = simple_layout(FIRST_BLOCK_SEATS * 30)
    free = bytearray(b"\1\1\1\0\0\0\0\0\0\0" * (layout.total_seats // 10))
    free[-4:] = b"\1\1\1\1"
    assert best_available(layout, free, 2) == tuple(range(layout.total_seats - 4, layout.total_seats - 2))


def test_bad_questions_are_refused() -> None:
    """Lost: the bug that asks for no seats, or with another show's map, found only by its victims."""
    layout = simple_layout(10)
    with pytest.raises(ValueError, match="1 seat or more"):
        best_available(layout, bytes(10), 0)
    with pytest.raises(ValueError, match="9 states for 10 seats"):
        best_available(layout, bytes(9), 1)
