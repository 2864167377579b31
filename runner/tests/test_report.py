# SPDX-License-Identifier: GPL-2.0
"""A verdict as JSON, XML and text: valid, whole, and nothing of what a guest says
acts on a terminal or breaks out of its element."""

import json
import re
import xml.etree.ElementTree as xml
from pathlib import Path

import jsonschema
import pytest

import report
import results
from judge import Case, Report, Verdict
from record import GuestResult, Run
from silence import Silence

SCHEMA = json.loads((Path(report.__file__).parent / "verdict.schema.json").read_text())
# What a guest may say to clear the screen, to end an element, or to end a text.
HOSTILE = "\x1b[2J\x1b]0;title\x07 \x00\x08\x7f\x9b31m \r ]]> </failure><![CDATA[ & \" ' \ud800 \ufffe \u2028 \u202e \N{SNOWMAN}"
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")

CASES = (
    Case("good.holds", "pass", seconds=0.25),
    Case("good.breaks", "fail", "expected 1", 1.5, diagnostics=("one", "two")),
    Case("good.lists", "fail", known="a bug"),
    Case("good.skips", "skip", "needs x", known="needs x"),
    Case("good", "error", "killed by signal 11"),
    Case("gone", "miss", "did not run"),
)
REPORTS = (
    Report("KASAN: use-after-free Read in f", "KASAN: use-after-free Read", "KASAN-READ", "NEW",
           "good.holds", frames=("f+0x1/0x2 mm/f.c:3",)),
    Report("WARNING in g", "WARNING", "WARNING", "KNOWN", "", "complete", "a bug"),
    Report("WARNING in h", "WARNING", "WARNING", "EXPECTED", "good.holds", "interleaved"),
)  # fmt: skip
GUEST = GuestResult(0, {"release": "6.12.117"}, cmdline="console=ttyS0", ended=True)


def target(cases=CASES, reports=REPORTS, reasons=("good.breaks: expected 1",), guest=GUEST):
    off = Silence("lockdep", 0, "good", reports[0].signature if reports else "a taint", ("good", "gone"))
    verdict = Verdict("fail" if reasons else "pass", tuple(reasons), tuple(cases), tuple(reports), (off,))
    run = Run("x86_64-kasan", (), guests=(guest,) if guest else (), seconds={"boot": 5.04321},
              facts={"accel": "tcg", "kernel": "6.12.117", "config_hash": "0123456789abcdef"})  # fmt: skip
    return report.target_object(run, verdict, "runner/memsafe.py run")


def document(*targets):
    facts = {"argv": ["run"], "commit": "", "dirty": False, "compiler": "gcc", "qemu": "QEMU"}
    return report.document(targets, facts)


def hostile():
    case = Case(f"good.{HOSTILE}", "fail", HOSTILE, diagnostics=(HOSTILE,))
    skip = Case(f"skip.{HOSTILE}", "skip", HOSTILE)
    error = Case(HOSTILE, "error", HOSTILE)
    told = Report(f"WARNING in {HOSTILE}", HOSTILE, "WARNING", "NEW", HOSTILE, frames=(HOSTILE,))
    guest = GuestResult(0, {"release": HOSTILE}, cmdline=HOSTILE)
    return target((case, skip, error), (told,), (HOSTILE,), guest)


def is_valid(data):
    jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)
    return True


@pytest.mark.parametrize("shown", [
    document(target()),
    document(target(), target(reasons=())),
    document(target((), (), (), None)),
    document(hostile()),
    document(),
], ids=["all kinds", "two targets", "nothing ran", "hostile", "no target"])  # fmt: skip
def test_a_document_is_valid_json_of_the_schema(shown):
    assert is_valid(json.loads(json.dumps(shown)))


@pytest.mark.parametrize("path, value", [
    (["verdict"], "green"),
    (["more"], 1),
    (["targets", 0, "cases", 0, "status"], "ok"),
    (["targets", 0, "cases", 0, "name"], ""),
    (["targets", 0, "reports", 0, "state"], "OLD"),
    (["targets", 0, "seconds", "boot"], -1),
    (["targets", 0, "config_hash"], "x"),
], ids=str)  # fmt: skip
def test_the_schema_refuses_something_else(path, value):
    data = json.loads(json.dumps(document(target())))
    spoilt = data
    for key in path[:-1]:
        spoilt = spoilt[key]
    spoilt[path[-1]] = value

    with pytest.raises(jsonschema.ValidationError):
        is_valid(data)


@pytest.mark.parametrize("verdicts, worst", [
    (["pass", "pass"], "pass"),
    (["pass", "none"], "none"),
    (["none", "fail", "pass"], "fail"),
    ([], "none"),
])  # fmt: skip
def test_a_run_is_as_good_as_its_worst_target(verdicts, worst):
    shown = document(*({**target(), "verdict": verdict} for verdict in verdicts))

    assert shown["verdict"] == worst


def test_counts_are_those_of_the_cases():
    assert target()["counts"] == {"pass": 1, "fail": 2, "skip": 1, "error": 1, "miss": 1}


def texts():
    shown = hostile()
    parsed = {"cases": shown["cases"], "reports": shown["reports"], "problems": [report.clean(HOSTILE)]}
    return {
        "summary": report.summary(shown),
        "verbose summary": report.summary(shown, verbose=True),
        "parse": report.log_summary(parsed),
        "junit": report.junit(shown),
    }


@pytest.mark.parametrize("name", texts())
def test_nothing_of_a_guest_acts_on_a_terminal(name):
    text = texts()[name]

    assert "\N{SNOWMAN}" in text
    assert not ACTS.findall(text)


def strings(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_nothing_in_the_document_acts_on_a_terminal():
    """Whoever reads verdict.json prints it."""
    found = strings(hostile())

    assert sum("\N{SNOWMAN}" in text for text in found) >= 12
    assert not [text for text in found if ACTS.search(text)]


def parsed_junit(shown):
    return xml.fromstring(report.junit(shown))


def test_junit_names_every_case_once_with_its_outcome():
    outcomes = {
        f"{entry.get('classname')}.{entry.get('name')}": [child.tag for child in entry]
        for entry in parsed_junit(target()).iter("testcase")
    }

    assert outcomes == {
        "good.holds": [],
        "good.breaks": ["failure"],
        "good.lists": ["skipped"],
        "good.skips": ["skipped"],
        "good.good": ["error"],
        "gone.gone": ["error"],
        "good.holds.KASAN: use-after-free Read in f": ["failure"],
        "kernel.WARNING in g": [],
        "good.holds.WARNING in h": [],
    }


def test_junit_counts_what_it_holds():
    top = parsed_junit(target())

    assert [top.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["9", "2", "2", "2"]


def test_hostile_text_stays_in_its_element():
    entries = list(parsed_junit(hostile()).iter("testcase"))

    assert len(entries) == 4
    assert all("]]> </failure><![CDATA[ & \" '" in entry.get("name") for entry in entries)


def test_the_summary_says_what_is_wrong_and_ends_with_the_verdict():
    lines = report.summary(target()).splitlines()

    assert lines[0] == "FAIL  good.breaks  expected 1"
    assert "NEW   KASAN: use-after-free Read in f  in good.holds" in lines
    assert "again: runner/memsafe.py run" in lines
    assert lines[-1] == "verdict: fail"
    assert not any("good.lists" in line or "in h" in line for line in lines)


def test_the_summary_says_which_reporter_was_off():
    assert (
        "guest 1: lockdep was off from good on (KASAN: use-after-free Read in f): "
        "2 suites and programs were not watched by it to their end"
    ) in report.summary(target()).splitlines()


def test_the_files_of_a_run_hold_the_same_verdict(tmp_path):
    shown = document(hostile())

    results.write(shown, tmp_path)

    assert is_valid(json.loads((tmp_path / "verdict.json").read_text()))
    assert xml.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    assert (tmp_path / "summary.txt").read_text().endswith("verdict: fail\n")
