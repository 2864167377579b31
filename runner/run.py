# SPDX-License-Identifier: GPL-2.0
"""The main job: from a target's name to a results folder and its verdict."""

from __future__ import annotations

import datetime
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boot
import build
import expect
import judge
import manifest
import packages
import record
import report
import source
import stage
import symbols
import target as targets
import windows
from boot import Machine
from build import Builder
from cache import Cache, cap_bytes
from collect import Collector
from errors import NoVerdict
from proc import Commands
from progress import Progress
from record import Job, Run
from source import Source
from target import CONFIGS, PROJECT, Target


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    target: str
    argv: tuple[str, ...]
    results: Path
    kernel: Path | None = None
    pattern: str | None = None
    kconfig_add: tuple[str, ...] = ()
    jobs: int = 0
    timeout: int = 0
    environment: tuple[str, ...] = ()
    extra: Path | None = None
    expectations: Path | None = None


@dataclass(frozen=True)
class Tools:
    """What everything stands on."""

    cache: Cache
    commands: Commands
    progress: Progress


def run(options: Options, tools: Tools) -> dict[str, Any]:
    """Build, boot, collect, judge, report: one target.  Returns verdict.json's
    object; everything is in results/<run>/<target>/."""
    begin = time.monotonic()
    target, source_tree, pinned = prepare(options, tools)
    jobs = manifest.select(manifest.jobs(PROJECT, options.extra), options.pattern)
    folder = new_folder(options, target.name)
    with ExitStack() as held:
        scratch = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="memsafe-")))
        builder = _builder(options, tools, folder)
        extra = "\n".join(options.kconfig_add)
        kernel = held.enter_context(build.kernel(target, source_tree, extra, builder))
        staged = held.enter_context(
            stage.prepare(target, kernel, pinned, options.extra, builder)
        )
        shutil.copyfile(kernel.config, folder / "config")
        machine = _machine(target, kernel.image, staged, tools, folder)
        collector = Collector(
            target, machine, folder, scratch, tools.commands, tools.progress, options.environment
        )
        start = Run(
            target.name,
            tuple(jobs),
            facts=_facts(options, target, kernel, machine, tools),
            seconds=builder.seconds,
            filtered=options.pattern is not None,
        )
        try:
            result = collector.collect(start)
        finally:
            tools.progress.done()
        _decode(result, folder, kernel.folder / "vmlinux", staged.modules, tools.commands)
    seconds = {**result.seconds, "total": time.monotonic() - begin}
    replace(result, seconds=seconds).save(folder)
    document = judged(folder, options.expectations)
    write(document, folder)
    tools.cache.prune(cap_bytes())
    return document


def prepare(options: Options, tools: Tools) -> tuple[Target, Source, Source]:
    """The target, the tree under test and the pinned tree."""
    target = targets.load(options.target)
    if options.timeout:
        target = replace(target, timeouts=replace(target.timeouts, job=float(options.timeout)))
    packages.ensure(target.packages)
    pinned = source.distribution(target.kernel, tools.cache, tools.commands, tools.progress)
    if options.kernel:
        return target, source.tree(options.kernel, tools.commands), pinned
    return target, pinned, pinned


def _builder(options: Options, tools: Tools, folder: Path) -> Builder:
    jobs = options.jobs or build.cpus()
    return Builder(tools.cache, tools.commands, tools.progress, jobs, folder / "build.log")


def new_folder(options: Options, name: str) -> Path:
    """results/<time>/<target>, with results/latest pointing at the run."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    top = options.results / stamp
    for attempt in range(1, 1000):
        folder = top / name
        try:
            folder.mkdir(parents=True)
            break
        except FileExistsError:
            top = options.results / f"{stamp}-{attempt}"
    link = options.results / f".latest-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(top.name)
    link.replace(options.results / "latest")
    return folder


def _machine(
    target: Target, image: Path, staged: stage.Stage, tools: Tools, folder: Path
) -> Machine:
    if target.qemu is None:
        raise NoVerdict(f"{target.name} has no machine to boot")
    machine = Machine(target.qemu, image, staged.initrd, staged.payload, staged.scratch, "tcg")
    accel = boot.accelerator(machine, tools.cache, folder, tools.commands, tools.progress)
    return replace(machine, accel=accel)


def _facts(
    options: Options, target: Target, kernel: build.Kernel, machine: Machine, tools: Tools
) -> dict[str, str]:
    """What a reader of the verdict needs to know about where it comes from."""
    config = kernel.config.read_text()
    hz = targets.requested(config).get("CONFIG_HZ", "0")
    assert target.qemu is not None
    qemu = tools.commands.output([target.qemu.binary, "--version"]).splitlines()[0]
    return {
        "kernel": kernel.source.version,
        "config_hash": build.digest(config),
        "accel": machine.accel,
        "hz": hz,
        "compiler": kernel.compiler,
        "qemu": qemu,
        "argv": json.dumps(options.argv),
        "reproduce": reproduce(options),
        **_commit(tools.commands),
    }


def _commit(commands: Commands) -> dict[str, str]:
    """The project's own commit; empty outside a git checkout."""
    git = ["git", "-C", str(PROJECT)]
    try:
        head = commands.output([*git, "rev-parse", "HEAD"]).strip()
        dirty = bool(commands.output([*git, "status", "--porcelain"]).strip())
    except NoVerdict:
        return {"commit": "", "dirty": ""}
    return {"commit": head, "dirty": "yes" if dirty else ""}


def reproduce(options: Options) -> str:
    """The command that does this run again."""
    words = ["runner/memsafe.py", "run", "--target", options.target]
    words += ["--kernel", str(options.kernel)] if options.kernel else []
    for line in options.kconfig_add:
        words += ["--kconfig_add", line]
    words += [options.pattern] if options.pattern else []
    return shlex.join(words)


def _decode(
    run_record: Run, folder: Path, vmlinux: Path, modules: Mapping[str, Path], commands: Commands
) -> None:
    """decoded.json: file and line of every frame in a report, so that a saved
    run can be judged without the kernel's binaries."""
    texts = _texts(folder)
    frames = windows.frames(run_record, texts["console.log"], texts["results.ktap"])
    decoded = symbols.decode(frames, vmlinux, modules, commands)
    (folder / "decoded.json").write_text(json.dumps(decoded, indent=1) + "\n")


def _texts(folder: Path) -> dict[str, bytes]:
    names = ("console.log", "results.ktap")
    return {
        name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in names
    }


def judged(folder: Path, expectations: Path | None = None) -> dict[str, Any]:
    """Judge what is in a target's results folder."""
    run_record = record.load(folder)
    texts = _texts(folder)
    path = expectations or CONFIGS / "expect" / f"{run_record.target}.txt"
    text = path.read_text() if path.exists() else ""
    expected = expect.parse(text, datetime.date.today())
    try:
        decoded = json.loads((folder / "decoded.json").read_text())
    except (OSError, ValueError):
        decoded = {}
    verdict = judge.judge(
        run_record, texts["results.ktap"], texts["console.log"], expected, decoded
    )
    shown = report.target_object(run_record, verdict, run_record.facts.get("reproduce", ""))
    return report.document([shown], _document_facts(run_record.facts))


def _document_facts(facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "argv": json.loads(facts.get("argv", "[]")),
        "commit": facts.get("commit", ""),
        "dirty": facts.get("dirty") == "yes",
        "compiler": facts.get("compiler", ""),
        "qemu": facts.get("qemu", ""),
    }


def write(document: Mapping[str, Any], folder: Path) -> None:
    """verdict.json, summary.txt and junit.xml of one target."""
    shown = document["targets"][0]
    (folder / "verdict.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "summary.txt").write_text(report.summary(shown))
    (folder / "junit.xml").write_text(report.junit(shown))


def exit_status(verdict: str) -> int:
    return {"pass": 0, "fail": 1}.get(verdict, 2)


def listed(jobs: Sequence[Job]) -> list[str]:
    """Lines for `memsafe.py list`."""
    return [line for job in jobs for line in (f"{job.kind} {job.name}", *(f"  {c}" for c in job.cases))]
