"""The bounds of a connection, by real sockets: strangers can't fill memory or places, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn

from rowlock import protocol
from rowlock.http.door import Head
from tests.end_to_end.conftest import Server

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"
KEPT_SECONDS = 0.6  # what the deadlines are here; far more than a loaded machine's hiccups
MIB = 1_048_576


class Answer:
    """One answer, taken apart."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        self.body = body

    def assert_problem(self, status: int, code: str = "invalid_request") -> None:
        """It is a refusal like all others."""
        assert self.status == status
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-content-type-options"] == "nosniff"
        assert self.headers["x-request-id"]
        assert self.headers["connection"] == "close"
        problem = json.loads(self.body)
        assert (problem["status"], problem["code"]) == (status, code)


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send what the server may refuse while it comes."""
        with contextlib.suppress(ConnectionError, RuntimeError):  # uvloop's word for a closed transport
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            length = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
            return Answer(head, await self.reader.readexactly(int(length[0].split()[1])))

    async def assert_closed(self) -> None:
        """Nothing more comes."""
        async with asyncio.timeout(20):
            with contextlib.suppress(ConnectionError):
                assert await self.reader.read() == b""


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    """A connection that is closed in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Paths that behave as ours do, or worse."""
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * KEPT_SECONDS)
    if scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(4 * KEPT_SECONDS)
        await send({"type": "http.response.body", "body": b"last"})
        return
    content = b"x" * 32 * MIB if scope["path"] == "/large" else scope["path"].encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Start:
    """Serves `app` in this process, as serving.py would, as often as it is called."""

    def __init__(self) -> None:
        self._running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def __call__(self, *, app: Any = app, **options: Any) -> int:
        """A further server's port."""
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, http="rowlock.protocol:Protocol", ws="none", lifespan="off", log_config=None, **options
        )
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._running.append((server, asyncio.create_task(server.serve([listener]))))
        while not server.started:  # noqa: ASYNC110 (uvicorn tells it by an attribute only)
            await asyncio.sleep(0.01)
        return int(listener.getsockname()[1])

    async def stop(self) -> None:
        """End them, as a signal would."""
        while self._running:
            server, task = self._running.pop()
            server.should_exit = True
            await task


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Servers for one test."""
    servers = Start()
    yield servers
    await servers.stop()


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    for name in ("HEADERS_SECONDS_MAX", "BODY_PAUSE_SECONDS_MAX", "WRITE_PAUSE_SECONDS_MAX"):
        monkeypatch.setattr(protocol, name, KEPT_SECONDS)
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.1)


# --- sizes, of a real server ---------------------------------------------------------------------------------------


@pytest.fixture
def real(dsn: str, tmp_path: Path) -> Iterator[Server]:
    """`rowlock serve`."""
    server = Server(dsn, tmp_path)
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("begin", "again", "status"),
    [
        (GET + b"X-Endless: ", b"y" * MIB, 431),
        (GET, b"X-Many: yyyyyyyyyyyyyyyyyyyyyyy\r\n" * 30_000, 431),
        (b"GET /", b"y" * MIB, 414),
        (b"", b"\r\n" * (MIB // 2), 431),
        (GET + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"y" * MIB, 0),
    ],
    ids=["one header", "many headers", "address", "empty lines", "trailer"],
)
async def test_endless_headers_fill_no_memory(real: Server, begin: bytes, again: bytes, status: int) -> None:
    """Anyone could take the server's memory, and its time, with one connection."""
    await real.ready()
    process = psutil.Process(real.process.pid)
    before = process.memory_info().rss
    async with connected(real.port) as client:
        await client.send(begin)
        for _ in range(30):
            await client.send(again)
        if status:
            (await client.answer()).assert_problem(status)
    assert process.memory_info().rss - before < 20 * MIB
    async with connected(real.port) as client:
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 200


async def test_large_headers_in_one_piece(start: Start) -> None:
    """A bound that counts only what is unfinished would be no bound."""
    port = await start()
    for headers, status in (
        (b"X-A: " + b"y" * 70_000 + b"\r\n", 431),
        (b"X-A: y\r\n" * 100, 431),
        (b"X-A: y\r\n" * 99, 200),
        (b"X-A: " + b"y" * 60_000 + b"\r\n", 200),
    ):
        async with connected(port) as client:
            await client.send(GET + headers + b"\r\n")
            assert (await client.answer()).status == status


async def test_what_is_no_http_is_told_so(start: Start) -> None:
    """A caller could not name the request when asking for help."""
    async with connected(await start()) as client:
        await client.send(b"GET / HTTP/1.1\r\nX-Request-Id: mine\r\nHost: x\r\nBad Header: x\r\n\r\n")
        answer = await client.answer()
        answer.assert_problem(400)
        assert answer.headers["x-request-id"] == "mine"
        await client.assert_closed()


async def test_too_many_connections_are_told_so(start: Start) -> None:
    """Clients would not know that asking again helps."""
    async with connected(await start(limit_concurrency=1)) as client:
        await client.send(GET + b"X-Request-Id: mine\r\n\r\n")
        answer = await client.answer()
        answer.assert_problem(503, "busy")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-request-id"] == "mine"


# --- deadlines -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_hurried")
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (GET, 408),
        (b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 408),
        (b"POST /at-once HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", 200),
    ],
    ids=["silence", "half the headers", "half a body", "half a body that nobody awaits"],
)
async def test_who_does_not_go_on_is_closed(start: Start, sent: bytes, status: int | None) -> None:
    """Ten thousand such connections would shut everybody else out."""
    async with connected(await start()) as client:
        await client.send(sent)
        if status == 408:
            (await client.answer()).assert_problem(408)
        elif status:
            assert (await client.answer()).status == status
        await client.assert_closed()


@pytest.mark.usefixtures("_hurried")
async def test_a_dripping_header_is_no_progress(start: Start) -> None:
    """A byte a second would hold a place for ever."""
    async with connected(await start()) as client:
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 200
        dripping = asyncio.create_task(drip(client))
        (await client.answer()).assert_problem(408)
        dripping.cancel()


async def drip(client: Client) -> None:
    """One byte after the other."""
    while True:
        await client.send(b"G" if client.reader.at_eof() else b"\r\n")
        await asyncio.sleep(KEPT_SECONDS / 6)


@pytest.mark.usefixtures("_hurried")
async def test_a_slow_body_that_comes_is_taken(start: Start) -> None:
    """A phone with a bad line could never book."""
    async with connected(await start()) as client:
        await client.send(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(KEPT_SECONDS / 4)
            await client.send(b"x")
        assert (await client.answer()).status == 200


@pytest.mark.usefixtures("_hurried")
async def test_an_answer_that_nobody_takes_is_dropped(start: Start) -> None:
    """Answers would pile up in memory until the machine has none."""
    port = await start()
    for more in (b"\r\n", b"Connection: close\r\n\r\n"):
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port))
            deaf.send(b"GET /large HTTP/1.1\r\nHost: x\r\n" + more)
            async with asyncio.timeout(20):
                while established(port):  # noqa: ASYNC110 (the kernel tells only who asks)
                    await asyncio.sleep(0.05)


async def test_the_end_does_not_wait_for_who_takes_nothing(start: Start) -> None:
    """A phone that has lost its network would make each restart as long as a restart may be."""
    port = await start()
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", port))
        deaf.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.get_running_loop().sock_recv(deaf, 1)
        async with asyncio.timeout(15):  # half of what is given to those who take nothing in mid-service
            await start.stop()


def established(port: int) -> list[Any]:
    """The server's ends of its connections."""
    return [
        connection
        for connection in psutil.Process().net_connections("tcp")
        if connection.laddr.port == port and connection.status != psutil.CONN_LISTEN
    ]


# --- who must not notice -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_hurried")
async def test_a_quiet_stream_goes_on(start: Start) -> None:
    """Seat maps would stop to be live whenever nothing is sold."""
    async with connected(await start()) as client:
        await client.send(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(20):
            assert (await client.reader.read()).endswith(b"4\r\nlast\r\n0\r\n\r\n")


@pytest.mark.usefixtures("_hurried")
async def test_a_slow_answer_is_waited_for(start: Start) -> None:
    """A booking that waits its turn would look like a broken connection, and the next one's start likewise."""
    async with connected(await start()) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /next HT")
        assert (await client.answer()).body == b"/slow"
        await client.send(b"TP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.usefixtures("_hurried")
async def test_keep_alive_is_longer_than_the_deadlines(start: Start) -> None:
    """Proxies would send into connections that are being closed."""
    async with connected(await start(timeout_keep_alive=65)) as client:
        for _ in range(3):
            await client.send(GET + b"\r\n")
            assert (await client.answer()).status == 200
            await asyncio.sleep(2 * KEPT_SECONDS)


async def test_pipelining(start: Start) -> None:
    """Large bodies and many requests at once would be taken for large headers."""
    port = await start()
    body = b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"y" * 200_000
    async with connected(port) as client:
        await client.send((GET + b"\r\n") * 3000 + (body + GET + b"\r\n") * 3)
        for number in range(3006):
            assert (await client.answer()).status == 200, number


async def test_a_refusal_never_takes_another_answers_place(start: Start) -> None:
    """A booking that was made would be told as refused."""
    async with connected(await start()) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nrubbish\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"/slow")
        await client.assert_closed()


async def test_a_body_that_breaks_at_the_door_is_told_so(real: Server) -> None:
    """The connection would break in place of a refusal, without the request's id."""
    await real.ready()
    head = b"POST /api/bookings HTTP/1.1\r\nHost: x\r\nX-Request-ID: broken-1\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(real.port) as client:
        await client.send(head + b"2\r\n{}\r\nrubbish\r\n\r\n")
        answer = await client.answer()
        answer.assert_problem(400)
        assert answer.headers["x-request-id"] == "broken-1"
        await client.assert_closed()


@pytest.mark.usefixtures("_hurried")
async def test_what_is_kept_alive_and_not_used_is_closed(start: Start) -> None:
    """Whoever was here once would keep a place for ever."""
    kept = 4 * KEPT_SECONDS
    async with connected(await start(timeout_keep_alive=kept)) as client:
        for _ in range(10):  # longer than it is kept for
            await client.send(GET + b"\r\n")
            assert (await client.answer()).status == 200
            await asyncio.sleep(KEPT_SECONDS / 2)
        began = asyncio.get_running_loop().time()
        await client.assert_closed()
        took = asyncio.get_running_loop().time() - began
        assert kept - KEPT_SECONDS < took < kept + 2 * protocol.HEADERS_SECONDS_MAX


class Doorkeeper:
    """A door that books whatever it reads, unless it is full. `taken` and `looked` tell how it was asked."""

    def __init__(self) -> None:
        self.full = True
        self.taken: list[bytes] = []
        self.looked: list[bytes] = []
        self.refused = 0
        self.passed = False  # whether nothing is ordinary any more

    def wants(self, url: bytes) -> bool:
        """Bookings."""
        return url == b"/api/bookings"

    def refuses(self, body: bytes) -> bool:
        """Nearly all."""
        return self.full and body != b"read this"

    def read(self, _url: bytes, headers: list[tuple[bytes, bytes]], address: str | None) -> Head | None:
        """What does not prefer something."""
        said = dict(headers)
        self.looked.append(said.get(b"x-name", b""))
        if b"prefer" in said:
            return None
        return Head(headers, address, "/api/bookings", None, None, said.get(b"idempotency-key"), None)  # type: ignore[arg-type]

    def refuse(self, _head: Head, reply: Any) -> None:
        """In a moment."""
        self.refused += 1
        asyncio.get_running_loop().call_soon(reply, 503, b"content-length: 4\r\n\r\nfull")

    def take(self, _head: Head, body: bytes, reply: Any) -> bool:
        """Book it."""
        if self.passed:
            return False
        self.taken.append(body)
        asyncio.get_running_loop().call_soon(reply, 201, b"content-length: %d\r\n\r\n%b" % (len(body), body))
        return True


async def test_who_asks_again_is_served_without_a_look_and_framed_as_before(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request would be taken for the end of another one, or be served for what an earlier one was."""
    door = Doorkeeper()
    monkeypatch.setattr(app, "state", {"door": door}, raising=False)
    head = b"POST /api/bookings HTTP/1.1\r\nHost: x\r\nX-Name: %b\r\nContent-Length: 9\r\n\r\n"
    one, two = head % b"one", head % b"two"
    async with connected(await start()) as client:

        async def ask(*pieces: bytes) -> tuple[int, bytes]:
            for number, piece in enumerate(pieces):
                await asyncio.sleep(0.02 * (number > 0))
                await client.send(piece)
            answer = await client.answer()
            return answer.status, answer.body

        full = (503, b"full")
        for _ in range(3):
            assert await ask(one + b"some body") == full
        assert (door.looked, door.refused) == ([b"one"], 3)
        assert await ask(two + b"some body") == full, "another head is looked at"
        assert (door.looked, door.refused) == ([b"one", b"two"], 4)
        assert await ask(two, b"some body") == full, "so is what comes in pieces"
        assert await ask(two + b"some ", b"body") == full
        assert door.looked == [b"one", b"two", b"two", b"two"]
        assert await ask(two + b"some body") == full
        assert await ask(two + b"read this") == (201, b"read this"), "the same head, for another lane"
        assert await ask(two + b"some body") == full
        door.full = False
        assert await ask(two + b"some body") == (201, b"some body")
        door.full = True
        assert await ask(two + b"some body") == full
        refused = door.refused
        await client.send((two + b"some body") * 2 + GET + b"\r\n" + two[:50])  # all at once
        assert [(await client.answer()).status for _ in range(3)] == [503, 200, 200]
        assert await ask(two[50:] + b"some body") == full, "the rest of what had begun"
        assert door.refused == refused + 2
        await client.send(two + b"some body" + b"rubbish\r\n\r\n")
        assert (await client.answer()).status == 503
        await client.assert_closed()
        assert (door.taken, door.refused) == ([b"read this", b"some body"], refused + 3)
    async with connected(await start()) as client:
        door.full = False
        door.looked.clear()
        door.taken.clear()
        for name in (one, two, one, two):
            assert await ask(name + b"some body") == (201, b"some body")
        assert door.looked == [b"one", b"two"], "several heads are known"
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 200
        assert await ask(one + b"some body") == (201, b"some body")
        keyed = one.replace(b"X-Name: one", b"Idempotency-Key: k")
        for _ in range(2):
            assert await ask(keyed + b"some body") == (201, b"some body")
        assert len(door.looked) == 5, "who has a key has another one the next time"
        door.passed = True
        assert (await ask(one + b"some body"))[0] == 200, (
            "what the door does not take goes on to the application"
        )
        door.passed = False
        for n in range(200):
            assert (await ask(head % (b"%d" % n * 50) + b"some body"))[0] == 201
        assert await ask(one + b"some body") == (201, b"some body")
        assert door.looked[-1] == b"one", "and not all of them for ever"


async def test_what_is_chunked_is_never_known(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request's body would be taken for another's chunks."""
    door = Doorkeeper()
    door.full = False
    monkeypatch.setattr(app, "state", {"door": door}, raising=False)
    head = b"POST /api/bookings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with connected(await start()) as client:
        for body in (b"some body", b"SOME BODY"):
            await client.send(head + b"9\r\n%b\r\n0\r\n\r\n" % body)
            assert (await client.answer()).body == body
    assert len(door.looked) == 2


async def test_the_middle_of_a_head_is_no_head(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a client smuggles into a header's value would be remembered as a request, and swallow others that follow it."""
    door = Doorkeeper()
    monkeypatch.setattr(app, "state", {"door": door}, raising=False)
    inner = b"POST /api/bookings HTTP/1.1\r\nHost: x\r\n\r\n"
    after = GET + b"\r\n"
    outer = b"POST /api/bookings HTTP/1.1\r\nContent-Length: %d\r\nX: " % len(after)
    async with connected(await start()) as client:
        await client.send(GET + b"\r\n" + outer)
        assert (await client.answer()).status == 200
        await asyncio.sleep(0.02)
        await client.send(inner + after)
        assert (await client.answer()).status == 503
        await client.send(inner + after)  # two requests, this time
        assert [(await client.answer()).status for _ in range(2)] == [503, 200]


async def test_trailers_are_no_headers(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller would say who they are behind the back of the proxy that checks it."""
    door = Doorkeeper()
    door.full = False
    seen: list[list[tuple[bytes, bytes]]] = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(list(scope["headers"]))
        await app({**scope, "path": "/seen"}, receive, send)

    look.state = {"door": door}  # type: ignore[attr-defined]
    port = await start(app=look)
    large = b"y" * (protocol.DOOR_BYTES_MAX + 1)  # too large for the door
    for body in (large, b"some body"):
        async with connected(port) as client:
            await client.send(
                b"POST /api/bookings HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
                b"0\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: Bearer other\r\n\r\n" % (len(body), body)
            )
            assert (await client.answer()).status in {200, 201}
    assert [dict(headers).keys() for headers in seen] == [{b"host", b"transfer-encoding"}]


@pytest.mark.usefixtures("_hurried")
async def test_an_early_answer_shortens_no_keep_alive(start: Start) -> None:
    """Whoever uploads what was refused at its first byte would lose the connection with its last one."""
    async with connected(await start(timeout_keep_alive=3 * KEPT_SECONDS)) as client:
        await client.send(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
        assert (await client.answer()).status == 200
        for letter in b"some body":
            await asyncio.sleep(KEPT_SECONDS * 0.4)
            await client.send(bytes([letter]))
        await asyncio.sleep(KEPT_SECONDS * 1.2)  # it is looked at meanwhile
        await client.send(GET + b"\r\n")
        assert (await client.answer()).status == 200


class Prompt(Doorkeeper):
    """A door that answers at once, and then does something in the same moment."""

    def __init__(self, then: Any = lambda _connection: None) -> None:
        super().__init__()
        self.full = False
        self._then = then

    def take(self, _head: Head, body: bytes, reply: Any) -> bool:
        """Book it."""
        reply(201, b"content-length: %d\r\n\r\n%b" % (len(body), body))
        self._then(reply.__self__._protocol)
        return True


BOOKING = b"POST /api/bookings HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    ("after", "answers"),
    [
        (b"rubbish\r\n\r\n", [(400, None)]),
        (GET + b"\r\n", [(200, b"/health")]),
        (BOOKING + b"two", [(201, b"two")]),
        (
            BOOKING + b"two" + GET + b"\r\n" + BOOKING + b"6 7",
            [(201, b"two"), (200, b"/health"), (200, b"/api/bookings")],
        ),
    ],
    ids=["rubbish", "another request", "another booking", "all of them"],
)
async def test_nothing_overtakes_an_answer_that_is_to_be_sent(
    start: Start, monkeypatch: pytest.MonkeyPatch, after: bytes, answers: list[tuple[int, bytes | None]]
) -> None:
    """A booking that was made would be told as refused, or as somebody else's."""
    monkeypatch.setattr(app, "state", {"door": Prompt()}, raising=False)
    async with connected(await start()) as client:
        await client.send(BOOKING + b"one" + after)
        for status, body in [(201, b"one"), *answers]:
            answer = await client.answer()
            assert answer.status == status
            assert body is None or answer.body == body


async def test_the_end_sends_what_is_to_be_sent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was booked in the last moment would not hear of it."""
    monkeypatch.setattr(app, "state", {"door": Prompt(protocol.Protocol.shutdown)}, raising=False)
    async with connected(await start()) as client:
        await client.send(BOOKING + b"one")
        assert (await client.answer()).status == 201
        await client.assert_closed()


async def test_answers_of_a_batch_are_sent_together(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would wake its client while the next one is spelled out, and take the core away for it."""
    said: list[str] = []
    waiting: list[tuple[bytes, Any]] = []
    send = protocol.Protocol.send

    def noted(connection: protocol.Protocol) -> None:
        said.append("sent")
        send(connection)

    monkeypatch.setattr(protocol.Protocol, "send", noted)

    class Batch(Doorkeeper):
        def take(self, _head: Head, body: bytes, reply: Any) -> bool:
            waiting.append((body, reply))
            if len(waiting) == 3:
                asyncio.get_running_loop().call_soon(self.answer)
            return True

        def answer(self) -> None:
            for body, reply in waiting:
                reply(201, b"content-length: 3\r\n\r\n%b" % body)
                said.append("answered")

    door = Batch()
    door.full = False
    monkeypatch.setattr(app, "state", {"door": door}, raising=False)
    port = await start()
    async with connected(port) as one, connected(port) as two, connected(port) as three:
        clients = {b"one": one, b"two": two, b"6 7": three}
        for body, client in clients.items():
            await client.send(BOOKING + body)
        for body, client in clients.items():
            assert (await client.answer()).body == body
        assert said == ["answered"] * 3 + ["sent"] * 3
