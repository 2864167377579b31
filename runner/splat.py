# SPDX-License-Identifier: GPL-2.0
"""Finds kernel reports in console text and gives each a stable title.

The text may be cut, interleaved or not text at all: that is a state of a
report, never an exception. Line numbers count from 0 as text.split("\\n") does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from splat_console import Console, Start, read_console
from splat_formats import Format
from splat_stack import (
    HELPERS,
    REPORTERS,
    SLEEPERS,
    Frame,
    find_symbol,
    first_named,
    looping,
    parse_frame,
    plain_name,
)

State = Literal["complete", "truncated", "interleaved"]


@dataclass(frozen=True)
class Report:
    kind: str  # class: the title up to the function
    function: str  # "" when the text shows none
    title: str  # the stable signature, in syzkaller's form
    type: str  # one of syzkaller's type words, or ""
    state: State
    start: int
    end: int  # exclusive
    one_shot: bool = False  # as far as the text tells, its reporter is silent now
    task: str = ""  # the command that ran, as printed
    frames: tuple[Frame, ...] = ()  # the stack that the function was taken from


# Own lines without anything of a report in them that end a report.
_PATIENCE: Final = 40
# Lines of anybody that may stand between the parts of a report.
_REACH: Final = 400
# Lines after the end of a report in which a panic still answers it.
_ECHO: Final = 40
# A stack trace of the worst recursion, with registers and locks, is shorter.
_LONGEST_REPORT: Final = 3000


def find(text: str) -> tuple[Report, ...]:
    """All reports in the console text, in the order of their first lines."""
    console = read_console(text)
    reports: list[tuple[Start, Report]] = []
    taken: set[int] = set()
    for start in console.starts.values():
        if start.number in taken:
            continue
        body = _gather(console, start)
        if start.format.needs_trace and not body.traces:
            continue
        taken.update(body.absorbed)
        report = _report(start, body, _first_line(console, start))
        if any(_is_consequence(start, report, before, first) for before, first in reports[-8:]):
            continue
        reports.append((start, report))
    found = [report for _, report in reports]
    kasan = [report for report in found if report.kind.startswith("KASAN")]
    if len(kasan) == 1 and "kasan_multi_shot" not in text:
        found[found.index(kasan[0])] = replace(kasan[0], one_shot=True)
    return tuple(found)


@dataclass
class _Trace:
    """One stack; an aside belongs to something else (allocation, lock chain)."""

    aside: bool = False
    frames: list[Frame] = field(default_factory=list)

    def has_only_pc(self) -> bool:
        return not self.aside and all(frame.kind == "pc" for frame in self.frames)


@dataclass
class _Body:
    end: int
    texts: list[str] = field(default_factory=list)
    traces: list[_Trace] = field(default_factory=list)
    absorbed: set[int] = field(default_factory=set)
    interleaved: bool = False
    terminated: bool = False
    cut: bool = False  # the console ended within the report

    def has_calls(self) -> bool:
        return any(True for _ in self.frames("call"))

    def frames(self, kind: Literal["pc", "call"]) -> Iterator[Frame]:
        for trace in self.traces:
            if not trace.aside:
                yield from (frame for frame in trace.frames if frame.kind == kind)


_TRACE_HEAD: Final = re.compile(
    r"\s*(?:Call [Tt]race|Backtrace|stack backtrace|backtrace(?: \(crc \w+\))?"
    r"|NMI backtrace for)\b"
)
_ASIDE: Final = re.compile(
    r"\s*(?:Allocated|Freed|Uninit was|Local variable|Last potentially|Second to last|Memory state"
    r"|The buggy address|Object at |kfence-#\d|value changed|Showing all locks|-> #\d"
    r"|INFO: (?:Allocated|Freed)"
    r"|.{0,60}was registered at:|irq event stamp|hardirqs last|Preemption disabled|Exception stack"
    r"|allocated by|freed by|Bytes .* are uninit|.* was stored to memory|.* created at|page last )"
)
_END: Final = re.compile(r"---\[ end |Rebooting in |Kernel Offset: ")
# Sanitizers rule their reports off.
_RULE: Final = re.compile(r"={20,}\s*$")
_RULED: Final = re.compile(r"BUG: K\w+AN|BUG: KFENCE|UBSAN: ")
_PART: Final = re.compile(
    r"\s*(?:CPU: |Hardware name|Call [Tt]race|Code: |[ER]?[A-Z0-9]{2,3} ?: |x\d+ ?: |</?[A-Z]+>"
    r"|=====|-----|Modules linked|#\d+: |\w+ locks? held|Read of |Write of |Workqueue: |raw: "
    r"|flags: |page:|\w{16}: |>\w{16}: |\^|PGD |\[<)"
)


def _gather(console: Console, start: Start) -> _Body:
    """The lines that belong to a report, and the stacks among them."""
    body = _Body(end=start.number + 1, texts=[start.line.text])
    idle = 0
    limit = min(start.number + _LONGEST_REPORT, console.next_mark(start))
    for number in console.own(start):
        if number >= limit or idle > _PATIENCE:
            return body
        if number - body.end > (_ECHO if body.terminated else _REACH):
            return body
        line, other = console.lines[number], console.starts.get(number)
        ours = line.caller == start.line.caller or start.format.all_callers
        if other and _continues(start, body, other):
            body.absorbed.add(number)
            body.end = number + 1
        elif other and ours and (other.format.sources or not start.format.sources):
            body.interleaved = not start.line.caller and not body.traces
            return body
        if not ours or body.terminated:
            continue
        if _add(body, line.text):
            body.end = number + 1
            idle = 0
        elif line.stamped == start.line.stamped:
            idle += 1
    body.cut = _is_cut(body)
    return body


# The outermost frames: a stack that shows one of them is whole.
_OUTERMOST: Final = re.compile(
    r"entry_|ret_|secondary_start|start_|asm_|el0|system_call|kthread|x86_64_start|sys_|__libc|0x"
)
# An interrupt on arm: the stack that it came from is not walked.
_STACK_CHANGED: Final = re.compile(r" from call_with_stack\+")


def _is_cut(body: _Body) -> bool:
    """Whether the console ended in the middle of a stack."""
    last = next((text for text in reversed(body.texts) if text.strip()), "")
    if body.terminated or not body.traces or body.traces[-1].aside:
        return False
    frame = parse_frame(last)
    return _TRACE_HEAD.match(last) is not None or (
        frame is not None
        and not _OUTERMOST.match(frame.name)
        and not _STACK_CHANGED.search(last)
    )


def _add(body: _Body, text: str) -> bool:
    """Sorts one line into the body; False when nothing in it looks like a report."""
    body.texts.append(text)
    if "messages dropped" in text:
        body.interleaved = True
    ruled_off = _RULE.match(text) and _RULED.search(body.texts[0]) and body.has_calls()
    if ruled_off or _END.search(text):
        body.terminated = True
        return True
    if _TRACE_HEAD.match(text):
        if not body.traces or not body.traces[-1].has_only_pc():
            body.traces.append(_Trace())
        return True
    if _ASIDE.match(text):
        body.traces.append(_Trace(aside=True))
        return True
    frame = parse_frame(text)
    if frame:
        if not body.traces or (frame.kind == "pc" and body.traces[-1].aside):
            body.traces.append(_Trace())
        body.traces[-1].frames.append(frame)
    return frame is not None or _PART.match(text) is not None


# Reasons that name what happened before, rather than something new.
_AFTERMATH: Final = re.compile(
    r"Fatal exception|panic_on_warn|KASAN|KFENCE|KMSAN|UBSAN|hung_task|softlockup|hardlockup"
    r"|Hard LOCKUP|RCU Stall|Oops|Attempted to kill|scheduling while atomic|: panic_on|BUG!"
    r"|bad mode|kernel stack overflow|Machine halted"
)


def _continues(start: Start, body: _Body, other: Start) -> bool:
    """Whether a second start is only another line of the first report."""
    if other.is_panic():
        return _AFTERMATH.search(other.line.text) is not None
    if body.terminated or body.has_calls():
        return False
    again = other.format.title == start.format.title and (
        not other.contradicts(start) or start.line.text.endswith("[inline]")
    )
    return again or (start.format.trap and (other.format.trap or "WARNING: " in other.line.text))


def _is_consequence(start: Start, report: Report, before: Start, first: Report) -> bool:
    """Whether a report of its own only follows from an earlier one."""
    if start.is_panic():
        return _AFTERMATH.search(start.line.text) is not None
    if start.line.caller != before.line.caller or not before.line.caller:
        return False
    if before.format.trap and any(frame.name in _DYING for frame in report.frames):
        return True
    return start.format.trap and first.kind.startswith(_UNMAPPED)


# A task that oopsed exits with whatever locks and counts it held.
_DYING: Final = frozenset(("make_task_dead", "rewind_stack_and_make_dead", "rewind_stack_do_exit"))
# KASAN only says first what the access itself then runs into.
_UNMAPPED: Final = tuple(
    f"KASAN: {kind}" for kind in ("null-ptr-deref", "wild-memory-access", "user-memory-access")
)


# What the kernel prints to open a report, before the line that says which.
_OPENING: Final = re.compile(r"-{4,}\[ cut here \]|[=-]{20,}\s*$")


def _first_line(console: Console, start: Start) -> int:
    for number in range(start.number - 1, max(-1, start.number - 4), -1):
        line = console.lines[number]
        if number in console.starts or line.text.startswith("---[ end"):
            break
        if line.caller == start.line.caller and _OPENING.match(line.text):
            return number
    return start.number


def _report(start: Start, body: _Body, first: int) -> Report:
    format = start.format
    groups = {name: value for name, value in start.match.groupdict().items() if value}
    if format.detail:
        for text in body.texts:
            if found := format.detail.search(text):
                groups.update((name, value) for name, value in found.groupdict().items() if value)
                break
    groups.setdefault("said", start.line.text.strip("[] \t"))
    groups["said"] = _without_numbers(groups["said"])
    function = _function(format, groups, body)
    title = _title(format, groups, function)
    return Report(
        kind=title.split(" in ")[0],
        function=function,
        title=title,
        type=format.type.replace("{ACCESS}", groups.get("access", "read").upper()),
        state=_state(format, function, body),
        start=first,
        end=body.end,
        one_shot=format.one_shot,
        task=_task(body.texts),
        frames=_stack(function, body),
    )


def _stack(function: str, body: _Body) -> tuple[Frame, ...]:
    """The reliable frames of the stack that the function is on, else of the first."""
    stacks = [
        tuple(frame for frame in trace.frames if frame.reliable)
        for trace in body.traces
        if not trace.aside
    ]
    named = [stack for stack in stacks if any(frame.name == function for frame in stack)]
    return next(filter(None, named + stacks), ())


def _state(format: Format, function: str, body: _Body) -> State:
    if body.interleaved:
        return "interleaved"
    if body.cut or (format.sources and not function):
        return "truncated"
    return "complete"


def _title(format: Format, groups: Mapping[str, str], function: str) -> str:
    template = format.title
    if "access" not in groups:
        template = template.replace(" {access}", "")
    if "{func}" in template and not function:
        template = format.bare or template
    return template.format_map({**groups, "func": function or "corrupted"})


_HEX: Final = re.compile(r"\b(?:0x)?(?=[0-9a-f]*\d)[0-9a-f]{8,16}\b|\b0x[0-9a-f]+\b")
_NUMBER: Final = re.compile(r"(?<![\w.])\d+(?!\w)|\d{5,}")
_OFFSET: Final = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")


def _without_numbers(text: str) -> str:
    """What a message says, without what changes from boot to boot."""
    text = _NUMBER.sub("NUM", _HEX.sub("ADDR", _OFFSET.sub("", text)))
    return text.strip().rstrip(".")


def _function(format: Format, groups: Mapping[str, str], body: _Body) -> str:
    skip = [HELPERS, *([format.skip] if format.skip else [])]
    for source in format.sources:
        if source == "head":
            name = plain_name(groups.get("func", ""))
            name = "" if any(pattern.match(name) for pattern in skip) else name
        elif source == "pc":
            name = first_named(list(body.frames("pc"))[:1], *skip)
        elif source == "at":
            name = first_named(_lock_sites(body.texts), *skip)
        elif source == "caller":
            name = first_named(_callers(body.texts), REPORTERS)
        elif source == "loop":
            name = _looping(body)
        elif source == "sleep":
            name = first_named(body.frames("call"), SLEEPERS, *skip)
        else:
            name = first_named(body.frames("call"), *skip)
        if name:
            return name
    return ""


def _callers(texts: list[str]) -> Iterator[Frame]:
    for text in texts:
        if "caller is" in text and (frame := find_symbol(text)):
            yield frame


def _lock_sites(texts: list[str]) -> Iterator[Frame]:
    """The functions after lockdep's "at:", on the same line or the next."""
    for text, following in zip(texts, texts[1:] + [""]):
        if re.search(r"\bat:\s*$", text):
            text = following
        elif " at: " not in text:
            continue
        frame = find_symbol(text.partition(" at: ")[2] or text)
        if frame:
            yield frame


def _looping(body: _Body) -> str:
    for trace in body.traces:
        if not trace.aside and not _asleep(trace) and (name := looping(trace.frames)):
            return name
    return ""


def _asleep(trace: _Trace) -> bool:
    """Whether a stack is that of a task which gave up its CPU by itself."""
    names = [frame.name for frame in trace.frames if frame.reliable][:4]
    preempted = any("preempt" in name or "irq" in name for name in names)
    return not preempted and any(SLEEPERS.match(name) for name in names[:1])


_TASK: Final = re.compile(
    r"\bComm: (.{1,16}?) (?:Not t|T)ainted|by task (\S{1,40})/\d+|INFO: task (.{1,40}):\d+ "
    r"|^ +comm \"(.{1,16})\", pid"
)


def _task(texts: list[str]) -> str:
    for text in texts:
        if found := _TASK.search(text):
            return next(group for group in found.groups() if group)
    return ""


