"""Ids in addresses. What can't be an id names nothing: 404, and never a 400."""

from __future__ import annotations

import re
from uuid import UUID

from rowlock.domain.ids import SHOW_ID_MAX
from rowlock.operations.errors import NotFound

_SHOW_ID = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)
_BOOKING_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
_SAID_CHARS_MAX = 60


def show_number(text: str) -> int:
    """A show's id in an address. Raises `NotFound`."""
    if _SHOW_ID.fullmatch(text) and (number := int(text)) <= SHOW_ID_MAX:
        return number
    raise NotFound(f"show {_said(text)}")


def booking_uuid(text: str) -> UUID:
    """A booking's id in an address. Raises `NotFound`."""
    if _BOOKING_ID.fullmatch(text):
        return UUID(text)
    raise NotFound(f"booking {_said(text)}")


def webhook_number(text: str) -> int:
    """A webhook's id in an address. Raises `NotFound`."""
    if _SHOW_ID.fullmatch(text) and (number := int(text)) <= SHOW_ID_MAX:
        return number
    raise NotFound(f"webhook {_said(text)}")


def _said(text: str) -> str:
    return "".join(sign if sign.isprintable() else "�" for sign in text[:_SAID_CHARS_MAX])
