# SPDX-License-Identifier: GPL-2.0
"""The gate on saved runs, and what it says of a call that it can't work with."""

import json

import pytest

from record import GuestResult, Job, JobResult, Run

GOOD = "TAP version 13\n1..1\nok 1 a\n"
BAD = "TAP version 13\n1..1\n# expected 1\nnot ok 1 a\n"


def saved(folder, name, text, target="x86_64-kasan"):
    """A run of one program with one case."""
    place = folder / name / target
    place.mkdir(parents=True)
    (place / "results.ktap").write_text(text)
    console = "[    1.000000][    T1] memsafe: BEGIN p\n[    2.000000][    T1] memsafe: END p\n"
    (place / "console.log").write_text(console)
    guest = GuestResult(0, {"release": "6.12"}, kmemleak="on", ended=True, console=(0, len(console)))
    job = Job("p", "program", ("p.a",))
    result = JobResult("p", 0, "exit", int("not ok" in text), length=len(text))
    Run(target, (job,), (result,), (guest,), filtered=True).save(place)
    return folder / name


def test_a_regression_between_two_saved_runs(memsafe, tmp_path):
    base, patched = saved(tmp_path, "base", GOOD), saved(tmp_path, "patched", BAD)

    done = memsafe("gate", base, patched)

    assert done.status == 1, done.err
    assert done.out.splitlines()[-1] == "verdict on the patch: fail (1 new, the first: p.a)"
    assert done.out.startswith("NEW      p.a  pass -> fail (base 0 of 1, patched 1 of 1)")


@pytest.mark.parametrize("texts, status, counted", [
    ((GOOD, GOOD), 0, {}),
    ((BAD, BAD), 0, {"KNOWN": 1}),
    ((BAD, GOOD), 0, {"FIXED": 1}),
])  # fmt: skip
def test_other_differences(memsafe, tmp_path, texts, status, counted):
    runs = [saved(tmp_path, str(number), text) for number, text in enumerate(texts)]

    done = memsafe("gate", "--json", *runs)

    (document,) = json.loads(done.out)
    assert (done.status, {k: n for k, n in document["counts"].items() if n}) == (status, counted)


def test_runs_of_different_targets_are_not_compared(memsafe, tmp_path):
    runs = saved(tmp_path, "a", GOOD), saved(tmp_path, "b", GOOD, "um-kasan")

    done = memsafe("gate", *runs)

    assert (done.status, done.err) == (64, "memsafe: runs of x86_64-kasan and um-kasan can't be compared\n")


@pytest.mark.parametrize("words, status, why", [
    ([], 64, "gate needs --base REV, or two saved runs"),
    (["one"], 64, "gate takes two saved runs, base and patched, or --base"),
    (["nosuch", "nosuch"], 2, "nosuch holds no run (no run.json)"),
    (["--base", "a", "--patch", "x", "--patched", "b"], 64, "--patch and --patched are two ways"),
    (["--base", "a", "--patch", "nosuch"], 2, "can't read nosuch: No such file"),
    (["--base", "a", "--tree", "/nosuch"], 64, "no tree /nosuch"),
    (["--base", "a", "--alpha", "2"], 64, "'2' is not between 0 and 1"),
    (["--base-tree", "a"], 64, "--base-tree and --patched-tree are given together"),
    (["--patched-tree", "a"], 64, "--base-tree and --patched-tree are given together"),
    (["--base-tree", "a", "--patched-tree", "x/../a"], 64, "a is both the base and patched"),
    (["--base-tree", "a", "--patched-tree", "b", "--base", "x"], 64, "--base is of a git tree"),
    (["--base-tree", "a", "--patched-tree", "b", "--each"], 64, "--each is of a git tree"),
    (["--base-tree", "/nosuch", "--patched-tree", "b"], 2, "/nosuch is no kernel tree"),
    (["one", "two", "--resume", "x"], 64, "--resume is of a call with a tree"),
    (["--base", "HEAD", "--target", "um-kasan"], 64, "the gate runs in guests; um-kasan has none"),
])  # fmt: skip
def test_bad_calls_are_told_so(memsafe, words, status, why):
    done = memsafe("gate", *words)

    assert (done.status, done.out) == (status, "")
    assert why in done.err and "Traceback" not in done.err
