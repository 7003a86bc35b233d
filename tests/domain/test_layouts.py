"""Layouts: every seat has one name, every name one seat, and a mistake says where it is."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowlock.domain.layout_compile import compile_layout, simple_layout
from rowlock.domain.layout_public import public_layout
from rowlock.domain.layout_spec import (
    STANDARD,
    Category,
    LayoutError,
    LayoutSpec,
    NumberedSpec,
    RowSpec,
    SeatSpec,
    SectionSpec,
    decode_spec,
    encode_spec,
)
from rowlock.domain.layouts import Layout, Row

FRONT = Category(name="Front", price_cents=2500, color="#ff8800")
BACK = Category(name="Back", price_cents=1000)

BUS = LayoutSpec(
    sections=(
        SectionSpec(
            name="Lower deck",
            rows=(
                RowSpec(
                    label="1",
                    seats=(
                        SeatSpec(accessible=True),
                        SeatSpec(gap_after=True),
                        SeatSpec(label="Guide", category="Back"),
                        SeatSpec(gap_after=True),
                    ),
                ),
                RowSpec(label="B-2", seats=3, category="Back"),
            ),
        ),
        SectionSpec(name="Upper deck", rows=(RowSpec(label="3", seats=12, category="Back"),)),
    )
)


def hall(*rows: RowSpec) -> LayoutSpec:
    """One section of some rows."""
    return LayoutSpec(sections=(SectionSpec(name="Main", rows=rows),))


def error(spec: LayoutSpec | NumberedSpec, *categories: Category) -> LayoutError:
    """What is wrong with it."""
    with pytest.raises(LayoutError) as caught:
        compile_layout(spec, categories)
    return caught.value


def test_labels_prices_and_places_of_a_small_bus() -> None:
    """Lost: the seat on the ticket is not the seat that was paid for."""
    layout = compile_layout(BUS, [FRONT, BACK])
    labels = ["1-1", "1-2", "Guide", "1-4", "B-2-1", "B-2-2", "B-2-3", *(f"3-{n}" for n in range(1, 13))]
    assert layout.labels(range(layout.total_seats)) == labels
    assert [seat.label for seat in layout.seats()] == labels
    assert layout.price_cents(0) == 2500
    assert layout.amount_cents((0, 2, 18)) == 2500 + 1000 + 1000
    assert layout.category_of == bytes([0, 0, 1, 0] + [1] * 15)
    assert layout.accessible == bytes([1] + [0] * 18)
    assert layout.inner == bytes([0, 1, 0, 1, 0, 1, 1, 0] + [1] * 11)
    assert list(layout.rows()) == [
        Row(section_no=0, label="1", first=0, count=4),
        Row(section_no=0, label="B-2", first=4, count=3),
        Row(section_no=1, label="3", first=7, count=12),
    ]
    assert [layout.segments(row) for row in range(3)] == [[(0, 2), (2, 4)], [(4, 7)], [(7, 19)]]
    assert [seat.section for seat in layout.seats()] == ["Lower deck"] * 7 + ["Upper deck"] * 12


def test_the_public_layout_spells_every_seat_out() -> None:
    """Lost: the page's picture of the hall: its aisles, its labels, its wheelchair places."""
    shown = public_layout(compile_layout(BUS, [FRONT, BACK]))
    assert [msgspec.to_builtins(seat) for seat in shown.sections[0].rows[0].seats] == [
        {"label": "1-1", "category": "Front", "accessible": True, "gap_after": False},
        {"label": "1-2", "category": "Front", "accessible": False, "gap_after": True},
        {"label": "Guide", "category": "Back", "accessible": False, "gap_after": False},
        {"label": "1-4", "category": "Front", "accessible": False, "gap_after": False},
    ]
    assert [[len(row.seats) for row in section.rows] for section in shown.sections] == [[4, 3], [12]]
    assert shown.categories == (FRONT, BACK)
    assert len(public_layout(simple_layout(25)).sections[0].rows) == 3


names = st.text(st.sampled_from("AB1-2é 7"), min_size=1, max_size=3).map(str.strip).filter(bool)
listed = st.lists(
    st.builds(SeatSpec, label=st.none() | names, accessible=st.booleans(), gap_after=st.booleans()),
    min_size=1,
    max_size=5,
).map(tuple)
specs = st.lists(st.builds(RowSpec, label=names, seats=st.integers(1, 12) | listed), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(specs, st.lists(st.text(st.sampled_from("AB1-2é 70"), max_size=6)))
def test_every_seat_has_one_label_and_every_label_one_seat(rows: list[RowSpec], junk: list[str]) -> None:
    """Lost: two people with the same seat on their tickets, or a ticket that nobody can find."""
    wanted = [
        seat.label if isinstance(seat, SeatSpec) and seat.label is not None else f"{row.label}-{number}"
        for row in rows
        for number, seat in enumerate(range(row.seats) if isinstance(row.seats, int) else row.seats, 1)
    ]
    if len(set(wanted)) < len(wanted):
        assert error(hall(*rows)).field.startswith("layout.sections[0].rows[")
        return
    layout = compile_layout(hall(*rows))
    assert layout.labels(range(layout.total_seats)) == wanted
    for label in (*wanted, *junk):
        assert layout.seat_no(label) == (wanted.index(label) if label in wanted else None)
    copy = compile_layout(decode_spec(encode_spec(hall(*rows))))
    assert list(copy.seats()) == list(layout.seats())


@pytest.mark.parametrize(
    "label",
    [
        "A-07",
        "A-+7",
        "A-\u0667",
        "A- 7",
        "A-7 ",
        "A-0",
        "A-25",
        "A-",
        "A",
        "",
        "-7",
        "a-7",
        "A--7",
        "A-1_0",
        "7",
    ],
)
def test_a_label_is_known_only_as_it_is_written(label: str) -> None:
    """Lost: one seat under two names, which two requests could both be told is theirs."""
    layout = compile_layout(hall(RowSpec(label="A", seats=24)))
    assert layout.seat_no("A-7") == 6
    assert layout.seat_no(label) is None


def test_numbered_seats_are_plain_numbers() -> None:
    """Lost: the predecessors' shows, whose seats are 1 to n."""
    layout = simple_layout(23)
    assert layout.numbered
    assert layout.labels([0, 22]) == ["1", "23"]
    assert [layout.seat_no(str(number)) for number in range(1, 24)] == list(range(23))
    assert all(
        layout.seat_no(junk) is None
        for junk in ("0", "24", "01", "-1", "+1", "\u0667", "1.0", "", "9" * 5000)
    )
    assert [(row.label, row.count) for row in layout.rows()] == [("1", 10), ("2", 10), ("3", 3)]
    assert layout.sections == ("Main",)
    assert layout.categories == (STANDARD,)
    assert simple_layout(5, [FRONT, BACK]).amount_cents(range(5)) == 5 * 2500


@pytest.mark.parametrize("seat_no", [-1, 23])
def test_a_seat_number_outside_the_show_is_a_bug_and_says_so(seat_no: int) -> None:
    """Lost: a price or a label of some other seat, quietly."""
    with pytest.raises(IndexError):
        simple_layout(23).label(seat_no)
    with pytest.raises(IndexError):
        simple_layout(23).price_cents(seat_no)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (LayoutSpec(sections=()), "layout.sections"),
        (LayoutSpec(sections=(SectionSpec(name="Main", rows=()),)), "layout.sections[0].rows"),
        (
            LayoutSpec(sections=(SectionSpec(name="", rows=(RowSpec(label="A", seats=1),)),)),
            "layout.sections[0].name",
        ),
        (hall(RowSpec(label="A", seats=1), RowSpec(label="B", seats=0)), "layout.sections[0].rows[1].seats"),
        (hall(RowSpec(label="A", seats=())), "layout.sections[0].rows[0].seats"),
        (hall(RowSpec(label="A\n", seats=1)), "layout.sections[0].rows[0].label"),
        (hall(RowSpec(label="A" * 65, seats=1)), "layout.sections[0].rows[0].label"),
        (hall(RowSpec(label="A" * 62, seats=10)), "layout.sections[0].rows[0].label"),
        (
            hall(RowSpec(label="A", seats=(SeatSpec(label="\x85"),))),
            "layout.sections[0].rows[0].seats[0].label",
        ),
        (hall(RowSpec(label="A", seats=1, category="VIP")), "layout.sections[0].rows[0].category"),
        (
            hall(RowSpec(label="A", seats=(SeatSpec(category="VIP"),))),
            "layout.sections[0].rows[0].seats[0].category",
        ),
        (
            hall(RowSpec(label="A", seats=99_999), RowSpec(label="B", seats=2)),
            "layout.sections[0].rows[1].seats",
        ),
        (NumberedSpec(total_seats=0), "total_seats"),
        (NumberedSpec(total_seats=100_001), "total_seats"),
    ],
)
def test_a_mistake_is_named_by_its_path(spec: LayoutSpec | NumberedSpec, field: str) -> None:
    """Lost: an afternoon of searching a stadium's layout for the row that is wrong."""
    problem = error(spec)
    assert problem.field == field
    assert str(problem) == f"{field}: {problem.message}"


@pytest.mark.parametrize(
    ("spec", "places"),
    [
        (
            LayoutSpec(
                sections=tuple(
                    SectionSpec(name=n, rows=(RowSpec(label="A", seats=3),)) for n in ("Stalls", "Balcony")
                )
            ),
            ("layout.sections[0].rows[0].seats[0]", "layout.sections[1].rows[0].seats[0]"),
        ),
        (
            hall(RowSpec(label="A", seats=(SeatSpec(), SeatSpec(label="B-2"))), RowSpec(label="B", seats=5)),
            ("layout.sections[0].rows[0].seats[1]", "layout.sections[0].rows[1].seats[1]"),
        ),
        (
            hall(RowSpec(label="A", seats=(SeatSpec(label="X"), SeatSpec(), SeatSpec(label="X")))),
            ("layout.sections[0].rows[0].seats[0]", "layout.sections[0].rows[0].seats[2]"),
        ),
    ],
)
def test_a_label_used_twice_names_both_places_and_a_remedy(spec: LayoutSpec, places: tuple[str, str]) -> None:
    """Lost: how to get out of it, for whoever has an "A" in the stalls and one in the balcony."""
    problem = error(spec)
    assert problem.field == places[1]
    assert all(place in problem.message for place in places)
    assert "rename" in problem.message


def test_rows_of_one_name_are_fine_where_their_seats_have_different_labels() -> None:
    """Lost: the theatre that prints "A" on two rows, and numbers on through both."""
    rest = tuple(SeatSpec(label=f"A-{number}") for number in range(4, 7))
    layout = compile_layout(hall(RowSpec(label="A", seats=3), RowSpec(label="A", seats=rest)))
    assert layout.labels(range(6)) == [f"A-{number}" for number in range(1, 7)]
    assert [layout.seat_no(f"A-{number}") for number in range(1, 8)] == [0, 1, 2, 3, 4, 5, None]


def test_categories_are_few_priced_and_of_different_names() -> None:
    """Lost: the price of a seat, if two categories could both be its own."""
    row = hall(RowSpec(label="A", seats=1))
    problem = error(row, FRONT, BACK, FRONT)
    assert problem.field == "categories[2].name"
    assert "categories[0]" in problem.message
    assert error(row, Category(name="x", price_cents=-1)).field == "categories[0].price_cents"
    many = [Category(name=str(number), price_cents=number) for number in range(256)]
    assert error(row, *many).field == "categories"
    last = compile_layout(hall(RowSpec(label="A", seats=1, category="254")), many[:255])
    assert last.price_cents(0) == 254


@pytest.mark.parametrize(
    "json",
    [
        '{"name": "x", "price_cents": -1}',
        '{"name": "x", "price_cents": 1000000001}',
        '{"name": "x\\n", "price_cents": 1}',
        '{"name": "", "price_cents": 1}',
        '{"name": "x", "price_cents": 1, "color": "red"}',
        '{"name": "x", "price_cents": 1, "color": "#aabbcc\\n"}',
        '{"name": "x", "price_cents": 1, "colour": "#aabbcc"}',
    ],
)
def test_requests_are_checked_as_they_are_read(json: str) -> None:
    """Lost: a typing error that becomes a free ticket."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json, type=Category)


def test_storage_is_compact_and_comes_back_the_same() -> None:
    """Lost: a show whose seats are others after a restart."""
    assert encode_spec(NumberedSpec(total_seats=500)) == '{"total_seats":500}'
    assert (
        encode_spec(hall(RowSpec(label="A", seats=24)))
        == '{"sections":[{"name":"Main","rows":[{"label":"A","seats":24}]}]}'
    )
    for spec in (BUS, NumberedSpec(total_seats=500)):
        assert decode_spec(encode_spec(spec)) == spec
    for bad in ("{}", '{"total_seats":5,"sections":[{"name":"M","rows":[{"label":"A","seats":1}]}]}'):
        with pytest.raises(msgspec.ValidationError):
            decode_spec(bad)


def test_the_largest_hall_compiles() -> None:
    """Lost: the stadium."""
    rows = tuple(RowSpec(label=str(number), seats=100) for number in range(1000))
    layout = compile_layout(hall(*rows))
    assert layout.total_seats == 100_000
    assert layout.label(99_999) == "999-100"
    assert layout.seat_no("999-100") == 99_999


def test_hundreds_of_shows_fit_in_a_few_megabytes() -> None:
    """Lost: the small machine that ran out of memory, for names of seats."""
    spec = hall(*(RowSpec(label=f"Row {number}", seats=25) for number in range(200)))
    shows: list[Layout] = []
    tracemalloc.start()
    try:
        shows.extend(compile_layout(spec) for _ in range(40))
        bytes_used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Measured: 15 kB a show of 5,000 seats, so 400 of them are 6 MB.
    assert bytes_used / len(shows) < 25_000
