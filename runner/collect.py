# SPDX-License-Identifier: GPL-2.0
"""Run jobs in guests, as many side by side as the host's cores allow, and write
down what happens: console.log, results.ktap, run.json.  No opinion about it: that
is the judge's.

A guest that panics, hangs or goes silent ends only the job that did it: the
rest goes on in a fresh one.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import boot
import build
from boot import Guest, GuestGone, Machine
from errors import NoVerdict, Stopped
from lanes import Batch, Ledger, batches
from proc import Commands
from progress import Progress
from record import GuestResult, JobResult, Run
from stop import Stop
from talk import Greeting, Talk
from target import Target

# What QEMU calls the state in the disk of a snapshot.
TAG = "ready"


@dataclass(frozen=True)
class Snapshot:
    """A booted guest that others go on from: the disk with its state in it, and what
    it has said.  `folder` is there when both are."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "guest.qcow2"

    def greeting(self) -> Greeting | None:
        """None when there is no snapshot yet."""
        try:
            return Greeting(**json.loads((self.folder / "greeting.json").read_text()))
        except OSError:
            return None

    def keep(self, disk: Path, greeting: Greeting) -> None:
        """A copy of the disk as it is now; whoever was first has made it."""
        half = self.folder.with_name(f"{self.folder.name}.{os.getpid()}.half")
        half.mkdir()
        shutil.copyfile(disk, half / "guest.qcow2")
        (half / "greeting.json").write_text(json.dumps(asdict(greeting)))
        try:
            half.rename(self.folder)
        except OSError:
            shutil.rmtree(half)


@dataclass(frozen=True)
class Collector:
    """`folder` is the results folder of a target, `scratch` a temporary one;
    `machine` is the main guest's.
    `environment` is given to every program as VAR=value words.  Guests go on from
    `snapshot`; where there is none yet, the first one makes it.  When `enough` says
    so of a job and what it has printed, no other is begun."""

    target: Target
    machine: Machine
    folder: Path
    scratch: Path
    commands: Commands
    progress: Progress
    environment: tuple[str, ...] = ()
    leaks: bool = True
    stop: Stop = field(default_factory=Stop)
    snapshot: Snapshot | None = None
    enough: Callable[[JobResult, str], bool] = lambda result, text: False
    side_by_side: bool = True

    def collect(self, run: Run) -> Run:
        """Run the whole manifest; NoVerdict when the first guest never answers."""
        cores = build.cpus()
        waiting = list(enumerate(batches(self.target, run.manifest, cores if self.side_by_side else 1)))
        ledger = Ledger(run, self.folder, len(waiting), self._ended)
        running: dict[Future[None], int] = {}
        with ThreadPoolExecutor(max_workers=max(1, cores)) as pool:
            try:
                while waiting or running:
                    free = cores - sum(running.values())
                    if self.stop.is_set():
                        waiting.clear()
                    for number, batch in list(waiting):
                        needs = min(cores, self.target.guest(batch.kind).qemu.cpus)
                        if needs <= free:
                            waiting.remove((number, batch))
                            running[pool.submit(self._batch, number, batch, ledger)] = needs
                            free -= needs
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        del running[done]
                        done.result()
            except BaseException:
                self.stop.set()
                raise
        return ledger.run

    def _ended(self, result: JobResult, text: str) -> None:
        if self.enough(result, text):
            self.stop.set()

    def _batch(self, number: int, batch: Batch, ledger: Ledger) -> None:
        """Guest after guest until all jobs of a batch have had their turn."""
        left, index = batch.jobs, number
        while left:
            done = self._guest(index, number, replace(batch, jobs=left), ledger)
            if not done:
                break
            left = left[done:]
            index = ledger.another_guest() if left else index

    def _guest(self, index: int, number: int, batch: Batch, ledger: Ledger) -> int:
        """One boot; how many jobs it has taken."""
        begin = time.monotonic()
        self.progress.step(f"boot {self.target.name}" + (f", guest {index + 1}" if index else ""))
        chosen = self.target.guest(batch.kind)
        before = self.snapshot.greeting() if self.snapshot else None
        # A snapshot is of all disks that can be written to, and has no place in this one.
        disk, spare = self._disk(index, before), None if self.snapshot else self.machine.disk
        machine = replace(self.machine, qemu=chosen.qemu, disk=disk, spare=spare,
                          restore=TAG if before else "")  # fmt: skip
        console = self.folder / f"console-{index + 1}.log"
        start = GuestResult(index, {}, kind=batch.kind, batch=number)
        talk = Talk(self.target, chosen, self.progress, ledger, start, self.scratch,
                    self.environment, self.leaks, before, self._save(machine))  # fmt: skip
        try:
            with boot.boot(
                machine, console, self.folder / "qemu.log", self.commands, self.progress, self.stop
            ) as guest:
                talk.whole(guest, batch.jobs, begin)
        except GuestGone as gone:
            talk.result = replace(talk.result, detail=str(gone))
        except Stopped:
            talk.result = replace(talk.result, detail="stopped")
        finally:
            ledger.add_guest(talk.result, console, talk.leaks_found)
        if not talk.result.hello and index == 0 and not self.stop.is_set():
            raise NoVerdict(_no_hello(talk.result, self.folder / "console.log"))
        if not talk.result.hello:
            ledger.problem(f"guest {index + 1} did not boot")
        if talk.refused:
            return len(batch.jobs)
        return 0 if self.stop.is_set() else talk.jobs_done

    def _save(self, machine: Machine) -> Callable[[Guest, Greeting], None] | None:
        """How a guest is kept as the snapshot, where one is wanted and not there."""
        if not self.snapshot or machine.restore or not machine.disk:
            return None
        snapshot, disk = self.snapshot, machine.disk

        def save(guest: Guest, greeting: Greeting) -> None:
            self.progress.step("keep a snapshot of the booted guest")
            guest.snapshot(TAG)
            snapshot.keep(disk, greeting)

        return save

    def _disk(self, index: int, before: Greeting | None) -> Path | None:
        """A writable disk of a guest's own."""
        if not self.machine.disk:
            return None
        if before and self.snapshot:
            return Path(shutil.copyfile(self.snapshot.disk, self.scratch / f"guest-{index}.qcow2"))
        return boot.overlay_disk(
            self.machine.disk, self.scratch / f"guest-{index}.qcow2", self.commands
        )


def _no_hello(result: GuestResult, console: Path) -> str:
    lines = console.read_text(errors="replace").splitlines()[-8:]
    return "\n".join([f"the kernel does not boot: {result.detail}", *lines, f"log: {console}"])
