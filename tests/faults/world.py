"""A world to torture: PostgreSQL, two servers, what is around them, and whoever listens. One of four kinds."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum
from pathlib import Path

import asyncpg
import httpx

from rowlock.http.tokens import mint
from rowlock.postgres import migrate
from tests.end_to_end.conftest import SECRET_KEY
from tests.faults.cluster import Cluster
from tests.faults.link import Link
from tests.faults.namespaces import DATABASE_PORT, Network
from tests.faults.servers import ServerProcess
from tests.programs import free_port
from tests.rabbit import RabbitServer
from tests.redis_server import RedisServer, running_redis
from tests.workers.receiver import Receiver, receiving
from tests.workers.test_exchange import bind

SERVERS = 2
READY_SECONDS_MAX = 90.0
DISK_MB = 230  # PostgreSQL's first 40 MB, its log of 64 MB in a recycled segment or two, and some minutes of bookings
EXCHANGE = "rowlock.events"
QUEUE = "torture"


class Setting(StrEnum):
    """What stands around the servers."""

    PLAIN = "plain"  # a proxy before the database, Redis, and RabbitMQ where there is one
    NETWORK = "network"  # a network namespace each
    PAIR = "pair"  # a primary and a synchronous standby
    DISK = "disk"  # the database on a small file system


class World:
    """All that runs. Nemeses break it, and mend what they broke."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting = setting
        self.folder = folder
        self.servers: list[ServerProcess] = []
        self.links: list[Link] = []
        self.network: Network | None = None
        self.redis: RedisServer | None = None
        self.rabbit: RabbitServer | None = None
        self.standby: Cluster | None = None
        self.cluster: Cluster
        self.receiver: Receiver
        self.token = mint(SECRET_KEY, user_id="torture", role="admin", hours=10)
        self.emptied: float | None = None  # when the broker's queues were thrown away
        self.say: Callable[[str], None] = lambda _: None
        self.show = 0

    @property
    def dsn(self) -> str:
        """The database as it is now, with nothing between."""
        return self.cluster.dsn

    async def sql(self, query: str, *values: object) -> asyncpg.Record | None:
        """A row from the database."""
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            return await connection.fetchrow(query, *values)
        finally:
            await connection.close()

    async def ready(self, server: ServerProcess) -> None:
        """Wait until a server says that it is ready."""
        deadline = asyncio.get_running_loop().time() + READY_SECONDS_MAX
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(server.url + "/ready")).status_code == 200:
                        return
                assert server.runs, f"server {server.number} ended: {server.log.read_text()[-3000:]}"
                assert asyncio.get_running_loop().time() < deadline, (
                    f"server {server.number} does not recover: {server.log.read_text()[-3000:]}"
                )
                await asyncio.sleep(0.1)

    async def all_ready(self) -> None:
        """Wait until every server is ready; whoever was killed is started."""
        for server in self.servers:
            if not server.runs:
                await asyncio.to_thread(server.start)
        await asyncio.gather(*(self.ready(server) for server in self.servers))


@contextlib.asynccontextmanager
async def opened(
    setting: Setting,
    folder: Path,
    *,
    rabbit: RabbitServer | None = None,
    clocks: tuple[str, ...] = (),
    bug: str | None = None,
    **settings: str,
) -> AsyncIterator[World]:
    """A world that serves. `clocks`: what each server's is off by; `bug`: one that is planted into the servers."""
    world = World(setting, folder)
    async with contextlib.AsyncExitStack() as stack:
        dsns, hosts, wraps = await _database(world, stack)
        await migrate.upgrade(world.dsn)
        common = dict(settings)
        if setting is Setting.PLAIN:
            redis_folder = folder / "redis"
            redis_folder.mkdir()
            world.redis = stack.enter_context(running_redis(redis_folder))
            common["REDIS_URL"] = world.redis.url
            if rabbit is not None:
                world.rabbit = rabbit
                common["AMQP_URL"] = rabbit.url
                await bind(rabbit.url, EXCHANGE, QUEUE, "#")
        host = world.network.machines[0].ours if world.network else "127.0.0.1"
        world.receiver = await stack.enter_async_context(receiving(host))
        for number in range(SERVERS):
            server = ServerProcess(
                folder,
                number,
                host=hosts[number],
                port=free_port() if world.network is None else 8000,
                dsn=dsns[number],
                settings=common,
                wrap=wraps[number],
                bug=bug,
            )
            if clocks:
                server.clock = shifted(clocks[number])
            world.servers.append(server)
            stack.callback(server.kill)
            await asyncio.to_thread(server.start)
        await world.all_ready()
        yield world
        for server in world.servers:
            await asyncio.to_thread(server.stop)


async def _database(
    world: World, stack: contextlib.AsyncExitStack
) -> tuple[list[str], list[str], list[list[str]]]:
    """Start the database. Returns each server's address of it, the servers' own, and how they are run."""
    folder = world.folder / "pg"
    local = ["127.0.0.1"] * SERVERS
    if world.setting is Setting.NETWORK:
        network = world.network = Network(SERVERS)
        stack.callback(network.close)
        wrap = ["ip", "netns", "exec", network.database]
        world.cluster = Cluster(folder, host="*", port=DATABASE_PORT, wrap=wrap)
        await _begin(world.cluster, stack)
        account = world.cluster.account
        dsns = [f"postgresql://{account}@{m.database}:{DATABASE_PORT}/postgres" for m in network.machines]
        return dsns, [m.address for m in network.machines], [m.wrap for m in network.machines]
    if world.setting is Setting.PAIR:
        world.cluster = Cluster(folder, host="127.0.0.1", port=free_port())
        await _begin(world.cluster, stack)
        standby = world.standby = Cluster(world.folder / "pg2", host="127.0.0.1", port=free_port())
        stack.callback(standby.stop)
        await follow(world.cluster, standby)
        hosts = f"127.0.0.1:{world.cluster.port},127.0.0.1:{standby.port}"
        dsn = f"postgresql://{standby.account}@{hosts}/postgres?target_session_attrs=read-write"
        return [dsn] * SERVERS, local, [[]] * SERVERS
    if world.setting is Setting.DISK:
        stack.enter_context(_small_disk(folder))
        world.cluster = Cluster(folder, options={"min_wal_size": "32MB", "max_wal_size": "64MB"})
        await _begin(world.cluster, stack)
        return [world.dsn] * SERVERS, local, [[]] * SERVERS
    world.cluster = Cluster(folder)
    await _begin(world.cluster, stack)
    for number in range(SERVERS):
        link = Link(world.cluster.socket, world.folder / f"link{number}")
        await link.open()
        stack.push_async_callback(link.close)
        world.links.append(link)
    return [link.dsn(world.cluster.account) for link in world.links], local, [[]] * SERVERS


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    size = f"size={DISK_MB}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "rowlock-torture", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def _begin(cluster: Cluster, stack: contextlib.AsyncExitStack) -> None:
    await asyncio.to_thread(cluster.create)
    stack.callback(cluster.stop)
    await asyncio.to_thread(cluster.start)


async def follow(primary: Cluster, standby: Cluster) -> None:
    """Make a standby of a primary anew, started, and synchronous."""
    source = f"host=127.0.0.1 port={primary.port} user={primary.account}"
    await asyncio.to_thread(
        standby.run,
        "pg_basebackup",
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
        "-d",
        source,
        "-D",
        str(standby.data),
    )
    await asyncio.to_thread(standby.start)
    connection = await asyncpg.connect(primary.dsn)
    try:
        await connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await connection.execute("SELECT pg_reload_conf()")
        for _ in range(600):
            if await connection.fetchval(
                "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            ):
                return
            await asyncio.sleep(0.1)
        raise AssertionError("the standby does not follow")
    finally:
        await connection.close()


def shifted(by: str) -> list[str]:
    """What goes before a program so that its clock is off, by "+5m", say; time that passes stays what it is."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
    found = Path(library)
    if not found.exists():
        raise AssertionError("libfaketime is not installed (scripts/install-debian-packages.sh installs it)")
    return [
        "env",
        f"LD_PRELOAD={found}",
        f"FAKETIME={by}",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "DONT_FAKE_MONOTONIC=1",
    ]
