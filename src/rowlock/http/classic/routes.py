"""All routes below /classic. Predecessors 0 and 3 have none here: `/api` is theirs."""

from __future__ import annotations

from litestar import Router
from litestar.types import Middleware

from rowlock.http.classic import predecessor_1, predecessor_2, predecessor_4


def classic_routers(limit: list[Middleware]) -> list[Router]:
    """The routes of all predecessors. `limit`: what goes before a request to book, as at `/api`."""
    return [predecessor.router(limit) for predecessor in (predecessor_1, predecessor_2, predecessor_4)]
