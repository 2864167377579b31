# SPDX-License-Identifier: GPL-2.0
"""A campaign of mutants against what the same tree says without any.

results/<run>/mutants/ has a file for each, <name>.json, written when it has ended,
beside a folder <name>/ with all that its run left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import mirror
import mutants
import patch
import results
import run
import together
import trial
from cache import cap_bytes
from errors import NoVerdict, UsageError
from mutants import Baseline, Killer, Mutant, Result
from record import Job
from run import Options, Tools
from shard import Part
from target import PROJECT, Target
from trial import Campaign


# Beside the results; no mutant has that name.
RECORD = "campaign.record"


@dataclass(frozen=True)
class How:
    """`resume` is the folder of a run to go on with; `apart`: a kernel for each mutant
    of the kernel; `full`: all tests of each; `shard`: which of the mutants."""

    resume: Path | None = None
    apart: bool = False
    full: bool = False
    shard: Part | None = None


def mutate(
    options: Options, paths: Sequence[Path], how: How, tools: Tools
) -> tuple[list[str], int]:
    """All mutants of some patches and folders: the table as lines, and the exit
    status."""
    chosen = [read(path) for path in patches(paths)]
    _check_names(chosen)
    names = [one.name for one in chosen]
    chosen = how.shard.of(chosen) if how.shard else chosen
    target = run.load(options)
    if target.kunit_py:
        raise UsageError(f"mutants are tried in guests; {target.name} has none")
    jobs = tuple(run.selected(options))
    earlier = _earlier_results(options)
    folder = _results_folder(options, how.resume)
    found: list[Result] = []
    baselines: list[Baseline] = []
    try:
        with _campaign(options, target, jobs, chosen, folder, tools) as campaign:
            campaign = replace(campaign, full=how.full, earlier=earlier)
            for one in chosen:
                _check_places(campaign, one)
            of_what = mutants.Record([one.name for one in chosen], names, campaign.key)
            _write(folder / RECORD, asdict(of_what))
            for result in _results(campaign, chosen, how.apart, baselines):
                _save(campaign, result)
                found.append(result)
                tools.progress.say(f"{len(found)} of {len(chosen)}  {mutants.line(result)}")
    except KeyboardInterrupt:
        tools.progress.say(f"{len(found)} of {len(chosen)} have ended; go on with --resume {folder.parent}")
        raise
    finally:
        tools.progress.done()
    found.sort(key=lambda result: names.index(result.name))
    red = [before.reasons or (before.verdict,) for before in baselines if before.verdict != "pass"]
    of_what = replace(of_what, red=[reason for reasons in red for reason in reasons])
    _write(folder / RECORD, asdict(of_what))
    if how.full:
        passed = {name for before in baselines for name in before.passed}
        (folder / "idle.txt").write_text("\n".join([*mutants.idle(found, passed), ""]))
    tools.cache.keep_within(cap_bytes())
    return _told(folder, found, of_what)


def _told(folder: Path, found: Sequence[Result], of_what: mutants.Record) -> tuple[list[str], int]:
    lines = mutants.table(found, of_what.red)
    (folder / "matrix.tsv").write_text(mutants.matrix(found))
    (folder / "summary.txt").write_text("\n".join(lines) + "\n")
    return lines, mutants.status(found, of_what.red)


def merge(folders: Sequence[Path], top: Path) -> tuple[list[str], int]:
    """One campaign of the shards in some results folders, in a folder of its own.
    NoVerdict when a mutant of the whole has no result in any."""
    records = [_record(folder / "mutants" / RECORD) for folder in folders]
    first = records[0]
    for path, each in zip(folders, records, strict=True):
        if (each.whole, each.key) != (first.whole, first.key):
            raise UsageError(f"{path} is of another campaign: other mutants, tests or kernel")
    where = {path.stem: path for folder in folders for path in sorted((folder / "mutants").glob("*.json"))}
    missing = [name for name in first.whole if name not in where]
    if missing:
        raise NoVerdict(f"no result of {', '.join(missing)}")
    target = results.new_folder(top, "mutants")
    found = []
    for name in first.whole:
        result = _load(where[name])
        if result is None:
            raise NoVerdict(f"{where[name]} is no result")
        found.append(result)
        shutil.copyfile(where[name], target / f"{name}.json")
        if where[name].with_suffix("").is_dir():
            shutil.copytree(where[name].with_suffix(""), target / name, symlinks=True)
    whole = replace(first, names=first.whole, red=[reason for each in records for reason in each.red])
    _write(target / RECORD, asdict(whole))
    return _told(target, found, whole)


def _record(path: Path) -> mutants.Record:
    try:
        return mutants.Record(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        raise UsageError(f"{path.parent.parent} is no run of mutants") from None


def _results(
    campaign: Campaign, chosen: Sequence[Mutant], apart: bool, baselines: list[Baseline]
) -> Iterator[Result]:
    """What becomes of each, and in `baselines` what they are compared with.  The
    project's own come first: they need no other kernel than the baseline's."""
    left: list[Mutant] = []
    for one in chosen:
        known = _excused(campaign, one) or _earlier(campaign, one)
        if known:
            yield known
        else:
            left.append(one)
    drivers = [one for one in left if one.driver]
    kernels = [one for one in left if not one.driver]
    yield from _one_by_one(campaign, drivers, baselines)
    if kernels and not apart:
        # Those that have ended are in it too: it is what it was before.
        with together.image(campaign, [one for one in chosen if not one.driver]) as image:
            if image:
                baselines.append(together.baseline(image))
                inside = [one for one in kernels if one.name in image.numbers]
                kernels = [one for one in kernels if one not in inside]
                yield from together.attempts(image, inside, baselines[-1])
    yield from _one_by_one(campaign, kernels, baselines)


def _one_by_one(
    campaign: Campaign, chosen: Sequence[Mutant], baselines: list[Baseline]
) -> Iterator[Result]:
    if chosen:
        before = trial.plain_baseline(campaign)
        baselines.append(before)
    for one in chosen:
        campaign.tools.progress.say(f"mutant {one.name}")
        yield trial.attempt(campaign, one, before)


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
        content = f"{tree.content} {'mirror' if copy else ''}"
        tests, key = run.tests_content(options), run.identity(options, jobs, content, tools)
        yield Campaign(
            replace(options, kernel=copy or options.kernel), target, jobs, tree.path, copy,
            folder, tests, key, tools,
        )  # fmt: skip


def _check_places(campaign: Campaign, one: Mutant) -> None:
    top = PROJECT if one.driver else campaign.tree
    for change in one.patch.changes:
        try:
            mirror.check_place(top, change.path)
        except UsageError as error:
            raise UsageError(f"{one.name}: {error}") from None


def _excused(campaign: Campaign, one: Mutant) -> Result | None:
    """A mutant that is not tried, as its header says."""
    if one.equivalent:
        return trial.result_of(campaign, one, "equivalent", one.equivalent)
    if not one.is_for(campaign.target.name):
        return trial.result_of(campaign, one, "for another target", ", ".join(one.targets))
    return None


def _earlier(campaign: Campaign, one: Mutant) -> Result | None:
    """What the run that goes on has said of the same patch and the same tests."""
    result = _load(campaign.folder / f"{one.name}.json")
    return result if result and result.key == trial.key(campaign, one) else None


def _earlier_results(options: Options) -> tuple[Result, ...]:
    """What all campaigns of the results folder have found."""
    found = [_load(path) for path in sorted(options.results.glob("*/mutants/*.json"))]
    return tuple(result for result in found if result)


def _load(path: Path) -> Result | None:
    try:
        data = json.loads(path.read_text())
        data["killers"] = tuple(Killer(**killer) for killer in data["killers"])
        data["files"] = tuple(data["files"])
        return Result(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _save(campaign: Campaign, result: Result) -> None:
    _write(campaign.folder / f"{result.name}.json", asdict(result))


def _write(path: Path, value: object) -> None:
    """Whole or not at all."""
    half = path.with_name(f"{path.name}.half")
    half.write_text(json.dumps(value, indent=1) + "\n")
    half.replace(path)


