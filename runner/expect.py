# SPDX-License-Identifier: GPL-2.0
"""configs/expect/<target>.txt: what is known to skip, to fail or to be reported.

One entry a line, shell words:

    <outcome> <name or title> "<reason>" [link=URL] [until=YYYY-MM-DD]

outcome is skip, fail or report.  Names are globs; a skip's reason is the one the
test gives.  After `until` an entry counts no longer, and is named.
"""

from __future__ import annotations

import datetime
import fnmatch
import shlex
from dataclasses import dataclass

OUTCOMES = ("skip", "fail", "report")


@dataclass(frozen=True)
class Expectation:
    """One entry; `line` is its line in the file, from 1."""

    outcome: str
    name: str
    reason: str
    line: int
    link: str = ""
    until: str = ""

    def covers(self, outcome: str, name: str, reason: str = "") -> bool:
        """Does this entry excuse that outcome?  A skip needs its own reason."""
        return (
            self.outcome == outcome
            and fnmatch.fnmatchcase(name, self.name)
            and (outcome != "skip" or reason == self.reason)
        )


@dataclass(frozen=True)
class Expectations:
    """The entries of a file, and a sentence for each line that is none."""

    entries: tuple[Expectation, ...] = ()
    problems: tuple[str, ...] = ()


def parse(text: str, today: datetime.date) -> Expectations:
    """Read a file's text.  An entry that has expired is a problem."""
    entries, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = _entry(line, number)
            if entry.until and datetime.date.fromisoformat(entry.until) < today:
                problems.append(f"line {number}: expired on {entry.until}: {entry.name}")
            else:
                entries.append(entry)
        except ValueError as error:
            problems.append(f"line {number}: {error}: {line.strip()}")
    return Expectations(tuple(entries), tuple(problems))


def _entry(line: str, number: int) -> Expectation:
    words = shlex.split(line)
    if len(words) < 3 or words[0] not in OUTCOMES:
        raise ValueError(f"not '{'|'.join(OUTCOMES)} NAME \"REASON\"'")
    extra = {}
    for word in words[3:]:
        key, equals, value = word.partition("=")
        if key not in ("link", "until") or not equals:
            raise ValueError(f"unknown word {word!r}")
        extra[key] = value
    if "until" in extra:
        datetime.date.fromisoformat(extra["until"])
    return Expectation(words[0], words[1], words[2], number, **extra)
