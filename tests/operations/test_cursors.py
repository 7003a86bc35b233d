"""Cursors: sealed, good for one list, and refused when anything about them was changed."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.operations.cursors import BadCursor, decode_cursor, encode_cursor

SECRET = bytes(range(32))
SHOW_KEY = (datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC), 2**53 - 1)
BOOKING_KEY = (
    datetime(2031, 5, 6, 7, 8, 9, 1, tzinfo=UTC),
    UUID("0123-4567-89ab-8def-8123-456789abcdef".replace("-", "")),
)
ALPHABET = string.ascii_letters + string.digits + "-_"


def shows_cursor() -> str:
    """A good cursor of the list of shows."""
    return encode_cursor(SECRET, "shows", SHOW_KEY)


@given(
    st.datetimes(
        min_value=datetime(1, 1, 2),
        max_value=datetime(9999, 12, 30),
        timezones=st.just(UTC),
    ),
    st.integers(1, 2**53 - 1),
)
def test_a_cursor_comes_back_as_it_was(time: datetime, show_id: int) -> None:
    """A list would go on at the wrong place."""
    cursor = encode_cursor(SECRET, "shows", (time, show_id))
    assert decode_cursor(SECRET, "shows", cursor, tuple[datetime, int]) == (time, show_id)


def test_a_booking_key_comes_back_as_it_was() -> None:
    """The second page of one's bookings would fail."""
    time, identifier = BOOKING_KEY
    cursor = encode_cursor(SECRET, "bookings", (time, str(identifier)))
    assert decode_cursor(SECRET, "bookings", cursor, tuple[datetime, UUID]) == BOOKING_KEY
    assert set(cursor) <= set(ALPHABET), "it goes into a URL as it is"


def refused(cursor: str, *, secret: bytes = SECRET, kind: str = "shows") -> bool:
    """Whether a cursor is refused, in the one way that callers expect."""
    try:
        decode_cursor(secret, kind, cursor, tuple[datetime, int])
    except BadCursor:
        return True
    return False


def test_every_flipped_bit_is_noticed() -> None:
    """Whoever plays with a cursor would read lists from places of their own choice."""
    good = shows_cursor()
    raw = urlsafe_b64decode(good + "=" * (-len(good) % 4))
    for index in range(len(raw)):
        for bit in range(8):
            edited = bytearray(raw)
            edited[index] ^= 1 << bit
            assert refused(urlsafe_b64encode(edited).rstrip(b"=").decode()), (index, bit)


def test_every_changed_letter_is_noticed() -> None:
    """As above; and one place would have several names, which caches don't know."""
    good = shows_cursor()
    assert not refused(good)
    for index, letter in enumerate(good):
        for other in ALPHABET:
            if other != letter:
                assert refused(good[:index] + other + good[index + 1 :]), (index, other)


def test_more_or_less_of_it_is_noticed() -> None:
    """A cursor cut off in an e-mail would end in a failure of the server."""
    good = shows_cursor()
    assert all(refused(good[:length]) for length in range(len(good)))
    more = ["=", "==", "A", "AA", "AAAA", "\n", " ", "+", "/", "é", "\0", "%3D", "\ud800", good]
    assert [extra for extra in more if not refused(good + extra)] == []
    assert [extra for extra in more if not refused(extra + good)] == []
    middle = len(good) // 2
    assert all(refused(good[:middle] + extra + good[middle:]) for extra in more)


@given(st.text(max_size=80))
def test_junk_is_refused(text: str) -> None:
    """Any text in a URL could bring a server error."""
    assert refused(text)


def test_a_cursor_is_good_for_one_list_and_one_secret() -> None:
    """A cursor of one list would lead to a senseless place of another."""
    good = shows_cursor()
    assert refused(good, kind="bookings")
    assert refused(good, kind="show")
    assert refused(good, kind="")
    assert refused(good, secret=bytes(32))


def test_a_sealed_key_of_another_shape_is_refused() -> None:
    """After an upgrade old cursors would be misread instead of refused."""
    time = datetime(2031, 1, 1, tzinfo=UTC)
    for key in (
        None,
        1,
        "x",
        [time],
        [time, "x"],
        [time, 1, 2],
        {"a": 1},
        [time + timedelta(1), None],
        [1, 1, 1],
    ):
        assert refused(encode_cursor(SECRET, "shows", key)), key


def test_kinds_do_not_run_into_keys() -> None:
    """A key could be chosen so that its seal fits another list."""
    body = msgspec.msgpack.encode(SHOW_KEY)
    assert encode_cursor(SECRET, "a", SHOW_KEY) != encode_cursor(SECRET, "b", SHOW_KEY)
    assert len({encode_cursor(SECRET, kind, SHOW_KEY)[:10] for kind in ("", ":", "a", "a:", ":a")}) == 5
    assert body in urlsafe_b64decode(shows_cursor() + "==")


@pytest.mark.parametrize("kind", ["shows", "bookings"])
def test_equal_keys_have_equal_cursors(kind: str) -> None:
    """Two servers would give out different links to the same page."""
    assert encode_cursor(SECRET, kind, SHOW_KEY) == encode_cursor(SECRET, kind, SHOW_KEY)
