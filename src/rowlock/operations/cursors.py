"""Cursors: where a list goes on, sealed so that an edited one is told from a good one.

A cursor is the sort key of the last row seen, so that a page costs the same however deep it lies. The seal's key
lives in the database: a cursor of one server is good at every other.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import TypeVar

import msgspec

T = TypeVar("T")
_SEAL_BYTES = 8


class BadCursor(ValueError):  # noqa: N818
    """A cursor that this list did not give out."""


def _seal(secret: bytes, kind: str, body: bytes) -> bytes:
    return hashlib.blake2b(kind.encode() + b":" + body, digest_size=_SEAL_BYTES, key=secret).digest()


def encode_cursor(secret: bytes, kind: str, key: object) -> str:
    """Write the sort key of a list's last row. `kind` names the list: a cursor is good for one list only."""
    body = msgspec.msgpack.encode(key)
    return urlsafe_b64encode(_seal(secret, kind, body) + body).rstrip(b"=").decode()


def decode_cursor(secret: bytes, kind: str, cursor: str, type_: type[T]) -> T:
    """Read it back. Raises `BadCursor`."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        body = raw[_SEAL_BYTES:]
        if not hmac.compare_digest(raw[:_SEAL_BYTES], _seal(secret, kind, body)):
            raise BadCursor
        if encode_cursor(secret, kind, msgspec.msgpack.decode(body)) != cursor:
            raise BadCursor  # other text for the same bytes: base64 leaves bits unused
        return msgspec.msgpack.decode(body, type=type_)
    except (Base64Error, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise BadCursor from error
