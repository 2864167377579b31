# SPDX-License-Identifier: GPL-2.0
"""msync(MS_SYNC) against a power cut: a guest stores numbered records and says which
are done; its power is cut at a random moment, what no flush had reached is taken off
its disk, and another guest looks whether every record that was done is there.

results/<run>/<target>-durability/ has the disk, the log of writes and the consoles
of a round that failed, and durability.json.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import boot
import results
import run
import writelog
from boot import Guest, GuestGone, Machine
from errors import NoVerdict
from frames import Frame
from run import Options, Tools

PROGRAM = "/memsafe/bin/msync_records"
DISK_MB = 32
# Seconds from the first record to the power cut.
SOONEST_S, LATEST_S = 0.05, 2.0
# Of the slowest guest.
ANSWER_S = 240.0
OUTPUT_LIMIT = 1 << 20


@dataclass(frozen=True)
class Plan:
    """`mount`: options of the ext4 whose records are looked at."""

    rounds: int
    seed: int
    mount: str = ""


@dataclass(frozen=True)
class Round:
    """`records` were done when the power went; `lost` writes had not been flushed.
    `found` is the last word of the guest that looked."""

    number: int
    seconds: float
    records: int
    lost: int
    found: str
    good: bool


@dataclass(frozen=True)
class Bench:
    """Where rounds are made: a machine without the disk."""

    machine: Machine
    environment: tuple[str, ...]
    folder: Path
    tools: Tools


def durability(options: Options, plan: Plan, tools: Tools) -> list[Round]:
    """All rounds, the last one being the first that failed."""
    target = run.load(options)
    folder = results.new_folder(options.results, f"{target.name}-durability")
    builder = run.make_builder(options, tools, folder / "build.log")
    chance = random.Random(plan.seed)
    done: list[Round] = []
    with run.built(options, target, builder, tools) as ready:
        machine = replace(run.machine_of(ready, tools, folder), disk=None)
        bench = Bench(machine, run.environment(options), folder, tools)
        for number in range(1, plan.rounds + 1):
            wait = chance.uniform(SOONEST_S, LATEST_S)
            tools.progress.step(f"round {number} of {plan.rounds}: power goes {wait:.2f} s after the first record")
            done.append(_round(bench, number, wait, plan.mount))
            _save(folder, plan, done)
            if not done[-1].good:
                break
    tools.progress.done()
    return done


def lines(plan: Plan, done: list[Round]) -> list[str]:
    """A line each, and the sum."""
    shown = [
        f"round {one.number:3}  {one.records:5} records done, {one.lost:4} writes lost: {one.found}"
        for one in done
    ]
    records = sum(one.records for one in done)
    verdict = "pass" if done and all(one.good for one in done) else "fail"
    return [*shown, f"durability: {verdict}, {len(done)} power cuts, {records} records, seed {plan.seed}"]


def _save(folder: Path, plan: Plan, done: list[Round]) -> None:
    document = {"plan": asdict(plan), "rounds": [asdict(one) for one in done]}
    (folder / "durability.json").write_text(json.dumps(document, indent=1) + "\n")


def _round(bench: Bench, number: int, wait: float, mount: str) -> Round:
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memsafe-") as name:
        scratch = Path(name)
        live, after, log = scratch / "live.img", scratch / "after.img", scratch / "writes.log"
        _make_disk(after, bench.tools)
        shutil.copyfile(after, live)
        log.touch()
        records = _write(bench, number, replace(bench.machine, durable=live, log=log), wait, mount)
        lost = _cut(log, after)
        found, status = _check(bench, number, replace(bench.machine, durable=after), records)
        if status:
            for path in (after, log):
                path.rename(bench.folder / path.name)
    return Round(number, round(time.monotonic() - begin, 1), records, lost, found, status == 0)


def _make_disk(path: Path, tools: Tools) -> None:
    """An ext4 with a journal."""
    argv = ["mke2fs", "-q", "-t", "ext4", str(path), f"{DISK_MB}M"]
    done = tools.commands.run(argv, timeout=60)
    if done.status:
        raise NoVerdict("\n".join(["can't make the disk:", *done.tail]))


def _write(bench: Bench, number: int, machine: Machine, wait: float, mount: str) -> int:
    """How many records were done when the power went."""
    with _greeted(bench, f"console-{number}-write.log", machine) as guest:
        guest.send(_program(bench, f"write {mount}".strip()))
        output = b""
        deadline = time.monotonic() + ANSWER_S
        begun = False
        while (frame := guest.next_frame(deadline)) is not None:
            if frame.type == "end":
                raise NoVerdict(f"the records could not be written: {_last(output)}")
            if frame.type == "out" and len(output) < OUTPUT_LIMIT:
                output += frame.payload
            if not begun and b"done 1\n" in output:
                begun, deadline = True, time.monotonic() + wait
        guest.cut_power()
    if not begun:
        raise NoVerdict("no record was written in time")
    return output.count(b"done ")


def _cut(log: Path, disk: Path) -> int:
    """Leave on the disk what flushes had reached; how many writes are lost."""
    with log.open("rb") as writes, disk.open("r+b") as image:
        try:
            return writelog.replay(writes, image)
        except writelog.BadLog as error:
            raise NoVerdict(f"QEMU's log of writes: {error}") from None


def _check(bench: Bench, number: int, machine: Machine, records: int) -> tuple[str, int]:
    """The last line and the exit status of who looks."""
    with _greeted(bench, f"console-{number}-check.log", machine) as guest:
        guest.send(_program(bench, f"check {records}"))
        output = b""
        deadline = time.monotonic() + ANSWER_S
        while (frame := guest.next_frame(deadline)) is not None:
            if frame.type == "out" and len(output) < OUTPUT_LIMIT:
                output += frame.payload
            if frame.type == "end":
                return _outcome(frame, output)
    raise NoVerdict("the guest that looks at the disk does not answer")


def _outcome(frame: Frame, output: bytes) -> tuple[str, int]:
    kind, number = frame.words()[:2]
    if kind != "exit" or number not in ("0", "1"):
        raise NoVerdict(f"the disk can't be read after the power cut: {_last(output)}")
    return _last(output), int(number)


def _last(output: bytes) -> str:
    """What a guest has said, fit to be shown."""
    text = output.decode(errors="replace").strip().splitlines() or ["nothing was said"]
    return "".join(char if char.isprintable() else "?" for char in text[-1])[:200]


def _program(bench: Bench, words: str) -> str:
    return " ".join(["program msync_records", f"{ANSWER_S:.0f}", *bench.environment, PROGRAM, words])


@contextmanager
def _greeted(bench: Bench, console: str, machine: Machine) -> Iterator[Guest]:
    """A guest whose init has said hello."""
    path, log = bench.folder / console, bench.folder / "qemu.log"
    try:
        with boot.boot(machine, path, log, bench.tools.commands, bench.tools.progress) as guest:
            deadline = time.monotonic() + ANSWER_S
            while (frame := guest.next_frame(deadline)) is not None and frame.type != "cmdline":
                pass
            if frame is None:
                raise NoVerdict(f"the guest does not boot, see {path}")
            yield guest
    except GuestGone as gone:
        raise NoVerdict(f"{gone}, see {path}") from None
