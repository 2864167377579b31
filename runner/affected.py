# SPDX-License-Identifier: GPL-2.0
"""Which suites and programs run what a patch changes, as earlier gates have seen it.

The gates are read from the results folder.  One counts when its tests were those of
today, byte for byte, and all of them; a function that none of these has followed, or
that ran outside of every test, may be run by any.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from reached import Changed
from record import Job


def choose(
    gates: Path, target: str, tests: str, changes: Sequence[Changed], every: Sequence[Job]
) -> tuple[tuple[Job, ...], str]:
    """The jobs that run any of the changed functions, and how many they are; or all of
    them, and why."""
    if not changes:
        return tuple(every), "all tests: the patch changes no code"
    for one in changes:
        if not one.is_followed:
            return tuple(every), f"all tests: {one.where.rstrip(':')} can't be followed ({one.why})"
    known = _known(gates, target, tests, {job.name for job in every})
    names: set[str] = set()
    for one in changes:
        jobs = known.get(one.where)
        if not jobs:
            return tuple(every), f"all tests: no gate before has seen who runs {one.where}"
        names |= jobs
    chosen = tuple(job for job in every if job.name in names)
    return chosen, f"{len(chosen)} of {len(every)} suites and programs run what is changed"


def _known(gates: Path, target: str, tests: str, every: set[str]) -> dict[str, set[str]]:
    """Function to the jobs of all gates that saw it run; to none where one saw it run
    outside of any."""
    found: dict[str, set[str]] = {}
    outside = set()
    for where, jobs in _seen(gates, target, tests, every):
        found.setdefault(where, set()).update(jobs)
        if not jobs:
            outside.add(where)
    return {where: jobs for where, jobs in found.items() if where not in outside}


def _seen(
    gates: Path, target: str, tests: str, every: set[str]
) -> Iterator[tuple[str, list[str]]]:
    """(function, jobs) of gates that ran all of these tests; a damaged gate.json is as
    good as none."""
    for path in sorted(gates.glob("*/gate/gate.json")):
        try:
            document = json.loads(path.read_text())
            of_today = (document["target"], document["tests"]) == (target, tests)
            ran = [one for one in document["changed_functions"] if one["reached"]]
            seen = [(f"{one['file']}:{one['function']}", [str(job) for job in one["jobs"]]) for one in ran]
            if of_today and every <= set(document["jobs"]):
                yield from seen
        except (OSError, ValueError, KeyError, TypeError):
            continue
