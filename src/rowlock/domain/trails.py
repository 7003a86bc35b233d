"""Trails: who asks for a change, and from where. What the audit trail is made of."""

from __future__ import annotations

import msgspec

_NOWHERE = "-"


class Trail(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Whoever asked for something: the user and the role they acted in, their address, and the request's id.

    `detail` is what the audit trail should say beside, as JSON.
    """

    user_id: str
    role: str
    address: str | None = None
    request_id: str | None = None
    detail: str | None = None


def packed(trail: Trail) -> str:
    """A trail as a booking's row keeps it: role, address and request id, which have no spaces, then the user."""
    return f"{trail.role} {trail.address or _NOWHERE} {trail.request_id or _NOWHERE} {trail.user_id}"


def unpacked(text: str) -> Trail:
    """A trail again. Raises ValueError for what `packed` did not write."""
    role, address, request_id, user_id = text.split(" ", 3)
    return Trail(
        user_id,
        role,
        None if address == _NOWHERE else address,
        None if request_id == _NOWHERE else request_id,
    )
