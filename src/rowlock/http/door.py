"""The door: requests to book, answered without the framework.

A flash sale asks for little else, and of what such a request costs the framework's handling of it was the larger part
(docs/decisions/0027). So the protocol brings POST /api/bookings and POST /api/shows/{id}/bookings here first.

 1. It knows the ordinary request only, and its own ways of ending: the booking, the refusal by the state of the seats,
    or busy. Whatever is unusual, a bad field, a queued booking, a show not met before, it leaves to the framework
    (`take` returns False), having done nothing. So there is one way to refuse, and one to explain.
 2. What it answers is what the framework would: tests/end_to_end/test_door.py asks both the same.
 3. In a crowd that lasts it refuses unread (`refuses`, `refuse`): no more is done for those who come
    again and again than must be.
 4. Nothing here awaits: a request costs no task and no future. The engine calls when it was decided, and committed.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Sequence
from logging import INFO
from time import perf_counter
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from rowlock import telemetry
from rowlock.domain.world import Decision
from rowlock.engine.engine import Crowded, OutcomeUnknown
from rowlock.http.bookings import EXPLAINED, actor_of, idempotency_key_in, refused, replayed_header
from rowlock.http.identifiers import show_number
from rowlock.http.identity import Authenticator, Caller
from rowlock.http.observing import (
    API_CSP,
    REQUEST_ID,
    SECURITY,
    new_request_id,
    own_request_id_in,
)
from rowlock.http.problems import Code, Problem
from rowlock.http.rates import (
    BookingLimits,
    Counts,
    bookings_of,
    guests_at,
    guests_holds_at,
    holds_of,
    limit_headers,
)
from rowlock.http.reading import BODY_BYTES_MAX, decode
from rowlock.http.refusals import SUCCEEDED
from rowlock.http.rendering import PROBLEM_JSON, body_of, headers_of, problem_of
from rowlock.http.trails import trail_by
from rowlock.http.wire import BookingBody, ShowBookingBody, check_user_id
from rowlock.operations.book import Booked, BookRequest, Prepared, begin, conclude, prepare_by
from rowlock.operations.context import Context
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.find_shows import find_show

log = structlog.get_logger(__name__)

BOOKINGS: Final = "/api/bookings"
SHOW_BOOKINGS: Final = "/api/shows/{show_id}/bookings"
_BOOKINGS: Final = BOOKINGS.encode()
_BEFORE_SHOW, _AFTER_SHOW = (part.encode() for part in SHOW_BOOKINGS.split("{show_id}"))
_JSON: Final = b"application/json"
# Headers of which one is what there may be; and those that ask for something out of the ordinary.
_SINGLE: Final = frozenset({b"content-type", b"idempotency-key", b"authorization", b"x-request-id"})
_UNUSUAL: Final = frozenset({b"prefer", b"content-encoding", b"transfer-encoding", b"expect"})
_PROBLEM: Final = PROBLEM_JSON.encode()
_EVERY_ANSWER: Final = b"".join(b"%b: %b\r\n" % header for header in (*SECURITY, API_CSP))

# In a crowd that lasts, the rest of those who ask wait so long for their refusal: less than anybody minds, and long enough
# that a thousand who ask again at once can be answered. Those due so soon after the first are told with it.
REFUSAL_SECONDS: Final = 0.018
TOGETHER_SECONDS: Final = 0.004

_encode = msgspec.json.Encoder().encode


def _full() -> bytes:
    """The answer to those who are refused unread, all but the request's id."""
    problem = Problem(Code.BUSY, "Too many bookings are waiting.", retry_after=1)
    body = _encode(body_of(problem))
    head = _head_of(problem)
    return (
        b"%bcache-control: no-store\r\ncontent-type: %b\r\ncontent-length: %d\r\n%bx-request-id: %%b\r\n\r\n%b"
        % (head, _PROBLEM, len(body), _EVERY_ANSWER, body)
    )


def _head_of(problem: Problem) -> bytes:
    return b"".join(
        b"%b: %b\r\n" % (name.lower().encode(), value.encode())
        for name, value in headers_of(problem).items()
        if name != "Cache-Control"
    )


_FULL: Final = _full()

_CUT_OFF: Final = OutcomeUnknown("the server was stopped while this was decided")

Headers = Sequence[tuple[bytes, bytes]]
Reply = Callable[
    [int, bytes], None
]  # a status, and all that follows the status line and the server's own headers


class Head(msgspec.Struct, frozen=True, gc=False):
    """What stands before the body of an ordinary request, read once: who sends the same head again asks for the same, and only
    who they are may have changed meanwhile.
    """

    headers: Headers
    address: str | None  # where it came from
    route: str
    show_id: int | None  # in its address
    credential: bytes | None  # as sent in its Authorization header
    key: str | None  # its Idempotency-Key
    request_id: str | None  # the caller's own; None for a new one each time

    @property
    def lasts(self) -> bool:
        """Whether the same head may well come again."""
        return self.key is None and self.request_id is None


class _Refusal(NamedTuple):
    """Somebody who is to be refused: asked at a time of the loop's clock."""

    began: float
    route: str
    request_id: str | None
    reply: Reply


class _Asked(msgspec.Struct, gc=False):
    """A request that was taken, and what it takes to answer it. The engine tells it what it came to: see `Answer`."""

    door: Door
    began: float
    request_id: str
    route: str
    wanted: BookRequest
    prepared: Prepared
    keyed: bool
    limits: dict[str, str]
    reply: Reply
    answered: bool = False

    def done(self) -> bool:
        """Whether it was told."""
        return self.answered

    def set_result(self, decision: Decision) -> None:
        """It was decided."""
        self.answered = True
        self.door.decided(self, decision)

    def set_exception(self, error: BaseException) -> None:
        """It was not."""
        self.answered = True
        self.door.failed(self, error)


class Door:
    """Takes requests to book, as they come from the protocol. One for each application."""

    def __init__(
        self, context: Context, authenticator: Authenticator, counts: Counts, limits: BookingLimits
    ) -> None:
        self._context = context
        self._authenticator = authenticator
        self._counts = counts
        self._limits = limits
        self._log: Any = log.bind()  # once: the logger that a module has is looked up anew for each line
        self._explaining: set[asyncio.Task[None]] = set()
        self._refusals: deque[_Refusal] = deque()

    def wants(self, url: bytes) -> bool:
        """Whether a POST to this address may be one that it takes."""
        return url == _BOOKINGS or (url.startswith(_BEFORE_SHOW) and url.endswith(_AFTER_SHOW))

    def read(self, url: bytes, headers: Headers, address: str | None) -> Head | None:
        """What stands in the head of an ordinary request that came from an address; None for another one."""
        names: set[bytes] = set()
        media_type, credential = b"", None
        cors = self._authenticator.origins.cors is not None
        for name, value in headers:
            if name in _UNUSUAL or (name in _SINGLE and name in names) or (cors and name == b"origin"):
                return None
            names.add(name)
            if name == b"content-type":
                media_type = value
            elif name == b"authorization":
                credential = value
        if media_type != _JSON:
            return None
        try:
            key = idempotency_key_in(headers) if b"idempotency-key" in names else None
            show_id = None
            if url != _BOOKINGS:
                show_id = show_number(url[len(_BEFORE_SHOW) : -len(_AFTER_SHOW)].decode("latin-1"))
        except (Problem, NotFound):
            return None  # the framework comes to the same, and says so
        route = BOOKINGS if show_id is None else SHOW_BOOKINGS
        return Head(headers, address, route, show_id, credential, key, own_request_id_in(headers))

    def take(self, head: Head, body: bytes, reply: Reply) -> bool:
        """Take a request, and `reply` once it is decided; or return False, having done nothing."""
        began = perf_counter()
        try:
            return self._take(began, head, body, reply)
        except (Problem, Invalid, NotFound):
            return False  # likewise

    def refuses(self, body: bytes) -> bool:
        """Whether a request to book is refused unread: where the lanes it may be for are full."""
        return self._context.engine.refuses(body)

    def refuse(self, head: Head, reply: Reply) -> None:
        """Refuse a request, in a moment: whoever asks again as soon as they are answered takes less of our time then."""
        self._refuse(head.route, head.request_id, reply)

    def _refuse(self, route: str, request_id: str | None, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        if not self._refusals:
            loop.call_later(REFUSAL_SECONDS, self._say_full)
        self._refusals.append(_Refusal(loop.time(), route, request_id, reply))

    def _say_full(self) -> None:
        """Say so to those whose moment has come, with no line in the log: there may be thousands a second, and the metrics
        count them.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        refusals, due = self._refusals, now - REFUSAL_SECONDS + TOGETHER_SECONDS
        try:
            while refusals and refusals[0].began <= due:
                began, route, request_id, reply = refusals.popleft()
                reply(503, _FULL % (request_id or new_request_id()).encode())
                telemetry.REQUESTS.count(route, "POST", 503, now - began)
        finally:
            if refusals:
                loop.call_later(max(0.0, refusals[0].began + REFUSAL_SECONDS - now), self._say_full)

    def _take(self, began: float, head: Head, body: bytes, reply: Reply) -> bool:
        if not 0 < len(body) <= BODY_BYTES_MAX:
            return False
        authenticator = self._authenticator
        caller = None if head.credential is None else authenticator.remembered(head.credential)
        if caller is None:
            scope: Any = {"method": "POST", "headers": head.headers}  # all that it asks of one
            caller = authenticator.identify(scope)
        if caller is None or caller.user_id is None:
            return False
        wanted = _read(head, body, caller)
        plan = self._context.plans.known(wanted.show_id)
        if plan is None:
            return False
        prepared = prepare_by(plan, wanted)
        limits = self._count(caller, head.address, hold=not wanted.confirm)
        if limits is None:
            return False
        key, request_id = head.key, head.request_id or new_request_id()
        trail = trail_by(caller, head.address, request_id)
        asked = _Asked(self, began, request_id, head.route, wanted, prepared, key is not None, limits, reply)
        try:
            begin(
                self._context, wanted, prepared, asked, by=actor_of(caller), idempotency_key=key, trail=trail
            )
        except Crowded:
            self._refuse(head.route, request_id, reply)
        except Exception as error:
            self._fail(asked, error)
        return True

    def _count(self, caller: Caller, address: str | None, *, hold: bool) -> dict[str, str] | None:
        """Count the request towards the limits on it: the headers that tell of the innermost, or None where others must be
        asked or it is one too many. Staff and services act for many, and have none.
        """
        if caller.is_staff:
            return {}
        limits = self._limits
        names = [(guests_at(address or ""), limits.guests)] if caller.is_guest else []
        names.append((bookings_of(caller.user_id), limits.bookings))
        told = len(names)
        if hold:
            names.append((holds_of(caller.user_id), limits.holds))
            if caller.is_guest:
                names.append((guests_holds_at(address or ""), limits.holds))
        limited = [name for name, most in names if most]
        if limited and self._counts.shared is not None:
            return None
        if any(most and self._counts.so_far(name) >= most for name, most in names):
            return None  # before any is counted: the framework counts all of them, and refuses
        headers: dict[str, str] = {}
        for number, (name, most) in enumerate(names):
            if not most:
                continue
            count = self._counts.hit_alone(name)
            if number < told:
                headers = limit_headers(most, count)
        return headers

    def decided(self, asked: _Asked, decision: Decision) -> None:
        """Answer a request that was decided. The engine goes on to the next, so nothing may be raised."""
        try:
            booked = conclude(asked.prepared, decision, keyed=asked.keyed)
            if booked.outcome in SUCCEEDED and booked.booking is not None:
                self._confirm(asked, booked)
            elif booked.outcome in EXPLAINED:
                task = asyncio.create_task(self._explain(asked, booked))
                self._explaining.add(task)
                task.add_done_callback(self._explaining.discard)
            else:
                self._fail(asked, refused(asked.wanted, booked, None, replayed_header(booked)))
        except Exception as error:
            self.failed(asked, error)

    def failed(self, asked: _Asked, error: BaseException) -> None:
        """Answer a request that was not decided."""
        try:
            self._fail(asked, error if isinstance(error, Exception) else _CUT_OFF)
        except Exception:
            log.exception("answer_not_sent", request_id=asked.request_id)

    def _confirm(self, asked: _Asked, booked: Booked) -> None:
        booking = booked.booking
        assert booking is not None, "it succeeded"
        head = b"location: /api/bookings/%b\r\n" % str(booking.id).encode()
        if booked.replayed:
            head += b"idempotency-replayed: true\r\n"
        self._send(asked, 201, _JSON, head, _encode(booking))

    async def _explain(self, asked: _Asked, booked: Booked) -> None:
        """A refusal by the show's own terms says which they are; it is read for that."""
        try:
            show = await find_show(self._context, asked.wanted.show_id)
            self._fail(asked, refused(asked.wanted, booked, show, replayed_header(booked)))
        except Exception as error:
            self._fail(asked, error)

    def _fail(self, asked: _Asked, error: Exception) -> None:
        # What is logged of it bears the request's id, and what the lane logs next does not.
        contextvars.copy_context().run(self._say_failed, asked, error)

    def _say_failed(self, asked: _Asked, error: Exception) -> None:
        telemetry.bind_request(asked.request_id)
        problem = problem_of(error, {"method": "POST", "state": {REQUEST_ID: asked.request_id}})
        self._send(asked, problem.status, _PROBLEM, _head_of(problem), _encode(body_of(problem)))

    def _send(self, asked: _Asked, status: int, media_type: bytes, head: bytes, body: bytes) -> None:
        for name, value in asked.limits.items():
            head += b"%b: %b\r\n" % (name.lower().encode(), value.encode())
        answer = (
            b"%bcache-control: no-store\r\ncontent-type: %b\r\ncontent-length: %d\r\n%bx-request-id: %b\r\n\r\n%b"
            % (head, media_type, len(body), _EVERY_ANSWER, asked.request_id.encode(), body)
        )
        asked.reply(status, answer)
        seconds = perf_counter() - asked.began
        telemetry.REQUESTS.count(asked.route, "POST", status, seconds)
        if self._log.is_enabled_for(INFO):
            self._log.info(
                "request",
                method="POST",
                route=asked.route,
                status=status,
                ms=round(seconds * 1000, 1),
                request_id=asked.request_id,
            )


def _read(head: Head, body: bytes, caller: Caller) -> BookRequest:
    """What is wanted. Raises a `Problem`."""
    data: ShowBookingBody
    if head.show_id is None:
        data = whole = decode(body, BookingBody)
        show_id = whole.show_id
    else:
        data = decode(body, ShowBookingBody)
        show_id = head.show_id
    if data.user_id is not None:
        check_user_id(data.user_id)
    return data.to_request(show_id, caller.acting_user(data.user_id))
