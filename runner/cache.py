# SPDX-License-Identifier: GPL-2.0
"""The cache outside the checkout: kernel sources, builds, disk images, ccache.

Every entry is a folder or file under one of the KINDS.  An entry in use is held
by a shared lock, an entry being made by an exclusive one, so two runs on one
cache wait for each other; what is held is never pruned.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import NoVerdict

KINDS = ("sources", "headers", "kernels", "stages", "images", "overlays", "baselines", "snapshots")
DEFAULT_CAP_GIB = 30


@dataclass(frozen=True)
class Entry:
    """One thing in the cache: its size in bytes and when it was last used."""

    path: Path
    size: int
    used: float


@dataclass(frozen=True)
class Cache:
    """`root` is ${XDG_CACHE_HOME:-~/.cache}/memsafe unless a test says otherwise."""

    root: Path
    say: Callable[[str], None]

    def entry(self, kind: str, key: str) -> Path:
        """Where an entry lives (it need not exist); using it counts as its use."""
        path = self.root / kind / key
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.utime(path)
        return path

    @contextmanager
    def hold(self, kind: str, key: str, *, exclusive: bool) -> Iterator[None]:
        """Lock an entry; says so once when another run makes us wait."""
        with self._lock_file(kind, key) as lock:
            mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            try:
                fcntl.flock(lock, mode | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"waiting for another run that holds {kind}/{key}")
                fcntl.flock(lock, mode)
            yield

    @contextmanager
    def _lock_file(self, kind: str, key: str) -> Iterator[int]:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f"{kind}-{key}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            yield lock
        finally:
            os.close(lock)

    def entries(self) -> list[Entry]:
        """All entries, least recently used first."""
        found = []
        for kind in KINDS:
            folder = self.root / kind
            for path in folder.iterdir() if folder.is_dir() else ():
                try:
                    found.append(Entry(path, _size(path), path.stat().st_mtime))
                except FileNotFoundError:  # renamed by who made it, or pruned, just now
                    continue
        return sorted(found, key=lambda entry: entry.used)

    def keep_within(self, cap: int) -> None:
        """prune(), unless no entry has come or gone since this was last asked: to
        add up every file of the cache takes seconds."""
        stamp = self.root / "locks" / "pruned"
        now = json.dumps([cap, self._changed()])
        try:
            if stamp.read_text() == now:
                return
        except FileNotFoundError:
            pass
        if not self.prune(cap):
            stamp.write_text(now)

    def _changed(self) -> list[int]:
        """When an entry of each kind came or went last, in ns."""
        folders = (self.root / kind for kind in KINDS)
        return [folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders]

    def prune(self, cap: int) -> list[Entry]:
        """Remove least recently used entries until the rest fits into `cap`
        bytes; returns what was removed.  Entries in use stay.  One run at a
        time prunes: two would remove twice what is too much, and each other's."""
        removed = []
        with self._lock_file("prune", "all") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self.entries()
            excess = sum(entry.size for entry in entries) - cap
            for entry in entries:
                if excess <= 0:
                    break
                if self._remove(entry.path):
                    removed.append(entry)
                    excess -= entry.size
        return removed

    def _remove(self, path: Path) -> bool:
        key = path.name.removesuffix(".half").removesuffix(".unpacking")
        with self._lock_file(path.parent.name, key) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            # Renamed first: a removal that is cut short leaves no half entry.
            doomed = path.with_name(f".removed-{os.getpid()}-{time.monotonic_ns()}")
            try:
                path.rename(doomed)
            except FileNotFoundError:  # whoever made it gave it its name just now
                return False
            whole = doomed.is_dir() and not doomed.is_symlink()
            shutil.rmtree(doomed) if whole else doomed.unlink()
        return True


def default_root() -> Path:
    """${XDG_CACHE_HOME:-~/.cache}/memsafe"""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "memsafe"


def cap_bytes() -> int:
    """The size cap: MEMSAFE_CACHE_GIB, 30 GiB by default."""
    text = os.environ.get("MEMSAFE_CACHE_GIB", str(DEFAULT_CAP_GIB))
    try:
        gib = float(text)
    except ValueError:
        gib = math.nan
    if not 0 <= gib < math.inf:
        raise NoVerdict(f"MEMSAFE_CACHE_GIB={text} is not a number of GiB")
    return int(gib * (1 << 30))


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
