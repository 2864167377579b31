# SPDX-License-Identifier: GPL-2.0
"""Which tests ran while lockdep or KASAN was off, from the console."""

import pytest

import silence
from record import GuestResult, Job, Run
from test_judge import KASAN, WARNING

VALIDATOR = "Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar"
LOCKDEP = """\
============================================
WARNING: possible recursive locking detected
6.12.0 #1 Tainted: G N
--------------------------------------------
worker/101 is trying to acquire lock:
ffff888003a1b07b (&lock){+.+.}-{3:3}, at: take_again+0x20/0x30

but task is already holding lock:
ffff888003a1b07b (&lock){+.+.}-{3:3}, at: take+0x20/0x30

stack backtrace:
CPU: 0 UID: 0 PID: 101 Comm: worker Tainted: G N 6.12.0 #1
Call Trace:
 <TASK>
 take_again+0x20/0x30
 kthread+0x200/0x290
 </TASK>
"""
RCU = """\
=============================
WARNING: suspicious RCU usage
6.12.0 #1 Tainted: G N
-----------------------------
mm/place.c:12 suspicious rcu_dereference_check() usage!

stack backtrace:
CPU: 0 UID: 0 PID: 101 Comm: worker Tainted: G N 6.12.0 #1
Call Trace:
 <TASK>
 look+0x20/0x30
 kthread+0x200/0x290
 </TASK>
"""
TAINTED = KASAN.format("wrong") + silence.UNRELIABLE + "\n"


def printed(text):
    return [f"[    1.000000][  T101] {line}" for line in text.splitlines()]


def guest(*windows, boot=VALIDATOR, cmdline="kasan_multi_shot", index=0):
    """A guest whose jobs a, b, c print these texts."""
    lines = printed(boot)
    for name, text in zip("abc", windows):
        lines += [f"[    1.000000][    T1] memsafe: BEGIN {name}", *printed(text)]
        lines += [f"[    1.000000][    T1] memsafe: END {name}"]
    return "\n".join(lines) + "\n", cmdline, index


def found(*guests):
    console, results = b"", []
    for text, cmdline, index in guests:
        results.append(GuestResult(index, {}, cmdline=cmdline, console=(len(console), len(text))))
        console += text.encode()
    run = Run("target", tuple(Job(name, "program") for name in "abc"), guests=tuple(results))
    return [(one.reporter, one.guest, one.since, one.cause, "".join(one.jobs)) for one in silence.found(run, console)]


@pytest.mark.parametrize("arranged, expected", [
    (guest("", "", ""), []),
    (guest("", LOCKDEP, ""), [("lockdep", 0, "b", "possible deadlock in take_again", "bc")]),
    (guest("", TAINTED, ""), [("lockdep", 0, "b", "KASAN: slab-out-of-bounds Write in wrong", "bc")]),
    (guest("", "", TAINTED + LOCKDEP), [("lockdep", 0, "c", "KASAN: slab-out-of-bounds Write in wrong", "c")]),
    (guest("", "", "", boot=f"{VALIDATOR}\n{silence.UNRELIABLE}"), [("lockdep", 0, "", "a taint of the kernel", "abc")]),
    (guest(RCU, WARNING.format("place"), ""), []),
    (guest("", TAINTED, "", boot="Linux version 6.12"), []),
    (guest("", TAINTED, "", boot="Linux version 6.12", cmdline=""),
     [("KASAN", 0, "b", "KASAN: slab-out-of-bounds Write in wrong", "bc")]),
    (guest("", KASAN.format("wrong"), LOCKDEP, cmdline=""),
     [("lockdep", 0, "c", "possible deadlock in take_again", "c"),
      ("KASAN", 0, "b", "KASAN: slab-out-of-bounds Write in wrong", "bc")]),
    (guest(KASAN.format("wrong"), KASAN.format("again"), "", boot="", cmdline=""), []),
    (guest(KASAN.format("wrong"), "", "", boot="Kernel command line: kasan_multi_shot", cmdline=""), []),
], ids=["nothing", "a lock", "a taint", "the first counts", "at boot", "not lockdep's end", "no lockdep",
        "one shot", "both", "two reports", "an option of the boot config"])  # fmt: skip
def test_what_was_off_and_for_whom(arranged, expected):
    assert found(arranged) == expected


def test_another_guest_begins_anew():
    assert found(guest("", LOCKDEP, ""), guest("", "", "", index=1)) == [
        ("lockdep", 0, "b", "possible deadlock in take_again", "bc")
    ]


def test_the_sentence_says_since_when_and_why():
    one = silence.Silence("lockdep", 1, "b", "WARNING in f", ("b", "c"))

    assert silence.sentence(one) == (
        "guest 2: lockdep was off from b on (WARNING in f): "
        "2 suites and programs were not watched by it to their end"
    )
