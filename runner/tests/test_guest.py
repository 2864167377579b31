# SPDX-License-Identifier: GPL-2.0
"""Programs and suites that must be rejected, in real guests: each is, under its
own name and for its own reason, and spoils nothing for the others."""

import hashlib
import json
import re
import xml.etree.ElementTree as xml

import jsonschema
import pytest

import manifest
from conftest import RUNNER

pytestmark = pytest.mark.guest

TESTS = RUNNER / "tests/guest"
TARGET = "x86_64-kasan"
SCHEMA = json.loads((RUNNER / "verdict.schema.json").read_text())
# Seconds for one job: what hangs costs that, what does not takes less.
JOB_S = 4
# The kernel may have to be built first.
HOUR_S = 3600

CASES = {
    "memsafe_failing": [
        "pass memsafe_failing.holds",
        "fail memsafe_failing.breaks",
    ],
    "memsafe_good": [
        "pass memsafe_good.holds",
        "pass memsafe_good.reports_what_it_announces",
    ],
    "memsafe_leaking": [
        "pass memsafe_leaking.forgets_an_object",
    ],
    "memsafe_oops": [
        "pass memsafe_oops.holds",
        "error memsafe_oops.dies: no result, the output ends here",
        "miss memsafe_oops.never_runs: planned, but no result",
        "error memsafe_oops: the guest has ended after memsafe_oops.holds",
    ],
    "memsafe_panic": [
        "pass memsafe_panic.holds",
        "error memsafe_panic.dies: no result, the output ends here",
        "error memsafe_panic: the guest has ended after memsafe_panic.holds",
    ],
    "memsafe_quiet": [
        "pass memsafe_quiet.announces_a_report",
        "error memsafe_quiet: expected report was not seen: WARNING in memsafe_nowhere",
    ],
    "memsafe_refused": [
        "error memsafe_refused: could not be started: errno 19",
        "miss memsafe_refused.never_runs: did not report",
    ],
    "memsafe_reporting": [
        "pass memsafe_reporting.holds",
        "pass memsafe_reporting.passes_over_a_report",
        "error memsafe_reporting: taints the kernel: new flags 0x20",
    ],
    "memsafe_stuck": [
        "pass memsafe_stuck.holds",
        "error memsafe_stuck.never_ends: no result, the output ends here",
        "error memsafe_stuck: could not be killed after its time limit after memsafe_stuck.holds",
    ],
    "memsafe_waiting": [
        "fail memsafe_waiting",
        "error memsafe_waiting: no end within its time limit of N s after memsafe_waiting",
        "miss memsafe_waiting.never_runs: did not report",
    ],
    "crashes": [
        "pass crashes.holds",
        "error crashes.#2: no result, the output ends here",
        "error crashes: killed by signal 11 after crashes.holds",
    ],
    "exits_0": [
        "fail exits_0.breaks",
        "error exits_0: exit status 0 over failed cases",
    ],
    "exits_1": [
        "pass exits_1.holds",
        "error exits_1: exit status 1 without a failed case",
    ],
    "fails": [
        "pass fails.holds",
        "fail fails.breaks",
    ],
    "forges": [
        "pass forges.holds",
    ],
    "good": [
        "pass good.holds",
        "pass good.keeps",
    ],
    "faults": [
        "fail faults.dies",
        "fail faults.fixed.dies",
    ],
    "half_line": [
        "pass half_line.holds",
        "error half_line.kee: the output ends in the middle of the result line",
        "error half_line: line 4: the output ends in the middle of the result line",
        "error half_line: exit status 0 over failed cases",
    ],
    "hangs": [
        "pass hangs.holds",
        "error hangs.#2: no result, the output ends here",
        "error hangs: no end within its time limit of N s after hangs.holds",
    ],
    "leaves_a_child": [
        "pass leaves_a_child.holds",
    ],
    "loud": [
        "pass loud.holds",
        "error loud: N bytes of output over the limit were dropped",
    ],
    "only_skips": [
        "skip only_skips.holds: needs another machine",
    ],
    "plans_fewer": [
        "pass plans_fewer.holds",
        "pass plans_fewer.keeps",
        "error plans_fewer: the document at line 1: 2 results, but 1 planned",
    ],
    "plans_more": [
        "pass plans_more.holds",
        "error plans_more.#2: no result, the output ends here",
        "error plans_more: the document at line 1: 1 of 2 results are missing",
        "error plans_more: exit status 0 over failed cases",
    ],
    "reboots": [
        "pass reboots.holds",
        "error reboots.#2: no result, the output ends here",
        "error reboots: the guest has ended after reboots.holds",
    ],
    "silent": [
        "error silent: no test results found",
    ],
}
REPORTS = [
    "EXPECTED WARNING in memsafe_warn_here, in memsafe_good.reports_what_it_announces",
    "NEW general protection fault in memsafe_write_to_null, in memsafe_oops",
    "NEW kernel panic: memsafe_panic was here, in memsafe_panic",
    "NEW KASAN: slab-out-of-bounds Write in memsafe_write_past_end,"
    " in memsafe_reporting.passes_over_a_report",
    "NEW WARNING in forged_place, in forges",
]
# Each of them ends its guest; the last guest runs what is left.
ENDS_ITS_GUEST = ("memsafe_oops", "memsafe_panic", "memsafe_stuck", "reboots")
GREEN = ("memsafe_good", "memsafe_leaking", "good", "leaves_a_child")


class Rejected:
    """One run over all of them."""

    def __init__(self, ended, folder):
        self.ended = ended
        self.folder = folder
        self.document = json.loads((folder / "verdict.json").read_text())
        self.target, = self.document["targets"]

    def cases(self, job):
        names = (job, job + ".")
        mine = [case for case in self.target["cases"] if case["name"] == job or case["name"].startswith(names[1])]
        return [shown(case) for case in mine]


def shown(case):
    text = f"{case['status']} {case['name']}" + (f": {case['reason']}" if case["reason"] else "")
    text = re.sub(r"limit of \d+ s", "limit of N s", text)
    return re.sub(r"\d+ bytes", "N bytes", text)


@pytest.fixture(scope="module")
def rejected(memsafe, results):
    top = results / "rejected"
    ended = memsafe("run", "--target", TARGET, "--tests", TESTS, "--timeout", JOB_S,
                    "--results", top, timeout=HOUR_S)  # fmt: skip
    assert (top / "latest" / TARGET / "verdict.json").exists(), ended.err
    return Rejected(ended, top / "latest" / TARGET)


def test_the_run_fails(rejected):
    assert (rejected.ended.status, rejected.document["verdict"]) == (1, "fail")
    assert rejected.ended.out.splitlines()[-1] == "verdict: fail"


def test_every_program_and_suite_has_its_row():
    assert {job.name for job in manifest.jobs(TESTS, TESTS)} == set(CASES)


@pytest.mark.parametrize("job", CASES)
def test_is_rejected_for_its_own_reason(rejected, job):
    assert rejected.cases(job) == CASES[job]


def test_nothing_else_is_in_the_verdict(rejected):
    assert len(rejected.target["cases"]) == sum(len(cases) for cases in CASES.values())


def test_every_report_is_its_own_jobs(rejected):
    found = [f"{report['state']} {report['signature']}, in {report['case']}"
             for report in rejected.target["reports"]]  # fmt: skip

    assert found == REPORTS


def test_every_bad_one_is_named_in_the_reasons(rejected):
    """leaks are looked for in a run of their own, below."""
    for job in set(CASES) - set(GREEN):
        assert any(re.search(rf"\b{job}\b", reason) for reason in rejected.target["reasons"]), job


@pytest.mark.parametrize("job", GREEN)
def test_a_good_one_is_in_no_reason(rejected, job):
    assert not [reason for reason in rejected.target["reasons"] if re.search(rf"\b{job}\b", reason)]


def test_only_what_ends_a_guest_costs_one(rejected):
    assert rejected.target["guests"] == len(ENDS_ITS_GUEST) + 1


def test_verdict_json_is_valid(rejected):
    jsonschema.validate(rejected.document, SCHEMA, jsonschema.Draft202012Validator)


def test_junit_says_the_same(rejected):
    top = xml.parse(rejected.folder / "junit.xml").getroot()
    counts = rejected.target["counts"]
    new = sum(report["state"] == "NEW" for report in rejected.target["reports"])

    assert int(top.get("failures")) == counts["fail"] + new
    assert int(top.get("errors")) == counts["error"] + counts["miss"]
    assert int(top.get("skipped")) == counts["skip"]


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_judging_again_gives_the_same_and_changes_nothing(rejected, memsafe):
    before = hashes(rejected.folder)

    again = memsafe("judge", rejected.folder, "--json")

    assert again.status == 1
    assert json.loads(again.out) == rejected.document
    assert hashes(rejected.folder) == before


def test_what_is_printed_without_json_is_the_summary(rejected):
    assert (rejected.folder / "summary.txt").read_text() == rejected.ended.out


def test_a_leak_is_given_to_the_suite_that_made_it(memsafe, results):
    """Only a guest that reaches its end is asked for its leaks."""
    ended = memsafe("run", "--target", TARGET, "--tests", TESTS, "--timeout", JOB_S, "--json",
                    "--results", results / "leaking", "memsafe_leaking", timeout=HOUR_S)  # fmt: skip
    target, = json.loads(ended.out)["targets"]

    assert ended.status == 1
    # The module is gone when kmemleak prints the stack, so its function has no
    # name there: the next one on the stack may be the first that has.
    reason, = target["reasons"]
    assert re.fullmatch(r"memory leak in \S+ in memsafe_leaking", reason)
    assert [shown(case) for case in target["cases"]] == CASES["memsafe_leaking"]
