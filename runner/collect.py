# SPDX-License-Identifier: GPL-2.0
"""Run jobs in guests and write down what happens: console.log, results.ktap,
run.json.  No opinion about it: that is the judge's.

A guest that panics, hangs or goes silent ends only the job that did it: the
rest goes on in a fresh one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import boot
import target as targets
from boot import Guest, GuestGone, Machine
from errors import NoVerdict
from frames import Frame
from proc import Commands
from progress import Progress
from record import GuestResult, Job, JobResult, Run
from target import Target

# The first boot happens before the guest's speed is known.
UNKNOWN_SPEED = 4.0
GRACE_S = 10.0
LEAKS_S = 120.0
QUIT_S = 20.0
MARKS_LIMIT = 10000


@dataclass(frozen=True)
class Collector:
    """`folder` is the results folder of a target, `scratch` a temporary one;
    `machine` is the main guest's.
    `environment` is given to every program as VAR=value words."""

    target: Target
    machine: Machine
    folder: Path
    scratch: Path
    commands: Commands
    progress: Progress
    environment: tuple[str, ...] = ()
    leaks: bool = True

    def collect(self, run: Run) -> Run:
        """Run the whole manifest; NoVerdict when the first guest never answers."""
        for batch, (kind, jobs) in enumerate(batches(self.target, run.manifest)):
            left = list(jobs)
            while left:
                before = len(run.results)
                run = self._guest(run, kind, batch, left)
                run.save(self.folder)
                done = len(run.results) - before
                if not done:
                    break
                left = left[done:]
        return run

    def _guest(self, run: Run, kind: str, batch: int, left: Sequence[Job]) -> Run:
        """One boot; returns the run with its results."""
        console, begin, index = self.folder / "console.log", time.monotonic(), len(run.guests)
        console.touch()
        start = console.stat().st_size
        self.progress.step(f"boot {self.target.name}" + (f", guest {index + 1}" if index else ""))
        disk = boot.overlay_disk(
            self.machine.disk, self.scratch / f"guest-{index}.qcow2", self.commands
        ) if self.machine.disk else None  # fmt: skip
        chosen = self.target.guest(kind)
        machine = replace(self.machine, qemu=chosen.qemu, disk=disk)
        log = self.folder / "qemu.log"
        with boot.boot(machine, console, log, self.commands, self.progress) as guest:
            result = GuestResult(index, {}, kind=kind, batch=batch)
            talk = _Talk(self, chosen, guest, result, run)
            talk.whole(left, begin)
        span = (start, console.stat().st_size - start)
        run = replace(talk.run, guests=(*talk.run.guests, replace(talk.result, console=span)))
        if not talk.result.hello and index == 0:
            raise NoVerdict(_no_hello(talk.result, console))
        if not talk.result.hello:
            run = replace(run, problems=(*run.problems, f"guest {index + 1} did not boot"))
        return run


def batches(target: Target, jobs: Sequence[Job]) -> list[tuple[str, tuple[Job, ...]]]:
    """Jobs that share a boot, by kind of guest; the main guest's come first."""
    found: dict[str, list[Job]] = {"": []}
    for job in jobs:
        found.setdefault(job.guest if job.guest in target.guests else "", []).append(job)
    shared: list[tuple[str, tuple[Job, ...]]] = []
    for kind, wanted in found.items():
        if target.guest(kind).alone:
            shared += [(kind, (job,)) for job in wanted]
        elif wanted:
            shared.append((kind, tuple(wanted)))
    return shared


def _no_hello(result: GuestResult, console: Path) -> str:
    lines = console.read_text(errors="replace").splitlines()[-8:]
    return "\n".join([f"the kernel does not boot: {result.detail}", *lines, f"log: {console}"])


class _Talk:
    """The conversation with one guest."""

    def __init__(
        self,
        collector: Collector,
        kind: targets.Guest,
        guest: Guest,
        result: GuestResult,
        run: Run,
    ) -> None:
        self.c = collector
        self.kind = kind
        self.guest = guest
        self.index = result.index
        self.run = run
        self.result = result
        self.leaks = collector.leaks and kind.leaks
        self.scale = UNKNOWN_SPEED
        self.results = collector.folder / "results.ktap"

    def whole(self, left: Sequence[Job], begin: float) -> None:
        """From the greeting to the end mark, as far as the guest goes."""
        try:
            if not self._hello():
                self.result = replace(self.result, detail="no greeting from init in time")
                return
            self._add_seconds("boot", begin)
            begin = time.monotonic()
            self._modules()
            if self.leaks:
                self._ask("leaks clear", "leaks", LEAKS_S)
            self._add_seconds("overhead", begin)
            begin = time.monotonic()
            finished = all(self._job(job) for job in left)
            self._add_seconds("tests", begin)
            if finished:
                begin = time.monotonic()
                self._finish()
                self._add_seconds("leaks", begin)
        except GuestGone as gone:
            self.result = replace(self.result, detail=str(gone))

    def _add_seconds(self, what: str, begin: float) -> None:
        seconds = dict(self.run.seconds)
        seconds[what] = seconds.get(what, 0.0) + time.monotonic() - begin
        self.run = replace(self.run, seconds=seconds)

    def _hello(self) -> bool:
        deadline = time.monotonic() + self.c.target.timeouts.boot * UNKNOWN_SPEED
        hello = self._until("hello", deadline)
        if hello is None:
            return False
        fields = hello.fields()
        reference = self.c.target.timeouts.calibration_ns
        if reference and fields.get("calibration_ns", "").isdigit():
            self.scale = max(1.0, int(fields["calibration_ns"]) / reference)
        line = self._until("cmdline", deadline)
        self.result = replace(
            self.result,
            hello=fields,
            cmdline=line.payload.decode(errors="replace").strip() if line else "",
            kmemleak=fields.get("kmemleak", ""),
            begin_taint=_number(fields.get("taint", "")),
        )
        return True

    def _modules(self) -> None:
        for module in self.kind.modules:
            answer = self._ask(f"load /memsafe/modules/{module}", "load", GRACE_S)
            error = answer.words()[0] if answer and answer.words() else "no answer"
            if error != "0":
                text = f"can't load {module}: errno {error}"
                self.run = replace(self.run, problems=(*self.run.problems, text))

    def _ask(self, line: str, kind: str, seconds: float) -> Frame | None:
        self.guest.send(line)
        return self._until(kind, time.monotonic() + seconds * self.scale)

    def _until(
        self, kind: str, deadline: float, other: Callable[[Frame], None] | None = None
    ) -> Frame | None:
        """The next frame of a kind; `other` sees those before it."""
        while (frame := self.guest.next_frame(deadline)) is not None:
            if frame.type == kind:
                return frame
            if other:
                other(frame)
        return None

    def _job(self, job: Job) -> bool:
        """Run one job; False when this guest can't go on."""
        self.c.progress.step(f"run {job.name}")
        seconds = self.c.target.timeouts.job * self.scale
        start = self.results.stat().st_size if self.results.exists() else 0
        begin_ms = 0
        marks: list[tuple[int, int]] = []
        begin = time.monotonic()

        def keep(frame: Frame) -> None:
            nonlocal begin_ms
            if frame.type == "begin":
                begin_ms = _number(frame.words()[-1])
            elif frame.type in ("out", "kunit"):
                with self.results.open("ab") as file:
                    file.write(frame.payload)
                    if len(marks) < MARKS_LIMIT:
                        marks.append((file.tell() - start, int((time.monotonic() - begin) * 1000)))

        result = JobResult(job.name, self.index, "hung", detail=f"no end in {seconds:.0f} s")
        try:
            self.guest.send(self._line(job, seconds))
            end = self._until("end", time.monotonic() + seconds + GRACE_S * self.scale, keep)
            if end:
                result = _ended(job, self.index, end)
        except GuestGone as gone:
            result = replace(result, outcome="gone", detail=str(gone))
        size = self.results.stat().st_size if self.results.exists() else 0
        result = replace(result, begin_ms=begin_ms, offset=start, length=size - start)
        result = replace(result, marks=tuple(marks))
        self.run = self.run.add(result)
        self.run.save(self.c.folder)
        return result.outcome not in ("gone", "hung", "stuck")

    def _line(self, job: Job, seconds: float) -> str:
        if job.kind == "kunit":
            return f"module {job.name} {seconds:.0f} /memsafe/modules/{job.name}_kunit.ko"
        words = [*self.c.environment, f"/memsafe/bin/{job.name}_test"]
        return f"program {job.name} {seconds:.0f} {' '.join(words)}"

    def _finish(self) -> None:
        """Leaks, then power off.  The end mark is init's last word."""
        offset = self.results.stat().st_size if self.results.exists() else 0
        if self.leaks:
            self.c.progress.step("look for leaks")
            self.guest.send("leaks report")

            def keep(frame: Frame) -> None:
                if frame.type == "leak":
                    with self.results.open("ab") as file:
                        file.write(frame.payload)

            state = self._until("leaks", time.monotonic() + LEAKS_S * self.scale, keep)
            kmemleak = state.payload.decode(errors="replace") if state else "no answer"
            size = self.results.stat().st_size if self.results.exists() else 0
            self.result = replace(self.result, kmemleak=kmemleak, leaks=(offset, size - offset))
        bye = self._ask("quit", "bye", QUIT_S)
        if bye and self.guest.wait_end(QUIT_S * self.scale):
            self.result = replace(self.result, ended=True)
        else:
            self.result = replace(self.result, detail="the guest did not power off")


def _ended(job: Job, guest: int, frame: Frame) -> JobResult:
    """An end frame: "<outcome> <number> uptime_ms N taint N dropped N"."""
    words = frame.words()
    values = dict(zip(words[2::2], words[3::2]))
    return JobResult(
        job.name,
        guest,
        words[0],
        number=_number(words[1]),
        end_ms=_number(values.get("uptime_ms", "")),
        taint=_number(values.get("taint", "")),
        dropped=_number(values.get("dropped", "")),
    )


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
