"""The whole application on a real database, as tests of the API call it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from rowlock.app import create_app
from rowlock.http.page import Page
from rowlock.http.tokens import mint
from rowlock.settings import Settings

SECRET = "a secret key of the tests, 32 bytes or more"
TOMORROW = (datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
PROBLEM = "application/problem+json"
PAGE = Page(Path(__file__).parent / "page")


def token(role: str, user_id: str) -> dict[str, str]:
    """The header that makes a caller somebody."""
    return {"Authorization": f"Bearer {mint(SECRET, user_id=user_id, role=role, hours=1)}"}


ADMIN = token("admin", "root")
SERVICE = token("service", "shop")
ADA = token("customer", "ada")
BOB = token("customer", "bob")


def build(dsn: str, **changes: Any) -> Litestar:
    """The application, in token mode unless said else, with a page that is the tests' own."""
    values: dict[str, Any] = {
        "database_url": dsn,
        "secret_key": SECRET,
        "auth": "token",
        "rate_bookings_per_minute": 0,
        "rate_guests_per_minute": 0,
        "rate_holds_per_minute": 0,
        "rate_sign_ins_per_minute": 0,
        "work": False,
        "pool_size": 4,
        **changes,
    }
    app = create_app(Settings(_env_file=None, **values))  # type: ignore[call-arg]
    app.state.page = PAGE
    return app


@asynccontextmanager
async def running(app: Litestar, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application that has started."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
    ):
        yield client


async def new_show(client: httpx.AsyncClient, **changes: Any) -> Any:
    """A show of ten numbered seats, made by an admin, with changes."""
    body: dict[str, Any] = {"name": "A show", "start_time": TOMORROW, "total_seats": 10, **changes}
    answer = await client.post("/api/shows", json=body, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def new_booking(client: httpx.AsyncClient, show_id: int, **body: Any) -> Any:
    """A booking by Ada that succeeds."""
    answer = await client.post("/api/bookings", json={"show_id": show_id, **body}, headers=ADA)
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int, code: str) -> Any:
    """The body of an answer that must be a problem, and have all that a problem has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == PROBLEM
    assert answer.headers["X-Request-Id"]
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code), body
    assert body["type"] == f"urn:rowlock:problem:{code}"
    assert body["title"]
    assert body["detail"]
    return body
