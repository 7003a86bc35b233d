"""Readers: thousands of connections that watch a show live, in one process that does as little as can be.

Of each piece that comes, a reader notes the time and the last event id in it. The first reader keeps all that it was
sent, so that it is known afterwards which delta told of which seat; what one is sent, all are.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
from array import array
from time import monotonic_ns
from typing import Final

from benchmarks import clients
from benchmarks.servers import HOST

PIECE_BYTES: Final = 262_144
CONNECT_SECONDS_MAX: Final = 60
_END = b"\n\n\r\n"  # of an event, and of the chunk that it came in
_ID = b"\nid: "
_DELTA = re.compile(rb"event: delta\nid: \d+\ndata: (\{.*?\})\n\n")


class Readers:
    """All readers."""

    def __init__(self, port: int, show: int, count: int) -> None:
        self._request = b"GET /api/shows/%d/live HTTP/1.1\r\nHost: localhost\r\n\r\n" % show
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._parts: dict[int, bytes] = {}
        self._address = (HOST, port)
        self.versions: dict[int, array[int]] = {}  # by connection: version, time, version, time
        self.witness = -1
        self.seen: list[bytes] = []
        self.pieces = 0
        self.bytes = 0
        for _ in range(count):
            self._open()

    def _open(self) -> None:
        connection = socket.create_connection(self._address, CONNECT_SECONDS_MAX)
        number = connection.fileno()
        if self.witness < 0:
            self.witness = number
        self._sockets[number] = connection
        self.versions[number] = array("q")
        connection.sendall(self._request)
        connection.setblocking(False)
        self._poll.register(number, select.EPOLLIN)
        self.read(0)  # so that nobody's snapshot fills the server's buffers while others connect

    def read(self, seconds: float) -> None:
        """Take what has come, waiting for so long at most."""
        for number, _ in self._poll.poll(seconds):
            data = self._sockets[number].recv(PIECE_BYTES)
            now = monotonic_ns()
            if not data:
                raise SystemExit("a reader's stream has ended")
            self.pieces += 1
            self.bytes += len(data)
            if number in self._parts:
                data = self._parts.pop(number) + data
            if not data.endswith(_END):
                self._parts[number] = data
                continue
            if number == self.witness:
                self.seen.append(data)
            at = data.rfind(_ID)
            if at >= 0:
                version = int(data[at + len(_ID) : data.index(b"\n", at + len(_ID))])
                self.versions[number].extend((version, now))

    @property
    def all_have_begun(self) -> bool:
        """Whether each has a map."""
        return all(self.versions.values())

    def deltas(self) -> list[tuple[int, list[int]]]:
        """The deltas in order: version, and the positions of seats that were not available any more."""
        found = []
        for match in _DELTA.finditer(b"".join(self.seen)):
            delta = json.loads(match[1])
            found.append((delta["version"], [seat for seat, letter in delta["changes"] if letter != "A"]))
        return found


def _run(port: int, show: int, count: int, linger_ns: int) -> None:
    readers = Readers(port, show, count)
    while not readers.all_have_begun:
        readers.read(1)
    clients.ready()
    cpu_before, pieces_before, bytes_before = clients.own_cpu_seconds(), readers.pieces, readers.bytes
    word = select.poll()
    word.register(sys.stdin, select.POLLIN)
    stopping_at: int | None = None
    while stopping_at is None or monotonic_ns() < stopping_at:
        readers.read(0.05)
        if stopping_at is None and word.poll(0):
            sys.stdin.readline()
            stopping_at = monotonic_ns() + linger_ns
    clients.tell(
        cpu_seconds=clients.own_cpu_seconds() - cpu_before,
        pieces=readers.pieces - pieces_before,
        bytes=readers.bytes - bytes_before,
        deltas=readers.deltas(),
        readers=[list(versions) for versions in readers.versions.values()],
    )


if __name__ == "__main__":
    wished = clients.wishes()
    clients.allow_connections(wished["readers"] + 100)
    _run(wished["port"], wished["show"], wished["readers"], int(wished["linger_seconds"] * 1e9))
