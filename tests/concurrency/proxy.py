"""A proxy between Rowlock and PostgreSQL that loses what the network loses: an answer, a request, or just time."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # the simple query message that a lane commits with
# A statement of straight bookings is a transaction of its own: it is prepared under a name (Parse), and run by it (Bind).
PREPARED = re.compile(rb"P....(__asyncpg_stmt_\w+?)\x00(?=[^\x00]*AS met\b)", re.DOTALL)


class Loss(Enum):
    """What happens to the next COMMIT, or statement that is a transaction of its own."""

    NONE = "none"
    ANSWER = "the server gets it, the answer is cut off"
    REQUEST = "the connection breaks before the server gets it"
    SILENCE = "the server never gets it, and the connection stays open"
    LATE = "the server gets it when we have given up, and closed the connection"


class Proxy:
    """Passes everything on, but for as many COMMITs as `lose` says."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.loss = Loss.NONE
        self.lost = 0
        self.late = 0
        self._to_lose = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._stranded: set[asyncio.StreamWriter] = set()

    def lose(self, loss: Loss, commits: int = 1) -> None:
        """Lose the next COMMITs."""
        self.loss = loss
        self._to_lose = commits

    def strand(self) -> None:
        """Break every connection at Rowlock's end, and at no other: PostgreSQL never hears that they are gone.

        So it is where a firewall forgets them, or the network eats what says goodbye.
        """
        self._stranded |= self._clients
        for client in self._clients:
            client.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        to_reader, to_writer = await asyncio.open_unix_connection(str(self._socket))
        self._clients.add(writer)
        answers = asyncio.create_task(self._pass_on(to_reader, writer))
        commits = [COMMIT]
        try:
            while data := await reader.read(65536):
                commits += [b"\x00" + name + b"\x00" for name in PREPARED.findall(data)]
                if self._to_lose and data[:1] != b"P" and any(commit in data for commit in commits):
                    self._to_lose -= 1
                    self.lost += 1
                    if self.loss is Loss.SILENCE:
                        await asyncio.sleep(3600)
                    if self.loss is Loss.LATE:
                        while await reader.read(65536):
                            pass
                        to_writer.write(data)
                        await to_writer.drain()
                        self.late += 1
                        await asyncio.sleep(0.2)
                        return
                    answers.cancel()
                    await asyncio.wait([answers])
                    if self.loss is Loss.ANSWER:
                        to_writer.write(data)
                        await to_reader.read(65536)  # committed, and nobody hears of it
                    return
                to_writer.write(data)
                await to_writer.drain()
            if writer in self._stranded:
                await asyncio.sleep(3600)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self._clients.discard(writer)
            answers.cancel()
            for end in (writer, to_writer):
                end.transport.abort()

    async def close(self) -> None:
        """Cut every connection."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @staticmethod
    async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy in front of a server on a unix socket, and the address to reach it by."""
    parts = urlsplit(dsn)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    name = f".s.PGSQL.{query.get('port', '5432')}"
    with tempfile.TemporaryDirectory(prefix="rl-", dir="/tmp") as folder:
        proxy = Proxy(Path(query["host"]) / name)
        server = await asyncio.start_unix_server(proxy.serve, str(Path(folder) / name))
        address = parts._replace(query=urlencode(query | {"host": folder})).geturl()
        try:
            yield proxy, address
        finally:
            server.close()
            await proxy.close()
