# SPDX-License-Identifier: GPL-2.0
"""A first file of expectations from a verdict: an entry for everything undeclared.

Each reason begins with REVIEW:, which makes its entry malformed: nothing is
excused before somebody has read it and written why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from expect import REVIEW

MAGIC = re.compile(r"([*?[])")
UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def draft(target: Mapping[str, Any]) -> list[str]:
    """Lines for what a target's part of verdict.json has undeclared."""
    lines: dict[str, None] = {}
    for case in target["cases"]:
        if case["status"] != "pass" and "known" not in case:
            lines[_of_case(case)] = None
    for report in target["reports"]:
        if report["state"] in ("NEW", "MASKED"):
            where = f"in {report['case']}" if report["case"] else "outside of any test"
            lines[_entry("report", report["signature"], where)] = None
    return list(lines)


def _of_case(case: Mapping[str, Any]) -> str:
    name, status, reason = case["name"], case["status"], case["reason"]
    if status == "miss":
        return f"# nothing excuses a test that is missing: {_one_line(name)}: {_one_line(reason)}"
    if status == "skip" and not reason:
        return f"# a skip has to give its reason: {_one_line(name)}"
    return _entry("skip" if status == "skip" else "fail", name, reason or status)


def _entry(outcome: str, name: str, reason: str) -> str:
    return f"{outcome} {_word(_glob(name))} {_quoted(f'{REVIEW} {_one_line(reason)}')}"


def _glob(name: str) -> str:
    """A glob that matches just this name, as far as it was printable."""
    return MAGIC.sub(r"[\1]", _one_line(name)).replace(UNKNOWN, "?")


def _word(text: str) -> str:
    return text if re.fullmatch(r"[\w.*?\[\]:+/-]+", text) else _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


def _one_line(text: str) -> str:
    return text.replace("\n", " ")
