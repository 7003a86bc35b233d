"""Webhooks over HTTP: what admins see and change, and what they are told when they err."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.api import ADMIN, build, problem, running

pytestmark = pytest.mark.anyio
URL = "https://192.0.78.9/hooks"  # never asked: no worker runs


async def test_a_webhook_is_made_shown_changed_and_deleted(dsn: str) -> None:
    """Nobody could set one up."""
    async with running(build(dsn), **ADMIN) as client:
        answer = await client.post("/api/webhooks", json={"url": URL, "types": ["booking.confirmed"]})
        made = answer.json()
        assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/webhooks/{made['id']}")
        assert answer.headers["Cache-Control"] == "no-store", "the secret would lie in a cache"
        assert made.pop("secret").startswith("whsec_")
        path = f"/api/webhooks/{made['id']}"
        assert (await client.get(path)).json() == made
        changed = (await client.patch(path, json={"types": [], "description": "The ledger"})).json()
        assert changed == made | {"types": [], "description": "The ledger"}
        off = (await client.patch(path, json={"active": False})).json()
        assert off["active"] is False
        secret = (await client.patch(path, json={"secret": "whsec_" + "QUJD" * 8})).json()["secret"]
        assert secret == "whsec_" + "QUJD" * 8
        assert (await client.get("/api/webhooks")).json() == {
            "items": [off | {"active": False}],
            "next_cursor": None,
        }
        assert (await client.delete(path)).status_code == 204
        problem(await client.get(path), 404, "not_found")
        problem(await client.delete(path), 404, "not_found")
        problem(await client.get(f"{path}/deliveries"), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "url", "is missing"),
        ({"url": "ftp://example.org"}, "url", "must look like https://"),
        ({"url": "http://10.0.0.1/"}, "url", "10.0.0.1 is not a public address"),
        ({"url": "http://localhost/"}, "url", "is not a public address"),
        (
            {"url": URL, "types": ["booking.sold"]},
            "types[0]",
            "must be one of booking.held, booking.confirmed",
        ),
        ({"url": URL, "types": "booking.held"}, "types", "must be a list"),
        ({"url": URL, "secret": "hunter2"}, "secret", "whsec_"),
        ({"url": URL, "active": True}, "active", ""),
    ],
)
async def test_what_is_wrong_is_named(dsn: str, body: Any, field: str, says: str) -> None:
    """An admin would guess."""
    async with running(build(dsn), **ADMIN) as client:
        told = problem(await client.post("/api/webhooks", json=body), 400, "invalid_request")
        assert [error["field"] for error in told["errors"]] == [field]
        assert says in told["errors"][0]["message"]
        assert "hunter2" not in str(told)
        assert (await client.get("/api/webhooks")).json()["items"] == []


async def test_pages_and_bounds(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list would be cut off, or grow without end."""
    from rowlock.operations import webhooks

    monkeypatch.setattr(webhooks, "WEBHOOKS_MAX", 5)
    async with running(build(dsn), **ADMIN) as client:
        ids = [(await client.post("/api/webhooks", json={"url": URL})).json()["id"] for _ in range(5)]
        problem(await client.post("/api/webhooks", json={"url": URL}), 400, "invalid_request")
        first = (await client.get("/api/webhooks", params={"limit": 3})).json()
        rest = (await client.get("/api/webhooks", params={"cursor": first["next_cursor"]})).json()
        assert [hook["id"] for page in (first, rest) for hook in page["items"]] == ids
        problem(await client.get("/api/webhooks", params={"cursor": "x"}), 400, "invalid_request")
        for event in ("1-1", "nonsense", "1-", "-1", "1-1-1", "9" * 30 + "-1", "01-1"):
            answer = await client.post(f"/api/webhooks/{ids[0]}/deliveries/{event}/redeliver")
            problem(answer, 404, "not_found")
