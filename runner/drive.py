# SPDX-License-Identifier: GPL-2.0
"""One driver against the battery: build its module, load it in a guest, hold its
mappings to their contract, remove it, look for leaks, and judge as any run.

A module and an adapter are code of others: both are built in a jail (jail.py), and
run in a guest that has nothing else in it.  The guest is one that has booted before,
where there is a snapshot of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import build
import history
import host
import jail
import ktap
import manifest
import modinfo
import results
import run
import stage
from boot import version
from build import Builder
from cache import cap_bytes
from collect import Collector
from errors import NoVerdict, UsageError
from record import Job, Run
from run import Built, Options, Tools
from source import Source
from target import PROJECT, Target

# Not a target of its own: the expectations of one are about other drivers.
NAME = "drive"
DISK = "driver"
GATE = "driver_open"
UNLOAD = "driver_module"
SIZE = re.compile(r"(0x[0-9a-fA-F]+|\d+)[KkMm]?")
# What the battery says where a contract leaves out the promise of a case.
NOT_PROMISED = "needs a driver that"
NOT_ASKED_FOR = (
    "needs a module with an exit function",
    # What would let others fail, too, on a system that is not a guest.
    "needs MEMSAFE_GUEST, for a system that nobody else uses",
)


@dataclass(frozen=True)
class Request:
    """The driver: a node and its contract, or an adapter; with a module (a .ko or the
    folder of its sources) to be loaded before, its parameters behind it."""

    node: str = ""
    size: str = ""
    offset: str = ""
    contract: tuple[str, ...] = ()
    adapter: Path | None = None
    module: Path | None = None
    parameters: str = ""
    guest: str = ""
    sandbox: bool = True
    on_this_host: bool = False


def drive(options: Options, request: Request, tools: Tools) -> tuple[dict[str, Any], dict[str, float]]:
    """verdict.json's object, and the seconds of each stage; everything is in
    results/<run>/drive/."""
    begin, started = time.monotonic(), history.now()
    check(request)
    target = run.load(options)
    if not target.guests:
        raise UsageError(f"a driver is loaded in a guest; {target.name} has none")
    folder = results.new_folder(options.results, NAME)
    builder = run.make_builder(options, tools, folder / "build.log")
    try:
        if request.on_this_host:
            done = _on_this_host(options, request, target, folder, builder, tools)
        else:
            names = [job.name for job in battery(replace(options, pattern=None))]
            with run.built(options, target, builder, tools, names) as ready:
                done = _in_guest(options, request, ready, folder, builder, tools)
    finally:
        tools.progress.done()
    seconds = {**builder.seconds, "total": time.monotonic() - begin}
    document = conclude(replace(done, facts=done.facts | {"started": started}), folder, seconds, options)
    tools.cache.keep_within(cap_bytes())
    return document, done.seconds | seconds


STAGES = ("config", "build", "module", "adapter", "boot", "overhead", "tests", "leaks", "total")


def times(seconds: Mapping[str, float]) -> str:
    """Where the time went, from the source to the verdict."""
    return "stages: " + ", ".join(f"{part} {seconds[part]:.1f} s" for part in STAGES if part in seconds)


def conclude(done: Run, folder: Path, seconds: dict[str, float], options: Options) -> dict[str, Any]:
    """Judge, and keep the expectations beside the run: what the contract does not
    promise is skipped."""
    ran = {result.name for result in done.results}
    if not ran or any(job.gate and job.name in ran for job in done.manifest):
        # What was not run is told by the gate, or by why the driver was not loaded.
        done = replace(done, manifest=tuple(job for job in done.manifest if job.name in ran))
    own = options.expectations.read_text() if options.expectations else ""
    (folder / "expect.txt").write_text(own + _not_promised(done, folder))
    document = run.finish(options, done, folder, seconds)
    if problem := history.add(folder) or results.export(document, folder):
        raise NoVerdict(problem)
    return document


def _not_promised(done: Run, folder: Path) -> str:
    text = results.texts(folder)["results.ktap"]
    lines = []
    for result in done.results:
        part = text[result.offset : result.offset + result.length].decode(errors="replace")
        reasons = {case.reason for case in ktap.parse(part).cases if case.status == "skip"}
        lines += [
            f'skip {result.name}.* "{reason}"\n'
            for reason in sorted(reasons)
            if reason in NOT_ASKED_FOR or re.fullmatch(rf"{NOT_PROMISED} [\w ]+", reason)
        ]
    return "".join(lines)


def check(request: Request) -> None:
    """UsageError for what can't mean anything."""
    if bool(request.node) == bool(request.adapter):
        raise UsageError("a driver has a --node and its --size, or an --adapter")
    if request.node and not SIZE.fullmatch(request.size):
        raise UsageError(f"--size {request.size or 'is missing'}: bytes, or with K or M behind")
    if re.search(r"\s", request.node + "".join(request.contract)):
        raise UsageError("no blanks in --node and --contract")
    if request.on_this_host and (request.module or request.guest):
        raise UsageError("--on-this-host takes a driver that is there: no --module, no --guest")
    for path in (request.adapter, request.module):
        if path and not path.exists():
            raise NoVerdict(f"{path} is not there")


def environment(request: Request) -> tuple[str, ...]:
    """How drivers/node.c is told the contract."""
    if not request.node:
        return ()
    words = {
        "MEMSAFE_NODE": request.node,
        "MEMSAFE_NODE_SIZE": request.size,
        "MEMSAFE_NODE_OFFSET": request.offset,
        "MEMSAFE_NODE_FLAGS": ",".join(request.contract),
    }
    return tuple(f"{key}={value}" for key, value in words.items() if value)


def battery(options: Options) -> list[Job]:
    """The programs, the one that opens the driver first."""
    every = manifest.jobs(PROJECT)
    found = [job for job in every if job.kind == "program" and job.name.startswith("driver_")]
    if options.pattern:
        found = [job for job in manifest.select(found, options.pattern) if job.name != GATE]
    gates = [replace(job, gate=True) for job in every if job.name == GATE]
    return gates + [job for job in found if job.name != GATE]


def _in_guest(
    options: Options, request: Request, ready: Built, folder: Path, builder: Builder, tools: Tools
) -> Run:
    jobs = [replace(job, guest=request.guest, cases=()) for job in battery(options)]
    closed = jail.open_jail() if request.sandbox and (request.adapter or request.module) else None
    with tempfile.TemporaryDirectory(prefix="memsafe-") as name:
        scratch = Path(name)
        inside = replace(builder, jail=closed)
        with builder.timed("module"):
            modules = _modules(request, ready, scratch, inside)
        image = scratch / "driver.img"
        with builder.timed("adapter"), ExitStack() as held:
            programs: list[Path] = []
            if request.adapter:
                out = held.enter_context(_programs(request.adapter, ready.target, ready.pinned, jobs, inside))
                programs = [out / f"{job.name}_test" for job in jobs]
            stage.driver_disk(modules, programs, image, ready.target, builder)
        if request.adapter:
            jobs = [replace(job, folder=f"/{DISK}/bin") for job in jobs]
        order, names = _order(ready, modules, request.parameters)
        if names:
            jobs.append(Job(UNLOAD, "unload", guest=request.guest, words=names))
        target = _target(ready.target, request.guest, order)
        ready = replace(ready, target=target, stage=replace(
            ready.stage, modules=ready.stage.modules | {modinfo.kernel_name(path.name): path for path in modules}
        ))  # fmt: skip
        wanted = replace(options, environment=options.environment + environment(request))
        start = Run(NAME, tuple(jobs), filtered=True)
        return _collect(wanted, request, ready, start, folder, image, tools)


def _target(target: Target, kind: str, order: Sequence[str]) -> Target:
    """With one kind of guest, which loads the driver's modules and no others."""
    if kind not in target.guests:
        raise UsageError(f"{target.name} has no guest {kind!r}: {', '.join(sorted(target.guests))}")
    guest = replace(target.guests[kind], modules=tuple(order), disk=DISK, alone=False)
    return replace(target, guests={"": guest, kind: guest})


def _collect(
    options: Options, request: Request, ready: Built, start: Run, folder: Path, image: Path, tools: Tools
) -> Run:
    with tempfile.TemporaryDirectory(prefix="memsafe-") as scratch:
        shutil.copyfile(ready.kernel.config, folder / "config")
        machine = replace(run.machine_of(ready, tools, folder), driver=image)
        qemu = version(machine.qemu, tools.commands)
        collector = Collector(
            ready.target, machine, folder, Path(scratch), tools.commands, tools.progress,
            run.environment(options), options.leaks,
            snapshots=run.snapshots(options, ready, qemu, tools.cache), keep=True,
        )  # fmt: skip
        facts = run.facts(options, ready.kernel, tools) | {"accel": machine.accel, "qemu": qemu}
        done = collector.collect(replace(start, facts=facts))
        run.decode(done, folder, ready, tools.commands)
    return done


def _on_this_host(
    options: Options, request: Request, target: Target, folder: Path, builder: Builder, tools: Tools
) -> Run:
    """The battery without a guest.  There is no looking for leaks, and what the kernel
    is able to report is its own affair."""
    jobs = tuple(replace(job, cases=()) for job in battery(options))
    inside = replace(builder, jail=jail.open_jail() if request.sandbox else None)
    adapter = request.adapter or PROJECT / "selftests/drivers/node.c"
    with ExitStack() as held:
        pinned, _ = run.sources_of(options, target, tools, held)
        with builder.timed("adapter"):
            programs = held.enter_context(_programs(adapter, target, pinned, jobs, inside))
        words = run.environment(options) + environment(request)
        with builder.timed("tests"):
            start = Run(NAME, jobs, filtered=True)
            done = host.collect(start, programs, words, target.timeouts.job, folder, tools.progress)
    known = {"kernel": os.uname().release, "accel": "this host", "argv": json.dumps(options.argv),
             "reproduce": options.reproduce}  # fmt: skip
    return replace(done, facts=known)


@contextmanager
def _programs(
    adapter: Path, target: Target, pinned: Source, jobs: Sequence[Job], builder: Builder
) -> Iterator[Path]:
    """The folder of the battery's programs with one adapter."""
    adapter, cache = adapter.resolve(), builder.cache
    names = [job.name for job in jobs]
    hashes = stage.battery_hashes(names)
    key = f"battery-{build.digest(target.name, pinned.content, stage.file_hash(adapter), *hashes)}"
    out = cache.entry("stages", key)
    with cache.hold("stages", key, exclusive=True):
        if not (out / "built").exists():
            builder.progress.step(f"build the battery with {adapter.name}")
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            stage.battery(target, pinned, adapter, names, out, builder)
            (out / "built").touch()
        yield out


def _modules(request: Request, ready: Built, scratch: Path, builder: Builder) -> list[Path]:
    """The driver's .ko files, which fit the kernel."""
    if request.module is None:
        return []
    found = [request.module]
    if request.module.is_dir():
        found = _build(request.module, ready, scratch / "module", builder)
    release = (ready.kernel.folder / "include/config/kernel.release").read_text().strip()
    for path in found:
        says = modinfo.fields(path.read_bytes()).get("vermagic", "").partition(" ")[0]
        if not says:
            raise NoVerdict(f"{path.name} is no kernel module")
        if says != release:
            raise NoVerdict(f"{path.name} was built for Linux {says}, this one is {release}")
    return found


def _build(source: Path, ready: Built, copy: Path, builder: Builder) -> list[Path]:
    """As any external module, in a copy: nothing is written where the source is."""
    if not any((source / name).is_file() for name in ("Kbuild", "Makefile")):
        raise NoVerdict(f"{source} has no Kbuild and no Makefile")
    builder.progress.step(f"build {source.resolve().name}")
    built = shutil.ignore_patterns("*.o", "*.ko", "*.mod", "*.mod.c", ".*", "modules.order", "Module.symvers")
    shutil.copytree(source, copy, symlinks=True, ignore=built)
    kernel = ready.kernel
    place = ["-C", str(kernel.source.path), f"O={kernel.folder}", f"M={copy}"]
    builder.make(ready.target, [*place, "modules"], str(source), copy)
    found = sorted(copy.rglob("*.ko"))
    if not found:
        raise NoVerdict(f"{source} builds no module")
    return found


def _order(ready: Built, modules: Sequence[Path], parameters: str) -> tuple[list[str], tuple[str, ...]]:
    """What is loaded, in its order, and the names of the driver's own to be removed,
    the other way round.  Parameters go to the last one."""
    own = {path.name: f"/{DISK}/modules/{path.name}" for path in modules}
    every = {path.name: path for path in (*ready.stage.modules.values(), *modules)}
    contents = {name: path.read_bytes() for name, path in every.items()} if modules else {}
    lines = [line.split() for line in modinfo.load_order(contents).splitlines()]
    files: dict[str, str] = {}
    for _, *needed in sorted(lines, key=len):
        if needed[-1] in own:
            files |= {file: own.get(file, f"/memsafe/modules/{file}") for file in needed}
    loaded = list(files.values())
    if loaded and parameters:
        loaded[-1] += f" {parameters}"
    return loaded, tuple(modinfo.kernel_name(file) for file in reversed(files) if file in own)
