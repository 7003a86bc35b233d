"""Secrets are said nowhere: not in logs at their most talkative, not in answers, not in metrics."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from rowlock.http.tokens import mint
from tests.end_to_end.conftest import Server
from tests.processes import rowlock
from tests.programs import free_port

CANARY = "c4n4ry"
SECRETS = {
    "secret key": f"{CANARY}-key-of-the-tokens-long-enough-to-be-one",
    "old secret key": f"{CANARY}-key-of-yesterday-long-enough-to-be-one",
    "database password": f"{CANARY}-database",
    "Redis password": f"{CANARY}-redis",
    "AMQP password": f"{CANARY}-amqp",
    "client secret": f"{CANARY}-client",
    "webhook secret": "whsec_" + base64.b64encode(f"{CANARY} of the webhook, long enough".encode()).decode(),
    "bad token": f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.x",
}


def with_password(dsn: str, password: str) -> str:
    """The address of the database, with a password that the tests' server does not ask for."""
    parts = urlsplit(dsn)
    return parts._replace(netloc=parts.netloc.replace("postgres@", f"postgres:{password}@")).geturl()


def settings(dsn: str) -> dict[str, str]:
    """A server that has every secret, and whose Redis and RabbitMQ are away."""
    return {
        "DATABASE_URL": with_password(dsn, SECRETS["database password"]),
        "ROWLOCK_SECRET_KEY": f"{SECRETS['secret key']},{SECRETS['old secret key']}",
        "REDIS_URL": f"redis://user:{SECRETS['Redis password']}@127.0.0.1:{free_port()}/0",
        "AMQP_URL": f"amqp://user:{SECRETS['AMQP password']}@127.0.0.1:{free_port()}/",
        "ROWLOCK_OIDC_ISSUER": f"http://127.0.0.1:{free_port()}",
        "ROWLOCK_OIDC_CLIENT_ID": "rowlock",
        "ROWLOCK_OIDC_CLIENT_SECRET": SECRETS["client secret"],
        "ROWLOCK_PUBLIC_URL": "http://127.0.0.1",
        "ROWLOCK_LOG_LEVEL": "debug",
    }


def assert_silent(secrets: dict[str, str], where: str, text: str) -> None:
    """None of them is in there."""
    for name, secret in secrets.items():
        assert secret not in text, f"the {name} is in {where}"


async def test_no_secret_is_said(dsn: str, tmp_path: Path) -> None:
    """Whoever reads the logs, or meets an error, could sign tokens, or read the database."""
    tokens = {
        f"token of {role}": mint(SECRETS["secret key"], user_id="ada", role=role, hours=1)
        for role in ("admin", "customer")
    }
    admin = {"Authorization": f"Bearer {tokens['token of admin']}"}
    server = Server("unused", tmp_path, **settings(dsn))
    said = []
    try:
        await server.ready()
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:

            async def ask(method: str, path: str, **kw: object) -> httpx.Response:
                answer = await client.request(method, path, **kw)  # type: ignore[arg-type]
                kept = {n: v for n, v in answer.headers.items() if n != "set-cookie"}  # which must have one
                said.append(f"{answer.text} {kept}")
                return answer

            hook = {"url": "https://192.0.78.9/hooks", "secret": SECRETS["webhook secret"]}
            made = await client.post("/api/webhooks", json=hook, headers=admin)
            assert made.status_code == 201, made.text
            at = f"/api/webhooks/{made.json()['id']}"
            assert (await ask("GET", at, headers=admin)).status_code == 200
            await ask("PATCH", at, json={"secret": SECRETS["webhook secret"] + "!"}, headers=admin)
            await ask("POST", "/api/webhooks", json={**hook, "url": 7}, headers=admin)
            show = {"name": "A show", "start_time": "2099-01-01T00:00:00Z", "total_seats": 5}
            assert (await ask("POST", "/api/shows", json=show, headers=admin)).status_code == 201
            assert (
                await ask("POST", "/api/shows/1/bookings", json={"seat_count": 1}, headers=admin)
            ).status_code == 201
            later = {**admin, "Prefer": "respond-async"}
            assert (
                await ask("POST", "/api/shows/1/bookings", json={"seat_count": 1}, headers=later)
            ).status_code == 503
            for path in (
                "/api/bookings",
                "/api/session",
                "/api/nothing",
                "/metrics",
                "/ready",
                "/api/session/login",
            ):
                await ask("GET", path, headers={"Authorization": f"Bearer {SECRETS['bad token']}"})
                await ask("GET", path, headers={"Cookie": f"rowlock_session={SECRETS['bad token']}"})
                await ask("GET", path, headers=admin)
            signed_in = await ask("POST", "/api/session", json={"token": tokens["token of customer"]})
            assert signed_in.status_code == 201
            tokens["session"] = client.cookies["rowlock_session"]
            await ask("GET", "/api/session")
            await ask("POST", "/api/session", json={"token": SECRETS["bad token"]})
            await ask("POST", "/api/session", json={"token": {"not": SECRETS["bad token"]}})
            await ask("POST", "/api/session", content=f'{{"token": "{SECRETS["bad token"]}'.encode())
            await ask("GET", "/api/audit", headers=admin)
            await asyncio.sleep(2.5)  # Redis and RabbitMQ are tried again, a webhook is delivered to
            await ask("GET", "/metrics")
    finally:
        server.stop()
    log = server.log.read_text()
    assert "redis_away" in log, "the log is there, and says what is wrong"
    assert_silent({**SECRETS, **tokens}, "the log", log)
    assert_silent({**SECRETS, **tokens}, "an answer", "\n".join(said))


async def test_a_start_that_fails_says_no_secret(dsn: str, tmp_path: Path) -> None:
    """The first thing that a newcomer pastes into a question would be the password."""
    good = settings(dsn)
    for changed in (
        {"DATABASE_URL": f"postgresql://me:{SECRETS['database password']}@127.0.0.1:{free_port()}/rowlock"},
        {"DATABASE_URL": f"mysql://me:{SECRETS['database password']}@127.0.0.1/rowlock"},
        {"REDIS_URL": f"redis://user:{SECRETS['Redis password']}@host:no/0"},
        {"AMQP_URL": f"amqp://user:{SECRETS['AMQP password']}@host:no/"},
        {"ROWLOCK_SECRET_KEY": CANARY},
    ):
        done = await asyncio.to_thread(rowlock, tmp_path, "serve", **{**good, **changed})
        assert done.returncode == 2, done.stderr
        assert done.stderr
        assert_silent(
            {**SECRETS, "canary": CANARY}, f"what is said of {changed.keys()}", done.stdout + done.stderr
        )
