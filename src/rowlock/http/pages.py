"""Lists of shows that processes share: encoded by one, sent by all, and by none for longer than a list is current.

A page is kept by a process no longer than until it ends where it is shared, so that it doesn't grow old twice. Whoever
changes a show through this process sees it in the next list: for as long as an older page may be about, this process
reads for itself, and what it was reading while the change was made it does not share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from hashlib import blake2b
from typing import Protocol

from rowlock import __version__
from rowlock.http.caching import Lists


class SharedPages(Protocol):
    """Where shared pages lie. They may be away: then there is nothing there."""

    async def get(self, name: str) -> tuple[bytes, float] | None:
        """A page, and for how many seconds more it is current. Takes tens of milliseconds at most, and never fails."""

    async def put(self, name: str, page: bytes, seconds: float) -> None:
        """Keep a page for so long. As above."""


class SharedLists(Lists):
    """The lists of this process; shared, once `shared` is set."""

    shared: SharedPages | None = None
    _changes = 0
    _changed_at = float("-inf")

    async def get(self, query: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        """What `query` finds, as of at most a second ago."""
        if self.shared is None:
            return await super().get(query, load)
        return await super().get(query, lambda: self._load(query, load))

    def clear(self) -> None:
        """Something has changed: neither what is kept here nor what is shared is for those who ask from now on."""
        self._changes += 1
        self._changed_at = asyncio.get_running_loop().time()
        super().clear()

    async def _load(self, query: Hashable, load: Callable[[], Awaitable[bytes]]) -> bytes:
        assert self.shared is not None
        loop = asyncio.get_running_loop()
        began, changes = loop.time(), self._changes
        name = blake2b(
            f"{__version__} {query!r}".encode("utf-8", "surrogatepass"), digest_size=16
        ).hexdigest()
        if began - self._changed_at > self._seconds:
            found = await self.shared.get(name)
            if found is not None and changes == self._changes:
                page, left = found
                self._shorten(query, loop.time() + left)
                return page
        began = loop.time()
        page = await load()
        if changes == self._changes:
            await self.shared.put(name, page, self._seconds - (loop.time() - began))
        return page

    def _shorten(self, query: Hashable, until: float) -> None:
        entry = self._entries.get(query)
        if entry is not None:
            self._entries[query] = min(entry[0], until), entry[1]
