"""What changed in a show by one commit: the unit of the change feed."""

from __future__ import annotations

import msgspec


class Change(msgspec.Struct, frozen=True, array_like=True):
    """The seats of a show that a batch changed, as of `version`; `letters` are their statuses, one for each of `seats`.

    `available` is the show's count after it. Versions of a show rise by one with each commit that changes its seats.
    """

    show_id: int
    version: int
    available: int
    seats: tuple[int, ...]
    letters: str
