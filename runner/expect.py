# SPDX-License-Identifier: GPL-2.0
"""configs/expect/<target>.txt: what is known to skip, to fail or to be reported.

One entry a line, in shell words; a line that begins with # is a comment:

    skip   CASE       "REASON"  [WORD...]   the reason that the test itself gives
    fail   CASE       "REASON"  [WORD...]   fails every time
    report SIGNATURE  "REASON"  [WORD...]   is reported every time
    flake  CASE       "REASON"  rate=R [WORD...]   fails in R (0 to 1) of all runs

CASE and SIGNATURE are globs, as the summary shows what they name; [[] is a bracket.

    link=URL            where it is being worked on
    until=YYYY-MM-DD    its last day
    target=GLOB         for these targets only
    kernel=FIRST..LAST  for these kernels only: 6.1..6.6 ends with the last 6.6.y;
                        either end may be left out

What is wrong with a file is red and named by file and line: a line that is no
entry, a reason that is empty or begins with REVIEW:, an entry after its last day,
and one that excused nothing in a run where it should have (a flake may).  A
kernel of unknown version is in no range.
"""

from __future__ import annotations

import datetime
import fnmatch
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

OUTCOMES = ("skip", "fail", "report", "flake")
WORDS = ("link", "until", "target", "kernel", "rate")
# What `expect --from` writes in front of a reason that nobody has read yet.
REVIEW = "REVIEW:"
VERSION = re.compile(r"\d+(?:\.\d+){1,2}")


@dataclass(frozen=True)
class Expectation:
    """One entry; `line` is its line in the file, from 1."""

    outcome: str
    name: str
    reason: str
    line: int
    link: str = ""
    until: str = ""
    target: str = "*"
    kernel: str = ""
    rate: float = 1.0

    def covers(self, outcome: str, name: str, reason: str = "") -> bool:
        """Does this entry excuse that outcome?  A skip needs its own reason."""
        mine = "fail" if self.outcome == "flake" else self.outcome
        return (
            mine == outcome
            and fnmatch.fnmatchcase(name, self.name)
            and (outcome != "skip" or reason == self.reason)
        )

    def applies(self, target: str, version: str) -> bool:
        """Is a run of this target, on a kernel of this version, in its scope?"""
        if not fnmatch.fnmatchcase(target, self.target):
            return False
        if not self.kernel:
            return True
        found = re.match(r"\d+(?:\.\d+)+", version)
        first, last = _bounds(self.kernel)
        seen = _numbers(found.group()) if found else ()
        return bool(seen) and first <= seen and (not last or seen[: len(last)] <= last)


@dataclass(frozen=True)
class Expectations:
    """The entries of a file, and a sentence for each line that is none."""

    entries: tuple[Expectation, ...] = ()
    problems: tuple[str, ...] = ()
    file: str = "expectations"

    def where(self, entry: Expectation) -> str:
        return f"{self.file}:{entry.line}"

    def scoped(self, target: str, version: str) -> Expectations:
        """Without the entries that are for other runs."""
        mine = tuple(entry for entry in self.entries if entry.applies(target, version))
        return replace(self, entries=mine)


def parse(text: str, today: datetime.date, file: str = "expectations") -> Expectations:
    """Read a file's text.  An entry that has expired is a problem."""
    entries, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = _entry(line, number)
            if entry.until and datetime.date.fromisoformat(entry.until) < today:
                problems.append(f"{file}:{number}: expired on {entry.until}: {entry.name}")
            else:
                entries.append(entry)
        except ValueError as error:
            problems.append(f"{file}:{number}: {error}: {line.strip()}")
    return Expectations(tuple(entries), tuple(problems), file)


def _entry(line: str, number: int) -> Expectation:
    words = shlex.split(line)
    if len(words) < 3 or words[0] not in OUTCOMES:
        raise ValueError(f"not '{'|'.join(OUTCOMES)} NAME \"REASON\"'")
    outcome, name, reason = words[:3]
    if not reason.strip():
        raise ValueError("no reason")
    if reason.startswith(REVIEW):
        raise ValueError("to be reviewed")
    extra: dict[str, str] = {}
    for word in words[3:]:
        key, equals, value = word.partition("=")
        if key not in WORDS or not equals or not value:
            raise ValueError(f"unknown word {word!r}")
        if key in extra:
            raise ValueError(f"{key}= twice")
        extra[key] = value
    return Expectation(outcome, name, reason, number, rate=_rate(outcome, extra), **_checked(extra))


def _rate(outcome: str, extra: dict[str, str]) -> float:
    """A flake's rate, taken out of `extra`; what always happens has none."""
    text = extra.pop("rate", None)
    if (text is None) == (outcome == "flake"):
        raise ValueError("a flake, and nothing else, has rate=")
    if text is None:
        return 1.0
    if not re.fullmatch(r"0?\.\d+", text) or not float(text):
        raise ValueError(f"rate={text} is not between 0 and 1")
    return float(text)


def _checked(extra: Mapping[str, str]) -> dict[str, str]:
    if "until" in extra:
        datetime.date.fromisoformat(extra["until"])
    if "kernel" in extra:
        _bounds(extra["kernel"])
    return dict(extra)


def _bounds(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last version of a range; () is open."""
    first, dots, last = text.partition("..")
    ends = [end for end in (first, last) if end]
    if not dots or not ends or not all(VERSION.fullmatch(end) for end in ends):
        raise ValueError(f"kernel={text} is no range such as 6.1..6.6")
    bounds = _numbers(first), _numbers(last)
    if first and last and bounds[0][: len(bounds[1])] > bounds[1]:
        raise ValueError(f"kernel={text} ends before it begins")
    return bounds


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part)
