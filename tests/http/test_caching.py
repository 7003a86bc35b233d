"""What many ask for is made once, sent in the form each asks for, and never older than it says."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rowlock.domain.layout_compile import simple_layout
from rowlock.http import caching
from rowlock.http.caching import Lists, coding_for, has_already
from rowlock.http.live import STREAMS_MAX, end_streams
from rowlock.operations.seats import AvailabilityView, SeatsView
from rowlock.seatmap.encoded import Bodies, Coding, Letters, Reading, SeatList, Source, compress
from rowlock.seatmap.reading import SQL
from tests.http.api import ADA, ADMIN, build, new_booking, new_show, problem, running

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.anyio

KINDS = ["availability", "seats", "layout"]
PLAIN = {"Accept-Encoding": "identity"}
GZIP = {"Accept-Encoding": "gzip"}
ZSTD = {"Accept-Encoding": "zstd"}
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}
UNPACK = {"gzip": gzip.decompress, "zstd": zstd.decompress}


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
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
async def test_compressed_and_plain_are_the_same(client: httpx.AsyncClient, kind: str, coding: str) -> None:
    """Behind a proxy that asks otherwise, people would see another hall."""
    show = await new_show(client, total_seats=2_000)
    await new_booking(client, show["id"], seats=["7"])
    path = f"/api/shows/{show['id']}/{kind}"
    form = {"Accept-Encoding": coding}
    plain, plain_body = await raw(client, path, **PLAIN)
    packed, packed_body = await raw(client, path, **form)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == coding
    assert UNPACK[coding](packed_body) == plain_body
    assert len(packed_body) < len(plain_body) / 5
    for answer, body in ((plain, plain_body), (packed, packed_body)):
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["ETag"].startswith('"')
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Request-Id"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert (await raw(client, path, **form))[1] == packed_body
    head = await client.head(path, headers=form)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(packed_body)))
    assert head.headers["ETag"] == packed.headers["ETag"]


async def test_a_browser_gets_the_form_that_is_made_soonest(client: httpx.AsyncClient) -> None:
    """Lists would be made eight times as slowly, for each booking."""
    show = await new_show(client, total_seats=2_000)
    answer, body = await raw(client, f"/api/shows/{show['id']}/seats", **BROWSER)
    assert answer.headers["Content-Encoding"] == "zstd"
    assert zstd.decompress(body).startswith(b'{"show_id":')


@pytest.mark.parametrize("kind", KINDS)
async def test_not_modified_is_said_for_the_form_that_is_asked_for(
    client: httpx.AsyncClient, kind: str
) -> None:
    """A cache would hand out compressed bytes as if they were plain."""
    show = await new_show(client, total_seats=2_000)
    path = f"/api/shows/{show['id']}/{kind}"
    tags = [(await raw(client, path, **form))[0].headers["ETag"] for form in (PLAIN, GZIP, ZSTD)]
    assert len(set(tags)) == 3
    for form, own in zip((PLAIN, GZIP, ZSTD), tags, strict=True):
        for wanted in (own, f"W/{own}", f'"x", {own}', f'"a,b" ,W/"x",{own}', "*"):
            same = await client.get(path, headers={**form, "If-None-Match": wanted})
            assert (same.status_code, same.content) == (304, b"")
            assert (same.headers["ETag"], same.headers["Vary"]) == (own, "Accept-Encoding")
            assert "Cache-Control" in same.headers
            assert "Content-Encoding" not in same.headers
        for other in (*(tag for tag in tags if tag != own), '"x"', "", '"', f"{own[:-1]}x"):
            answer, _ = await raw(client, path, **{**form, "If-None-Match": other})
            assert answer.status_code == 200


def test_a_tag_may_come_in_any_of_several_headers() -> None:
    """Behind a proxy that splits lists, everything would be sent again each time."""
    headers = [(b"if-none-match", b'"a", "b"'), (b"accept", b"*/*"), (b"if-none-match", b'W/"c"')]
    scope: Any = {"headers": headers}
    assert all(has_already(scope, tag) for tag in "abc")
    assert not has_already(scope, "d")


@pytest.mark.parametrize("path", ["availability?x=1", "seats?limit=1", "layout?x"])
async def test_a_query_that_means_nothing_is_refused(client: httpx.AsyncClient, path: str) -> None:
    """A misspelt wish would be ignored in silence."""
    show = await new_show(client)
    answer = await client.get(f"/api/shows/{show['id']}/{path}")
    problem(answer, 400, "invalid_request")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("show_id", ["999", "0", "01", "x", "99999999999999999999"])
async def test_no_such_show(client: httpx.AsyncClient, kind: str, show_id: str) -> None:
    """A mistyped address would be an error of the server's."""
    problem(await client.get(f"/api/shows/{show_id}/{kind}", headers=GZIP), 404, "not_found")


@pytest.mark.parametrize(
    ("accepted", "large", "small"),
    [
        (None, "identity", "identity"),
        ("", "identity", "identity"),
        ("gzip", "gzip", "identity"),
        ("x-gzip", "gzip", "identity"),
        ("GZip;Q=0.5", "gzip", "identity"),
        ("br, gzip ;q=0.001, deflate", "gzip", "identity"),
        ("gzip;q=0", "identity", "identity"),
        ("gzip;q=0.000", "identity", "identity"),
        ("*", "gzip", "identity"),  # old clients say it, and mean what there was then
        ("*;q=0.5", "gzip", "identity"),
        ("*;q=0", "identity", "identity"),
        ("gzip;q=0, *", "identity", "identity"),
        ("identity", "identity", "identity"),
        ("identity, gzip;q=0.5", "identity", "identity"),
        ("identity;q=0.5, gzip", "gzip", "identity"),
        ("identity, gzip", "gzip", "identity"),
        ("identity;q=0, gzip", "gzip", "gzip"),
        ("*;q=0, gzip", "gzip", "gzip"),
        ("identity;q=0", "identity", "identity"),  # nothing would do; it gets what there is
        ("br", "identity", "identity"),
        ("gzip;q=2", "identity", "identity"),
        ("gzip;q=nonsense", "identity", "identity"),
        (",,;, gzip", "gzip", "identity"),
        ("gzip, deflate, br, zstd", "zstd", "identity"),
        ("zstd", "zstd", "identity"),
        ("ZSTD", "zstd", "identity"),
        ("gzip, zstd;q=0.9", "gzip", "identity"),
        ("gzip;q=0.8, zstd;q=0.9", "zstd", "identity"),
        ("zstd;q=0, *", "gzip", "identity"),
        ("gzip;q=0, zstd", "zstd", "identity"),
        ("gzip;q=0, zstd;q=0", "identity", "identity"),
        ("identity;q=0, zstd, gzip;q=0.5", "zstd", "zstd"),
        ("identity;q=0, *", "gzip", "gzip"),
        ("identity;q=1, zstd;q=0.5, gzip;q=0.5", "identity", "identity"),
    ],
)
def test_a_caller_gets_the_form_it_can_read(accepted: str | None, large: str, small: str) -> None:
    """A client would be sent bytes that it can't unpack."""
    scope: Any = {"headers": [] if accepted is None else [(b"accept-encoding", accepted.encode())]}
    assert coding_for(scope, 1_000_000) == large
    assert coding_for(scope, 100) == small


def test_forms_may_come_in_several_headers() -> None:
    """A proxy that adds a line of its own would take compression away."""
    scope: Any = {"headers": [(b"accept-encoding", b"zstd;q=0.5"), (b"accept-encoding", b"gzip")]}
    assert coding_for(scope, 1_000_000) == "gzip"


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

    def counted_too(plain: bytes, coding: Coding) -> bytes:
        nonlocal packed
        packed += 1
        return compress(plain, coding)

    monkeypatch.setattr(SeatList, "__call__", counted)
    monkeypatch.setattr("rowlock.seatmap.encoded.compress", counted_too)
    layout, bodies = simple_layout(6_000), Bodies()  # large enough for a thread
    forms = list(Coding)
    answers = await asyncio.gather(*(bodies.get(source(layout, 1), forms[n % 3]) for n in range(200)))
    assert (made, packed) == (1, 2)
    assert len({answer.content for answer in answers}) == 3
    assert (await bodies.get(source(layout, 2), Coding.PLAIN)).version == 2
    assert made == 2
    late = await bodies.get(source(layout, 3), Coding.GZIP)
    assert b'"version":3,' in gzip.decompress(late.content)


async def test_kept_bodies_are_bounded() -> None:
    """A season of shows, looked at once each, would fill the memory."""
    layout = simple_layout(1_000)
    bodies = Bodies(bytes_max=1_000_000)
    for show_id in range(50):
        await bodies.get(source(layout, 1, show_id=show_id), Coding.GZIP)
        assert bodies.bytes_kept <= 1_000_000
    assert bodies.bytes_kept > 500_000
    huge = Bodies(bytes_max=1_000)
    assert (await huge.get(source(layout, 1), Coding.PLAIN)).content
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
    body = await bodies.get(source(layout, 1), Coding.GZIP)
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

        self._seconds = 60  # a busy machine may take more than one for what follows
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
        for full in (True, False):
            app.state.streams.count = STREAMS_MAX if full else 0
            if not full:
                end_streams(app)
            answer = await client.get("/api/shows/1/live")  # not 503: an EventSource would never come back
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert re.fullmatch(r"retry: [1-5]\d{3}\n", answer.text)
            assert (await client.head("/api/shows/1/live")).status_code == 200
        assert app.state.context.live._hubs == {}
        assert (await client.get("/api/shows/1/availability")).status_code == 200


async def test_lists_are_bounded_by_their_bytes() -> None:
    """Whoever asks for one long list after another, in other words each time, would fill the memory."""
    lists = Lists(bytes_max=1_000, seconds=0.05)

    async def load() -> bytes:
        return b"x" * 300

    for n in range(10):
        assert len(await lists.get(n, load)) == 300
    assert len(lists) == 3
    assert len(await Lists(bytes_max=100).get("huge", load)) == 300
    await asyncio.sleep(0.06)
    await lists.get("another", load)
    assert len(lists) == 1, "what has lapsed is not kept"


async def test_a_slow_list_is_read_once() -> None:
    """Where the database is slow, each second would begin the same reading once more."""
    lists = Lists(seconds=0.01)
    go = asyncio.Event()
    begun = 0

    async def load() -> bytes:
        nonlocal begun
        begun += 1
        await go.wait()
        return b"x"

    asking = []
    for _ in range(3):
        asking.append(asyncio.create_task(lists.get("a", load)))
        await asyncio.sleep(0.02)
    go.set()
    assert await asyncio.gather(*asking) == [b"x"] * 3
    assert begun == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_database_that_was_set_back_has_other_tags(client: httpx.AsyncClient, kind: str) -> None:
    """A browser would be told that it has the seats already which another history had under the same version."""
    show = await new_show(client, total_seats=20)
    path = f"/api/shows/{show['id']}/{kind}"
    app: Any = client._transport.app  # type: ignore[attr-defined]
    before = await client.get(path)
    maps, (row,) = app.state.context.maps, await app.state.context.pool.fetch(SQL.standing, [])
    maps._belong_to("another")
    maps._lineage = row["lineage"]
    after = await client.get(path, headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.headers["ETag"] != before.headers["ETag"]
    assert after.headers["Cache-Control"] == (
        "public, max-age=31536000, immutable" if kind == "layout" else "no-cache"
    )
