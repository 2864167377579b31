# SPDX-License-Identifier: GPL-2.0
"""Mutants: what a header says, what a run with one means, and what a campaign says in
the end.  Values in, values out."""

import re
from dataclasses import replace

import pytest

import mutants
import patch
from mutants import Baseline, Killer, Result

GREEN = Baseline("pass", (), frozenset(), "code", ("a.x",))


def shown(*cases, reports=(), verdict=None, reasons=()):
    """verdict.json's object of a target, as far as it matters."""
    found = [
        {"name": name, "status": status, "reason": "", **({"known": known[0]} if known else {})}
        for name, status, *known in cases
    ]
    found_reports = [{"signature": name, "state": given, "case": ""} for name, given in reports]
    red = any(case["status"] in ("fail", "error") for case in found) or found_reports
    return {
        "cases": found,
        "reports": found_reports,
        "verdict": verdict or ("fail" if red else "pass"),
        "reasons": list(reasons),
        "counts": {"pass": sum(case["status"] == "pass" for case in found)},
    }


KASAN = ("KASAN: use-after-free Read in f", "NEW")
PANIC = ("kernel panic: no", "NEW")


@pytest.mark.parametrize("seen, before, hung, outcome, killers", [
    (shown(("a.x", "pass")), GREEN, [], "survived", []),
    (shown(("a.x", "fail")), GREEN, [], "killed by assertion", ["a.x"]),
    (shown(("a.x", "pass"), reports=[KASAN]), GREEN, [], "killed by report", [KASAN[0]]),
    (shown(("a.x", "fail"), reports=[KASAN]), GREEN, [], "killed by assertion", ["a.x", KASAN[0]]),
    (shown(("a", "error"), ("a.y", "miss"), reports=[PANIC]), GREEN, [], "killed by report", [PANIC[0], "a"]),
    (shown(("a", "error")), GREEN, [], "killed by report", ["a"]),
    (shown(("a.x", "pass"), ("a", "error"), ("a.y", "miss")), GREEN, ["a"], "timed out", []),
    (shown(("a.x", "fail"), ("a", "error")), GREEN, ["a"], "killed by assertion", ["a.x"]),
    (shown(("a", "error"), ("ab", "error")), GREEN, ["a"], "killed by report", ["ab"]),
    (shown(("a", "error"), reports=[KASAN]), GREEN, ["a"], "killed by report", [KASAN[0]]),
    (shown(("a.x", "fail", "known")), GREEN, [], "survived", []),
    (shown(("a.x", "pass"), reports=[(KASAN[0], "KNOWN"), (PANIC[0], "EXPECTED")], verdict="pass"),
     GREEN, [], "survived", []),
    (shown(("a.x", "skip"), verdict="none", reasons=["undeclared skip: a.x"]), GREEN, [], "no verdict", []),
    (shown(("a.x", "pass"), verdict="fail", reasons=["stale expectation in line 1"]), GREEN, [], "no verdict", []),
    (shown(("a.x", "fail"), ("a.y", "fail")), replace(GREEN, bad=frozenset({"a.x"})), [],
     "killed by assertion", ["a.y"]),
    (shown(("a.x", "fail"), reasons=["a.x: fail"]),
     Baseline("fail", ("a.x: fail",), frozenset({"a.x"}), "", ()), [], "survived", []),
    (shown(("a.x", "pass"), reports=[KASAN]), replace(GREEN, bad=frozenset({KASAN[0]})), [], "survived", []),
])  # fmt: skip
def test_outcome_of_a_run(seen, before, hung, outcome, killers):
    found, by, _ = mutants.judged(seen, before, hung)

    assert (found, [killer.name for killer in by]) == (outcome, killers)


def test_what_timed_out_is_named():
    assert mutants.judged(shown(("a", "error")), GREEN, ["a"])[2] == "no end of a"


DIFF = "--- a/mm/slub.c\n+++ b/mm/slub.c\n@@ -1 +1 @@\n-int slub;\n+int mutant;\n"


def mutant(text, name="one"):
    return mutants.mutant(name, text, patch.parse(text))


def test_a_header_says_what_a_mutant_is():
    one = mutant(
        "A promise is broken.\n\nKilled-by: memsafe_a.*\nTargets: arm-*, i386-highmem\n"
        "Kind: silent\nEquivalent:  nobody reads it \n\n" + DIFF
    )

    assert (one.killed_by, one.equivalent) == ("memsafe_a.*", "nobody reads it")
    assert (one.kind, mutant(DIFF).kind) == ("silent", "")
    assert [one.is_for(name) for name in ("arm-x", "i386-highmem", "x86_64")] == [True, True, False]
    assert not one.driver and mutant(DIFF).is_for("x86_64")


def test_only_the_header_is_a_header():
    diff = "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-a\n+b\n+Equivalent: no\n" + "Killed-by: nobody\n"

    assert (mutant(diff).equivalent, mutant(diff).killed_by) == ("", "")


@pytest.mark.parametrize("text, part", [
    ("Killed-by: a\nKilled-by: b\n" + DIFF, "two lines Killed-by:"),
    ("Kind: loud\n" + DIFF, "Kind: loud is none of silent, report, crash"),
    (DIFF + "--- a/module/f.c\n+++ b/module/f.c\n@@ -1 +1 @@\n-a\n+b\n", "both the kernel and module/"),
])  # fmt: skip
def test_a_mutant_says_one_thing(text, part):
    with pytest.raises(mutants.BadMutant, match=re.escape(part)):
        mutant(text)


@pytest.mark.parametrize("named, is_so", [
    ("a.x", True), ("a.y", False), ("a", True), ("*.x", True), ("a.x.order 3", False),
    ("KASAN: use-after-free*", True), ("memsafe_b.z", True),
])  # fmt: skip
def test_the_case_that_must_kill_is_looked_for(named, is_so):
    killers = [Killer("assertion", "a.x"), Killer("assertion", "memsafe_b.z.order 3"), Killer("report", KASAN[0])]

    assert mutants.is_named(named, killers) is is_so


def result(outcome, name="one", **more):
    return Result(name, "key", outcome, **more)


@pytest.mark.parametrize("outcomes, status", [
    (["killed by assertion", "killed by report", "timed out", "equivalent", "for another target"], 0),
    (["killed by report"], 0),
    (["equivalent"], 0),
    (["killed by report", "survived"], 1),
    (["survived", "does not build"], 1),
    (["killed by report", "does not apply"], 2),
    (["killed by report", "does not build"], 2),
    (["killed by report", "does not boot"], 2),
    (["killed by report", "not built"], 2),
    (["killed by report", "no verdict"], 2),
    (["for another target"], 2),
    ([], 2),
])  # fmt: skip
def test_exit_status(outcomes, status):
    assert mutants.status([result(outcome) for outcome in outcomes], []) == status


@pytest.mark.parametrize("outcome", mutants.OUTCOMES)
def test_nothing_is_shown_when_it_is_red_without_any(outcome):
    assert mutants.status([result(outcome)], ["b.x: fail"]) == 2


def test_the_table_begins_with_the_worst_and_ends_with_the_counts():
    killers = (Killer("assertion", "a.x"), Killer("assertion", "a.y"))
    found = [
        result("killed by assertion", "first", killers=killers, killed_by="a.z", kind="silent", seconds={"total": 3.0}),
        result("survived", "second", files=("mm/slub.c",), killed_by="a.z", kind="silent", seconds={"total": 9.0}),
        result("killed by report", "third", killers=(Killer("report", PANIC[0]),), off=3),
        result("does not boot", "fourth", detail="the kernel does not boot: no greeting"),
    ]

    assert mutants.table(found, ["b.x: fail"]) == [
        "survived             second  (mm/slub.c, not killed by a.z)",
        "does not boot        fourth  the kernel does not boot: no greeting",
        "killed by report     third  kernel panic: no  (3 lines off)",
        "killed by assertion  first  a.x and 1 more  (not killed by a.z)",
        "without a mutant it is not green; this kills nothing:",
        "  b.x: fail",
        "  2 of   2 killed,   1 by assertion  ",
        "  0 of   1 killed,   0 by assertion  mm/slub.c",
        "  1 of   2 killed,   1 by assertion  kind: silent",
        "12 s for 2 that ran: 6.0 s the median, 9.0 s the longest",
        "1 killed by assertion, 1 by report, 1 survived, 1 does not boot",
    ]


def test_each_file_has_its_score():
    found = [
        result("killed by assertion", "a", files=("mm/a.c",)),
        result("survived", "b", files=("mm/a.c",)),
        result("killed by report", "c", files=("mm/b.c", "mm/a.c")),
        result("does not build", "d", files=("mm/c.c",)),
    ]

    assert mutants.scores(found) == [
        "  1 of   2 killed,   1 by assertion  mm/a.c",
        "  1 of   1 killed,   0 by assertion  mm/b.c",
    ]


def test_who_killed_whom_and_who_nobody():
    killers = (Killer("assertion", "a.x"), Killer("report", PANIC[0]))
    found = [result("killed by assertion", "first", killers=killers), result("survived", "second")]

    assert mutants.matrix(found).splitlines() == [
        "first\tkilled by assertion\tassertion\ta.x",
        f"first\tkilled by assertion\treport\t{PANIC[0]}",
    ]
    assert mutants.idle(found, ["a.x", "a.y"]) == ["a.y"]


def test_the_counts_name_what_matters_also_when_there_is_none():
    assert mutants.table([result("killed by report")], [])[-1] == (
        "0 killed by assertion, 1 by report, 0 survived"
    )


# A campaign on a tree of a few files.  Its tests fail when a file holds "mutant".
