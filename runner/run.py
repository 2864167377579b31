# SPDX-License-Identifier: GPL-2.0
"""The main job: from a target's name to a results folder and its verdict."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import boot
import build
import history
import manifest
import packages
import results
import shard
import snapshot
import source
import stage
import symbols
import target as targets
import uml
import windows
from boot import Machine
from build import Builder, Kernel
from cache import Cache, cap_bytes
from collect import Collector
from errors import NoVerdict
from proc import Commands, printable
from progress import Progress
from record import Job, JobResult, Run
from shard import Part
from snapshot import Snapshots
from source import Source
from stage import Stage
from stop import Stop
from target import CONFIGS, PROJECT, Target

# What runs and what is expected of it, beside the kernel.
TESTS = ("kunit", "module", "selftests", "runner/guest")
TEST_SUFFIXES = {"", ".c", ".h", ".S", ".toml", ".config", ".txt"}

# Kinds of memory, the variants of selftests/hammer_test.c: one after the other.
HAMMERED = 2


@dataclass(frozen=True)
class Options:
    """What the command line asked for.  `image`, `modules` and `config` are of a
    kernel built elsewhere; `tests` is a folder of suites and programs instead of
    ours, `driver` one instead of module/.  `hammer`: seconds of selftests/hammer_test.c.
    `shard` is the part of the jobs that is run here.
    `cold`: all guests boot, none goes on from a snapshot.
    `awake` is the mutant of a kernel that has many (schemata.py).
    `kernel_args` are words for the kernel's command line; `reproduce` is the command
    line where it is no plain run."""

    target: str
    argv: tuple[str, ...]
    results: Path
    kernel: Path | None = None
    pattern: str | None = None
    kconfig_add: tuple[str, ...] = ()
    jobs: int = 0
    timeout: int = 0
    environment: tuple[str, ...] = ()
    hammer: int = 0
    leaks: bool = True
    cold: bool = False
    tests: Path | None = None
    expectations: Path | None = None
    driver: Path | None = None
    image: Path | None = None
    modules: Path | None = None
    config: Path | None = None
    kernel_args: tuple[str, ...] = ()
    shard: Part | None = None
    awake: int = 0
    reproduce: str = ""


@dataclass(frozen=True)
class Tools:
    """What everything stands on."""

    cache: Cache
    commands: Commands
    progress: Progress


@dataclass(frozen=True)
class Built:
    """What a guest needs, held in the cache while in use."""

    target: Target
    kernel: Kernel
    stage: Stage
    pinned: Source


def run(options: Options, tools: Tools) -> dict[str, Any]:
    """Build, boot, collect, judge, report: one target.  Returns verdict.json's
    object; everything is in results/<run>/<target>/."""
    begin, started = time.monotonic(), history.now()
    target = load(options)
    chosen = selected(options)
    if target.kunit_py:
        chosen = [job for job in chosen if job.kind == "kunit"]
    folder = results.new_folder(options.results, target.name)
    builder = make_builder(options, tools, folder / "build.log")
    # Other suites than ours say nothing about what is expected of ours.
    filtered = options.pattern is not None or options.tests is not None
    part = shard.facts(options.shard, [job.name for job in chosen], filtered) if options.shard else {}
    if options.shard:
        chosen, filtered = options.shard.of(chosen), True
    start = Run(target.name, tuple(chosen), filtered=filtered)
    try:
        if target.kunit_py:
            done = _with_kunit_py(options, target, start, folder, builder, tools)
        else:
            done = _in_guests(options, target, start, folder, builder, tools)
    finally:
        tools.progress.done()
    seconds = {**builder.seconds, "total": time.monotonic() - begin}
    done = replace(done, facts={**done.facts, **part, "started": started})
    document = finish(options, done, folder, seconds)
    if problem := history.add(folder):
        tools.progress.say(f"not in the history: {problem}")
    if problem := results.export(document, folder):
        tools.progress.say(problem)
    tools.cache.keep_within(cap_bytes())
    return document


def finish(
    options: Options, done: Run, folder: Path, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Save, judge and report what was collected; `seconds` are those of the host."""
    replace(done, seconds={**done.seconds, **seconds}).save(folder)
    document = results.judged(folder, options.expectations)
    results.write(document, folder)
    return document


def plan(options: Options, tools: Tools) -> None:
    """Show every command of a run and run none (tools.commands.dry)."""
    target = load(options)
    with tempfile.TemporaryDirectory(prefix="memsafe-") as name:
        scratch = Path(name)
        builder = make_builder(options, tools, scratch / "build.log")
        if target.kunit_py:
            with ExitStack() as held:
                _, tree = sources_of(options, target, tools, held)
            for argv in uml.plan(target, tree, builder):
                tools.commands.show(printable(argv))
            return
        with built(options, target, builder, tools) as ready:
            machine = _bare_machine(ready)
            for argv in boot.commands(machine, scratch):
                tools.commands.show(printable(argv))


def load(options: Options) -> Target:
    """The target with what the command line changes, its packages installed."""
    target = targets.load(options.target)
    if options.timeout:
        target = replace(target, timeouts=replace(target.timeouts, job=float(options.timeout)))
    more = target.timeouts.job + HAMMERED * options.hammer
    target = replace(target, timeouts=replace(target.timeouts, job=more))
    packages.ensure(target.packages)
    return target


def selected(options: Options) -> list[Job]:
    """What the command line chooses, in the order in which it is run."""
    return manifest.select(manifest.jobs(PROJECT, options.tests), options.pattern)


def environment(options: Options) -> tuple[str, ...]:
    """What every program gets."""
    seconds = (f"MEMSAFE_HAMMER_SECONDS={options.hammer}",) if options.hammer else ()
    return options.environment + seconds


def make_builder(options: Options, tools: Tools, log: Path) -> Builder:
    """A builder whose log is there, and empty, when nothing had to be built."""
    log.touch()
    return Builder(tools.cache, tools.commands, tools.progress, options.jobs or build.cpus(), log)


@contextmanager
def built(
    options: Options, target: Target, builder: Builder, tools: Tools, only: Sequence[str] = ()
) -> Iterator[Built]:
    """Kernel and stage, built where they have changed; `only` as in stage.prepare()."""
    with ExitStack() as held:
        pinned, tree = sources_of(options, target, tools, held)
        if options.image:
            kernel = _from_elsewhere(options, pinned)
        else:
            extra = "\n".join(options.kconfig_add)
            kernel = held.enter_context(build.kernel(target, tree, extra, builder))
        staged = held.enter_context(
            stage.prepare(
                target, kernel, pinned, options.modules, options.tests, builder, options.driver, only
            )
        )
        yield Built(target, kernel, staged, pinned)


def sources_of(
    options: Options, target: Target, tools: Tools, held: ExitStack
) -> tuple[Source, Source]:
    """The pinned tree, which no prune takes away while it is held, and the one
    under test."""
    pinned = source.distribution(target.kernel, tools.cache, tools.commands, tools.progress)
    held.enter_context(tools.cache.hold("sources", pinned.path.name, exclusive=False))
    if options.kernel:
        return pinned, source.tree(options.kernel, tools.commands)
    if not target.tree:
        return pinned, pinned
    other = source.distribution(target.tree, tools.cache, tools.commands, tools.progress)
    held.enter_context(tools.cache.hold("sources", other.path.name, exclusive=False))
    return pinned, other


def _from_elsewhere(options: Options, pinned: Source) -> Kernel:
    image, config, modules = options.image, options.config, options.modules
    for path in (image, config, modules):
        if path is None or not path.exists():
            raise NoVerdict(f"--image, --modules and --config must exist: {path} does not")
    assert image and config and modules
    content = build.digest(*(stage.file_hash(path) for path in (image, config)))
    return Kernel(image.parent, image.resolve(), config, pinned, "", content)


def _in_guests(
    options: Options, target: Target, start: Run, folder: Path, builder: Builder, tools: Tools
) -> Run:
    with built(options, target, builder, tools) as ready:
        return in_guests(options, ready, start, folder, tools, keep=not start.filtered)


def in_guests(
    options: Options,
    ready: Built,
    start: Run,
    folder: Path,
    tools: Tools,
    enough: Callable[[JobResult, str], bool] = lambda result, text: False,
    side_by_side: bool = True,
    stop: Stop | None = None,
    keep: bool = False,
    store: Cache | None = None,
) -> Run:
    """Boot what is built and run the manifest, or as much of it as is `enough` or until
    somebody says `stop`, in guests side by side or in one of each kind; everything is
    in the results folder.  `keep`: for later runs, keep snapshots of booted guests,
    in `store` instead of the cache."""
    with tempfile.TemporaryDirectory(prefix="memsafe-") as scratch:
        shutil.copyfile(ready.kernel.config, folder / "config")
        machine = machine_of(ready, tools, folder)
        machine = replace(machine, cmdline=" ".join(options.kernel_args))
        qemu = boot.version(machine.qemu, tools.commands)
        collector = Collector(
            ready.target, machine, folder, Path(scratch), tools.commands, tools.progress,
            environment(options), options.leaks, enough=enough, side_by_side=side_by_side,
            stop=Stop(stop), awake=options.awake, keep=keep,
            snapshots=snapshots(options, ready, qemu, store or tools.cache),
        )  # fmt: skip
        known = facts(options, ready.kernel, tools) | {"accel": machine.accel, "qemu": qemu}
        done = collector.collect(replace(start, facts=known))
        decode(done, folder, ready, tools.commands)
    return done


def snapshots(options: Options, ready: Built, qemu: str, store: Cache) -> Snapshots | None:
    """Where guests go on from, unless all are to boot."""
    if options.cold:
        return None
    return Snapshots(store, snapshot.content(ready.kernel, ready.stage, qemu))


def _with_kunit_py(
    options: Options, target: Target, start: Run, folder: Path, builder: Builder, tools: Tools
) -> Run:
    compiler = build.compiler_version(target, tools.commands)
    with ExitStack() as held:
        _, tree = sources_of(options, target, tools, held)
        done, config = uml.collect(target, tree, start, folder, builder)
    shutil.copyfile(config, folder / "config")
    kernel = Kernel(config.parent, config.parent / "linux", config, tree, compiler, "")
    return replace(done, facts=facts(options, kernel, tools) | {"accel": "uml"})


def _bare_machine(ready: Built) -> Machine:
    if not ready.target.guests:
        raise NoVerdict(f"{ready.target.name} has no machine to boot")
    qemu, staged = ready.target.guest("").qemu, ready.stage
    image = ready.kernel.image
    return Machine(qemu, image, staged.initrd, staged.payload, staged.scratch, "tcg")


def machine_of(ready: Built, tools: Tools, folder: Path) -> Machine:
    """The target's main guest, with the accelerator that works here."""
    machine = _bare_machine(ready)
    accel = boot.accelerator(machine, tools.cache, folder, tools.commands, tools.progress)
    return replace(machine, accel=accel)


def facts(options: Options, kernel: Kernel, tools: Tools) -> dict[str, str]:
    """What a reader of the verdict needs to know about where it comes from."""
    config = kernel.config.read_text()
    return {
        "kernel": kernel.source.version,
        "config_hash": build.digest(config),
        "hz": targets.requested(config).get("CONFIG_HZ", "0"),
        "compiler": kernel.compiler,
        "argv": json.dumps(options.argv),
        "reproduce": options.reproduce or reproduce(options),
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
    if options.image:
        words[1] = "exec"
        files = {"image": options.image, "modules": options.modules, "config": options.config}
        words += [word for name, path in files.items() for word in (f"--{name}", str(path))]
    words += ["--kernel", str(options.kernel)] if options.kernel else []
    words += [word for line in options.kconfig_add for word in ("--kconfig_add", line)]
    words += ["--tests", str(options.tests)] if options.tests else []
    words += [word for arg in options.kernel_args for word in ("--kernel_args", arg)]
    words += ["--timeout", str(options.timeout)] if options.timeout else []
    words += [word for line in options.environment for word in ("--env", line)]
    words += ["--hammer", str(options.hammer)] if options.hammer else []
    words += [] if options.leaks else ["--no_leaks"]
    words += ["--cold"] if options.cold else []
    words += ["--expect", str(options.expectations)] if options.expectations else []
    words += ["--shard", str(options.shard)] if options.shard else []
    words += [options.pattern] if options.pattern else []
    return shlex.join(words)


def decode(done: Run, folder: Path, ready: Built, commands: Commands) -> None:
    """decoded.json: file and line of every frame in a report, so that a saved
    run can be judged without the kernel's binaries."""
    texts = results.texts(folder)
    frames = windows.frames(done, texts["console.log"], texts["results.ktap"])
    kernel, staged = ready.kernel, ready.stage
    roots = (kernel.source.path, staged.sources, kernel.folder)
    vmlinux = kernel.folder / "vmlinux"
    decoded = symbols.decode(
        frames, vmlinux, staged.modules, roots, ready.target.cross_compile, commands
    )
    (folder / "decoded.json").write_text(json.dumps(decoded, indent=1) + "\n")


def keep(ready: Built, folder: Path) -> Built:
    """A copy of what a guest needs, which stays when the next kernel is built."""
    folder.mkdir()
    kernel, staged = ready.kernel, ready.stage
    for path in (kernel.image, kernel.folder / "vmlinux", kernel.config,
                 staged.initrd, staged.payload, staged.scratch):  # fmt: skip
        shutil.copyfile(path, folder / path.name)
    own = replace(kernel, folder=folder, image=folder / kernel.image.name, config=folder / kernel.config.name)
    parts = {part: folder / getattr(staged, part).name for part in ("initrd", "payload", "scratch")}
    return Built(ready.target, own, replace(staged, **parts), ready.pinned)


def identity(options: Options, jobs: Sequence[Job], content: str, tools: Tools) -> str:
    """Names all that a run's verdict depends on; `content` is that of the source."""
    target = load(options)
    return build.digest(
        content,
        tests_content(options),
        repr(target),
        targets.fragment_text(target),
        build.compiler_version(target, tools.commands),
        json.dumps([options.kconfig_add, environment(options), options.kernel_args, options.leaks]),
        json.dumps([asdict(job) for job in jobs]),
    )


def tests_content(options: Options) -> str:
    """Names and contents of everything that runs or says what is expected."""
    folders = [PROJECT / part for part in TESTS] + ([options.tests] if options.tests else [])
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    files += [options.expectations or CONFIGS / "expect" / f"{options.target}.txt"]
    return build.digest(
        *(
            f"{path.name}:{stage.file_hash(path)}"
            for path in files
            if path.is_file() and path.suffix in TEST_SUFFIXES
        )
    )


def exit_status(verdict: str) -> int:
    return {"pass": 0, "fail": 1}.get(verdict, 2)
