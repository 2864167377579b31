# SPDX-License-Identifier: GPL-2.0
"""What `git bisect run` is told of a run."""

import pytest

import suspect
from conftest import RUNNER


def target(cases=(), reports=(), verdict="fail"):
    return {
        "verdict": verdict,
        "cases": [{"name": name, "status": status, "reason": ""} for name, status in cases],
        "reports": [{"signature": name, "state": state, "case": "b"} for name, state in reports],
    }


CASES = (("b.split.1", "pass"), ("b.split.2", "pass"), ("b.merge", "fail"), ("b.lost", "miss"),
         ("b.rare", "skip"), ("b.mixed.1", "skip"), ("b.mixed.2", "pass"), ("b.gone", "error"))  # fmt: skip
REPORTS = (("KASAN: use-after-free in f", "NEW"), ("WARNING in g", "EXPECTED"), ("WARNING in h", "KNOWN"))


@pytest.mark.parametrize("name, answer", [
    ("b.split.*", suspect.GOOD),
    ("b.merge", suspect.BAD),
    ("b.*", suspect.BAD),
    ("b.gone", suspect.BAD),
    ("b.lost", suspect.UNTESTABLE),
    ("b.rare", suspect.UNTESTABLE),
    ("b.mixed.*", suspect.GOOD),
    ("b.not_there", suspect.UNTESTABLE),
    ("B.MERGE", suspect.UNTESTABLE),
    ("KASAN: * in f", suspect.BAD),
    ("WARNING in h", suspect.BAD),
    ("WARNING in g", suspect.GOOD),
    ("KASAN: * in g", suspect.GOOD),
])  # fmt: skip
def test_answer_for_a_name(name, answer):
    assert suspect.ended(name, target(CASES, REPORTS)) == answer


def test_a_run_without_a_verdict_has_no_report_and_proves_nothing():
    assert suspect.ended("WARNING in x", target(CASES, REPORTS, "none")) == suspect.UNTESTABLE
    assert suspect.ended("WARNING in h", target(CASES, REPORTS, "none")) == suspect.BAD


def test_what_has_decided_is_shown():
    shown = target(CASES, REPORTS)

    assert list(suspect.said("b.split.*", shown)) == ["pass b.split.1", "pass b.split.2", "bisect: good"]
    assert list(suspect.said("WARNING in *", shown)) == ["KNOWN WARNING in h in b", "bisect: bad"]
    assert list(suspect.said("b.none", shown)) == ["bisect: untestable"]


def test_the_job_of_a_case_and_of_a_report():
    assert suspect.jobs("memsafe_buddy.split_*") == "memsafe_buddy"
    assert suspect.jobs("WARNING in g") is None


@pytest.mark.parametrize("of_memsafe, of_bisect", [
    (0, 0), (1, 1), (125, 125), (2, 125), (64, 128), (130, 130),
])  # fmt: skip
def test_only_a_good_and_a_bad_revision_end_with_0_and_1(of_memsafe, of_bisect):
    assert suspect.status(of_memsafe) == of_bisect


@pytest.mark.parametrize("words", [
    ["no_such_suite", "--bisect", "x.y"], ["--bisect=no_such_suite.y"], ["--bisect"],
])  # fmt: skip
def test_a_wrong_command_line_ends_the_bisection(memsafe, words):
    ended = memsafe("run", *words)

    assert ended.status == 128, ended.err


@pytest.mark.guest
@pytest.mark.parametrize("name, status, last", [
    ("good.*", 0, "good"), ("fails.*", 1, "bad"), ("only_skips.*", 125, "untestable"),
])  # fmt: skip
def test_the_end_of_a_guest(memsafe, results, name, status, last):
    ended = memsafe("run", "--tests", RUNNER / "tests/guest", "--no_leaks", "--results", results,
                    "--bisect", name)  # fmt: skip

    assert (ended.status, ended.out.splitlines()[-1]) == (status, f"bisect: {last}"), ended.out + ended.err
