# SPDX-License-Identifier: GPL-2.0
"""Run jobs in guests, as many side by side as the host's cores allow, and write
down what happens: console.log, results.ktap, run.json.  No opinion about it: that
is the judge's.

A guest that panics, hangs or goes silent ends only the job that did it: the
rest goes on in a fresh one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import boot
import build
from boot import Guest, GuestGone, Machine
from errors import NoVerdict, Stopped
from lanes import Batch, Ledger, batches
from proc import Commands
from progress import Progress
from record import GuestResult, JobResult, Run
from snapshot import DISKS, Snapshot, Snapshots
from stop import Stop
from talk import Greeting, Talk
from target import Target


@dataclass(frozen=True)
class Collector:
    """`folder` is the results folder of a target, `scratch` a temporary one;
    `machine` is the main guest's.
    `environment` is given to every program as VAR=value words.  Guests go on from
    `snapshots` where there are any; they are made for more guests of a kind, or when
    later runs are to have them (`keep`).  When `enough` says so of a job and what it
    has printed, no other is begun.  `awake` is the mutant of a kernel that has many."""

    target: Target
    machine: Machine
    folder: Path
    scratch: Path
    commands: Commands
    progress: Progress
    environment: tuple[str, ...] = ()
    leaks: bool = True
    stop: Stop = field(default_factory=Stop)
    snapshots: Snapshots | None = None
    keep: bool = False
    enough: Callable[[JobResult, str], bool] = lambda result, text: False
    side_by_side: bool = True
    awake: int = 0

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
        """One guest; how many jobs it has taken."""
        console = self.folder / f"console-{index + 1}.log"
        start = GuestResult(index, {}, kind=batch.kind, batch=number)
        with self._snapshot(batch) as snapshot:
            machine, before = self._machine(batch.kind, index, console, snapshot)
            talk = self._talk(machine, console, start, batch, ledger, snapshot, before)
            if snapshot and before and not talk.result.hello and not self.stop.is_set():
                self.progress.say(f"guest {index + 1} does not go on from its snapshot: boot it")
                snapshot.drop()
                console.unlink()
                machine, before = self._machine(batch.kind, index, console, None)
                talk = self._talk(machine, console, start, batch, ledger, None, None)
        ledger.add_guest(talk.result, console, talk.leaks_found)
        if not talk.result.hello and index == 0 and not self.stop.is_set():
            raise NoVerdict(_no_hello(talk.result, self.folder / "console.log"))
        if not talk.result.hello:
            ledger.problem(f"guest {index + 1} did not boot")
        if talk.refused:
            return len(batch.jobs)
        return 0 if self.stop.is_set() else talk.jobs_done

    def _talk(
        self, machine: Machine, console: Path, start: GuestResult, batch: Batch,
        ledger: Ledger, snapshot: Snapshot | None, before: Greeting | None,
    ) -> Talk:  # fmt: skip
        """A guest from its start to its end."""
        begin, word = time.monotonic(), "restore" if before else "boot"
        more = f", guest {start.index + 1}" if start.index else ""
        self.progress.step(f"{word} {self.target.name}{more}")

        def ready(guest: Guest, greeting: Greeting) -> None:
            if snapshot and (problem := snapshot.take(guest, machine, console, greeting)):
                self.progress.say(problem)

        wanted = ready if snapshot and snapshot.wanted else None
        talk = Talk(self.target, self.target.guest(batch.kind), self.progress, ledger, start,
                    self.scratch, self.environment, self.leaks, before, wanted, self.awake)  # fmt: skip
        log = self.folder / "qemu.log"
        try:
            with boot.boot(machine, console, log, self.commands, self.progress, self.stop) as guest:
                talk.whole(guest, batch.jobs, begin)
        except GuestGone as gone:
            talk.result = replace(talk.result, detail=str(gone))
        except Stopped:
            talk.result = replace(talk.result, detail="stopped")
        return talk

    @contextmanager
    def _snapshot(self, batch: Batch) -> Iterator[Snapshot | None]:
        if not self.snapshots:
            yield None
            return
        chosen = self.target.guest(batch.kind)
        machine = replace(self.machine, qemu=chosen.qemu)
        wanted = (self.keep or batch.again) and not self.awake
        with self.snapshots.of(machine, chosen, wanted) as snapshot:
            yield snapshot

    def _machine(
        self, kind: str, index: int, console: Path, snapshot: Snapshot | None
    ) -> tuple[Machine, Greeting | None]:
        """A guest's machine with writable disks of its own, and what it has said
        before when it goes on from a snapshot."""
        machine = replace(self.machine, qemu=self.target.guest(kind).qemu)
        restored = snapshot.restore(machine, index, self.scratch, console) if snapshot else None
        if restored:
            return restored
        if not machine.disk:
            return machine, None
        disks = {
            name: boot.overlay_disk(machine.disk, self.scratch / f"{name}-{index}.qcow2", self.commands)
            for name in DISKS
        }
        return replace(machine, **disks), None


def _no_hello(result: GuestResult, console: Path) -> str:
    lines = console.read_text(errors="replace").splitlines()[-8:]
    return "\n".join([f"the kernel does not boot: {result.detail}", *lines, f"log: {console}"])
