# SPDX-License-Identifier: GPL-2.0
"""A side of the gate, base or patched: checked out, built, kept, and run as often as
it takes.  A run that an earlier call has left complete is taken as it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import manifest
import reached
import record
import results
import run
import stage
import windows
from cache import Cache
from checkout import Checkout
from errors import NotBuilt, NoVerdict
from jail import Jail
from record import Job, Run
from run import Built, Options, Tools
from target import PROJECT

# Beside what a run leaves: patched's changed functions.
REACHED = "reached.json"


@dataclass(frozen=True)
class Gate:
    """What all steps of a call share.  `filtered`: `jobs` are not all that there are."""

    options: Options
    work: Checkout
    jobs: tuple[Job, ...]
    jail: Jail | None
    scratch: Path
    tools: Tools
    filtered: bool = False


@dataclass
class Side:
    """A commit, and what is known of it.  `tree` is the user's, `shown` verdict.json's
    object of the target; `marks` are the files that are built otherwise (reached.py),
    for what is `followed`; `absent` is what of that is in no binary."""

    name: str
    commit: str
    folder: Path
    tree: Path
    shown: dict[str, Any] = field(default_factory=dict)
    kept: Built | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    followed: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


def first_of_base(this: Gate, side: Side) -> None:
    """Base's first run, which is remembered by all that it depends on.  NoVerdict when
    a detector does not see on base: then nothing can be said of patched."""
    side.shown = _remembered(this, side, this.jobs, lambda: _whole(this, side))
    if side.shown["blind"]:
        raise NoVerdict(f"base {side.commit[:12]}: {side.shown['blind'][0]}")
    named = {job.name for job in this.jobs}
    every = manifest.jobs(PROJECT, this.options.tests)
    detectors = tuple(job for job in every if job.detects and job.name not in named)
    if detectors:
        _calibrate(this, side, detectors)


def _calibrate(this: Gate, side: Side, detectors: tuple[Job, ...]) -> None:
    """Whether detectors that no chosen suite asks see what is provoked for them."""
    folder = side.folder.with_name("calibration")
    shown = _remembered(
        this, side, detectors, lambda: _run(this, side, folder, detectors, True, False)
    )
    if shown["verdict"] != "pass":
        raise NoVerdict(f"base {side.commit[:12]}: {shown['reasons'][0]}")


def _remembered(
    this: Gate, side: Side, jobs: tuple[Job, ...], make: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """verdict.json's object of jobs on base: once for what it depends on."""
    key = run.identity(this.options, jobs, f"git:{side.commit}", this.tools)
    known = this.tools.cache.entry("baselines", f"{this.options.target}-gate-{key}.json")
    try:
        shown: dict[str, Any] = json.loads(known.read_text())
        this.tools.progress.say(f"base {side.commit[:12]} was run before: its verdict is taken")
        return shown
    except (OSError, ValueError):
        pass
    shown = make()
    half = known.with_name(f"{known.name}.half")
    half.write_text(json.dumps(shown))
    half.replace(known)
    return shown


def first_of_patched(this: Gate, base: str, side: Side) -> list[dict[str, Any]]:
    """Patched's first run; gate.json's changed_functions.  Only this run is of a
    marked kernel: a mark is no reason for what is NEW after all rounds."""
    known = side.folder / REACHED
    try:
        found: list[dict[str, Any]] = json.loads(known.read_text())
        side.shown = _whole(this, side)
        return found
    except (OSError, ValueError):
        _renew(side.folder)
    found = _reached(this, base, side)
    half = known.with_name(f"{known.name}.half")
    half.write_text(json.dumps(found, indent=1) + "\n")
    half.replace(known)
    return found


def _reached(this: Gate, base: str, side: Side) -> list[dict[str, Any]]:
    found = changes(this, base, side.commit)
    side.followed = frozenset(one.where for one in found if one.is_followed)
    names = {*(one.file for one in found if one.is_followed), reached.MARKS_FILE}
    texts = {name: this.work.text(side.commit, name) or "" for name in names}
    side.marks = reached.marked(texts, found)
    if not side.marks:
        side.shown = _whole(this, side)
        return reached.objects(found, {})
    try:
        side.shown = _whole(this, side)
        return _who_ran(side, found)
    except NoVerdict as error:
        this.tools.progress.say(f"with marks in what is changed: {error}")
        this.tools.progress.say("once more without marks")
    finally:
        forget(side)
    _renew(side.folder)
    side.shown = _whole(this, side)
    return reached.objects([one.not_followed("its kernel does not run with marks") for one in found], {})


def changes(this: Gate, base: str, patched: str) -> list[reached.Changed]:
    """What a commit changes in another's code."""
    return [
        one
        for name in this.work.changed(base, patched)
        for one in reached.changed(name, this.work.text(base, name), this.work.text(patched, name))
    ]


def _who_ran(side: Side, found: Sequence[reached.Changed]) -> list[dict[str, Any]]:
    done = record.load(side.folder)
    console = results.texts(side.folder)["console.log"]
    lost = any(windows.dropped(guest, console) for guest in done.guests)
    return reached.objects(found, reached.ran(done, console), side.absent, lost)


def _whole(this: Gate, side: Side) -> dict[str, Any]:
    """All jobs of a side, into its folder."""
    return _run(this, side, side.folder, this.jobs, this.filtered, this.options.leaks)


def again(this: Gate, side: Side, names: set[str], leaks: bool, number: int) -> dict[str, Any]:
    """Some jobs once more, in a folder of their own.  Guests that go on from the same
    snapshot have much in common: every other time they boot."""
    jobs = tuple(job for job in this.jobs if job.name in names)
    folder = side.folder.with_name(f"again-{number}-{side.name}")
    leaks = this.options.leaks and leaks
    return _run(this, side, folder, jobs, True, leaks, restored=number % 2 == 0)


def _run(
    this: Gate, side: Side, folder: Path, jobs: tuple[Job, ...], filtered: bool, leaks: bool,
    restored: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """verdict.json's object of the target of one run of what was kept.  Snapshots of
    it are nobody else's."""
    shown = _ended(folder)
    if shown is not None:
        this.tools.progress.say(f"{folder.name} has ended before")
        return shown
    _renew(folder)
    kept = side.kept or _build(this, side)
    cold = this.options.cold or not restored
    options = replace(this.options, kernel=side.tree, leaks=leaks, cold=cold)
    store = Cache(this.scratch, this.tools.progress.say)
    start = Run(kept.target.name, jobs, filtered=filtered)
    try:
        done = run.in_guests(options, kept, start, folder, this.tools, keep=restored, store=store)
    except NoVerdict as error:
        raise NoVerdict(f"{side.name} {side.commit[:12]}: {error}") from None
    document = run.finish(options, done, folder, {})
    found: dict[str, Any] = document["targets"][0]
    return found


def _ended(folder: Path) -> dict[str, Any] | None:
    """What a complete run has left: verdict.json is the last file that matters."""
    try:
        record.load(folder)
        found: dict[str, Any] = json.loads((folder / "verdict.json").read_text())["targets"][0]
    except (OSError, ValueError, NoVerdict):
        return None
    return found


def forget(side: Side) -> None:
    """Remove what was kept; what is built from now on is the commit alone."""
    if side.kept:
        shutil.rmtree(side.kept.kernel.folder)
    side.marks, side.kept = {}, None


def _renew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def _build(this: Gate, side: Side) -> Built:
    """Check out, build, and keep what a guest needs: the other side is built in the
    same folder."""
    this.tools.progress.step(f"check out {side.name} {side.commit[:12]}")
    this.work.at(side.commit)
    for name, text in side.marks.items():
        this.work.put(name, text)
    options = replace(this.options, kernel=this.work.path)
    side.folder.mkdir(exist_ok=True)
    builder = replace(run.make_builder(options, this.tools, side.folder / "build.log"), jail=this.jail)
    target = run.load(options)
    try:
        with run.built(options, target, builder, this.tools) as ready:
            side.absent = _absent(side, ready)
            side.kept = run.keep(ready, this.scratch / f"{side.name}-{side.commit}")
    except NotBuilt as error:
        raise NoVerdict(f"{side.name} {side.commit[:12]}: {error}") from None
    return side.kept


def _absent(side: Side, ready: Built) -> frozenset[str]:
    """What is followed and in no binary: each mark has its place as a string."""
    missing = side.followed if side.marks else frozenset()
    for file in [ready.kernel.folder / "vmlinux", *stage.in_tree(ready.kernel)]:
        if missing:
            data = file.read_bytes()
            missing = frozenset(where for where in missing if where.encode() + b"\0" not in data)
    return missing
