"""Serving: one listening socket, one or more processes that answer on it, and an orderly end.

- The socket is bound first of all, so that a taken port is known before a database is started or migrated.
- One process serves by itself. More are started and watched by a parent that serves nothing: it starts another where
  one dies, and gives up where one can't start, which starting again would not mend.
- SIGINT, SIGTERM and SIGHUP mean the same: take no more, answer what is in hand, end. A second one changes nothing, as
  the end is bounded anyway. In a terminal Ctrl-C reaches workers too, which leave it to their parent; if the parent is
  killed outright, they notice and end.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog
import uvicorn
import uvloop

from rowlock import settings as settings_module
from rowlock import telemetry
from rowlock.allocator import give_back_large_blocks
from rowlock.settings import Settings

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GARBAGE_OBJECTS = 7_000  # made, net of those freed, before the collector looks for young garbage
BACKLOG = 2048  # connections that a stampede may open before the server comes round; the kernel caps it at somaxconn
# uvloop takes one connection of a listener in a turn of its loop, which is 20 ms in a crowd: of a hundred newcomers the last
# would wait for two seconds before anybody knows of it. So it is given the same listener so many times.
ACCEPTED_TOGETHER = 16
# Of a process: each costs some 10 kB and a descriptor; above it callers get 503 at once. More than may watch live maps
# (http/live.py), so that whoever books gets in.
CONNECTIONS_MAX = 12_000
KEEP_ALIVE_SECONDS = 65  # longer than the 60 of nginx and most load balancers: they close first, not we
VANISHED_SECONDS_MAX = 45  # three of a stream's comments unacknowledged (seatmap/live.py)
DRAIN_SECONDS_MAX = 10  # for requests in hand when the end comes: no booking waits longer for its answer
WORKER_STOP_SECONDS_MAX = 30  # draining, then the lifespan's end; a worker that takes longer is killed
RESTART_SECONDS = 1  # pause before another worker takes a dead one's place

log = structlog.get_logger(__name__)
_spawn = multiprocessing.get_context("spawn")  # a fork would copy threads' locks and the event loop


class StartError(Exception):
    """The server can't start. Its text is one line, and names the setting where one is at fault."""


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens; raises `StartError` naming HOST or PORT."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as cause:
        raise StartError(f"HOST={host}: there is no such address: {cause.strerror}") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _notice_the_dead(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as cause:
        listener.close()
        name = f"HOST={host}" if cause.errno in _HOST_AT_FAULT else f"PORT={port}"
        raise StartError(f"{name}: can't listen on {host}:{port}: {cause.strerror}") from None
    return listener


def _notice_the_dead(listener: socket.socket) -> None:
    """Have the kernel close connections whose other end has vanished without a word; accepted ones inherit it.

    A stream of a quiet show sends a few bytes every 15 s: they never fill a buffer, and the kernel alone would go on
    for a quarter of an hour.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_USER_TIMEOUT", VANISHED_SECONDS_MAX * 1000),  # what was sent and isn't acknowledged
        ("TCP_KEEPIDLE", VANISHED_SECONDS_MAX // 3),  # nothing was sent: asked after a third, twice
        ("TCP_KEEPINTVL", VANISHED_SECONDS_MAX // 3),
        ("TCP_KEEPCNT", 2),
    ):
        if hasattr(socket, name):  # not every system has each
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_HOST_AT_FAULT = {99, 49}  # EADDRNOTAVAIL on Linux, on macOS


def url(listener: socket.socket) -> str:
    """Where a browser on this machine finds what listens there."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Serve until a signal says to end; raises `StartError` if a server can't start."""
    _allow_many_connections()
    if settings.workers > 1:
        with _metrics_folder() as folder:
            _Workers(settings.workers, listener, folder, on_ready).run()
        return

    from rowlock.app import create_app

    if not _serve_here(create_app(settings), listener, on_ready):
        raise StartError("the server could not start; the cause is logged above")


def handle(signals: Sequence[int], handler: Callable[[int, FrameType | None], object]) -> None:
    """Have signals handled. An ignored SIGHUP stays so, which is nohup's wish; an ignored SIGINT is only what shells
    give to whatever they start with `&`, and whoever sends one nevertheless means it."""
    for number in signals:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore_signals() -> None:
    """From here on the end is under way, and asking for it again changes nothing."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Server(uvicorn.Server):
    """uvicorn's server, told when it is ready, and ended by any of our signals, however often they come.

    `on_ending` is called when the end begins: it must end the answers that would never end by themselves.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[], None],
        on_ending: Callable[[], None],
        signals: Sequence[int],
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_ending = on_ending
        self._signals = signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, wait for what is in hand, and end."""
        self._on_ending()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals, and go on doing so: between the end of serving and that of the process they come too."""
        handle(self._signals, self.handle_exit)
        yield

    def handle_exit(self, _sig: int, _frame: FrameType | None) -> None:
        """Begin the end; uvicorn's own would cut off what is in hand at the second Ctrl-C."""
        self.should_exit = True


def _serve_here(
    app: Any, listener: socket.socket, on_ready: Callable[[], None], signals: Sequence[int] = SIGNALS
) -> bool:
    """Serve in this process; False if the application could not start."""
    from rowlock.http.live import end_streams

    give_back_large_blocks()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="rowlock.protocol:Protocol",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )

    def ready() -> None:
        _spare_the_collector()
        on_ready()

    server = _Server(config, ready, lambda: end_streams(app), signals)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=times(listener, ACCEPTED_TOGETHER)))
    except SystemExit:  # uvicorn's way to say that the lifespan's start failed; it has logged why
        return False
    return server.started


def times(listener: socket.socket, count: int) -> list[socket.socket]:
    """A listener, so many times: the same queue of connections, each with a descriptor of its own.

    Whether a call may block is the queue's own, and not a descriptor's; it is every other process's, too. Python's `dup` sets it
    as the socket that it copies says, and one that a new process was given says that calls may. Until that process listens
    itself, another one that lost the race for a connection would stand still in `accept`, with all that it serves.
    """
    listener.setblocking(False)
    return [listener, *(listener.dup() for _ in range(count - 1))]


def _spare_the_collector() -> None:
    """Let the cyclic garbage collector look at what requests make, and not at the program, again and again.

    A full collection stopped everything for 100 ms, and half of what it looked at had been there from the start
    (docs/benchmarks.md). Requests leave next to nothing to it: a tenth as many young collections find as much.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, *gc.get_threshold()[1:])


def _serve_as_worker(listener: socket.socket, ready: Connection) -> None:
    """What a worker process runs."""
    for number in (signal.SIGINT, signal.SIGHUP):  # the terminal sends them to all; the parent will say
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    telemetry.configure(settings_module.load())

    from rowlock.app import create_app_from_env

    if not _serve_here(create_app_from_env(), listener, lambda: ready.send(True), [signal.SIGTERM]):
        raise SystemExit(3)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass
class _Worker:
    process: BaseProcess
    ready: Connection
    is_ready: bool = False


class _Workers:
    """The parent of several serving processes."""

    def __init__(
        self, count: int, listener: socket.socket, folder: str, on_ready: Callable[[], None]
    ) -> None:
        self._count = count
        self._listener = listener
        self._metrics_folder = folder
        self._on_ready: Callable[[], None] | None = on_ready
        self._workers: list[_Worker] = []
        self._stopping = False
        self._awake, self._wake = os.pipe()

    def run(self) -> None:
        """Keep the workers running until a signal; raises `StartError` if one can't start."""
        handle(SIGNALS, self._on_signal)
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while not self._stopping:
                waited_for: list[Any] = [self._awake]
                for worker in self._workers:
                    waited_for += [worker.process.sentinel, *([] if worker.is_ready else [worker.ready])]
                wait(waited_for)
                self._look_after()
        finally:
            self._stop()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        os.write(self._wake, b"!")  # or wait() would go on waiting

    def _start(self) -> _Worker:
        ready, told_by_worker = _spawn.Pipe(duplex=False)
        process = _spawn.Process(
            target=_serve_as_worker, args=(self._listener, told_by_worker), name="rowlock worker"
        )
        process.start()
        told_by_worker.close()
        return _Worker(process, ready)

    def _look_after(self) -> None:
        """Note who is ready, and start another for each that has ended."""
        for position, worker in enumerate(self._workers):
            if not worker.is_ready and worker.ready.poll():
                with contextlib.suppress(EOFError):
                    worker.is_ready = bool(worker.ready.recv())
            if worker.process.is_alive() or self._stopping:
                continue
            self._bury(worker)
            if not worker.is_ready:
                raise StartError(
                    f"a worker could not start (exit code {worker.process.exitcode}); the cause is logged above"
                )
            log.error(
                "a worker has died, starting another",
                exit_code=worker.process.exitcode,
                pid=worker.process.pid,
            )
            wait([self._awake], timeout=RESTART_SECONDS)
            self._workers[position] = self._start()
        if self._on_ready and all(worker.is_ready for worker in self._workers):
            self._on_ready()
            self._on_ready = None

    def _bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.ready.close()
        telemetry.worker_ended(worker.process.pid or 0, self._metrics_folder)

    def _stop(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + WORKER_STOP_SECONDS_MAX
        for worker in self._workers:
            worker.process.join(max(0, deadline - time.monotonic()))
            if worker.process.is_alive():
                log.error("a worker doesn't end, killing it", pid=worker.process.pid)
                worker.process.kill()
                worker.process.join()


@contextlib.contextmanager
def _metrics_folder() -> Iterator[str]:
    """A folder where workers share their numbers; see telemetry."""
    folder = tempfile.mkdtemp(prefix="rowlock-metrics-")
    os.environ[telemetry.MULTIPROCESS_VARIABLE] = folder
    try:
        yield folder
    finally:
        del os.environ[telemetry.MULTIPROCESS_VARIABLE]
        shutil.rmtree(folder, ignore_errors=True)


def _allow_many_connections() -> None:
    """Raise our own limit of open files, often 1,024, as far as we may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + 1000 if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS_MAX + 1000)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
