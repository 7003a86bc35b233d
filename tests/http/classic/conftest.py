"""The application in demo mode, as a predecessor's client finds it: no credentials, all roles."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.http.api import build, running


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """The application on a fresh database."""
    async with running(build(dsn, auth="demo", secret_key=None)) as opened:
        yield opened
