# SPDX-License-Identifier: GPL-2.0
"""The no-op harness in guests: every program once for each value that the system
calls of its tests return instead of doing something (noop.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import noop
import results
import run
from record import Job, Run
from run import Built, Options, Tools
from target import PROJECT


def no_ops(options: Options, values: Sequence[str], tools: Tools) -> tuple[list[str], bool]:
    """The matrix as lines, and whether every test noticed each of the `values`:
    success, or the name of an errno."""
    target = run.load(options)
    programs = tuple(job for job in run.selected(options) if job.kind == "program")
    top = results.new_folder(options.results, f"{target.name}-noop")
    builder = run.make_builder(options, tools, top / "build.log")
    lines: list[str] = []
    good = True
    with run.built(options, target, builder, tools) as ready:
        for value in values:
            shown, noticed = _one(options, ready, value, programs, top / value, tools)
            lines += [f"-- {value}", *shown]
            good = good and noticed
    tools.progress.done()
    (top / "noop.txt").write_text("\n".join(lines) + "\n")
    return lines, good


def _one(
    options: Options, ready: Built, value: str, programs: tuple[Job, ...], folder: Path, tools: Tools
) -> tuple[list[str], bool]:
    folder.mkdir()
    wanted = replace(options, environment=(*options.environment, f"MEMSAFE_NOOP={value}"))
    done = run.in_guests(wanted, ready, Run(ready.target.name, programs), folder, tools)
    sources = {
        job.name: ((options.tests or PROJECT / "selftests") / f"{job.name}_test.c").read_text()
        for job in programs
    }
    found = noop.matrix(done, results.texts(folder)["results.ktap"], sources, value)
    known = results.expectations(ready.target.name, done.facts["kernel"], options.expectations)
    return noop.table(found, known)
