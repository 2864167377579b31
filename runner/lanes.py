# SPDX-License-Identifier: GPL-2.0
"""Which jobs share a guest, and the record that guests side by side fill in."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from record import GuestResult, Job, JobResult, Run
from target import Target

# A boot and its leak scan cost as much as several jobs: more guests than these,
# or guests of fewer jobs than these, take longer together than they save.
MOST_GUESTS = 4
FEWEST_JOBS = 8


@dataclass(frozen=True)
class Batch:
    """Jobs that share one guest of a kind; `again`: others of the kind have more."""

    kind: str
    jobs: tuple[Job, ...]
    again: bool = False


def batches(target: Target, jobs: Sequence[Job], cores: int) -> list[Batch]:
    """All jobs, dealt out.  Those of the main guest are shared between as many of
    them as there is room for; what needs most cores comes first and what is short
    last, so that the rest can fill up what is left of the host."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.guest if job.guest in target.guests else "", []).append(job)
    shared: list[Batch] = []
    for kind in sorted(found, key=lambda kind: _turn(target, kind)):
        wanted = found[kind]
        hands = 1 if kind else _hands(target, len(wanted), cores)
        if target.guest(kind).alone:
            hands = len(wanted)
        shared += [Batch(kind, tuple(wanted[first::hands]), hands > 1) for first in range(hands)]
    return shared


def _turn(target: Target, kind: str) -> tuple[int, bool, bool, str]:
    """What batches of guests are sorted by: the main guest's can be shared, so a
    kind that has one guest begins before them."""
    guest = target.guest(kind)
    return -guest.qemu.cpus, guest.alone, not kind, kind


def _hands(target: Target, jobs: int, cores: int) -> int:
    room = max(1, cores // target.guest("").qemu.cpus)
    return min(room, MOST_GUESTS, max(1, jobs // FEWEST_JOBS))


class Ledger:
    """A run while its guests run: every change is on disk before the next one."""

    def __init__(
        self, run: Run, folder: Path, guests: int, ended: Callable[[JobResult, str], None]
    ) -> None:
        """`ended` is called with each job's result and what it has printed."""
        self._ended = ended
        self._run = run
        self._folder = folder
        self._next = guests
        self._lock = threading.Lock()

    @property
    def run(self) -> Run:
        with self._lock:
            return self._run

    def another_guest(self) -> int:
        """The index of a guest that goes on where another one has died."""
        with self._lock:
            self._next += 1
            return self._next - 1

    def problem(self, text: str) -> None:
        with self._lock:
            self._run = replace(self._run, problems=(*self._run.problems, text))

    def add_seconds(self, what: str, seconds: float) -> None:
        """Guests side by side add up: this is their time, not the host's."""
        with self._lock:
            sums = dict(self._run.seconds)
            sums[what] = sums.get(what, 0.0) + seconds
            self._run = replace(self._run, seconds=sums)

    def add_job(self, result: JobResult, output: Path) -> None:
        """A job has ended: what it has printed goes into results.ktap."""
        text = output.read_text(errors="replace") if output.exists() else ""
        with self._lock:
            offset, length = self._append("results.ktap", output)
            self._run = self._run.add(replace(result, offset=offset, length=length))
            self._run.save(self._folder)
        self._ended(result, text)

    def add_guest(self, result: GuestResult, console: Path, leaks: Path) -> None:
        """A guest has ended: its console goes into console.log."""
        with self._lock:
            spans = {"console": self._append("console.log", console)}
            spans["leaks"] = self._append("results.ktap", leaks)
            guests = (*self._run.guests, replace(result, **spans))
            in_order = tuple(sorted(guests, key=lambda guest: guest.index))
            self._run = replace(self._run, guests=in_order)
            self._run.save(self._folder)

    def _append(self, name: str, part: Path) -> tuple[int, int]:
        """Offset and length of a part that is moved to the end of a file."""
        with (self._folder / name).open("ab") as whole:
            offset = whole.tell()
            if part.exists():
                with part.open("rb") as file:
                    shutil.copyfileobj(file, whole)
                part.unlink()
            return offset, whole.tell() - offset
