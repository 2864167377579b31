# SPDX-License-Identifier: GPL-2.0
"""Cut the console into the windows of the jobs, by init's marks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import ktap
import splat
from record import GuestResult, Job, JobResult, Run
from splat_stack import Frame

PREFIX = re.compile(r"^(?:<\d+>)?\[ *(\d+\.\d+)\](?:\[ *([TC]\d+)\])? ?")
INIT = "T1"
BEGIN = re.compile(r"^memsafe: BEGIN (\S+)$")
END = re.compile(r"^memsafe: END (\S+)$")
DROPPED = re.compile(r"^\*\* (\d+) printk messages dropped \*\*$")
EXPECT = re.compile(r"^memsafe: EXPECT (\S+): (.+)$")


@dataclass(frozen=True)
class Splat:
    """A report with its own text."""

    title: str
    kind: str
    type: str
    state: str
    frames: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Window:
    """The console between a job's marks: the text, the reports with the case each
    belongs to, and the titles that the job announced.  `count` is above 1 when
    the marks are there more than once: somebody else wrote some of them."""

    text: str
    reports: tuple[tuple[str, Splat], ...]
    announced: tuple[str, ...]
    count: int = 1

    def joined(self, other: Window) -> Window:
        return Window(
            f"{self.text}\n{other.text}",
            self.reports + other.reports,
            self.announced + other.announced,
            self.count + other.count,
        )


def printed(frame: Frame) -> str:
    """A frame as the kernel prints it: function+0xoffset/0xsize [module]."""
    place = f"+{frame.offset:#x}/{frame.size:#x}" if frame.size else ""
    return f"{frame.function}{place}" + (f" [{frame.module}]" if frame.module else "")


def splat_of(report: splat.Report, lines: list[str]) -> Splat:
    return Splat(
        report.title, report.kind, report.type, report.state,
        tuple(printed(frame) for frame in report.frames),
        "\n".join(lines[report.start : report.end]),
    )  # fmt: skip


def of(run: Run, console: bytes) -> dict[str, Window]:
    """Job name to window, for every job that began."""
    jobs = {job.name: job for job in run.manifest}
    found: dict[str, Window] = {}
    for guest in run.guests:
        lines = lines_of(guest, console)
        reports = splat.find("\n".join(lines))
        for name, start, end in spans_of(lines):
            if name in jobs:
                inside = [report for report in reports if start <= report.start < end]
                window = _window(jobs[name], lines, start, end, inside)
                found[name] = found[name].joined(window) if name in found else window
    return found


def outside(run: Run, console: bytes) -> Iterator[Splat]:
    """Reports that belong to no job: at boot, between jobs, at the end."""
    for guest in run.guests:
        lines = lines_of(guest, console)
        spans = list(spans_of(lines))
        for report in splat.find("\n".join(lines)):
            if not any(start <= report.start < end for _, start, end in spans):
                yield splat_of(report, lines)


def dropped(guest: GuestResult, console: bytes) -> int:
    """How many messages printk had no room for: any report may be among them."""
    lost = [DROPPED.match(line) for line in lines_of(guest, console)]
    return sum(int(match.group(1)) for match in lost if match)


def frames(run: Run, console: bytes, results: bytes) -> Iterator[Frame]:
    """The stack frames of all reports, for decoding."""
    for guest in run.guests:
        offset, length = guest.leaks
        leaks = results[offset : offset + length].decode(errors="replace")
        for text in ("\n".join(lines_of(guest, console)), leaks):
            for report in splat.find(text):
                yield from report.frames


def lines_of(guest: GuestResult, console: bytes) -> list[str]:
    offset, length = guest.console
    text = console[offset : offset + length].decode(errors="replace")
    return [line.rstrip("\r") for line in text.split("\n")]


def message(line: str) -> str:
    return PREFIX.sub("", line, count=1)


def _mark(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """A mark, but not one that another task than init has written."""
    prefix = PREFIX.match(line)
    if prefix and prefix.group(2) not in (None, INIT):
        return None
    return pattern.match(message(line))


def spans_of(lines: list[str]) -> Iterator[tuple[str, int, int]]:
    """(job, first line, line after the last); a job without END goes to the end."""
    name, start = "", 0
    for number, line in enumerate(lines):
        begin, end = _mark(BEGIN, line), _mark(END, line)
        if begin and not name:
            name, start = begin.group(1), number + 1
        elif end and end.group(1) == name:
            yield name, start, number
            name = ""
    if name:
        yield name, start, len(lines)


def _window(
    job: Job, lines: list[str], start: int, end: int, inside: list[splat.Report]
) -> Window:
    text = "".join(f"{line}\n" for line in lines[start:end])
    results = [(start + case.line, case.name) for case in ktap.parse(text).cases]
    reports = tuple(
        (_case_at(job, results, report.start), splat_of(report, lines)) for report in inside
    )
    announced = [EXPECT.match(message(line)) for line in lines[start:end]]
    titles = tuple(
        match.group(2) for match in announced if match and f"{match.group(1)}.".startswith(f"{job.name}.")
    )
    return Window(text, reports, titles)


def _case_at(job: Job, results: list[tuple[int, str]], line: int) -> str:
    """KUnit prints a case's result after it: the report is the next one's.  A
    program's results are not on the console."""
    later = [name for number, name in results if number > line] if job.kind == "kunit" else []
    return later[0] if later else job.name


def seconds(
    job: Job, result: JobResult, text: str, parsed: ktap.Result, window: Window | None
) -> dict[int, float]:
    """Case index to seconds between its result and the one before: from the
    console's time stamps for KUnit, from the arrival of the output for programs."""
    if job.kind == "program":
        return _from_marks(result, text, parsed)
    if window is None:
        return {}
    lines = window.text.split("\n")
    on_console = ktap.parse(window.text).cases
    if [case.name for case in on_console] != [case.name for case in parsed.cases]:
        return {}
    before = result.begin_ms / 1000
    found = {}
    for index, case in enumerate(on_console):
        stamp = PREFIX.match(lines[case.line])
        if stamp:
            found[index] = round(max(0.0, float(stamp.group(1)) - before), 3)
            before = float(stamp.group(1))
    return found


def _from_marks(result: JobResult, text: str, parsed: ktap.Result) -> dict[int, float]:
    ends, size = [], 0
    for line in text.split("\n"):
        size += len(line.encode()) + 1
        ends.append(size)
    found, before, marks = {}, 0, iter(result.marks)
    mark = next(marks, None)
    for index, case in enumerate(parsed.cases):
        while mark and mark[0] < ends[case.line]:
            mark = next(marks, None)
        if mark is None:
            break
        found[index] = round((mark[1] - before) / 1000, 3)
        before = mark[1]
    return found
