# SPDX-License-Identifier: GPL-2.0
"""The gate around what builds and boots: marks, rounds, calls that go on.  A kernel is
a file here, and what it returns says how it behaves."""

import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest

import gate
import reached
import run
import target as targets
from cache import Cache
from errors import NotBuilt, NoVerdict, UsageError
from gate import Request
from proc import Commands
from record import GuestResult, JobResult
from test_checkout import git
from test_mirror import Quiet
from test_overlay import TREE, state, write

KERNEL = "int f(void)\n{\n\treturn GOOD;\n}\n\nint rest = 1;\n"
FILES = {**TREE, "mm/f.c": KERNEL, "mm/util.c": "int util;\n"}


@pytest.fixture
def tree(tmp_path):
    path = write(tmp_path / "linux", FILES)
    git(path, "init", "-q")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "first")
    return path


@pytest.fixture
def options(tmp_path):
    tests = write(tmp_path / "tests", {"p_test.c": "TEST(a)\n", "q_test.c": "TEST(a)\n"})
    return run.Options("x86_64-kasan", (), tmp_path / "results", leaks=False, tests=tests)


@pytest.fixture
def tools(tmp_path):
    return run.Tools(Cache(tmp_path / "cache", print), Commands(print), Quiet())


class Host:
    """What builds and runs.  `did` are the words of what was built and where it ran, a
    * behind what was marked; `restored` are the runs in guests that need not boot;
    `stops` is where the user ends it."""

    def __init__(self, scratch):
        self.scratch, self.did, self.stops = scratch, [], ""
        self.restored = set()

    @contextmanager
    def built(self, options, target, builder, tools):
        text = (options.kernel / "mm/f.c").read_text()
        word, marked = re.search(r"return (\w+);", text).group(1), "memsafe_reached" in text
        self.did.append(f"build {word}{'*' if marked else ''}")
        assert marked == (reached.MARKS in (options.kernel / "mm/util.c").read_text())
        if word == "BROKEN" or (word == "UNMARKABLE" and marked):
            raise NotBuilt(f"does not build: {word}")
        folder = self.scratch / "kernel"
        write(folder, {"vmlinux": "" if word == "ABSENT" else "mm/f.c:f\0", "modules.order": ""})
        yield SimpleNamespace(kernel=SimpleNamespace(folder=folder), target=target, word=word, marked=marked)

    def keep(self, ready, place):
        place.mkdir()
        ready.kernel.folder = place
        return ready

    def in_guests(self, options, kept, start, folder, tools, keep, store):
        assert options.cold is not keep and store.root != tools.cache.root
        self.did.append(f"run {folder.name}{'*' if kept.marked else ''}")
        self.restored.update([folder.name] if keep else [])
        if self.stops in (folder.name, f"{folder.name} {kept.word}"):
            (folder / "console.log").write_text("half")
            raise KeyboardInterrupt
        if kept.word == "DEAF" and kept.marked:
            raise NoVerdict("the kernel does not boot")
        console, output, ended = "", "", []
        for job in start.manifest:
            bad = kept.word == "BAD" or (kept.word == "SHY" and kept.marked)
            bad = kept.word == "BLIND" if job.detects else bad and job.name == "p"
            text = f"TAP version 13\n1..1\n{'not ' if bad else ''}ok 1 a\n"
            ended.append(JobResult(job.name, 0, "exit", int("not" in text), offset=len(output), length=len(text)))
            output += text
            said = ["BEGIN", *(["REACHED"] if kept.marked and kept.word != "IDLE" and job.name == "q" else []), "END"]
            names = {"BEGIN": job.name, "REACHED": "mm/f.c:f", "END": job.name}
            console += "".join(f"[    1.000000][    T1] memsafe: {word} {names[word]}\n" for word in said)
        (folder / "console.log").write_text(console)
        (folder / "results.ktap").write_text(output)
        guest = GuestResult(0, {"release": "6.12"}, kmemleak="on", ended=True, console=(0, len(console)))
        return replace(start, results=tuple(ended), guests=(guest,))


@pytest.fixture
def host(monkeypatch, tmp_path):
    found = Host(tmp_path)
    for name in ("built", "keep", "in_guests"):
        monkeypatch.setattr(run, name, getattr(found, name))
    monkeypatch.setattr(run, "load", lambda options: targets.load(options.target))
    monkeypatch.setattr(run.build, "compiler_version", lambda *_: "gcc")
    return found


def patch(tree, *words, old="GOOD"):
    """A mailbox of commits, one for each word."""
    for word in words:
        (tree / "mm/f.c").write_text(KERNEL.replace(old, word))
        git(tree, "commit", "-qam", word, "--date=2000-01-01T00:00:00Z")
    base = f"HEAD~{len(words)}"
    mail = subprocess.run(["git", "-C", str(tree), "format-patch", "--stdout", base], capture_output=True, check=True)
    git(tree, "reset", "-q", "--hard", base)
    return mail.stdout


def request(tree, *words, **more):
    return Request(tree, "HEAD", patches=(("my.mbox", patch(tree, *words)),), sandbox=False, **more)


def judged(options, asked, tools):
    (document,) = gate.gate(options, asked, tools)
    (one,) = document["changed_functions"]
    return document["verdict"], one["reached"], one["job"] or one["why"]


@pytest.mark.parametrize("word, said", [
    ("FINE", ("pass", True, "q")),
    ("IDLE", ("none", False, "no test runs it")),
    ("ABSENT", ("none", False, "this kernel is built without it")),
    ("BAD", ("fail", True, "q")),
])  # fmt: skip
def test_who_runs_the_changed_function(tree, options, tools, host, word, said):
    if word == "ABSENT":
        options = replace(options, pattern="p")

    assert judged(options, request(tree, word), tools) == said


@pytest.mark.parametrize("word, did", [
    ("UNMARKABLE", ["build UNMARKABLE*", "build UNMARKABLE", "run patched"]),
    ("DEAF", ["build DEAF*", "run patched*", "build DEAF", "run patched"]),
])  # fmt: skip
def test_what_does_not_run_with_marks_is_judged_without(tree, options, tools, host, word, did):
    said = judged(options, request(tree, word), tools)

    assert host.did == ["build GOOD", "run base", *did]
    assert said == ("pass", None, "its kernel does not run with marks")


def test_what_does_not_build_either_way_says_so(tree, options, tools, host):
    with pytest.raises(NoVerdict, match="patched [0-9a-f]{12}: does not build: BROKEN"):
        gate.gate(options, request(tree, "BROKEN"), tools)


def test_only_the_first_run_is_marked(tree, options, tools, host):
    judged(options, request(tree, "BAD"), tools)

    assert host.did[:8] == ["build GOOD", "run base", "build BAD*", "run patched*",
                            "run again-1-base", "build BAD", "run again-1-patched", "run again-2-base"]  # fmt: skip
    assert not any(word.endswith("*") for word in host.did[4:])


def test_every_other_guest_boots_cold(tree, options, tools, host):
    judged(options, request(tree, "BAD"), tools)

    again = {word.split()[1] for word in host.did if word.startswith("run again-")}
    assert host.restored == {name for name in again if int(name.split("-")[1]) % 2 == 0}
    assert {"again-1-base", "again-2-patched"} <= again


def test_what_only_the_marks_break_is_no_regression(tree, options, tools, host):
    (document,) = gate.gate(options, request(tree, "SHY"), tools)

    assert (document["verdict"], document["counts"]["NEW"], document["counts"]["FLAKY"]) == ("pass", 0, 1)


def test_a_patch_of_data_alone_is_not_marked(tree, options, tools, host):
    asked = replace(request(tree), patches=(("my.mbox", patch(tree, "rest = 2", old="rest = 1")),))

    assert judged(options, asked, tools) == ("pass", None, "data, a macro or a declaration")
    assert host.did == ["build GOOD", "run base", "build GOOD", "run patched"]


@pytest.fixture
def detecting(options):
    """Tests with a suite that proves a detector to see; it is not chosen."""
    write(options.tests, {"memsafe_d_kunit.c": 'MEMSAFE_DETECTS("KASAN");\nKUNIT_CASE(a)\n'})
    return replace(options, pattern="p,q")


def test_detectors_are_asked_once_for_each_base(tree, detecting, tools, host):
    judged(detecting, request(tree, "FINE"), tools)
    judged(detecting, request(tree, "IDLE"), tools)

    assert host.did == ["build GOOD", "run base", "run calibration", "build FINE*", "run patched*",
                        "build IDLE*", "run patched*"]  # fmt: skip


def test_detectors_that_are_chosen_are_not_asked_twice(tree, detecting, tools, host):
    judged(replace(detecting, pattern=None), request(tree, "FINE"), tools)

    assert host.did == ["build GOOD", "run base", "build FINE*", "run patched*"]


@pytest.mark.parametrize("pattern", ["p,q", None])
def test_on_a_base_that_does_not_see_there_is_no_verdict(tree, detecting, tools, host, pattern):
    git(tree, "am", "-q", given=patch(tree, "BLIND"))
    asked = request(tree, "FINE")

    with pytest.raises(NoVerdict, match="base [0-9a-f]{12}: KASAN can't be relied on: memsafe_d.a"):
        gate.gate(replace(detecting, pattern=pattern), asked, tools)


def ran(options, name):
    """The jobs of a side's run in the last gate."""
    return [job["name"] for job in json.loads((options.results / "latest" / name / "run.json").read_text())["manifest"]]


def test_affected_runs_all_until_a_gate_has_seen_who_runs_it(tree, options, tools, host):
    gate.gate(options, request(tree, "FINE", affected=True), tools)

    assert ran(options, "patched") == ["p", "q"]
    assert tools.progress.said[0] == "all tests: no gate before has seen who runs mm/f.c:f"


def test_affected_runs_what_was_seen_to_run_it(tree, options, tools, host):
    gate.gate(options, request(tree, "FINE"), tools)

    (document,) = gate.gate(options, request(tree, "OTHER", affected=True), tools)

    assert (document["verdict"], document["jobs"]) == ("pass", ["q"])
    assert ran(options, "base") == ran(options, "patched") == ["q"]


def test_what_was_seen_by_other_tests_does_not_count(tree, options, tools, host):
    gate.gate(options, request(tree, "FINE"), tools)
    write(options.tests, {"q_test.c": "TEST(a) \n"})

    gate.gate(options, request(tree, "OTHER", affected=True), tools)

    assert ran(options, "patched") == ["p", "q"]


def test_what_only_some_tests_were_asked_about_does_not_count(tree, options, tools, host):
    gate.gate(replace(options, pattern="q"), request(tree, "FINE"), tools)

    gate.gate(options, request(tree, "OTHER", affected=True), tools)

    assert ran(options, "patched") == ["p", "q"]


def test_data_may_affect_any_test(tree, options, tools, host):
    gate.gate(options, request(tree, "FINE"), tools)
    asked = replace(request(tree, affected=True), patches=(("my.mbox", patch(tree, "rest = 2", old="rest = 1")),))

    gate.gate(options, asked, tools)

    assert ran(options, "patched") == ["p", "q"]
    assert "all tests: mm/f.c can't be followed (data, a macro or a declaration)" in tools.progress.said


def test_what_was_chosen_stays_for_a_call_that_goes_on(tree, options, tools, host):
    gate.gate(options, request(tree, "FINE"), tools)
    asked = interrupted(options, request(tree, "OTHER", affected=True), tools, host, "patched")
    for path in options.results.glob("*/gate/gate.json"):
        path.unlink()

    (document,) = gate.gate(options, asked, tools)

    assert document["jobs"] == ["q"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"target": 1}', '{"changed_functions": [1]}'])
def test_a_damaged_gate_has_seen_nothing(tree, options, tools, host, text):
    write(options.results, {"20260101-000000/gate/gate.json": text})

    gate.gate(options, request(tree, "FINE", affected=True), tools)

    assert ran(options, "patched") == ["p", "q"]


def test_the_same_patch_is_the_same_commit(tree, options, tools, host):
    asked = request(tree, "FINE")
    first, second = (gate.gate(options, asked, tools)[0]["commits"] for _ in range(2))

    assert first == second


def interrupted(options, asked, tools, host, where):
    """A call that the user ends, and the folder of the run that it names."""
    host.stops = where
    with pytest.raises(KeyboardInterrupt):
        gate.gate(options, asked, tools)
    host.stops = ""
    host.did.clear()
    place = tools.progress.said[-1].removeprefix("go on with --resume ")
    return replace(asked, resume=options.results / place)


@pytest.mark.parametrize("where, left", [
    ("base", ["build GOOD", "run base", "build BAD*", "run patched*", "run again-1-base"]),
    ("patched", ["build BAD*", "run patched*", "build GOOD", "run again-1-base"]),
    ("again-2-base", ["build GOOD", "run again-2-base", "build BAD", "run again-2-patched"]),
    ("again-2-patched", ["build BAD", "run again-2-patched", "build GOOD", "run again-3-base"]),
])  # fmt: skip
def test_an_interrupted_call_goes_on(tree, options, tools, host, where, left):
    asked = request(tree, "BAD")
    (whole,) = gate.gate(replace(options, results=options.results / "whole"), asked, tools)
    for known in (tools.cache.root / "baselines").iterdir():
        known.unlink()
    asked = interrupted(options, asked, tools, host, where)

    (document,) = gate.gate(options, asked, tools)

    assert host.did[: len(left)] == left
    same = ("verdict", "reason", "counts", "differences", "changed_functions", "commits")
    assert {key: document[key] for key in same} == {key: whole[key] for key in same}
    assert document["folder"] == str(asked.resume)


def test_what_has_ended_is_only_shown(tree, options, tools, host):
    (document,) = gate.gate(options, request(tree, "FINE"), tools)
    host.did.clear()

    again = gate.gate(options, request(tree, "FINE", resume=options.results / "latest"), tools)

    assert (again, host.did) == ([document], [])


def test_a_series_goes_on_with_the_patch_that_was_interrupted(tree, options, tools, host):
    asked = request(tree, "FINE", "IDLE", "BAD", each=True)
    asked = interrupted(options, asked, tools, host, "patched IDLE")

    documents = gate.gate(options, asked, tools)

    assert [one["verdict"] for one in documents] == ["pass", "none", "fail"]
    assert host.did[:4] == ["build IDLE*", "run patched*", "build IDLE", "run base"]
    assert documents[1]["folder"] == str(asked.resume)


@pytest.mark.parametrize("word, kernel_args, pattern, resume, why", [
    ("FINE", (), None, "../tests", "is no run of the gate"),
    ("IDLE", (), None, "latest", "is of other commits"),
    ("FINE", (), "p", "latest", "is of other tests, of another target or of other options"),
    ("FINE", ("x=1",), None, "latest", "is of other tests, of another target or of other options"),
])  # fmt: skip
def test_only_the_same_call_goes_on(tree, options, tools, host, word, kernel_args, pattern, resume, why):
    interrupted(options, request(tree, "FINE"), tools, host, "patched")
    other = replace(options, kernel_args=kernel_args, pattern=pattern)

    with pytest.raises(UsageError, match=why):
        gate.gate(other, request(tree, word, resume=options.results / resume), tools)

    assert host.did == []


def test_a_series_needs_what_was_judged_before(tree, options, tools, host):
    asked = request(tree, "FINE", "IDLE", each=True)
    asked = interrupted(options, asked, tools, host, "patched IDLE")
    for path in options.results.glob("*/gate/gate.json"):
        path.unlink()

    with pytest.raises(UsageError, match="which is not there or not complete"):
        gate.gate(options, asked, tools)


@pytest.fixture
def trees(tmp_path):
    """Two, without git; the second one as it is after a build in place."""
    base = write(tmp_path / "a", {**FILES, ".gitignore": "/*\n"})
    patched = write(tmp_path / "b", {**FILES, ".gitignore": "/*\n", "mm/f.c": KERNEL.replace("GOOD", "FINE")})
    write(patched, {"mm/f.o": "ELF", ".config": "CONFIG_X=y\n", "include/generated/a.h": ""})
    return base, patched


def test_two_trees_are_compared_and_stay(trees, options, tools, host):
    before = [state(tree) for tree in trees]

    (document,) = gate.gate(options, Request(trees=trees, sandbox=False), tools)

    assert (document["verdict"], document["changed"]) == ("pass", ["mm/f.c"])
    assert document["changed_functions"][0]["job"] == "q"
    assert host.did == ["build GOOD", "run base", "build FINE*", "run patched*"]
    assert [state(tree) for tree in trees] == before


def test_a_tree_is_read_again(trees, options, tools, host):
    gate.gate(options, Request(trees=trees, sandbox=False), tools)
    host.did.clear()
    (trees[1] / "mm/slub.c").unlink()
    shutil.rmtree(trees[1] / "include/linux")
    write(trees[1], {"mm/f.c": KERNEL.replace("GOOD", "BAD"), "mm/slub.c/inner.c": "int a;\n", "include/linux": ""})

    (document,) = gate.gate(options, Request(trees=trees, sandbox=False), tools)

    assert document["changed"] == [
        "include/linux", "include/linux/mm.h", "mm/f.c", "mm/slub.c", "mm/slub.c/inner.c",
    ]  # fmt: skip
    assert document["verdict"] == "fail" and host.did[0] == "build BAD*"


def test_trees_with_the_same_files_and_what_is_no_kernel(trees, options, tools, host, tmp_path):
    write(trees[1], {"mm/f.c": KERNEL})
    with pytest.raises(UsageError, match="has the same files as the base"):
        gate.gate(options, Request(trees=trees, sandbox=False), tools)

    with pytest.raises(NoVerdict, match="is no kernel tree"):
        gate.gate(options, Request(trees=(trees[0], tmp_path / "tests"), sandbox=False), tools)
