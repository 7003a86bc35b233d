"""A proxy between a server and PostgreSQL, and what a network does: nothing, delay, silence, an answer that is cut off."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from urllib.parse import quote

from tests.concurrency.proxy import COMMIT

PIECE = 65_536


class Link:
    """Passes everything on. `delay_seconds`: each piece comes so much later. `silent`: what is sent is never heard of again,
    and nobody is told (half-open). `cuts`: so many answers to COMMIT are lost, with their connections."""

    def __init__(self, socket: Path, folder: Path) -> None:
        self._to = socket
        self._folder = folder
        self.delay_seconds = 0.0
        self.silent = False
        self.cuts = 0
        self.cut = 0
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def dsn(self, account: str) -> str:
        """The database's address through this."""
        return f"postgresql://{account}@/postgres?host={quote(str(self._folder), safe='/')}&port=5432"

    async def open(self) -> None:
        """Listen."""
        self._folder.mkdir()
        self._server = await asyncio.start_unix_server(self._serve, str(self._folder / ".s.PGSQL.5432"))

    async def close(self) -> None:
        """Cut everything."""
        if self._server is not None:
            self._server.close()
        await self.break_all()

    async def break_all(self) -> None:
        """Cut every connection that there is."""
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        ends = [writer]
        try:
            to_reader, to_writer = await asyncio.open_unix_connection(str(self._to))
            ends.append(to_writer)
            answers = asyncio.create_task(self._pass_on(to_reader, writer))
            asked = asyncio.create_task(self._ask(reader, to_writer, answers, to_reader))
            try:
                await asyncio.wait([answers, asked], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in (answers, asked):
                    one.cancel()
                await asyncio.wait([answers, asked])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for end in ends:
                end.transport.abort()

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.Task[None],
        answer: asyncio.StreamReader,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                if COMMIT in data and self.cuts:
                    self.cuts -= 1
                    self.cut += 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    writer.write(data)
                    await answer.read(PIECE)  # committed, and nobody hears of it
                    return
                await self._let_through()
                writer.write(data)
                await writer.drain()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                await self._let_through()
                writer.write(data)
                await writer.drain()

    async def _let_through(self) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.silent:
            await asyncio.sleep(3600)  # until the connection is broken
