# SPDX-License-Identifier: GPL-2.0
"""How one case or report ended in a run, for `git bisect run`.

A name with a blank is a glob on the signatures of reports ("KASAN: * in vmf_insert_*"),
any other is one on the names of cases ("memsafe_buddy.split_page_*").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

GOOD, BAD, UNTESTABLE = 0, 1, 125
# git-bisect(1): "exits with a code [...] greater than 127" ends the whole process.
ENDS_THE_BISECTION = 128


def jobs(name: str) -> str | None:
    """The glob of the suites and programs that have such cases; None for reports, which
    any may cause."""
    return None if _is_report(name) else name.split(".")[0]


def ended(name: str, target: Mapping[str, Any]) -> int:
    """GOOD, BAD or UNTESTABLE, for verdict.json's object of a target."""
    if _is_report(name):
        shown = any(_is_it(name, one) for one in target["reports"])
        return BAD if shown else UNTESTABLE if target["verdict"] == "none" else GOOD
    states = {one["status"] for one in target["cases"] if fnmatchcase(one["name"], name)}
    if states & {"fail", "error"}:
        return BAD
    return GOOD if "pass" in states and "miss" not in states else UNTESTABLE


def said(name: str, target: Mapping[str, Any]) -> Iterator[str]:
    """What has decided, and the answer."""
    for case in target["cases"]:
        if not _is_report(name) and fnmatchcase(case["name"], name):
            yield f"{case['status']} {case['name']}" + (f": {case['reason']}" if case["reason"] else "")
    for report in target["reports"]:
        if _is_it(name, report):
            yield f"{report['state']} {report['signature']} in {report['case']}"
    yield f"bisect: {({GOOD: 'good', BAD: 'bad'}).get(ended(name, target), 'untestable')}"


def status(of_memsafe: int) -> int:
    """The exit status of a command that ended with this one."""
    if of_memsafe in (GOOD, BAD, UNTESTABLE) or of_memsafe > ENDS_THE_BISECTION:
        return of_memsafe
    return UNTESTABLE if of_memsafe == 2 else ENDS_THE_BISECTION


def _is_report(name: str) -> bool:
    return " " in name


def _is_it(name: str, report: Mapping[str, Any]) -> bool:
    known = _is_report(name) and report["state"] != "EXPECTED"
    return known and fnmatchcase(report["signature"], name)
