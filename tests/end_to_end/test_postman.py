"""The Postman collection is no ornament: every request of it is sent to a running server, and every route is in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rowlock.app import create_app
from rowlock.settings import Settings
from tests.processes import running

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "docs" / "rowlock.postman_collection.json"
NEWMAN = ROOT / "tests" / "postman"
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
FOLDERS = ["Rowlock API", *(f"Predecessor {number}" for number in range(5))]
NOT_REQUESTS = {"/api/shows/{show_id}/live"}  # a stream without an end


def requests(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The requests below folders."""
    for item in items:
        if "item" in item:
            yield from requests(item["item"])
        else:
            yield item


@pytest.fixture(scope="module")
def collection() -> dict[str, Any]:
    """The collection."""
    read: dict[str, Any] = json.loads(COLLECTION.read_text())
    return read


@pytest.fixture(scope="module")
def newman() -> Path:
    """Newman, of the version in the lock file."""
    if shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("npm is not installed: the Postman collection can't be tried")
        pytest.skip("npm is not installed")
    program = NEWMAN / "node_modules" / "newman" / "bin" / "newman.js"
    if not program.exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NEWMAN, check=True, timeout=150)
    return program


def test_every_request_gets_the_answer_it_says(newman: Path) -> None:
    """Whoever tries the API in Postman would meet errors that are the collection's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        with running(folder, port, "demo"):
            done = subprocess.run(
                [
                    "node", str(newman), "run", str(COLLECTION), "--env-var", f"baseUrl=http://127.0.0.1:{port}",
                    "--reporters", "json,cli", "--reporter-json-export", str(folder / "run.json"), "--color", "off",
                ],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr
        stats = json.loads((folder / "run.json").read_text())["run"]["stats"]
    assert stats["requests"]["total"] == len(list(requests(json.loads(COLLECTION.read_text())["item"])))
    assert stats["assertions"]["total"] > stats["requests"]["total"]
    assert stats["assertions"]["failed"] == 0


def test_every_route_is_there(collection: dict[str, Any]) -> None:
    """A call that exists could not be found in Postman."""
    settings = Settings(_env_file=None, database_url="postgresql://nobody@127.0.0.1/none", auth="demo")  # type: ignore[call-arg]
    sent = {
        (item["request"]["method"], "/" + "/".join(item["request"]["url"]["path"]))
        for item in requests(collection["item"])
    }
    missing = []
    for path, operations in (create_app(settings).openapi_schema.paths or {}).items():
        pattern = re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", re.escape(path)))
        for method in ("get", "post", "patch", "put", "delete"):
            if getattr(operations, method) is None or path in NOT_REQUESTS:
                continue
            if not any(verb == method.upper() and pattern.fullmatch(of) for verb, of in sent):
                missing.append(f"{method.upper()} {path}")
    assert missing == []


def test_it_is_a_collection_of_postman_2_1(collection: dict[str, Any]) -> None:
    """Postman would not import it, or a predecessor's user not find the folder."""
    assert collection["info"]["schema"] == SCHEMA
    assert [folder["name"] for folder in collection["item"]] == FOLDERS
    assert {"baseUrl", "token"} <= {variable["key"] for variable in collection["variable"]}


def test_every_request_is_tested(collection: dict[str, Any]) -> None:
    """A request without a test passes whatever is answered."""
    for item in requests(collection["item"]):
        scripts = [event["script"]["exec"] for event in item["event"] if event["listen"] == "test"]
        assert any("pm.test(" in line for lines in scripts for line in lines), item["name"]
