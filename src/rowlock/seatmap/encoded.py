"""Bodies, ready to be sent: what many ask for is encoded once, and compressed once, for each version.

For each show and kind of answer the newest version's body is kept, as it is and in each form that was asked for, the
least recently used ones dropped beyond a number of bytes. Nothing is made before somebody asks. Whoever asks while a body is being made
waits for it, and is content with any version that is no older than what was current when they asked: so however many
ask, and however fast a show sells, one body of a kind is in the making at a time.

Large bodies are made in a thread: 100,000 seats hold the event loop up for some 30 ms at a time, by the GIL, and not at
all while they are compressed.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from itertools import chain
from typing import Final, NamedTuple, Protocol

import msgspec

from rowlock.domain.layout_public import public_layout
from rowlock.domain.layouts import Layout, Seat
from rowlock.seatmap.maps import SeatMap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODIES_BYTES_MAX: Final = 64_000_000  # some three halls of 100,000 seats as lists, thousands as letters
SLOT_BYTES: Final = 1_000  # what Python needs beside a body, so that tiny ones are bounded, too
THREAD_SEATS_MIN: Final = 5_000  # below this making a body takes less than a millisecond or two
THREAD_BYTES_MIN: Final = 64_000  # below this compressing does
GZIP_LEVEL: Final = 4  # of 9; a list of 100,000 seats shrinks to a twentieth, and more takes far longer
# Of 19. On lists 1 is nearly as small as 6 in a tenth of the time; letters shrink by another sixth, in 0.2 ms.
ZSTD_LEVEL: Final = 1
ZSTD_LEVEL_SMALL: Final = 6  # below THREAD_BYTES_MIN
GZIP_LEVEL_BEST: Final = 9
ZSTD_LEVEL_BEST: Final = 19
WORDS: Final = {"A": "AVAILABLE", "R": "RESERVED", "B": "BOOKED", "X": "BLOCKED"}

_ENDS: Final = {ord(letter): word.encode() + b'"},' for letter, word in WORDS.items()}


class Reading(NamedTuple):
    """A map as it was at one version, for whoever can't have it change under their hands."""

    show_id: int
    version: int
    available: int
    letters: bytes


def read(seat_map: SeatMap) -> Reading:
    """Take a reading."""
    return Reading(seat_map.show_id, seat_map.version, seat_map.available, bytes(seat_map.letters))


class Encoder(Protocol):
    """Makes a body of a reading. `weight`: the bytes that it remembers for the next one."""

    weight: int

    def __call__(self, reading: Reading, /) -> bytes:
        """The body, as JSON."""


class Letters:
    """`GET …/availability`."""

    weight = 0

    def __call__(self, reading: Reading) -> bytes:
        """One letter a seat."""
        return b'{"show_id":%d,"version":%d,"available":%d,"statuses":"%b"}' % reading


class SeatList:
    """`GET …/seats`. All but the status is the same in each version, and encoded once: a join does the rest."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._beginnings: list[bytes] = []
        self.weight = 0

    def __call__(self, reading: Reading) -> bytes:
        """Every seat, with its place and price."""
        if not self._beginnings:
            self._beginnings = list(map(_beginning, self._layout.seats()))
            self.weight = sum(map(len, self._beginnings)) + 40 * len(self._beginnings)
        ends = map(_ENDS.__getitem__, reading.letters)
        seats = b"".join(chain.from_iterable(zip(self._beginnings, ends, strict=True)))
        return b'{"show_id":%d,"version":%d,"seats":[%b]}' % (
            reading.show_id,
            reading.version,
            seats.removesuffix(b","),
        )


class _Beginning(msgspec.Struct, frozen=True):
    seat: str
    section: str
    row: str
    category: str
    price_cents: int
    accessible: bool


def _beginning(seat: Seat) -> bytes:
    known = _Beginning(seat.label, seat.section, seat.row, seat.category, seat.price_cents, seat.accessible)
    return msgspec.json.encode(known)[:-1] + b',"status":"'


class WholeLayout:
    """`GET …/layout`, which never changes."""

    weight = 0

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def __call__(self, _reading: Reading) -> bytes:
        """Every seat, spelled out."""
        return msgspec.json.encode(public_layout(self._layout))


class Source(NamedTuple):
    """What a body is made of: `version` is the current one, `now` takes a reading, `encoder` makes the encoder.

    Both are called only when needed.
    """

    kind: str
    show_id: int
    version: int
    now: Callable[[], Reading]
    encoder: Callable[[], Encoder]
    history: str = ""  # what versions mean: bodies of another history are none of the same show


class Coding(StrEnum):
    """The forms of a body, by their names in HTTP."""

    PLAIN = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"


class Body(NamedTuple):
    """A body to be sent, and the version it shows."""

    version: int
    content: bytes


class _Slot:
    """The newest body of a show and kind."""

    __slots__ = ("encoder", "forms", "lock", "version", "weight")

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.version = -1
        self.forms: dict[Coding, bytes] = {}
        self.weight = 0
        self.lock = asyncio.Lock()


class Bodies:
    """The bodies that this process keeps."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._slots: OrderedDict[tuple[str, int, str], _Slot] = OrderedDict()
        self.bytes_kept = 0

    async def get(self, source: Source, coding: Coding) -> Body:
        """A body of the source's version or a newer one."""
        key = (source.kind, source.show_id, source.history)
        version = source.version
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = _Slot(source.encoder())
        else:
            self._slots.move_to_end(key)
        if slot.version == version and (content := slot.forms.get(coding)) is not None:
            return Body(version, content)
        async with slot.lock:
            reading = source.now()
            if slot.version < version or slot.version > reading.version:
                plain = await _made(slot.encoder, reading)
                slot.version, slot.forms = reading.version, {Coding.PLAIN: plain}
            content = slot.forms.get(coding)
            if content is None:
                content = slot.forms[coding] = await _compressed(slot.forms[Coding.PLAIN], coding)
            self._weigh(key, slot)
            return Body(slot.version, content)

    def _weigh(self, key: tuple[str, int, str], slot: _Slot) -> None:
        """Count what a slot weighs now, and drop the least recently used ones where that is too much."""
        if self._slots.get(key) is not slot:  # dropped meanwhile
            return
        weight = sum(map(len, slot.forms.values())) + slot.encoder.weight + SLOT_BYTES
        self.bytes_kept += weight - slot.weight
        slot.weight = weight
        while self.bytes_kept > self._bytes_max and self._slots:
            _, dropped = self._slots.popitem(last=False)
            self.bytes_kept -= dropped.weight


async def _made(encoder: Encoder, reading: Reading) -> bytes:
    if len(reading.letters) < THREAD_SEATS_MIN:
        return encoder(reading)
    return await asyncio.to_thread(encoder, reading)


async def _compressed(plain: bytes, coding: Coding) -> bytes:
    if len(plain) < THREAD_BYTES_MIN:
        return compress(plain, coding)
    return await asyncio.to_thread(compress, plain, coding)


def compress(plain: bytes, coding: Coding, *, best: bool = False) -> bytes:
    """As gzip (RFC 1952) or zstd (RFC 8878): the same bytes for the same content, so that the ETag may be strong.

    `best`: as small as it goes, for what is made once and sent for good.
    """
    match coding:
        case Coding.GZIP:
            level = GZIP_LEVEL_BEST if best else GZIP_LEVEL
            packer = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
            return packer.compress(plain) + packer.flush()
        case Coding.ZSTD:
            level = ZSTD_LEVEL_SMALL if len(plain) < THREAD_BYTES_MIN else ZSTD_LEVEL
            return zstd.compress(plain, ZSTD_LEVEL_BEST if best else level)
        case Coding.PLAIN:
            return plain
