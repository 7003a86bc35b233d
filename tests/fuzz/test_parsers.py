"""Every parser that strangers' bytes meet refuses in its own words, whatever it is fed with. `make fuzz` feeds it more."""

from __future__ import annotations

import pytest

from tests.fuzz.parsers import PARSERS, try_parser

NEVER_REFUSE = {name for name, parser in PARSERS.items() if not parser.refuses}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_takes_it_or_refuses_it(name: str) -> None:
    """A stranger's bytes would be a 500, and a way to find more."""
    tried = try_parser(name, 200)
    assert tried.inputs >= 50
    assert tried.refused or name in NEVER_REFUSE, "bad inputs are among them"
