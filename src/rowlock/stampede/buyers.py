"""The rush: so many buyers at once, each fulfilling one wish after another, and writing down all that it is told."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import msgspec
from msgspec import Struct

from rowlock.stampede import api
from rowlock.stampede.client import Client, Lost, Reply, Unanswered, Unreachable
from rowlock.stampede.records import Attempt, Booking, Manner, Problem, Then, Told, Wish

COPIES = 3  # of a request that is sent several times at once
HANG_UP_SECONDS = 0.01  # between sending and hanging up: the server may or may not have it by then
RETRY_SECONDS = 0.1  # before asking again where the connection broke
FINISH_SECONDS_MAX = 10.0  # for attempts under way when the rush ends
TICK_SECONDS = 0.25  # how often the seats sold are looked up

_BUSY = frozenset({429, 503})
_encode = msgspec.json.Encoder().encode
_decode_booking = msgspec.json.Decoder(Booking).decode
_decode_problem = msgspec.json.Decoder(Problem).decode


class Tally(Struct):
    """What is counted while the rush runs. `latencies`: seconds of each booking request that was answered."""

    total_seats: int
    latencies: array[float] = msgspec.field(default_factory=lambda: array("d"))
    seconds: float = 0.0
    sold: int = 0
    bookings: int = 0
    conflicts: int = 0
    not_enough: int = 0
    replays: int = 0
    hang_ups: int = 0
    expired: int = 0
    busy: int = 0
    limited: int = 0
    lost: int = 0


class Rush:
    """Buyers at one show. `attempts` and `tally` tell what has happened so far, whenever it ends.

    `attempts_max` None: until sold out.
    """

    def __init__(
        self,
        clients: Sequence[Client],
        show_id: int,
        total_seats: int,
        wishes: Iterator[Wish],
        attempts_max: int | None,
    ) -> None:
        self.attempts: list[Attempt] = []
        self.tally = Tally(total_seats)
        self._clients = clients
        self._show_id = show_id
        self._path = f"/api/shows/{show_id}/bookings"
        self._wishes = wishes
        self._attempts_max = attempts_max
        self._turn = 0
        self._ended = False

    async def run(self, buyers: int, seconds: float, on_tick: Callable[[Tally], None]) -> None:
        """Rush until all attempts are made, or the show is sold out, or so many seconds have passed."""
        began = perf_counter()
        watch = asyncio.create_task(self._watch(began, on_tick))
        crowd = [asyncio.create_task(self._buyer()) for _ in range(buyers)]
        try:
            await asyncio.wait(crowd, timeout=seconds)
            self._ended = True
            await asyncio.wait(crowd, timeout=FINISH_SECONDS_MAX)
        finally:
            self._ended = True
            self.tally.seconds = perf_counter() - began
            for task in (watch, *crowd):
                task.cancel()
            outcomes = await asyncio.gather(watch, *crowd, return_exceptions=True)
            on_tick(self.tally)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _watch(self, began: float, on_tick: Callable[[Tally], None]) -> None:
        """Look up how many seats are sold, now and then; end the rush when all are, if that is when it ends."""
        tally = self.tally
        while True:
            await asyncio.sleep(TICK_SECONDS)
            tally.seconds = perf_counter() - began
            try:
                tally.sold = (await api.read_counts(self._clients[0], self._show_id)).booked_seats
            except api.StampedeError:
                continue  # busy; if it stays so, the buyers' own troubles will tell
            if self._attempts_max is None and tally.sold == tally.total_seats:
                self._ended = True
            on_tick(tally)

    async def _buyer(self) -> None:
        while not self._ended and (self._attempts_max is None or len(self.attempts) < self._attempts_max):
            attempt = Attempt(next(self._wishes))
            self.attempts.append(attempt)
            await self._fulfil(attempt)

    async def _fulfil(self, attempt: Attempt) -> None:
        wish = attempt.wish
        body = _body(wish)
        match wish.manner:
            case Manner.ONCE:
                await self._ask(attempt, body)
            case Manner.AGAIN:
                await self._ask(attempt, body)
                await self._ask(attempt, body)
            case Manner.AT_ONCE:
                await asyncio.gather(*(self._ask(attempt, body) for _ in range(COPIES)))
            case Manner.HANG_UP:
                await self._hang_up(attempt, body)
                await self._ask(attempt, body)
            case Manner.GONE:
                await self._hang_up(attempt, body)
        booking = attempt.booking
        if booking is None:
            return
        match wish.then:
            case Then.CANCEL_BOOKED:
                await self._settle(attempt, booking, "cancel")
            case Then.CONFIRM | Then.CONFIRM_LATE:
                await asyncio.sleep(wish.think_seconds)
                await self._settle(attempt, booking, "confirm")
            case Then.RELEASE:
                await asyncio.sleep(wish.think_seconds)
                await self._settle(attempt, booking, "cancel")

    async def _hang_up(self, attempt: Attempt, body: bytes) -> None:
        attempt.requests += 1
        self.tally.hang_ups += 1
        wish = attempt.wish
        await self._client().hang_up(self._path, body, wish.key, after=wish.cut, seconds=HANG_UP_SECONDS)

    async def _ask(self, attempt: Attempt, body: bytes) -> None:
        """Ask to book until there is an answer; but never again without a key where it may have been done."""
        tally, key = self.tally, attempt.wish.key
        first = True
        while first or not self._ended:
            first = False
            attempt.requests += 1
            began = perf_counter()
            try:
                reply = await self._client().ask("POST", self._path, body, key)
            except (Unreachable, Lost) as error:
                attempt.requests -= isinstance(error, Unreachable)
                await self._trouble(attempt, error)
                if key is None and isinstance(error, Lost):
                    return
                continue
            if reply.status in _BUSY:
                await self._come_again(reply)
                continue
            tally.latencies.append(perf_counter() - began)
            told = _told(reply)
            attempt.answers.append(told)
            self._count(told)
            return

    def _count(self, told: Told) -> None:
        tally = self.tally
        if told.replayed:
            tally.replays += 1
        elif told.status == 201:
            tally.bookings += 1
        elif told.code == "seats_taken":
            tally.conflicts += 1
        elif told.code == "not_enough_seats":
            tally.not_enough += 1

    async def _settle(self, attempt: Attempt, booking: Booking, verb: str) -> None:
        """Confirm or cancel, until there is an answer."""
        path = f"/api/bookings/{booking.id}/{verb}"
        in_doubt = False
        attempt.settle_unknown = True  # until we know better; the rush may end in between
        while True:
            try:
                reply = await self._client().ask("POST", path)
            except (Unreachable, Lost) as error:
                in_doubt = True
                await self._trouble(attempt, error)
            else:
                if reply.status not in _BUSY:
                    break
                in_doubt = True
                await self._come_again(reply)
            if self._ended:
                return
        attempt.settled = _told(reply)
        attempt.settle_unknown = in_doubt
        self.tally.expired += attempt.settled.code == "hold_expired"

    def _client(self) -> Client:
        """The servers take turns."""
        self._turn += 1
        return self._clients[self._turn % len(self._clients)]

    async def _trouble(self, attempt: Attempt, error: Exception) -> None:
        self.tally.lost += 1
        attempt.unanswered += isinstance(error, Unanswered)
        await asyncio.sleep(RETRY_SECONDS)

    async def _come_again(self, reply: Reply) -> None:
        if reply.status == 429:
            self.tally.limited += 1
        else:
            self.tally.busy += 1
        await asyncio.sleep(reply.retry_after or 1.0)


def _body(wish: Wish) -> bytes:
    body: dict[str, object] = {"user_id": wish.user_id, "confirm": not wish.then.holds}
    if wish.seats:
        body["seats"] = wish.seats
    else:
        body["seat_count"] = wish.seat_count
    return _encode(body)


def _told(reply: Reply) -> Told:
    """An answer, read. What can't be read has the code "unreadable", which no audit lets pass."""
    try:
        if reply.status < 300:
            return Told(reply.status, None, _decode_booking(reply.body), reply.replayed)
        problem = _decode_problem(reply.body)
        return Told(reply.status, problem.code, problem.booking, reply.replayed)
    except msgspec.DecodeError:
        return Told(reply.status, "unreadable", None, reply.replayed)
