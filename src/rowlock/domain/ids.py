"""Booking ids: UUIDs whose leading bits are the show's id, so that a lookup by id goes to one shard.

The layout is a version 8 UUID (RFC 9562, section 5.8), whose custom bits hold, from the left:

    48 bits  show id, high part
     4 bits  version (8)
     5 bits  show id, low part
     7 bits  tail, high part
     2 bits  variant (binary 10)
    62 bits  tail, low part

53 bits of show id carry every id the API allows (1…2^53-1); 69 bits of tail can't be guessed. Most are random. Those of
queued requests must be known for what they are while no row has them, at every process, and while the database is down;
and those of requests with an Idempotency-Key must be the same each time. Their tail is, from the left:

    37 bits  nonce: random, or a keyed hash of (show, user, key)
    16 bits  a MAC of show and nonce: this id was made here
    16 bits  a MAC of show, nonce and owner: and for this owner

Odds. Two requests of one owner at one show meet in one id by chance once in 2^37 pairs: among 1,000 of them, 1 in
275,000; with the tail's other bits, requests of different owners never do in practice. Whoever makes an id up and asks for
it as a customer must meet 32 bits, at 10,000 tries a second once in five days, and is then told that this id is queued:
nothing of anybody's. A member of staff, who may read everything, must meet 16. Another customer's true id, where it
leaked, reads as one's own in 1 of 65,536 cases, as queued and no more. As soon as there is a row, all goes by the row.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from uuid import UUID

SHOW_ID_MAX: Final = 2**53 - 1  # the largest integer that every JSON reader keeps exact
TAIL_BITS: Final = 69
MAC_BITS: Final = 16
NONCE_BITS: Final = TAIL_BITS - 2 * MAC_BITS
_NONCE_MASK: Final = (1 << NONCE_BITS) - 1
_LOW_MASK: Final = (1 << 62) - 1
_FIXED: Final = (8 << 76) | (2 << 62)


def booking_id(show_id: int, tail: int) -> UUID:
    """The id of a booking of `show_id` (1…SHOW_ID_MAX) with a tail of TAIL_BITS bits (higher bits are dropped)."""
    return UUID(int=booking_number(show_id, tail))


def booking_number(show_id: int, tail: int) -> int:
    """The same, as a number of 128 bits."""
    return (
        (show_id >> 5) << 80 | _FIXED | (show_id & 31) << 71 | (tail >> 62 & 127) << 64 | (tail & _LOW_MASK)
    )


def queued_booking_id(secret: bytes, show_id: int, user_id: str, nonce: int) -> UUID:
    """The id of a queued request of `user_id`; `nonce` is random, of NONCE_BITS bits (higher bits are dropped).

    `secret` lives in the database (16 to 64 bytes).
    """
    return _sealed(secret, show_id, user_id, nonce & _NONCE_MASK)


def keyed_booking_id(secret: bytes, show_id: int, user_id: str, idempotency_key: str) -> UUID:
    """The id that belongs to an Idempotency-Key of a user at a show, queued or not. `secret` as above."""
    user = user_id.encode()
    message = b"%d:%d:%s%s" % (show_id, len(user), user, idempotency_key.encode())
    digest = hashlib.blake2b(message, digest_size=16, key=secret, person=b"rowlock.booking").digest()
    return _sealed(secret, show_id, user_id, int.from_bytes(digest) & _NONCE_MASK)


def was_queued(secret: bytes, identifier: UUID, user_id: str | None) -> bool:
    """Whether this may be the id of a queued request of `user_id`, or of anybody's where that is None."""
    show_id = show_of(identifier)
    if show_id is None:
        return False
    nonce = (_tail(identifier) >> (2 * MAC_BITS)) & _NONCE_MASK
    made = _sealed(secret, show_id, user_id or "", nonce).int
    ignored = (1 << MAC_BITS) - 1 if user_id is None else 0
    return hmac.compare_digest((made | ignored).to_bytes(16), (identifier.int | ignored).to_bytes(16))


def _sealed(secret: bytes, show_id: int, user_id: str, nonce: int) -> UUID:
    here, owner = (
        int.from_bytes(hashlib.blake2b(message, digest_size=2, key=secret, person=purpose).digest())
        for purpose, message in (
            (b"rowlock.queued", b"%d:%d" % (show_id, nonce)),
            (b"rowlock.owner", b"%d:%d:%s" % (show_id, nonce, user_id.encode())),
        )
    )
    return booking_id(show_id, nonce << (2 * MAC_BITS) | here << MAC_BITS | owner)


def _tail(identifier: UUID) -> int:
    number = identifier.int
    return (number >> 64 & 127) << 62 | number & _LOW_MASK


def show_of(identifier: UUID) -> int | None:
    """The show that a booking id names; None if this can't be a booking's id."""
    number = identifier.int
    if (number >> 76) & 15 != 8 or (number >> 62) & 3 != 2:
        return None
    return ((number >> 80) << 5 | (number >> 71) & 31) or None
