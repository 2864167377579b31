# SPDX-License-Identifier: GPL-2.0
"""Console text as lines without their prefix, and where reports start.

A prefix is a log level, printk's time and its caller column ("[ T12]" a task,
"[ C1]" a CPU out of task context), in any dialect.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from splat_formats import FORMATS, Format


class Line(NamedTuple):
    caller: str  # printk's caller column, "" without one
    text: str  # without prefix and \r
    stamped: bool  # has a printk time stamp


class Start(NamedTuple):
    number: int
    line: Line
    format: Format
    match: re.Match[str]

    def is_panic(self) -> bool:
        return "Kernel panic - not syncing" in self.line.text

    def contradicts(self, other: Start) -> bool:
        """Whether both lines name something and it differs: they are two reports."""
        mine, theirs = self.match.groupdict(), other.match.groupdict()
        both = [(mine.get(name), theirs.get(name)) for name in ("func", "what", "said")]
        return any(one and two and one != two for one, two in both)


# No report line is longer; what is, is cut before any pattern sees it.
_LONGEST: Final = 1000
_STAMP: Final = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *([TC]\d+)\])? ?")
_LEVEL: Final = re.compile(r"^<\d{1,3}>")
_ANDROID: Final = re.compile(r"^ ?(?:\[\d+: *[^\]]{1,20}: *\d+\]|\(\d\)\[\d+:[^\]]{1,20}\]) ?")
# Lines of a test's own protocol, whatever they quote.
_PROTOCOL: Final = re.compile(
    r"\s*(?:# |memsafe: |(?:not )?ok \d|KTAP version|TAP version|Bail out!)"
)
# Which test runs: no report goes across.
_MARK: Final = re.compile(r"memsafe: (?:BEGIN|END)\b")

# Every start pattern needs one of these: most lines are done with here.
_KEYWORDS: Final = (
    "BUG", "WARNING: ", "INFO: ", "UBSAN: ", "Kernel panic", "nable to handle",
    "NULL pointer", "protection fault", "Internal error: ", "divide",
    "unreferenced object 0x", "list_", " is NULL. (", "usercopy: ", "VFS: Busy",
    "trusty: ", "CFI failure", " opcode: ", "stack overflow", "Insufficient stack",
    "PANIC", "fault: ", "segment: ", "check: ", "int3: ", "Alignment trap", "Bad mode in",
    "rust_kernel: ", "possible ", "lock order", "inconsistent ", "LOCKUP",
    "unregister_netdevice", "SYZFA", "Oops",
)  # fmt: skip

# Lines that are well known not to be reports.
_HARMLESS: Final = re.compile(
    r"INFO: (?:lockdep is turned off|Stall ended|NMI handler|recovery required)|will be removed"
    r"|BUG: no syscalls to create"
)


@dataclass(frozen=True)
class Console:
    lines: list[Line]
    callers: Mapping[str, list[int]]  # numbers of the lines of each caller
    starts: Mapping[int, Start]
    panics: list[int]
    marks: list[int]

    def next_mark(self, start: Start) -> int:
        following = bisect_left(self.marks, start.number)
        return self.marks[following] if following < len(self.marks) else len(self.lines)

    def own(self, start: Start) -> Iterable[int]:
        """The lines after a start that its report may consist of, in order."""
        after = start.number + 1
        if start.format.all_callers:
            return range(after, len(self.lines))
        mine, panics = self.callers[start.line.caller], self.panics
        return merge(
            islice(mine, bisect_left(mine, after), None),
            (
                number
                for number in islice(panics, bisect_left(panics, after), None)
                if not self._is(number, start)
            ),
        )

    def _is(self, number: int, start: Start) -> bool:
        return self.lines[number].caller == start.line.caller


def read_console(text: str) -> Console:
    raw = text.split("\n")
    lines = [_parse(line) for line in raw]
    stamped = any(line.stamped for line in lines)
    callers: dict[str, list[int]] = {}
    starts = {}
    for number, line in enumerate(lines):
        callers.setdefault(line.caller, []).append(number)
        if any(word in line.text for word in _KEYWORDS):
            start = _start(number, line)
            if start and (not stamped or line.stamped or not start.format.vague):
                starts[number] = start
    panics = [number for number, start in starts.items() if start.is_panic()]
    marks = [number for number, line in enumerate(lines) if _MARK.match(line.text)]
    return Console(lines, callers, starts, panics, marks)


def _parse(raw: str) -> Line:
    raw = raw[:_LONGEST].rstrip("\r")
    stamp = _STAMP.search(raw, 0, 200) if "." in raw else None
    caller = (stamp[1] or "") if stamp else ""
    text = raw[stamp.end() :] if stamp else _LEVEL.sub("", raw)
    if text[:2] in (" [", "[0", "[1", "[2", "[3", "[4", "[5", "[6", "[7", "(0", "(1", "(2", "(3"):
        text = _ANDROID.sub("", text)
    return Line(caller, text, stamp is not None)


def _start(number: int, line: Line) -> Start | None:
    if _PROTOCOL.match(line.text) or _HARMLESS.search(line.text) or "---[ end" in line.text:
        return None
    for format in FORMATS:
        match = format.start.search(line.text)
        if match:
            return Start(number, line, format, match)
    return None


