# SPDX-License-Identifier: GPL-2.0
"""judge against the text files in judge/: every way to be red, and green.

A file has a sentence that says what is wrong, headers, and sections.  What the
verdict must be, whole and in order:

    verdict: pass|fail|none
    reason: a sentence
    case: status name: reason [known: why]
    report: STATE signature in case

What it is made from:

    job: kunit|program name [case...]           of the manifest
    detects: name detector                      the job proves that it sees
    result: name outcome [number] [field=value...]
    guest: [field=value...]                     default: one that ended well, in batch 0
    expect: a line of the expectations file, read on TODAY
    facts: filtered | problem=sentence | kernel=version
    == console                                  one for each guest
    == out name                                 what a job printed
    == leaks                                    what kmemleak found in the last guest

Without a console section the console holds the marks of all results.  A console
line without a time stamp gets one, and init as its caller; @kasan, @warning
and @bug stand for whole reports.
"""

import dataclasses
import datetime
from pathlib import Path

import pytest

import expect
import judge
from record import GuestResult, Job, JobResult, Run

HERE = Path(__file__).parent
TEXTS = sorted((HERE / "judge").glob("*.txt"))
RED = [path for path in TEXTS if not path.stem.startswith("green_")]
TODAY = datetime.date(2026, 1, 15)
HZ = 1000

KASAN = """\
==================================================================
BUG: KASAN: slab-out-of-bounds in {0}+0x20/0x30 [memsafe]
Write of size 1 at addr ffff888003a1b07b by task worker/101
CPU: 0 UID: 0 PID: 101 Comm: worker Tainted: G N 6.12.0 #1
Call Trace:
 <TASK>
 {0}+0x20/0x30 [memsafe]
 kthread+0x200/0x290
 </TASK>
==================================================================
"""
WARNING = """\
------------[ cut here ]------------
WARNING: CPU: 0 PID: 101 at mm/place.c:12 {0}+0x20/0x30
RIP: 0010:{0}+0x20/0x30
Call Trace:
 <TASK>
 kthread+0x200/0x290
 </TASK>
---[ end trace 0000000000000000 ]---
"""
BUG = """\
------------[ cut here ]------------
kernel BUG at mm/place.c:12!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP KASAN
CPU: 0 UID: 0 PID: 101 Comm: worker Tainted: G N 6.12.0 #1
RIP: 0010:{0}+0x20/0x30
Call Trace:
 <TASK>
 kthread+0x200/0x290
 </TASK>
---[ end trace 0000000000000000 ]---
"""
MACROS = {"@kasan": KASAN, "@warning": WARNING, "@bug": BUG}


@dataclasses.dataclass
class Text:
    """One file: its headers in order, and its sections as (head, lines)."""

    headers: list[tuple[str, str]]
    sections: list[tuple[str, list[str]]]

    def values(self, key):
        return [value for name, value in self.headers if name == key]

    def named(self, head):
        return [lines for name, lines in self.sections if name == head]


def read(path):
    text = Text([], [])
    for line in path.read_text().split("\n"):
        if line.startswith("== "):
            text.sections.append((line[3:], []))
        elif text.sections:
            text.sections[-1][1].append(line)
        elif line and not line.startswith("#"):
            name, colon, value = line.partition(": ")
            assert colon, f"{path.name}: {line!r} is no header"
            text.headers.append((name, value))
    return text


def bytes_of(lines):
    """A section's text; "@cut" at its end leaves out the last newline."""
    text = "\n".join(lines).rstrip("\n")
    if text.endswith("@cut"):
        return text.removesuffix("@cut").encode()
    return (text + "\n").encode() if text else b""


def fields(words):
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        value = value.replace("_", " ")
        found[name] = {"yes": True, "no": False}.get(value, int(value) if value.isdigit() else value)
    return found


def printed_lines(lines):
    """A console section's lines, reports expanded, each with a time stamp."""
    clock = 0
    for line in filter(None, lines):
        words = line.split(" ")
        whole = MACROS[words[0]].format(words[1]).splitlines() if words[0] in MACROS else [line]
        for part in whole:
            clock += 1
            caller = "T101" if words[0] in MACROS else "T1"
            yield part if part.startswith(("[", "** ")) else f"[{clock:5}.000000][{caller:>6}] {part}"


def marks(results):
    return [f"memsafe: {mark} {result.name}" for result in results for mark in ("BEGIN", "END")]


def a_result(line, out):
    name, outcome, *rest = line.split(" ")
    number = int(rest.pop(0)) if rest and rest[0].isdigit() else 0
    return JobResult(name, outcome=outcome, number=number, **{"guest": 0, **out, **fields(rest)})


def arranged(text):
    """The judge's arguments: a Run and the texts it points into."""
    results, console = b"", b""
    printed = {head.split(" ")[1]: lines for head, lines in text.sections if head.startswith("out ")}
    done = []
    for line in text.values("result"):
        data = bytes_of(printed.get(line.split(" ")[0], []))
        done.append(a_result(line, {"offset": len(results), "length": len(data)}))
        results += data
    leaks = b"".join(bytes_of(lines) for lines in text.named("leaks"))
    consoles = text.named("console") or [marks(done)]
    guests = []
    for index, lines in enumerate(consoles):
        data = ("\n".join(printed_lines(lines)) + "\n").encode()
        given = fields(text.values("guest")[index].split()) if index < len(text.values("guest")) else {}
        hello = {name: str(given.pop(name)) for name in ("jiffies", "uptime_ms") if name in given}
        default = {"kmemleak": "on", "ended": True, "console": (len(console), len(data))}
        guests.append(GuestResult(index, hello, **{**default, **given}))
        console += data
    guests[-1] = dataclasses.replace(guests[-1], leaks=(len(results), len(leaks)))
    facts = text.values("facts")
    run = Run(
        "target",
        tuple(a_job(line, text) for line in text.values("job")),
        tuple(done),
        tuple(guests),
        facts={"hz": str(HZ)} | dict(fact.split("=") for fact in facts if fact.startswith("kernel=")),
        problems=tuple(fact.partition("=")[2] for fact in facts if fact.startswith("problem=")),
        filtered="filtered" in facts,
    )
    expected = expect.parse("\n".join(text.values("expect")), TODAY)
    return run, results + leaks, console, expected, {}


def a_job(line, text):
    kind, name, *cases = line.split(" ")
    detects = dict(value.split(" ", 1) for value in text.values("detects")).get(name, "")
    return Job(name, kind, tuple(f"{name}.{case}" for case in cases), detects=detects)


def shown_case(case):
    known = f" [known: {case.known}]" if case.known else ""
    return f"{case.status} {case.name}" + (f": {case.reason}" if case.reason else "") + known


def shown_report(report):
    return f"{report.state} {report.signature}" + (f" in {report.case}" if report.case else "")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_text(path):
    text = read(path)

    verdict = judge.judge(*arranged(text))

    assert list(verdict.reasons) == text.values("reason")
    assert [shown_case(case) for case in verdict.cases] == text.values("case")
    assert [shown_report(report) for report in verdict.reports] == text.values("report")
    assert [verdict.verdict] == text.values("verdict")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_only_the_good_are_green(path):
    """A red text must say why; a green one must not."""
    text = read(path)

    assert (text.values("verdict") == ["pass"]) == path.stem.startswith("green_")
    assert bool(text.values("reason")) != path.stem.startswith("green_")


@pytest.mark.parametrize("path", RED, ids=lambda path: path.stem)
def test_losing_output_never_makes_it_green(path):
    """Whatever its results or its console lose, no red becomes green."""
    text = read(path)
    run, results, console, expected, decoded = arranged(text)

    for length in range(0, len(results), 7):
        short = judge.judge(run, results[:length], console, expected, decoded)
        assert short.verdict != "pass", results[:length]
    for length in range(0, len(console), 97):
        short = judge.judge(run, results, console[:length], expected, decoded)
        assert short.verdict != "pass", console[:length]
    for index in range(len(run.results)):
        fewer = dataclasses.replace(run, results=run.results[:index])
        assert judge.judge(fewer, results, console, expected, decoded).verdict != "pass"
