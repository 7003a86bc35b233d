"""What is asked of the API before and after the rush: who we are, a show to rush at, and its books afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec import Struct

from rowlock.stampede.client import Client, Lost, Reply, Unreachable
from rowlock.stampede.records import Booking, Counts, Ledger, SeatState
from rowlock.stampede.wishes import HOLD_SECONDS

T = TypeVar("T")

TRIES_MAX = 5  # of a reading that meets a busy server or a broken connection
PAGE = 200  # the most that a list gives at once
QUIET_SECONDS = 1.0  # no change of a seat for so long: what buyers who hung up had asked for is decided
SETTLE_SECONDS_MAX = (
    30.0  # for the last holds to lapse and be swept: six rounds of a sweeper with default settings
)


class StampedeError(Exception):
    """The stampede can't begin, or can't be audited. Its text is one line."""


class _Session(Struct):
    roles: tuple[str, ...]
    source: str


class _Made(Struct):
    id: int


class _Availability(Struct):
    version: int
    available: int
    statuses: str


class _Seats(Struct):
    version: int
    seats: tuple[SeatState, ...]


class _Bookings(Struct):
    items: tuple[Booking, ...]
    next_cursor: str | None


async def check(client: Client, token_given: bool) -> None:
    """Whether this is a Rowlock, and lets us make shows. Raises `StampedeError`."""
    try:
        reply = await client.ask("GET", "/api/session")
    except (Unreachable, Lost) as error:
        raise StampedeError(f"--url {client.url}: {error}") from None
    if reply.status in {401, 403}:
        cause = "--token is not one that it accepts" if token_given else "it does not let us in"
        raise StampedeError(f"--url {client.url}: {cause} ({reply.status})")
    try:
        session = msgspec.json.decode(reply.body, type=_Session)
    except msgspec.DecodeError:
        raise StampedeError(
            f"--url {client.url}: this is not a Rowlock (GET /api/session answers {reply.status})"
        ) from None
    if "admin" not in session.roles:
        who = ", ".join(session.roles) or "nobody"
        raise StampedeError(
            f"--token: making a show and buying for others needs the role admin, but to {client.url} we are {who}; "
            "`rowlock token --role admin --user-id stampede` makes one"
        )


async def make_show(clients: Sequence[Client], total_seats: int) -> int:
    """A show that starts tomorrow, whose holds soon lapse; every server must know it. Returns its id."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    body = {
        "name": "Stampede",
        "start_time": start,
        "total_seats": total_seats,
        "hold_seconds": HOLD_SECONDS,
    }
    reply = await _reply(clients[0], "POST", "/api/shows", msgspec.json.encode(body))
    if reply.status != 201:
        raise StampedeError(f"--url {clients[0].url}: no show could be made: {_why(reply)}")
    show_id = _decode(reply, _Made, clients[0]).id
    for client in clients[1:]:
        if (await _reply(client, "GET", f"/api/shows/{show_id}")).status != 200:
            raise StampedeError(
                f"--url {client.url}: does not know show {show_id}, just made at {clients[0].url}; "
                "several servers can be rushed at once where they share a database"
            )
    return show_id


async def read_counts(client: Client, show_id: int) -> Counts:
    """The show's counts."""
    return await _get(client, f"/api/shows/{show_id}", Counts)


async def read_ledger(client: Client, show_id: int) -> Ledger:
    """The books, once they are quiet: no hold is left to lapse, and nothing changes while they are read."""
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS_MAX
    while True:
        before = await _when_quiet(client, show_id, deadline)
        seats = await _get(client, f"/api/shows/{show_id}/seats", _Seats)
        bookings = await _bookings(client, show_id)
        counts = await read_counts(client, show_id)
        after = await _availability(client, show_id)
        if before.version == seats.version == after.version:
            return Ledger(bookings, seats.seats, after.statuses, after.available, counts)
        if asyncio.get_running_loop().time() > deadline:
            raise StampedeError(
                f"no audit: the seats of show {show_id} still change; is somebody else at it?"
            )


async def _when_quiet(client: Client, show_id: int, deadline: float) -> _Availability:
    """The seat map, as soon as it has held still and has no hold; or, in the end, as it is."""
    now = await _availability(client, show_id)
    while True:
        await asyncio.sleep(QUIET_SECONDS)
        before, now = now, await _availability(client, show_id)
        quiet = now.version == before.version and "R" not in now.statuses
        if quiet or asyncio.get_running_loop().time() > deadline:
            return now


async def _availability(client: Client, show_id: int) -> _Availability:
    return await _get(client, f"/api/shows/{show_id}/availability", _Availability)


async def _bookings(client: Client, show_id: int) -> tuple[Booking, ...]:
    found: list[Booking] = []
    path = f"/api/bookings?show_id={show_id}&limit={PAGE}"
    page = await _get(client, path, _Bookings)
    found += page.items
    while page.next_cursor is not None:
        page = await _get(client, f"{path}&cursor={page.next_cursor}", _Bookings)
        found += page.items
    return tuple(found)


async def _get(client: Client, path: str, type_: type[T]) -> T:
    reply = await _reply(client, "GET", path)
    if reply.status != 200:
        raise StampedeError(f"GET {client.url}{path}: {_why(reply)}")
    return _decode(reply, type_, client)


async def _reply(client: Client, method: str, path: str, body: bytes = b"") -> Reply:
    """An answer other than "busy", if one can be had by asking a few times."""
    trouble = ""
    for _ in range(TRIES_MAX):
        try:
            reply = await client.ask(method, path, body)
        except Unreachable as error:
            trouble = str(error)
        except Lost as error:
            if method != "GET":
                raise StampedeError(f"--url {client.url}: {error}") from None
            trouble = str(error)
        else:
            if reply.status not in {429, 503}:
                return reply
            trouble = _why(reply)
        await asyncio.sleep(1)
    raise StampedeError(f"--url {client.url}: {trouble}")


def _decode(reply: Reply, type_: type[T], client: Client) -> T:
    try:
        return msgspec.json.decode(reply.body, type=type_)
    except msgspec.DecodeError as error:
        raise StampedeError(f"--url {client.url}: answers otherwise than Rowlock does: {error}") from None


def _why(reply: Reply) -> str:
    """A refusal in its own words."""
    try:
        return str(msgspec.json.decode(reply.body, type=dict[str, object])["detail"])
    except (msgspec.DecodeError, KeyError):
        return f"answered {reply.status}"
