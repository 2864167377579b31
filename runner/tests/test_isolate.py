# SPDX-License-Identifier: GPL-2.0
"""Which test upsets another one."""

import shutil

import pytest

import isolate
from conftest import RUNNER
from record import GuestResult, Job, JobResult, Run

HOUR_S = 3600
HEAD = "#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n"
OK = 'puts("TAP version 13\\n1..1\\nok 1 {name}.holds"); return 0;'
# What one program does to the next one: the name of the host.
PROGRAMS = {
    "a_upsets": 'sethostname("upset", 5);' + OK,
    "b_quiet": OK,
    "c_upset": 'char host[65] = ""; gethostname(host, 64);'
               "if (strcmp(host, \"upset\")) {{" + OK + "}}"
               'puts("TAP version 13\\n1..1\\nnot ok 1 {name}.holds"); return 1;',
    "d_broken": 'puts("TAP version 13\\n1..1\\nnot ok 1 {name}.holds"); return 1;',
}  # fmt: skip


@pytest.mark.parametrize("culprits", [("a",), ("e",), ("h",), ("a", "h"), ("c", "d", "f")])
def test_only_what_upsets_is_left(culprits):
    tried = []

    def upsets(jobs):
        tried.append(jobs)
        return {job.name for job in jobs} >= set(culprits)

    found = isolate.fewest([Job(name, "program") for name in "abcdefgh"], upsets)

    assert tuple(job.name for job in found) == culprits
    assert all(tried), "the case alone is known to be good"


def saved(folder):
    """A run in two guests: three programs in one of them, the last two bad."""
    folder.mkdir()
    text, results = "", []
    for name, guest, word in (("a", 0, "ok"), ("b", 1, "ok"), ("c", 0, "not ok"), ("d", 0, "ok")):
        shown = f"TAP version 13\n1..1\n{word} 1 {name}.holds\n"
        bad = int(word != "ok")
        results.append(JobResult(name, guest, "exit", bad, offset=len(text), length=len(shown)))
        text += shown
    (folder / "results.ktap").write_text(text)
    (folder / "console.log").write_text("")
    jobs = tuple(Job(name, "program", (f"{name}.holds",)) for name in "abcd")
    guests = tuple(GuestResult(index, {}, ended=True) for index in (0, 1))
    Run("x86_64-kasan", jobs, tuple(results), guests, filtered=True).save(folder)
    return folder


@pytest.mark.parametrize("case, why", [
    ("a.holds", "a.holds is not bad in "),
    ("e.holds", "has no results of e"),
    ("WARNING in f", "has no results of a report; name a case"),
    ("c.holds", "has run a, which is not there any more"),
])  # fmt: skip
def test_what_can_not_be_isolated(memsafe, tmp_path, case, why):
    ended = memsafe("isolate", saved(tmp_path / "run"), case, "--results", tmp_path / "results")

    assert (ended.status, ended.out) == (64, "") and why in ended.err, ended.err


@pytest.mark.guest
def test_the_program_that_upsets_another_is_found(memsafe, results, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    for name in ("Makefile", "Kbuild"):
        shutil.copy(RUNNER / "tests/guest" / name, tests)
    for name, body in PROGRAMS.items():
        (tests / f"{name}_test.c").write_text(f"{HEAD}int main(void)\n{{\n{body.format(name=name)}\n}}\n")
    where = ("--tests", tests, "--results", results)
    memsafe("run", "--no_leaks", *where, timeout=HOUR_S)
    whole = (results / "latest").resolve()

    upset, broken = (memsafe("isolate", whole, case, *where, timeout=HOUR_S) for case in ("c_upset.holds", "d_broken.*"))

    assert (upset.status, upset.out) == (0, "c_upset.holds is upset by a_upsets (runs: 4)\n"), upset.err
    assert (broken.status, broken.out) == (1, "d_broken.* is bad alone as well: nothing upsets it (runs: 1)\n")
