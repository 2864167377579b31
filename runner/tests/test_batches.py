# SPDX-License-Identifier: GPL-2.0
"""Which jobs share a boot: those of one kind of guest, or each has its own."""

from collect import batches
from manifest import kunit, program
from record import Job
from target import Guest, Qemu, Target, Timeouts

QEMU = Qemu("q", "small", "device", "max", 2, 64, "quiet")
TARGET = Target(
    "t", "x", "k", Timeouts(1), guests={"": Guest(QEMU), "pc": Guest(QEMU), "oops": Guest(QEMU, alone=True)}
)


def job(name, guest=""):
    return Job(name, "kunit", guest=guest)


def names(jobs, of=TARGET):
    return [(kind, [each.name for each in some]) for kind, some in batches(of, jobs)]


def test_jobs_of_a_kind_share_a_boot_and_the_main_ones_come_first():
    jobs = [job("a", "pc"), job("b"), job("c", "pc"), job("d")]

    assert names(jobs) == [("", ["b", "d"]), ("pc", ["a", "c"])]


def test_each_job_of_a_lonely_kind_has_its_own_boot():
    jobs = [job("a", "oops"), job("b"), job("c", "oops")]

    assert names(jobs) == [("", ["b"]), ("oops", ["a"]), ("oops", ["c"])]


def test_no_guest_is_booted_for_nothing():
    assert names([job("a", "pc")]) == [("pc", ["a"])]
    assert names([]) == []


def test_a_kind_that_the_target_lacks_is_the_main_one():
    only = Target("t", "x", "k", Timeouts(1), guests={"": Guest(QEMU)})

    assert names([job("a", "pc"), job("b")], only) == [("", ["a", "b"])]


def test_a_source_says_which_guest_it_needs(tmp_path):
    suite = tmp_path / "memsafe_x_kunit.c"
    suite.write_text('MEMSAFE_GUEST("pc");\n\tKUNIT_CASE(a),\n')
    other = tmp_path / "x_test.c"
    other.write_text('TEST(a)\n{\n\tputs("MEMSAFE_GUEST(\\"pc\\");");\n}\n')

    assert kunit(suite).guest == "pc"
    assert program(other).guest == ""
