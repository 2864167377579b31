# SPDX-License-Identifier: GPL-2.0
"""Mutants: what a patch's header says, what became of a run with it, and the table
of a campaign.  Values in, values out; mutate.py builds and boots."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
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

FIELD = re.compile(r"^(Equivalent|Killed-by|Targets):[ \t]*(\S.*?)[ \t\r]*$", re.M)
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
    signatures of reports that are red anyway, `code` is what ran."""

    verdict: str
    reasons: tuple[str, ...]
    bad: frozenset[str]
    code: str
    passed: int


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
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def mutant(name: str, text: str, patch: Patch) -> Mutant:
    """A mutant with what its header says.  BadMutant says what is wrong."""
    fields: dict[str, str] = {}
    for key, value in FIELD.findall(patch.header):
        if key in fields:
            raise BadMutant(f"two lines {key}:")
        fields[key] = value
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
        shown["counts"]["pass"],
    )


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


def table(results: Sequence[Result], before: Baseline | None) -> list[str]:
    """A campaign, the worst first, and the counts last."""
    rank = {outcome: number for number, outcome in enumerate(reversed(OUTCOMES))}
    rank["survived"] = -1
    lines = [line(result) for result in sorted(results, key=lambda result: rank[result.outcome])]
    if before and before.verdict != "pass":
        lines.append(f"without a mutant it is not green ({before.verdict}); this kills nothing:")
        lines += [f"  {reason}" for reason in before.reasons[:20]]
    counts = {outcome: sum(result.outcome == outcome for result in results) for outcome in OUTCOMES}
    shown = [
        f"{count} {outcome.removeprefix('killed ') if index == 1 else outcome}"
        for index, (outcome, count) in enumerate(counts.items())
        if count or index in (0, 1, 3)
    ]
    return [*lines, ", ".join(shown)]


def status(results: Sequence[Result], before: Baseline | None) -> int:
    """0 when all were killed, 1 when one survived, 2 when of one nothing can be
    said, or when the tests are not green without any."""
    outcomes = {result.outcome for result in results}
    if before and before.verdict != "pass":
        return 2
    if "survived" in outcomes:
        return 1
    told = outcomes - {"for another target"}
    return 0 if told and told <= {*KILLED, *NEUTRAL} else 2
