# SPDX-License-Identifier: GPL-2.0
"""A verdict as files and as text for people: verdict.json, summary.txt, junit.xml."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from judge import Case, Report, Verdict
from record import Run
from silence import Silence, sentence

SCHEMA = 1
WORST = ("fail", "none", "pass")
# Of guests side by side it is the sum: their time, not the host's.
GUEST_PARTS = ("boot", "overhead", "tests", "leaks")
# Guest text goes to terminals and into XML: control characters stay behind, and
# so do those that end a line or turn its direction.
UNPRINTABLE = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd]"
)


def clean(text: str) -> str:
    """Text of a guest without anything a terminal or XML would act on."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def case_object(case: Case) -> dict[str, Any]:
    """A case as verdict.json and `parse --json` show it."""
    shown: dict[str, Any] = {
        "name": clean(case.name),
        "status": case.status,
        "reason": clean(case.reason),
        "seconds": case.seconds,
    }
    if case.known:
        shown["known"] = case.known
    if case.diagnostics:
        shown["diagnostics"] = [clean(line) for line in case.diagnostics]
    return shown


def report_object(report: Report) -> dict[str, Any]:
    """A kernel report as verdict.json and `parse --json` show it."""
    return {
        "signature": clean(report.signature),
        "class": clean(report.kind),
        "type": report.type,
        "state": report.state,
        "integrity": report.integrity,
        "case": clean(report.case),
        "reason": report.reason,
        "frames": [clean(frame) for frame in report.frames],
    }


def silence_object(silence: Silence) -> dict[str, Any]:
    """A reporter that was off, as verdict.json shows it."""
    return {
        "reporter": silence.reporter,
        "sentence": clean(sentence(silence)),
        "guest": silence.guest,
        "jobs": list(silence.jobs),
    }


def target_object(run: Run, verdict: Verdict, reproduce: str) -> dict[str, Any]:
    """One target's part of verdict.json."""
    first = run.guests[0] if run.guests else None
    parts = ("config", "build", "boot", "tests", "guests", "total")
    seconds = run.seconds | {"guests": sum(run.seconds.get(part, 0.0) for part in GUEST_PARTS)}
    return {
        "target": run.target,
        "kernel": run.facts.get("kernel", ""),
        "kernel_release": clean(first.hello.get("release", "")) if first else "",
        "cmdline": clean(first.cmdline) if first else "",
        "config_hash": run.facts.get("config_hash", ""),
        "accel": run.facts.get("accel", ""),
        "verdict": verdict.verdict,
        "reasons": [clean(reason) for reason in verdict.reasons],
        "counts": verdict.counts,
        "cases": [case_object(case) for case in verdict.cases],
        "reports": [report_object(report) for report in verdict.reports],
        "silenced": [silence_object(each) for each in verdict.silenced],
        "blind": [clean(sentence) for sentence in verdict.blind],
        "seconds": {part: round(seconds.get(part, 0.0), 3) for part in parts},
        "guests": len(run.guests),
        "reproduce": reproduce,
    }


def document(targets: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """The whole verdict.json; the run is as good as its worst target."""
    verdicts = [str(target["verdict"]) for target in targets]
    worst = next((word for word in WORST if word in verdicts), "none")
    reasons = [reason for target in targets for reason in target["reasons"]]
    return {
        "schema": SCHEMA,
        "verdict": worst,
        "reason": reasons[0] if reasons else "everything as expected" if targets else "nothing ran",
        **facts,
        "targets": list(targets),
    }


def summary(target: Mapping[str, Any], verbose: bool = False) -> str:
    """The terminal's page: what is wrong first, the verdict last."""
    lines = []
    for case in target["cases"]:
        if verbose or (case["status"] not in ("pass", "skip") and "known" not in case):
            reason = f"  {case['reason']}" if case["reason"] else ""
            lines.append(f"{case['status'].upper():5} {case['name']}{reason}")
            lines += [f"      {line}" for line in case.get("diagnostics", ())]
    for report in target["reports"]:
        if verbose or report["state"] != "EXPECTED":
            where = f"  in {report['case']}" if report["case"] else ""
            lines.append(f"{report['state']:5} {report['signature']}{where}")
            lines += [f"      {frame}" for frame in report["frames"][:6]]
    counts = ", ".join(f"{number} {status}" for status, number in target["counts"].items())
    expected = sum(report["state"] == "EXPECTED" for report in target["reports"])
    seconds = target["seconds"]
    lines.append(
        f"{target['target']} on Linux {target['kernel_release'] or target['kernel']} "
        f"({target['accel']}): {counts}, {expected} expected reports"
    )
    lines.append(
        f"time: build {seconds['build']:.1f} s, guests {seconds['guests']:.1f} s (boot "
        f"{seconds['boot']:.1f} s, tests {seconds['tests']:.1f} s), total {seconds['total']:.1f} s"
    )
    lines += [each["sentence"] for each in target["silenced"]]
    reasons = list(target["reasons"])
    if target["verdict"] != "pass":
        lines += [f"  {reason}" for reason in reasons[:20]]
        lines += [f"  ... and {len(reasons) - 20} more"] if len(reasons) > 20 else []
        lines.append(f"again: {target['reproduce']}")
    lines.append(f"verdict: {target['verdict']}")
    return "\n".join(lines) + "\n"


def log_summary(shown: Mapping[str, Any]) -> str:
    """What `parse` says of a log: a line each case and report, then the counts."""
    lines = [f"{case['status'].upper():5} {case['name']}  {case['reason']}".rstrip()
             for case in shown["cases"]]  # fmt: skip
    lines += [f"{report['state']:5} {report['signature']}" for report in shown["reports"]]
    lines += [f"problem: {problem}" for problem in shown["problems"]]
    lines.append(f"{len(shown['cases'])} cases, {len(shown['reports'])} reports")
    return "\n".join(lines)


def junit(target: Mapping[str, Any]) -> str:
    """JUnit XML: one suite a program or KUnit suite, reports in one of their own."""
    suites: dict[str, TestSuite] = {}
    for case in target["cases"]:
        group, _, name = case["name"].partition(".")
        suite = suites.setdefault(group, TestSuite(f"{target['target']}.{group}"))
        entry = TestCase(name or group, classname=group, time=case["seconds"] or 0.0)
        text = case["reason"] or case["status"]
        if case["status"] == "fail" and "known" not in case:
            entry.result = [Failure(text)]
        elif case["status"] in ("error", "miss") and "known" not in case:
            entry.result = [Error(text)]
        elif case["status"] != "pass":
            entry.result = [Skipped(case.get("known", text))]
        suite.add_testcase(entry)
    for report in target["reports"]:
        suite = suites.setdefault("reports", TestSuite(f"{target['target']}.reports"))
        entry = TestCase(report["signature"], classname=report["case"] or "kernel")
        if report["state"] in ("NEW", "MASKED"):
            entry.result = [Failure("\n".join([report["signature"], *report["frames"]]))]
        suite.add_testcase(entry)
    xml = JUnitXml()
    for suite in suites.values():
        xml.add_testsuite(suite)
    xml.update_statistics()
    return str(xml.tostring().decode())
