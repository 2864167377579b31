# SPDX-License-Identifier: GPL-2.0
"""The suites built into User Mode Linux, by the kernel's own kunit.py."""

import json

import pytest

import manifest
import uml
from conftest import RUNNER
from record import Job, Run

RAW = """\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: memsafe_one
    1..1
    ok 1 holds
ok 1 memsafe_one
    KTAP version 1
    # Subtest: memsafe_two
    1..2
    ok 1 holds
Kernel panic - not syncing: dying
"""


def test_each_suite_gets_marks_of_its_own():
    run = Run("um-kasan", (Job("memsafe_one", "kunit"), Job("memsafe_two", "kunit")))

    console, ended = uml.marked(RAW, run)

    lines = console.splitlines()
    assert lines.index("memsafe: BEGIN memsafe_one") < lines.index("memsafe: END memsafe_one")
    assert lines.index("memsafe: BEGIN memsafe_two") > lines.index("memsafe: END memsafe_one")
    assert [(result.name, result.outcome) for result in ended] == [
        ("memsafe_one", "exit"),
        ("memsafe_two", "gone"),
    ]


@pytest.mark.guest
def test_kunit_py_builds_and_passes_all_suites(memsafe, results):
    ended = memsafe("run", "--target", "um-kasan", "--results", results, timeout=3600)

    assert (ended.status, ended.out.splitlines()[-1]) == (0, "verdict: pass"), ended.out + ended.err
    verdict = json.loads((results / "latest/um-kasan/verdict.json").read_text())
    groups = {case["name"].partition(".")[0] for case in verdict["targets"][0]["cases"]}
    assert groups == {job.name for job in manifest.jobs(RUNNER.parent) if job.kind == "kunit"}
