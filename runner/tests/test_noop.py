# SPDX-License-Identifier: GPL-2.0
"""The no-op harness: on saved output, and on the real programs in a guest."""

import pytest

import noop
from expect import Expectations, parse
from record import Job
import datetime

SOURCE = """\
TEST_F(thing, holds)
{
	ACT(msync);
	EXPECT_EQ(0, msync(self->page, self->len, MS_SYNC));
}
"""
JOB = Job("thing", "program", ("thing.holds",))


def ran(*lines):
    """A program's output around the lines of its one case."""
    return "\n".join(["TAP version 13", "1..1", "#  RUN           thing.holds ...", *lines, ""])


@pytest.mark.parametrize(
    "lines, outcome, call",
    [
        (["# noop: msync", "# thing_test.c:4:holds:Expected 0 (0) == 1 (1)", "# holds: Test failed",
          "#          FAIL  thing.holds", "not ok 1 thing.holds"], "killed", "msync"),
        (["# noop: msync", "# thing_test.c:4:holds:Expected 0 (0) == 1 (1)",
          "# holds: Test terminated by assertion", "not ok 1 thing.holds"], "killed", "msync"),
        (["# noop: msync", "ok 1 thing.holds"], "survived", "msync"),
        (["ok 1 thing.holds"], "survived", ""),
        (["# thing_test.c:4:holds:Expected 0 (0) == 1 (1)", "not ok 1 thing.holds"], "killed", ""),
        (["# noop: msync", "# holds: Test terminated unexpectedly by signal 11",
          "not ok 1 thing.holds"], "signal", "msync"),
        (["# noop: msync", "# memsafe.h:4:holds:Expected 0 (0) == 1 (1)", "not ok 1 thing.holds"],
         "elsewhere", "msync"),
        (["# noop: msync", "# thing_test.c:9:holds:Expected 0 (0) == 1 (1)", "not ok 1 thing.holds"],
         "elsewhere", "msync"),
        (["# noop: msync", "# holds: Test terminated by timeout", "not ok 1 thing.holds"],
         "timeout", "msync"),
        (["ok 1 thing.holds # SKIP needs a thing"], "skip", ""),
    ],
)  # fmt: skip
def test_outcome_of_a_case(lines, outcome, call):
    (found,) = noop.outcomes(JOB, SOURCE, ran(*lines))

    assert (found.outcome, found.call) == (outcome, call)


def test_only_an_assertion_after_the_act_is_good():
    killed = noop.Outcome("thing.holds", "msync", "killed")

    assert killed.good
    assert not noop.Outcome("thing.holds", "", "killed").good
    assert not noop.Outcome("thing.holds", "msync", "signal").good


ABOUT = """\
FIXTURE_VARIANT_ADD(thing, locked)
{
	.error = EAGAIN,
};

TEST_F(thing, holds)
{
	ACT(mlock);
	EXPECT_EQ(variant->error, mlock(0, 1) ? errno : 0);
}

TEST_F_TIMEOUT(thing,
	       is_refused, 30)
{
	ACT(mlock);
	EXPECT_EQ(ENOMEM, mlock(0, 1) ? errno : 0);
}
"""


@pytest.mark.parametrize("case, errno, outcome", [
    ("thing.locked.holds", "EAGAIN", "meant"),
    ("thing.locked.is_refused", "EAGAIN", "meant"),
    ("thing.locked.is_refused", "ENOMEM", "meant"),
    ("thing.locked.holds", "ENOMEM", "survived"),
    ("thing.locked.holds", "EINVAL", "survived"),
    ("thing.locked.holds", "success", "survived"),
])  # fmt: skip
def test_an_errno_is_no_news_to_a_test_that_is_about_it(case, errno, outcome):
    (found,) = noop.outcomes(JOB, ABOUT, ran("# noop: mlock", f"ok 1 {case}"), errno)

    assert (found.outcome, found.good) == (outcome, outcome == "meant")


def test_a_skip_is_good_only_when_declared():
    rows = {"thing": [noop.Outcome("thing.holds", "", "skip", "needs a thing")]}
    declared = parse('skip thing.holds "needs a thing"', datetime.date.today())

    assert noop.table(rows, declared)[1]
    assert not noop.table(rows, Expectations())[1]


def test_a_case_without_a_fixture_is_declared_by_its_program():
    rows = {"thing": [noop.Outcome("global.holds", "", "skip", "needs a thing")]}
    declared = parse('skip thing.holds "needs a thing"', datetime.date.today())

    assert noop.table(rows, declared)[1]


def test_nothing_ran_is_not_good():
    assert not noop.table({}, Expectations())[1]


@pytest.mark.guest
def test_every_program_notices_that_nothing_happens(memsafe, results):
    """Of the drivers the one of our own, and success alone: `make noop` tries all."""
    ended = memsafe(
        "noop", "--returns", "success", "--env", "MEMSAFE_DRIVER=memsafe*", "--results", results,
        timeout=3600,
    )

    assert ended.status == 0, ended.out + ended.err
