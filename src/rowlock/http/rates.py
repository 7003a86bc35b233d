"""Rate limits: how many requests each caller may make in a minute.

A minute begins with a caller's first request. Each process counts for itself; where it can share its counts with the
others (`SharedCounts`, that is Redis), the limit holds over all of them:

 1. Whatever is counted while a round trip is under way goes with the next one, together.
 2. Nobody waits for that longer than `WAIT_SECONDS_MAX`. Whoever has to is judged by what this process knows; while
    an answer is overdue, or there is nobody to ask, everyone is, at once. What was counted meanwhile is told later.
 3. A caller who is over the limit already, which all know, is refused without asking.

(Litestar's own middleware reads a list of times, and writes it back: over two processes it forgets. `limits` takes a
round trip a request and another for the time that is left, and its memory grows tasks. docs/decisions/0013.)
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from math import ceil
from typing import Any, Final, NamedTuple, Protocol

from litestar import Request
from litestar.enums import ScopeType
from litestar.exceptions import TooManyRequestsException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from rowlock import telemetry

WINDOW_SECONDS: Final = 60.0
CALLERS_MAX: Final = 100_000  # some 300 bytes each; beyond it the oldest counts are forgotten
WAIT_SECONDS_MAX: Final = 0.05  # a round trip takes a millisecond, even on a busy machine some ten
_FIRST_HEADER: Final = b"ratelimit-policy"
KEYS_AT_ONCE_MAX: Final = 500  # Redis does nothing else while it counts


class Count(NamedTuple):
    """The how-manieth request of a caller this is, and how long until the count begins anew."""

    number: int
    seconds_left: float


class SharedCounts(Protocol):
    """Counts over all processes. They may be away."""

    @property
    def up(self) -> bool:
        """Whether asking is worth while at this moment."""

    async def add(
        self, hits: Mapping[bytes, int], window_seconds: float
    ) -> Mapping[bytes, tuple[int, float]] | None:
        """What each count is after adding these, and the seconds until it ends; None where they are away."""


class _Window:
    """What this process knows of one caller's minute."""

    __slots__ = ("count", "ends_at", "untold")

    def __init__(self, ends_at: float) -> None:
        self.count = 0
        self.ends_at = ends_at
        self.untold = 0  # of `count`, what the others don't know of


class _Batch:
    """Requests that wait for one round trip."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, list[asyncio.Future[Count | None]]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def give_up(self) -> None:
        """Let everyone go on without the answer."""
        for futures in self.waiting.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)


class Counts:
    """The counts of this process; shared, once `shared` is set."""

    def __init__(self, callers_max: int = CALLERS_MAX) -> None:
        self.shared: SharedCounts | None = None
        self._callers_max = callers_max
        self._windows: OrderedDict[bytes, _Window] = OrderedDict()
        self._gathering = _Batch()
        self._sender: asyncio.Task[None] | None = None
        self._overdue = False

    def __len__(self) -> int:
        return len(self._windows)

    def so_far(self, caller: str) -> int:
        """How many requests of a caller were counted in its minute, without counting one."""
        window = self._windows.get(_key_of(caller))
        return window.count if window and window.ends_at > asyncio.get_running_loop().time() else 0

    def hit_alone(self, caller: str) -> Count:
        """Count a request where this process counts for itself."""
        assert self.shared is None, "where counts are shared, the others must be asked"
        return self._hit(_key_of(caller))[1]

    async def hit(self, caller: str, limit: int) -> Count:
        """Count a request."""
        key = _key_of(caller)
        window, alone = self._hit(key)
        reachable = self.shared is not None and self.shared.up and not self._overdue
        if alone.number > limit and not (reachable and window.untold):
            return alone
        if self.shared is not None:
            if not reachable:
                window.untold += 1
                telemetry.REDIS_FALLBACKS.labels("rates").inc()
            elif (shared := await self._shared_hit(key)) is not None:
                return shared
            else:
                telemetry.REDIS_FALLBACKS.labels("rates").inc()
        return alone

    def _hit(self, key: bytes) -> tuple[_Window, Count]:
        now = asyncio.get_running_loop().time()
        window = self._window(key, now)
        window.count += 1
        return window, Count(window.count, window.ends_at - now)

    def _shared_hit(self, key: bytes) -> asyncio.Future[Count | None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Count | None] = loop.create_future()
        batch = self._gathering
        batch.waiting.setdefault(key, []).append(future)
        if batch.timer is None:
            batch.timer = loop.call_later(WAIT_SECONDS_MAX, self._is_late, batch)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send(), name="rate limits")
        return future

    def _is_late(self, batch: _Batch) -> None:
        self._overdue = True
        batch.give_up()

    async def _send(self) -> None:
        while self._gathering.waiting:
            batch, self._gathering = self._gathering, _Batch()
            keys = list(batch.waiting)
            try:
                for n in range(0, len(keys), KEYS_AT_ONCE_MAX):
                    await self._tell(batch, keys[n : n + KEYS_AT_ONCE_MAX])
            finally:
                if batch.timer is not None:
                    batch.timer.cancel()
                batch.give_up()
                self._overdue = False

    async def _tell(self, batch: _Batch, keys: list[bytes]) -> None:
        now = asyncio.get_running_loop().time
        told = {key: len(batch.waiting[key]) for key in keys}
        for key in keys:
            window = self._window(key, now())
            told[key] += window.untold
            window.untold = 0
        assert self.shared is not None, "whoever waits here asked for it"
        answers = await self.shared.add(told, WINDOW_SECONDS)
        for key, sent in told.items():
            window = self._window(key, now())
            if answers is None:
                window.untold += sent
                continue
            total, seconds_left = answers[key]
            futures = batch.waiting[key]
            since = window.untold + len(self._gathering.waiting.get(key, ()))
            window.count = total + since
            window.ends_at = now() + seconds_left
            for place, future in enumerate(futures, 1):
                if not future.done():
                    future.set_result(Count(total - len(futures) + place, seconds_left))

    def _window(self, key: bytes, now: float) -> _Window:
        window = self._windows.get(key)
        if window is not None and window.ends_at > now:
            return window
        if window is not None:
            del self._windows[key]
        while self._windows:  # the order is that of their beginnings
            oldest = next(iter(self._windows.values()))
            if oldest.ends_at > now and len(self._windows) < self._callers_max:
                break
            self._windows.popitem(last=False)
        window = self._windows[key] = _Window(now + WINDOW_SECONDS)
        return window


def _key_of(caller: str) -> bytes:
    return blake2b(caller.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def bookings_of(user_id: str | None) -> str:
    """The name of a user's count of requests to book."""
    return f"bookings of {user_id}"


def limit_headers(per_minute: int, count: Count) -> dict[str, str]:
    """What a caller is told of a limit."""
    return {
        "RateLimit-Policy": f"{per_minute}; w={WINDOW_SECONDS:.0f}",
        "RateLimit-Limit": str(per_minute),
        "RateLimit-Remaining": str(max(0, per_minute - count.number)),
        "RateLimit-Reset": str(max(0, ceil(count.seconds_left))),
    }


def guests_at(where: str) -> str:
    """The name of the count of requests to book of all guests at an address."""
    return f"bookings of guests from {where}"


def holds_of(user_id: str | None) -> str:
    """The name of a user's count of holds."""
    return f"holds of {user_id}"


def guests_holds_at(where: str) -> str:
    """The name of the count of holds of all guests at an address."""
    return f"holds of guests from {where}"


class BookingLimits(NamedTuple):
    """How many requests to book there may be in a minute; 0 is no limit."""

    bookings: int = 0
    guests: int = 0
    holds: int = 0


async def _count(counts: Counts, caller: str, per_minute: int) -> dict[str, str]:
    """Count a request, and what to tell of it. Raises `TooManyRequestsException`."""
    count = await counts.hit(caller, per_minute)
    headers = limit_headers(per_minute, count)
    if count.number > per_minute:
        raise TooManyRequestsException(headers=headers)
    return headers


def address(scope: HTTPScope) -> str:
    """Where a request comes from, as the server knows it (behind a proxy: docs/configuration.md)."""
    client = scope.get("client")
    return client[0] if client is not None else ""


async def limit_holds(request: Request[Any, Any, Any]) -> None:
    """Count a hold: against the customer's bound, and a guest's against that of its address, too.

    Only the body tells that a request is a hold, so this is asked by who has read it. Staff is not counted.
    """
    caller, state = request.user, request.app.state
    if not state.holds_per_minute or caller.is_staff:
        return
    await _count(state.counts, holds_of(caller.user_id), state.holds_per_minute)
    if caller.is_guest:
        await _count(state.counts, guests_holds_at(address(request.scope)), state.holds_per_minute)


async def limit_sign_ins(request: Request[Any, Any, Any], user_id: str) -> None:
    """Count a sign-in as this user, from wherever."""
    state = request.app.state
    if state.get("sign_ins_per_minute"):
        await _count(state.counts, f"sign-ins as {user_id}", state.sign_ins_per_minute)


class RateLimit:
    """The middleware: refuses whoever has come too often, and tells everyone else what is left.

    The counts are the application's (`app.state.counts`): Litestar makes a middleware anew for each route.
    """

    def __init__(self, app: ASGIApp, per_minute: int, identify: Callable[[HTTPScope], str | None]) -> None:
        """`identify`: who is counted; None for a request that isn't."""
        self._app = app
        self._per_minute = per_minute
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        caller = self._identify(scope) if scope["type"] == ScopeType.HTTP else None
        if caller is None:
            await self._app(scope, receive, send)
            return
        counts: Counts = scope["litestar_app"].state.counts
        headers = await _count(counts, caller, self._per_minute)
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = message.get("headers", ())
                if all(name != _FIRST_HEADER for name, _ in sent):  # the limit further in is the caller's own
                    message["headers"] = [*sent, *encoded]
            await send(message)

        await self._app(scope, receive, send_with_headers)
