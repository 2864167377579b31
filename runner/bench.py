# SPDX-License-Identifier: GPL-2.0
"""Where the time goes: measured side by side in one run, printed as a table and
as ratios.  A benchmark, not a test: nothing here decides anything."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import boot
import run
from boot import Guest, Machine
from errors import NoVerdict
from run import Built, Options, Tools
from uml import kunit_py

BOOT_LIMIT_S = 300.0


@dataclass(frozen=True)
class Row:
    """Seconds of several rounds of one thing."""

    what: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{self.what:44} {low:7.2f} {self.median:7.2f} {high:7.2f}"


def bench(options: Options, tools: Tools, rounds: int) -> list[str]:
    """The table, line by line.  Rounds of what is compared alternate."""
    target = run.load(options)
    with ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="memsafe-")))
        builder = run.make_builder(options, tools, scratch / "build.log")
        ready = held.enter_context(run.built(options, target, builder, tools))
        tools.progress.step("build the bzImage that kunit.py boots")
        place = ["-C", str(ready.kernel.source.path), f"O={ready.kernel.folder}"]
        builder.make(target, [*place, "bzImage"], "bzImage")
        machine = run.machine_of(ready, tools, scratch)
        ours, restored, theirs = _boots(ready, machine, scratch, rounds, tools)
    tools.progress.done()
    checks = [_check(options, tools) for _ in range(rounds)]
    total = Row("make check, warm", tuple(seconds["total"] for seconds in checks))
    guests = Row("  its guests, side by side, together", tuple(s["guests"] for s in checks))
    other = Row("  of it everything but tests", tuple(s["guests"] - s["tests"] for s in checks))
    head = f"{f'seconds, {rounds} rounds':44} {'min':>7} {'median':>7} {'max':>7}"
    table = [head, *map(str, (ours, restored, theirs, total, guests, other))]
    return [
        *table,
        f"boot to init / kunit.py's boot: {ours.median / theirs.median:.2f}",
        f"restore / boot to init: {restored.median / ours.median:.2f}",
        f"everything but tests / all time of guests: {other.median / guests.median:.2f}",
        f"make check / all time of guests: {total.median / guests.median:.2f}",
    ]


def _boots(
    ready: Built, machine: Machine, scratch: Path, rounds: int, tools: Tools
) -> tuple[Row, Row, Row]:
    ours, restored, theirs = [], [], []
    for number in range(rounds):
        tools.progress.step(f"boot, restore and kunit.py's boot, round {number + 1}")
        disk = scratch / f"disk-{number}.qcow2"
        assert machine.disk
        boot.overlay_disk(machine.disk, disk, tools.commands)
        own = replace(machine, disk=disk)
        ours.append(_until(own, scratch, tools, "cmdline", lambda guest: guest.snapshot("init")))
        again = replace(own, restore="init")
        restored.append(_until(again, scratch, tools, "calibration", None, "calibrate"))
        theirs.append(_kunit_boot(ready, scratch, tools))
    return (
        Row("boot to init's greeting", tuple(ours)),
        Row("restore of a booted guest to an answer", tuple(restored)),
        Row("kunit.py exec, same kernel, no suites", tuple(theirs)),
    )


def _until(
    machine: Machine,
    scratch: Path,
    tools: Tools,
    frame_type: str,
    then: Callable[[Guest], None] | None,
    ask: str = "",
) -> float:
    """Seconds from starting QEMU to a frame of the guest."""
    begin = time.monotonic()
    log, console = scratch / "qemu.log", scratch / "console.log"
    with boot.boot(machine, console, log, tools.commands, tools.progress) as guest:
        if ask:
            guest.send(ask)
        deadline = begin + BOOT_LIMIT_S
        while (frame := guest.next_frame(deadline)) is not None:
            if frame.type == frame_type:
                seconds = time.monotonic() - begin
                if then:
                    then(guest)
                return seconds
    raise NoVerdict(f"the guest did not answer in {BOOT_LIMIT_S:.0f} s")


def _kunit_boot(ready: Built, scratch: Path, tools: Tools) -> float:
    tree = ready.kernel.source.path
    words = ["--arch=x86_64", f"--build_dir={ready.kernel.folder}", "--raw_output=all"]
    argv = kunit_py(tree, "exec", *words)
    return tools.commands.run(argv, log=scratch / "kunit.log", cwd=tree, timeout=300).seconds


def _check(options: Options, tools: Tools) -> dict[str, float]:
    """The seconds of one whole run."""
    document = run.run(options, tools)
    if document["verdict"] == "none":
        raise NoVerdict(f"make check gave no verdict: {document['reason']}")
    seconds: dict[str, float] = document["targets"][0]["seconds"]
    return seconds
