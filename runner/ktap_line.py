# SPDX-License-Identifier: GPL-2.0
"""One line of KTAP: freed from what printk put around it, and named.

Every pattern here is anchored or starts at a literal, and every repetition is
bounded or can match in one way only: time stays linear for any input.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator, Literal

Status = Literal["pass", "fail", "skip", "error", "miss"]

MAX_NAME = 250      # characters of one component of a name
MAX_LINE = 400      # characters kept of a reason or a diagnostic
MAX_TORN = 1000     # characters of a line that printk cut in two


@dataclass(frozen=True)
class Version:
    pass


@dataclass(frozen=True)
class Plan:
    count: int
    comment: str


@dataclass(frozen=True)
class Outcome:
    """A result line; number is None and name is empty where it has none."""

    number: int | None
    name: str
    status: Status
    reason: str
    by_runner: bool     # the kselftest runner's, about a program it ran


@dataclass(frozen=True)
class Subtest:
    """KUnit's and TAP 14's name for the results that follow, one level deeper."""

    name: str


@dataclass(frozen=True)
class Bail:
    reason: str


@dataclass(frozen=True)
class Run:
    """The selftest harness is about to run this case."""

    name: str


@dataclass(frozen=True)
class Counts:
    """A summary; name is that of a suite, or `Totals`."""

    name: str
    said: dict[str, int]


@dataclass(frozen=True)
class Skipped:
    """What our suites say before the result of a parameter that is skipped, for KUnit
    before v6.5, whose result line says no more than `ok`."""

    reason: str


Line = Version | Plan | Outcome | Subtest | Bail | Run | Counts | Skipped

_STAMP = re.compile(r"\[ {0,12}[0-9]{1,10}\.[0-9]{3,6}\](?: ?\[ {0,8}[TC][0-9]{1,8}\])?"
                    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4}\]")
# The level as /dev/kmsg, dmesg -x and syslog write it.
_LEVEL = re.compile(r"<[0-9]{1,3}>|[a-z]{2,8} {0,6}:[a-z]{2,8} {0,6}: "
                    r"|[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [^ ]{1,64} kernel: ")
_KTAP = re.compile(r"[ \t]{0,64}(?:# ){0,8}(?:(?:not )?ok\b|1\.\.[0-9]|K?TAP version |Bail out!"
                   r"|# Subtest: |# selftests: )")

_VERSION = re.compile(r"K?TAP version [0-9]{1,3}$")
_PLAN = re.compile(r"1\.\.([0-9]{1,9})(?:$|\s{1,8}#\s{0,8}(.*))")
_RESULT = re.compile(r"(not )?ok(?: {1,8}([0-9]{1,9}))?(?!\S)\s{0,8}(-(?!\S))?(.*)")
_DIRECTIVE = re.compile(r"(?:^|\s)#\s{0,8}((?i:skip\w{0,5}|todo)|XFAIL|XPASS|ERROR|TIMEOUT)\b"
                        r"[:\s]{0,8}(.*)")
_DATA = re.compile(r"(?:^|\s)#(?:\s(.*)|$)")
_SUBTEST = re.compile(r"# Subtest: (.*)")
_PROGRAM = re.compile(r"# (selftests: \S.*)")
_BAIL = re.compile(r"Bail out!(.*)")
_RUN = re.compile(r"#\s{1,8}RUN\s{1,20}(\S.{0,250}) \.\.\.$")
_SKIPPED = re.compile(r"# SKIP (.*)")
_COUNTS = re.compile(r"# (.{1,250}): pass:([0-9]{1,9}) fail:([0-9]{1,9})"
                     r"((?: [a-z]{1,5}:[0-9]{1,9}){1,4})$")


def lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """(index, content, whole) of each line, without what printk put before it.

    A program that writes to the console can be interrupted by printk in the
    middle of a line: the rest of it follows after printk's own newline.
    """
    torn: tuple[int, str] | None = None
    physical = text.split("\n")
    for index, line in enumerate(physical):
        whole = index < len(physical) - 1
        if not whole and not line:
            break
        first, *stamped = _STAMP.split(line.strip("\r\0"))
        first = _without_level(first)
        if first or not stamped:
            start = index
            if torn:
                if _KTAP.match(first) and not _KTAP.match(torn[1] + first):
                    yield *torn, True
                else:
                    start, first = torn[0], torn[1] + first
                torn = None
            if stamped and len(first) < MAX_TORN and not _is_prose(first):
                torn = start, first
            else:
                yield start, first, whole
        for tail in stamped:
            yield index, _without_level(tail.removeprefix(" ")), whole
    if torn:
        yield *torn, False


def _without_level(text: str) -> str:
    level = _LEVEL.match(text)
    return text[level.end():] if level else text


def _is_prose(line: str) -> bool:
    """A diagnostic may quote the console: nothing in it was torn."""
    return line.lstrip().startswith("#") and not _KTAP.match(line)


def program(line: str) -> str | None:
    """The program whose output the kselftest runner announces with this line."""
    match = _PROGRAM.match(line)
    return _name(match.group(1)) if match else None


def read(body: str) -> Line | None:
    """What body, a line without its indentation, means to KTAP."""
    if body[:1] in ("o", "n"):
        return _result(body)
    if body[:1] in ("K", "T"):
        return Version() if _VERSION.match(body) else None
    if body[:1] == "1" and (match := _PLAN.match(body)):
        return Plan(int(match.group(1)), (match.group(2) or "")[:MAX_LINE])
    if body[:1] == "B" and (match := _BAIL.match(body)):
        return Bail(match.group(1).strip()[:MAX_LINE] or "no reason given")
    if body[:1] == "#":
        return _comment(body)
    return None


def _result(body: str) -> Outcome | None:
    match = _RESULT.match(body)
    if not match:
        return None
    failed, digits, dash, text = match.groups()
    # "ok, now ..." is prose: without a number only a failure is believed.
    if not digits and not dash and not failed:
        return None
    name, status, reason = _outcome(bool(failed), text)
    return Outcome(int(digits) if digits else None, _name(name), status, reason[:MAX_LINE],
                   by_runner=name.lstrip().startswith("selftests: "))


def _outcome(failed: bool, text: str) -> tuple[str, Status, str]:
    """Name, status and reason, from what follows the number of a result line."""
    directive = _DIRECTIVE.search(text)
    if not directive:
        data = _DATA.search(text)
        reason = (data.group(1) or "").strip() if data and failed else ""
        return text[:data.start()] if data else text, "fail" if failed else "pass", reason
    name = text[:directive.start()]
    word, said = directive.group(1).upper(), directive.group(2).strip()
    if word.startswith("SKIP"):
        return name, "skip", said
    if word == "XFAIL" or (word == "TODO" and failed):
        return name, "skip", f"xfail: {said}"
    if word in ("XPASS", "TODO"):
        return name, "fail", f"xpass: {said}"
    return name, "error", f"{word.lower()}: {said}"


def _comment(body: str) -> Line | None:
    if match := _SUBTEST.match(body):
        return Subtest(_name(match.group(1)))
    if match := _SKIPPED.match(body):
        return Skipped(match.group(1).strip()[:MAX_LINE])
    if match := _RUN.match(body):
        return Run(_name(match.group(1)))
    if match := _COUNTS.match(body):
        said = {"pass": int(match.group(2)), "fail": int(match.group(3)), "skip": 0}
        for word in match.group(4).split():
            key, _, count = word.partition(":")
            key = {"xpass": "fail", "error": "fail", "xfail": "skip"}.get(key, key)
            said[key] = said.get(key, 0) + int(count)
        return Counts(match.group(1), said)
    return None


def _name(text: str) -> str:
    """A component of a name; the runner's `selftests: dir: program` are two."""
    text = text.strip()
    if text.startswith("selftests: "):
        text = text[len("selftests: "):].replace(": ", ".", 1)
    return text[:MAX_NAME]
