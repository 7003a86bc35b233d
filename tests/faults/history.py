"""The history: every request that a client sent, what it was told, and when, by the monotonic clock of this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from rowlock.stampede.client import Reply
from rowlock.stampede.records import Booking, Problem


class Kind(StrEnum):
    """What a client asks for."""

    BOOK = "book"
    QUEUE = "queue"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    READ = "read"
    BLOCK = "block"
    UNBLOCK = "unblock"


class Answer(StrEnum):
    """What came of a request."""

    DONE = "done"
    REFUSED = "refused"
    NOT_DONE = "busy, nothing was done"
    DOUBTFUL = "busy, done or not"
    LOST = "no answer"
    UNREACHABLE = "not sent"
    WRONG = "an answer that must not be"


class Call(msgspec.Struct):
    """A request. `press`: several with one are the same wish, asked again; it is also the user's name.

    `seats` are asked for by name, or else `count`. `told` is the booking in the answer.
    """

    kind: Kind
    server: int
    press: str
    begin: float
    end: float = 0.0
    key: str | None = None
    seats: tuple[str, ...] = ()
    count: int = 0
    hold: bool = False
    booking: str | None = None
    answer: Answer = Answer.LOST
    status: int = 0
    code: str | None = None
    detail: str = ""
    conflicts: tuple[str, ...] = ()
    told: Booking | None = None


_BOOKING = msgspec.json.Decoder(Booking)
_PROBLEM = msgspec.json.Decoder(Problem)
_REFUSALS = {404, 409, 422}
# What a server says where it can't know (http/rendering.py); every other 503 promises that nothing was done.
_OR_NOT = "or it was not"


class _Queued(msgspec.Struct):
    id: str
    status: str
    reason: str | None = None


_QUEUED = msgspec.json.Decoder(_Queued)


def now() -> float:
    """The time of this history."""
    return time.monotonic()


def take(call: Call, reply: Reply) -> None:
    """Write an answer down."""
    call.end = now()
    call.status = reply.status
    try:
        if (call.kind in {Kind.BLOCK, Kind.UNBLOCK} and reply.status == 200) or (
            reply.status in {200, 201} and _QUEUED.decode(reply.body).reason == "queued"
        ):
            call.answer = Answer.DONE
        elif reply.status in {200, 201}:
            call.told = _BOOKING.decode(reply.body)
            call.booking = call.told.id
            call.answer = Answer.DONE
        elif reply.status == 202:
            call.booking = _QUEUED.decode(reply.body).id
            call.answer = Answer.DONE
        else:
            _take_problem(call, reply)
    except msgspec.DecodeError as error:
        call.answer = Answer.WRONG
        call.detail = f"{error}: {reply.body[:200]!r}"


def _take_problem(call: Call, reply: Reply) -> None:
    problem = _PROBLEM.decode(reply.body)
    call.code, call.detail, call.conflicts, call.told = (
        problem.code,
        problem.detail,
        problem.conflicts,
        problem.booking,
    )
    if reply.status == 503 and reply.retry_after:
        call.answer = Answer.DOUBTFUL if _OR_NOT in problem.detail else Answer.NOT_DONE
    elif reply.status in _REFUSALS:
        call.answer = Answer.REFUSED
    else:
        call.answer = Answer.WRONG


def presses(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """The requests to book, those of one wish together, in the order they were sent."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        if call.kind in {Kind.BOOK, Kind.QUEUE}:
            found.setdefault(call.press, []).append(call)
    for press in found.values():
        press.sort(key=lambda call: call.begin)
        yield press


def save(calls: Sequence[Call], path: Path) -> None:
    """Write a history to a file, a line a call."""
    path.write_bytes(b"\n".join(msgspec.json.encode(call) for call in calls) + b"\n")


def load(path: Path) -> list[Call]:
    """Read a history back."""
    return [msgspec.json.decode(line, type=Call) for line in path.read_bytes().splitlines()]
