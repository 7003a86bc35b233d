"""The statistics' intervals: never too many, and none left out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rowlock.operations.statistics import BUCKETS_MAX, INTERVALS_SECONDS, choose_interval, timeline

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "wanted", "expected"),
    [
        (timedelta(0), None, 60),
        (timedelta(minutes=119), None, 60),
        (timedelta(minutes=120), None, 300),
        (timedelta(days=2), None, 3_600),
        (timedelta(days=2), 86_400, 86_400),
        (timedelta(days=400), 60, 7 * 86_400),
        (timedelta(days=9_000), None, 364 * 86_400),
    ],
)
def test_intervals_are_as_fine_as_there_is_room_for(
    span: timedelta, wanted: int | None, expected: int
) -> None:
    """A long sale would be a bar a minute, half a million of them; or a flash sale a single one."""
    assert choose_interval(NOW - span, NOW, wanted) == expected
    assert span.total_seconds() / expected < BUCKETS_MAX


def test_nothing_sold_has_an_interval_too() -> None:
    """A new show would be answered with an error."""
    assert choose_interval(None, None, None) == INTERVALS_SECONDS[0]


def test_empty_intervals_are_there() -> None:
    """A night without a sale would not be seen."""

    def row(hours: int, status: str) -> dict[str, object]:
        return {
            "at": NOW + timedelta(hours=hours),
            "status": status,
            "bookings": 2,
            "seats": 3,
            "amount_cents": 100,
        }

    buckets = timeline([row(3, "CONFIRMED"), row(0, "FAILED"), row(3, "CANCELLED")], 3_600)
    assert [(one.at.hour, one.confirmed, one.failed, one.cancelled, one.seats) for one in buckets] == [
        (12, 0, 2, 0, 0),
        (13, 0, 0, 0, 0),
        (14, 0, 0, 0, 0),
        (15, 2, 0, 2, 3),
    ]
