"""Writing: the statement of a batch's write, cut to what the batch has to write.

Each part of it costs its start and its end, whether or not it meets a row. Most batches make bookings and change none, so
there is a statement without the changes; and one without events, where these are off. The parts are marked in
`postgres/sql/batch.sql`; what is cut out takes its parameters along, and the rest are numbered anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

PARTS = ("changes", "events")

_PARAMETER = re.compile(r"\$(\d+)")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


class Statement(NamedTuple):
    """A cut of the statement: its SQL, and which of the whole one's parameters it takes, from 0."""

    sql: str
    parameters: tuple[int, ...]

    def arguments(self, whole: Sequence[Any]) -> list[Any]:
        """Those of the whole statement's arguments that this one takes."""
        return [whole[number] for number in self.parameters]


def cuts(sql: str) -> dict[tuple[bool, ...], Statement]:
    """The statement in every cut: by whether each of `PARTS` is in it."""
    return {kept: _cut(sql, kept) for kept in product((True, False), repeat=len(PARTS))}


def _cut(sql: str, kept: tuple[bool, ...]) -> Statement:
    text = _COMMENT.sub("", sql)
    for part, is_kept in zip(PARTS, kept, strict=True):
        if not is_kept:
            text = re.sub(rf"/\* {part} \*/.*?/\* end \*/", "", text, flags=re.DOTALL)
    numbers = sorted({int(found) for found in _PARAMETER.findall(text)})
    anew = {str(number): f"${place}" for place, number in enumerate(numbers, 1)}
    return Statement(
        _PARAMETER.sub(lambda found: anew[found[1]], text), tuple(number - 1 for number in numbers)
    )
