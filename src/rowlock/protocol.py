"""The protocol: what a connection may ask of us before any of the application runs. uvicorn's own, with bounds.

1. A header block, or anything else that the parser must gather before it can say what it is, has a size.
2. Whoever has begun something must go on: headers have a deadline, a body must come, an answer must be taken. Nothing
   is asked of those who wait for us: an answer under way, a stream that is quiet, or reading that we have paused.
3. A refusal is an answer as any other (http/observing.py). It never overtakes or cuts one that is due before it.
4. A request to book goes to the door first (http/door.py), whole; what it does not take goes on to the application.

5. Whoever asked there and sends the very same head again is not parsed again: the request is framed as that one was,
   and asks for the same, but for its body and for what has become of the caller meanwhile.
6. Answers of the door are sent in a moment, when all of a batch are spelled out: each wakes somebody, and whoever is woken by
   every one of a row of them takes the core away as often.

A request costs some attribute stores here, and no timer: each connection has one, which looks at the times that were
stored and sets itself anew. It also closes what is kept alive and not used. What the application is to know of a request
(its scope) is put together only where it goes there.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec
from litestar.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl, service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rowlock.http.door import Door, Head, Reply
from rowlock.http.observing import Observing
from rowlock.http.problems import Code, Problem
from rowlock.http.rendering import PROBLEM_JSON, body_of, headers_of

HEADERS_BYTES_MAX = 65_536  # with the request line; browsers and proxies send 8 to 16 KiB at most
HEADERS_MAX = 100  # browsers send some 20, and proxies add some
HEADERS_SECONDS_MAX = 15  # from the connection's opening, or a further request's first byte, to their end
BODY_PAUSE_SECONDS_MAX = 30  # between two pieces of a body: a phone in a tunnel, not a sender who has gone
BODY_SECONDS_MAX = 300  # for the whole of it: 1 MiB, the largest that is taken, at 3.5 kB/s
WRITE_PAUSE_SECONDS_MAX = 30  # without a byte taken of an answer that fills the buffers: as for bodies
ENDING_WRITE_PAUSE_SECONDS_MAX = 1  # once the server ends: whoever still reads has taken a byte by then
LINGER_SECONDS = 2  # to take in what is still on its way; closing on it would reset the refusal away
DOOR_BYTES_MAX = 65_536  # of a body; one with hundreds of seats has some 10 kB
KNOWN_BYTES_MAX = 4_096  # of heads that are remembered; a connection may be kept for a minute
RETRY_AFTER_SECONDS = 1  # connections come and go by the second

_NEVER = float("inf")


class _Reading(Enum):
    """What is being read of the connection."""

    NOTHING = auto()  # the last request is complete, and not a byte of another has come
    HEADERS = auto()
    BODY = auto()


class _Refused(Exception):  # noqa: N818 (it is no error of ours)
    """Tells the parser to stop; what to answer is in `Protocol._refusal` by then."""


class _Flow(FlowControl):
    """uvicorn's, and when reading was last taken up again: nobody is late while we don't read."""

    resumed_at = 0.0

    def resume_reading(self) -> None:
        if self.read_paused:
            self.resumed_at = asyncio.get_running_loop().time()
        super().resume_reading()


class _AtTheDoor:
    """A request at the door. It stands for uvicorn's cycle there, and has of one what uvicorn and we ask for."""

    __slots__ = (
        "_protocol",
        "body_bytes",
        "disconnected",
        "head",
        "headers",
        "keep_alive",
        "pieces",
        "response_complete",
        "waiting_for_100_continue",
    )
    message_event: Any  # of all of them: see below
    response_started = False

    def __init__(self, protocol: Protocol) -> None:
        self.headers = protocol.headers
        self.keep_alive: bool = protocol.parser.should_keep_alive()
        self.pieces: list[bytes] = []  # of the body
        self.body_bytes = 0
        self.response_complete = self.disconnected = self.waiting_for_100_continue = False
        self.head: Head | None = None  # what the door read, if it took the request
        self._protocol = protocol

    def reply(self, status: int, answer: bytes) -> None:
        """Send the answer: all that follows the status line and the server's own headers."""
        if self.response_complete:
            return  # something failed after it was answered, its log line, say: a second answer would be the next one's
        self.response_complete = True
        protocol = self._protocol
        transport = protocol.transport
        if not self.disconnected and not transport.is_closing():
            own = _spelled(protocol.server_state.default_headers)
            if not self.keep_alive:
                own += b"connection: close\r\n"
            protocol.send_soon(b"".join((STATUS_LINE[status], own, answer)))
            if not self.keep_alive:
                protocol.send()
                transport.close()
        protocol.on_response_complete()


class _Spelled:
    """The server's own headers, as they are sent. uvicorn makes a new list of them once a second, with the date."""

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._bytes = b""

    def __call__(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """These, which nobody changes."""
        if headers is not self._headers:
            self._bytes = b"".join([b"%b: %b\r\n" % header for header in headers])
            self._headers = headers
        return self._bytes


_spelled = _Spelled()


class _Known(NamedTuple):
    """The head of a request that the door took: how long the whole request is, and what was read in its head."""

    request_bytes: int
    head: Head


class _NobodyWaits:
    """In place of the event that an application waits on for more of a body."""

    def set(self) -> None:
        """Wake nobody."""


_AtTheDoor.message_event = _NobodyWaits()


class Protocol(HttpToolsProtocol):
    """One connection."""

    flow: _Flow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._reading = _Reading.HEADERS
        self._began_at = self._moved_at = self.loop.time()  # what is being read; its last piece
        self._piece_bytes = 0  # of what came last
        self._unparsed_bytes = 0  # at most this much has come since the parser last got somewhere
        self._refusal: Problem | None = None
        self._ending = False  # whatever comes now is dropped
        self._unsent_bytes = -1  # when last looked at
        self._unsent_since = 0.0
        self._write_pause_seconds_max: float = WRITE_PAUSE_SECONDS_MAX
        self._timer = self.loop.call_later(HEADERS_SECONDS_MAX, self._look)
        state = getattr(self.config.app, "state", {})
        self._door: Door | None = state.get("door")
        self._at_door: _AtTheDoor | None = None  # a request to book whose body is not complete
        self._known: dict[bytes, _Known] = {}  # heads of requests that the door took, as they came
        self._known_bytes = 0
        self._said: list[tuple[bytes, bytes]] = []  # the headers of what is being read
        self._answered_at = _NEVER  # the last request
        self._answers = b""  # of the door, to be sent in a moment

    def shutdown(self) -> None:
        """The server ends: it answers what is in hand, but waits for nobody who takes nothing of an answer."""
        self.send()
        super().shutdown()
        self._write_pause_seconds_max = ENDING_WRITE_PAUSE_SECONDS_MAX
        self._timer.cancel()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing behind."""
        self._timer.cancel()
        super().connection_lost(exc)

    # --- answers of the door -----------------------------------------------------------------------------------

    def send_soon(self, answer: bytes) -> None:
        """Send an answer when those that are given together with it are spelled out.

        It comes before whatever an application says after it, which runs in a task that begins later.
        """
        if not self._answers:
            self.loop.call_soon(self.send)
        self._answers += answer

    def send(self) -> None:
        """Send what is to be sent soon, if anything is."""
        answers, self._answers = self._answers, b""
        if answers and not self.transport.is_closing():
            self.transport.write(answers)

    def eof_received(self) -> None:
        """Nothing more comes; the transport closes with this."""
        self.send()
        super().eof_received()

    # --- reading -----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read on, within bounds."""
        if self._ending:
            return
        if self._known and self._serve_known(data):
            return
        # The parser has nothing of it yet. (What came together with the last one's end counts as nothing unparsed.)
        whole = self._reading is _Reading.NOTHING or (self.cycle is None and not self._unparsed_bytes)
        self._moved_at = self.loop.time()
        if self._reading is _Reading.NOTHING:
            self._reading = _Reading.HEADERS
            self._began_at = self._moved_at
        self._piece_bytes = len(data)
        self._unparsed_bytes += self._piece_bytes
        super().data_received(data)
        if whole:
            self._note_head(data)
        if self._unparsed_bytes > HEADERS_BYTES_MAX and not self._ending:
            self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        """A request's first byte, which may have come together with the last one's end."""
        self.url = b""
        self.expect_100_continue = False
        self._said = self.headers = []
        if self._reading is _Reading.NOTHING:
            self._reading = _Reading.HEADERS
            self._began_at = self._moved_at

    def on_headers_complete(self) -> None:
        """Let the application begin, unless there is too much of them."""
        if len(self.headers) > HEADERS_MAX:
            self._refusal = _problem(431, f"A request may have {HEADERS_MAX} headers.")
            raise _Refused
        # They are added up only where they may be too large: those of an ordinary request can't be.
        if self._unparsed_bytes > HEADERS_BYTES_MAX or self._piece_bytes > HEADERS_BYTES_MAX:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEADERS_BYTES_MAX:
                self._refusal = self._too_large()
                raise _Refused
        if self._may_book():
            self.cycle = self._at_door = _AtTheDoor(self)  # type: ignore[assignment]
        else:
            self._begin()
        self.headers = []  # what follows a chunked body is no header of the request
        self._reading = _Reading.BODY
        self._began_at = self._moved_at
        self._unparsed_bytes = 0

    def _begin(self) -> None:
        """Let the application begin. Whatever uvicorn does at a request's first byte is done now."""
        url, expects = self.url, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.scope["headers"] = self._said
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Progress."""
        self._unparsed_bytes = 0
        waiting = self._at_door
        if waiting is None:
            super().on_body(body)
            return
        waiting.pieces.append(body)
        waiting.body_bytes += len(body)
        if waiting.body_bytes > DOOR_BYTES_MAX:
            self._go_on(waiting)

    def on_message_complete(self) -> None:
        """Nothing is asked of the client until it begins another."""
        waiting, self._at_door = self._at_door, None
        if waiting is None:
            super().on_message_complete()
        elif not waiting.disconnected:
            door: Any = self._door
            headers = waiting.headers
            head = door.read(self.url, headers, self._address(headers))
            if head is not None and self._serve(door, head, b"".join(waiting.pieces), waiting.reply):
                waiting.head = head
            else:
                self._go_on(waiting)
                super().on_message_complete()
        self._reading = _Reading.NOTHING
        self._unparsed_bytes = 0

    def on_response_complete(self) -> None:
        """Go on to the next request, as uvicorn's own does, with no timer for what may be none."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._answered_at = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _address(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Where a request comes from, by what a trusted proxy says of it: as uvicorn tells the application."""
        address = self.client[0] if self.client else None
        app: Any = self.app
        if not isinstance(app, ProxyHeadersMiddleware) or address not in app.trusted_hosts:
            return address
        said = [value for name, value in headers if name == b"x-forwarded-for"]
        if not said:
            return address
        return app.trusted_hosts.get_trusted_client_address(b", ".join(said).decode("latin-1"))[0] or address

    # --- at the door -------------------------------------------------------------------------------------------

    def _may_book(self) -> bool:
        """Whether this may be a request that the door takes, with nothing before it that is still to be answered."""
        door = self._door
        if door is None or not door.wants(self.url):
            return False
        parser, cycle = self.parser, self.cycle
        return (
            (cycle is None or cycle.response_complete)
            and not self.pipeline
            and not self.flow.write_paused
            and not self.expect_100_continue
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not parser.should_upgrade()
            and len(self.connections) < (self.limit_concurrency or _NEVER)
        )

    @staticmethod
    def _serve(door: Door, head: Head, body: bytes, reply: Reply) -> bool:
        """Let the door refuse or take a request; whether it did."""
        if door.refuses(body):
            door.refuse(head, reply)
            return True
        return door.take(head, body, reply)

    def _note_head(self, data: bytes) -> None:
        """Remember the head of a request that the door took, if `data` was that request, all of it and nothing else."""
        cycle: Any = self.cycle
        if type(cycle) is not _AtTheDoor or self._reading is not _Reading.NOTHING:
            return
        read = cycle.head
        if read is None or not read.lasts or not cycle.keep_alive:
            return
        head, end, body = data.partition(b"\r\n\r\n")
        if not head.startswith(b"POST ") or b"".join(cycle.pieces) != body:
            return
        head += end
        if head not in self._known:
            self._known_bytes += len(head)
            if self._known_bytes > KNOWN_BYTES_MAX:
                self._known.clear()
                self._known_bytes = len(head)
        if len(head) <= KNOWN_BYTES_MAX:
            self._known[head] = _Known(len(data), read)

    def _serve_known(self, data: bytes) -> bool:
        """Serve a request whose head is, byte for byte, that of an earlier one, without parsing it: it is framed as that was."""
        head = data[: data.find(b"\r\n\r\n") + 4]
        known = self._known.get(head)
        waiting: Any = self.cycle
        if (
            known is None
            or len(data) != known.request_bytes
            or type(waiting) is not _AtTheDoor
            or not waiting.response_complete
            or self._reading is not _Reading.NOTHING
            or self.pipeline
            or self.flow.write_paused
            or len(self.connections) >= (self.limit_concurrency or _NEVER)
        ):
            return False
        waiting.response_complete = False
        door: Any = self._door
        if self._serve(door, known.head, data[len(head) :], waiting.reply):
            return True
        waiting.response_complete = True
        return False

    def _go_on(self, waiting: _AtTheDoor) -> None:
        """On to the application, with what has come."""
        self._at_door = None
        waiting.response_complete = True
        self._begin()
        if not waiting.keep_alive:  # the server has begun to end meanwhile, maybe
            self.cycle.keep_alive = False
        super().on_body(b"".join(waiting.pieces))

    def _too_large(self) -> Problem:
        if self._reading is _Reading.BODY:
            return _problem(400, "The body's chunks are mostly something else.")
        if len(getattr(self, "url", b"")) > HEADERS_BYTES_MAX // 2:
            return _problem(414, "The address is too long.")
        return _problem(431, f"A request's headers may have {HEADERS_BYTES_MAX // 1024} KiB.")

    # --- deadlines ---------------------------------------------------------------------------------------------

    def resume_writing(self) -> None:
        """Progress."""
        self._unsent_bytes = -1
        super().resume_writing()

    def _look(self) -> None:
        """Act if anything is overdue, and look again when the next thing may be."""
        now = self.loop.time()
        to_send = self._seconds_to_send(now)
        if to_send <= 0:
            self.transport.abort()
            return
        to_read = self._seconds_to_read(now)
        if to_read <= 0:
            if self._ending or not (self._unparsed_bytes or self._reading is _Reading.BODY):
                self.send()
                self.transport.close()  # a browser that keeps it in advance would take a 408 for an answer
            else:
                self._refuse(_problem(408, "The request did not come to its end in time."))
            self._timer.cancel()
            to_read = LINGER_SECONDS
        self._timer = self.loop.call_later(min(HEADERS_SECONDS_MAX, to_read, to_send), self._look)

    def _seconds_to_send(self, now: float) -> float:
        """How long the client may still leave what is to be sent where it is."""
        if not (self.flow.write_paused or self.transport.is_closing()):
            return _NEVER
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes = unsent_bytes
            self._unsent_since = now
        return self._unsent_since + self._write_pause_seconds_max - now

    def _seconds_to_read(self, now: float) -> float:
        """How long the client may still take for what it has begun."""
        if self.transport.is_closing():
            return _NEVER
        if self._ending:
            return self._began_at + LINGER_SECONDS - now
        if self._reading is not _Reading.BODY and self.cycle is not None and not self.cycle.response_complete:
            return _NEVER
        if self._reading is _Reading.NOTHING:
            return max(self._answered_at, self._moved_at) + self.timeout_keep_alive - now
        if self._reading is _Reading.HEADERS:
            return self._began_at + HEADERS_SECONDS_MAX - now
        if not (self.flow.read_paused or self.pipeline or self.cycle.waiting_for_100_continue):
            began_at = max(self._began_at, self.flow.resumed_at)
            moved_at = max(self._moved_at, self.flow.resumed_at)
            return min(began_at + BODY_SECONDS_MAX, moved_at + BODY_PAUSE_SECONDS_MAX) - now
        return _NEVER

    # --- refusing ----------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """uvicorn's word for whatever its parser refuses, and by `_Refused` for what we do."""
        self._refuse(self._refusal or _problem(400, msg))

    def _refuse(self, problem: Problem) -> None:
        """Take no more of this connection. Say why, where that can't be taken for another request's answer."""
        self._ending = True
        self.send()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if (
                self._reading is not _Reading.BODY
            ):  # a later request is at fault: those before it are answered
                cycle.keep_alive = False
                self._began_at = _NEVER
                return
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
            cycle.disconnected = True  # this is its answer; the application's would be a second
            cycle.waiting_for_100_continue = False
            cycle.message_event.set()
        elif self._reading is _Reading.BODY:  # it is answered already
            self.transport.close()
            return
        self.transport.write(self._answer(problem))
        self.transport.write_eof()
        self._began_at = self.loop.time()
        self._timer.cancel()
        self._timer = self.loop.call_later(LINGER_SECONDS, self._look)

    def _answer(self, problem: Problem) -> bytes:
        """A refusal's bytes, with all that every answer bears."""
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        async def receive() -> Any:
            raise AssertionError("a refusal reads nothing")

        scope: Any = {"type": "http", "method": "", "headers": self._said, "state": {}}
        answering = Observing(_Refusing(problem), {})(scope, receive, send)
        with contextlib.suppress(StopIteration):
            contextvars.copy_context().run(answering.send, None)  # it waits for nothing, so one step is all
        start, body = messages
        lines = [STATUS_LINE[start["status"]]]
        for name, value in [*self.server_state.default_headers, *start["headers"]]:
            lines.append(name + b": " + value + b"\r\n")
        return b"".join([*lines, b"\r\n", body["body"]])

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        super()._start_asgi_task(cycle, _BUSY if app is service_unavailable else app)


class _Refusing:
    """An application that knows one answer."""

    def __init__(self, problem: Problem) -> None:
        self._status = problem.status
        self._body = msgspec.json.encode(body_of(problem))
        self._headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(self._body)).encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in headers_of(problem).items()),
        ]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer."""
        await send({"type": "http.response.start", "status": self._status, "headers": list(self._headers)})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def _problem(status: int, detail: str) -> Problem:
    problem = Problem(Code.INVALID_REQUEST, detail)
    problem.status = status  # HTTP has words of its own for these, and nobody goes by them
    return problem


_BUSY: Any = Observing(
    _Refusing(
        Problem(
            Code.BUSY,
            "More connections are open than can be served.",
            retry_after=RETRY_AFTER_SECONDS,
        )
    ),
    {},
)
