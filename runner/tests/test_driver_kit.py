# SPDX-License-Identifier: GPL-2.0
"""The driver battery: each of its cases fails with the bug of the reference driver
that it names, and by an assertion of its own."""

import re
import shutil
import subprocess

import pytest

import manifest
import noop
import record
import results
from conftest import RUNNER

PROJECT = RUNNER.parent
SELFTESTS = PROJECT / "selftests"
NAMED = re.compile(r"^SEEN_TO_FAIL\((\w+), (\w+)\);\nTEST_F(?:_TIMEOUT)?\(\w+, (\w+)", re.M)
BUG = re.compile(r"^\s*X\((\w+)\)", re.M)


def sources():
    return {
        path.name.removesuffix("_test.c"): path.read_text()
        for path in sorted(SELFTESTS.glob("driver_*_test.c"))
    }


def named():
    """Case to bug, of all programs."""
    return {
        case: bug for text in sources().values() for case, bug, tested in NAMED.findall(text)
        if case == tested
    }  # fmt: skip


def bugs():
    return set(BUG.findall((PROJECT / "module/memsafe_dev_bug.c").read_text())) - {"none"}


def test_every_case_names_a_bug_that_there_is():
    cases = {case.rpartition(".")[2] for job in manifest.jobs(PROJECT) for case in job.cases
             if job.name.startswith("driver_")}  # fmt: skip

    assert set(named()) == cases
    assert set(named().values()) <= bugs()


@pytest.mark.guest
def test_every_case_fails_with_its_bug(tmp_path):
    broken, tests = tmp_path / "project", tmp_path / "project/battery"
    shutil.copytree(PROJECT, broken, ignore=shutil.ignore_patterns(".git", "results"))
    kbuild = broken / "module/Kbuild"
    kbuild.write_text("MEMSAFE_BUG := none\n" + kbuild.read_text())
    others = [path.name for path in SELFTESTS.glob("*_test.c") if not path.name.startswith("driver_")]
    shutil.copytree(SELFTESTS, tests, ignore=shutil.ignore_patterns(*others))
    (tests / "Kbuild").write_text("")

    subprocess.run(
        ["/usr/bin/python3", broken / "runner/memsafe.py", "run", "--no_leaks",
         "--tests", tests, "--results", tmp_path / "results",
         "--env", "MEMSAFE_BUG=each", "--env", "MEMSAFE_DRIVER=memsafe*"],
        capture_output=True, timeout=1800,
    )  # fmt: skip

    folder = tmp_path / "results/latest/x86_64-kasan"
    ktap = results.texts(folder)["results.ktap"]
    rows = noop.matrix(record.load(folder), ktap, sources())
    killed = {
        row.case.rpartition(".")[2] for program in rows.values() for row in program
        if row.outcome == noop.KILLED
    }  # fmt: skip
    assert killed == set(named())
