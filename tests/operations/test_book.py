"""Booking: what no race can bring about, but chance can."""

from __future__ import annotations

from uuid import UUID

import pytest

from rowlock.domain.commands import Actor
from rowlock.domain.ids import booking_id
from rowlock.domain.outcomes import Outcome
from rowlock.operations import book as booking
from rowlock.operations.book import BookRequest, book
from rowlock.operations.context import Context
from tests.support import make_show

pytestmark = pytest.mark.anyio


async def test_two_keys_that_meet_in_one_id_are_not_one_booking(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two equal requests would be told that it has seats, which are the first one's."""
    show = await make_show(context, 10)
    met: UUID = booking_id(show, 7)
    monkeypatch.setattr(booking, "keyed_booking_id", lambda *_: met)
    request = BookRequest(show_id=show, user_id="box office", seat_count=2)
    first = await book(context, request, by=Actor.STAFF, idempotency_key="order-1")
    again = await book(context, request, by=Actor.STAFF, idempotency_key="order-1")
    second = await book(context, request, by=Actor.STAFF, idempotency_key="order-2")
    assert (first.outcome, again.outcome) == (Outcome.CONFIRMED, Outcome.CONFIRMED)
    assert (first.replayed, again.replayed) == (False, True)
    assert (second.outcome, second.booking) == (Outcome.IDEMPOTENCY_KEY_REUSED, None)
