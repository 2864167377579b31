# SPDX-License-Identifier: GPL-2.0
"""The conversation with one guest: greeting, jobs, leaks, end.  What it says goes
into the run's ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from boot import Guest, GuestGone
from frames import Frame
from lanes import Ledger
from progress import Progress
from record import GuestResult, Job, JobResult
from target import Guest as Kind
from target import Target

# The first boot happens before the guest's speed is known.
UNKNOWN_SPEED = 4.0
GRACE_S = 10.0
LEAKS_S = 120.0
QUIT_S = 20.0
MARKS_LIMIT = 10000


@dataclass(frozen=True)
class Greeting:
    """What init said of a guest when it had booted."""

    hello: dict[str, str]
    cmdline: str


class Talk:
    """`result` is what is known of the guest; what it has printed of leaks is in
    `leaks_found`.  `environment` is given to every program as VAR=value words.
    A guest that goes on from a snapshot has said its greeting `before`; of another
    one `on_ready` may take a snapshot.  `awake` is the number of a mutant.
    `refused`: a gate did not pass."""

    def __init__(
        self,
        target: Target,
        kind: Kind,
        progress: Progress,
        ledger: Ledger,
        result: GuestResult,
        scratch: Path,
        environment: tuple[str, ...],
        leaks: bool,
        before: Greeting | None = None,
        on_ready: Callable[[Guest, Greeting], None] | None = None,
        awake: int = 0,
    ) -> None:
        self.result = result
        self.jobs_done = 0
        self.refused = False
        self.leaks_found = scratch / f"leaks-{result.index}"
        self._output = scratch / f"output-{result.index}"
        self._timeouts = target.timeouts
        self._kind = kind
        self._progress = progress
        self._ledger = ledger
        self._environment = environment
        self._leaks = leaks and kind.leaks
        self._scale = UNKNOWN_SPEED
        self._before = before
        self._on_ready = on_ready
        self._awake = awake

    def whole(self, guest: Guest, jobs: Sequence[Job], begin: float) -> None:
        """From the greeting to the end mark, as far as the guest goes; it has been
        starting since `begin`.  GuestGone when it ends between two jobs."""
        self._guest = guest
        if not self._hello():
            self.result = replace(self.result, detail="no greeting from init in time")
            return
        self._ledger.add_seconds("boot", time.monotonic() - begin)
        with self._timed("overhead"):
            self._wake()
            if not self._before:
                self._ready()
            if self._kind.disk:
                # What the modules of this guest alone leave behind is theirs.
                self._ask(f"disk {self._kind.disk}", "disk", GRACE_S)
                self._modules()
        with self._timed("tests"):
            finished = all(self.refused or self._job(job) for job in jobs)
        if finished:
            with self._timed("leaks"):
                self._finish()

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self._ledger.add_seconds(what, time.monotonic() - begin)

    def _wake(self) -> None:
        if not self._awake:
            return
        answer = self._ask(f"wake {self._awake}", "wake", GRACE_S)
        if not answer or answer.payload != b"awake":
            self._ledger.problem(f"guest {self.result.index + 1} has no mutant {self._awake}")
            self.refused = True

    def _ready(self) -> None:
        """What other guests of the kind can go on from, be they asked for leaks or not."""
        loaded = bool(self._kind.disk) or self._modules()
        if self._leaks or (self._kind.leaks and self._on_ready):
            self._ask("leaks clear", "leaks", LEAKS_S)
        if loaded and self._on_ready:
            self._on_ready(self._guest, Greeting(self.result.hello, self.result.cmdline))

    def _greeting(self, deadline: float) -> Greeting | None:
        """A guest from a snapshot says only how fast it is now."""
        if self._before:
            self._guest.send("calibrate")
            speed = self._until("calibration", deadline)
            return replace(self._before, hello=self._before.hello | speed.fields()) if speed else None
        hello = self._until("hello", deadline)
        line = self._until("cmdline", deadline) if hello else None
        if hello is None:
            return None
        text = line.payload.decode(errors="replace").strip() if line else ""
        return Greeting(hello.fields(), text)

    def _hello(self) -> bool:
        greeting = self._greeting(time.monotonic() + self._timeouts.boot * UNKNOWN_SPEED)
        if greeting is None:
            return False
        fields = greeting.hello
        reference = self._timeouts.calibration_ns
        if reference and fields.get("calibration_ns", "").isdigit():
            self._scale = max(1.0, int(fields["calibration_ns"]) / reference)
        self.result = replace(
            self.result,
            hello=fields,
            cmdline=greeting.cmdline,
            kmemleak=fields.get("kmemleak", ""),
            begin_taint=_number(fields.get("taint", "")),
        )
        return True

    def _modules(self) -> bool:
        """Whether all of the guest's modules are there now."""
        refused = 0
        for module in self._kind.modules:
            path = module if module.startswith("/") else f"/memsafe/modules/{module}"
            answer = self._ask(f"load {path}", "load", GRACE_S)
            error = answer.words()[0] if answer and answer.words() else "no answer"
            if error != "0":
                refused += 1
                self._ledger.problem(f"can't load {module}: {_errno(error)}")
                # Without the driver that a guest is for, there is nothing to run.
                self.refused = bool(self._kind.disk)
        return not refused

    def _ask(self, line: str, kind: str, seconds: float) -> Frame | None:
        self._guest.send(line)
        return self._until(kind, time.monotonic() + seconds * self._scale)

    def _until(
        self, kind: str, deadline: float, other: Callable[[Frame], None] | None = None
    ) -> Frame | None:
        """The next frame of a kind; `other` sees those before it."""
        while (frame := self._guest.next_frame(deadline)) is not None:
            if frame.type == kind:
                return frame
            if other:
                other(frame)
        return None

    def _job(self, job: Job) -> bool:
        """Run one job; False when this guest can't go on."""
        self._progress.step(f"run {job.name}")
        seconds = self._timeouts.job * self._scale
        result = JobResult(job.name, self.result.index, "hung", detail=f"no end in {seconds:.0f} s")
        with self._output.open("wb") as output:
            heard = _Heard(output)
            try:
                self._guest.send(self._line(job, seconds))
                limit = seconds + GRACE_S * self._scale
                end = self._until("end", time.monotonic() + limit, heard.keep)
                if end:
                    result = _ended(job, self.result.index, end)
            except GuestGone as gone:
                result = replace(result, outcome="gone", detail=str(gone))
        result = replace(result, begin_ms=heard.begin_ms, marks=tuple(heard.marks))
        self._ledger.add_job(result, self._output)
        self.jobs_done += 1
        self.refused = job.gate and (result.outcome, result.number) != ("exit", 0)
        return result.outcome not in ("gone", "hung", "stuck")

    def _line(self, job: Job, seconds: float) -> str:
        if job.kind == "kunit":
            return f"module {job.name} {seconds:.0f} /memsafe/modules/{job.name}_kunit.ko"
        if job.kind == "unload":
            return f"unload {job.name} {seconds:.0f} {' '.join(job.words)}"
        words = [*self._environment, f"{job.folder}/{job.name}_test"]
        return f"program {job.name} {seconds:.0f} {' '.join(words)}"

    def _finish(self) -> None:
        """Leaks, then power off.  The end mark is init's last word."""
        if self._leaks:
            self._progress.step("look for leaks")
            self._guest.send("leaks report")
            with self.leaks_found.open("wb") as file:

                def keep(frame: Frame) -> None:
                    if frame.type == "leak":
                        file.write(frame.payload)

                state = self._until("leaks", time.monotonic() + LEAKS_S * self._scale, keep)
            kmemleak = state.payload.decode(errors="replace") if state else "no answer"
            self.result = replace(self.result, kmemleak=kmemleak)
        bye = self._ask("quit", "bye", QUIT_S)
        if bye and self._guest.wait_end(QUIT_S * self._scale):
            self.result = replace(self.result, ended=True)
        else:
            self.result = replace(self.result, detail="the guest did not power off")


class _Heard:
    """What a guest says while a job runs: output, and when it came."""

    def __init__(self, output: IO[bytes]) -> None:
        self.begin_ms = 0
        self.marks: list[tuple[int, int]] = []
        self._output = output
        self._begin = time.monotonic()

    def keep(self, frame: Frame) -> None:
        if frame.type == "begin":
            self.begin_ms = _number(frame.words()[-1])
        elif frame.type in ("out", "kunit"):
            self._output.write(frame.payload)
            if len(self.marks) < MARKS_LIMIT:
                passed = int((time.monotonic() - self._begin) * 1000)
                self.marks.append((self._output.tell(), passed))


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


def _errno(text: str) -> str:
    """ "errno 8 (Exec format error)" of "8"."""
    return f"errno {text} ({os.strerror(int(text))})" if text.isdigit() else text


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
