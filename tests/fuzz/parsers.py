"""Every parser that strangers' bytes meet, with strategies that make bad inputs for it; and what each may answer with.

A parser takes an input, or refuses it in its own words. Anything else that it raises is a bug: a 500 to whoever sent it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rowlock.domain.ids import show_of
from rowlock.domain.layout_compile import compile_layout
from rowlock.domain.layout_spec import Category, LayoutError, LayoutSpec, decode_spec
from rowlock.domain.trails import unpacked
from rowlock.http import identifiers, origins, tokens, wire
from rowlock.http.bookings import idempotency_key_of, prefers_async
from rowlock.http.caching import coding_for, has_already
from rowlock.http.identity import AuthConfig, Authenticator
from rowlock.http.live import _last_version
from rowlock.http.observing import request_id_in
from rowlock.http.oidc import Issuer, OidcConfig
from rowlock.http.problems import Problem
from rowlock.http.reading import decode
from rowlock.http.sessions import is_local_path
from rowlock.operations import queueing
from rowlock.operations.create_show import SeatsOf
from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor
from rowlock.operations.errors import Invalid, NotFound
from rowlock.operations.import_csv import Problems, read_bookings, read_shows
from rowlock.operations.sealing import CannotOpen, Sealer
from rowlock.operations.targets import TargetRefused, assert_public
from rowlock.operations.webhooks import _checked_secret, _parse_event_id
from rowlock.settings import Settings

SEED = 20261127
KEY = "a key that only these tests have and no one else"
SECRET = b"a secret of the cursors"


class Parser(NamedTuple):
    """A parser: what it is fed with, what takes it, and how it may refuse."""

    inputs: st.SearchStrategy[Any]
    parse: Callable[[Any], object]
    refuses: tuple[type[BaseException], ...]


def mangled(good: bytes) -> st.SearchStrategy[bytes]:
    """Something good with a piece cut out, doubled, flipped or put in: near misses find more than noise does."""

    def change(draw: tuple[int, int, bytes]) -> bytes:
        start, length, put = draw
        at = start % (len(good) + 1)
        return good[:at] + put + good[at + length :]

    return st.one_of(
        st.binary(max_size=200),
        st.tuples(st.integers(0, 10_000), st.integers(0, 8), st.binary(max_size=6)).map(change),
    )


def mangled_text(good: str) -> st.SearchStrategy[str]:
    """The same of a text."""
    return st.one_of(
        st.text(max_size=80), mangled(good.encode()).map(lambda raw: raw.decode("latin-1")), st.just(good)
    )


def scope(headers: Mapping[str, bytes], method: str = "POST") -> Any:
    """What a request with these headers looks like to ASGI."""
    return {
        "type": "http",
        "method": method,
        "headers": [(name.encode(), value) for name, value in headers.items()],
        "path": "/",
        "client": ("127.0.0.1", 1),
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
LAYOUT: dict[str, Any] = {
    "sections": [
        {"name": "Stalls", "rows": [{"label": "A", "category": "Standard", "seats": [{"label": "1"}]}]}
    ]
}
WIRE: dict[str, tuple[type, dict[str, Any]]] = {
    "show": (wire.NewShowBody, {"name": "A", "start_time": "2099-01-01T00:00:00Z", "layout": LAYOUT}),
    "show change": (wire.ShowChangeBody, {"name": "A", "hold_seconds": 9, "on_sale_at": None}),
    "booking": (wire.BookingBody, {"show_id": 1, "seats": ["1", 2], "confirm": False, "user_id": "ada"}),
    "seats": (wire.SeatsBody, {"seats": ["1", 2]}),
    "webhook": (wire.WebhookBody, {"url": "https://example.org", "types": ["booking.confirmed"]}),
    "webhook change": (wire.WebhookChangeBody, {"active": True, "description": None}),
}


def bodies(good: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A good body, damaged as bytes, or with a field that is something else."""
    encoded = msgspec.json.encode(good)
    swapped = st.tuples(st.sampled_from(sorted(good)), JSON).map(
        lambda change: _dumps({**good, change[0]: change[1]})
    )
    return st.one_of(mangled(encoded), swapped, JSON.map(_dumps))


def _dumps(value: object) -> bytes:
    return json.dumps(value).encode()


def _read_body(kind: str) -> Callable[[bytes], object]:
    def parse(body: bytes) -> object:
        read: Any = decode(body, WIRE[kind][0])
        now = datetime.now(UTC)
        match read:
            case wire.NewShowBody():
                new = read.to_new_show(now)
                if not isinstance(new.layout, SeatsOf):
                    return compile_layout(new.layout, new.categories)
            case wire.ShowChangeBody():
                return read.to_change(now)
            case wire.BookingBody():
                return read.to_request(read.show_id, "ada")
            case wire.SeatsBody():
                return read.labels()
        return read

    return parse


def _read_layout(value: object) -> object:
    spec = msgspec.convert(value, LayoutSpec)
    return compile_layout(spec, (Category("Standard", 0),))


def _layouts() -> st.SearchStrategy[Any]:
    label = st.text(max_size=3) | st.sampled_from(["A", "1", "A-1", ""])
    seat = st.fixed_dictionaries(
        {},
        optional={"label": label, "category": label, "accessible": st.booleans(), "gap_after": st.booleans()},
    )
    seats = st.integers(-2, 60) | st.lists(seat, max_size=5)
    row = st.fixed_dictionaries({"label": label, "seats": seats}, optional={"category": label})
    section = st.fixed_dictionaries({"name": label, "rows": st.lists(row, max_size=4)})
    return st.fixed_dictionaries({"sections": st.lists(section, max_size=3)}) | JSON


def _headers(name: str) -> st.SearchStrategy[Any]:
    """Requests with such a header, good, damaged, or twice."""
    good = {
        "idempotency-key": b"order-17",
        "prefer": b"respond-async, wait=10",
        "accept-encoding": b"gzip;q=0.5, zstd, br;q=0",
        "if-none-match": b'"1-abc", W/"2"',
        "last-event-id": b"17",
        "cookie": b"a=b; rowlock_session=ey.ey.ey",
        "authorization": b"Bearer ey.ey.ey",
        "origin": b"https://example.org:8443",
        "sec-fetch-site": b"cross-site",
        "host": b"127.0.0.1:8000",
        "x-request-id": b"abc",
        "range": b"bytes=0-10",
        "x-forwarded-for": b"203.0.113.9, [2001:db8::1]",
    }[name]
    values = st.lists(mangled(good), min_size=1, max_size=2)
    return values.map(lambda sent: {**scope({}), "headers": [(name.encode(), value) for value in sent]})


class _OfScope:
    """As much of a request as readers of headers ask for."""

    def __init__(self, asked: Any) -> None:
        self.scope = asked


_AUTH = Authenticator(AuthConfig(secret_keys=(KEY,), cors_origins=("https://example.org",)))


def _forwarded(asked: Any) -> object:
    """What the web server does with the headers of a proxy."""
    app = ProxyHeadersMiddleware(_nothing, trusted_hosts="*")
    return asyncio.run(app({**asked, "scheme": "http"}, None, None))  # type: ignore[arg-type]


async def _nothing(*_: object) -> None:
    return None


def _import(read: Callable[[Path, Problems], object]) -> Callable[[bytes], object]:
    file = Path(mkdtemp(prefix="rowlock-fuzz-")) / "import.csv"

    def parse(content: bytes) -> object:
        file.write_bytes(content)
        return read(file, Problems())

    return parse


SHOWS_CSV = b"id,name,start_time,total_seats\r\n1,Concert,2030-01-01T20:00:00Z,40\r\n"
BOOKINGS_CSV = b'id,show_id,user_id,status,seats\r\n1,1,ada,CONFIRMED,"1,2"\r\n'
SETTINGS = [
    "database_url",
    "redis_url",
    "amqp_url",
    "port",
    "secret_key",
    "cors_origins",
    "public_url",
    "host",
]
GOOD_TOKEN = tokens.mint(KEY, user_id="ada", role="customer", hours=1, name="Ada")
GOOD_CURSOR = encode_cursor(SECRET, "bookings", ("2030-01-01T00:00:00Z", 7))
SEALER = Sealer(KEY.encode())
HTTP = (Problem,)

PARSERS: dict[str, Parser] = {
    **{f"body: {kind}": Parser(bodies(good), _read_body(kind), (Problem, LayoutError, Invalid)) for kind, (_, good) in WIRE.items()},
    "layout": Parser(_layouts(), _read_layout, (msgspec.ValidationError, LayoutError)),
    "layout in the database": Parser(mangled(_dumps(LAYOUT)), decode_spec, (msgspec.MsgspecError, ValueError)),
    "cursor": Parser(mangled_text(GOOD_CURSOR), lambda text: decode_cursor(SECRET, "bookings", text, tuple[str, int]), (BadCursor,)),
    "show id": Parser(mangled_text("17"), identifiers.show_number, (NotFound,)),
    "booking id": Parser(mangled_text(str(UUID(int=7))), identifiers.booking_uuid, (NotFound,)),
    "booking id's show": Parser(st.uuids(), show_of, ()),
    "webhook id": Parser(mangled_text("2"), identifiers.webhook_number, (NotFound,)),
    "event id": Parser(mangled_text("17-3"), _parse_event_id, ()),
    "user id": Parser(mangled_text("ada"), wire.check_user_id, HTTP),
    "text of a query": Parser(mangled_text("Così"), lambda text: wire.check_text("q", text), HTTP),
    "token": Parser(mangled_text(GOOD_TOKEN), lambda text: tokens.verify(text, (KEY,)), HTTP),
    "token of an issuer": Parser(mangled_text(GOOD_TOKEN), Issuer(OidcConfig(issuer="https://id.example.org", audience="x")).is_named_by, ()),
    "trail": Parser(mangled_text("customer 127.0.0.1 r-1 ada"), unpacked, (ValueError,)),
    "webhook secret": Parser(mangled_text("whsec_" + "A" * 44), _checked_secret, (Invalid,)),
    "sealed secret": Parser(mangled(SEALER.seal("whsec_x")), SEALER.open, (CannotOpen,)),
    "address of a webhook": Parser(mangled_text("93.184.215.14"), assert_public, (TargetRefused, ValueError)),
    "host": Parser(mangled_text("[::1]:8000"), origins.is_loopback_host, ()),
    "way back after a sign-in": Parser(mangled_text("/shows/1"), is_local_path, ()),
    "queued request": Parser(mangled(b'{"id":"00000000-0000-822a-b0d1-30b647e59d50"}'), queueing.decode, (ValueError,)),
    "import of shows": Parser(mangled(SHOWS_CSV), _import(read_shows), ()),
    "import of bookings": Parser(mangled(BOOKINGS_CSV), _import(read_bookings), ()),
    "setting": Parser(
        st.tuples(st.sampled_from(SETTINGS), mangled_text("redis://user:password@host:6379/0")),
        lambda pair: Settings(_env_file=None, **{pair[0]: pair[1]}),  # type: ignore[call-arg]
        (ValidationError,),
    ),
    "Idempotency-Key": Parser(_headers("idempotency-key"), lambda asked: idempotency_key_of(_OfScope(asked)), HTTP),  # type: ignore[arg-type]
    "Prefer": Parser(_headers("prefer"), lambda asked: prefers_async(_OfScope(asked)), ()),  # type: ignore[arg-type]
    "Accept-Encoding": Parser(_headers("accept-encoding"), lambda asked: coding_for(asked, 9000), ()),
    "If-None-Match": Parser(_headers("if-none-match"), lambda asked: has_already(asked, '"1-abc"'), ()),
    "Last-Event-ID": Parser(_headers("last-event-id"), _last_version, ()),
    "X-Forwarded-For": Parser(_headers("x-forwarded-for"), _forwarded, ()),
    "X-Request-Id": Parser(_headers("x-request-id"), lambda asked: request_id_in(asked["headers"]), ()),
    "Authorization": Parser(_headers("authorization"), _AUTH.identify, HTTP),
    "Cookie": Parser(_headers("cookie"), _AUTH.identify, HTTP),
    "Origin": Parser(_headers("origin"), _AUTH.origins.check_cookie, HTTP),
    "Sec-Fetch-Site": Parser(_headers("sec-fetch-site"), _AUTH.origins.check_page, HTTP),
    "Host": Parser(_headers("host"), _AUTH.origins.check_demo, HTTP),
}  # fmt: skip


class Tried(NamedTuple):
    """How many inputs a parser was given, and how many it refused."""

    inputs: int
    refused: int


def try_parser(name: str, inputs: int) -> Tried:
    """Give a parser so many inputs, the same at each time. Raises what it should not have raised."""
    parser = PARSERS[name]
    count = refused = 0

    @seed(SEED)
    @settings(max_examples=inputs, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(parser.inputs)
    def feed(value: Any) -> None:
        nonlocal count, refused
        count += 1
        try:
            parser.parse(value)
        except parser.refuses:
            refused += 1

    feed()
    return Tried(count, refused)
