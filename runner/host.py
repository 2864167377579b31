# SPDX-License-Identifier: GPL-2.0
"""Programs on the running system, which may be the only one that has a device: what
a guest leaves behind for the judge, from /dev/kmsg in place of a console."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from errors import NoVerdict
from proc import spawn
from progress import Progress
from record import GuestResult, Job, JobResult, Run

RECORD_MAX = 8192


class Kmsg:
    """The kernel's log from now on, as lines of a console; `problem` says why there is
    none of it."""

    def __init__(self) -> None:
        self.problem = ""
        self._fd = -1
        try:
            self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            self.problem = f"reports of the kernel were not seen: /dev/kmsg: {error.strerror}"

    def lines(self) -> list[str]:
        """What has come since the last call (Documentation/ABI/testing/dev-kmsg)."""
        found: list[str] = []
        while self._fd >= 0:
            try:
                head, _, text = os.read(self._fd, RECORD_MAX).decode(errors="replace").partition(";")
            except OSError as error:
                if error.errno == errno.EPIPE:
                    found.append("** 1 printk messages dropped **")
                    continue
                break
            usec = int(head.split(",")[2])
            found.append(f"[{usec / 1e6:12.6f}] {text.splitlines()[0] if text else ''}")
        return found

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def collect(
    run: Run,
    programs: Path,
    environment: Sequence[str],
    seconds: float,
    folder: Path,
    progress: Progress,
) -> Run:
    """Run the manifest's programs, a gate first; console.log and results.ktap are in
    `folder`.  NoVerdict when a program can't be started."""
    kmsg, taint = Kmsg(), _taint()
    console: list[str] = []
    try:
        for job in run.manifest:
            progress.step(f"run {job.name} on this host")
            kmsg.lines()  # what was said between two programs is nobody's
            result, output = _program(job, programs, environment, seconds)
            said = kmsg.lines()
            stamp = f"[{time.monotonic():12.6f}]"
            console += [f"{stamp} memsafe: BEGIN {job.name}", *said, f"{stamp} memsafe: END {job.name}"]
            run = run.add(_kept(result, output, folder))
            if job.gate and (result.outcome, result.number) != ("exit", 0):
                break
    finally:
        kmsg.close()
    text = "".join(f"{line}\n" for line in console)
    (folder / "console.log").write_text(text)
    hello = {"release": os.uname().release, "machine": os.uname().machine}
    guest = GuestResult(0, hello, ended=True, begin_taint=taint, console=(0, len(text.encode())))
    problems = (kmsg.problem,) if kmsg.problem else ()
    return replace(run, guests=(guest,), problems=(*run.problems, *problems))


def _program(
    job: Job, programs: Path, environment: Sequence[str], seconds: float
) -> tuple[JobResult, bytes]:
    argv = ["env", *environment, str(programs / f"{job.name}_test")]
    result = JobResult(job.name, 0, "exit", begin_ms=int(time.monotonic() * 1000))
    with spawn(argv, stdout=subprocess.PIPE) as child:
        try:
            output, _ = child.communicate(timeout=seconds)
            status = child.returncode
            ended = ("signal", -status) if status < 0 else ("exit", status)
        except subprocess.TimeoutExpired as late:
            output, ended = late.stdout or b"", ("timeout", int(seconds))
    if ended == ("exit", 127):
        raise NoVerdict(f"can't run {argv[-1]}")
    end = int(time.monotonic() * 1000)
    return replace(result, outcome=ended[0], number=ended[1], end_ms=end, taint=_taint()), output


def _kept(result: JobResult, output: bytes, folder: Path) -> JobResult:
    with (folder / "results.ktap").open("ab") as whole:
        offset = whole.tell()
        whole.write(output)
    return replace(result, offset=offset, length=len(output))


def _taint() -> int:
    return int(Path("/proc/sys/kernel/tainted").read_text())
