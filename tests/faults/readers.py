"""Live readers: pages that follow the map of a show through whatever happens, at one server or another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from tests.faults.evidence import Reader

QUIET_SECONDS_MAX = (
    20.0  # a stream says something every 15 s; a browser would notice a dead server later still
)
PAUSE_SECONDS = 0.3


async def follow(reader: Reader, urls: Sequence[str], show: int, seed: int) -> None:
    """Follow a show until cancelled: where a stream ends, another is begun, with the last event's id."""
    dice = random.Random(seed)
    timeout = httpx.Timeout(5, read=QUIET_SECONDS_MAX)
    async with httpx.AsyncClient(timeout=timeout) as client:
        while True:
            url = f"{dice.choice(urls)}/api/shows/{show}/live"
            headers = {"Last-Event-ID": str(reader.version)} if reader.version >= 0 else {}
            try:
                async with client.stream("GET", url, headers=headers) as response:
                    if response.status_code == 200:
                        await _read(reader, response)
            except httpx.HTTPError:
                pass
            await asyncio.sleep(PAUSE_SECONDS)


async def _read(reader: Reader, response: httpx.Response) -> None:
    reader.connections += 1
    rest = ""
    async for text in response.aiter_text():
        *events, rest = (rest + text).split("\n\n")
        for event in events:
            take(reader, event)


def take(reader: Reader, event: str) -> None:
    """One event, as it came."""
    fields = dict(line.split(": ", 1) for line in event.split("\n") if line and not line.startswith(":"))
    if "data" not in fields:
        return
    data: dict[str, Any] = msgspec.json.decode(fields["data"])
    reader.events += 1
    if fields["event"] == "snapshot":
        reader.letters = data["statuses"]
    else:
        if data["from_version"] != reader.version:
            reader.gaps.append(f"at version {reader.version}, and told what follows {data['from_version']}")
        letters = list(reader.letters)
        for position, letter in data["changes"]:
            letters[position] = letter
        reader.letters = "".join(letters)
    reader.version = data["version"]
    if data["available"] != reader.letters.count("A"):
        reader.gaps.append(
            f"version {reader.version} has {data['available']} free seats, and shows {reader.letters}"
        )
