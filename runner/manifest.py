# SPDX-License-Identifier: GPL-2.0
"""Which tests there are: found by pattern in the project's sources."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from errors import UsageError
from record import Job

KUNIT_CASE = re.compile(r"^\s*KUNIT_CASE(?:_PARAM|_SLOW|_ATTR|_PARAM_ATTR)?\(\s*(\w+)", re.M)
GUEST = re.compile(r'^MEMSAFE_GUEST\("(\w+)"\);', re.M)
DETECTS = re.compile(r'^MEMSAFE_DETECTS\("([^"]+)"\);', re.M)
HARNESS_CASE = re.compile(r"^TEST(?:_F(?:_TIMEOUT|_SIGNAL)?)?\(\s*(\w+)(?:\s*,\s*(\w+))?", re.M)


def jobs(project: Path, tests: Path | None = None) -> list[Job]:
    """All KUnit suites, then all programs, sorted by name; `tests` is a folder
    that takes the place of kunit/ and selftests/."""
    suites, programs = tests or project / "kunit", tests or project / "selftests"
    found = [kunit(path) for path in sorted(suites.glob("memsafe_*_kunit.c"))]
    return found + [program(path) for path in sorted(programs.glob("*_test.c"))]


def kunit(path: Path) -> Job:
    name, text = path.name.removesuffix("_kunit.c"), path.read_text()
    cases = tuple(f"{name}.{case}" for case in KUNIT_CASE.findall(text))
    return Job(name, "kunit", cases, _guest(text), detects=_detects(text))


def program(path: Path) -> Job:
    """Cases as the judge names them: subject.case or subject.fixture.case."""
    name, text = path.name.removesuffix("_test.c"), path.read_text()
    cases = []
    for first, second in HARNESS_CASE.findall(text):
        fixture, case = (first, second) if second else ("global", first)
        cases.append(f"{name}.{case}" if fixture in (name, "global") else f"{name}.{fixture}.{case}")
    return Job(name, "program", tuple(cases), _guest(text))


def _guest(text: str) -> str:
    """The kind of guest that a source asks for: MEMSAFE_GUEST("pc");"""
    asked = GUEST.search(text)
    return asked.group(1) if asked else ""


def _detects(text: str) -> str:
    """The detector that a suite proves to see: MEMSAFE_DETECTS("KASAN");"""
    named = DETECTS.search(text)
    return named.group(1) if named else ""


def select(all_jobs: list[Job], pattern: str | None) -> list[Job]:
    """Jobs whose name, or one of whose cases, matches one of the globs, which are
    separated by commas.  UsageError for a glob that matches none."""
    if pattern is None:
        return all_jobs
    chosen: set[str] = set()
    for glob in pattern.split(","):
        names = [glob, glob.partition(".")[0]]
        found = {job.name for job in all_jobs if any(fnmatch.fnmatch(job.name, name) for name in names)}
        if not found:
            raise UsageError(f"no suite or program matches {glob!r}")
        chosen |= found
    return [job for job in all_jobs if job.name in chosen]
