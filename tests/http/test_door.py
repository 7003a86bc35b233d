"""The door answers as the framework does: the same cases go through both, each on a show of its own, and are compared."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar

from rowlock.domain.trails import Trail, packed, unpacked
from rowlock.engine.engine import Engine
from rowlock.engine.lane import Busy, Crowded, Lane
from rowlock.engine.lanes import FixedLanes
from rowlock.engine.pace import Pace
from rowlock.engine.straight_lane import StraightLane, _Common
from rowlock.http.door import Door, Head
from rowlock.http.identity import DEMO, Caller, Role
from rowlock.http.rates import guests_at
from rowlock.http.trails import trail_by
from rowlock.protocol import _AtTheDoor
from rowlock.seatmap.maps import Maps
from tests.http.api import ADA, ADMIN, BOB, SERVICE, build, new_show, running, token

LIMIT = 1_000  # requests to book a minute, so that its headers are there
ASIDE = {
    "Prefer": "handling=strict"
}  # a preference nobody here knows: the framework ignores it, the door stands aside


class Answer(NamedTuple):
    """What may be compared: ids and times taken out."""

    status: int
    headers: dict[str, str]
    body: Any


class Way:
    """A show, and the way to it."""

    def __init__(self, app: Litestar, client: httpx.AsyncClient, show_id: int, *, by_door: bool) -> None:
        self._door: Door = app.state.door
        self.engine: Engine = app.state.context.engine
        self._client = client
        self.show_id = show_id
        self._by_door = by_door
        self.unread = False  # whether the door is to refuse it so

    async def ask(self, body: Any, headers: dict[str, str], url: str = "/api/bookings") -> Answer:
        """A request, which the door must take where it is to go that way."""
        if isinstance(body, dict) and url == "/api/bookings":
            body = {"show_id": self.show_id, **body}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = url.replace("{show}", str(self.show_id))
        sent = {"Content-Type": "application/json", **headers}
        if not self._by_door:
            answer = await self._client.post(url, content=content, headers={**sent, **ASIDE})
            return comparable(answer.status_code, answer.headers.multi_items(), answer.content)
        answered = asyncio.get_running_loop().create_future()
        head = self._door.read(url.encode(), raw(sent), None)
        assert head is not None, "it is an ordinary request"
        if self.unread:
            self._door.refuse(head, lambda *given: answered.set_result(given))
        else:
            taken = self._door.take(head, content, lambda *given: answered.set_result(given))
            assert taken, "the door must take this"
        status, bytes_ = await answered
        head, _, content = bytes_.partition(b"\r\n\r\n")
        pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        return comparable(status, [(name, value) for name, value in pairs], content)


def took(
    app: Litestar, url: str, headers: list[tuple[bytes, bytes]], body: bytes, reply: Callable[..., Any]
) -> bool:
    """Whether the door took a request."""
    door: Door = app.state.door
    head = door.read(url.encode(), headers, "127.0.0.1")
    return head is not None and door.take(head, body, reply)


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as the protocol has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def comparable(status: int, headers: Sequence[tuple[str, str]], content: bytes) -> Answer:
    """An answer without what differs each time."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", content.decode())
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>", text)
    text = re.sub(r'"show_id":\d+', '"show_id":0', text)
    told = {name.lower(): value for name, value in headers}
    assert len(told) == len(headers), "no header comes twice"
    assert int(told.pop("content-length")) == len(content)
    assert re.fullmatch(r"[0-9a-f]{24}|mine", told["x-request-id"])
    if told["x-request-id"] != "mine":
        del told["x-request-id"]
    if "location" in told:
        told["location"] = re.sub(r"[0-9a-f-]{36}", "<id>", told["location"])
    told.pop("ratelimit-remaining", None)
    told.pop("ratelimit-reset", None)
    return Answer(status, told, json.loads(text))


@pytest.fixture
async def app(dsn: str) -> Litestar:
    """The application, with a limit."""
    return build(dsn, rate_bookings_per_minute=LIMIT)


@pytest.fixture
async def ways(app: Litestar) -> AsyncIterator[tuple[Way, Way]]:
    """Two shows alike, one for each way; both known to this process."""
    async with running(app) as client:
        layout = {
            "sections": [{"name": "Hall", "rows": [{"label": label, "seats": 8} for label in "ABC"]}],
        }
        shows = [
            await new_show(client, total_seats=None, layout=layout, max_seats_per_booking=4) for _ in "12"
        ]
        for show in shows:
            await app.state.context.plans.get(show["id"])
        yield (
            Way(app, client, shows[0]["id"], by_door=True),
            Way(app, client, shows[1]["id"], by_door=False),
        )


CASES: list[tuple[str, Any, dict[str, str], str]] = [
    ("booked", {"seats": ["A-1", "A-2"]}, ADA, "/api/bookings"),
    (
        "for another",
        {"seats": ["A-3"], "user_id": "zoë", "customer_name": "Zoë", "email": "z@x.org"},
        SERVICE,
        "",
    ),
    ("by an admin", {"seats": ["A-4"]}, {**ADMIN, "X-Request-Id": "mine"}, ""),
    ("taken", {"seats": ["A-2", "A-1", "B-1"]}, BOB, ""),
    ("taken again", {"seats": ["A-2"]}, ADA, ""),
    ("of the show", {"seats": ["B-1"]}, ADA, "/api/shows/{show}/bookings"),
    ("held", {"seats": ["B-2"], "confirm": False}, ADA, ""),
    ("keyed", {"seats": ["B-3"]}, {**ADA, "Idempotency-Key": "once"}, ""),
    ("keyed again", {"seats": ["B-3"]}, {**ADA, "Idempotency-Key": "once"}, ""),
    ("keyed otherwise", {"seats": ["B-4"]}, {**ADA, "Idempotency-Key": "once"}, ""),
    ("by count", {"seat_count": 3}, ADA, ""),
    ("by count and category", {"seat_count": 1, "category": "Standard"}, BOB, ""),
    ("too many for this show", {"seats": ["C-1", "C-2", "C-3", "C-4", "C-5"]}, ADA, ""),
    ("too large a count", {"seat_count": 5}, ADA, "/api/shows/{show}/bookings"),
    ("no such accessible seats", {"seat_count": 2, "accessible": True}, ADA, ""),
]


async def test_both_ways_answer_the_same(ways: tuple[Way, Way]) -> None:
    """A customer would be told one thing or another, by chance of a header."""
    door, framework = ways
    seen = set()
    for name, body, headers, url in CASES:
        told = await door.ask(body, headers, url or "/api/bookings")
        assert told == await framework.ask(body, headers, url or "/api/bookings"), name
        seen.add(told.status)
    assert seen == {201, 409, 422}


@pytest.mark.parametrize(
    "change", [{"status": "cancel"}, {"on_sale_at": "2029-01-01T09:00:00Z"}, {"confirm_by": "service"}]
)
async def test_both_explain_a_show_s_terms_alike(
    app: Litestar, ways: tuple[Way, Way], change: dict[str, str]
) -> None:
    """Whoever comes before the sale would not be told when it begins."""
    door, framework = ways
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for way in ways:
            address = f"/api/shows/{way.show_id}"
            if "status" in change:
                answer = await client.post(f"{address}/cancel", headers=ADMIN)
            else:
                answer = await client.patch(address, json=change, headers=ADMIN)
            assert answer.status_code == 200, answer.text
    told = await door.ask({"seats": ["A-1"]}, ADA)
    assert told.status in (403, 409)
    assert told == await framework.ask({"seats": ["A-1"]}, ADA)


async def test_both_say_busy_alike(ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch) -> None:
    """In a stampede a client would not know when to come again."""

    def full(_: Engine, answer: object, command: object) -> Any:
        raise Busy("too many bookings are waiting")

    monkeypatch.setattr(Engine, "submit_for", full)
    door, framework = ways
    told = await door.ask({"seats": ["A-1"]}, ADA)
    assert (told.status, told.headers["retry-after"]) == (503, "1")
    assert told == await framework.ask({"seats": ["A-1"]}, ADA)


async def test_a_crowd_is_refused_by_rote_and_alike(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those refused unread would not know that they are, or when to come again."""

    def full(_: Engine, answer: object, command: object) -> Any:
        raise Crowded

    door, framework = ways
    wish = {"seats": ["A-1"], "user_id": "ada"}
    monkeypatch.setattr(Engine, "submit_for", full)
    told = await framework.ask(wish, SERVICE)
    assert (told.status, told.headers["retry-after"]) == (503, "1")
    assert told == await door.ask(wish, SERVICE)
    door.unread = True
    assert told == await door.ask(wish, SERVICE)
    own = {**SERVICE, "X-Request-Id": "mine"}
    assert await framework.ask(wish, own) == await door.ask(wish, own)


async def test_whom_a_crowd_refuses_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Holds would be refused because others buy at once, and picks because others name their seats."""

    class Lanes(FixedLanes):
        def __init__(self, straight: StraightLane | None) -> None:
            self._straight = straight
            self._lanes = [Lane.__new__(Lane) for _ in range(2)]
            self.full: set[Lane] = set()

    straight = StraightLane.__new__(StraightLane)
    straight._common = _Common(deque(), Pace(1), Maps.__new__(Maps))
    lanes = Lanes(straight)
    refused: list[Lane] = []

    def refuse(lane: Lane) -> None:
        refused.append(lane)

    monkeypatch.setattr(Lane, "is_full", property(lambda lane: lane in lanes.full))
    monkeypatch.setattr(Lane, "refuse", refuse)
    named, unsure, picked = (
        b'{"show_id":1,"seats":["1"]}',
        b'{"show_id":1,"seats":["1"],"confirm":true}',  # or false: only whoever reads it knows
        b'{"show_id":1,"seat_count":1}',
    )
    wishes = (named, unsure, picked)
    assert not any(map(lanes.refuses, wishes))
    lanes.full = {straight, lanes._lanes[0]}
    assert list(map(lanes.refuses, wishes)) == [True, False, False]
    assert refused == [straight], "whoever is refused unread keeps the lane's load from being forgotten"
    lanes.full = set(lanes._lanes)
    assert list(map(lanes.refuses, wishes)) == [False, False, True]
    lanes.full = {straight, *lanes._lanes}
    assert all(map(lanes.refuses, wishes))
    aside = straight._common.aside
    aside.add({1})
    lanes.full = {straight, lanes._lanes[0]}
    assert not lanes.refuses(named), "it may be for another lane"
    monkeypatch.setattr(aside, "_last", asyncio.get_running_loop().time() - 1)
    assert lanes.refuses(named), "for a moment only"
    lanes._straight = None
    assert not lanes.refuses(named)
    lanes.full = set(lanes._lanes)
    assert lanes.refuses(named)


async def test_a_crowd_is_counted(ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the server would not see that most are refused, as no lane ever fills then."""

    def full(*_: object) -> Any:
        raise Crowded

    engine = ways[0].engine
    assert engine.take_crowded() == 0
    monkeypatch.setattr(FixedLanes, "put", full)
    for way in ways:
        assert (await way.ask({"seats": ["A-1"]}, ADA)).status == 503
    monkeypatch.setattr(FixedLanes, "refuses", lambda *_: True)
    assert engine.refuses(b"{}")
    assert engine.take_crowded() == 3
    assert engine.take_crowded() == 0


async def test_short_memory_is_busy_either_way(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever could come again in a moment would be told that something is broken."""

    def short(_: Engine, answer: object, command: object) -> Any:
        raise MemoryError

    monkeypatch.setattr(Engine, "submit_for", short)
    door, framework = ways
    told = await door.ask({"seats": ["A-1"]}, ADA)
    assert (told.status, told.body["code"]) == (503, "busy")
    assert told == await framework.ask({"seats": ["A-1"]}, ADA)


async def test_a_bug_is_an_internal_error_either_way(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client would wait for ever, or be told of our innards."""

    def broken(_: Engine, answer: object, command: object) -> Any:
        raise RuntimeError("something secret")

    monkeypatch.setattr(Engine, "submit_for", broken)
    door, framework = ways
    told = await door.ask({"seats": ["A-1"]}, {**ADA, "X-Request-Id": "mine"})
    assert told.status == 500
    assert told.body["request_id"] == "mine"
    assert "secret" not in str(told)
    assert told == await framework.ask({"seats": ["A-1"]}, {**ADA, "X-Request-Id": "mine"})


@pytest.mark.parametrize(
    ("body", "headers", "url"),
    [
        (b"{", ADA, "/api/bookings"),
        (b"", ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": [], "x": 1}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": []}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1", "A-1"]}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["Z-1"]}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"], "seat_count": 1}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seat_count": 1, "category": "Gold"}', ADA, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"], "user_id": "bob"}', ADA, "/api/bookings"),
        (b'{"show_id": 999, "seats": ["A-1"]}', ADA, "/api/bookings"),
        (b'{"seats": ["A-1"]}', ADA, "/api/shows/01/bookings"),
        (b'{"seats": ["A-1"]}', ADA, "/api/shows/1/x/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {}, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {"Authorization": "Bearer x"}, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {**ADA, "Prefer": "respond-async"}, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {**ADA, "Content-Encoding": "gzip"}, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {**ADA, "Content-Type": "text/plain"}, "/api/bookings"),
        (b'{"show_id": 1, "seats": ["A-1"]}', {**ADA, "Idempotency-Key": "\x7f"}, "/api/bookings"),
    ],
)
async def test_what_is_unusual_is_left_to_the_framework(
    app: Litestar, dsn: str, body: bytes, headers: dict[str, str], url: str
) -> None:
    """There would be two ways to refuse, and one of them would be forgotten at the next change."""
    async with running(app) as client:
        layout = {"sections": [{"name": "Hall", "rows": [{"label": "A", "seats": 8}]}]}
        show = await new_show(client, id=1, total_seats=None, layout=layout)
        await app.state.context.plans.get(show["id"])
        sent = raw({"Content-Type": "application/json", **headers})

        def reply(status: int, answer: bytes) -> None:
            raise AssertionError("nothing may be said")

        assert not took(app, url, sent, body, reply)
        counted = await client.post("/api/bookings", json={"show_id": 1, "seats": ["A-8"]}, headers=ADA)
        assert counted.headers["RateLimit-Remaining"] == str(LIMIT - 1), "what it left alone was not counted"


async def test_the_limit_holds_over_both_ways(dsn: str) -> None:
    """Whoever varied a header could book twice as often."""
    app = build(dsn, rate_bookings_per_minute=3)
    async with running(app) as client:
        show = await new_show(client)
        await app.state.context.plans.get(show["id"])
        door = Way(app, client, show["id"], by_door=True)
        framework = Way(app, client, show["id"], by_door=False)
        cleo = token("customer", "cleo")
        assert (await door.ask({"seats": ["1"]}, cleo)).status == 201
        assert (await framework.ask({"seats": ["2"]}, cleo)).status == 201
        assert (await door.ask({"seats": ["3"]}, cleo)).status == 201
        assert (await framework.ask({"seats": ["4"]}, cleo)).status == 429
        body = json.dumps({"show_id": show["id"], "seats": ["5"]}).encode()
        sent = raw({"Content-Type": "application/json", **cleo})
        assert not took(app, "/api/bookings", sent, body, print), "the framework refuses"


async def test_a_session_s_cookie_opens_the_door_to_our_own_page_only(dsn: str) -> None:
    """The page's buyers would all wait for the framework; or a stranger's page could book in their names."""
    app = build(dsn)
    async with running(app) as client:
        show = await new_show(client)
        await app.state.context.plans.get(show["id"])
        signed_in = await client.post("/api/session", json={"name": "Ada"})
        assert signed_in.status_code in (200, 201), signed_in.text
        cookie = {"Cookie": f"rowlock_session={client.cookies['rowlock_session']}", "Host": "localhost"}
        door = Way(app, client, show["id"], by_door=True)
        own = {**cookie, "Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
        assert (await door.ask({"seats": ["1"]}, own)).status == 201
        body = json.dumps({"show_id": show["id"], "seats": ["2"]}).encode()
        for foreign in ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, {}):
            sent = raw({"Content-Type": "application/json", **cookie, **foreign})
            assert not took(app, "/api/bookings", sent, body, print)


async def test_a_head_that_was_read_lets_nobody_in_whom_it_should_not(dsn: str) -> None:
    """On a connection that stays open a token would be good after it was revoked, and a limit would not hold."""
    app = build(dsn, rate_bookings_per_minute=3)
    async with running(app) as client:
        show = await new_show(client)
        await app.state.context.plans.get(show["id"])
        door: Door = app.state.door
        cleo, dan = token("customer", "cleo"), token("customer", "dan")

        async def books(head: Head, seat: int) -> bool:
            answered = asyncio.get_running_loop().create_future()
            body = json.dumps({"show_id": show["id"], "seats": [str(seat)]}).encode()
            return door.take(head, body, partial(_resolve, answered)) and await answered == 201

        heads = [
            door.read(b"/api/bookings", raw({"Content-Type": "application/json", **who}), None)
            for who in (cleo, dan)
        ]
        cleos, dans = (head for head in heads if head is not None)
        assert [await books(cleos, seat) for seat in (1, 2, 3, 4)] == [True, True, True, False]
        assert await books(dans, 5)
        gone = await client.delete("/api/session", params={"everywhere": True}, headers=dan)
        assert gone.status_code == 204
        assert not await books(dans, 6)


async def test_a_refused_request_is_counted_once(dsn: str) -> None:
    """A guest over its own limit would use up what everybody behind the same address may ask."""
    app = build(dsn, rate_bookings_per_minute=3, rate_guests_per_minute=100)
    async with running(app) as client:
        show = await new_show(client, total_seats=50)
        await app.state.context.plans.get(show["id"])
        await client.post("/api/session", json={"name": "Ada"})
        cookie = {"Cookie": f"rowlock_session={client.cookies['rowlock_session']}", "Host": "localhost"}
        own = {**cookie, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
        statuses = []
        for seat in range(1, 11):
            body = json.dumps({"show_id": show["id"], "seats": [str(seat)]}).encode()
            answered = asyncio.get_running_loop().create_future()
            reply = partial(_resolve, answered)
            if took(app, "/api/bookings", raw(own), body, reply):
                statuses.append(await answered)
            else:
                statuses.append((await client.post("/api/bookings", content=body, headers=own)).status_code)
        assert statuses == [201] * 3 + [429] * 7
        assert app.state.counts.so_far(guests_at("127.0.0.1")) == 10


def _resolve(answered: asyncio.Future[int], status: int, _answer: bytes) -> None:
    answered.set_result(status)


def test_a_request_is_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log line that can't be written would bring a second answer, which the next customer takes for its own."""
    written: list[bytes] = []
    completed: list[None] = []
    protocol: Any = SimpleNamespace(
        headers=[],
        parser=SimpleNamespace(should_keep_alive=lambda: True),
        transport=SimpleNamespace(is_closing=lambda: False),
        send_soon=written.append,
        server_state=SimpleNamespace(default_headers=[]),
        on_response_complete=lambda: completed.append(None),
    )
    at_the_door = _AtTheDoor(protocol)
    at_the_door.reply(201, b"\r\n")
    at_the_door.reply(500, b"\r\n")
    assert written == [b"HTTP/1.1 201 Created\r\n\r\n"]
    assert len(completed) == 1


@pytest.mark.parametrize("address", ["6.6.6.6 forged-request admin-bob", "1" * 65, "1.2.3.4\x00"])
def test_no_address_can_be_made_up_into_a_trail(address: str) -> None:
    """Whoever writes X-Forwarded-For behind a careless proxy would sign a booking with another's name."""
    ada = Caller("ada", frozenset({Role.CUSTOMER}), None, "token")
    trail = trail_by(ada, address, "request")
    assert trail is not None
    assert unpacked(packed(trail)) == Trail("ada", "customer", None, "request")


def test_who_may_do_all_is_told_of_as_such() -> None:
    """The audit trail would say that somebody was admitted as an administrator where nobody was asked who they are."""
    trail = trail_by(DEMO, "127.0.0.1", "request")
    assert trail == Trail("guest", "demo", "127.0.0.1", "request")
