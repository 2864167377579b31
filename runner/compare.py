# SPDX-License-Identifier: GPL-2.0
"""Base against patched: every difference between two runs, with its class.

NEW      good on base, bad on patched
FIXED    bad on base, good on patched
MASKED   a report of base's, whose reporter was off with the patch
KNOWN    bad on both, or excused by an expectation
FLAKY    the same side has said both
NOT RUN  base has an answer, patched has none

Values in, values out.  A case is compared by its name, a kernel report by its
signature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import Any, Literal

import reached

Class = Literal["NEW", "FIXED", "MASKED", "KNOWN", "FLAKY", "NOT RUN"]
CLASSES: tuple[Class, ...] = ("NEW", "NOT RUN", "FLAKY", "MASKED", "KNOWN", "FIXED")
# What says no, and what says nothing.
BAD = ("fail", "error")
SILENT = ("miss", "skip")


@dataclass(frozen=True)
class Tally:
    """How often something was bad, of how many times that it was looked at."""

    bad: int = 0
    runs: int = 0

    def plus(self, bad: bool) -> "Tally":
        return Tally(self.bad + bad, self.runs + 1)

    @property
    def mixed(self) -> bool:
        return 0 < self.bad < self.runs

    def __str__(self) -> str:
        return f"{self.bad} of {self.runs}"


@dataclass(frozen=True)
class Difference:
    """`name` of a case or signature of a report.  `base` and `patched` are what they
    said first, `reason` is patched's (base's when it is fixed); `job` is the suite or
    program that says it again, "" when none does.  The tallies count all runs."""

    kind: Literal["case", "report"]
    name: str
    type: Class
    base: str
    patched: str
    reason: str = ""
    job: str = ""
    on_base: Tally = Tally()
    on_patched: Tally = Tally()


def differences(base: Mapping[str, Any], patched: Mapping[str, Any]) -> list[Difference]:
    """All differences, and what is bad on both, of two runs (verdict.json's objects
    of a target); the worst first."""
    found = [*_cases(base, patched), *_reports(base, patched)]
    return sorted(found, key=lambda one: (CLASSES.index(one.type), one.kind, one.name))


def _cases(base: Mapping[str, Any], patched: Mapping[str, Any]) -> Iterable[Difference]:
    before = {case["name"]: case for case in base["cases"]}
    after = {case["name"]: case for case in patched["cases"]}
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        was = old["status"] if old else "absent"
        now = new["status"] if new else "absent"
        known = bool(old and "known" in old) and bool(new and "known" in new)
        kind = _class(was, now, known)
        if kind:
            said = new if new and kind != "FIXED" else old
            yield Difference(
                "case", name, kind, was, now, said["reason"] if said else "", name.partition(".")[0],
                Tally().plus(was in BAD), Tally().plus(now in BAD),
            )  # fmt: skip


def _class(was: str, now: str, known: bool) -> Class | None:
    """None when there is nothing to say: the same on both, and not bad."""
    if was in BAD and now in BAD:
        return "KNOWN"
    if now in BAD:
        return "NEW"
    if was in BAD:
        return "FIXED" if now == "pass" else "NOT RUN"
    if was == "pass" and now != "pass":
        return "NOT RUN"
    if was == now == "miss":
        return "NOT RUN"
    return None


def _reports(base: Mapping[str, Any], patched: Mapping[str, Any]) -> Iterable[Difference]:
    """A signature that comes more often is not new; one that comes at all is."""
    before, after = _signatures(base), _signatures(patched)
    excused = {each["signature"] for each in patched["reports"] if each["state"] == "KNOWN"}
    for name in dict.fromkeys((*before, *after)):
        known = name in excused or (name in before and name in after)
        report = (after if name in after else before)[name]
        gone: Class = "MASKED" if _is_masked(report, patched) else "FIXED"
        kind: Class = "KNOWN" if known else "NEW" if name in after else gone
        case = str(report["case"])
        yield Difference(
            "report", name, kind, "seen" if name in before else "-", "seen" if name in after else "-",
            case, case.partition(".")[0],
            Tally().plus(name in before), Tally().plus(name in after),
        )  # fmt: skip


def _signatures(shown: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Reports that nobody expected, the first of each signature."""
    found: dict[str, Mapping[str, Any]] = {}
    for report in shown["reports"]:
        if report["state"] != "EXPECTED":
            found.setdefault(report["signature"], report)
    return found


def _is_masked(report: Mapping[str, Any], patched: Mapping[str, Any]) -> bool:
    """Was the report's reporter off where the report would have come?"""
    reporter = "lockdep" if report["type"] == "LOCKDEP" else report["class"].partition(":")[0]
    job = report["case"].partition(".")[0]
    return any(each["reporter"] == reporter and job in each["jobs"] for each in patched["silenced"])


def again(found: Difference, base: Mapping[str, Any] | None, patched: Mapping[str, Any] | None) -> Difference:
    """A difference after its job has run once more, on one side or on both.  A run
    in which it has said nothing does not count."""
    return replace(
        found,
        on_base=_counted(found, found.on_base, base),
        on_patched=_counted(found, found.on_patched, patched),
    )


def _counted(found: Difference, tally: Tally, shown: Mapping[str, Any] | None) -> Tally:
    if shown is None:
        return tally
    if found.kind == "report":
        ran = any(case["status"] != "miss" for case in shown["cases"])
        return tally.plus(found.name in _signatures(shown)) if ran else tally
    told = [case for case in shown["cases"] if case["status"] not in SILENT]
    for case in told:
        if case["name"] == found.name:
            return tally.plus(case["status"] in BAD)
    # A job itself is a case only when something is wrong with it as a whole.
    whole = found.name == found.job and any(case["name"].startswith(f"{found.job}.") for case in told)
    return tally.plus(False) if whole else tally


def chance(found: Difference) -> float:
    """How probable such tallies, or worse ones, are when the patch changes nothing:
    Fisher's exact test, one-sided, of bad on patched against bad on base."""
    old, new = found.on_base, found.on_patched
    bad, runs = old.bad + new.bad, old.runs + new.runs
    if not runs:
        return 1.0
    ways = sum(
        comb(new.runs, count) * comb(old.runs, bad - count)
        for count in range(new.bad, min(bad, new.runs) + 1)
        if bad - count <= old.runs
    )
    return ways / comb(runs, bad)


def threshold(alpha: float, compared: int, looks: int) -> float:
    """What the chance of one difference has to be below, so that the chance of any
    false alarm among all that was compared, looked at so often, is below alpha."""
    return alpha / max(1, compared) / max(1, looks)


def settled(found: Difference, limit: float) -> Difference:
    """A NEW one that has been run again: FLAKY when the sides can't be told apart
    and one of them has said both, else as it is."""
    if found.type == "NEW" and chance(found) > limit and (found.on_base.mixed or found.on_patched.mixed):
        return replace(found, type="FLAKY")
    return found


def is_open(found: Difference, limit: float) -> bool:
    """Would another run tell more?  Not when it is certain, or as good as refuted:
    base has it as often as patched."""
    if found.type != "NEW" or not found.job:
        return False
    old, new = found.on_base, found.on_patched
    refuted = old.bad > 0 and old.bad * new.runs >= new.bad * old.runs
    return chance(found) > limit and not refuted


def counts(found: Sequence[Difference]) -> dict[str, int]:
    """How many there are of each class, all classes named."""
    seen = Counter(one.type for one in found)
    return {each: seen[each] for each in CLASSES}


def verdict(found: Sequence[Difference], base: str, patched: str, limit: float = 1.0) -> tuple[str, str]:
    """pass, fail or none for the patch, and why.  A base that is red is no reason
    against the patch; one of which nothing is known is no base.  Without a limit
    every difference counts, though none was run again."""
    new = [one for one in found if one.type == "NEW"]
    certain = [one for one in new if chance(one) <= limit]
    if certain:
        return "fail", f"{len(certain)} new, the first: {certain[0].name}"
    if new:
        return "none", f"not certain within the budget: {new[0].name}"
    lost = [one for one in found if one.type == "NOT RUN"]
    if lost:
        return "none", f"{len(lost)} did not run with the patch, the first: {lost[0].name}"
    if "none" in (base, patched) and not found:
        return "none", f"{'base' if base == 'none' else 'patched'} has no verdict"
    return "pass", "nothing new"


def lines(document: Mapping[str, Any]) -> list[str]:
    """What gate.json says, for a terminal: differences, counts, verdict."""
    found = []
    for one in document["differences"]:
        old, new = (Tally(**one[side]) for side in ("on_base", "on_patched"))
        tally = f"base {old}, patched {new}"
        if one["type"] in ("NEW", "FLAKY") and old.runs + new.runs > 2:
            tally += f", chance {one['chance']:.1e}"
        first = str(one["reason"]).partition("\n")[0]
        found.append(f"{one['type']:8} {one['name']}  {one['base']} -> {one['patched']} ({tally})  {first}".rstrip())
    counted = ", ".join(f"{count} {name.lower()}" for name, count in document["counts"].items())
    found.append(f"{document['compared']} compared: {counted}")
    if "changed_functions" in document:
        found += reached.lines(document["changed_functions"])
    if "seconds" in document:
        times = ", ".join(f"{name} {value} s" for name, value in document["seconds"].items())
        found += [f"time: {times}", f"results: {document['folder']}"]
    found.append(f"verdict on the patch: {document['verdict']} ({document['reason']})")
    return found
