# SPDX-License-Identifier: GPL-2.0
"""Which test upsets another one: a case that is bad in a whole run and good alone is
run behind fewer and fewer of the jobs that came before it in its guest.

results/<run>/isolate/<n>/ are the runs that were made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import record
import results
import run
import suspect
from cache import cap_bytes
from errors import NoVerdict, UsageError
from record import Job, Run
from run import Built, Options, Tools


@dataclass(frozen=True)
class Found:
    """`upset_by` are the fewest jobs that make the case bad; `runs` is how many it
    took.  Without any, `alone` says whether it is bad by itself."""

    case: str
    upset_by: tuple[str, ...]
    alone: bool
    runs: int


def isolate(options: Options, saved: Path, case: str, tools: Tools) -> Found:
    """`saved` is a run in which the case, a glob on names, is bad."""
    options = replace(options, target=record.load(saved).target, leaks=False)
    before, victim = _order(saved, case)
    names = {job.name: job for job in run.selected(options)}
    if missing := [name for name in (*before, victim) if name not in names]:
        raise UsageError(f"{saved} has run {missing[0]}, which is not there any more")
    folder = results.new_folder(options.results, "isolate")
    builder = run.make_builder(options, tools, folder / "build.log")
    try:
        with run.built(options, run.load(options), builder, tools) as ready:
            trial = _Trial(options, ready, folder, case, names[victim], tools)
            return _search(trial, [names[name] for name in before])
    finally:
        tools.progress.done()
        tools.cache.keep_within(cap_bytes())


def lines(found: Found) -> list[str]:
    """For a terminal."""
    if found.upset_by:
        said = f"{found.case} is upset by {' and '.join(found.upset_by)}"
    elif found.alone:
        said = f"{found.case} is bad alone as well: nothing upsets it"
    else:
        said = f"{found.case} is good behind all that came before it: once was not enough"
    return [f"{said} (runs: {found.runs})"]


def fewest(jobs: Sequence[Job], upsets: Callable[[Sequence[Job]], bool]) -> list[Job]:
    """Jobs none of which can be left out; all of them are known to upset."""
    left, size = list(jobs), len(jobs) // 2
    while size:
        at = 0
        while at < len(left):
            fewer = left[:at] + left[at + size :]
            if fewer and upsets(fewer):
                left = fewer
            else:
                at += size
        size //= 2
    return left


@dataclass
class _Trial:
    """One built kernel on which jobs are run, all in one guest and in their order."""

    options: Options
    ready: Built
    folder: Path
    case: str
    victim: Job
    tools: Tools
    runs: int = 0

    def upsets(self, jobs: Sequence[Job]) -> bool:
        """Is the case bad behind these?  NoVerdict when it was not run."""
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        self.tools.progress.say(f"{self.case} behind {len(jobs)} others")
        start = Run(self.ready.target.name, (*jobs, self.victim), filtered=True)
        done = run.in_guests(self.options, self.ready, start, folder, self.tools, side_by_side=False)
        answer = suspect.ended(self.case, _judged(self.options, done, folder))
        if answer == suspect.UNTESTABLE:
            raise NoVerdict(f"{self.case} was not run, see {folder}")
        return answer == suspect.BAD


def _judged(options: Options, done: Run, folder: Path) -> dict[str, Any]:
    shown: dict[str, Any] = run.finish(options, done, folder, {})["targets"][0]
    return shown


def _search(trial: _Trial, before: Sequence[Job]) -> Found:
    def found(*names: str, alone: bool = False) -> Found:
        return Found(trial.case, names, alone, trial.runs)

    if trial.upsets([]):
        return found(alone=True)
    if not before or not trial.upsets(before):
        return found()
    return found(*(job.name for job in fewest(before, trial.upsets)))


def _order(saved: Path, case: str) -> tuple[list[str], str]:
    """The jobs that came before the case's in its guest, and its own."""
    done = record.load(saved)
    job = suspect.jobs(case)
    mine = next((result for result in done.results if result.name == job), None)
    if mine is None:
        raise UsageError(f"{saved} has no results of {job or 'a report; name a case'}")
    if suspect.ended(case, results.judged(saved)["targets"][0]) != suspect.BAD:
        raise UsageError(f"{case} is not bad in {saved}")
    mates = [result.name for result in done.results if result.guest == mine.guest]
    return mates[: mates.index(mine.name)], mine.name
