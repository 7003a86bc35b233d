"""The clients: customers and a box office that ask for random things at random servers, and write down what they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import msgspec

from rowlock.stampede.client import Client, Lost, Unanswered, Unreachable
from tests.faults.history import Answer, Call, Kind, now, take

TRIES_MAX = 6  # of a wish with a key whose answer is lost, or that meets a busy server
KEPT_MAX = 2  # bookings of a customer: beyond it, the oldest is given back, so that there is always something to sell
THINK_SECONDS_MAX = 0.08
ASK_SECONDS_MAX = 12.0  # customers hang up before the server gives up: they ask again with the same key
PAUSE_SECONDS = 0.25


class Crowd:
    """What clients share: the servers, the show, and the history."""

    def __init__(
        self, urls: Sequence[str], token: str, show: int, *, seats: int, box_office: Sequence[str], seed: int
    ) -> None:
        self.servers = [Client(url, token) for url in urls]
        self.show = show
        self.seats = [str(n) for n in range(1, seats + 1)]
        self.box_office = list(box_office)
        self.seed = seed
        self.calls: list[Call] = []
        self.ending = asyncio.Event()

    async def run(self, customers: int) -> None:
        """Ask until `ending` is set."""
        async with asyncio.TaskGroup() as group:
            for number in range(customers):
                group.create_task(Customer(self, number).live())
            if self.box_office:
                group.create_task(_sit_in_the_box_office(self, random.Random(f"{self.seed} office")))

    async def ask(self, call: Call, path: str, body: object = None, *, later: bool = False) -> Call:
        """Send a request and write down what came of it."""
        payload = b"" if body is None else msgspec.json.encode(body)
        call.begin = now()
        self.calls.append(call)
        server = self.servers[call.server]
        method = "GET" if call.kind is Kind.READ else "POST"
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                reply = await (server if not later else self._later(call.server)).ask(
                    method, path, payload, call.key
                )
        except Unreachable:
            call.answer = Answer.UNREACHABLE
        except (Lost, Unanswered, TimeoutError):
            call.answer = Answer.LOST
        else:
            take(call, reply)
            return call
        call.end = now()
        return call

    def _later(self, server: int) -> Client:
        """A client whose requests are queued: it says so in a header of all of them."""
        queueing = getattr(self, "_queueing", None)
        if queueing is None:
            queueing = self._queueing = [_Later(client) for client in self.servers]
        return queueing[server]

    def close(self) -> None:
        """Hang up."""
        for client in [*self.servers, *getattr(self, "_queueing", [])]:
            client.close()


class _Later(Client):
    """Says with each request that it would rather not wait."""

    def __init__(self, like: Client) -> None:
        super().__init__(like.url)
        self._headers = like._headers + "Prefer: respond-async\r\n"


class Customer:
    """One customer, who does one thing after the other."""

    def __init__(self, crowd: Crowd, number: int) -> None:
        self._crowd = crowd
        self._dice = random.Random(f"{crowd.seed} {number}")
        self._name = f"c{crowd.seed}-{number}"
        self._presses = 0
        self._kept: list[str] = []

    async def live(self) -> None:
        """Ask for this and that."""
        dice, crowd = self._dice, self._crowd
        while not crowd.ending.is_set():
            chance = dice.random()
            if len(self._kept) > KEPT_MAX or (self._kept and chance < 0.15):
                await self._settle(Kind.CANCEL, self._kept.pop(0))
            elif self._kept and chance < 0.3:
                await self._settle(Kind.READ, dice.choice(self._kept))
            else:
                await self._want()
            await asyncio.sleep(dice.random() * THINK_SECONDS_MAX)

    async def _want(self) -> None:
        dice, crowd = self._dice, self._crowd
        self._presses += 1
        count = dice.choice((1, 1, 2, 2, 3, 4))
        first = dice.randrange(len(crowd.seats) - count)
        named = tuple(crowd.seats[first : first + count]) if dice.random() < 0.6 else ()
        chance = dice.random()
        wish = Call(
            kind=Kind.QUEUE if chance < 0.12 else Kind.BOOK,
            server=0,
            press=f"{self._name}-{self._presses}",
            begin=0,
            key=f"{self._name}-{self._presses}" if chance < 0.8 else None,
            seats=named,
            count=0 if named else count,
            hold=dice.random() < 0.45,
        )
        call = await self._press(wish)
        if call.answer is Answer.DONE and call.kind is Kind.BOOK and call.key and dice.random() < 0.1:
            await self._once(wish)  # the button was pressed twice
        if call.answer is not Answer.DONE or call.booking is None:
            return
        if call.kind is Kind.BOOK and call.told is not None and call.told.status == "PENDING":
            await self._pay(call.booking)
        else:
            self._kept.append(call.booking)

    async def _press(self, wish: Call) -> Call:
        """Ask, and with a key ask again until there is an answer."""
        for _ in range(TRIES_MAX if wish.key else 1):
            call = await self._once(wish)
            if call.answer in {Answer.DONE, Answer.REFUSED, Answer.WRONG}:
                break
            await asyncio.sleep(PAUSE_SECONDS * (1 + self._dice.random()))
        return call

    async def _once(self, wish: Call) -> Call:
        call = msgspec.structs.replace(wish, server=self._dice.randrange(len(self._crowd.servers)))
        body = {
            "show_id": self._crowd.show,
            "user_id": call.press,
            "confirm": not call.hold,
            **({"seats": call.seats} if call.seats else {"seat_count": call.count}),
        }
        return await self._crowd.ask(call, "/api/bookings", body, later=call.kind is Kind.QUEUE)

    async def _pay(self, booking: str) -> None:
        """Make a hold firm, give it back, or let it lapse; now and then too late."""
        dice = self._dice
        await asyncio.sleep(dice.random() * 0.4)
        chance = dice.random()
        if chance < 0.55:
            if (await self._settle(Kind.CONFIRM, booking)).answer is not Answer.REFUSED:
                self._kept.append(booking)
        elif chance < 0.75:
            await self._settle(Kind.CANCEL, booking)
        elif chance < 0.85:
            await asyncio.sleep(dice.random() * 3)
            await self._settle(Kind.CONFIRM, booking)

    async def _settle(self, kind: Kind, booking: str) -> Call:
        path = f"/api/bookings/{booking}" + ("" if kind is Kind.READ else f"/{kind.value}")
        server = self._dice.randrange(len(self._crowd.servers))
        call = Call(kind=kind, server=server, press=self._name, begin=0, booking=booking)
        return await self._crowd.ask(call, path)


async def _sit_in_the_box_office(crowd: Crowd, dice: random.Random) -> None:
    """Take seats off sale and put them back, one after the other."""
    while not crowd.ending.is_set():
        seats = tuple(dice.sample(crowd.box_office, dice.choice((1, 1, 2))))
        kind = dice.choice((Kind.BLOCK, Kind.UNBLOCK))
        call = Call(
            kind=kind, server=dice.randrange(len(crowd.servers)), press="office", begin=0, seats=seats
        )
        await crowd.ask(call, f"/api/shows/{crowd.show}/{kind.value}", {"seats": seats})
        await asyncio.sleep(dice.random() * 0.3)
