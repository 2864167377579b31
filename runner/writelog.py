# SPDX-License-Identifier: GPL-2.0
"""What a disk has after a power cut: the log of its writes and flushes, replayed up
to the last flush.  The format is that of the kernel's dm-log-writes
(Documentation/admin-guide/device-mapper/log-writes.rst), which QEMU writes too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD = 1, 2, 4
# Both are followed by zeros up to a whole sector.
HEAD = struct.Struct("<QQQI")
ENTRY = struct.Struct("<QQQQ")
SECTOR, SECTOR_MAX = 512, 1 << 16


class BadLog(ValueError):
    """Not a log of writes, or one that ends too early."""


@dataclass(frozen=True)
class Entry:
    """`offset` and `length` are bytes of the disk, `data` where its bytes begin in
    the log."""

    offset: int
    length: int
    flags: int
    data: int


def entries(log: IO[bytes]) -> list[Entry]:
    """All entries that the log counts, in the order in which they were made."""
    magic, version, count, sector = HEAD.unpack(_exactly(log, 0, HEAD.size))
    if magic != MAGIC or version != VERSION or not 0 < sector <= SECTOR_MAX or sector % SECTOR:
        raise BadLog("no log of writes, or one of another version")
    return list(_entries(log, count, sector))


def _entries(log: IO[bytes], count: int, sector: int) -> Iterator[Entry]:
    place = sector
    for _ in range(count):
        first, sectors, flags, _ = ENTRY.unpack(_exactly(log, place, ENTRY.size))
        length = sectors * sector
        yield Entry(first * sector, length, flags, place + sector)
        place += sector + (0 if flags & DISCARD else length)


def durable(found: list[Entry]) -> list[Entry]:
    """Those that have to be on the disk: what came before the last flush, and what
    was forced to the disk by itself."""
    last = max((index for index, entry in enumerate(found) if entry.flags & FLUSH), default=-1)
    return found[: last + 1] + [entry for entry in found[last + 1 :] if entry.flags & FUA]


def replay(log: IO[bytes], disk: IO[bytes]) -> int:
    """Write what has to be there onto a disk as it was before the log began; how
    many writes were lost."""
    found = entries(log)
    kept = durable(found)
    for entry in kept:
        disk.seek(entry.offset)
        if entry.flags & DISCARD:
            disk.write(bytes(entry.length))
        else:
            disk.write(_exactly(log, entry.data, entry.length))
    return len(found) - len(kept)


def _exactly(log: IO[bytes], place: int, count: int) -> bytes:
    log.seek(place)
    data = log.read(count)
    if len(data) != count:
        raise BadLog(f"the log ends at byte {place + len(data)}")
    return data
