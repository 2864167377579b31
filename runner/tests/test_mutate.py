# SPDX-License-Identifier: GPL-2.0
"""Mutants: what a run with one means, what a campaign says in the end, and that it
goes on where it was interrupted.  Kernels are built in the last test only."""

import json
import re
from dataclasses import replace

import pytest

import mutants
import mutate
import patch
import run
import target as targets
from cache import Cache
from conftest import RUNNER
from errors import NotBuilt, NoVerdict, UsageError
from mutants import Baseline, Killer, Result
from proc import Commands
from source import Source
from test_mirror import Quiet
from test_overlay import TREE, state, write

PROJECT = RUNNER.parent
GREEN = Baseline("pass", (), frozenset(), "code", 7)


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
     Baseline("fail", ("a.x: fail",), frozenset({"a.x"}), "", 0), [], "survived", []),
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
        "Equivalent:  nobody reads it \n\n" + DIFF
    )

    assert (one.killed_by, one.equivalent) == ("memsafe_a.*", "nobody reads it")
    assert [one.is_for(name) for name in ("arm-x", "i386-highmem", "x86_64")] == [True, True, False]
    assert not one.driver and mutant(DIFF).is_for("x86_64")


def test_only_the_header_is_a_header():
    diff = "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-a\n+b\n+Equivalent: no\n" + "Killed-by: nobody\n"

    assert (mutant(diff).equivalent, mutant(diff).killed_by) == ("", "")


@pytest.mark.parametrize("text, part", [
    ("Killed-by: a\nKilled-by: b\n" + DIFF, "two lines Killed-by:"),
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
    assert mutants.status([result(outcome) for outcome in outcomes], GREEN) == status


@pytest.mark.parametrize("outcome", mutants.OUTCOMES)
def test_nothing_is_shown_when_it_is_red_without_any(outcome):
    assert mutants.status([result(outcome)], replace(GREEN, verdict="fail")) == 2


def test_the_table_begins_with_the_worst_and_ends_with_the_counts():
    red = replace(GREEN, verdict="fail", reasons=("b.x: fail",))
    killers = (Killer("assertion", "a.x"), Killer("assertion", "a.y"))
    found = [
        result("killed by assertion", "first", killers=killers, killed_by="a.z"),
        result("survived", "second", files=("mm/slub.c",), killed_by="a.z"),
        result("killed by report", "third", killers=(Killer("report", PANIC[0]),), off=3),
        result("does not boot", "fourth", detail="the kernel does not boot: no greeting"),
    ]

    assert mutants.table(found, red) == [
        "survived             second  (mm/slub.c, not killed by a.z)",
        "does not boot        fourth  the kernel does not boot: no greeting",
        "killed by report     third  kernel panic: no  (3 lines off)",
        "killed by assertion  first  a.x and 1 more  (not killed by a.z)",
        "without a mutant it is not green (fail); this kills nothing:",
        "  b.x: fail",
        "1 killed by assertion, 1 by report, 1 survived, 1 does not boot",
    ]


def test_the_counts_name_what_matters_also_when_there_is_none():
    assert mutants.table([result("killed by report")], GREEN)[-1] == (
        "0 killed by assertion, 1 by report, 0 survived"
    )


# A campaign on a tree of a few files.  Its tests fail when a file holds "mutant".


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "linux", TREE)


@pytest.fixture
def tools(tmp_path):
    return run.Tools(Cache(tmp_path / "cache", lambda text: None), Commands(print), Quiet())


@pytest.fixture
def options(tmp_path):
    return run.Options("x86_64-kasan", (), tmp_path / "results", leaks=False)


@pytest.fixture
def tried(monkeypatch, tree):
    """What was built and run: the word that a mutant puts into mm/slub.c."""
    words = []

    def fake(campaign, options, folder, same, seconds):
        word = (options.kernel / "mm/slub.c").read_text().split()[1].rstrip(";")
        words.append(word)
        if word == "broken":
            raise NotBuilt("Linux does not build:\nmm/slub.c:1:5: error: broken")
        if word == "deaf":
            (folder / "console.log").touch()
            raise NoVerdict("the kernel does not boot: no greeting")
        if word == "interrupted":
            raise KeyboardInterrupt
        if word == same:
            return mutate.Judged({}, (), word)
        seen = shown(("a.x", "fail" if word == "mutant" else "pass"))
        return mutate.Judged(seen, ("a",) if word == "hangs" else (), word)

    source = Source(tree, "6.12.1", "content", pinned=True)
    monkeypatch.setattr(mutate, "_build_and_run", fake)
    monkeypatch.setattr(run, "load", lambda options: targets.load(options.target))
    monkeypatch.setattr(run, "sources_of", lambda *_: (source, source))
    monkeypatch.setattr(mutate.build, "compiler_version", lambda *_: "gcc")
    return words


def write_patches(folder, **words):
    """Patches of mm/slub.c, by name; a word with a line end is a whole patch."""
    for name, word in words.items():
        text = word if "\n" in word else DIFF.replace("mutant", word)
        write(folder, {f"{name}.patch": text})
    return folder


def outcomes(folder):
    return {path.stem: json.loads(path.read_text())["outcome"] for path in folder.glob("*/mutants/*.json")}


def test_each_mutant_is_tried_and_the_source_stays(tmp_path, tree, options, tools, tried):
    before = state(tree)
    folder = write_patches(
        tmp_path / "patches", a="mutant", b="broken", c="deaf", d="nobody",
        e=DIFF.replace("-int slub", "-int other"), f="Equivalent: same\n" + DIFF,
        g="Targets: arm-*\n" + DIFF, h="hangs",
    )  # fmt: skip
    write(folder, {"README.md": "no patch"})

    lines, status = mutate.mutate(options, [folder], None, tools)

    assert tried == ["slub", "mutant", "broken", "deaf", "nobody", "hangs"]
    assert outcomes(options.results) == {
        "a": "killed by assertion", "b": "does not build", "c": "does not boot", "d": "survived",
        "e": "does not apply", "f": "equivalent", "g": "for another target", "h": "timed out",
    }  # fmt: skip
    assert lines[-1].startswith("1 killed by assertion, 0 by report, 1 timed out, 1 survived, 1 equivalent")
    assert "does not build       b  mm/slub.c:1:5: error: broken" in lines
    assert status == 1
    assert state(tree) == before
    assert (options.results / "latest/mutants/summary.txt").read_text().splitlines() == lines


def test_what_changes_nothing_that_runs_has_not_survived(tmp_path, options, tools, tried):
    one = write_patches(tmp_path, one="slub; /* a comment */")

    lines, status = mutate.mutate(options, [one / "one.patch"], None, tools)

    assert (outcomes(options.results), status) == ({"one": "not built"}, 2)
    assert lines[0].startswith("not built            one  what runs is the same")


def test_a_green_baseline_is_remembered(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant")

    first = mutate.mutate(options, [folder], None, tools)
    second = mutate.mutate(options, [folder], None, tools)

    assert (first, tried) == (second, ["slub", "mutant", "mutant"])
    assert first[1] == 0


def test_other_tests_ask_for_another_baseline(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant")
    tests = write(tmp_path / "tests", {"memsafe_a_kunit.c": "KUNIT_CASE(holds)\n"})
    mutate.mutate(options, [folder], None, tools)

    for one in (replace(options, pattern="memsafe_buddy"), replace(options, tests=tests)):
        tried.clear()
        mutate.mutate(one, [folder], None, tools)
        assert tried == ["slub", "mutant"]

    write(tests, {"memsafe_helper.h": "#define HOLDS 1\n"})
    tried.clear()
    mutate.mutate(replace(options, tests=tests), [folder], None, tools)
    assert tried == ["slub", "mutant"]


@pytest.mark.parametrize("words", [["slub"], ["slub", "mutant", "broken"]], ids=len)
def test_tests_that_change_meanwhile_are_no_verdict(tmp_path, monkeypatch, options, tools, tried, words):
    """Not even of a mutant that does not build: neither does half a suite."""
    tests = write(tmp_path / "tests", {"memsafe_a_kunit.c": "KUNIT_CASE(holds)\n"})
    folder = write_patches(tmp_path / "patches", a="mutant", b="broken", c="mutant")
    fake = mutate._build_and_run

    def edited(*given):
        if len(tried) == len(words) - 1:
            write(tests, {"memsafe_a_kunit.c": "KUNIT_CASE(holds_no_mo\n"})
        return fake(*given)

    monkeypatch.setattr(mutate, "_build_and_run", edited)

    with pytest.raises(NoVerdict, match="the tests have changed"):
        mutate.mutate(replace(options, tests=tests), [folder], None, tools)
    assert tried == words


def test_a_red_baseline_is_said_and_not_remembered(tmp_path, tree, options, tools, tried):
    (tree / "mm/slub.c").write_text("int mutant;\n")
    folder = write_patches(tmp_path / "patches", a=DIFF.replace("int mutant", "int nobody").replace("int slub", "int mutant"))

    for _ in range(2):
        lines, status = mutate.mutate(options, [folder], None, tools)

    assert tried == ["mutant", "nobody"] * 2
    assert status == 2
    assert "without a mutant it is not green (fail); this kills nothing:" in lines


@pytest.mark.parametrize("word, error", [("broken", NotBuilt), ("deaf", NoVerdict)])
def test_a_baseline_that_does_not_boot_is_no_verdict(tmp_path, tree, options, tools, tried, word, error):
    (tree / "mm/slub.c").write_text(f"int {word};\n")

    with pytest.raises(error):
        mutate.mutate(options, [write_patches(tmp_path / "patches", a="mutant")], None, tools)
    assert tried == [word]


def test_an_interrupted_campaign_goes_on(tmp_path, tree, options, tools, tried):
    before = state(tree)
    folder = write_patches(tmp_path / "patches", a="mutant", b="interrupted", c="nobody")
    with pytest.raises(KeyboardInterrupt):
        mutate.mutate(options, [folder], None, tools)
    stopped = (options.results / "latest").resolve()
    assert f"1 of 3 have ended; go on with --resume {stopped}" in tools.progress.said
    write_patches(folder, b="mutant")
    tried.clear()

    lines, status = mutate.mutate(options, [folder], options.results / "latest", tools)

    assert tried == ["mutant", "nobody"]
    assert lines[-1] == "2 killed by assertion, 0 by report, 1 survived"
    assert outcomes(options.results) == {"a": "killed by assertion", "b": "killed by assertion", "c": "survived"}
    assert state(tree) == before


def test_what_has_changed_since_is_tried_again(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant", b="nobody", c="mutant")
    mutate.mutate(options, [folder], None, tools)
    write_patches(folder, b="mutant")
    (options.results / "latest/mutants/c.json").write_text("{")
    tried.clear()

    lines, status = mutate.mutate(options, [folder], options.results / "latest", tools)

    assert (tried, status) == (["mutant", "mutant"], 0)
    assert lines[-1].startswith("3 killed by assertion")


def test_a_mutant_of_the_driver_is_a_copy_of_module(tmp_path, monkeypatch, options, tools, tried):
    name = "module/memsafe_dev_buffer.c"
    text = (PROJECT / name).read_text()
    first, _, rest = text.partition("\n")
    one = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{first}\n+{first} //\n"
    seen = []

    def fake(campaign, options, folder, same, seconds):
        seen.append(options.driver and (options.driver / "memsafe_dev_buffer.c").read_text())
        red = options.driver is not None
        return mutate.Judged(shown(("a.x", "fail" if red else "pass")), (), str(red))

    monkeypatch.setattr(mutate, "_build_and_run", fake)

    lines, status = mutate.mutate(options, [write_patches(tmp_path / "patches", a=one)], None, tools)

    assert (seen, status) == ([None, f"{first} //\n{rest}"], 0)
    assert (PROJECT / name).read_text() == text
    assert not (tools.cache.root / "overlays").exists()


@pytest.mark.parametrize("given, part", [
    (["absent.patch"], "no patch absent.patch"),
    (["empty"], "no patch in empty"),
    (["patches", "patches/a.patch"], "two patches are called a"),
    (["outside.patch"], "outside.patch: changes what is not below the tree"),
    (["text.patch"], "text.patch: no unified diff"),
    (["both.patch"], "two lines Killed-by:"),
])  # fmt: skip
def test_what_is_no_mutant_is_64(memsafe, tmp_path, given, part):
    write_patches(tmp_path / "patches", a="mutant")
    write(tmp_path, {
        "outside.patch": "--- a/../../etc/passwd\n+++ b/../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n",
        "text.patch": "hello\n",
        "both.patch": "Killed-by: a\nKilled-by: b\n" + DIFF,
    })  # fmt: skip
    (tmp_path / "empty").mkdir()

    ended = memsafe("mutate", "--results", tmp_path / "results", *given, cwd=tmp_path)

    assert (ended.status, ended.out, "Traceback" in ended.err) == (64, "", False)
    assert part in ended.err
    assert not (tmp_path / "results").exists()


def test_a_target_without_guests_and_a_run_of_something_else_are_64(memsafe, tmp_path):
    folder = write_patches(tmp_path / "patches", a="mutant")

    for words in (["--target", "um-kasan"], ["--resume", tmp_path]):
        ended = memsafe("mutate", folder, *words, "--results", tmp_path / "results")

        assert (ended.status, "Traceback" in ended.err) == (64, False), ended.err


def test_a_file_behind_a_symlink_is_refused_before_anything_is_built(tmp_path, tree, options, tools, tried):
    (tree / "mm/link.c").symlink_to(tmp_path / "elsewhere")
    one = write_patches(tmp_path / "patches", a=DIFF.replace("slub.c", "link.c"), b="mutant")

    with pytest.raises(UsageError, match="a: mm/link.c is a symlink"):
        mutate.mutate(options, [one], None, tools)
    assert tried == []


def test_kept_mutants_say_which_case_is_to_kill_them():
    """And those of the driver apply; the others are seen to on the kernel."""
    for path in mutate.patches([PROJECT / "configs/mutants"]):
        one = mutate.read(path)
        assert len(one.patch.header.split()) > 5, path
        if one.driver:
            mutate.changed_texts(PROJECT, one.patch)


@pytest.mark.guest
def test_a_broken_driver_is_killed_and_a_comment_is_not_built(tmp_path, memsafe, results):
    """The kernel is that of every other test: only the driver is built again."""
    name = "module/memsafe_dev_mmap.c"
    first = (PROJECT / name).read_text().partition("\n")[0]
    head = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{first}\n"
    write(tmp_path, {
        "comment.patch": head + f"+{first} // but why\n",
        "broken.patch": head + "+#error broken\n",
    })  # fmt: skip
    kept = PROJECT / "configs/mutants/dev_access_ignores_permissions.patch"

    ended = memsafe("mutate", "--only", "dev_access", "--no_leaks", "--results", results, kept,
                    tmp_path / "comment.patch", tmp_path / "broken.patch", timeout=3600)  # fmt: skip

    lines = ended.out.splitlines()
    assert (ended.status, lines[-1:]) == (
        2, ["1 killed by assertion, 0 by report, 0 survived, 1 not built, 1 does not build"],
    ), ended.out + ended.err  # fmt: skip
    found = json.loads((results / "latest/mutants/dev_access_ignores_permissions.json").read_text())
    assert {killer["kind"] for killer in found["killers"]} == {"assertion"}
    assert all("proc_mem_does_not_write_to_a_read_only_mapping" in killer["name"] for killer in found["killers"])
    assert "error: #error broken" in next(line for line in lines if line.startswith("does not build"))
