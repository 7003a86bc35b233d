"""The composition root: settings in, a server or a worker out. It joins the parts, and decides nothing itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import structlog
from litestar import Litestar

from rowlock import settings as environment
from rowlock import telemetry
from rowlock.brokers.redis_counts import RedisCounts
from rowlock.brokers.redis_pages import RedisPages
from rowlock.domain.fair_play import FairPlay
from rowlock.http.application import create_http
from rowlock.http.documentation import openapi_document
from rowlock.http.identity import AuthConfig
from rowlock.http.oidc import OidcConfig
from rowlock.operations.context import Context, open_context
from rowlock.operations.find_shows import list_shows
from rowlock.operations.queue_broker import BrokerQueue
from rowlock.operations.revocations import REFRESH_SECONDS, Revocations
from rowlock.operations.seats import availability, plan_of
from rowlock.operations.seed import seed_samples
from rowlock.postgres.pool import Database
from rowlock.seatmap.maps import CHECK_SECONDS
from rowlock.settings import Settings
from rowlock.workers.broker_consumer import BrokerConsumer
from rowlock.workers.deliveries import Deliverer
from rowlock.workers.exchange import RabbitExchange
from rowlock.workers.loop import Loop, Worker
from rowlock.workers.measuring import Measuring
from rowlock.workers.outbox import Keeping, Publishing, Queueing, Stage
from rowlock.workers.sweeper import Sweeper
from rowlock.workers.table_consumer import RETRY_SECONDS, TableConsumer

GAUGE_SECONDS = 1.0  # finer than any scrape
QUEUE_GAUGE_SECONDS = 5.0  # it counts rows, and asks the broker
EVENTS_SECONDS = 0.2  # between looks for events: what a reader of them may have to wait
PRUNE_SECONDS = 60.0
LAG_SECONDS = 5.0

log = structlog.get_logger(__name__)


def create_app(settings: Settings) -> Litestar:
    """The server, as an ASGI application. It opens its connections when it starts."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with _context(settings) as context:
            revocations = Revocations(context.pool)
            await revocations.refresh()
            app.state.authenticator.use(revocations)
            work = _work(context, settings) if settings.work else []
            async with _running([*_housekeeping(context, revocations), *work]):
                app.state.context = context
                if context.redis is not None:
                    app.state.counts.shared = RedisCounts(context.redis)
                    app.state.caches.lists.shared = RedisPages(context.redis)
                yield

    demo = settings.auth == "demo"
    secret_keys = settings.secret_keys or ((secrets.token_hex(32),) if demo else ())
    assert secret_keys, "the command line refuses to serve without ROWLOCK_SECRET_KEY"
    return create_http(
        AuthConfig(
            secret_keys=secret_keys,
            demo=demo,
            session_hours=settings.session_hours,
            public_url=settings.public_url,
            cors_origins=settings.cors_origins,
            oidc=_oidc(settings),
        ),
        lifespan=[lifespan],
        bookings_per_minute=0 if demo else settings.rate_bookings_per_minute,
        guests_per_minute=0 if demo else settings.rate_guests_per_minute,
        holds_per_minute=0 if demo else settings.rate_holds_per_minute,
        sign_ins_per_minute=0 if demo else settings.rate_sign_ins_per_minute,
    )


def create_app_from_env() -> Litestar:
    """The server, by the environment: what each of several worker processes starts with."""
    settings = environment.load()
    telemetry.configure(settings)
    return create_app(settings)


def openapi() -> bytes:
    """The API's description, OpenAPI as JSON: the same that a server serves, without one."""
    return openapi_document(create_http(AuthConfig(secret_keys=(secrets.token_hex(32),))))


async def run_worker(settings: Settings) -> None:
    """Do the background work until cancelled, and serve nothing but metrics, where there is a port for them."""
    if settings.metrics_port is not None:
        telemetry.serve_metrics(settings.host, settings.metrics_port)
    async with _context(settings) as context, _running(_work(context, settings)):
        await asyncio.get_running_loop().create_future()  # nobody resolves it: the end is a cancellation


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


def _database(settings: Settings) -> Database:
    assert settings.database_url is not None, "whoever starts the embedded server sets its address"
    return Database(
        dsn=settings.database_url,
        pool_size=settings.pool_size,
        statement_cache=settings.statement_cache,
        statement_timeout=settings.statement_timeout_seconds,
        lock_timeout=settings.lock_timeout_seconds,
        idle_in_transaction=settings.idle_in_transaction_seconds,
        direct_dsn=settings.direct_database_url,
        sharded=settings.sharded,
    )


def _context(settings: Settings) -> AbstractAsyncContextManager[Context]:
    return open_context(
        _database(settings),
        lanes=settings.lanes,
        hold_seconds=settings.hold_seconds,
        events=settings.events,
        secret_keys=settings.secret_keys if settings.auth == "token" else (),
        allow_private_webhooks=settings.webhook_allow_private,
        amqp_url=settings.amqp_url,
        redis_url=settings.redis_url,
        fair_play=FairPlay(
            settings.holds_per_customer, settings.held_seats_per_customer, settings.holds_of_seat_per_hour
        ),
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


def _work(context: Context, settings: Settings) -> list[Worker]:
    """The background work: what `rowlock work` does, and servers too unless told not to."""
    sweeper = Sweeper(context, settings.keep_failed_days, settings.keep_audit_days)
    return [
        Loop("sweeper", sweeper.round, settings.sweep_seconds),
        Loop("database gauges", Measuring(context).round, LAG_SECONDS),
        *_consumers(context, settings),
        *([] if settings.sharded else _telling(context, settings)),  # there are no events there (settings.py)
    ]


def _telling(context: Context, settings: Settings) -> list[Worker]:
    """What brings events to the broker and to webhooks. Events off, too: there may be some from when they were on."""
    source = settings.public_url or "urn:rowlock"
    database = _database(settings)
    publishes = settings.amqp_url is not None
    queueing = Queueing(context, database, source, publishes=publishes)
    keeping = Keeping(context, settings.keep_events_days, publishes=publishes)
    workers: list[Worker] = [
        Stage("events to webhooks", queueing, EVENTS_SECONDS),
        Loop("events pruner", keeping.round, PRUNE_SECONDS),
        Loop("events gauge", keeping.measure, LAG_SECONDS),
    ]
    if settings.amqp_url is not None:
        exchange = RabbitExchange(settings.amqp_url, settings.events_exchange)
        publishing = Publishing(context, database, source, exchange)
        workers.append(Stage("events to the broker", publishing, EVENTS_SECONDS, exchange))
    if settings.secret_key is not None or settings.auth == "demo":
        workers.append(Deliverer(context, disable_days=settings.webhook_disable_days))
    else:
        log.warning("webhooks are left to others: ROWLOCK_SECRET_KEY is not set, and their secrets need it")
    return workers


def _consumers(context: Context, settings: Settings) -> list[Worker]:
    """What decides queued bookings: of the table in any case, as it may hold some from before there was a broker."""
    at_once = 2 if settings.pool_size >= 4 else 1  # each has a connection of the pool while it decides
    consumers: list[Worker] = [
        Loop(f"table consumer {number}", TableConsumer(context).round, RETRY_SECONDS)
        for number in range(at_once)
    ]
    if isinstance(context.queue, BrokerQueue):
        assert settings.amqp_url is not None
        consumers.append(BrokerConsumer(context, settings.amqp_url, context.queue))
    return consumers


def _housekeeping(context: Context, revocations: Revocations) -> list[Worker]:
    """What every server does for itself."""

    async def measure() -> bool:
        telemetry.REQUESTS.flush()
        telemetry.LANE_DEPTH.set(context.engine.depth)
        telemetry.CROWDED.inc(context.engine.take_crowded())
        idle = context.pool.get_idle_size()
        telemetry.POOL_CONNECTIONS.labels("idle").set(idle)
        telemetry.POOL_CONNECTIONS.labels("used").set(context.pool.get_size() - idle)
        return False

    async def look_after_maps() -> bool:
        try:
            await context.maps.check()
            await context.maps.share()
        finally:
            context.live.forget()
            context.maps.drop_idle()
        return False

    async def measure_queue() -> bool:
        depth = await context.queue.depth()
        telemetry.QUEUE_DEPTH.labels("waiting").set(depth.waiting)
        telemetry.QUEUE_DEPTH.labels("dead").set(depth.dead)
        return False

    return [
        Loop("gauges", measure, GAUGE_SECONDS),
        Loop("queue gauge", measure_queue, QUEUE_GAUGE_SECONDS),
        Loop("revocations", revocations.refresh, REFRESH_SECONDS),
        Loop("maps", look_after_maps, CHECK_SECONDS),
    ]


@asynccontextmanager
async def _running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Workers, running; all of them are stopped at the end, at the same time."""
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        await asyncio.gather(*(worker.stop() for worker in workers))
