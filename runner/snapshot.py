# SPDX-License-Identifier: GPL-2.0
"""Booted guests that others go on from, kept in the cache: their disks with all of
the state in them, what they had said by then, and what was on their console.

A kernel's complaints at boot are as much a verdict on the guests that go on from
there as on the one that booted.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from boot import Guest, Machine
from build import Kernel, digest
from cache import Cache
from errors import NoVerdict
from stage import Stage
from talk import Greeting
from target import Guest as Kind

# What QEMU calls the state in the disk.
TAG = "ready"
DISKS = ("disk", "spare")


@dataclass(frozen=True)
class Snapshot:
    """One such guest; `folder` is there when all of it is.  `wanted`: the first
    guest that boots without one makes it."""

    folder: Path
    wanted: bool

    def restore(self, machine: Machine, index: int, scratch: Path, console: Path) -> tuple[Machine, Greeting] | None:
        """The machine of a guest that goes on from here, with disks of its own, and
        what it has said before.  None when there is no snapshot yet."""
        try:
            greeting = Greeting(**json.loads((self.folder / "greeting.json").read_text()))
            shutil.copyfile(self.folder / "console.log", console)
            disks = {
                name: Path(shutil.copyfile(self.folder / f"{name}.qcow2", scratch / f"{name}-{index}.qcow2"))
                for name in DISKS
            }
        except OSError:
            return None
        return replace(machine, restore=TAG, **disks), greeting

    def take(self, guest: Guest, machine: Machine, console: Path, greeting: Greeting) -> str:
        """Keep this guest, unless another one was first; why it can't be kept."""
        if not self.wanted or self.folder.exists():
            return ""
        half = self.folder.with_name(f"{self.folder.name}.{os.getpid()}-{threading.get_ident()}.half")
        try:
            guest.snapshot(TAG)
            half.mkdir()
            for name in DISKS:
                shutil.copyfile(getattr(machine, name), half / f"{name}.qcow2")
            shutil.copyfile(console, half / "console.log")
            (half / "greeting.json").write_text(json.dumps(asdict(greeting)))
            half.rename(self.folder)
        except (OSError, NoVerdict) as error:
            return "" if self.folder.exists() else f"the booted guest can't be kept: {error}"
        finally:
            shutil.rmtree(half, ignore_errors=True)
        return ""

    def drop(self) -> None:
        """It does not run here."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Snapshots:
    """Those of one kernel and stage."""

    cache: Cache
    content: str

    @contextmanager
    def of(self, machine: Machine, kind: Kind, wanted: bool) -> Iterator[Snapshot | None]:
        """The one for guests of this kind on this machine, held against pruning.
        None for what can't be restored: devices with state of their own, and a
        guest under KVM, which boots as fast."""
        if kind.cold or machine.accel != "tcg" or not machine.disk:
            yield None
            return
        words = (repr(machine.qemu), machine.cmdline, kind.disk)
        modules = () if kind.disk else kind.modules
        key = digest(self.content, *words, *modules)
        with self.cache.hold("snapshots", key, exclusive=False):
            yield Snapshot(self.cache.entry("snapshots", key), wanted)


def content(kernel: Kernel, stage: Stage, qemu: str) -> str:
    """Names all that a guest has read by then; `qemu` is the version.  A file that
    was made again is another one, whatever its name."""
    files = (kernel.image, stage.initrd, stage.payload, stage.scratch)
    made = [f"{path} {path.stat().st_mtime_ns}" for path in files]
    return digest(kernel.content, qemu, *made)
