"""The loader of named SQL, and that the code and the `.sql` files agree on the names."""

from __future__ import annotations

import ast
import re
from importlib.resources import files
from pathlib import Path

import pytest

import rowlock
from rowlock.postgres.queries import load

SOURCE = Path(rowlock.__file__).parent
FILES = sorted(path.name.removesuffix(".sql") for path in (SOURCE / "postgres" / "sql").glob("*.sql"))


def asked_for() -> dict[tuple[str, str], str]:
    """Every query that the code asks for: (file, query) and where. `X = load("file")` binds X, `X.query` asks."""
    asked: dict[tuple[str, str], str] = {}
    trees = {path: ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}
    bound: dict[Path, dict[str, str]] = {}
    for path, tree in trees.items():
        for node in tree.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=ast.Call(func=ast.Name(id="load"), args=[ast.Constant(value=str(file))]),
                ):
                    bound.setdefault(path, {})[name] = file
    for path, tree in trees.items():
        names = dict(bound.get(path, {}))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                origin = SOURCE.parent.joinpath(*node.module.split(".")).with_suffix(".py")
                names |= {
                    alias.asname or alias.name: bound[origin][alias.name]
                    for alias in node.names
                    if alias.name in bound.get(origin, {})
                }
        for part in ast.walk(tree):
            if (
                isinstance(part, ast.Attribute)
                and isinstance(part.value, ast.Name)
                and part.value.id in names
            ):
                asked[names[part.value.id], part.attr] = f"{path.name}:{part.lineno}"
    return asked


def test_every_query_that_is_asked_for_is_there() -> None:
    """A mistyped name would be found by the first person who books."""
    there = {(file, query) for file in FILES for query in vars(load(file))}
    asked = asked_for()
    assert len(asked) > 15, "the search finds what it is to find"
    assert {where: name for name, where in asked.items() if name not in there} == {}


def test_every_query_is_asked_for() -> None:
    """SQL that nobody runs would be kept up, and read, for nothing."""
    there = {(file, query) for file in FILES for query in vars(load(file))}
    assert there - set(asked_for()) == set()


@pytest.mark.parametrize("file", FILES)
def test_each_query_is_one_statement(file: str) -> None:
    """A query cut off or run together by the loader would do half, or twice, what it says."""
    for name, query in vars(load(file)).items():
        lines = [line.split("--")[0] for line in query.splitlines()]
        code = re.sub(r"'[^']*'", "''", " ".join(" ".join(lines).split()))
        assert code.split()[0] in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"), name
        assert ";" not in code, name
        assert "-- name:" not in query, name


def write(folder: Path, text: str) -> None:
    """A `.sql` file where the loader looks."""
    (folder / "sql").mkdir()
    (folder / "sql" / "some.sql").write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the package."""
    monkeypatch.setattr("rowlock.postgres.queries.files", lambda _: tmp_path)
    return tmp_path


def test_queries_are_told_apart_by_their_names(folder: Path) -> None:
    """One query would run in place of another."""
    write(folder, "-- The file.\n-- name: one\n-- A sentence.\nSELECT 1\n\n-- name: two\nSELECT 'ü'\n\n")
    assert vars(load("some")) == {"one": "-- A sentence.\nSELECT 1", "two": "SELECT 'ü'"}


def test_a_name_inside_a_line_is_no_name(folder: Path) -> None:
    """A remark that mentions a name would cut a query in two."""
    write(folder, "-- name: one\nSELECT 1 -- name: two\n, 2\n")
    assert vars(load("some")) == {"one": "SELECT 1 -- name: two\n, 2"}


def test_a_name_twice_is_refused(folder: Path) -> None:
    """Of two queries with one name the wrong one would run."""
    write(folder, "-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n")
    with pytest.raises(ValueError, match=r"some\.sql names a query twice"):
        load("some")


def test_a_missing_name_or_file_is_an_error() -> None:
    """A query that is not there would run as something else."""
    with pytest.raises(AttributeError):
        _ = load("batch").no_such_query
    with pytest.raises(FileNotFoundError):
        load("no_such_file")


def test_the_queries_are_in_the_package() -> None:
    """An installed Rowlock would not start."""
    assert all(files("rowlock.postgres").joinpath("sql", f"{name}.sql").is_file() for name in FILES)
