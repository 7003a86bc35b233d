"""The real nginx, with the configuration that deploy/nginx/ ships, in front of two real servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from rowlock.operations.context import Context
from tests.end_to_end.conftest import Server
from tests.end_to_end.test_live import book, in_database, watching
from tests.end_to_end.test_stampede import context, create  # noqa: F401 (a fixture)
from tests.programs import find_program, free_port, listens, running_program
from tests.support import audit

pytestmark = pytest.mark.anyio

SHIPPED = Path(__file__).parents[2] / "deploy/nginx"
SECONDS_MAX = 30.0
Nginx = Callable[..., AbstractContextManager[str]]


@contextlib.contextmanager
def running_nginx(folder: Path, servers: list[Server], **replaced: str) -> Iterator[str]:
    """What is shipped, with folders, port and servers of the test's own. `replaced`: a directive's name, and its new line."""
    port = free_port()
    conf_d = folder / "conf.d"
    conf_d.mkdir(parents=True)
    main = (SHIPPED / "nginx.conf").read_text()
    main = main.replace("/etc/nginx/conf.d", str(conf_d)).replace("/var/tmp/", f"{folder}/")
    (folder / "nginx.conf").write_text(main)
    site = (SHIPPED / "rowlock.conf").read_text()
    site = site.replace("/var/cache/", f"{folder}/").replace("/var/log/nginx/", f"{folder}/")
    site = site.replace("listen 80;", f"listen {port};")
    for directive, line in replaced.items():
        site, count = re.subn(rf"(?m)^( *){directive} .*;", rf"\1{line}", site)
        assert count, directive
    (conf_d / "rowlock.conf").write_text(site)
    upstream = (SHIPPED / "rowlock-servers.conf").read_text()
    for n, server in enumerate(servers, 8001):
        upstream = upstream.replace(f"server 127.0.0.1:{n} ", f"server 127.0.0.1:{server.port} ")
    (conf_d / "rowlock-servers.conf").write_text(upstream)
    folder.chmod(0o755)  # its own workers have another account where we are root
    command = [find_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    directives = f"daemon off; pid {folder}/nginx.pid;"
    with running_program([*command, "-g", directives], folder / "nginx.log", lambda: listens(port)):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def servers(dsn: str, tmp_path: Path) -> AsyncIterator[list[Server]]:
    """Two servers that share nothing but the database, and count sign-ins by address."""
    settings = {"ROWLOCK_LOG_LEVEL": "info", "ROWLOCK_RATE_SIGN_INS_PER_MINUTE": "4"}
    servers = [Server(dsn, tmp_path, **settings) for _ in range(2)]
    try:
        for server in servers:
            await server.ready()
        yield servers
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.stop()


@pytest.fixture
def nginx(short_dir: Path, tmp_path: Path, servers: list[Server]) -> Nginx:
    """Starts nginx in front of the servers."""

    def start(**replaced: str) -> AbstractContextManager[str]:
        return running_nginx(short_dir / f"nginx-{tmp_path.name}", servers, **replaced)

    return start


def client_of(url: str, number: int = 1, **headers: str) -> httpx.AsyncClient:
    """A client with an address of its own: nginx limits by address."""
    transport = httpx.AsyncHTTPTransport(local_address=f"127.0.1.{number}")
    return httpx.AsyncClient(base_url=url, transport=transport, headers=headers, timeout=60)


BUYERS = 12
BOOKINGS_EACH = 25


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_ends_in_mid_load(
    nginx: Nginx,
    servers: list[Server],
    tokens: dict[str, str],
    context: Context,  # noqa: F811
    end: signal.Signals,
) -> None:
    """A crash, or an upgrade, would lose bookings, make them twice, or show errors to people who buy."""
    with nginx() as url:
        async with client_of(url, Authorization=tokens["admin"]) as admin:
            show = await create(admin, 2 * BUYERS * BOOKINGS_EACH)
        half_sold = asyncio.Event()
        told: list[tuple[bool, httpx.Response]] = []

        async def buy(number: int) -> None:
            keyed = number % 4 != 0
            async with client_of(url, number, Authorization=tokens["service"]) as client:
                for n in range(BOOKINGS_EACH):
                    body = {"show_id": show, "seat_count": 1, "user_id": f"buyer-{number}"}
                    headers = {"Idempotency-Key": f"{number}-{n}"} if keyed else {}
                    told.append((keyed, await client.post("/api/bookings", json=body, headers=headers)))
                    if len(told) >= BUYERS * BOOKINGS_EACH // 3:
                        half_sold.set()

        async with asyncio.TaskGroup() as group:
            for number in range(1, BUYERS + 1):
                group.create_task(buy(number))
            await half_sold.wait()
            servers[0].process.send_signal(end)
        await asyncio.to_thread(servers[0].process.wait, SECONDS_MAX)

        keyed = [answer for has_key, answer in told if has_key]
        assert {answer.status_code for answer in keyed} == {201}
        others = [answer for has_key, answer in told if not has_key]
        unanswered = [answer for answer in others if answer.status_code != 201]
        assert all(answer.json()["code"] == "busy" for answer in unanswered)
        assert len(unanswered) <= BUYERS, "no more than were in hand at the server that ended"

    ids = [answer.json()["id"] for _, answer in told if answer.status_code == 201]
    assert len(set(ids)) == len(ids)
    rows = await context.pool.fetch("SELECT id FROM bookings WHERE status = 'CONFIRMED'")
    assert {str(row["id"]) for row in rows} >= set(ids)
    assert len(rows) - len(ids) <= len(unanswered), "a booking was made twice"
    await audit(context)


async def test_live_streams_are_not_held_back(
    nginx: Nginx,
    servers: list[Server],
    tokens: dict[str, str],
    context: Context,  # noqa: F811
) -> None:
    """Readers would see a seat sold when nginx's buffer is full, minutes later."""
    with nginx() as url:
        async with client_of(url, Authorization=tokens["admin"]) as admin:
            show = await create(admin, 20)
            async with watching(admin, show) as page:
                for seat in (3, 7):
                    await book(admin, show, seat)
                    version, statuses = await in_database(context, show)
                    async with asyncio.timeout(SECONDS_MAX):
                        await page.shows(version)
                    assert page.statuses == statuses
                assert not page.ended.is_set()


async def test_a_crowd_costs_one_fetch_a_second(
    nginx: Nginx, servers: list[Server], tokens: dict[str, str]
) -> None:
    """A crowd that waits for a sale would reach the servers; or those who bought would see an old map."""
    with nginx() as url:
        async with client_of(url, Authorization=tokens["admin"]) as admin:
            show = await create(admin, 50)
            path = f"/api/shows/{show}/availability"
            async with contextlib.AsyncExitStack() as stack:
                crowd = [await stack.enter_async_context(client_of(url, n)) for n in range(1, 21)]
                began = time.monotonic()
                answers = []
                for _ in range(10):
                    answers += await asyncio.gather(*(client.get(path) for client in crowd))
                seconds = time.monotonic() - began
                assert {answer.status_code for answer in answers} == {200}
                fetched = Counter(answer.headers["x-cache"] for answer in answers)
                assert fetched["MISS"] + fetched["EXPIRED"] <= seconds + 2, fetched
                assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)

                etag = answers[-1].headers["etag"]
                again = await crowd[0].get(path, headers={"If-None-Match": etag})
                assert again.status_code == 304

            await book(admin, show, 1)
            async with asyncio.timeout(SECONDS_MAX):  # the other server hears of it a moment later
                while not (seen := await admin.get(path)).json()["statuses"].startswith("BA"):
                    assert seen.headers["x-cache"] == "BYPASS"

            layouts = [await client.get(f"/api/shows/{show}/layout") for client in (admin, admin)]
            assert [answer.headers["x-cache"] for answer in layouts] == ["MISS", "HIT"]
            assert "immutable" in layouts[1].headers["cache-control"]


async def test_what_is_refused_at_the_door(
    nginx: Nginx, servers: list[Server], tokens: dict[str, str]
) -> None:
    """A flood would reach the servers, or a client would get HTML where it expects a problem."""
    with nginx(
        limit_req_zone="limit_req_zone $binary_remote_addr zone=rowlock_requests:10m rate=1r/m;"
    ) as url:
        async with client_of(url, 1, Authorization=tokens["admin"]) as client:
            large = await client.post("/api/shows", content=b" " * 2_000_000)
            assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
            assert (await client.get("/metrics")).status_code == 404
            statuses = Counter([(await client.get("/health")).status_code for _ in range(220)])
            assert statuses[200] >= 150
            # One a minute is let through, which may be one of these.
            answers = [await client.post("/api/bookings", json={}) for _ in range(3)]
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["content-type"] == "application/problem+json"
        async with client_of(url, 2) as another:
            assert (await another.get("/health")).status_code == 200
            for server in servers:
                server.stop()
            gone = await another.post("/api/bookings", json={})
            assert (gone.status_code, gone.json()["code"]) == (503, "busy")
            assert gone.headers["retry-after"] == "1"


async def test_who_asked_is_said_by_nginx_alone(
    nginx: Nginx, servers: list[Server], tokens: dict[str, str]
) -> None:
    """Whoever writes X-Forwarded-For would never meet a limit, or would have others refused."""
    with nginx() as url:
        async with client_of(url, 1) as client:
            statuses = []
            for n in range(30):
                claims = {"X-Forwarded-For": f"203.0.113.{n}", "Forwarded": f"for=203.0.113.{n}"}
                answer = await client.post("/api/session", json={"name": "Ada"}, headers=claims)
                statuses.append(answer.status_code)
                client.cookies.clear()  # each is somebody new
        # Four a minute at each of two servers, whatever is claimed; a busy machine may come into a second minute.
        assert statuses.count(429) >= 30 - 2 * 8
        async with client_of(url, 2) as another:
            signed_in = await another.post("/api/session", json={"name": "Bob"})
            assert signed_in.is_success, "another address is another caller"

            echoed = await another.get("/api/shows", headers={"X-Request-Id": "look-for-me"})
            assert echoed.headers.get_list("x-request-id") == ["look-for-me"]
            unfit = await another.get("/api/shows?limit=3", headers={"X-Request-Id": "not fit"})
            assert re.fullmatch("[0-9a-f]{32}", unfit.headers["x-request-id"])
    logged = [
        json.loads(line)
        for server in servers
        for line in server.log.read_text().splitlines()
        if line.startswith("{")
    ]
    assert any(line.get("request_id") == "look-for-me" for line in logged)
