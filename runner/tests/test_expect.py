# SPDX-License-Identifier: GPL-2.0
"""The expectations file: what is an entry, what is none, and what each excuses."""

import datetime

import pytest

import expect

TODAY = datetime.date(2026, 1, 15)


def entries(text):
    return expect.parse(text, TODAY).entries


def problems(text):
    return expect.parse(text, TODAY).problems


def test_an_entry_has_outcome_name_and_reason():
    text = 'fail guard_page.* "a bug" link=https://example.org/1?a=b until=2026-02-01'

    assert entries(text) == (
        expect.Expectation("fail", "guard_page.*", "a bug", 1, "https://example.org/1?a=b", "2026-02-01"),
    )


def test_comments_and_empty_lines_are_no_entries():
    found = expect.parse("# skip a b\n\n   \n  # fail c d\n", TODAY)

    assert found == expect.Expectations((), ())


def test_line_numbers_count_comments():
    assert [entry.line for entry in entries('# why\n\nskip a "needs x"\n')] == [3]


@pytest.mark.parametrize("line, part", [
    ("skip a", "not '"),
    ('ignore a "why"', "not '"),
    ('skip a "why" extra', "unknown word 'extra'"),
    ('skip a "why" until=tomorrow', "Invalid isoformat"),
    ('skip a "why', "No closing quotation"),
    ("\0\x1b[31m", "not '"),
    ('fail a " "', "no reason"),
    ('fail a "REVIEW: line 3"', "to be reviewed"),
    ('fail a "why" link=', "unknown word 'link='"),
    ('fail a "why" link=b link=c', "link= twice"),
    ('fail a "why" kernel=6.1', "no range such as"),
    ('fail a "why" kernel=..', "no range such as"),
    ('fail a "why" kernel=6.1..new', "no range such as"),
    ('fail a "why" kernel=6..7', "no range such as"),
    ('fail a "why" kernel=6.6..6.1', "ends before it begins"),
    ('flake a "why"', "has rate="),
    ('fail a "why" rate=.5', "has rate="),
    ('flake a "why" rate=0.0', "is not between 0 and 1"),
    ('flake a "why" rate=1.0', "is not between 0 and 1"),
    ('flake a "why" rate=nan', "is not between 0 and 1"),
])  # fmt: skip
def test_a_malformed_line_is_a_problem_with_its_number(line, part):
    found = expect.parse(f'skip good "needs x"\n{line}\n', TODAY)

    assert len(found.entries) == 1
    assert [problem.startswith("expectations:2: ") and part in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("until, counts", [
    ("2026-01-14", False),
    ("2026-01-15", True),
    ("2026-01-16", True),
])  # fmt: skip
def test_an_entry_counts_up_to_and_on_its_last_day(until, counts):
    text = f'skip a "needs x" until={until}'

    assert bool(entries(text)) == counts
    assert bool(problems(text)) != counts


@pytest.mark.parametrize("outcome, name, reason, covered", [
    ("skip", "page.read", "needs x", True),
    ("skip", "page.read", "needs y", False),
    ("skip", "pages.read", "needs x", False),
    ("fail", "page.read", "needs x", False),
])  # fmt: skip
def test_a_skip_is_covered_by_name_and_reason(outcome, name, reason, covered):
    entry, = entries('skip page.* "needs x"')

    assert entry.covers(outcome, name, reason) == covered


def test_a_failure_is_covered_by_name_alone():
    entry, = entries('fail page.read "a bug"')

    assert entry.covers("fail", "page.read", "line 12")
    assert not entry.covers("report", "page.read")


def test_a_report_is_covered_by_its_title():
    entry, = entries('report "KASAN: use-after-free Read in foo" "a bug"')

    assert entry.covers("report", "KASAN: use-after-free Read in foo")
    assert not entry.covers("report", "KASAN: use-after-free Read in foo_bar")


@pytest.mark.parametrize("scope, version, applies", [
    ("6.1..6.6", "6.0.19", False),
    ("6.1..6.6", "6.1", True),
    ("6.1..6.6", "6.1.170", True),
    ("6.1..6.6", "6.6.99", True),
    ("6.1..6.6", "6.12.1", False),
    ("6.1.5..6.1.9", "6.1.4", False),
    ("6.1.5..6.1.9", "6.1.9", True),
    ("6.1.5..6.1.9", "6.1.10", False),
    ("..6.6", "6.1.1", True),
    ("..6.6", "6.7.0-rc1", False),
    ("6.13..", "7.0", True),
    ("6.13..", "6.12.117", False),
    ("6.13..", "", False),
    ("..6.6", "unknown", False),
])  # fmt: skip
def test_a_kernel_range_holds_what_is_in_it(scope, version, applies):
    found = expect.parse(f'fail a "why" kernel={scope}', TODAY)

    assert [bool(found.entries), found.problems] == [True, ()]
    assert bool(found.scoped("x86_64-kasan", version).entries) == applies


@pytest.mark.parametrize("target, applies", [
    ("arm-highmem-kasan", True), ("i386-highmem", True), ("x86_64-kasan", False),
])  # fmt: skip
def test_an_entry_can_be_for_some_targets_only(target, applies):
    found = expect.parse('fail a "why" target=*-highmem*', TODAY)

    assert bool(found.scoped(target, "6.12").entries) == applies


def test_a_flake_excuses_a_failure_and_nothing_else():
    entry, = entries('flake page.read "a race" rate=0.05 link=https://example.org/1')

    assert entry.rate == 0.05
    assert entry.covers("fail", "page.read", "line 12")
    assert not entry.covers("skip", "page.read", "a race")
    assert not entry.covers("report", "page.read")


def test_problems_name_the_file():
    found = expect.parse('fail a', TODAY, "configs/expect/x86_64-kasan.txt")

    assert found.problems[0].startswith("configs/expect/x86_64-kasan.txt:1: ")
