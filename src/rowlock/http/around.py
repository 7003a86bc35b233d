"""Around the API: whether the server lives and is ready, and its metrics."""

from __future__ import annotations

from functools import cache
from typing import Any

import asyncpg
import structlog
from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import CacheControlHeader
from msgspec import Struct

from rowlock import __version__, telemetry
from rowlock.http import documentation
from rowlock.http.problems import Code, Problem
from rowlock.operations.context import Context
from rowlock.postgres import migrate

log = structlog.get_logger(__name__)

READY_SECONDS_MAX = 2.0  # a probe that waits longer has its answer


class Health(Struct, frozen=True):
    """The process lives."""

    status: str
    version: str


class Ready(Struct, frozen=True):
    """The database answers, and its schema is the one this version was written for."""

    status: str
    schema: str


@get(
    "/health",
    summary="Whether the process lives",
    description="Asks nothing of the database.",
    operation_id="get_health",
)
async def health() -> Health:
    """The process lives."""
    return Health("ok", __version__)


@get(
    "/ready",
    summary="Whether requests can be served",
    description="200 where the database answers and its schema is current; else 503.",
    operation_id="get_ready",
)
async def ready(request: Request[Any, Any, Any]) -> Ready:
    """Whether the database answers, and its schema is ours."""
    context: Context | None = request.app.state.get("context")
    if context is None:
        raise _not_ready("The server is starting or stopping.")
    try:
        async with context.pool.acquire(timeout=READY_SECONDS_MAX) as connection:
            schema = await connection.fetchval(
                "SELECT version_num FROM alembic_version", timeout=READY_SECONDS_MAX
            )
    except asyncpg.UndefinedTableError:
        schema = None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        log.warning("not_ready", error=repr(error))
        raise _not_ready("The database does not answer.") from None
    if schema != _head():
        raise _not_ready("The database's schema is not the one this version needs; run `rowlock migrate`.")
    return Ready("ready", schema)


@cache
def _head() -> str:
    return migrate.head()


def _not_ready(detail: str) -> Problem:
    return Problem(Code.BUSY, detail, retry_after=1)


@get(
    "/metrics",
    summary="Metrics",
    description="In Prometheus' text format, of all processes of this server.",
    operation_id="get_metrics",
    media_type=MediaType.TEXT,
    sync_to_thread=True,  # with several processes it reads their files
)
def metrics() -> Response[bytes]:
    """The metrics."""
    body, content_type = telemetry.render()
    return Response(body, headers={"Content-Type": content_type})


@get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
def favicon() -> Response[bytes]:
    """The icon that browsers ask for unasked."""
    return documentation.asset("favicon-32x32.png")


def around_router() -> Router:
    """The routes around the API."""
    return Router(
        "/",
        route_handlers=[
            favicon,
            Router(
                "/",
                route_handlers=[health, ready, metrics],
                cache_control=CacheControlHeader(no_store=True),
                tags=["Around it"],
            ),
        ],
    )
