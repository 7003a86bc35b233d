"""The composition root: settings in, a server or a worker out. It joins the parts, and decides nothing itself."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from litestar import Litestar

from rowlock import settings as environment
from rowlock import telemetry
from rowlock.brokers.redis_counts import RedisCounts
from rowlock.brokers.redis_pages import RedisPages
from rowlock.http.application import create_http
from rowlock.http.identity import AuthConfig
from rowlock.http.oidc import OidcConfig
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import list_shows
from rowlock.operations.seats import availability, plan_of
from rowlock.operations.seed import seed_samples
from rowlock.postgres.pool import Database
from rowlock.seatmap.maps import CHECK_SECONDS
from rowlock.settings import Settings
from rowlock.workers.loop import Loop
from rowlock.workers.sweeper import Sweeper

GAUGE_SECONDS = 1.0  # finer than any scrape


def create_app(settings: Settings) -> Litestar:
    """The server, as an ASGI application. It opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with _context(settings) as context, _running(_loops(context, settings)):
            app.state.context = context
            if context.redis is not None:
                app.state.counts.shared = RedisCounts(context.redis)
                app.state.caches.lists.shared = RedisPages(context.redis)
            yield

    demo = settings.auth == "demo"
    secret_key = settings.secret_key or (secrets.token_hex(32) if demo else None)
    assert secret_key is not None, "the command line refuses to serve without ROWLOCK_SECRET_KEY"
    return create_http(
        AuthConfig(
            secret_keys=(secret_key,),
            demo=demo,
            session_hours=settings.session_hours,
            public_url=settings.public_url,
            cors_origins=settings.cors_origins,
            oidc=_oidc(settings),
        ),
        lifespan=[lifespan],
        bookings_per_minute=0 if demo else settings.rate_bookings_per_minute,
        sign_ins_per_minute=0 if demo else settings.rate_sign_ins_per_minute,
    )


def create_app_from_env() -> Litestar:
    """The server, by the environment: what each of several worker processes starts with."""
    settings = environment.load()
    telemetry.configure(settings)
    return create_app(settings)


async def run_worker(settings: Settings) -> None:
    """Sweep until cancelled, without serving."""
    async with _context(settings) as context:
        sweeping = _sweeping(context, settings)
        async with _running([sweeping]):
            await sweeping.wait()


async def seed(settings: Settings) -> int:
    """Make the sample shows if there are none at all. Returns how many were made."""
    async with _context(settings) as context:
        return len(await seed_samples(context))


async def sample_curl(settings: Settings) -> str:
    """A line of curl that books two seats that are free now; empty if there is nothing to book."""
    async with _context(settings) as context:
        for show in (await list_shows(context, limit=200)).items:
            statuses = (await availability(context, show.id)).statuses
            first = statuses.find("AA")
            if first >= 0:
                layout = (await plan_of(context, show.id)).layout
                body = f'{{"show_id": {show.id}, "seats": ["{layout.label(first)}", "{layout.label(first + 1)}"]}}'
                base = f"http://{settings.host}:{settings.port}"
                return f"curl -s {base}/api/bookings -H 'Content-Type: application/json' -d '{body}'"
    return ""


def _context(settings: Settings) -> AbstractAsyncContextManager[Context]:
    assert settings.database_url is not None, "whoever starts the embedded server sets its address"
    database = Database(
        dsn=settings.database_url,
        pool_size=settings.pool_size,
        statement_cache=settings.statement_cache,
        statement_timeout=settings.statement_timeout_seconds,
        lock_timeout=settings.lock_timeout_seconds,
        idle_in_transaction=settings.idle_in_transaction_seconds,
        direct_dsn=settings.direct_database_url,
    )
    return open_context(
        database, lanes=settings.lanes, hold_seconds=settings.hold_seconds, redis_url=settings.redis_url
    )


def _oidc(settings: Settings) -> OidcConfig | None:
    if settings.oidc_issuer is None:
        return None
    return OidcConfig(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience or settings.oidc_client_id or "",
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        roles_claim=settings.oidc_roles_claim,
    )


def _sweeping(context: Context, settings: Settings) -> Loop:
    sweeper = Sweeper(context, settings.keep_failed_days)
    return Loop("sweeper", sweeper.round, settings.sweep_seconds)


def _loops(context: Context, settings: Settings) -> list[Loop]:
    async def measure() -> bool:
        telemetry.LANE_DEPTH.set(context.engine.depth)
        idle = context.pool.get_idle_size()
        telemetry.POOL_CONNECTIONS.labels("idle").set(idle)
        telemetry.POOL_CONNECTIONS.labels("used").set(context.pool.get_size() - idle)
        return False

    async def look_after_maps() -> bool:
        await context.maps.check()
        await context.maps.share()
        context.live.forget()
        context.maps.drop_idle()
        return False

    loops = [Loop("gauges", measure, GAUGE_SECONDS), Loop("maps", look_after_maps, CHECK_SECONDS)]
    if settings.sweeper:
        loops.append(_sweeping(context, settings))
    return loops


@asynccontextmanager
async def _running(loops: list[Loop]) -> AsyncIterator[None]:
    """Loops, running; stopped at the end."""
    async with AsyncExitStack() as stack:
        for loop in loops:
            loop.start()
            stack.push_async_callback(loop.stop)
        yield
