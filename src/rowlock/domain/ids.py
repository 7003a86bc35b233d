"""Booking ids: UUIDs whose leading bits are the show's id, so that a lookup by id goes to one shard.

The layout is a version 8 UUID (RFC 9562, section 5.8), whose custom bits hold, from the left:

    48 bits  show id, high part
     4 bits  version (8)
     5 bits  show id, low part
     7 bits  tail, high part
     2 bits  variant (binary 10)
    62 bits  tail, low part

53 bits of show id carry every id the API allows (1…2^53-1); 69 bits of tail can't be guessed, and are either
random or, for a request with an Idempotency-Key, a keyed hash of (show, user, key): the same request again, at any
process, meets its own row.
"""

from __future__ import annotations

import hashlib
from typing import Final
from uuid import UUID

SHOW_ID_MAX: Final = 2**53 - 1  # the largest integer that every JSON reader keeps exact
TAIL_BITS: Final = 69
_LOW_MASK: Final = (1 << 62) - 1
_FIXED: Final = (8 << 76) | (2 << 62)


def booking_id(show_id: int, tail: int) -> UUID:
    """The id of a booking of `show_id` (1…SHOW_ID_MAX) with a tail of TAIL_BITS bits (higher bits are dropped)."""
    return UUID(
        int=(show_id >> 5) << 80
        | _FIXED
        | (show_id & 31) << 71
        | (tail >> 62 & 127) << 64
        | (tail & _LOW_MASK)
    )


def keyed_booking_id(secret: bytes, show_id: int, user_id: str, idempotency_key: str) -> UUID:
    """The id that belongs to an Idempotency-Key of a user at a show. `secret` lives in the database (16 to 64 bytes)."""
    user = user_id.encode()
    message = b"%d:%d:%s%s" % (show_id, len(user), user, idempotency_key.encode())
    digest = hashlib.blake2b(message, digest_size=16, key=secret, person=b"rowlock.booking").digest()
    return booking_id(show_id, int.from_bytes(digest))


def show_of(identifier: UUID) -> int | None:
    """The show that a booking id names; None if this can't be a booking's id."""
    number = identifier.int
    if (number >> 76) & 15 != 8 or (number >> 62) & 3 != 2:
        return None
    return ((number >> 80) << 5 | (number >> 71) & 31) or None
