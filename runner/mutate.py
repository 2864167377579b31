# SPDX-License-Identifier: GPL-2.0
"""Mutants, one after the other: apply, build, boot, run, compare with what the same
tree says without any.

results/<run>/mutants/ has a file for each, <name>.json, written when it has ended,
beside a folder <name>/ with all that its run left.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import build
import manifest
import mirror
import mutants
import patch
import results
import run
import stage
import target as targets
from build import Builder, digest
from cache import cap_bytes
from errors import NotBuilt, NoVerdict, UsageError
from mutants import Baseline, Killer, Mutant, Result
from record import Job, Run
from run import Built, Options, Tools
from target import CONFIGS, PROJECT, Target

# What decides about an outcome, beside the kernel and the mutant.
TESTS = ("kunit", "module", "selftests", "runner/guest")
SOURCES = {"", ".c", ".h", ".S", ".toml", ".config", ".txt"}


@dataclass(frozen=True)
class Campaign:
    """Everything that all mutants of a call share.  `tree` is the kernel's source
    as it is; `mirror` the copy that changes, when a mutant is of the kernel.
    `tests` and `key` name what runs, and that and the kernel."""

    options: Options
    target: Target
    jobs: tuple[Job, ...]
    tree: Path
    mirror: Path | None
    folder: Path
    tests: str
    key: str
    tools: Tools


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


def mutate(
    options: Options, paths: Sequence[Path], resume: Path | None, tools: Tools
) -> tuple[list[str], int]:
    """All mutants of some patches and folders: the table as lines, and the exit
    status.  `resume` is the folder of a run to go on with."""
    chosen = [read(path) for path in patches(paths)]
    _check_names(chosen)
    target = run.load(options)
    if target.kunit_py:
        raise UsageError(f"mutants are tried in guests; {target.name} has none")
    jobs = tuple(manifest.select(manifest.jobs(PROJECT, options.tests), options.pattern))
    folder = _results_folder(options, resume)
    found: list[Result] = []
    before: Baseline | None = None
    try:
        with _campaign(options, target, jobs, chosen, folder, tools) as campaign:
            for one in chosen:
                _check_places(campaign, one)
            # The project's own first: they need no other kernel than the baseline's.
            for number, one in enumerate(sorted(chosen, key=lambda one: not one.driver), 1):
                tools.progress.say(f"mutant {number} of {len(chosen)}: {one.name}")
                result = _excused(campaign, one)
                if result is None:
                    before = before or _baseline(campaign)
                    result = _earlier(campaign, one) or _try(campaign, one, before)
                _save(campaign, result)
                tools.progress.say(mutants.line(result))
                found.append(result)
    except KeyboardInterrupt:
        tools.progress.say(f"{len(found)} of {len(chosen)} have ended; go on with --resume {folder.parent}")
        raise
    finally:
        tools.progress.done()
    lines = mutants.table(found, before)
    (folder / "summary.txt").write_text("\n".join(lines) + "\n")
    tools.cache.prune(cap_bytes())
    return lines, mutants.status(found, before)


def patches(paths: Sequence[Path]) -> list[Path]:
    """Patches, and all patches in folders.  UsageError for what is neither."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.patch"))
            if not inside:
                raise UsageError(f"no patch in {path}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(f"no patch {path}")
    return found


def read(path: Path) -> Mutant:
    """A patch as a mutant; UsageError when it is none, or changes what it must not."""
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
        return mutants.mutant(path.stem, text, patch.parse(text))
    except (patch.BadPatch, mutants.BadMutant) as error:
        raise UsageError(f"{path}: {error}") from None


def _check_names(chosen: Sequence[Mutant]) -> None:
    seen: set[str] = set()
    for one in chosen:
        if one.name in seen:
            raise UsageError(f"two patches are called {one.name}")
        seen.add(one.name)


def _results_folder(options: Options, resume: Path | None) -> Path:
    if resume is None:
        return results.new_folder(options.results, "mutants")
    folder = resume.resolve() / "mutants"
    if not folder.is_dir():
        raise UsageError(f"{resume} is no run of mutants")
    return folder


@contextmanager
def _campaign(
    options: Options,
    target: Target,
    jobs: tuple[Job, ...],
    chosen: Sequence[Mutant],
    folder: Path,
    tools: Tools,
) -> Iterator[Campaign]:
    with ExitStack() as held:
        _, tree = run.sources_of(options, target, tools, held)
        copy = None
        if not all(one.driver for one in chosen):
            copy = held.enter_context(mirror.hold(tree, tools.cache, tools.progress))
        tests = _tests(options)
        key = digest(
            tree.content,
            tests,
            repr(target),
            targets.fragment_text(target),
            build.compiler_version(target, tools.commands),
            json.dumps([options.kconfig_add, options.environment, options.leaks, bool(copy)]),
            json.dumps([asdict(job) for job in jobs]),
        )
        yield Campaign(
            replace(options, kernel=copy or options.kernel), target, jobs, tree.path, copy,
            folder, tests, key, tools,
        )  # fmt: skip


def _tests(options: Options) -> str:
    """Names and contents of everything that runs or says what is expected."""
    folders = [PROJECT / part for part in TESTS] + ([options.tests] if options.tests else [])
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    files += [options.expectations or CONFIGS / "expect" / f"{options.target}.txt"]
    return digest(
        *(
            f"{path.name}:{stage.file_hash(path)}"
            for path in files
            if path.is_file() and path.suffix in SOURCES
        )
    )


def _check_places(campaign: Campaign, one: Mutant) -> None:
    top = PROJECT if one.driver else campaign.tree
    for change in one.patch.changes:
        try:
            mirror.check_place(top, change.path)
        except UsageError as error:
            raise UsageError(f"{one.name}: {error}") from None


def _key(campaign: Campaign, one: Mutant) -> str:
    return digest(campaign.key, one.text.encode(errors="surrogateescape").hex())


def _result(campaign: Campaign, one: Mutant, outcome: mutants.Outcome, detail: str = "") -> Result:
    return Result(
        one.name, _key(campaign, one), outcome, detail=detail, killed_by=one.killed_by,
        files=tuple(change.path for change in one.patch.changes),
    )  # fmt: skip


def _excused(campaign: Campaign, one: Mutant) -> Result | None:
    """A mutant that is not tried, as its header says."""
    if one.equivalent:
        return _result(campaign, one, "equivalent", one.equivalent)
    if not one.is_for(campaign.target.name):
        return _result(campaign, one, "for another target", ", ".join(one.targets))
    return None


def _earlier(campaign: Campaign, one: Mutant) -> Result | None:
    """What the run that goes on has said of the same patch and the same tests."""
    try:
        data = json.loads((campaign.folder / f"{one.name}.json").read_text())
        if data["key"] != _key(campaign, one):
            return None
        data["killers"] = tuple(Killer(**killer) for killer in data["killers"])
        data["files"] = tuple(data["files"])
        return Result(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(campaign: Campaign, result: Result) -> None:
    """Whole or not at all."""
    half = campaign.folder / f"{result.name}.json.half"
    half.write_text(json.dumps(asdict(result), indent=1) + "\n")
    half.replace(campaign.folder / f"{result.name}.json")


def _baseline(campaign: Campaign) -> Baseline:
    """The same tree and tests without a mutant; remembered when it is green.
    NoVerdict when it can't be built or booted."""
    known = campaign.tools.cache.entry("baselines", f"{campaign.target.name}-{campaign.key}.json")
    try:
        data = json.loads(known.read_text())
        return Baseline("pass", (), frozenset(), data["code"], data["passed"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    campaign.tools.progress.say("first the baseline: no mutant")
    folder = campaign.folder.parent / campaign.target.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    done = _run(campaign, campaign.options, folder, "", {})
    found = mutants.baseline(done.shown, done.code)
    if found.verdict == "pass":
        half = known.with_name(f"{known.name}.half")
        half.write_text(json.dumps({"code": found.code, "passed": found.passed}) + "\n")
        half.replace(known)
    return found


def _try(campaign: Campaign, one: Mutant, before: Baseline) -> Result:
    """Apply, build, boot, run, compare; the tree is as it was at the end."""
    folder = campaign.folder / one.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    seconds: dict[str, float] = {}
    result = _result(campaign, one, "no verdict")
    try:
        with _applied(campaign, one) as (options, off):
            done = _run(campaign, options, folder, before.code, seconds)
    except patch.DoesNotApply as error:
        return replace(result, outcome="does not apply", detail=str(error))
    except NotBuilt as error:
        return replace(result, outcome="does not build", detail=_gist(error), seconds=seconds)
    except TestsChanged:
        raise
    except NoVerdict as error:
        booted = (folder / "console.log").exists()
        return replace(
            result, outcome="does not boot" if booted else "no verdict", detail=_gist(error),
            seconds=seconds,
        )  # fmt: skip
    result = replace(result, off=off, seconds=seconds, facts=done.facts)
    if done.code == before.code:
        return replace(result, outcome="not built", detail="what runs is the same without it")
    outcome, killers, detail = mutants.judged(done.shown, before, done.hung)
    return replace(result, outcome=outcome, killers=killers, detail=detail)


def _gist(error: NoVerdict) -> str:
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
    campaign: Campaign, options: Options, folder: Path, same: str, seconds: dict[str, float]
) -> Judged:
    """A run, with the tests that the call began with from its begin to its end."""
    try:
        done = _build_and_run(campaign, options, folder, same, seconds)
    except NoVerdict:
        _check_tests(campaign)
        raise
    _check_tests(campaign)
    return done


def _check_tests(campaign: Campaign) -> None:
    if _tests(campaign.options) != campaign.tests:
        raise TestsChanged("the tests have changed under this call: use a checkout of its own")


def _build_and_run(
    campaign: Campaign, options: Options, folder: Path, same: str, seconds: dict[str, float]
) -> Judged:
    """Build, boot and judge into a folder; boots nothing when `same` is what would
    run.  `seconds` is filled also when it fails."""
    begin = time.monotonic()
    builder = run.make_builder(options, campaign.tools, folder / "build.log")
    filtered = options.pattern is not None or options.tests is not None
    start = Run(campaign.target.name, campaign.jobs, filtered=filtered)
    try:
        with run.built(options, campaign.target, builder, campaign.tools) as ready:
            code = code_of(ready, builder)
            if code == same:
                return Judged({}, (), code)
            done = run.in_guests(options, ready, start, folder, campaign.tools)
    finally:
        seconds.update({part: round(value, 1) for part, value in builder.seconds.items()})
    again = {"reproduce": shlex.join(["runner/memsafe.py", *options.argv])}
    took = {"total": time.monotonic() - begin}
    done = replace(done, seconds=done.seconds | builder.seconds | took, facts=done.facts | again)
    done.save(folder)
    document = results.judged(folder, options.expectations)
    results.write(document, folder)
    seconds.update({part: round(value, 1) for part, value in done.seconds.items()})
    hung = tuple(
        result.name for result in done.results if result.outcome in ("timeout", "hung", "stuck")
    )
    facts = {"target": campaign.target.name, "kernel": ready.kernel.content, "code": code}
    return Judged(document["targets"][0], hung, code, facts)


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
