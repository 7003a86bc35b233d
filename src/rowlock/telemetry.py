"""Telemetry: what operators see of a running Rowlock, as logs and as Prometheus metrics.

Logs go to stderr, a line an event: JSON for machines, coloured in a terminal. Ours, uvicorn's and Alembic's all take
the same way out. `bind_request` puts the request's id on every line logged while the request is answered.

The metrics are module-level objects, to be changed where the thing happens. With several worker processes the
environment must name PROMETHEUS_MULTIPROC_DIR before this module is first imported (prometheus_client decides then
where numbers live): whoever starts the processes makes that folder, and calls `worker_ended` when one has ended.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from rowlock.settings import Settings

if TYPE_CHECKING:
    from structlog.typing import Processor

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

disable_created_metrics()  # type: ignore[no-untyped-call]  # a time of birth for each series: twice the lines, and multiprocess mode has none

# From a booking answered out of memory to one that waited for every timeout there is.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

HTTP_REQUESTS = Counter(
    "rowlock_http_requests_total", "Requests answered, by route template.", ["route", "method", "status"]
)
HTTP_REQUEST_SECONDS = Histogram(
    "rowlock_http_request_seconds", "Time to answer a request.", ["route"], buckets=_SECONDS
)
BOOKINGS = Counter("rowlock_bookings_total", "Booking attempts that were decided.", ["outcome"])
BATCH_COMMANDS = Histogram(
    "rowlock_batch_commands", "Commands committed together.", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
BATCH_SECONDS = Histogram(
    "rowlock_batch_seconds",
    "Time of a batch, by phase: lock, decide, write, commit; or straight, for one that is a single statement.",
    ["phase"],
    buckets=_SECONDS,
)
BATCH_RETRIES = Counter("rowlock_batch_retries_total", "Batches that were run again.", ["cause"])
CROWDED = Counter(
    "rowlock_crowded_total", "Requests to book that were refused because too many of them wait."
)
LANE_DEPTH = Gauge("rowlock_lane_depth", "Commands that wait in lanes.", multiprocess_mode="livesum")
HOLDS_EXPIRED = Counter("rowlock_holds_expired_total", "Holds that the sweeper found overdue and freed.")
HOLDS_OVERDUE = Gauge(
    "rowlock_holds_overdue_seconds",
    "How long the oldest hold is past its time that nobody has swept.",
    multiprocess_mode="livemax",
)
STANDBYS = Gauge(
    "rowlock_standbys", "Standbys that PostgreSQL sends its log to.", multiprocess_mode="livemax"
)
REPLICATION_SECONDS = Gauge(
    "rowlock_replication_lag_seconds",
    "How far the standby that is furthest behind is behind, by what it says itself.",
    multiprocess_mode="livemax",
)
REPLICATION_BYTES = Gauge(
    "rowlock_replication_lag_bytes",
    "How much of PostgreSQL's log the standby that is furthest behind has not replayed.",
    multiprocess_mode="livemax",
)
BOOKINGS_PRUNED = Counter("rowlock_bookings_pruned_total", "Old FAILED bookings that were removed.")
EVENTS = Counter(
    "rowlock_events_total", "Events that were queued for webhooks, or published to the broker.", ["stage"]
)
EVENTS_LAG = Gauge(
    "rowlock_events_lag_seconds",
    "Age of the oldest event that is still to be queued for webhooks, or published to the broker.",
    ["stage"],
    multiprocess_mode="livemax",  # every process sees the same outbox
)
EVENTS_STUCK = Counter(
    "rowlock_events_stuck_total", "Times that events could not be read, and held up their show."
)
EVENTS_PRUNED = Counter("rowlock_events_pruned_total", "Batches of events that were old and removed.")
WEBHOOK_ATTEMPTS = Counter(
    "rowlock_webhook_attempts_total",
    "Attempts to deliver an event: result is delivered, failed or dead.",
    ["result"],
)
WEBHOOKS_DISABLED = Counter(
    "rowlock_webhooks_disabled_total", "Webhooks that were switched off after days of failure."
)
MAP_RELOADS = Counter(
    "rowlock_map_reloads_total", "Seat maps read anew because the change feed had a gap.", ["cause"]
)
FEED_CHANGES = Counter(
    "rowlock_feed_changes_total", "Changes of shows sent to and heard from others.", ["way"]
)
QUEUE_DEPTH = Gauge(
    "rowlock_queue_requests",
    "Queued bookings: state is waiting, or dead for those that could not be decided.",
    ["state"],
    multiprocess_mode="livemax",  # every process sees the same queue
)
QUEUE_TAKEN = Counter(
    "rowlock_queue_taken_total", "Requests for a queued booking: result is taken, full or down.", ["result"]
)
QUEUE_DECIDED = Counter("rowlock_queue_decided_total", "Queued bookings that were decided.", ["outcome"])
QUEUE_DEAD = Counter("rowlock_queue_dead_letters_total", "Queued bookings that could not be decided.")
QUEUE_SECONDS = Histogram(
    "rowlock_queue_seconds",
    "Time from the request for a queued booking to its decision.",
    buckets=(*_SECONDS, 30.0, 60.0, 300.0),
)
LIVE_READERS = Gauge("rowlock_live_readers", "Readers of live seat maps.", multiprocess_mode="livesum")
REDIS_UP = Gauge(
    "rowlock_redis_up",
    "1 where every process uses Redis, 0 where one goes on without; not there without REDIS_URL.",
    ["server"],
    multiprocess_mode="livemin",
)
REDIS_FALLBACKS = Counter(
    "rowlock_redis_fallbacks_total",
    "Times that something went on without Redis: feed, maps, pages or rates.",
    ["use"],
)
REDIS_UNSEALED = Counter(
    "rowlock_redis_unsealed_total",
    "What was found in Redis under our names and was none of ours, or was damaged.",
)
SHARED_MAPS = Counter(
    "rowlock_shared_maps_total",
    "Seat maps that were looked for in Redis: used, or read from PostgreSQL.",
    ["result"],
)
POOL_CONNECTIONS = Gauge(
    "rowlock_pool_connections",
    "Connections to PostgreSQL: state is idle or used.",
    ["state"],
    multiprocess_mode="livesum",
)


class Requests:
    """Requests that were answered, counted here first: a flash sale answers thousands a second, and each number of
    prometheus_client costs a lock, or with several processes a write to a shared file.

    `flush` brings them over: once a second (app.py), and before this process renders its metrics.
    """

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, int], int] = {}
        self._times: dict[str, list[float]] = {}

    def count(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count one; `seconds` it took, None where that is no latency."""
        key = (route, method, status)
        self._answers[key] = self._answers.get(key, 0) + 1
        if seconds is None:
            return
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = [0.0] * (len(_SECONDS) + 2)
        times[bisect_left(_SECONDS, seconds)] += 1
        times[-1] += seconds

    def flush(self) -> None:
        """Bring what was counted over to the metrics."""
        answers, self._answers = self._answers, {}
        times, self._times = self._times, {}
        for (route, method, status), count in answers.items():
            HTTP_REQUESTS.labels(route, method, str(status)).inc(count)
        for route, (*buckets, total) in times.items():
            _observe_many(HTTP_REQUEST_SECONDS.labels(route), buckets, total)


def _observe_many(histogram: Histogram, buckets: Sequence[float], total: float) -> None:
    """What `Histogram.observe` does, for many observations at once; prometheus_client has no call for that.

    `buckets` are the observations of each bucket alone, the last one that without a bound.
    """
    for value, count in zip(histogram._buckets, buckets, strict=True):  # noqa: SLF001 (it has no public name)
        if count:
            value.inc(count)
    histogram._sum.inc(total)  # noqa: SLF001 (nor has this)


REQUESTS = Requests()


def render() -> tuple[bytes, str]:
    """The metrics of all processes of this server in Prometheus' text format, and its content type."""
    REQUESTS.flush()
    if MULTIPROCESS_VARIABLE not in os.environ:
        return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def serve_metrics(host: str, port: int) -> None:
    """Serve the metrics of this process alone, for who serves nothing else. Raises OSError where the port is taken."""
    start_http_server(port, host)


def worker_ended(pid: int, folder: str) -> None:
    """Forget the gauges of a process that has ended; what it counted stays counted."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


def bind_request(request_id: str) -> None:
    """Start a request's log context: every line logged in it, and in tasks it starts, bears the id."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=request_id)


def configure(settings: Settings) -> None:
    """Send all logs to stderr in the format and from the level that the settings say. May be called again."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=as_json, key="time"),
    ]
    final: list[Processor]  # neither shows a traceback's locals: passwords are among them
    if as_json:
        final = [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_json),
        ]
    else:
        final = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                timestamp_key="time",
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]

    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,  # what makes a logged request cost microseconds
    )

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=()),
                *shared,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.INFO))  # other people's debug lines would bury ours
    for name, least in (
        ("uvicorn", None),
        ("uvicorn.error", logging.WARNING),  # "Started server process" and the like: we say so ourselves
        ("uvicorn.access", logging.CRITICAL),  # our own middleware logs requests
        ("alembic", logging.WARNING),  # "Generating static SQL" and the like: `reach` says what was migrated
        ("alembic.runtime.plugins", logging.WARNING),
        ("httpx", logging.WARNING),
        ("aio_pika", logging.CRITICAL),  # what they report as errors is what we catch, and say ourselves
        ("aiormq", logging.CRITICAL),
    ):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
        logger.setLevel(max(level, least) if least else logging.NOTSET)


def _json(value: object, **_: object) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except (
        TypeError,
        ValueError,
    ):  # an unpaired surrogate that a client sent, say: a log line must never fail
        return json.dumps(value, default=repr, skipkeys=True)
