"""The write in its cuts: each must be whole, take its own parameters, and lead to rows by the same indexes."""

from __future__ import annotations

import re
from itertools import product

import asyncpg
import pytest

from rowlock.engine.batch import SQL, WRITE
from rowlock.engine.writing import PARTS

pytestmark = pytest.mark.anyio
WRITTEN = {"changes": "UPDATE bookings", "events": "INSERT INTO outbox"}


@pytest.mark.parametrize("kept", list(product((True, False), repeat=len(PARTS))))
async def test_every_cut_is_a_statement_of_its_own(dsn: str, kept: tuple[bool, ...]) -> None:
    """A batch of a kind that no other test makes would fail at its first sale."""
    statement = WRITE[kept]
    for part, is_kept in zip(PARTS, kept, strict=True):
        assert (WRITTEN[part] in statement.sql) is is_kept
    connection = await asyncpg.connect(dsn)
    try:
        prepared, whole = await connection.prepare(statement.sql), await connection.prepare(SQL.write)
        types = [parameter.name for parameter in whole.get_parameters()]
        assert [parameter.name for parameter in prepared.get_parameters()] == statement.arguments(types)
    finally:
        await connection.close()


def test_nothing_is_cut_but_what_is_marked() -> None:
    """A part that is not marked right would be written always, or never."""
    marks = re.findall(r"/\* (\w+) \*/", SQL.write)
    assert set(marks) == {*PARTS, "end"}
    assert marks.count("end") == len(marks) / 2
