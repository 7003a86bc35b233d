"""Outcomes: their names, their order, and what they say about trying again."""

from __future__ import annotations

import pytest

from rowlock.domain.lifecycles import BookingStatus, Reason
from rowlock.domain.outcomes import Outcome

DONE = {
    "held",
    "confirmed",
    "cancelled",
    "released",
    "expired",
    "unchanged",
    "blocked",
    "unblocked",
    "sale_closed",
}


def test_refusals_stand_before_successes() -> None:
    """The order of precedence in the documents would mix what was done with what was refused."""
    refused = [outcome.value not in DONE for outcome in Outcome]
    assert refused == sorted(refused, reverse=True)
    assert {outcome.value for outcome in Outcome} >= DONE


def test_each_has_a_name_of_its_own() -> None:
    """Two outcomes would be one alias, and one of them never be told."""
    assert len(Outcome.__members__) == len(list(Outcome))
    assert [outcome.value for outcome in Outcome] == [name.lower() for name in Outcome.__members__]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_name_finds_its_outcome(outcome: Outcome) -> None:
    """Stored or counted outcomes could not be read back."""
    assert {each.value: each for each in Outcome}[outcome.value] is outcome
    assert Outcome[outcome.name] is outcome
    assert isinstance(outcome.retry_can_help, bool)


def test_trying_again_helps_only_where_others_or_time_decide() -> None:
    """Clients would hammer at what can never work, or give up on a seat that comes back."""
    assert {outcome.value for outcome in Outcome if outcome.retry_can_help} == {
        "not_on_sale",
        "seats_taken",
        "not_enough_seats",
        "too_many_holds",
        "repick",
    }


def test_the_contract_of_the_api_is_kept() -> None:
    """Programs that go by statuses and reasons would meet unknown ones."""
    assert set(BookingStatus) == {"PENDING", "CONFIRMED", "FAILED", "CANCELLED"}
    assert set(Reason) == {
        "seats_taken",
        "not_enough_seats",
        "hold_expired",
        "released",
        "cancelled_by_customer",
        "cancelled_by_admin",
        "show_cancelled",
        "not_on_sale",
        "forbidden",
        "too_many_seats",
        "too_many_holds",
        "dropped",
    }
