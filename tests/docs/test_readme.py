"""The README's calls, run as printed, get the answers that are printed there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.end_to_end.conftest import Server

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
BOOKING_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
TIMES = {"created_at", "expires_at", "settled_at", "at"}


def calls() -> list[tuple[str, str]]:
    """Each command of the README's console blocks, with the answer below it."""
    lines = [line for block in BLOCK.findall(README.read_text()) for line in block.splitlines()]
    return [
        (command.removeprefix("$ "), answer) for command, answer in zip(lines[::2], lines[1::2], strict=True)
    ]


def without_times(value: Any) -> Any:
    """An answer with every time that differs from run to run told only as there or not."""
    if isinstance(value, dict):
        return {
            key: (item is not None) if key in TIMES else without_times(item) for key, item in value.items()
        }
    return [without_times(item) for item in value] if isinstance(value, list) else value


@pytest.mark.anyio
async def test_the_calls_get_their_answers(dsn: str, tmp_path: Path) -> None:
    """A newcomer's first five minutes would end in an error."""
    server = Server(dsn, tmp_path, command="demo", ROWLOCK_SECRET_KEY="")
    try:
        await server.ready()
        ids: dict[str, str] = {}
        assert len(calls()) >= 9
        for command, documented in calls():
            assert command.partition("curl ")[1], command
            here = command.replace("http://127.0.0.1:8000", server.url)
            here = BOOKING_ID.sub(lambda found: ids[found[0]], here)
            done = await anyio.run_process(["bash", "-c", here])
            answer = done.stdout.decode()
            ids.update(zip(BOOKING_ID.findall(documented), BOOKING_ID.findall(answer), strict=True))
            expected = BOOKING_ID.sub(lambda found: ids[found[0]], documented)
            assert without_times(json.loads(answer)) == without_times(json.loads(expected)), command
    finally:
        server.stop()
