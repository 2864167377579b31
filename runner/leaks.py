# SPDX-License-Identifier: GPL-2.0
"""What kmemleak found, each object given to the test that ran when it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import splat
from record import GuestResult, Run
from windows import Splat, splat_of

OBJECT = re.compile(r"^unreferenced object ", re.M)
JIFFIES = re.compile(r"\bjiffies (\d+)")
# include/linux/jiffies.h: INITIAL_JIFFIES is five minutes before the 32-bit wrap.
WRAP = 1 << 32
LEAD_S = 300
TICK_SLACK_MS = 20


def found(run: Run, results: bytes) -> Iterator[tuple[str, Splat]]:
    """(job, leak) for every object; the job is empty when none was running."""
    hz = int(run.facts.get("hz", "0") or 0)
    for guest in run.guests:
        offset, length = guest.leaks
        text = results[offset : offset + length].decode(errors="replace")
        starts = [match.start() for match in OBJECT.finditer(text)]
        for start, end in zip(starts, [*starts[1:], len(text)]):
            block = text[start:end]
            for report in splat.find(block)[:1]:
                yield _owner(run, guest, block, hz), splat_of(report, block.splitlines())


def _owner(run: Run, guest: GuestResult, block: str, hz: int) -> str:
    born = JIFFIES.search(block)
    if not born or not hz:
        return ""
    born_ms = _milliseconds(int(born.group(1)), guest.hello, hz)
    for result in run.results:
        if result.guest == guest.index:
            if result.begin_ms - TICK_SLACK_MS <= born_ms <= result.end_ms + TICK_SLACK_MS:
                return result.name
    return ""


def _milliseconds(jiffies: int, hello: Mapping[str, str], hz: int) -> int:
    """Jiffies as milliseconds since boot.  Ticks begin later than the clock, by as
    much as init saw when it read both."""
    known, clock = hello.get("jiffies", "0"), hello.get("uptime_ms", "0")
    start, start_ms = WRAP - LEAD_S * hz, 0
    if known.isdecimal() and clock.isdecimal() and int(known):
        start, start_ms = int(known), int(clock)
    passed = (jiffies - start + WRAP // 2) % WRAP - WRAP // 2
    return start_ms + passed * 1000 // hz
