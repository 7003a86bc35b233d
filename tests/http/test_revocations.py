"""Tokens that are called back: signed out, revoked by an operator, or all of a user's; at every process within seconds."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from rowlock.http.tokens import mint, verify
from rowlock.operations.revocations import Revocations
from tests.http.api import ADMIN, SECRET, build, problem, running
from tests.processes import rowlock

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
OTHER = "another secret key that is just as long as it must be"
THIRD = "a third secret key that has no comma in it either"


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


async def is_let_in(client: httpx.AsyncClient, token: str) -> bool:
    """Whether a token is believed."""
    answer = await client.get("/api/session", headers=bearer(token))
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


async def guest(client: httpx.AsyncClient) -> str:
    """A guest's session, as the cookie has it; the client has none after."""
    assert (await client.post("/api/session", json={"name": "Gina"})).status_code == 201
    value = client.cookies["rowlock_session"]
    client.cookies.clear()
    return value


async def test_signing_out_ends_the_session_and_every_copy_of_it(dsn: str) -> None:
    """A cookie that was copied from a shared machine would go on booking."""
    async with running(build(dsn)) as client, running(build(dsn)) as elsewhere:
        value, other = await guest(client), await guest(client)
        cookie = {"Cookie": f"rowlock_session={value}"}
        assert (await elsewhere.get("/api/bookings", headers=cookie)).status_code == 200
        assert (await client.delete("/api/session", headers={**cookie, **OWN_PAGE})).status_code == 204
        refused = problem(await client.get("/api/bookings", headers=cookie), 401, "unauthenticated")
        assert "revoked" in refused["detail"]
        app = elsewhere._transport.app  # type: ignore[attr-defined]
        await app.state.authenticator.revocations.refresh()  # what a loop does every two seconds
        assert (await elsewhere.get("/api/bookings", headers=cookie)).status_code == 401
        assert await is_let_in(client, other), "and nobody else's"


async def test_signing_out_everywhere(dsn: str) -> None:
    """Whoever lost a telephone could not sign it out."""
    async with running(build(dsn)) as client, running(build(dsn)) as elsewhere:
        phone, laptop = (mint(SECRET, user_id="ada", role="customer", hours=1) for _ in range(2))
        bobs = mint(SECRET, user_id="bob", role="customer", hours=1)
        for token in (phone, laptop, bobs):
            assert await is_let_in(client, token)
            assert await is_let_in(elsewhere, token)
        gone = await client.delete("/api/session", params={"everywhere": True}, headers=bearer(laptop))
        assert gone.status_code == 204
        app = elsewhere._transport.app  # type: ignore[attr-defined]
        await app.state.authenticator.revocations.refresh()
        for where in (client, elsewhere):
            assert [await is_let_in(where, token) for token in (phone, laptop, bobs)] == [False, False, True]
        assert await is_let_in(client, mint(SECRET, user_id="ada", role="customer", hours=1)), (
            "signed in again"
        )
        done = (await client.get("/api/audit", headers=ADMIN)).json()["items"]
        assert [(entry["user_id"], entry["action"], entry["target"]) for entry in done] == [
            ("ada", "user.revoke", "user ada")
        ]


async def test_a_process_that_starts_later_knows(dsn: str) -> None:
    """A restart would let everyone in again who was shut out."""
    async with running(build(dsn)) as client:
        token = mint(SECRET, user_id="ada", role="admin", hours=1)
        await client.delete("/api/session", params={"everywhere": True}, headers=bearer(token))
    async with running(build(dsn)) as client:
        assert not await is_let_in(client, token)


@pytest.mark.parametrize("how", ["--user-id", "--token", "--token-id"])
async def test_the_command_line_revokes(dsn: str, tmp_path: Path, how: str) -> None:
    """A leaked token would be good until it ends, whatever an operator does."""
    token = mint(SECRET, user_id="ops", role="admin", hours=1)
    claims = verify(token, (SECRET,))
    value = {"--user-id": "ops", "--token": token, "--token-id": claims.token_id or ""}[how]
    done = rowlock(tmp_path, "revoke", how, value, DATABASE_URL=dsn, ROWLOCK_SECRET_KEY=SECRET)
    assert done.returncode == 0, done.stderr
    async with running(build(dsn)) as client:
        assert not await is_let_in(client, token)
        done_by = (await client.get("/api/audit", headers=ADMIN)).json()["items"][0]
        assert done_by["role"] == "operator"


async def test_keys_are_rotated_without_signing_anybody_out(dsn: str) -> None:
    """A new key would end every session, or an old one could never be dropped."""
    old, new = (mint(key, user_id="ada", role="customer", hours=1) for key in (THIRD, OTHER))
    async with running(build(dsn, secret_key=f"{OTHER},{THIRD}")) as client:
        assert [await is_let_in(client, token) for token in (old, new)] == [True, True]
        made = await client.post("/api/session", json={"name": "Gina"})
        assert made.status_code == 201
        assert verify(client.cookies["rowlock_session"], (OTHER,)), "the first key signs"
    async with running(build(dsn, secret_key=OTHER)) as client:
        assert [await is_let_in(client, token) for token in (old, new)] == [False, True]


async def test_what_has_ended_by_itself_is_forgotten(dsn: str) -> None:
    """Memory would grow with every sign-out there ever was."""
    async with running(build(dsn)) as client:
        app = client._transport.app  # type: ignore[attr-defined]
        kept: Revocations = app.state.authenticator.revocations
        value = await guest(client)
        headers = {"Cookie": f"rowlock_session={value}", **OWN_PAGE}
        assert (await client.delete("/api/session", headers=headers)).status_code == 204
        assert len(kept._tokens) == 1
        await app.state.context.pool.execute("UPDATE revocations SET until = now() - interval '1 day'")
        kept._tokens = {name: until.replace(year=2000) for name, until in kept._tokens.items()}
        await kept.refresh()
        assert kept._tokens == {}
