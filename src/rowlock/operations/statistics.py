"""How a show sells: its seats and revenue by category, and its bookings over time.

Seats and revenue come from the map in memory, for prices never change: what a category has taken is its booked seats
times its price. Bookings are counted in one pass over those of the show, which is why callers keep the answer for some
seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.operations.context import Context
from rowlock.operations.errors import NotFound
from rowlock.operations.find_shows import find_show
from rowlock.operations.seats import plan_of
from rowlock.postgres.queries import load

SQL = load("statistics")

BUCKETS_MAX = 120  # bars that a chart on a wide screen can tell apart
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
INTERVALS_SECONDS = (
    _MINUTE, 5 * _MINUTE, 15 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 28 * _DAY, 364 * _DAY
)  # fmt: skip
_A_MONDAY = (2001, 1, 1)  # intervals begin at midnight there, weeks on Mondays


class CategoryStatistics(msgspec.Struct, frozen=True):
    """A category's seats by status, and what its booked ones cost together."""

    category: str
    price_cents: int
    total_seats: int
    available_seats: int
    reserved_seats: int
    booked_seats: int
    blocked_seats: int
    revenue_cents: int


class BookingCounts(msgspec.Struct, frozen=True):
    """How many bookings are of each status."""

    pending: int
    confirmed: int
    failed: int
    cancelled: int


class ReasonCount(msgspec.Struct, frozen=True):
    """How many bookings ended for a reason, and how many seats they asked for."""

    reason: Reason
    bookings: int
    seats: int


class Bucket(msgspec.Struct, frozen=True):
    """The bookings that were made in an interval, by what became of them; seats and money of the CONFIRMED ones."""

    at: datetime
    pending: int
    confirmed: int
    failed: int
    cancelled: int
    seats: int
    amount_cents: int


class StatisticsView(msgspec.Struct, frozen=True):
    """How a show sells."""

    show_id: int
    as_of: datetime
    currency: str
    revenue_cents: int
    bookings: BookingCounts
    categories: list[CategoryStatistics]
    reasons: list[ReasonCount]
    interval_seconds: int
    timeline: list[Bucket]


async def statistics(context: Context, show_id: int, interval_seconds: int | None = None) -> StatisticsView:
    """Count. Intervals are as asked for, or longer where there would be more than `BUCKETS_MAX`. Raises `NotFound`."""
    show = await find_show(context, show_id)
    categories = await _by_category(context, show_id)
    span = await context.pool.fetchrow(SQL.span, show_id)
    seconds = choose_interval(span["first"], span["last"], interval_seconds)
    rows: list[Any] = []
    if span["first"] is not None:
        begin = datetime(*_A_MONDAY, tzinfo=ZoneInfo(show.time_zone or "UTC"))
        rows = await context.pool.fetch(SQL.counts, show_id, timedelta(seconds=seconds), begin)
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seats: Counter[str] = Counter()
    for row in rows:
        statuses[row["status"]] += row["bookings"]
        if row["reason"] is not None:
            reasons[row["reason"]] += row["bookings"]
            seats[row["reason"]] += row["seats"]
    return StatisticsView(
        show_id=show_id,
        as_of=span["clock"],
        currency=show.currency,
        revenue_cents=sum(category.revenue_cents for category in categories),
        bookings=BookingCounts(**{status.value.lower(): statuses[status.value] for status in BookingStatus}),
        categories=categories,
        reasons=[ReasonCount(Reason(name), count, seats[name]) for name, count in reasons.most_common()],
        interval_seconds=seconds,
        timeline=timeline(rows, seconds),
    )


def choose_interval(first: datetime | None, last: datetime | None, wanted: int | None) -> int:
    """The shortest interval, not below the wanted one, that there are at most `BUCKETS_MAX` of from first to last."""
    span = 0.0 if first is None or last is None else (last - first).total_seconds()
    least = max(
        wanted or 0, span / (BUCKETS_MAX - 1)
    )  # a span that begins within an interval touches one more
    return next((seconds for seconds in INTERVALS_SECONDS if seconds >= least), INTERVALS_SECONDS[-1])


def timeline(rows: Iterable[Any], interval_seconds: int) -> list[Bucket]:
    """The rows of `counts` as intervals without a gap, oldest first."""
    by_time: dict[datetime, Counter[str]] = {}
    for row in rows:
        counted = by_time.setdefault(row["at"], Counter())
        counted[row["status"].lower()] += row["bookings"]
        if row["status"] == BookingStatus.CONFIRMED:
            counted["seats"] += row["seats"]
            counted["amount_cents"] += row["amount_cents"]
    if not by_time:
        return []
    at, last, step = min(by_time), max(by_time), timedelta(seconds=interval_seconds)
    buckets = []
    names = msgspec.structs.fields(Bucket)[1:]
    while at <= last:
        counted = by_time.get(at, Counter())
        buckets.append(Bucket(at, *(counted[field.name] for field in names)))
        at += step
    return buckets


async def _by_category(context: Context, show_id: int) -> list[CategoryStatistics]:
    layout = (await plan_of(context, show_id)).layout
    seat_map = await context.maps.get(show_id)
    if seat_map is None:
        raise NotFound(f"show {show_id}")
    counted = Counter(zip(layout.category_of, seat_map.letters, strict=True))
    found = []
    for number, category in enumerate(layout.categories):
        available, reserved, booked, blocked = (counted[number, letter] for letter in b"ARBX")
        found.append(
            CategoryStatistics(
                category=category.name,
                price_cents=category.price_cents,
                total_seats=available + reserved + booked + blocked,
                available_seats=available,
                reserved_seats=reserved,
                booked_seats=booked,
                blocked_seats=blocked,
                revenue_cents=booked * category.price_cents,
            )
        )
    return found
