# SPDX-License-Identifier: GPL-2.0
"""splat against the text files in splat/, damage, other tasks' lines, and logs of others.

A text file has headers, an empty line, and the log. One `REPORT: title` for each
report in order, each followed by what else is asserted of it: `TYPE:`, `STATE:`,
`FIRST:` and `LAST:` (a part of its first and last line), `TASK:`, `ONE-SHOT: yes`,
`FRAMES:` (the first functions of its stack).
"""

import os
import random
from pathlib import Path

import pytest

import splat
from steps import steps

HERE = Path(__file__).parent
TEXTS = sorted((HERE / "splat").glob("*.txt"))
CORPUS = os.environ.get("MEMSAFE_CORPUS")
MEGABYTE = 1_000_000
MEMORY_SAFETY = ("KASAN", "KFENCE", "KMSAN", "MEMORY_SAFETY", "NULL-POINTER")


def read(path):
    """(REPORT headers, each with what follows it), log"""
    head, _, log = path.read_text().partition("\n\n")
    wanted = []
    for line in head.split("\n"):
        name, _, value = line.partition(": ")
        if name == "REPORT":
            wanted.append((value, {}))
        elif not line.startswith("#"):
            wanted[-1][1][name] = value
    return wanted, log


def titles(text):
    return [report.title for report in splat.find(text)]


def shown(report, name, log):
    """What a header of that name says about a report."""
    lines = log.split("\n")
    return {
        "TYPE": report.type,
        "STATE": report.state,
        "FIRST": lines[report.start],
        "LAST": lines[report.end - 1],
        "TASK": report.task,
        "ONE-SHOT": "yes" if report.one_shot else "no",
        "FRAMES": " ".join(frame.name for frame in report.frames),
    }[name]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_text(path):
    wanted, log = read(path)

    found = splat.find(log)

    assert [report.title for report in found] == [title for title, _ in wanted]
    for report, (_, facts) in zip(found, wanted):
        for name, value in facts.items():
            seen = shown(report, name, log)
            part = name in ("FIRST", "LAST", "FRAMES")
            assert value in seen if part else value == seen, f"{name} of {report.title}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_carriage_returns_change_nothing(path):
    _, log = read(path)

    assert splat.find(log.replace("\n", "\r\n")) == splat.find(log)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_truncation_keeps_the_first_report(path):
    """Cut after any line: the report is there from its start line on."""
    wanted, log = read(path)
    lines = log.split("\n")

    first = [report.kind for report in splat.find(log)][:1]

    counts = [len(splat.find("\n".join(lines[:end]))) for end in range(len(lines) + 1)]
    assert counts[0] == 0
    assert (counts[-1] > 0) == bool(first) == bool(wanted)
    assert all(count <= counts[-1] + 1 for count in counts)


def cut_after(log, words):
    """The log up to and with the first line that has the words."""
    lines = log.split("\n")
    last = next(number for number, line in enumerate(lines) if words in line)
    return "\n".join(lines[: last + 1])


def test_report_cut_before_its_stack_is_truncated():
    _, log = read(HERE / "splat" / "kasan_slab_out_of_bounds.txt")

    (report,) = splat.find(cut_after(log, "Call Trace:"))

    assert report.state == "truncated"
    assert report.title == "KASAN: slab-out-of-bounds Write in memsafe_slab_oob"


def test_report_cut_within_its_stack_is_truncated():
    _, log = read(HERE / "splat" / "warning.txt")

    (report,) = splat.find(cut_after(log, " param_attr_store+0x"))

    assert report.state == "truncated"


TWO = """\
[    1.000001][   T{a}] BUG: KASAN: slab-out-of-bounds in first+0x10/0x20
[    1.000002][   T{a}] Write of size 1 at addr ffff888000000040 by task one/{a}
[    1.000003][   T{b}] BUG: KASAN: slab-use-after-free in second+0x10/0x20
[    1.000004][   T{a}] Call Trace:
[    1.000005][   T{b}] Read of size 8 at addr ffff888000001040 by task two/{b}
[    1.000006][   T{b}] Call Trace:
[    1.000007][   T{a}]  kasan_report+0x10/0x20
[    1.000008][   T{b}]  kasan_report+0x10/0x20
[    1.000009][   T{b}]  second+0x10/0x20
[    1.000010][   T{a}]  first+0x10/0x20
[    1.000011][   T{a}]  outer_of_first+0x10/0x20
[    1.000012][   T{b}]  outer_of_second+0x10/0x20
"""


def test_two_tasks_reports_are_told_apart_by_caller():
    first, second = splat.find(TWO.format(a=11, b=12))

    assert first.title == "KASAN: slab-out-of-bounds Write in first"
    assert second.title == "KASAN: slab-use-after-free Read in second"
    assert [frame.name for frame in first.frames] == ["kasan_report", "first", "outer_of_first"]
    assert [frame.name for frame in second.frames] == ["kasan_report", "second", "outer_of_second"]


def test_two_reports_without_caller_column_are_interleaved():
    text = "\n".join(line[:14] + line[22:] for line in TWO.format(a=11, b=12).split("\n"))

    states = [report.state for report in splat.find(text)]

    assert states[0] == "interleaved"


ONE = "[    1.000001][   T11] WARNING: CPU: 0 PID: 11 at mm/a.c:1 somewhere+0x10/0x20\n"


@pytest.mark.parametrize(
    "line",
    [
        "memsafe: EXPECT memsafe_a.b: KASAN: slab-out-of-bounds Write in foo",
        "[    1.000000][   T11] memsafe: EXPECT a.b: BUG: KASAN: use-after-free in foo+0x1/0x2",
        "[    1.000000][   T11]     # says_so: FAILED: BUG: unable to handle page fault",
        "[    1.000000][   T11]     ok 3 WARNING: CPU: 0 PID: 1 at a.c:1 b+0x1/0x2",
        "[    1.000000] traps: a.out[31] general protection fault ip:401136 sp:7ffc error:0",
        "[    1.000000] a.out[31]: segfault at 0 ip 0000000000401136 sp 00007ffc error 4",
        "[    1.000000] INFO: lockdep is turned off.",
        "WARNING: this program is old",
        "WARNING: main.c:12 is unused",
        "Oops: no such file",
        "Internal error: disk full",
    ],
    ids=lambda line: line.split("] ")[-1][:40],
)
def test_line_is_no_report(line):
    text = f"{line}\n[    2.000000][   T11]  foo+0x10/0x20\n"

    assert splat.find(text) == ()


def test_program_text_is_no_report_where_the_kernel_stamps_its_lines():
    text = ONE + "BUG: the parser lost a token\n"

    assert titles(text) == ["WARNING in somewhere"]


def test_lines_that_say_different_things_are_different_reports():
    text = "BUG: the first thing is wrong\nBUG: the second thing is wrong\n"

    assert titles(text) == ["BUG: the first thing is wrong", "BUG: the second thing is wrong"]


def test_report_ends_at_a_mark():
    text = ONE + "memsafe: END a\n[    1.000002][   T11]  not_of_it+0x10/0x20\n"

    (report,) = splat.find(text)

    assert report.end == 1
    assert report.frames == ()


@pytest.mark.parametrize("command_line, silent", [("", True), ("kasan_multi_shot", False)])
def test_kasan_is_silent_after_one_report_unless_multi_shot(command_line, silent):
    text = f"[    0.000000][    T0] Command line: {command_line}\n" + TWO.format(a=11, b=11)
    lines = [line for line in text.split("\n") if "second" not in line and "two/" not in line]

    (report,) = splat.find("\n".join(lines))

    assert report.one_shot is silent


def test_random_bytes_are_no_report():
    for seed in range(20):
        data = random.Random(seed).randbytes(20_000)

        assert splat.find(data.decode("utf-8", "replace")) == (), f"seed {seed}"


def test_damaged_reports_never_raise():
    logs = [read(path)[1] for path in TEXTS]
    for seed in range(100):
        chance = random.Random(seed)
        text = list(chance.choice(logs))
        for _ in range(60):
            text[chance.randrange(len(text))] = chr(chance.randrange(256))

        for report in splat.find("".join(text)):
            assert 0 <= report.start < report.end, f"seed {seed}"


WARNED = "[    1.000000][   T{}] WARNING: CPU: 1 PID: 1 at a.c:1 foo+0x1/0x2"


@pytest.mark.parametrize(
    "line",
    [
        "[    1.000000][    T1] usb 1-1: new high-speed USB device number 2 using dummy_hcd",
        "[    1.000000][    T1]  foo+0x1/0x2",
        "((((((((((",
        *(WARNED.format(task) for task in (1, 2)),
        "general protection fault: 0000 [#1]",
        "BUG: KASAN: " * 100,
    ],
    ids=lambda line: line[:45],
)
def test_work_grows_with_the_size(line):
    """Ten times the text takes about ten times the work."""
    small = "\n".join([line] * (MEGABYTE // 50 // len(line)))

    _, once = steps(splat.find, small)
    _, ten_times = steps(splat.find, "\n".join([small] * 10))

    assert ten_times <= 12 * once


def test_work_on_a_long_console_grows_with_its_size():
    log = "\n".join(read(path)[1] for path in TEXTS)
    quiet = "[    1.000000][    T1] eth0: link becomes ready at full speed\n" * 2000

    found, once = steps(splat.find, log + quiet)
    _, four_times = steps(splat.find, (log + quiet) * 4)

    assert found
    assert four_times <= 5 * once


def corpus_logs():
    """(name, headers, log) of syzkaller's logs; REPORT: and what follows is not the log."""
    for path in sorted(Path(CORPUS, "syzkaller").iterdir()):
        text = path.read_bytes().decode("utf-8", "replace").replace("\r", "")
        head, _, log = ("\n" + text).partition("\n\n")
        headers = {}
        for line in head.strip("\n").split("\n"):
            name, _, value = line.partition(":")
            headers.setdefault(name, []).append(value.strip())
        yield path.name, headers, log.partition("\nREPORT:")[0]


@pytest.fixture(scope="module")
def corpus():
    if not CORPUS:
        pytest.skip("needs MEMSAFE_CORPUS: logs that others collected")
    return [(name, headers, splat.find(log)) for name, headers, log in corpus_logs()]


def type_of(headers):
    return headers.get("TYPE", [""])[0]


def with_title(corpus):
    return [entry for entry in corpus if entry[1].get("TITLE", [""])[0]]


def share(hits):
    hits = list(hits)
    return sum(hits) / len(hits)


def test_corpus_has_no_false_alarm(corpus):
    clean = [(name, found) for name, headers, found in corpus if "TITLE" not in headers]

    assert clean
    assert [name for name, found in clean if found] == []


def test_corpus_every_memory_safety_report_is_found(corpus):
    missed = [
        name
        for name, headers, found in with_title(corpus)
        if type_of(headers).startswith(MEMORY_SAFETY) and not found
    ]

    assert missed == []


def test_corpus_other_reports_are_found(corpus):
    others = [e for e in with_title(corpus) if not type_of(e[1]).startswith(MEMORY_SAFETY)]

    assert share(bool(found) for _, _, found in others) >= 0.98


def test_corpus_types_are_right(corpus):
    typed = [(type_of(headers), found) for _, headers, found in with_title(corpus)]

    assert share(bool(found) and found[0].type == type for type, found in typed) >= 0.90


def test_corpus_titles_are_right(corpus):
    whole = [e for e in with_title(corpus) if "CORRUPTED" not in e[1]]

    right = (
        bool(found) and found[0].title in headers["TITLE"] + headers.get("ALT", [])
        for _, headers, found in whole
    )
    assert share(right) >= 0.90
