# SPDX-License-Identifier: GPL-2.0
"""expect --from: what it prints excuses nothing until somebody has edited it, and
just what it names once they have."""

import datetime
import shlex

import pytest

import draft
import expect

TODAY = datetime.date(2026, 1, 15)


def case(name, status, reason="", **more):
    return {"name": name, "status": status, "reason": reason, **more}


def report(signature, state="NEW", where=""):
    return {"signature": signature, "state": state, "case": where}


CASES = [
    case("page.reads", "pass"),
    case("page.skips", "skip", 'needs CONFIG_X="y" # or so'),
    case("page.lists", "skip", "needs y", known="needs y"),
    case("page.order [2]*", "fail", "expected 1"),
    case("page", "error", "killed by signal 11"),
    case("page.gone", "miss", "did not report"),
    case("page.silent", "skip"),
]
REPORTS = [
    report("KASAN: use-after-free Read in f", where="page.reads"),
    report("KASAN: use-after-free Read in f", where="page.reads"),
    report("WARNING in g", "KNOWN"),
    report("WARNING in h", "EXPECTED"),
]
DRAFT = draft.draft({"cases": CASES, "reports": REPORTS})


def reviewed(lines):
    return expect.parse("\n".join(lines).replace(expect.REVIEW + " ", ""), TODAY)


def test_everything_undeclared_has_one_line():
    assert [" ".join(line.split()[:2]) for line in DRAFT] == [
        "skip page.skips", 'fail "page.order', "fail page", "# nothing", "# a", 'report "KASAN:',
    ]  # fmt: skip


def test_a_draft_excuses_nothing():
    found = expect.parse("\n".join(DRAFT), TODAY)

    assert found.entries == ()
    assert [problem.partition(": ")[2].partition(":")[0] for problem in found.problems] == ["to be reviewed"] * 4


def test_a_reviewed_draft_excuses_what_it_names():
    skip, parameter, program, told = reviewed(DRAFT).entries

    assert skip.covers("skip", "page.skips", CASES[1]["reason"])
    assert parameter.covers("fail", "page.order [2]*")
    assert not parameter.covers("fail", "page.order 2 and more")
    assert program.covers("fail", "page") and not program.covers("fail", "page.reads")
    assert told.covers("report", "KASAN: use-after-free Read in f")


@pytest.mark.parametrize("name", ["a\\b", 'a"b', "a'b", "a b", "#a", "$(a)", "a\nskip b x", "a\N{SNOWMAN}"])
def test_a_hostile_name_stays_in_its_word(name):
    line, = draft.draft({"cases": [case(name, "fail", name)], "reports": []})

    assert shlex.split(line) == ["fail", name.replace("\n", " "), "REVIEW: " + name.replace("\n", " ")]


def test_what_could_not_be_printed_is_matched_by_anything():
    line, = draft.draft({"cases": [case("a\N{REPLACEMENT CHARACTER}b", "fail", "x")], "reports": []})

    assert reviewed([line]).entries[0].covers("fail", "a\x1bb")
