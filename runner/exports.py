# SPDX-License-Identifier: GPL-2.0
"""A verdict for other people's systems: KCIDB, Patchwork, b4, and a mail.

Takes verdict.json's object and returns values; the guest's text in it was cleaned
when it was made (report.clean)."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ORIGIN = "memsafe"
# github.com/kernelci/kcidb-io, schema 5.3.
KCIDB_VERSION = {"major": 5, "minor": 3}
EXCERPT_MAX = 16384
STATUS = {"pass": "PASS", "fail": "FAIL", "skip": "SKIP", "error": "ERROR", "miss": "MISS"}
WHOLE = {"pass": "PASS", "fail": "FAIL", "none": "ERROR"}
BODY_LINES = 40
LINE_MAX = 160


def kcidb(document: Mapping[str, Any], started: str) -> dict[str, Any]:
    """A KCIDB submission: one checkout, one build, one test a case and one for the
    whole run; an issue for each unexpected report, with an incident where it came."""
    digest = _digest(json.dumps(document, sort_keys=True))
    found: dict[str, Any] = {"version": KCIDB_VERSION}
    parts: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("checkouts", "builds", "tests", "issues", "incidents")
    }
    for target in document["targets"]:
        run = f"{ORIGIN}:{digest}/{_path(target['target'])}"
        parts["checkouts"].append(_checkout(run, target, started))
        parts["builds"].append(_build(run, target, document))
        tests = _tests(run, target, document, started)
        parts["tests"] += tests
        issues, incidents = _issues(run, target, {test["misc"].get("case"): test["id"] for test in tests})
        parts["issues"] += [issue for issue in issues if issue not in parts["issues"]]
        parts["incidents"] += incidents
    return found | {name: part for name, part in parts.items() if part}


def _checkout(run: str, target: Mapping[str, Any], started: str) -> dict[str, Any]:
    release = target["kernel_release"] or target["kernel"]
    return {"id": run, "origin": ORIGIN, "comment": f"Linux {release}", "start_time": started, "valid": True}


def _build(run: str, target: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": run, "origin": ORIGIN, "checkout_id": run, "status": "PASS",
        "architecture": re.sub("[^a-z0-9_]", "", target["target"].partition("-")[0]),
        "compiler": _line(document["compiler"]), "config_name": _line(target["target"]),
        "duration": target["seconds"]["build"], "misc": {"config_hash": target["config_hash"]},
    }  # fmt: skip


def _tests(
    run: str, target: Mapping[str, Any], document: Mapping[str, Any], started: str
) -> list[dict[str, Any]]:
    environment = {
        "comment": _line(f"{document['qemu']} ({target['accel']})"),
        "misc": {"cmdline": target["cmdline"]},
    }
    whole: dict[str, Any] = {
        "id": f"{run}/", "origin": ORIGIN, "build_id": run, "path": ORIGIN, "start_time": started,
        "status": WHOLE[target["verdict"]], "comment": _line("; ".join(target["reasons"][:3])),
        "duration": target["seconds"]["total"], "environment": environment,
        "misc": {"reproduce": target["reproduce"], "commit": document["commit"]},
    }  # fmt: skip
    seen: Counter[str] = Counter()
    tests = [whole]
    for case in target["cases"]:
        seen[case["name"]] += 1
        again = f"#{seen[case['name']]}" if seen[case["name"]] > 1 else ""
        tests.append(_test(f"{run}/{case['name']}{again}", run, case))
    return tests


def _test(name: str, run: str, case: Mapping[str, Any]) -> dict[str, Any]:
    test: dict[str, Any] = {
        "id": name, "origin": ORIGIN, "build_id": run, "path": f"{ORIGIN}.{_path(case['name'])}",
        "status": STATUS[case["status"]], "misc": {"case": case["name"]},
    }  # fmt: skip
    if case["reason"]:
        test["comment"] = _line(case["reason"])
    if case["seconds"] is not None:
        test["duration"] = case["seconds"]
    if "known" in case:
        test["misc"]["known"] = case["known"]
    if case.get("diagnostics"):
        test["log_excerpt"] = "\n".join(case["diagnostics"])[-EXCERPT_MAX:]
    return test


def _issues(
    run: str, target: Mapping[str, Any], tests: Mapping[str | None, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    issues: dict[str, dict[str, Any]] = {}
    incidents: dict[str, dict[str, Any]] = {}
    for report in _unexpected(target):
        issue = f"{ORIGIN}:{_digest(report['signature'])}"
        issues[issue] = {
            "id": issue, "version": 0, "origin": ORIGIN, "report_subject": _line(report["signature"]),
            "culprit": {"code": True}, "comment": _line(report["reason"]),
        }  # fmt: skip
        where = {"test_id": tests[report["case"]]} if report["case"] in tests else {"build_id": run}
        name = f"{run}/{_digest(issue + next(iter(where.values())))}"
        incidents[name] = {
            "id": name, "origin": ORIGIN, "issue_id": issue, "issue_version": 0, "present": True, **where,
            "misc": {"state": report["state"], "frames": report["frames"]},
        }  # fmt: skip
    return list(issues.values()), list(incidents.values())


def patchwork(document: Mapping[str, Any], url: str) -> dict[str, Any]:
    """A check of Patchwork's REST API: what is posted to .../patches/ID/checks/."""
    states = {"pass": "success", "none": "warning", "fail": "fail"}
    names = "-".join(_path(target["target"]).replace(".", "_") for target in document["targets"])
    return {
        "state": states[document["verdict"]],
        "context": f"{ORIGIN}-{names}"[:255],
        "target_url": url or None,
        "description": headline(document)[:250],
    }


def b4(document: Mapping[str, Any], url: str) -> list[dict[str, Any]]:
    """What `b4 review` reads from a check command: one result a target."""
    states = {"pass": "pass", "none": "warn", "fail": "fail"}
    found = []
    for target in document["targets"]:
        check = {
            "tool": f"{ORIGIN}-{target['target']}",
            "status": states[target["verdict"]],
            "summary": headline({**document, "verdict": target["verdict"], "targets": [target]}),
            "details": "\n".join(_body(target)),
        }
        found.append(check | ({"url": url} if url else {}))
    return found


def mail(document: Mapping[str, Any], url: str) -> str:
    """Plain text: a subject with the verdict, at most 40 lines of body."""
    body = [line for target in document["targets"] for line in (*_body(target), "")][:-1]
    end = ["", f"Everything: {_line(url)}"] if url else []
    room = BODY_LINES - len(end)
    if len(body) > room:
        body = [*body[: room - 1], f"... and {len(body) - room + 1} more lines"]
    return "\n".join([f"Subject: {headline(document)}", "", *body, *end]) + "\n"


def headline(document: Mapping[str, Any]) -> str:
    """One line: the verdict, what was tested, and how much is wrong."""
    targets = document["targets"]
    counts: Counter[str] = Counter()
    for target in targets:
        bad = [case for case in target["cases"] if "known" not in case]
        counts.update(case["status"] for case in bad)
        counts["report"] += sum(report["state"] != "KNOWN" for report in _unexpected(target))
    wrong = [f"{counts[word]} {word}" for word in ("report", "fail", "error", "miss") if counts[word]]
    names = ", ".join(
        f"{target['target']} on Linux {target['kernel_release'] or target['kernel']}" for target in targets
    )
    return _line(f"memsafe: {document['verdict']}: {names or 'nothing ran'}: "
                 f"{', '.join(wrong) or str(counts['pass']) + ' pass'}")  # fmt: skip


def _body(target: Mapping[str, Any]) -> Iterator[str]:
    yield f"verdict: {target['verdict']}"
    for reason in target["reasons"][:12]:
        yield _line(f"  {reason}")
    if len(target["reasons"]) > 12:
        yield f"  ... and {len(target['reasons']) - 12} more"
    for report in [each for each in _unexpected(target) if each["state"] != "KNOWN"][:2]:
        yield ""
        yield _line(f"{report['state']} {report['signature']}")
        for frame in report["frames"][:5]:
            yield _line(f"  {frame}")
    counts = ", ".join(f"{number} {status}" for status, number in target["counts"].items())
    yield ""
    yield _line(f"{target['target']}: {counts}, {target['seconds']['total']:.0f} s")
    yield f"again: {' '.join(target['reproduce'].split())}"


def _unexpected(target: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [report for report in target["reports"] if report["state"] != "EXPECTED"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:32]


def _path(name: str) -> str:
    """KCIDB's path: words of letters, digits, _ and -, with dots between."""
    words = (re.sub("[^a-zA-Z0-9_-]+", "_", word) for word in name.split("."))
    return ".".join(word for word in words if word) or "_"


def _line(text: str) -> str:
    """One line that a mail can hold."""
    line = text.replace("\n", " ").replace("\t", " ")
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 4]} ..."
