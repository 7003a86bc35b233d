"""Booking ids: they carry their show, and give nothing else away."""

from __future__ import annotations

import itertools
import random
from uuid import RFC_4122, UUID, uuid1, uuid4

from hypothesis import example, given
from hypothesis import strategies as st

from rowlock.domain.ids import (
    NONCE_BITS,
    SHOW_ID_MAX,
    TAIL_BITS,
    booking_id,
    keyed_booking_id,
    queued_booking_id,
    show_of,
    was_queued,
)

SECRET = bytes(range(32))
shows = st.integers(1, SHOW_ID_MAX)
tails = st.integers(0, 2**TAIL_BITS - 1)
texts = st.text(max_size=20)


@given(shows, tails)
@example(1, 0)
@example(1, 2**TAIL_BITS - 1)
@example(SHOW_ID_MAX, 0)
@example(SHOW_ID_MAX, 2**TAIL_BITS - 1)
def test_a_booking_id_tells_its_show(show_id: int, tail: int) -> None:
    """A booking could not be found by its id."""
    identifier = booking_id(show_id, tail)
    assert show_of(identifier) == show_id
    assert show_of(UUID(str(identifier))) == show_id


@given(shows, st.integers(0, 2**128 - 1))
def test_it_is_a_uuid_of_version_8(show_id: int, tail: int) -> None:
    """A client that checks its UUIDs would refuse ours."""
    identifier = booking_id(show_id, tail)
    assert (identifier.version, identifier.variant) == (8, RFC_4122)
    assert 0 <= identifier.int < 2**128


@given(shows, tails, tails)
def test_every_bit_of_the_tail_counts(show_id: int, one: int, other: int) -> None:
    """Two bookings of a show would meet in one id, or ids could be guessed."""
    assert (booking_id(show_id, one) == booking_id(show_id, other)) == (one == other)


def test_the_tail_is_as_wide_as_it_says() -> None:
    """Ids would have fewer unguessable bits than counted on."""
    changes = {booking_id(1, 1 << bit) for bit in range(TAIL_BITS)}
    assert len(changes) == TAIL_BITS
    assert booking_id(1, 1 << TAIL_BITS) == booking_id(1, 0), "what is beyond the tail spoils nothing"


def test_other_uuids_name_no_show() -> None:
    """A made-up id would be looked for at some show instead of being unknown."""
    assert show_of(UUID(int=0)) is None
    assert show_of(UUID(int=2**128 - 1)) is None
    assert all(show_of(uuid4()) is None for _ in range(50))
    assert show_of(uuid1()) is None
    good = booking_id(77, 5).int
    assert show_of(UUID(int=good ^ 1 << 76)) is None, "another version"
    assert show_of(UUID(int=good ^ 1 << 63)) is None, "another variant"
    assert show_of(UUID(int=booking_id(1, 9).int & ~(31 << 71))) is None, "there is no show 0"


@given(st.integers(0, 2**128 - 1))
def test_no_uuid_at_all_names_an_impossible_show(number: int) -> None:
    """A hostile id would reach the database as a number it has no type for."""
    show_id = show_of(UUID(int=number))
    assert show_id is None or 1 <= show_id <= SHOW_ID_MAX


@given(shows, shows, tails, tails)
def test_ids_sort_by_show(one: int, other: int, tail: int, other_tail: int) -> None:
    """Bookings of one show would lie scattered over the index and the shards."""
    first, second = booking_id(one, tail), booking_id(other, other_tail)
    if one != other:
        assert (first < second) == (one < other)
        assert (first.bytes < second.bytes) == (one < other), "PostgreSQL's order is that of the bytes"


@given(shows, texts, texts)
def test_the_same_key_gives_the_same_id(show_id: int, user_id: str, key: str) -> None:
    """A request sent twice would book twice."""
    first = keyed_booking_id(SECRET, show_id, user_id, key)
    assert keyed_booking_id(SECRET, show_id, user_id, key) == first
    assert show_of(first) == show_id
    assert (first.version, first.variant) == (8, RFC_4122)


@given(st.tuples(shows, texts, texts), st.tuples(shows, texts, texts))
def test_another_show_user_or_key_gives_another_id(
    one: tuple[int, str, str], other: tuple[int, str, str]
) -> None:
    """Someone's key would answer with someone else's booking."""
    assert (keyed_booking_id(SECRET, *one) == keyed_booking_id(SECRET, *other)) == (one == other)


def test_run_together_they_stay_apart() -> None:
    """A user could choose a key so that it meets another user's booking."""
    pieces = [
        "",
        "1",
        "11",
        ":",
        "1:",
        ":1",
        "1:1",
        "a",
        "aa",
        "a:",
        ":a",
        "1:a",
        "a1",
        "é",
        "e\u0301",
        "\0",
        "a\0",
    ]
    users_and_keys = list(itertools.product(pieces, pieces))
    ids = {
        keyed_booking_id(SECRET, show_id, user_id, key)
        for show_id in (1, 11, 111)
        for user_id, key in users_and_keys
    }
    assert len(ids) == 3 * len(users_and_keys)


def test_the_tail_differs_too_and_depends_on_the_secret() -> None:
    """Whoever reads the source could compute other people's booking ids."""
    tails_of_shows = {
        keyed_booking_id(SECRET, show, "ada", "k").int & (1 << 71) - 1 for show in range(1, 200)
    }
    assert len(tails_of_shows) == 199
    secrets = [random.Random(n).randbytes(32) for n in range(50)]
    assert len({keyed_booking_id(secret, 1, "ada", "k") for secret in secrets}) == 50


nonces = st.integers(0, 2**NONCE_BITS - 1)


@given(shows, texts, nonces)
@example(SHOW_ID_MAX, "", 2**NONCE_BITS - 1)
def test_a_queued_id_is_known_for_what_it_is(show_id: int, user_id: str, nonce: int) -> None:
    """Whoever was told 202 would ask for the booking and hear that there is none."""
    identifier = queued_booking_id(SECRET, show_id, user_id, nonce)
    assert show_of(identifier) == show_id
    assert was_queued(SECRET, identifier, user_id)
    assert was_queued(SECRET, identifier, None), "staff may read anybody's"
    assert was_queued(SECRET, keyed_booking_id(SECRET, show_id, user_id, str(nonce)), user_id)


def test_a_changed_bit_makes_a_queued_id_unknown() -> None:
    """Whoever makes ids up would be told that they are queued, for good."""
    identifier = queued_booking_id(SECRET, 77, "ada", 12345)
    for bit in range(128):
        forged = UUID(int=identifier.int ^ 1 << bit)
        assert not was_queued(SECRET, forged, "ada"), bit
    others = [name for name in map(str, range(200)) if was_queued(SECRET, identifier, name)]
    assert others == [], "another user's id reads as one's own"
    assert not was_queued(bytes(32), identifier, "ada")
    assert not was_queued(SECRET, booking_id(77, 12345), None), "an id that was not queued"


def test_every_nonce_gives_an_id_of_its_own() -> None:
    """Two of one customer's requests would be one booking."""
    ids = {queued_booking_id(SECRET, 1, "ada", 1 << bit) for bit in range(NONCE_BITS)}
    assert len(ids) == NONCE_BITS
    assert queued_booking_id(SECRET, 1, "ada", 1 << NONCE_BITS) == queued_booking_id(SECRET, 1, "ada", 0)
