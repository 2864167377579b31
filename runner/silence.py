# SPDX-License-Identifier: GPL-2.0
"""Reporters that were off while tests ran: those tests say nothing of what the
reporter would have seen.

lockdep   off after its first report, and after any taint that makes its state
          unreliable: a KASAN report does so, too (add_taint() in kernel/panic.c,
          end_report() in mm/kasan/report.c)
KASAN     off after its first report, unless kasan_multi_shot is given
          (Documentation/dev-tools/kasan.rst)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import splat
import windows
from record import GuestResult, Run

Reporter = Literal["lockdep", "KASAN"]
# lockdep_init() and add_taint() say so, in every kernel that has lockdep.
HAS_LOCKDEP = re.compile(r"^Lock dependency validator: ")
UNRELIABLE = "Disabling lock debugging due to kernel taint"
MULTI_SHOT = "kasan_multi_shot"


@dataclass(frozen=True)
class Silence:
    """From `since` on, a job or "" between jobs, `reporter` was off in a guest;
    `cause` is the report that switched it off.  `jobs` ran at least in part without."""

    reporter: Reporter
    guest: int
    since: str
    cause: str
    jobs: tuple[str, ...]


def found(run: Run, console: bytes) -> Iterator[Silence]:
    """Every reporter that switched itself off, guest by guest."""
    for guest in run.guests:
        lines = windows.lines_of(guest, console)
        messages = [windows.message(line) for line in lines]
        has_lockdep = any(map(HAS_LOCKDEP.match, messages))
        one_shot = MULTI_SHOT not in guest.cmdline
        reports = splat.find("\n".join(lines)) if has_lockdep or one_shot else ()
        if has_lockdep:
            at, cause = _lockdep_off(messages, reports)
            yield from _silence("lockdep", guest, lines, at, cause)
        if one_shot:
            # splat tells a second report, and an option that came another way.
            shots = [each for each in reports if each.one_shot and each.kind.startswith("KASAN")]
            for first in shots[:1]:
                yield from _silence("KASAN", guest, lines, first.start, first.title)


def _lockdep_off(messages: Sequence[str], reports: Sequence[splat.Report]) -> tuple[int, str]:
    """The line where lockdep goes off, and why; beyond the last line if it never does."""
    cause, starts = "a taint of the kernel", {report.start: report for report in reports}
    for number, text in enumerate(messages):
        report = starts.get(number)
        cause = report.title if report else cause
        if text == UNRELIABLE or (report and _is_of_lockdep(report)):
            return number, cause
    return len(messages), ""


def _is_of_lockdep(report: splat.Report) -> bool:
    """RCU's complaints are once a place and leave lockdep on."""
    return report.type == "LOCKDEP" and report.one_shot and "suspicious RCU usage" not in report.title


def _silence(
    reporter: Reporter, guest: GuestResult, lines: list[str], at: int, cause: str
) -> Iterator[Silence]:
    spans = list(windows.spans_of(lines))
    jobs = tuple(name for name, _, end in spans if end > at)
    if jobs:
        since = next((name for name, start, end in spans if start <= at < end), "")
        yield Silence(reporter, guest.index, since, cause, jobs)


def sentence(silence: Silence) -> str:
    where = silence.since or "what ran between tests"
    return (
        f"guest {silence.guest + 1}: {silence.reporter} was off from {where} on ({silence.cause}): "
        f"{len(silence.jobs)} suites and programs were not watched by it to their end"
    )
