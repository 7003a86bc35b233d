"""Requests to book over real sockets: however they come, each is answered once, and in its turn."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from tests.end_to_end.conftest import Server
from tests.end_to_end.test_protocol import Answer, connected

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Shop:
    """A server with a show of a thousand numbered seats."""

    def __init__(self, server: Server, client: httpx.AsyncClient, show_id: int, authorization: str) -> None:
        self.server = server
        self.port = server.port
        self.client = client
        self.show_id = show_id
        self._authorization = authorization

    def request(self, *seats: int, padding: int = 0, chunked: bool = False, close: bool = False) -> bytes:
        """A request to book, as bytes."""
        body: dict[str, Any] = {"show_id": self.show_id, "seats": list(seats)}
        content = json.dumps(body).encode() + b" " * padding
        lines = [
            b"POST /api/bookings HTTP/1.1",
            b"Host: localhost",
            b"Content-Type: application/json",
            b"Authorization: " + self._authorization.encode(),
            b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(content),
            *([b"Connection: close"] if close else []),
        ]
        if chunked:
            content = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, content[:5], len(content) - 5, content[5:])
        return b"\r\n".join(lines) + b"\r\n\r\n" + content

    async def booked(self) -> int:
        """How many seats are booked."""
        return int((await self.client.get(f"/api/shows/{self.show_id}")).json()["booked_seats"])


@pytest.fixture
async def shop(dsn: str, tmp_path: Path, tokens: dict[str, str]) -> AsyncIterator[Shop]:
    """It has met its show: the first request went through the framework."""
    server = Server(dsn, tmp_path)
    try:
        await server.ready()
        headers = {"Authorization": tokens["admin"]}
        async with httpx.AsyncClient(base_url=server.url, headers=headers) as client:
            show = {"name": "A show", "start_time": "2031-05-01T20:00:00Z", "total_seats": 1_000}
            made = (await client.post("/api/shows", json=show)).json()
            shop = Shop(server, client, made["id"], tokens["customer"])
            async with connected(server.port) as first:
                await first.send(shop.request(1_000))
                assert (await first.answer()).status == 201
            yield shop
    finally:
        server.stop()


def seats_of(answer: Answer) -> list[str]:
    """The seats that an answer confirms."""
    assert answer.status == 201, answer.body
    return list(json.loads(answer.body)["seats"])


async def test_requests_in_a_row_are_answered_in_their_order(shop: Shop) -> None:
    """A client that sends ahead would take one booking's answer for another's."""
    async with connected(shop.port) as client:
        await client.send(
            shop.request(1) + HEALTH + shop.request(2) + shop.request(1) + HEALTH + shop.request(3)
        )
        assert seats_of(await client.answer()) == ["1"]
        assert (await client.answer()).status == 200
        assert seats_of(await client.answer()) == ["2"]
        assert (await client.answer()).status == 409
        assert (await client.answer()).status == 200
        assert seats_of(await client.answer()) == ["3"]


async def test_a_request_may_come_in_pieces(shop: Shop) -> None:
    """A phone's packets are as they are."""
    async with connected(shop.port) as client:
        request = shop.request(11, 12)
        for start in range(0, len(request), 40):
            await client.send(request[start : start + 40])
            await asyncio.sleep(0.002)
        assert seats_of(await client.answer()) == ["11", "12"]
        await client.send(shop.request(13))
        assert seats_of(await client.answer()) == ["13"]


@pytest.mark.parametrize("how", [{"chunked": True}, {"padding": 200_000}, {"padding": 70_000}])
async def test_what_the_door_leaves_is_served_all_the_same(shop: Shop, how: dict[str, Any]) -> None:
    """A chunked or a large body would be lost on its way to the framework."""
    async with connected(shop.port) as client:
        await client.send(shop.request(21, **how))
        assert seats_of(await client.answer()) == ["21"]
        await client.send(shop.request(22))
        assert seats_of(await client.answer()) == ["22"]


async def test_a_connection_is_closed_where_that_was_asked(shop: Shop) -> None:
    """Clients that wait for the end of the connection would wait for ever."""
    async with connected(shop.port) as client:
        await client.send(shop.request(31, close=True))
        answer = await client.answer()
        assert seats_of(answer) == ["31"]
        assert answer.headers["connection"] == "close"
        await client.assert_closed()


async def test_whoever_hangs_up_is_booked_all_the_same_and_hurts_nobody(shop: Shop) -> None:
    """A lost connection would lose a booking that was asked for, or take the server along."""
    for seat in range(41, 61):
        async with connected(shop.port) as client:
            await client.send(shop.request(seat))
    for _ in range(200):
        if await shop.booked() == 21:
            break
        await asyncio.sleep(0.05)
    assert await shop.booked() == 21
    async with connected(shop.port) as client:
        await client.send(shop.request(61))
        assert seats_of(await client.answer()) == ["61"]


async def test_what_is_at_the_door_when_the_server_ends_is_answered(shop: Shop, dsn: str) -> None:
    """A restart in an on-sale would leave buyers without an answer."""
    database = await asyncpg.connect(dsn)
    connections = [connected(shop.port) for _ in range(20)]
    clients = [await each.__aenter__() for each in connections]
    try:
        async with database.transaction():
            await database.execute("SELECT FROM inventory WHERE show_id = $1 FOR UPDATE", shop.show_id)
            await asyncio.gather(*(client.send(shop.request(100 + n)) for n, client in enumerate(clients)))
            await asyncio.sleep(0.5)
            shop.server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
        answers = await asyncio.gather(*(client.answer() for client in clients))
        assert [seats_of(answer) for answer in answers] == [[str(100 + n)] for n in range(20)]
        assert {answer.headers["connection"] for answer in answers} == {"close"}
    finally:
        for each in connections:
            await each.__aexit__(None, None, None)
        await database.close()
