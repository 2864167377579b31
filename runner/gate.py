# SPDX-License-Identifier: GPL-2.0
"""Base against patched: build both from one tree, run both, compare, and run again
what looks like a regression until it is one or is not.

results/<run>/gate/gate.json holds the verdict; base/ and patched/ beside it are
runs as any other, again-<n>-base/ and again-<n>-patched/ the repeated ones.
request.json says what was asked, for a call that goes on there, and affected.json
which tests were chosen.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import comb
from pathlib import Path
from typing import Any

import affected
import checkout
import compare
import jail
import reached
import results
import run
import sides
from cache import cap_bytes
from checkout import Checkout
from compare import Difference
from errors import NoVerdict, UsageError
from run import Options, Tools
from sides import Gate, Side

REQUEST = "request.json"
AFFECTED = "affected.json"

# How often it is looked whether a difference is certain: first after as few rounds
# as can tell one that happens every time, then after half as many more, and twice.
LOOKS = 3


@dataclass(frozen=True)
class Request:
    """What is compared: revisions of a git tree, or patches (name and text) on top of
    `base`, or `trees`, two kernel trees as they are.  `alpha` bounds the chance of any
    false alarm, `budget` is in seconds.  `resume` is the folder of a run to go on with.
    `affected`: run only what is known to run the changed functions (affected.py)."""

    tree: Path = Path()
    base: str = ""
    patched: str = ""
    patches: tuple[tuple[str, bytes], ...] = ()
    trees: tuple[Path, Path] | None = None
    each: bool = False
    alpha: float = 0.01
    budget: float = 600.0
    sandbox: bool = True
    affected: bool = False
    resume: Path | None = None


def gate(options: Options, request: Request, tools: Tools) -> list[dict[str, Any]]:
    """gate.json's object of each step: one, or one for each patch of a series."""
    target = run.load(options)
    if not target.guests:
        raise UsageError(f"the gate runs in guests; {target.name} has none")
    jobs = tuple(run.selected(options))
    closed = jail.open_jail() if request.sandbox else None
    try:
        with _work(request, tools) as (work, line), tempfile.TemporaryDirectory(prefix="memsafe-") as scratch:
            filtered = options.pattern is not None or options.tests is not None
            this = Gate(options, work, jobs, closed, Path(scratch), tools, filtered)
            return _steps(this, request, line)
    finally:
        tools.progress.done()
        tools.cache.keep_within(cap_bytes())


def saved(base: dict[str, Any], patched: dict[str, Any]) -> dict[str, Any]:
    """gate.json's object of two saved runs: nothing is run again.  NoVerdict when a
    detector did not see on base."""
    if base["blind"]:
        raise NoVerdict(f"base: {base['blind'][0]}")
    found = compare.differences(base, patched)
    verdict, reason = compare.verdict(found, base["verdict"], patched["verdict"])
    return _document(found, verdict, reason, base, patched, 1.0)


@contextmanager
def _work(request: Request, tools: Tools) -> Iterator[tuple[Checkout, list[str]]]:
    """The work tree, and the line of commits to judge."""
    if request.trees:
        with checkout.hold_trees(request.trees, tools.cache, tools.progress) as found:
            yield found
        return
    for name, text in request.patches:
        checkout.check(text, name)
    with checkout.hold(request.tree, tools.cache, tools.progress) as work:
        if work.is_dirty():
            tools.progress.say(f"changes of {work.tree} without a commit are not looked at")
        yield work, _line(request, work)


def _line(request: Request, work: Checkout) -> list[str]:
    """Each commit is judged against the one before it."""
    base = work.resolve(request.base)
    patched = base
    for name, text in request.patches:
        patched = work.apply(patched, text, name)
    if not request.patches:
        patched = work.resolve(request.patched or "HEAD")
    if patched == base:
        raise UsageError(f"{request.patched or 'HEAD'} is the base, {base[:12]}: there is nothing to judge")
    return [base, *work.series(base, patched)] if request.each else [base, patched]


def _steps(this: Gate, request: Request, line: Sequence[str]) -> list[dict[str, Any]]:
    """All steps; those of an earlier call that have ended are taken."""
    kind = "gate of what is affected" if request.affected else "gate"
    key = run.identity(this.options, this.jobs, kind, this.tools)
    folders = _earlier(request.resume, key, line) if request.resume else []
    documents = []
    try:
        for number, (base, patched) in enumerate(zip(line, line[1:])):
            if number == len(folders):
                folders.append(results.new_folder(this.options.results, "gate"))
            asked = {"key": key, "line": line, "folders": [str(path) for path in folders[: number + 1]]}
            (folders[number] / REQUEST).write_text(json.dumps(asked, indent=1) + "\n")
            documents.append(_judged(folders[number]) or _step(this, request, base, patched, folders[number]))
    except KeyboardInterrupt:
        if folders:
            this.tools.progress.say(f"go on with --resume {folders[-1].parent}")
        raise
    return documents


def _earlier(resume: Path, key: str, line: Sequence[str]) -> list[Path]:
    """The folders of the steps up to the one that was interrupted.  UsageError when
    they are of another call."""
    folder = resume.resolve() / "gate"
    try:
        asked = json.loads((folder / REQUEST).read_text())
        folders = [*(Path(path) for path in asked["folders"][:-1]), folder]
        same_line, same_key = asked["line"] == list(line), asked["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{resume} is no run of the gate") from None
    if not same_line:
        raise UsageError(f"{resume} is of other commits: only the same call can go on there")
    if not same_key:
        raise UsageError(f"{resume} is of other tests, of another target or of other options")
    missing = [path for path in folders[:-1] if _judged(path) is None]
    if missing:
        raise UsageError(f"{resume} needs {missing[0].parent}, which is not there or not complete")
    return folders


def _judged(folder: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((folder / "gate.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _step(this: Gate, request: Request, base: str, patched: str, folder: Path) -> dict[str, Any]:
    begin = time.monotonic()
    if request.affected:
        this = _affected(this, base, patched, folder)
    trees = request.trees or (request.tree, request.tree)
    old, new = (
        Side(name, commit, folder.parent / name, tree)
        for name, commit, tree in zip(("base", "patched"), (base, patched), trees, strict=True)
    )
    sides.first_of_base(this, old)
    base_end = time.monotonic()
    functions = sides.first_of_patched(this, base, new)
    patched_end = time.monotonic()
    compared = len(old.shown["cases"]) + len(old.shown["reports"])
    limit = compare.threshold(request.alpha, compared, LOOKS)
    found = compare.differences(old.shown, new.shown)
    found = _again(this, request.budget, (old, new), found, limit)
    end = time.monotonic()
    verdict, reason = compare.verdict(found, old.shown["verdict"], new.shown["verdict"], limit)
    verdict, reason = reached.verdict(verdict, reason, functions)
    seconds = {"base": base_end - begin, "patched": patched_end - base_end,
               "again": end - patched_end, "total": end - begin}  # fmt: skip
    document = _document(found, verdict, reason, old.shown, new.shown, limit) | {
        "target": this.options.target,
        "tests": run.tests_content(this.options),
        "jobs": [job.name for job in this.jobs],
        "commits": {"base": base, "patched": patched},
        "changed": this.work.changed(base, patched),
        "changed_functions": functions,
        "seconds": {part: round(value, 1) for part, value in seconds.items()},
        "folder": str(folder.parent),
    }
    half = folder / "gate.json.half"
    half.write_text(json.dumps(document, indent=1) + "\n")
    half.replace(folder / "gate.json")
    for side in (old, new):
        sides.forget(side)
    return document


def _affected(this: Gate, base: str, patched: str, folder: Path) -> Gate:
    """With the jobs that run what is changed alone.  Once chosen they stay, for a call
    that goes on."""
    chosen = folder / AFFECTED
    if chosen.exists():
        names, said = json.loads(chosen.read_text())
        jobs = tuple(job for job in this.jobs if job.name in names)
    else:
        jobs, said = affected.choose(
            this.options.results, this.options.target, run.tests_content(this.options),
            sides.changes(this, base, patched), this.jobs,
        )  # fmt: skip
        chosen.write_text(json.dumps([[job.name for job in jobs], said]))
    this.tools.progress.say(said)
    return replace(this, jobs=jobs, filtered=this.filtered or jobs != this.jobs)


def _document(
    found: Sequence[Difference], verdict: str, reason: str, old: Any, new: Any, limit: float
) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "reason": reason,
        "counts": compare.counts(found),
        "differences": [asdict(one) | {"chance": compare.chance(one)} for one in found],
        "limit": limit,
        "compared": len(old["cases"]) + len(old["reports"]),
        "base": old["verdict"],
        "patched": new["verdict"],
    }


def _again(
    this: Gate, budget: float, both: Sequence[Side], found: list[Difference], limit: float
) -> list[Difference]:
    """Run what looks new again, base and patched in turn, each in a fresh guest."""
    begin, number = time.monotonic(), 0
    least = rounds_needed(limit)
    for look in (least, least * 3 // 2, least * 2):
        if not any(compare.is_open(one, limit) for one in found):
            break
        while number < look and (wanted := [one for one in found if compare.is_open(one, 0.0)]):
            if time.monotonic() - begin > budget:
                this.tools.progress.say(f"the budget of {budget:.0f} s is spent")
                return [compare.settled(one, limit) for one in found]
            number += 1
            this.tools.progress.say(f"round {number} of {look}: {len(wanted)} that look new")
            names = {one.job for one in wanted}
            leaks = any(one.name.startswith("memory leak") for one in wanted)
            shown = [sides.again(this, side, names, leaks, number) for side in both]
            found = [compare.again(one, *shown) if one in wanted else one for one in found]
    return [compare.settled(one, limit) for one in found]


def rounds_needed(limit: float) -> int:
    """How many runs of each side tell apart what never and what always happens."""
    count = 1
    while 1 / comb(2 * count, count) > limit:
        count += 1
    # The first runs count as well.
    return count - 1

