"""SQL is never made of what a caller sent: the code is read for every query that is not written out as it stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import rowlock

SOURCE = Path(rowlock.__file__).parent
RUN = {"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor", "prepare"}
DATABASE = {"connection", "_connection", "pool", "_pool", "self"}

# Every place that runs a text that is not a named query, with what the text is made of. None of it comes from outside.
MADE_OF = {
    "engine/batch.py": "BEGIN with the settings' limits, and the named write with or without its events",
    "engine/foretold.py": "the named statement, cut to what there is",
    "engine/sharded.py": "the settings' limits",
    "engine/straight.py": "the named statement with or without its events",
    "operations/find_audit.py": "conditions of its own, with $1, $2 for values",
    "operations/find_bookings.py": "conditions of its own, with $1, $2 for values",
    "operations/search_bookings.py": "the lists of find_bookings.py",
    "operations/verify.py": "the named rules",
    "postgres/migrate.py": "the migrations, and two numbers of its own",
    "postgres/jobs.py": "a text of its own",
    "postgres/spread.py": "texts of its own",
    "workers/outbox.py": "the named queries of a stage, and BEGIN as above",
}
# Where texts of SQL are filled in. What is filled in are column names, conditions and placeholders written there.
FILLED_IN = {"operations/find_audit.py", "operations/find_bookings.py", "operations/search_bookings.py"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """All of them, by path."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(("stampede/", "postgres/migrations/")):
            yield name, ast.parse(path.read_text())


def is_named(query: ast.expr) -> bool:
    """`SQL.some_query`, or a text that stands there whole."""
    match query:
        case ast.Attribute(value=ast.Name(id=name)):
            return name.isupper()
        case ast.Constant(value=str()):
            return True
        case ast.IfExp(body=body, orelse=orelse):
            return is_named(body) and (is_named(orelse) or isinstance(orelse, ast.Name))
    return False


def runs(tree: ast.Module) -> Iterator[ast.Call]:
    """Every call that runs a query."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUN:
            receiver = node.func.value
            name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
            if name in DATABASE and node.args:
                yield node


def test_queries_are_named_or_explained() -> None:
    """A name with a quote in it would be run by the database."""
    found: dict[str, list[int]] = {}
    total = 0
    for name, tree in modules():
        for call in runs(tree):
            total += 1
            if not is_named(call.args[0]):
                found.setdefault(name, []).append(call.lineno)
    assert total > 60, "the search finds what it is to find"
    assert found.keys() <= MADE_OF.keys(), found


def test_sql_is_filled_in_only_where_that_is_explained() -> None:
    """A list would be filtered by a text of the caller's."""
    filled = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "format"
        and isinstance(node.func.value, ast.Attribute)
        and getattr(node.func.value.value, "id", "").isupper()
    }
    assert filled == FILLED_IN


def test_what_is_filled_in_is_written_there() -> None:
    """A value would be put into the text instead of beside it."""
    for name, tree in modules():
        if name not in FILLED_IN:
            continue
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef) or not function.name.endswith("query"):
                continue
            arguments = {each.arg for each in (*function.args.args, *function.args.kwonlyargs)}
            for text in ast.walk(function):
                if isinstance(text, ast.FormattedValue) and isinstance(text.value, ast.Name):
                    where = f"{name}:{text.lineno}"
                    assert text.value.id not in arguments, f"{where} puts {text.value.id} into a text"
