# SPDX-License-Identifier: GPL-2.0
"""From texts to a verdict.  Takes values, returns values: no I/O, no printing.

pass   every test of the manifest reported exactly once and passed, or is listed
       with its reason; every expected report was seen and no other
fail   a test, a report, a leak, a taint or a stale expectation says no
none   nothing can be said: something did not run, is missing, or only skipped, or a
       detector does not see what was provoked for it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import ktap
import leaks
import silence
import splat
import windows
from expect import Expectation, Expectations
from ktap_line import Status
from record import Job, JobResult, Run
from silence import Silence
from target import numbers
from windows import Window

# Documentation/admin-guide/tainted-kernels.rst: out-of-tree, unsigned and test
# modules are ours.
TAINT_OURS = 1 << 12 | 1 << 13 | 1 << 18
# A KASAN report taints as a bad page, a warning as a warning: where the report
# was expected, its taint is.
TAINT_OF_REPORTS = 1 << 5 | 1 << 9
# So does a trap that ends its task: it taints the kernel as one that has died.
TAINT_DIE = 1 << 7
DEADLY = ("kernel BUG", "BUG: unable to handle", "general protection fault", "Internal error", "Oops")


@dataclass(frozen=True)
class Case:
    """One test's outcome.  `known` is the reason it is excused for, if it is."""

    name: str
    status: Status
    reason: str = ""
    seconds: float | None = None
    known: str = ""
    diagnostics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """One report of the kernel.  `state` is NEW, KNOWN, EXPECTED or MASKED."""

    signature: str
    kind: str
    type: str
    state: str
    case: str
    integrity: str = "complete"
    reason: str = ""
    frames: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class Verdict:
    """`reasons` are sentences, the most important first, with those that are `blind`
    about detectors; `silenced` are no reason, but say what a pass does not speak of."""

    verdict: str
    reasons: tuple[str, ...]
    cases: tuple[Case, ...]
    reports: tuple[Report, ...]
    silenced: tuple[Silence, ...] = ()
    blind: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        found = {status: 0 for status in ("pass", "fail", "skip", "error", "miss")}
        for case in self.cases:
            found[case.status] += 1
        return found


def judge(
    run: Run,
    results: bytes,
    console: bytes,
    expected: Expectations,
    decoded: Mapping[str, str],
) -> Verdict:
    """The verdict of one run of one target from what it left on disk.  `decoded`
    maps a stack frame as printed to its file and line."""
    found = windows.of(run, console)
    cases: list[Case] = []
    reports: list[Report] = []
    for job in run.manifest:
        window = found.get(job.name)
        job_reports = _job_reports(job, window, expected, decoded)
        reports += job_reports
        cases += _job_cases(job, run, results, window, job_reports)
    reports += [
        _report(report, "", expected, decoded) for report in windows.outside(run, console)
    ]
    reports += [
        _report(report, job, expected, decoded) for job, report in leaks.found(run, results)
    ]
    cases = [_excuse(case, expected) for case in cases]
    detectors = {job.name: job.detects for job in run.manifest if job.detects}
    bad = [*_bad(cases, reports, detectors), *expected.problems, *_stale(run, cases, reports, expected)]
    blind = _blind(cases, detectors)
    missing = [*blind, *_missing(run, cases), *_lost(run, results, console)]
    verdict = "fail" if bad else "none" if missing else "pass"
    silenced = tuple(silence.found(run, console))
    return Verdict(verdict, (*bad, *missing), tuple(cases), tuple(reports), silenced, tuple(blind))


def of_log(text: str) -> tuple[tuple[Case, ...], tuple[Report, ...], tuple[str, ...]]:
    """Cases, reports and problems of any log, without a run around it."""
    parsed = ktap.parse(text)
    cases = tuple(
        Case(case.name, case.status, case.reason, diagnostics=case.diagnostics)
        for case in parsed.cases
    )
    lines = text.split("\n")
    reports = tuple(
        _report(windows.splat_of(report, lines), "", Expectations(), {})
        for report in splat.find(text)
    )
    return cases, reports, parsed.problems


def _job_cases(
    job: Job,
    run: Run,
    results: bytes,
    window: Window | None,
    reports: Sequence[Report],
) -> list[Case]:
    """A job's cases, and one named after the job for whatever is wrong with it."""
    mine = [result for result in run.results if result.name == job.name]
    if not mine:
        return [Case(job.name, "miss", "did not run")]
    if len(mine) > 1:
        return [Case(job.name, "error", f"reported {len(mine)} times")]
    result = mine[0]
    text = results[result.offset : result.offset + result.length].decode(errors="replace")
    if job.kind == "kunit" and window and (not text or _keeps_a_part_only(run)):
        text = window.text
    parsed = ktap.parse(text)
    cases = [_case(job, case) for case in parsed.cases]
    times = windows.seconds(job, result, text, parsed, window)
    cases = [replace(case, seconds=times.get(index)) for index, case in enumerate(cases)]
    # Whatever ended the job early is the reason for all that its output lacks.
    errors = _ending(result, cases) or list(parsed.problems)
    errors += _repeated(cases)
    errors += [*_consistency(job, result, cases), *_taint(result, run, reports)]
    if window and window.count > 1:
        errors.append(f"its marks are on the console {window.count} times")
    errors += [f"expected report was not seen: {title}" for title in _unseen(window, reports)]
    cases += [Case(job.name, "error", error) for error in errors]
    if not cases:
        cases.append(Case(job.name, "miss", "reported nothing"))
    if window is None:
        cases.append(Case(job.name, "miss", "the console does not show it: reports may be lost"))
    return cases + _vanished(job, cases)


def _keeps_a_part_only(run: Run) -> bool:
    """Before v6.7 KUnit's debugfs kept 512 bytes of a suite's results."""
    version = numbers(run.facts.get("kernel", ""))
    return bool(version) and version < (6, 7)


def failed(job: Job, text: str) -> frozenset[str]:
    """The cases that a job's output says have failed."""
    cases = [_case(job, case) for case in ktap.parse(text).cases]
    return frozenset(case.name for case in cases if case.status == "fail")


def _case(job: Job, case: ktap.Case) -> Case:
    """A case under its full name: a program's begins with the program.  One that
    only its number is known of, since its output was cut off, gets its name from
    the source: KUnit runs cases in the order of their table."""
    name = case.name
    if name != job.name and not name.startswith(job.name + "."):
        name = f"{job.name}.{name.removeprefix('global.')}"
    number = name.removeprefix(f"{job.name}.#")
    if job.kind == "kunit" and number.isdigit() and 0 < int(number) <= len(job.cases):
        name = job.cases[int(number) - 1]
    return Case(name, case.status, case.reason, diagnostics=case.diagnostics)


def _ending(result: JobResult, cases: Sequence[Case]) -> list[str]:
    """What the job's own end says, when it is no ordinary exit."""
    reported = [case.name for case in cases if case.status in ("pass", "fail", "skip")]
    after = f" after {reported[-1]}" if reported else ""
    sentences = {
        "signal": f"killed by signal {result.number}{after}",
        "timeout": f"no end within its time limit of {result.number} s{after}",
        "stuck": f"could not be killed after its time limit{after}",
        "errno": f"could not be started: errno {result.number}",
        "unload": f"the module can't be unloaded: errno {result.number}",
        "gone": f"{result.detail}{after}",
        "hung": f"{result.detail}{after}",
    }
    found = [sentences[result.outcome]] if result.outcome in sentences else []
    if result.dropped:
        found.append(f"{result.dropped} bytes of output over the limit were dropped")
    return found


def _repeated(cases: Sequence[Case]) -> list[str]:
    """Every test reports exactly once."""
    counts = Counter(case.name for case in cases)
    return [f"{name} reported {count} times" for name, count in counts.items() if count > 1]


def _consistency(job: Job, result: JobResult, cases: Sequence[Case]) -> list[str]:
    """A program's exit status and its results must agree; insmod's is 0 whatever
    the cases did."""
    if job.kind != "program" or result.outcome != "exit":
        return []
    bad = any(case.status in ("fail", "error", "miss") for case in cases)
    if result.number == 0 and not cases:
        return []
    if result.number in (0, 4) and bad:
        return [f"exit status {result.number} over failed cases"]
    if result.number not in (0, 4) and not bad:
        return [f"exit status {result.number} without a failed case"]
    return []


def _taint(result: JobResult, run: Run, reports: Sequence[Report]) -> list[str]:
    before = sum(guest.begin_taint for guest in run.guests if guest.index == result.guest)
    for other in run.results:
        if other is result:
            break
        if other.guest == result.guest:
            before |= other.taint
    new = result.taint & ~before & ~TAINT_OURS
    if reports and all(report.state in ("EXPECTED", "KNOWN") for report in reports):
        new &= ~TAINT_OF_REPORTS
        if any(report.signature.startswith(DEADLY) for report in reports):
            new &= ~TAINT_DIE
    return [f"taints the kernel: new flags {new:#x}"] if new else []


def _vanished(job: Job, cases: Sequence[Case]) -> list[Case]:
    """Cases of the source that no result speaks of.  A variant or a parameter
    adds a component to the name, behind the fixture or at the end."""
    groups = {name.rpartition(".")[0] for name in job.cases}
    seen = {case.name for case in cases}
    tails = {(_group(name, groups), name.rpartition(".")[2]) for name in seen}
    return [
        Case(name, "miss", "did not report")
        for name in job.cases
        if name not in seen
        and (name.rpartition(".")[0], name.rpartition(".")[2]) not in tails
        and not any(other.startswith(name + ".") for other in seen)
    ]


def _group(name: str, groups: Iterable[str]) -> str:
    """The suite or fixture that a result belongs to: the longest that it names."""
    return max((group for group in groups if name.startswith(group + ".")), key=len, default="")


def _job_reports(
    job: Job, window: Window | None, expected: Expectations, decoded: Mapping[str, str]
) -> list[Report]:
    """The reports in a job's window; announced ones are EXPECTED, one each."""
    if window is None:
        return []
    announced = list(window.announced)
    found = []
    for case, raw in window.reports:
        report = _report(raw, case, expected, decoded)
        if raw.title in announced and report.integrity == "complete":
            announced.remove(raw.title)
            report = replace(report, state="EXPECTED", reason="announced by the test")
        found.append(report)
    return found


def _unseen(window: Window | None, reports: Sequence[Report]) -> list[str]:
    """Announced reports that did not come."""
    announced = list(window.announced) if window else []
    for report in reports:
        if report.state == "EXPECTED" and report.signature in announced:
            announced.remove(report.signature)
    return announced


def _report(
    raw: windows.Splat, case: str, expected: Expectations, decoded: Mapping[str, str]
) -> Report:
    report = Report(
        raw.title, raw.kind, raw.type, "NEW", case, raw.state,
        frames=tuple(_frame(frame, decoded) for frame in raw.frames), text=raw.text,
    )  # fmt: skip
    for entry in expected.entries:
        if entry.covers("report", raw.title):
            return replace(report, state="KNOWN", reason=entry.reason)
    return report


def _frame(frame: str, decoded: Mapping[str, str]) -> str:
    return f"{frame} {decoded[frame]}" if frame in decoded else frame


def _excuse(case: Case, expected: Expectations) -> Case:
    for entry in expected.entries:
        if _excuses(entry, case):
            return replace(case, known=entry.reason)
    return case


def _excuses(entry: Expectation, case: Case) -> bool:
    outcome = {"skip": "skip", "fail": "fail", "error": "fail"}.get(case.status)
    return outcome is not None and entry.covers(outcome, case.name, case.reason)


def _bad(
    cases: Iterable[Case], reports: Iterable[Report], detectors: Mapping[str, str]
) -> list[str]:
    """Everything that says no, reports first.  What the suites of `detectors` say is
    not about the kernel: see _blind()."""
    found = [
        f"{report.signature}" + (f" in {report.case}" if report.case else " outside of any test")
        for report in reports
        if report.state in ("NEW", "MASKED")
    ]
    for case in cases:
        if _is_red(case) and _suite(case) not in detectors:
            found.append(f"{case.name}: {case.reason or case.status}")
    return found


def _blind(cases: Iterable[Case], detectors: Mapping[str, str]) -> list[str]:
    """What detectors do not see, or see where there is nothing."""
    return [
        f"{detectors[_suite(case)]} can't be relied on: {case.name}: {case.reason or case.status}"
        for case in cases
        if _is_red(case) and _suite(case) in detectors
    ]


def _is_red(case: Case) -> bool:
    return case.status in ("fail", "error") and not case.known


def _suite(case: Case) -> str:
    return case.name.partition(".")[0]


def _stale(
    run: Run, cases: Sequence[Case], reports: Sequence[Report], expected: Expectations
) -> list[str]:
    """Entries that excuse nothing any more.  When not everything ran only those
    whose test did can be told."""
    ran = {result.name for result in run.results}
    everything = not run.filtered and ran >= {job.name for job in run.manifest}
    stale = []
    for entry in expected.entries:
        if entry.outcome == "report":
            used = any(entry.covers("report", report.signature) for report in reports)
            applies = everything
        else:
            used = entry.outcome == "flake" or any(_excuses(entry, case) for case in cases)
            applies = everything or entry.name.partition(".")[0] in ran
        if applies and not used:
            stale.append(f"{expected.where(entry)}: stale: {entry.outcome} {entry.name}")
    return stale


def _missing(run: Run, cases: Sequence[Case]) -> list[str]:
    """Everything for which nothing can be said."""
    found = list(run.problems)
    found += [f"{case.name}: {case.reason}" for case in cases if case.status == "miss"]
    skips = [case for case in cases if case.status == "skip" and not case.known]
    found += [f"undeclared skip: {case.name}: {case.reason}" for case in skips]
    if not any(case.status == "pass" for case in cases):
        found.append("no test passed")
    last = {guest.batch: guest for guest in run.guests}
    found += [
        f"guest {guest.index + 1} did not reach its end mark: {guest.detail}"
        for guest in last.values()
        if not guest.ended
    ]
    states = {"off": "switched itself off", "no answer": "did not end its scan in time"}
    found += [
        f"guest {guest.index + 1}: kmemleak {states[guest.kmemleak]}, leaks were not seen"
        for guest in run.guests
        if guest.kmemleak in states
    ]
    return found


def _lost(run: Run, results: bytes, console: bytes) -> list[str]:
    """Texts that are not whole: what they have lost may have said anything."""
    found = []
    ends = [result.offset + result.length for result in run.results]
    if max([*ends, *(sum(guest.leaks) for guest in run.guests)], default=0) > len(results):
        found.append("results.ktap is shorter than run.json says")
    if max((sum(guest.console) for guest in run.guests), default=0) > len(console):
        found.append("console.log is shorter than run.json says")
    for guest in run.guests:
        if count := windows.dropped(guest, console):
            found.append(
                f"guest {guest.index + 1}: printk dropped {count} messages, reports may be lost"
            )
    return found
