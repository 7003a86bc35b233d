"""Outcomes: what a command came to.

A taken seat is an outcome, not an exception. Where several refusals apply, the one that stands first in
`Outcome` is said: from "there is no such thing" over "not now, not you" to "not these seats".
"""

from __future__ import annotations

from enum import Enum
from typing import Self


class Outcome(Enum):
    """What a command came to; members are in order of precedence, refusals first.

    `retry_can_help`: whether the same request, sent again unchanged, may fare better.
    """

    retry_can_help: bool
    __hash__ = object.__hash__  # Enum's own is written in Python, and asked three times a booking

    IDEMPOTENCY_KEY_REUSED = ("idempotency_key_reused", False)
    SHOW_NOT_FOUND = ("show_not_found", False)
    BOOKING_NOT_FOUND = ("booking_not_found", False)
    SHOW_CANCELLED = ("show_cancelled", False)
    NOT_ON_SALE = ("not_on_sale", True)
    FORBIDDEN = ("forbidden", False)
    TOO_MANY_SEATS = ("too_many_seats", False)
    TOO_MANY_HOLDS = ("too_many_holds", True)  # more than one customer may hold: see fair_play.py
    WRONG_STATE = ("wrong_state", False)
    HOLD_EXPIRED = ("hold_expired", False)
    SEATS_TAKEN = ("seats_taken", True)
    NOT_ENOUGH_SEATS = ("not_enough_seats", True)
    DROPPED = ("dropped", False)  # a queued request that could not be decided, and was given up by hand
    REPICK = ("repick", True)  # never told: the best seats were lost to another; the engine picks again

    HELD = ("held", False)
    CONFIRMED = ("confirmed", False)
    CANCELLED = ("cancelled", False)
    RELEASED = ("released", False)
    EXPIRED = ("expired", False)
    UNCHANGED = ("unchanged", False)  # an Expire that came too late, or a close of what is closed
    BLOCKED = ("blocked", False)
    UNBLOCKED = ("unblocked", False)
    SALE_CLOSED = ("sale_closed", False)

    def __new__(cls, value: str, retry_can_help: bool) -> Self:
        """Make the name the value; keep the flag beside it."""
        member = object.__new__(cls)
        member._value_ = value
        member.retry_can_help = retry_can_help
        return member
