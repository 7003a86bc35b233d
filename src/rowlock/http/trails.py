"""The trail of a request: who asks, and from where, for the audit trail."""

from __future__ import annotations

from typing import Any

from litestar import Request

from rowlock.domain.trails import Trail
from rowlock.http.identity import Caller
from rowlock.http.observing import request_id_of

ADDRESS_CHARS_MAX = 64  # an IPv6 address with a zone has some 60


def trail_of(request: Request[Caller, Any, Any]) -> Trail | None:
    """Who asks, in which role, from which address, in which request; None where nobody is signed in."""
    client = request.scope.get("client")
    return trail_by(request.user, client[0] if client else None, request_id_of(request.scope))


def trail_by(caller: Caller, address: str | None, request_id: str) -> Trail | None:
    """The trail of a caller."""
    if caller.user_id is None:
        return None
    if address is not None and (
        len(address) > ADDRESS_CHARS_MAX or not address.isprintable() or " " in address
    ):
        address = None  # a proxy handed on what somebody wrote: no address looks so
    return Trail(caller.user_id, caller.acts_as, address, request_id)
