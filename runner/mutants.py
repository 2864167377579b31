# SPDX-License-Identifier: GPL-2.0
"""Mutants: what a patch's header says, what became of a run with it, and the table
of a campaign.  Values in, values out; mutate.py builds and boots."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from patch import Patch

Outcome = Literal[
    "killed by assertion",
    "killed by report",
    "timed out",
    "survived",
    "equivalent",
    "for another target",
    "not built",
    "does not apply",
    "does not build",
    "does not boot",
    "no verdict",
]
# In the order of the last line.
OUTCOMES: tuple[Outcome, ...] = (
    "killed by assertion",
    "killed by report",
    "timed out",
    "survived",
    "equivalent",
    "for another target",
    "not built",
    "does not apply",
    "does not build",
    "does not boot",
    "no verdict",
)
KILLED = ("killed by assertion", "killed by report", "timed out")
# Of these nothing is to be shown here.
NEUTRAL = ("equivalent", "for another target")

# What somebody without tests would see of it.
KINDS = ("silent", "report", "crash")

FIELD = re.compile(r"^(Equivalent|Kind|Killed-by|Targets):[ \t]*(\S.*?)[ \t\r]*$", re.M)
DRIVER = "module/"


class BadMutant(ValueError):
    """A header that says two things."""


@dataclass(frozen=True)
class Mutant:
    """`text` is the whole patch; `driver` says that it changes module/ of this
    project and not the kernel."""

    name: str
    text: str
    patch: Patch
    driver: bool
    equivalent: str = ""
    killed_by: str = ""
    targets: tuple[str, ...] = ()
    kind: str = ""

    def is_for(self, target: str) -> bool:
        return not self.targets or any(fnmatch.fnmatch(target, glob) for glob in self.targets)


@dataclass(frozen=True)
class Killer:
    """A case that fails, or a report that is there, with the mutant alone."""

    kind: Literal["assertion", "report"]
    name: str
    reason: str = ""


@dataclass(frozen=True)
class Baseline:
    """What the same tree says without any mutant: `bad` are the names of cases and
    signatures of reports that are red anyway, `code` is what ran, `passed` and
    `failing` are the cases that do, also those that are known to fail."""

    verdict: str
    reasons: tuple[str, ...]
    bad: frozenset[str]
    code: str
    passed: tuple[str, ...]
    failing: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Record:
    """What a campaign is of: the mutants of this shard and of the whole, the `key` of
    tests and kernel, and why it is `red` without any."""

    names: list[str]
    whole: list[str]
    key: str
    red: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """What became of one mutant.  `key` names all that it depends on, `off` is by
    how many lines the patch's place has moved."""

    name: str
    key: str
    outcome: Outcome
    killers: tuple[Killer, ...] = ()
    detail: str = ""
    off: int = 0
    files: tuple[str, ...] = ()
    killed_by: str = ""
    kind: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def mutant(name: str, text: str, patch: Patch) -> Mutant:
    """A mutant with what its header says.  BadMutant says what is wrong."""
    fields: dict[str, str] = {}
    for key, value in FIELD.findall(patch.header):
        if key in fields:
            raise BadMutant(f"two lines {key}:")
        fields[key] = value
    if fields.get("Kind", KINDS[0]) not in KINDS:
        raise BadMutant(f"Kind: {fields['Kind']} is none of {', '.join(KINDS)}")
    driver = {change.path.startswith(DRIVER) for change in patch.changes}
    if len(driver) > 1:
        raise BadMutant("changes both the kernel and module/ of this project")
    return Mutant(
        name,
        text,
        patch,
        driver.pop(),
        fields.get("Equivalent", ""),
        fields.get("Killed-by", ""),
        tuple(fields.get("Targets", "").replace(",", " ").split()),
        fields.get("Kind", ""),
    )


def red(shown: Mapping[str, Any]) -> list[Killer]:
    """Every case and report of a verdict (verdict.json's object of a target) that
    says no; what fails by itself comes first."""
    cases = [case for case in shown["cases"] if "known" not in case]
    found = [
        Killer("assertion", case["name"], "\n".join([case["reason"], *case.get("diagnostics", ())]).strip())
        for case in cases
        if case["status"] == "fail"
    ]
    found += [
        Killer("report", report["signature"], report["case"])
        for report in shown["reports"]
        if report["state"] in ("NEW", "MASKED")
    ]
    found += [
        Killer("report", case["name"], case["reason"]) for case in cases if case["status"] == "error"
    ]
    return list(dict.fromkeys(found))


def baseline(shown: Mapping[str, Any], code: str) -> Baseline:
    return Baseline(
        shown["verdict"],
        tuple(shown["reasons"]),
        frozenset(killer.name for killer in red(shown)),
        code,
        tuple(sorted(case["name"] for case in shown["cases"] if case["status"] == "pass")),
        frozenset(case["name"] for case in shown["cases"] if case["status"] == "fail"),
    )


def likely(one: Mutant, names: Sequence[str], earlier: Sequence[Result]) -> list[str]:
    """The jobs of some names that have killed it, or others in the same files, in
    earlier campaigns, and the one that its header names; those that have killed most
    come first."""
    files = {change.path for change in one.patch.changes}
    score: Counter[str] = Counter()
    for result in earlier:
        near = 10 * (result.name == one.name) + bool(files & set(result.files))
        for job in {killer.name.partition(".")[0] for killer in result.killers if near}:
            score[job] += near
    named = one.killed_by.partition(".")[0]
    found = [name for name in names if name in score or fnmatch.fnmatchcase(name, named)]
    return sorted(found, key=lambda name: (not fnmatch.fnmatchcase(name, named), -score[name]))


def judged(
    shown: Mapping[str, Any], before: Baseline, hung: Collection[str]
) -> tuple[Outcome, tuple[Killer, ...], str]:
    """Outcome, killers and detail of a run with a mutant; `hung` are the jobs that
    did not end.  What is red without it too kills nothing."""
    killers = [killer for killer in red(shown) if killer.name not in before.bad]
    assertions = [killer for killer in killers if killer.kind == "assertion"]
    # Whatever such a job did not report any more is the hang once again.
    others = [
        killer
        for killer in killers
        if killer.kind == "report" and not any(_is_of(killer.name, job) for job in hung)
    ]
    if assertions:
        return "killed by assertion", (*assertions, *others), ""
    if others:
        return "killed by report", tuple(others), ""
    if hung:
        return "timed out", (), f"no end of {', '.join(hung)}"
    new = [reason for reason in shown["reasons"] if reason not in before.reasons]
    if shown["verdict"] != "pass" and new:
        return "no verdict", (), new[0]
    return "survived", (), ""


def _is_of(case: str, job: str) -> bool:
    return case == job or case.startswith(f"{job}.")


def is_named(killed_by: str, killers: Sequence[Killer]) -> bool:
    """Is the case, or report, that a header names among the killers?  A case of
    parameters is all of its parameters."""
    return any(
        _is_of(killer.name, killed_by) or fnmatch.fnmatchcase(killer.name, killed_by)
        for killer in killers
    )


def line(result: Result) -> str:
    """A result in one line."""
    first = result.killers[0].name if result.killers else result.detail
    if len(result.killers) > 1:
        first += f" and {len(result.killers) - 1} more"
    notes: list[str] = []
    if result.outcome == "survived":
        notes += result.files
    if result.off:
        notes.append(f"{result.off} lines off")
    named = result.killed_by and is_named(result.killed_by, result.killers)
    if result.outcome in (*KILLED, "survived") and result.killed_by and not named:
        notes.append(f"not killed by {result.killed_by}")
    note = f"({', '.join(notes)})" if notes else ""
    return "  ".join(filter(None, (f"{result.outcome:19}", result.name, first, note)))


def scores(results: Sequence[Result]) -> list[str]:
    """How many were killed: of each file's, the file with most of them first, and then
    of each kind, where headers tell."""
    tried = [result for result in results if result.outcome in (*KILLED, "survived")]
    areas: dict[str, list[Result]] = {}
    kinds: dict[str, list[Result]] = {kind: [] for kind in KINDS}
    for result in tried:
        areas.setdefault(result.files[0] if result.files else "", []).append(result)
        if result.kind:
            kinds[result.kind].append(result)
    sorted_areas = sorted(areas.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        *(_score(area, its) for area, its in sorted_areas),
        *(_score(f"kind: {kind}", its) for kind, its in kinds.items() if its),
    ]


def _score(what: str, its: Sequence[Result]) -> str:
    killed = sum(result.outcome in KILLED for result in its)
    by_assertion = sum(result.outcome == "killed by assertion" for result in its)
    return f"{killed:3} of {len(its):3} killed, {by_assertion:3} by assertion  {what}"


def cost(results: Sequence[Result]) -> list[str]:
    """What the mutants took one after the other, without the kernel that many share."""
    ran = [result.seconds["total"] for result in results if "total" in result.seconds]
    if not ran:
        return []
    return [f"{sum(ran):.0f} s for {len(ran)} that ran: {median(ran):.1f} s the median, {max(ran):.1f} s the longest"]


def matrix(results: Sequence[Result]) -> str:
    """Mutants and what killed each, a pair a line: mutant, outcome, kind, killer."""
    rows = [
        "\t".join((result.name, result.outcome, killer.kind, killer.name))
        for result in results
        for killer in result.killers
    ]
    return "\n".join([*rows, ""])


def idle(results: Sequence[Result], passed: Collection[str]) -> list[str]:
    """The cases that passed without a mutant and killed none."""
    killers = {killer.name for result in results for killer in result.killers}
    return [name for name in sorted(passed) if name not in killers]


def table(results: Sequence[Result], bad: Sequence[str]) -> list[str]:
    """A campaign, the worst first, and the counts last; `bad` is why the tests are not
    green without any mutant."""
    rank = {outcome: number for number, outcome in enumerate(reversed(OUTCOMES))}
    rank["survived"] = -1
    lines = [line(result) for result in sorted(results, key=lambda result: rank[result.outcome])]
    if bad:
        lines.append("without a mutant it is not green; this kills nothing:")
        lines += [f"  {reason}" for reason in bad[:20]]
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in OUTCOMES}
    shown = [
        f"{count} {outcome.removeprefix('killed ') if index == 1 else outcome}"
        for index, (outcome, count) in enumerate(counts.items())
        if count or index in (0, 1, 3)
    ]
    return [*lines, *scores(results), *cost(results), ", ".join(shown)]


def status(results: Sequence[Result], bad: Sequence[str]) -> int:
    """0 when all were killed, 1 when one survived, 2 when of one nothing can be
    said, or when the tests are not green without any."""
    outcomes = {result.outcome for result in results}
    if bad:
        return 2
    if "survived" in outcomes:
        return 1
    told = outcomes - {"for another target"}
    return 0 if told and told <= {*KILLED, *NEUTRAL} else 2
