"""The table of outcomes in docs/concurrency.md is the code's: all of them, in order, as HTTP tells them."""

from __future__ import annotations

import re
from pathlib import Path

from rowlock.domain.outcomes import Outcome
from rowlock.http.problems import STATUS
from rowlock.http.refusals import REFUSED, SUCCEEDED

PAGE = (Path(__file__).parents[2] / "docs" / "concurrency.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \| ([\d, ]+|none) \| (.+) \| (yes|no) \|$", re.MULTILINE)
ROWS = ROW.findall(PAGE[PAGE.index("## Outcomes") :])
NOT_TOLD_OVER_HTTP = {Outcome.EXPIRED, Outcome.UNCHANGED}  # the sweeper's, and a show cancelled again


def test_every_outcome_stands_there_in_order_of_precedence() -> None:
    """A client's author would be surprised by an outcome, or by which of two is told."""
    assert [name for name, *_ in ROWS] == [outcome.value for outcome in Outcome]


def test_it_says_where_trying_again_helps() -> None:
    """Clients would hammer in vain, or give up too early."""
    assert {name: retry == "yes" for name, _, _, retry in ROWS} == {
        outcome.value: outcome.retry_can_help for outcome in Outcome
    }


def test_it_says_how_http_tells_a_refusal() -> None:
    """Clients would wait for a status that never comes."""
    told = {name: status for name, status, *_ in ROWS}
    assert {outcome.value: str(STATUS[code]) for outcome, code in REFUSED.items()} == {
        outcome.value: told[outcome.value] for outcome in REFUSED
    }


def test_it_says_how_http_tells_a_success() -> None:
    """Clients would take what worked for a failure."""
    told = {name: status for name, status, *_ in ROWS}
    for outcome in SUCCEEDED:
        if outcome in NOT_TOLD_OVER_HTTP:
            assert told[outcome.value] == "none"
        else:
            assert set(told[outcome.value].split(", ")) <= {"200", "201"}
    assert REFUSED.keys() | SUCCEEDED == set(Outcome)


def test_every_outcome_is_explained() -> None:
    """A row would be there to please this test."""
    assert all(len(meaning.split()) >= 4 and meaning.endswith(".") for _, _, meaning, _ in ROWS)
