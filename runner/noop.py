# SPDX-License-Identifier: GPL-2.0
"""The no-op harness: every program again, with the system call of each test
doing nothing from its act on but return success, or one errno.  A test must notice,
by an assertion of its own.

Text in, outcomes out; noops.py boots the guests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import ktap
from expect import Expectations
from record import Job, JobResult, Run

TEST = re.compile(r"^TEST(?:_F(?:_TIMEOUT|_SIGNAL)?)?\((?:\w+,\s*)?(?P<name>\w+)", re.M)
# The harness prints "# file.c:12:case:Expected ..." for a failed assertion.
ASSERTION = re.compile(r"^#?\s*(?P<file>[\w.-]+\.c):(?P<line>\d+):")
ACT = re.compile(r"^#?\s*noop: (?P<call>\w+)")
SIGNAL = re.compile(r"Test terminated unexpectedly by signal (?P<signal>\d+)")

SUCCESS = "success"
# The outcomes that prove something: a failed assertion, and under an errno the case
# that is about this errno.  All others prove nothing.
KILLED = "killed"
MEANT = "meant"


@dataclass(frozen=True)
class Outcome:
    """`call` is the system call that did nothing, empty when no ACT was reached;
    `outcome` is killed, meant, survived, signal, timeout, elsewhere (an assertion
    outside of the test's body), skip or error."""

    case: str
    call: str
    outcome: str
    detail: str = ""

    @property
    def good(self) -> bool:
        return self.outcome in (KILLED, MEANT) and bool(self.call)


def bodies(source: str) -> list[tuple[int, int]]:
    """First and last line of each test's body in a program's source, from 1."""
    lines = source.split("\n")
    found = []
    for number, line in enumerate(lines):
        if TEST.match(line):
            end = next((n for n in range(number, len(lines)) if lines[n] == "}"), len(lines) - 1)
            found.append((number + 1, end + 1))
    return found


def names(source: str, case: str, errno: str) -> bool:
    """Whether a test, or what it shares with others in its file, names an errno."""
    lines = source.split("\n")
    for first, last in bodies(source):
        match = TEST.match("\n".join(lines[first - 1 : first + 1]))
        if match and match["name"] != case.split(".")[-1]:
            lines[first - 1 : last] = [""] * (last - first + 1)
    return bool(re.search(rf"\b{re.escape(errno)}\b", "\n".join(lines)))


def outcomes(job: Job, source: str, text: str, returns: str = SUCCESS) -> list[Outcome]:
    """What became of each case of a program that ran under MEMSAFE_NOOP=`returns`."""
    lines = text.split("\n")
    parsed = ktap.parse(text)
    ranges = bodies(source)
    found, start = [], 0
    for case in sorted(parsed.cases, key=lambda case: case.line):
        block = lines[start : case.line + 1]
        start = case.line + 1
        one = _outcome(f"{job.name}_test.c", ranges, case, block)
        if one.outcome == "survived" and returns != SUCCESS and names(source, case.name, returns):
            one = replace(one, outcome=MEANT)
        found.append(one)
    return found


def _outcome(
    file: str, ranges: Sequence[tuple[int, int]], case: ktap.Case, block: Sequence[str]
) -> Outcome:
    call = _first(ACT, block, "call")
    if case.status == "pass":
        return Outcome(case.name, call, "survived", "" if call else "reached no ACT")
    if case.status == "skip":
        return Outcome(case.name, call, "skip", case.reason)
    if case.status != "fail":
        return Outcome(case.name, call, "error", case.reason)
    signal = _first(SIGNAL, block, "signal")
    if signal:
        return Outcome(case.name, call, "signal", f"died by signal {signal}")
    if any("terminated by timeout" in line for line in block):
        return Outcome(case.name, call, "timeout", "")
    for line in block:
        match = ASSERTION.match(line)
        if match and match["file"] == file:
            if any(first <= int(match["line"]) <= last for first, last in ranges):
                return Outcome(case.name, call, KILLED, f"line {match['line']}")
    return Outcome(case.name, call, "elsewhere", "no assertion of the test's own body")


def _first(pattern: re.Pattern[str], block: Iterable[str], group: str) -> str:
    for line in block:
        match = pattern.search(line)
        if match:
            return match[group]
    return ""


def matrix(
    run: Run, results: bytes, sources: dict[str, str], returns: str = SUCCESS
) -> dict[str, list[Outcome]]:
    """Program to outcomes; a program without results has one that says why."""
    ended: dict[str, JobResult] = {result.name: result for result in run.results}
    found = {}
    for job in run.manifest:
        result = ended.get(job.name)
        if result is None:
            found[job.name] = [Outcome(job.name, "", "error", "did not run")]
            continue
        text = results[result.offset : result.offset + result.length].decode(errors="replace")
        rows = outcomes(job, sources[job.name], text, returns)
        if result.outcome != "exit":
            rows.append(Outcome(job.name, "", "error", f"{result.outcome} {result.number}"))
        found[job.name] = rows or [Outcome(job.name, "", "error", "reported nothing")]
    return found


def table(
    found: dict[str, list[Outcome]], expected: Expectations
) -> tuple[list[str], bool]:
    """The matrix as lines, and whether every case was killed or is declared to
    skip."""
    lines, good = [], True
    for program, rows in found.items():
        killed = sum(row.good for row in rows)
        meant = sum(row.good and row.outcome == MEANT for row in rows)
        skipped = sum(row.outcome == "skip" for row in rows)
        calls = ", ".join(sorted({row.call for row in rows if row.call}))
        about = f", {meant} of them about it" if meant else ""
        lines.append(f"{program:24} {killed:3} of {len(rows) - skipped:3} noticed{about}  {calls}")
        for row in rows:
            if row.good or _is_declared(program, row, expected):
                continue
            good = False
            lines.append(f"  {row.outcome:9} {row.case}  {row.call}  {row.detail}".rstrip())
    return lines, good and bool(found)


def _is_declared(program: str, row: Outcome, expected: Expectations) -> bool:
    case = row.case.removeprefix("global.")
    name = case if case.startswith(f"{program}.") else f"{program}.{case}"
    return row.outcome == "skip" and any(
        entry.covers("skip", name, row.detail) for entry in expected.entries
    )
