# SPDX-License-Identifier: GPL-2.0
"""A campaign of mutants: what is tried and what is not, and that it goes on where it
was interrupted.  Kernels are built in the last test only."""

import json
from dataclasses import replace

import pytest

import mutate
import run
import target as targets
import trial
from cache import Cache
from conftest import RUNNER
from errors import NotBuilt, NoVerdict, UsageError
from proc import Commands
from shard import Part
from source import Source
from test_mirror import Quiet
from test_mutants import DIFF, shown
from test_overlay import TREE, state, write

PROJECT = RUNNER.parent



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

    def fake(campaign, options, folder, before, seconds):
        word = (options.kernel / "mm/slub.c").read_text().split()[1].rstrip(";")
        words.append(word)
        if word == "broken":
            raise NotBuilt("Linux does not build:\nmm/slub.c:1:5: error: broken")
        if word == "deaf":
            (folder / "console.log").touch()
            raise NoVerdict("the kernel does not boot: no greeting")
        if word == "interrupted":
            raise KeyboardInterrupt
        if before and word == before.code:
            return trial.Judged({}, (), word)
        seen = shown(("a.x", "fail" if word == "mutant" else "pass"))
        return trial.Judged(seen, ("a",) if word == "hangs" else (), word)

    source = Source(tree, "6.12.1", "content", pinned=True)
    monkeypatch.setattr(trial, "_build_and_run", fake)
    monkeypatch.setattr(run, "load", lambda options: targets.load(options.target))
    monkeypatch.setattr(run, "sources_of", lambda *_: (source, source))
    monkeypatch.setattr(run.build, "compiler_version", lambda *_: "gcc")
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

    lines, status = mutate.mutate(options, [folder], mutate.How(), tools)

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

    lines, status = mutate.mutate(options, [one / "one.patch"], mutate.How(), tools)

    assert (outcomes(options.results), status) == ({"one": "not built"}, 2)
    assert lines[0].startswith("not built            one  what runs is the same")


def test_a_green_baseline_is_remembered(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant")

    first = mutate.mutate(options, [folder], mutate.How(), tools)
    second = mutate.mutate(options, [folder], mutate.How(), tools)

    assert (first, tried) == (second, ["slub", "mutant", "mutant"])
    assert first[1] == 0


def test_other_tests_ask_for_another_baseline(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant")
    tests = write(tmp_path / "tests", {"memsafe_a_kunit.c": "KUNIT_CASE(holds)\n"})
    mutate.mutate(options, [folder], mutate.How(), tools)

    for one in (replace(options, pattern="memsafe_buddy"), replace(options, tests=tests)):
        tried.clear()
        mutate.mutate(one, [folder], mutate.How(), tools)
        assert tried == ["slub", "mutant"]

    write(tests, {"memsafe_helper.h": "#define HOLDS 1\n"})
    tried.clear()
    mutate.mutate(replace(options, tests=tests), [folder], mutate.How(), tools)
    assert tried == ["slub", "mutant"]


@pytest.mark.parametrize("words", [["slub"], ["slub", "mutant", "broken"]], ids=len)
def test_tests_that_change_meanwhile_are_no_verdict(tmp_path, monkeypatch, options, tools, tried, words):
    """Not even of a mutant that does not build: neither does half a suite."""
    tests = write(tmp_path / "tests", {"memsafe_a_kunit.c": "KUNIT_CASE(holds)\n"})
    folder = write_patches(tmp_path / "patches", a="mutant", b="broken", c="mutant")
    fake = trial._build_and_run

    def edited(*given):
        if len(tried) == len(words) - 1:
            write(tests, {"memsafe_a_kunit.c": "KUNIT_CASE(holds_no_mo\n"})
        return fake(*given)

    monkeypatch.setattr(trial, "_build_and_run", edited)

    with pytest.raises(NoVerdict, match="the tests have changed"):
        mutate.mutate(replace(options, tests=tests), [folder], mutate.How(), tools)
    assert tried == words


def test_a_red_baseline_is_said_and_not_remembered(tmp_path, tree, options, tools, tried):
    (tree / "mm/slub.c").write_text("int mutant;\n")
    folder = write_patches(tmp_path / "patches", a=DIFF.replace("int mutant", "int nobody").replace("int slub", "int mutant"))

    for _ in range(2):
        lines, status = mutate.mutate(options, [folder], mutate.How(), tools)

    assert tried == ["mutant", "nobody"] * 2
    assert status == 2
    assert "without a mutant it is not green; this kills nothing:" in lines


@pytest.mark.parametrize("word, error", [("broken", NotBuilt), ("deaf", NoVerdict)])
def test_a_baseline_that_does_not_boot_is_no_verdict(tmp_path, tree, options, tools, tried, word, error):
    (tree / "mm/slub.c").write_text(f"int {word};\n")

    with pytest.raises(error):
        mutate.mutate(options, [write_patches(tmp_path / "patches", a="mutant")], mutate.How(), tools)
    assert tried == [word]


def test_an_interrupted_campaign_goes_on(tmp_path, tree, options, tools, tried):
    before = state(tree)
    folder = write_patches(tmp_path / "patches", a="mutant", b="interrupted", c="nobody")
    with pytest.raises(KeyboardInterrupt):
        mutate.mutate(options, [folder], mutate.How(), tools)
    stopped = (options.results / "latest").resolve()
    assert f"1 of 3 have ended; go on with --resume {stopped}" in tools.progress.said
    write_patches(folder, b="mutant")
    tried.clear()

    lines, status = mutate.mutate(options, [folder], mutate.How(resume=options.results / "latest"), tools)

    assert tried == ["mutant", "nobody"]
    assert lines[-1] == "2 killed by assertion, 0 by report, 1 survived"
    assert outcomes(options.results) == {"a": "killed by assertion", "b": "killed by assertion", "c": "survived"}
    assert state(tree) == before


def test_what_has_changed_since_is_tried_again(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant", b="nobody", c="mutant")
    mutate.mutate(options, [folder], mutate.How(), tools)
    write_patches(folder, b="mutant")
    (options.results / "latest/mutants/c.json").write_text("{")
    tried.clear()

    lines, status = mutate.mutate(options, [folder], mutate.How(resume=options.results / "latest"), tools)

    assert (tried, status) == (["mutant", "mutant"], 0)
    assert lines[-1].startswith("3 killed by assertion")


def test_a_mutant_of_the_driver_is_a_copy_of_module(tmp_path, monkeypatch, options, tools, tried):
    name = "module/memsafe_dev_buffer.c"
    text = (PROJECT / name).read_text()
    first, _, rest = text.partition("\n")
    one = f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{first}\n+{first} //\n"
    seen = []

    def fake(campaign, options, folder, before, seconds):
        seen.append(options.driver and (options.driver / "memsafe_dev_buffer.c").read_text())
        red = options.driver is not None
        return trial.Judged(shown(("a.x", "fail" if red else "pass")), (), str(red))

    monkeypatch.setattr(trial, "_build_and_run", fake)

    lines, status = mutate.mutate(options, [write_patches(tmp_path / "patches", a=one)], mutate.How(), tools)

    assert (seen, status) == ([None, f"{first} //\n{rest}"], 0)
    assert (PROJECT / name).read_text() == text
    assert not (tools.cache.root / "overlays").exists()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_shards_of_a_campaign_are_the_campaign(tmp_path, options, tools, tried, count):
    folder = write_patches(tmp_path / "patches", a="mutant", b="nobody", c="broken")
    whole = mutate.mutate(options, [folder], mutate.How(), tools)
    parts = []
    for number in range(1, count + 1):
        own = replace(options, results=tmp_path / f"part-{number}")
        mutate.mutate(own, [folder], mutate.How(shard=Part(number, count)), tools)
        parts.append((own.results / "latest").resolve())

    assert mutate.merge(parts, tmp_path / "merged") == whole
    assert outcomes(tmp_path / "merged") == outcomes(options.results)
    assert (tmp_path / "merged/latest/mutants/a").is_dir()


def test_a_mutant_that_no_shard_has_tried_is_no_verdict(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant", b="nobody")
    mutate.mutate(options, [folder], mutate.How(shard=Part(1, 2)), tools)

    with pytest.raises(NoVerdict, match="no result of b"):
        mutate.merge([options.results / "latest"], tmp_path / "merged")


def test_shards_of_other_campaigns_are_refused(tmp_path, options, tools, tried):
    folder = write_patches(tmp_path / "patches", a="mutant", b="nobody")
    others = [options, replace(options, pattern="memsafe_buddy")]
    for number, own in enumerate(others, 1):
        mutate.mutate(own, [folder], mutate.How(shard=Part(number, 2)), tools)
    runs = sorted(path.parent for path in options.results.glob("2*/mutants"))

    with pytest.raises(UsageError, match="is of another campaign"):
        mutate.merge(runs, tmp_path / "merged")
    with pytest.raises(UsageError, match="is no run of mutants"):
        mutate.merge([tmp_path], tmp_path / "merged")


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
        mutate.mutate(options, [one], mutate.How(), tools)
    assert tried == []


def test_kept_mutants_say_which_case_is_to_kill_them():
    """And those of the driver apply; the others are seen to on the kernel."""
    for path in mutate.patches([PROJECT / "configs/mutants"]):
        one = mutate.read(path)
        assert one.kind and one.killed_by, path
        assert len(one.patch.header.partition("\n\n")[0].split()) > 2, path
        if one.driver:
            trial.changed_texts(PROJECT, one.patch)


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
