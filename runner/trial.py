# SPDX-License-Identifier: GPL-2.0
"""One mutant: apply, build, boot, run, compare with what the same tree says without
it.  The tree is as it was at the end."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import judge
import mirror
import mutants
import patch
import run
import stage
from build import Builder, digest
from errors import NotBuilt, NoVerdict
from mutants import Baseline, Mutant, Result
from record import Job, JobResult, Run
from run import Built, Options, Tools
from stop import Stop
from target import PROJECT, Target


# Jobs that a mutant begins with.
FIRST = 6
# Guests that die or hang before a mutant has had its chance.
DEATHS = 3


@dataclass(frozen=True)
class Campaign:
    """Everything that all mutants of a call share.  `tree` is the kernel's source
    as it is; `mirror` the copy that changes, when a mutant is of the kernel.
    `tests` and `key` name what runs, and that and the kernel.  Unless `full`, a mutant
    has ended with the first case that fails.  `earlier` campaigns say what to begin
    with, and `first` are the jobs that this comes to for one mutant.  `stop` ends
    those that are tried side by side."""

    options: Options
    target: Target
    jobs: tuple[Job, ...]
    tree: Path
    mirror: Path | None
    folder: Path
    tests: str
    key: str
    tools: Tools
    full: bool = False
    earlier: tuple[Result, ...] = ()
    first: tuple[Job, ...] = ()
    stop: Stop = field(default_factory=Stop)


class TestsChanged(NoVerdict):
    """Somebody works on them: what runs now can't be compared."""


@dataclass(frozen=True)
class Judged:
    """A run's verdict (verdict.json's object of the target, empty when nothing ran),
    the jobs that did not end, and what `code_of` says."""

    shown: dict[str, Any]
    hung: tuple[str, ...]
    code: str
    facts: dict[str, str] = field(default_factory=dict)


def key(campaign: Campaign, one: Mutant) -> str:
    return digest(campaign.key, one.text.encode(errors="surrogateescape").hex())


def result_of(campaign: Campaign, one: Mutant, outcome: mutants.Outcome, detail: str = "") -> Result:
    return Result(
        one.name, key(campaign, one), outcome, detail=detail, killed_by=one.killed_by, kind=one.kind,
        files=tuple(change.path for change in one.patch.changes),
    )  # fmt: skip


def baseline(campaign: Campaign, same_for: str, begin: Callable[[Path], Judged]) -> Baseline:
    """The same tree and tests without a mutant, as `begin` runs it into a folder;
    remembered when it is green, under what it is the `same_for`.  NoVerdict when it
    can't be built or booted."""
    name = f"{campaign.target.name}-{same_for}.json"
    known = campaign.tools.cache.entry("baselines", name)
    try:
        data = json.loads(known.read_text())
        failing = frozenset(data["failing"])
        return Baseline("pass", (), frozenset(), data["code"], tuple(data["passed"]), failing)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    campaign.tools.progress.say("first the baseline: no mutant")
    folder = campaign.folder.parent / campaign.target.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = begin(folder)
    found = mutants.baseline(done.shown, done.code)
    if found.verdict == "pass":
        half = known.with_name(f"{known.name}.half")
        said = {"code": found.code, "passed": found.passed, "failing": sorted(found.failing)}
        half.write_text(json.dumps(said) + "\n")
        half.replace(known)
    return found


def plain_baseline(campaign: Campaign) -> Baseline:
    """That of mutants which have a kernel or a driver each."""
    return baseline(
        campaign, campaign.key, lambda folder: _run(campaign, campaign.options, folder, None, {})
    )


def attempt(campaign: Campaign, one: Mutant, before: Baseline) -> Result:
    """Apply, build, boot, run, compare; the tree is as it was at the end."""
    folder = campaign.folder / one.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    seconds: dict[str, float] = {}
    result = result_of(campaign, one, "no verdict")
    try:
        with _applied(campaign, one) as (options, off):
            done = _run(begun(campaign, one), options, folder, before, seconds)
    except patch.DoesNotApply as error:
        return replace(result, outcome="does not apply", detail=str(error))
    except NotBuilt as error:
        return replace(result, outcome="does not build", detail=gist(error), seconds=seconds)
    except TestsChanged:
        raise
    except NoVerdict as error:
        return replace(not_run(result, folder, error), seconds=seconds)
    result = replace(result, off=off, seconds=seconds, facts=done.facts)
    if done.code == before.code:
        return replace(result, outcome="not built", detail="what runs is the same without it")
    return told(result, done, before)


def begun(campaign: Campaign, one: Mutant) -> Campaign:
    """The campaign with the jobs that are likely to notice a mutant before all others."""
    names = mutants.likely(one, [job.name for job in campaign.jobs], campaign.earlier)[:FIRST]
    first = tuple(job for name in names for job in campaign.jobs if job.name == name)
    rest = tuple(job for job in campaign.jobs if job not in first)
    alone = first if rest and not campaign.full else ()
    return replace(campaign, jobs=(*first, *rest), first=alone)


def told(result: Result, done: Judged, before: Baseline) -> Result:
    """The result with what a run says of the mutant."""
    outcome, killers, detail = mutants.judged(done.shown, before, done.hung)
    return replace(result, outcome=outcome, killers=killers, detail=detail)


def not_run(result: Result, folder: Path, error: NoVerdict) -> Result:
    """The result of a mutant that has no verdict."""
    booted = any(folder.glob("**/console.log"))
    return replace(result, outcome="does not boot" if booted else "no verdict", detail=gist(error))


def gist(error: NoVerdict) -> str:
    """The first line that names an error, else the first."""
    lines = str(error).splitlines()
    return next((line for line in lines if "error:" in line or "panic" in line), lines[0])


@contextmanager
def _applied(campaign: Campaign, one: Mutant) -> Iterator[tuple[Options, int]]:
    """Options that build the mutant, and how far off its hunks were."""
    top = PROJECT if one.driver else campaign.tree
    texts, off = changed_texts(top, one.patch)
    if not one.driver:
        assert campaign.mirror
        with mirror.changed(campaign.tree, campaign.mirror, texts):
            yield campaign.options, off
        return
    with tempfile.TemporaryDirectory(prefix="memsafe-") as scratch:
        copy = Path(scratch) / "module"
        shutil.copytree(PROJECT / "module", copy)
        for name, text in texts.items():
            mirror.put(Path(scratch) / name, text)
        yield replace(campaign.options, driver=copy), off


def changed_texts(top: Path, given: patch.Patch) -> tuple[dict[str, str | None], int]:
    """What each file of a patch is afterwards (None: gone), and how far off its
    hunks were.  DoesNotApply names the file."""
    texts: dict[str, str | None] = {}
    farthest = 0
    for change in given.changes:
        path = top / change.path
        if path.exists() == change.creates:
            raise patch.DoesNotApply(f"{change.path} {'is' if change.creates else 'is not'} there")
        try:
            text, off = patch.apply("" if change.creates else mirror.read(path), change.hunks)
        except patch.DoesNotApply as error:
            raise patch.DoesNotApply(f"{change.path}: {error}") from None
        if change.removes and text:
            raise patch.DoesNotApply(f"{change.path}: there is more in it than is removed")
        texts[change.path] = None if change.removes else text
        farthest = max(farthest, off)
    return texts, farthest


def _run(
    campaign: Campaign, options: Options, folder: Path, before: Baseline | None, seconds: dict[str, float]
) -> Judged:
    """A run, with the tests that the call began with from its begin to its end."""
    try:
        done = _build_and_run(campaign, options, folder, before, seconds)
    except NoVerdict:
        check_tests(campaign)
        raise
    check_tests(campaign)
    return done


def check_tests(campaign: Campaign) -> None:
    if run.tests_content(campaign.options) != campaign.tests:
        raise TestsChanged("the tests have changed under this call: use a checkout of its own")


def _build_and_run(
    campaign: Campaign, options: Options, folder: Path, before: Baseline | None, seconds: dict[str, float]
) -> Judged:
    """Build, boot and judge into a folder; boots nothing when what would run is the
    same as `before`.  `seconds` is filled also when it fails."""
    builder = run.make_builder(options, campaign.tools, folder / "build.log")
    try:
        with run.built(options, campaign.target, builder, campaign.tools) as ready:
            code = code_of(ready, builder)
            if before and code == before.code:
                return Judged({}, (), code)
            return boot(campaign, options, ready, code, folder, before, seconds)
    finally:
        seconds.update({part: round(value, 1) for part, value in builder.seconds.items()})


def boot(
    campaign: Campaign,
    options: Options,
    ready: Built,
    code: str,
    folder: Path,
    before: Baseline | None,
    seconds: dict[str, float],
    whole: Options | None = None,
) -> Judged:
    """Boot what is built and judge it: with the campaign's first jobs, and unless one
    of them has failed, with all, and with the options of `whole` where they are others.
    `before` is the baseline's; None for itself."""
    if campaign.first and before:
        alone = replace(campaign, jobs=campaign.first)
        begin = folder / "first"
        begin.mkdir()
        done = _boot(alone, options, ready, code, begin, before, seconds)
        if mutants.judged(done.shown, before, done.hung)[0] == "killed by assertion":
            return done
    return _boot(campaign, whole or options, ready, code, folder, before, seconds)


def _boot(
    campaign: Campaign,
    options: Options,
    ready: Built,
    code: str,
    folder: Path,
    before: Baseline | None,
    seconds: dict[str, float],
) -> Judged:
    begin = time.monotonic()
    filtered = options.pattern is not None or options.tests is not None
    start = Run(campaign.target.name, campaign.jobs, filtered=filtered)
    watch = Watch(campaign.jobs, before.failing) if before and not campaign.full else None
    enough = watch.enough if watch else lambda result, text: False
    done = run.in_guests(
        options, ready, start, folder, campaign.tools, enough, stop=campaign.stop, keep=not before
    )
    again = {"reproduce": shlex.join(["runner/memsafe.py", *options.argv])}
    took = {"total": time.monotonic() - begin}
    document = run.finish(options, replace(done, facts=done.facts | again), folder, took)
    seconds.update({part: round(value, 1) for part, value in (done.seconds | took).items()})
    hung = tuple(
        result.name for result in done.results if result.outcome in ("timeout", "hung", "stuck")
    )
    facts = {"target": campaign.target.name, "kernel": ready.kernel.content, "code": code}
    return Judged(_of_what_ran(document["targets"][0], done), hung, code, facts)


def _of_what_ran(shown: dict[str, Any], done: Run) -> dict[str, Any]:
    """Without what says only that a run was stopped before its other jobs."""
    ran = {result.name for result in done.results}
    left = {job.name for job in done.manifest} - ran
    cases = [case for case in shown["cases"] if case["name"].partition(".")[0] not in left]
    return {**shown, "cases": cases}


@dataclass
class Watch:
    """A mutant has ended with the first case that fails, or that hangs or kills its
    guest too often: what a wild one costs has a limit."""

    jobs: tuple[Job, ...]
    failing: frozenset[str]
    deaths: int = 0

    def enough(self, result: JobResult, text: str) -> bool:
        self.deaths += result.outcome in ("gone", "hung", "stuck", "timeout")
        job = next(job for job in self.jobs if job.name == result.name)
        return self.deaths >= DEATHS or bool(judge.failed(job, text) - self.failing)


def code_of(ready: Built, builder: Builder) -> str:
    """What runs: the kernel and the modules without what only tells of their source."""
    objcopy = f"{ready.target.cross_compile}objcopy"
    found = []
    with tempfile.TemporaryDirectory(prefix="memsafe-") as scratch:
        bare = Path(scratch) / "bare"
        for path in [ready.kernel.folder / "vmlinux", *sorted(ready.stage.modules.values())]:
            argv = [objcopy, "--strip-debug", "-R", ".note*", str(path), str(bare)]
            done = builder.commands.run(argv, log=builder.log, timeout=300)
            if done.status:
                raise NoVerdict("\n".join([f"{objcopy} failed:", *done.tail]))
            found.append(f"{path.name}:{stage.file_hash(bare)}")
    return digest(*found)
