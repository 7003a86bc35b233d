"""Samples: a concert hall, a cinema and a coach, to have something to book at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rowlock.domain.layout_spec import Category, LayoutSpec, RowSpec, SeatSpec, SectionSpec
from rowlock.operations.context import Context
from rowlock.operations.create_show import NewShow, create_show
from rowlock.operations.views import ShowKind, ShowView
from rowlock.postgres.queries import load

SQL = load("shows")


async def seed_samples(context: Context) -> list[ShowView]:
    """Make the samples, if there are no shows at all. Returns what was made."""
    if await context.pool.fetchval(SQL.any_show):
        return []
    today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [await create_show(context, show) for show in (_concert(today), _cinema(today), _coach(today))]


def _concert(today: datetime) -> NewShow:
    """A hall of 1,200: stalls, a circle, a gallery, in three price categories, with places for wheelchairs."""
    wheelchairs = tuple(SeatSpec(accessible=True) for _ in range(4))
    plain = tuple(SeatSpec() for _ in range(8))
    middle = (*(SeatSpec() for _ in range(15)), SeatSpec(gap_after=True))
    last_of_stalls = RowSpec(
        label="T", category="Standard", seats=(*wheelchairs, *plain, *plain, *wheelchairs, *plain[:8])
    )
    stalls = [RowSpec(label=letter, category="Premium", seats=32) for letter in "ABCDEF"]
    stalls += [
        RowSpec(
            label=letter,
            category="Standard",
            seats=(*plain[:-1], SeatSpec(gap_after=True), *middle, *plain),
        )
        for letter in "GHJKLMNPQRS"
    ]
    circle = [RowSpec(label=f"C{number}", category="Standard", seats=36) for number in range(1, 9)]
    gallery = [RowSpec(label=f"G{number}", category="Economy", seats=34) for number in range(1, 11)]
    return NewShow(
        name="Mahler: Symphony No. 5",
        venue="Great Hall",
        start_time=today + timedelta(days=21, hours=3),
        time_zone="Europe/Vienna",
        layout=LayoutSpec(
            sections=(
                SectionSpec(name="Stalls", rows=(*stalls, last_of_stalls)),
                SectionSpec(name="Circle", rows=tuple(circle)),
                SectionSpec(name="Gallery", rows=tuple(gallery)),
            )
        ),
        categories=(
            Category(name="Premium", price_cents=9800, color="#D55E00"),
            Category(name="Standard", price_cents=6400, color="#0072B2"),
            Category(name="Economy", price_cents=2900, color="#009E73"),
        ),
    )


def _cinema(today: datetime) -> NewShow:
    """A screen of 120: ten rows of twelve."""
    rows = tuple(RowSpec(label=letter, seats=12) for letter in "ABCDEFGHJK")
    return NewShow(
        name="The Third Man",
        venue="Burg Kino, screen 1",
        start_time=today + timedelta(days=2, hours=5),
        time_zone="Europe/Vienna",
        layout=LayoutSpec(sections=(SectionSpec(name="Screen 1", rows=rows),)),
        categories=(Category(name="Seat", price_cents=1250, color="#56B4E9"),),
    )


def _coach(today: datetime) -> NewShow:
    """A coach of 49: twelve rows of two and two with an aisle between, and one seat beside the rear door."""
    rows = [
        RowSpec(
            label=str(row + 1),
            seats=tuple(
                SeatSpec(
                    label=str(row * 4 + place + 1),
                    gap_after=place == 1,
                    accessible=row == 0 and place == 3,
                )
                for place in range(4)
            ),
        )
        for row in range(12)
    ]
    rows.append(RowSpec(label="13", seats=(SeatSpec(label="49"),)))
    return NewShow(
        name="Vienna to Salzburg, non-stop",
        kind=ShowKind.TRIP,
        origin="Vienna",
        destination="Salzburg",
        start_time=today + timedelta(days=3, hours=1),
        end_time=today + timedelta(days=3, hours=4, minutes=15),
        time_zone="Europe/Vienna",
        layout=LayoutSpec(sections=(SectionSpec(name="Coach", rows=tuple(rows)),)),
        categories=(Category(name="Seat", price_cents=2400, color="#E69F00"),),
        max_seats_per_booking=8,
    )
