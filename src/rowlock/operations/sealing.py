"""Sealing: the secrets of webhooks are kept encrypted, so that rows of the table alone sign nothing.

The key is made of ROWLOCK_SECRET_KEY, which is not in the database. Where that names several, the first seals and all
open; what was sealed with one that is gone can't be opened any more: that webhook must be given a new secret. Fernet (AES-128-CBC with HMAC-SHA256) is the library's recipe.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class CannotOpen(Exception):  # noqa: N818
    """It was sealed with another key."""


class Sealer:
    """Seals with a key that is made of the first of `secrets`, and opens with that of any."""

    def __init__(self, *secrets: bytes) -> None:
        self._fernet = MultiFernet([Fernet(_key_of(secret)) for secret in secrets])

    def seal(self, text: str) -> bytes:
        """The text, encrypted and authenticated."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """The text again. Raises `CannotOpen`."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise CannotOpen("the secret was sealed with another ROWLOCK_SECRET_KEY") from error


def _key_of(secret: bytes) -> bytes:
    key = HKDF(SHA256(), length=32, salt=None, info=b"rowlock webhook secrets").derive(secret)
    return urlsafe_b64encode(key)
