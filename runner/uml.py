# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites built into User Mode Linux, by the kernel's own kunit.py."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import overlay
from build import Builder, digest
from errors import NoVerdict
from record import GuestResult, JobResult, Run
from source import Source
from target import PROJECT, Target

SUBTEST = re.compile(r"^ *# Subtest: (\S+)")
RESULT = re.compile(r"^(?:not )?ok \d+ (?:- )?(\S+)")
BUILD_TIMEOUT_S = 3600
BUILD_DIR = "build"


def kunit_py(tree: Path, verb: str, *words: str) -> list[str]:
    """kunit.py with the interpreter that runs us, not another one on PATH."""
    tool = tree / "tools/testing/kunit/kunit.py"
    return [sys.executable, str(tool), verb, *words]


def collect(
    target: Target, source: Source, run: Run, folder: Path, builder: Builder
) -> tuple[Run, Path]:
    """Overlay, `kunit.py build`, `kunit.py exec`; console.log, and the .config."""
    tree = _tree(target, source, builder)
    with builder.cache.hold("overlays", tree.parent.name, exclusive=True):
        with builder.timed("config"):
            builder.progress.step("make the overlay")
            overlay.make(source.path, tree, PROJECT, pinned=source.pinned)
        for argv in build_commands(tree, builder):
            builder.progress.step(" ".join(argv[1:3]))
            with builder.timed("build"):
                done = builder.commands.run(
                    argv, log=builder.log, cwd=tree, env=builder.environment(),
                    timeout=BUILD_TIMEOUT_S, on_line=builder.progress.detail,
                )  # fmt: skip
            if done.status:
                raise NoVerdict("\n".join([f"{' '.join(argv[1:3])} failed:", *done.tail]))
        ended = _execute(target, tree, run, folder, builder)
        return ended, tree.parent / BUILD_DIR / ".config"


def plan(target: Target, source: Source, builder: Builder) -> list[list[str]]:
    """The commands that collect() runs."""
    tree = _tree(target, source, builder)
    return [*build_commands(tree, builder), exec_command(target, tree)]


def _tree(target: Target, source: Source, builder: Builder) -> Path:
    key = f"{target.name}-{digest(source.content if source.pinned else str(source.path))}"
    return builder.cache.entry("overlays", key) / "tree"


def _place(tree: Path) -> list[str]:
    return ["--kunitconfig=lib/memsafe", f"--build_dir={tree.parent / BUILD_DIR}"]


def build_commands(tree: Path, builder: Builder) -> list[list[str]]:
    """kunit.py config and build."""
    build = kunit_py(tree, "build", *_place(tree), f"--jobs={builder.jobs}")
    return [kunit_py(tree, "config", *_place(tree)), build]


def exec_command(target: Target, tree: Path) -> list[str]:
    """kunit.py exec, with the kernel's output as it comes."""
    seconds = int(target.timeouts.job)
    return kunit_py(tree, "exec", *_place(tree), f"--timeout={seconds}", "--raw_output=all")


def _execute(target: Target, tree: Path, run: Run, folder: Path, builder: Builder) -> Run:
    builder.progress.step("kunit.py exec")
    raw = folder / "kunit.log"
    argv = exec_command(target, tree)
    # Straight into the file: UML drops what a slow reader has left no room for.
    direct = ["sh", "-c", 'exec "$@" >"$0"', str(raw), *argv]
    with builder.timed("tests"):
        builder.commands.run(direct, cwd=tree, timeout=target.timeouts.job + 60)
    console, results = marked(raw.read_text(errors="replace"), run)
    (folder / "console.log").write_text(console)
    (folder / "results.ktap").touch()
    verdict = builder.commands.run(
        kunit_py(tree, "parse", str(raw)), log=folder / "kunit.parsed", cwd=tree, timeout=120
    )
    guest = GuestResult(
        0, {}, ended="reboot: System halted" in console, kmemleak="absent",
        console=(0, len(console.encode())),
    )  # fmt: skip
    problems = run.problems
    if verdict.status and all(result.outcome == "exit" for result in results):
        problems += (f"kunit.py's own verdict: {verdict.tail[-1] if verdict.tail else 'failed'}",)
    return replace(run, results=results, guests=(guest,), problems=problems)


def marked(raw: str, run: Run) -> tuple[str, tuple[JobResult, ...]]:
    """The console with init's marks put around each suite's lines, since there
    is no init here, and how each suite ended."""
    names = {job.name for job in run.manifest}
    ended: dict[str, JobResult] = {}
    lines, current = [], ""
    for line in raw.splitlines():
        start, end = SUBTEST.match(line), RESULT.match(line)
        if start and start.group(1) in names and not current:
            current = start.group(1)
            lines.append(f"memsafe: BEGIN {current}")
        lines.append(line)
        if end and end.group(1) == current:
            lines.append(f"memsafe: END {current}")
            ended[current] = JobResult(current, 0, "exit")
            current = ""
    if current:
        ended[current] = JobResult(current, 0, "gone", detail="the kernel ended")
    return "\n".join(lines) + "\n", tuple(ended.values())
