# SPDX-License-Identifier: GPL-2.0
"""A verdict for KCIDB, Patchwork, b4 and mail: in their form, whatever a guest said.

KCIDB's own schema is looked for where MEMSAFE_CORPUS is (kcidb-v5.3.schema.json in
the folder beside it); the structure that a submission stands on is checked always."""

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest

import exports
from judge import Case, Report
from test_report import HOSTILE, document, hostile, target

STARTED = "2026-01-15T12:00:00Z"
ID = {"type": "string", "pattern": "^memsafe:[^\\0]*$"}
TEXT = {"type": "string", "pattern": "^[^\\0]*$"}
# What we rely on of KCIDB's schema: who may speak of whom, and the words.
SUBSET = {
    "type": "object",
    "required": ["version", "checkouts", "builds", "tests"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": {"major": 5, "minor": 3}},
        "checkouts": {"items": {"required": ["id", "origin"], "properties": {"id": ID, "comment": TEXT}}},
        "builds": {
            "items": {
                "required": ["id", "origin", "checkout_id"],
                "properties": {"id": ID, "checkout_id": ID, "architecture": {"pattern": "^[a-z0-9_]*$"}},
            }
        },
        "tests": {
            "items": {
                "required": ["id", "origin", "build_id", "status"],
                "properties": {
                    "id": ID,
                    "build_id": ID,
                    "path": {"pattern": r"^([a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*)?$"},
                    "status": {"enum": ["FAIL", "ERROR", "MISS", "PASS", "DONE", "SKIP"]},
                    "comment": TEXT,
                    "log_excerpt": {**TEXT, "maxLength": 16384},
                    "duration": {"type": "number"},
                },
            }
        },
        "issues": {"items": {"required": ["id", "version", "origin"], "properties": {"report_subject": TEXT}}},
        "incidents": {"items": {"required": ["id", "origin", "issue_id", "issue_version"]}},
    },
}


def long():
    """More of everything than anybody reads."""
    cases = [Case(f"page.{number}", "fail", "x" * (1 << 20), diagnostics=("y" * (1 << 20),)) for number in range(60)]
    reports = [Report(f"WARNING in f{number}", "WARNING", "", "NEW", "", frames=("f " * 99,) * 99) for number in range(60)]
    return target(cases, reports, [f"reason {number} " + "z" * 300 for number in range(60)])


DOCUMENTS = {
    "all kinds": document(target()),
    "green": document(target((Case("good.holds", "pass"),), (), ())),
    "nothing ran": document(target((), (), (), None)),
    "hostile": document(hostile()),
    "long": document(long()),
    "two long": document(long(), {**long(), "target": "arm-highmem-kasan"}),
    "twice": document(target((Case("good", "pass"), Case("good", "error")))),
    "two targets": document(target(), {**target(reasons=()), "target": "arm-highmem-kasan"}),
}
every = pytest.mark.parametrize("shown", DOCUMENTS.values(), ids=DOCUMENTS)


def submission(shown):
    return json.loads(json.dumps(exports.kcidb(shown, STARTED)))


@every
def test_a_submission_has_the_structure(shown):
    jsonschema.validate(submission(shown), SUBSET)


@every
def test_a_submission_is_valid_for_kcidb(shown):
    schema = Path(os.environ.get("MEMSAFE_CORPUS", "/nonexistent")).parent / "kcidb-v5.3.schema.json"
    if not schema.exists():
        pytest.skip("needs kcidb-v5.3.schema.json beside MEMSAFE_CORPUS")

    jsonschema.validate(submission(shown), json.loads(schema.read_text()))


@every
def test_a_submission_speaks_only_of_what_is_in_it(shown):
    found = submission(shown)
    ids = {kind: [each["id"] for each in found.get(kind, [])] for kind in found if kind != "version"}

    assert all(len(set(names)) == len(names) for names in ids.values())
    assert {each["checkout_id"] for each in found["builds"]} <= set(ids["checkouts"])
    assert {each["build_id"] for each in found["tests"]} <= set(ids["builds"])
    for each in found.get("incidents", []):
        assert each["issue_id"] in ids["issues"]
        assert each.get("test_id", each.get("build_id")) in ids["tests"] + ids["builds"]


def test_a_submission_holds_every_case_and_every_unexpected_report():
    found = submission(DOCUMENTS["all kinds"])

    assert [(test["path"], test["status"]) for test in found["tests"]] == [
        ("memsafe", "FAIL"), ("memsafe.good.holds", "PASS"), ("memsafe.good.breaks", "FAIL"),
        ("memsafe.good.lists", "FAIL"), ("memsafe.good.skips", "SKIP"), ("memsafe.good", "ERROR"),
        ("memsafe.gone", "MISS"),
    ]  # fmt: skip
    assert [issue["report_subject"] for issue in found["issues"]] == ["KASAN: use-after-free Read in f", "WARNING in g"]
    assert [each["misc"]["state"] for each in found["incidents"]] == ["NEW", "KNOWN"]
    assert found["incidents"][0]["test_id"] == found["tests"][1]["id"]
    assert found["incidents"][1]["build_id"] == found["builds"][0]["id"]


@pytest.mark.parametrize("verdict, patchwork, b4", [
    ("pass", "success", "pass"), ("none", "warning", "warn"), ("fail", "fail", "fail"),
])  # fmt: skip
def test_only_a_pass_is_a_success(verdict, patchwork, b4):
    shown = document({**target(), "verdict": verdict})

    assert exports.patchwork(shown, "")["state"] == patchwork
    assert [check["status"] for check in exports.b4(shown, "")] == [b4]


@every
def test_a_patchwork_check_is_what_its_api_takes(shown):
    check = exports.patchwork(shown, "https://example.org/1")

    assert set(check) == {"state", "context", "target_url", "description"}
    assert re.fullmatch(r"[-\w]{1,255}", check["context"], re.ASCII)
    assert check["target_url"] == "https://example.org/1"
    assert "\n" not in check["description"]


@every
def test_b4_gets_one_result_a_target(shown):
    checks = exports.b4(shown, "https://example.org/1")

    assert len(checks) == len(shown["targets"])
    for check in checks:
        assert {name: type(value) for name, value in check.items()} == dict.fromkeys(
            ("tool", "status", "summary", "url", "details"), str
        )


@every
def test_a_mail_is_short_and_has_one_subject(shown):
    text = exports.mail(shown, "https://example.org/1")
    subject, empty, *body = text.splitlines()

    assert subject.startswith(f"Subject: memsafe: {shown['verdict']}: ")
    assert (empty, len(body) <= 40) == ("", True)
    assert all(len(line) <= 200 for line in body)
    assert body[-1] == "Everything: https://example.org/1"


def test_a_guest_writes_no_header():
    shown = hostile()
    shown["kernel_release"] = "6.12\nTo: all@example.org\n\nbody"

    lines = exports.mail(document(shown), "").splitlines()

    assert [line for line in lines if line.startswith("To:")] == []
    assert lines[1] == ""


def test_the_subject_counts_what_is_wrong():
    assert exports.headline(DOCUMENTS["all kinds"]) == (
        "memsafe: fail: x86_64-kasan on Linux 6.12.117: 1 report, 1 fail, 1 error, 1 miss"
    )


def test_hostile_text_arrives():
    """Cleaned, not dropped: the tests above have something to look at."""
    assert "\N{SNOWMAN}" in HOSTILE and "\N{SNOWMAN}" in exports.mail(DOCUMENTS["hostile"], "")
    assert "\N{SNOWMAN}" in json.dumps(submission(DOCUMENTS["hostile"]), ensure_ascii=False)
