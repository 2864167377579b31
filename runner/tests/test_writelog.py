# SPDX-License-Identifier: GPL-2.0
"""A log of writes, replayed as a power cut leaves the disk."""

import io

import pytest

import writelog
from writelog import DISCARD, ENTRY, FLUSH, FUA, HEAD, MAGIC, VERSION, BadLog

SECTOR = 512


def log_of(*made, count=None, magic=MAGIC, sector=SECTOR):
    """A log of (first sector, data, flags)."""
    text = HEAD.pack(magic, VERSION, len(made) if count is None else count, sector)
    text = text.ljust(SECTOR, b"\0")
    for first, data, flags in made:
        sectors = len(data) // SECTOR
        text += ENTRY.pack(first, sectors, flags, 0).ljust(SECTOR, b"\0")
        text += b"" if flags & DISCARD else data
    return io.BytesIO(text)


def block(byte):
    return bytes([byte]) * SECTOR


def replayed(*made):
    disk = io.BytesIO(block(0xEE) * 4)
    lost = writelog.replay(log_of(*made), disk)
    return [disk.getvalue()[at] for at in range(0, 4 * SECTOR, SECTOR)], lost


@pytest.mark.parametrize("made, disk, lost", [
    ([], [0xEE] * 4, 0),
    ([(1, block(1), 0), (0, b"", FLUSH)], [0xEE, 1, 0xEE, 0xEE], 0),
    ([(1, block(1), 0)], [0xEE] * 4, 1),
    ([(1, block(1), 0), (0, b"", FLUSH), (1, block(2), 0)], [0xEE, 1, 0xEE, 0xEE], 1),
    ([(1, block(1), 0), (1, block(2), 0), (0, b"", FLUSH)], [0xEE, 2, 0xEE, 0xEE], 0),
    ([(2, block(1) + block(2), 0), (0, b"", FLUSH)], [0xEE, 0xEE, 1, 2], 0),
    ([(1, block(1), 0), (2, block(2), FUA)], [0xEE, 0xEE, 2, 0xEE], 1),
    ([(0, block(1) * 2, DISCARD), (3, block(3), 0), (0, b"", FLUSH)], [0, 0, 0xEE, 3], 0),
], ids=["nothing", "flushed", "never_flushed", "after_the_flush", "the_last_one_counts",
        "two_sectors", "forced", "discarded"])  # fmt: skip
def test_disk_has_what_a_flush_has_reached(made, disk, lost):
    assert replayed(*made) == (disk, lost)


@pytest.mark.parametrize("log, sentence", [
    (io.BytesIO(b""), "ends at byte 0"),
    (log_of(magic=1), "no log of writes"),
    (log_of(sector=0), "no log of writes"),
    (log_of(sector=513), "no log of writes"),
    (log_of((1, block(1), 0), count=2), "ends at byte 1536"),
    (log_of((1, block(1), 0), (0, b"", FLUSH), count=1 << 60), "ends at byte"),
])  # fmt: skip
def test_garbage_is_named(log, sentence):
    with pytest.raises(BadLog, match=sentence):
        writelog.replay(log, io.BytesIO())
