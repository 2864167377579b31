# SPDX-License-Identifier: GPL-2.0
"""Mutants that share an image: which do, what each is booted with, and that one
which does not build with the others costs the others nothing."""

import json
import re
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

import mutants
import mutate
import patch
import run
import target as targets
import together
import trial
from cache import Cache
from errors import NotBuilt
from mutants import Killer, Result
from proc import Commands
from record import Job, JobResult
from source import Source
from test_mirror import Quiet
from test_mutants import shown
from test_overlay import TREE, state, write

F_C = "int f(int a)\n{\n\treturn a;\n}\n\nint g(int a)\n{\n\treturn a;\n}\n"
HEAD = "--- a/mm/f.c\n+++ b/mm/f.c\n"
IN_F = HEAD + "@@ -3 +3 @@\n-\treturn a;\n+\treturn {};\n"
IN_G = HEAD + "@@ -8 +8 @@\n-\treturn a;\n+\treturn {};\n"
OUTSIDE = HEAD + "@@ -1 +1 @@\n-int f(int a)\n+long f(int a)\n"


@pytest.fixture
def tree(tmp_path):
    return write(tmp_path / "linux", {**TREE, "mm/f.c": F_C, "mm/util.c": "int util;\n"})


@pytest.fixture
def campaign(tmp_path, monkeypatch, tree):
    """Calls a campaign of patches by name.  A body of "broken" does not compile, a
    call of one with "uncallable" neither, a patch called "gone" is in no binary, `a` says that it runs, and what returns
    "a + 0" is as before."""
    seen = SimpleNamespace(booted=[], whole=[], images=0, awake=lambda campaign, word: None)
    source = Source(tree, "6.12.1", "content", pinned=True)
    monkeypatch.setattr(run, "load", lambda options: targets.load(options.target))
    monkeypatch.setattr(run, "sources_of", lambda *_: (source, source))
    monkeypatch.setattr(run.build, "compiler_version", lambda *_: "gcc")

    @contextmanager
    def built(options, target, builder, tools):
        text = (options.kernel / "mm/f.c").read_text()
        seen.images += "__mutant_" in text
        broken = re.search(r"int (g\w*)\(int a\)\n{\n\treturn broken;", text)
        if broken:
            raise NotBuilt(f"In function {broken.group(1)}:\nmm/f.c:3:1: error: broken")
        for number, line in enumerate(text.split("\n"), 1):
            if "uncallable" in text and "return g__mutant_" in line:
                raise NotBuilt(f"../../mirror/mm/f.c:{number}:9: error: 'b' undeclared")
        names = [name for name in seen.names if name != "gone"]
        (tmp_path / "vmlinux").write_bytes(b"".join(name.encode() + b"\0" for name in names))
        yield SimpleNamespace(
            kernel=SimpleNamespace(folder=tmp_path, content=text), stage=SimpleNamespace(modules={})
        )

    def boot(campaign, options, ready, code, folder, before, seconds, whole=None):
        text = ready.kernel.content
        word = f"awake {options.awake}" if "__mutant_" in text else "apart"
        seen.booted.append(word)
        seen.whole.append((whole.cold, whole.kernel_args) if whole else None)
        if before:
            seen.awake(campaign, word)
        (folder / "console.log").write_text("memsafe: MUTANT a\n" if word == "awake 1" else "")
        red = word != "awake 0" and text != F_C and "return a + 0" not in text
        return trial.Judged(shown(("a.x", "fail" if red else "pass")), (), code)

    monkeypatch.setattr(run, "built", built)
    monkeypatch.setattr(trial, "boot", boot)
    monkeypatch.setattr(trial, "code_of", lambda ready, builder: ready.kernel.content)

    def call(how=mutate.How(), awake=seen.awake, jobs=1, **texts):
        seen.awake, seen.names = awake, list(texts)
        folder = write(tmp_path / "patches", {f"{name}.patch": text for name, text in texts.items()})
        options = run.Options("x86_64-kasan", (), tmp_path / "results", leaks=False, jobs=jobs)
        tools = run.Tools(Cache(tmp_path / "cache", lambda text: None), Commands(print), Quiet())
        seen.lines, seen.status = mutate.mutate(options, [folder], how, tools)
        seen.said = tools.progress.said
        return seen

    return call


def test_one_image_is_booted_for_each(campaign, tree):
    before = state(tree)

    seen = campaign(a=IN_F.format(0), b=IN_G.format(1))

    assert seen.images == 1
    assert seen.booted == ["awake 0", "awake 1", "awake 2"]
    # Where not only the likeliest jobs run, it is awake from the beginning.
    assert seen.whole == [(False, ()), *((True, (f"memsafe_mutant={number}",)) for number in (1, 2))]
    assert (seen.lines[-1], seen.status) == ("2 killed by assertion, 0 by report, 0 survived", 0)
    assert state(tree) == before


def test_mutants_of_an_image_are_tried_side_by_side(campaign, monkeypatch):
    monkeypatch.setattr(together.build, "cpus", lambda: 2)
    both = threading.Barrier(2)

    seen = campaign(awake=lambda *_: both.wait(60), jobs=2, a=IN_F.format(0), b=IN_G.format(1))

    assert (seen.lines[-1], seen.status) == ("2 killed by assertion, 0 by report, 0 survived", 0)


def test_one_that_is_interrupted_ends_the_others(campaign, monkeypatch, tmp_path):
    monkeypatch.setattr(together.build, "cpus", lambda: 2)
    both = threading.Barrier(2)
    heard = []

    def awake(campaign, word):
        both.wait(60)
        if word == "awake 1":
            raise KeyboardInterrupt
        heard.append(campaign.stop.wait(60))

    with pytest.raises(KeyboardInterrupt):
        campaign(awake=awake, jobs=2, a=IN_F.format(0), b=IN_G.format(1))

    assert heard == [True]
    assert list((tmp_path / "results/latest/mutants").glob("*.json")) == []


def test_apart_each_has_its_own(campaign):
    seen = campaign(mutate.How(apart=True), a=IN_F.format(0), b=IN_G.format(1))

    assert (seen.images, seen.booted) == (0, ["apart"] * 3)
    assert seen.status == 0


def test_one_that_does_not_build_is_left_out_and_has_its_own_row(campaign):
    seen = campaign(a=IN_F.format(0), b=IN_G.format("broken"), c=IN_G.format(2))

    assert "does not build together: b" in seen.said
    assert seen.booted == ["awake 0", "awake 1", "awake 2", "apart"]
    assert seen.lines[-1] == "2 killed by assertion, 0 by report, 0 survived, 1 does not build"


def test_one_that_can_not_be_called_has_its_own(campaign):
    seen = campaign(a=IN_F.format(0), b=IN_G.format("uncallable"))

    assert "does not build together: b" in seen.said
    assert seen.booted == ["awake 0", "awake 1", "apart", "apart"]


def test_one_that_changes_more_than_a_body_has_its_own(campaign):
    seen = campaign(a=IN_F.format(0), b=OUTSIDE)

    assert seen.booted == ["awake 0", "awake 1", "apart", "apart"]
    assert any(text.startswith("b needs a kernel of its own") for text in seen.said)


def test_what_is_in_no_binary_is_not_booted(campaign):
    seen = campaign(a=IN_F.format(0), gone=IN_G.format(1))

    assert seen.booted == ["awake 0", "awake 1"]
    assert any(line.startswith("not built            gone") for line in seen.lines)


def test_a_survivor_whose_code_never_ran_is_told_apart(campaign):
    seen = campaign(a=IN_F.format("a + 0"), b=IN_G.format("a + 0"))

    lines = {line.split()[1]: line for line in seen.lines[:-1]}
    assert "its code never ran" in lines["b"] and "never" not in lines["a"]
    assert seen.status == 1


def test_jobs_that_have_killed_its_neighbours_come_first():
    text = "Killed-by: dev_b.x\n" + IN_F.format(1)
    one = mutants.mutant("one", text, patch.parse(text))
    earlier = [
        Result("other", "k", "killed by assertion", (Killer("assertion", "c.x"),), files=("mm/f.c",)),
        Result("far", "k", "killed by assertion", (Killer("assertion", "d.x"),), files=("mm/g.c",)),
        Result("one", "k", "killed by assertion", (Killer("assertion", "e.x"),), files=("mm/f.c",)),
    ]

    assert mutants.likely(one, ["a", "dev_b", "c", "d", "e"], earlier) == ["dev_b", "e", "c"]


@pytest.mark.parametrize("outcomes, text, stops", [
    (["exit"], "TAP version 13\n1..1\nok 1 a.x\n", False),
    (["exit"], "TAP version 13\n1..1\nnot ok 1 a.x\n", True),
    (["exit"], "TAP version 13\n1..1\nnot ok 1 a.known\n", False),
    (["gone", "hung"], "", False),
    (["gone", "hung", "timeout"], "", True),
])  # fmt: skip
def test_a_mutant_ends_with_its_first_failure_or_the_third_dead_guest(outcomes, text, stops):
    watch = trial.Watch((Job("a", "program"),), frozenset({"a.known"}))

    assert [watch.enough(JobResult("a", 0, outcome), text) for outcome in outcomes][-1] is stops


def test_a_campaign_is_saved_with_what_woke_it(campaign, tmp_path):
    campaign(a=IN_F.format(0))

    found = json.loads((tmp_path / "results/latest/mutants/a.json").read_text())

    assert (found["outcome"], found["killers"][0]["name"]) == ("killed by assertion", "a.x")
