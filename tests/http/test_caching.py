"""What many ask for is made once, sent in the form each asks for, and never older than it says."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rowlock.domain.layout_compile import simple_layout
from rowlock.http import caching
from rowlock.http.caching import Lists, takes_gzip
from rowlock.http.live import STREAMS_MAX, end_streams
from rowlock.operations.seats import AvailabilityView, SeatsView
from rowlock.seatmap.encoded import Bodies, Letters, Reading, SeatList, Source, compress
from tests.http.api import ADA, ADMIN, build, new_booking, new_show, problem, running

pytestmark = pytest.mark.anyio

KINDS = ["availability", "seats", "layout"]
PLAIN = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running application."""
    async with running(build(dsn)) as client:
        yield client


async def raw(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it went over the wire."""
    async with client.stream("GET", path, headers=headers) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()])


@pytest.mark.parametrize("kind", KINDS)
async def test_compressed_and_plain_are_the_same(client: httpx.AsyncClient, kind: str) -> None:
    """Behind a proxy that asks otherwise, people would see another hall."""
    show = await new_show(client, total_seats=2_000)
    await new_booking(client, show["id"], seats=["7"])
    path = f"/api/shows/{show['id']}/{kind}"
    plain, plain_body = await raw(client, path, **PLAIN)
    packed, packed_body = await raw(client, path, **GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed_body) == plain_body
    assert len(packed_body) < len(plain_body) / 5
    assert packed.headers["Content-Length"] == str(len(packed_body))
    for answer in (plain, packed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Content-Type"] == "application/json"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert (await raw(client, path, **GZIP))[1] == packed_body
    head = await client.head(path, headers=GZIP)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(packed_body)))


@pytest.mark.parametrize("kind", KINDS)
async def test_not_modified_is_said_for_the_form_that_is_asked_for(
    client: httpx.AsyncClient, kind: str
) -> None:
    """A cache would hand out compressed bytes as if they were plain."""
    show = await new_show(client, total_seats=2_000)
    path = f"/api/shows/{show['id']}/{kind}"
    tags = [(await client.get(path, headers=form)).headers["ETag"] for form in (PLAIN, GZIP)]
    for form, own, other in ((PLAIN, tags[0], tags[1]), (GZIP, tags[1], tags[0])):
        for wanted in (own, f"W/{own}", f'"x", {own}', "*"):
            same = await client.get(path, headers={**form, "If-None-Match": wanted})
            assert (same.status_code, same.content) == (304, b"")
            assert (same.headers["ETag"], same.headers["Vary"]) == (own, "Accept-Encoding")
        assert (await client.get(path, headers={**form, "If-None-Match": other})).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "large", "small"),
    [
        (None, False, False),
        ("", False, False),
        ("gzip", True, False),
        ("x-gzip", True, False),
        ("GZip;Q=0.5", True, False),
        ("br, gzip ;q=0.001, deflate", True, False),
        ("gzip;q=0", False, False),
        ("gzip;q=0.000", False, False),
        ("*", True, False),
        ("*;q=0.5", True, False),
        ("*;q=0", False, False),
        ("gzip;q=0, *", False, False),
        ("identity", False, False),
        ("identity, gzip;q=0.5", False, False),
        ("identity;q=0.5, gzip", True, False),
        ("identity, gzip", True, False),
        ("identity;q=0, gzip", True, True),
        ("*;q=0, gzip", True, True),
        ("identity;q=0", False, False),  # nothing would do; it gets what there is
        ("br", False, False),
        ("gzip;q=2", False, False),
        ("gzip;q=nonsense", False, False),
        (",,;, gzip", True, False),
    ],
)
def test_a_caller_gets_the_form_it_can_read(accepted: str | None, large: bool, small: bool) -> None:
    """A client would be sent bytes that it can't unpack."""
    scope: Any = {"headers": [] if accepted is None else [(b"accept-encoding", accepted.encode())]}
    assert takes_gzip(scope, 1_000_000) is large
    assert takes_gzip(scope, 100) is small


async def test_small_answers_go_as_they_are(client: httpx.AsyncClient) -> None:
    """A bus of 40 seats would cost more work than its few bytes are worth."""
    await new_show(client, total_seats=9)
    answer = await client.get("/api/shows/1/availability", headers=GZIP)
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


async def test_other_origins_get_both_varies(dsn: str) -> None:
    """A shared cache would give a page of another origin what was compressed for somebody else."""
    async with running(build(dsn, cors_origins=["https://page.example"])) as client:
        await new_show(client)
        answer = await client.get(
            "/api/shows/1/availability", headers={"Origin": "https://page.example", **GZIP}
        )
    assert {name.strip() for name in answer.headers["Vary"].split(",")} == {"Origin", "Accept-Encoding"}


async def test_bodies_have_the_documented_shape(client: httpx.AsyncClient) -> None:
    """Names with quotes and umlauts would break the page."""
    import msgspec

    layout = {
        "sections": [
            {
                "name": 'Größe "1"',
                "rows": [{"label": "A\\", "seats": [{"label": '7"'}, {"accessible": True}]}],
            }
        ]
    }
    show = await new_show(client, total_seats=None, layout=layout)
    listed = await client.get(f"/api/shows/{show['id']}/seats")
    seats = msgspec.json.decode(listed.content, type=SeatsView).seats
    assert [(seat.seat, seat.section, seat.row) for seat in seats] == [
        ('7"', 'Größe "1"', "A\\"),
        ("A\\-2", 'Größe "1"', "A\\"),
    ]
    assert [seat.accessible for seat in seats] == [False, True]
    letters = await client.get(f"/api/shows/{show['id']}/availability")
    assert msgspec.json.decode(letters.content, type=AvailabilityView).statuses == "AA"


def source(layout: Any, version: int, kind: str = "seats", show_id: int = 1) -> Source:
    """A show's list at a version."""
    letters = b"A" * layout.total_seats
    return Source(
        kind, show_id, version, lambda: Reading(show_id, version, 0, letters), lambda: SeatList(layout)
    )


async def test_however_many_ask_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment of the sale the server would make the same list a thousand times."""
    made = packed = 0
    make = SeatList.__call__

    def counted(self: SeatList, reading: Reading) -> bytes:
        nonlocal made
        made += 1
        return make(self, reading)

    def counted_too(plain: bytes) -> bytes:
        nonlocal packed
        packed += 1
        return compress(plain)

    monkeypatch.setattr(SeatList, "__call__", counted)
    monkeypatch.setattr("rowlock.seatmap.encoded.compress", counted_too)
    layout, bodies = simple_layout(6_000), Bodies()  # large enough for a thread
    answers = await asyncio.gather(*(bodies.get(source(layout, 1), gzip=n % 2 == 0) for n in range(200)))
    assert (made, packed) == (1, 1)
    assert len({answer.content for answer in answers}) == 2
    assert (await bodies.get(source(layout, 2), gzip=False)).version == 2
    assert made == 2
    late = await bodies.get(source(layout, 3), gzip=True)
    assert b'"version":3,' in gzip.decompress(late.content)


async def test_kept_bodies_are_bounded() -> None:
    """A season of shows, looked at once each, would fill the memory."""
    layout = simple_layout(1_000)
    bodies = Bodies(bytes_max=1_000_000)
    for show_id in range(50):
        await bodies.get(source(layout, 1, show_id=show_id), gzip=True)
        assert bodies.bytes_kept <= 1_000_000
    assert bodies.bytes_kept > 500_000
    huge = Bodies(bytes_max=1_000)
    assert (await huge.get(source(layout, 1), gzip=False)).content
    assert huge.bytes_kept == 0


def test_letters_are_as_read() -> None:
    """The map would be of another show."""
    assert Letters()(Reading(7, 3, 1, b"AB")) == b'{"show_id":7,"version":3,"available":1,"statuses":"AB"}'


async def test_the_loop_goes_on_while_a_large_list_is_made() -> None:
    """Whoever looks at a stadium would hold up all who book."""
    layout, bodies = simple_layout(100_000), Bodies()
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        while True:
            began = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - began)

    beating = asyncio.create_task(beat())
    body = await bodies.get(source(layout, 1), gzip=True)
    beating.cancel()
    assert len(gzip.decompress(body.content)) > 10_000_000
    assert longest < 0.25  # 0.03 on an idle machine


async def test_a_list_is_read_once_a_second(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand front pages would be a thousand queries."""
    calls = 0
    real = caching.Lists.get

    async def counted(self: Lists, query: Any, load: Any) -> bytes:
        async def loading() -> bytes:
            nonlocal calls
            calls += 1
            return await load()  # type: ignore[no-any-return]

        return await real(self, query, loading)

    monkeypatch.setattr(caching.Lists, "get", counted)
    await new_show(client)
    answers = await asyncio.gather(
        *(client.get("/api/shows", headers=(ADA, ADMIN, {})[n % 3]) for n in range(30))
    )
    assert calls == 1
    assert len({answer.content for answer in answers}) == 1
    assert (await client.get("/api/shows?limit=1")).json()["items"] == answers[0].json()["items"]
    assert calls == 2


async def test_a_change_shows_in_the_list_at_once(client: httpx.AsyncClient) -> None:
    """Who makes or changes a show would think it failed, and do it again."""

    async def listed() -> Any:
        (item,) = (await client.get("/api/shows")).json()["items"]
        return item

    assert (await client.get("/api/shows")).json()["items"] == []
    show = await new_show(client)
    assert await listed() == show
    path = f"/api/shows/{show['id']}"
    await client.patch(path, json={"name": "Another"}, headers=ADMIN)
    assert (await listed())["name"] == "Another"
    await client.post(f"{path}/block", json={"seats": ["1"]}, headers=ADMIN)
    assert (await listed())["blocked_seats"] == 1
    await client.post(f"{path}/unblock", json={"seats": ["1"]}, headers=ADMIN)
    assert (await listed())["blocked_seats"] == 0
    await client.post(f"{path}/cancel", headers=ADMIN)
    assert (await listed())["status"] == "cancelled"
    await client.post(
        "/classic/1/admin/shows",
        json={"name": "B", "start_time": show["start_time"], "total_seats": 1},
        headers=ADMIN,
    )
    assert len((await client.get("/api/shows")).json()["items"]) == 2


async def test_lists_lapse_fail_and_are_bounded() -> None:
    """A list would stay wrong for longer than a second, or forever after one bad moment."""
    lists = Lists(entries_max=3, seconds=0.05)
    numbers = iter(range(100))

    async def load() -> bytes:
        return str(next(numbers)).encode()

    async def fail() -> bytes:
        raise OSError("the database is away")

    assert [await lists.get("a", load), await lists.get("a", load)] == [b"0", b"0"]
    await asyncio.sleep(0.06)
    assert await lists.get("a", load) == b"1"
    lists.clear()
    assert await lists.get("a", load) == b"2"
    with pytest.raises(OSError, match="away"):
        await lists.get("b", fail)
    assert await lists.get("b", load) == b"3"
    for n in range(10):
        await lists.get(n, load)
    assert len(lists) == 3


async def test_what_was_being_read_before_a_change_is_not_kept() -> None:
    """A show just made would be missing from the list for a second."""
    lists = Lists()
    go = asyncio.Event()

    async def slow() -> bytes:
        await go.wait()
        return b"old"

    async def load() -> bytes:
        return b"new"

    reading = asyncio.create_task(lists.get("a", slow))
    await asyncio.sleep(0)
    lists.clear()
    assert await lists.get("a", load) == b"new"
    go.set()
    assert await reading == b"old"
    assert await lists.get("a", load) == b"new"


async def test_nobody_begins_to_watch_when_the_server_is_full_or_ends(dsn: str) -> None:
    """Watching would take the connections that booking needs, or a stream would be cut off in the middle."""
    app = build(dsn)
    async with running(app) as client:
        await new_show(client)
        app.state.streams.count = STREAMS_MAX
        full = await client.get("/api/shows/1/live")
        assert problem(full, 503, "busy")["retry_after"] == 1
        assert full.headers["Retry-After"] == "1"
        app.state.streams.count = 0
        end_streams(app)
        problem(await client.get("/api/shows/1/live"), 503, "busy")
        assert (await client.get("/api/shows/1/availability")).status_code == 200
