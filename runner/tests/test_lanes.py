# SPDX-License-Identifier: GPL-2.0
"""Which jobs share a boot, on how many guests side by side, and the record that
these fill in together."""

import threading
from dataclasses import replace

import record
from lanes import FEWEST_JOBS, MOST_GUESTS, Ledger, batches
from manifest import kunit, program
from record import GuestResult, Job, JobResult, Run
from target import Guest, Qemu, Target, Timeouts

QEMU = Qemu("q", "small", "device", "max", 1, 64, "quiet")
TWO = replace(QEMU, cpus=2)
MAIN = {"": Guest(QEMU)}
TARGET = Target(
    "t", "x", "k", Timeouts(1),
    guests=MAIN | {"pc": Guest(QEMU), "oops": Guest(QEMU, alone=True), "smp": Guest(TWO)},
)  # fmt: skip


def job(name, guest=""):
    return Job(name, "kunit", guest=guest)


def names(jobs, of=TARGET, cores=1):
    return [(batch.kind, [each.name for each in batch.jobs]) for batch in batches(of, jobs, cores)]


def sizes(jobs, cores, of=TARGET):
    return [len(some) for _, some in names([job(f"j{n}") for n in range(jobs)], of, cores)]


def test_jobs_of_a_kind_share_a_boot_and_the_short_ones_come_last():
    jobs = [job("x", "oops"), job("a", "pc"), job("b"), job("c", "pc"), job("d")]

    assert names(jobs) == [("pc", ["a", "c"]), ("", ["b", "d"]), ("oops", ["x"])]


def test_what_needs_most_cores_comes_first():
    assert names([job("a"), job("b", "smp")]) == [("smp", ["b"]), ("", ["a"])]


def test_each_job_of_a_lonely_kind_has_its_own_boot():
    jobs = [job("a", "oops"), job("b"), job("c", "oops")]

    assert names(jobs) == [("", ["b"]), ("oops", ["a"]), ("oops", ["c"])]


def test_no_guest_is_booted_for_nothing():
    assert names([job("a", "pc")]) == [("pc", ["a"])]
    assert names([]) == []


def test_a_kind_that_the_target_lacks_is_the_main_one():
    only = Target("t", "x", "k", Timeouts(1), guests=MAIN)

    assert names([job("a", "pc"), job("b")], only) == [("", ["a", "b"])]


def test_main_jobs_are_dealt_out_to_as_many_guests_as_there_is_room_for():
    assert sizes(2 * FEWEST_JOBS + 1, cores=2) == [FEWEST_JOBS + 1, FEWEST_JOBS]
    assert sizes(2 * FEWEST_JOBS, cores=1) == [2 * FEWEST_JOBS]
    assert len(sizes(100 * FEWEST_JOBS, cores=64)) == MOST_GUESTS


def test_guests_of_two_cpus_need_twice_the_room():
    big = Target("t", "x", "k", Timeouts(1), guests={"": Guest(TWO)})

    assert len(sizes(100, 3, big)) == 1
    assert len(sizes(100, 4, big)) == 2


def test_few_jobs_stay_together():
    assert sizes(2 * FEWEST_JOBS - 1, cores=64) == [2 * FEWEST_JOBS - 1]
    assert sizes(1, cores=64) == [1]


def test_every_job_is_dealt_out_once():
    jobs = [job(f"j{n}", kind) for n in range(50) for kind in ("", "pc", "oops")]

    dealt = [each for batch in batches(TARGET, jobs, 3) for each in batch.jobs]

    assert sorted(dealt, key=str) == sorted(jobs, key=str)


def part(folder, name, text):
    path = folder / name
    path.write_bytes(text)
    return path


def ledger(folder, guests=2):
    (folder / "run").mkdir()
    return Ledger(Run("t", ()), folder / "run", guests, lambda result, text: None)


def test_output_of_a_job_is_where_the_record_says(tmp_path):
    of = ledger(tmp_path)

    of.add_job(JobResult("a", 0, "exit"), part(tmp_path, "a", b"ok 1 a\n"))
    of.add_job(JobResult("b", 1, "exit"), part(tmp_path, "b", b"ok 1 b\n"))

    saved = record.load(tmp_path / "run")
    text = (tmp_path / "run/results.ktap").read_bytes()
    assert [text[r.offset : r.offset + r.length] for r in saved.results] == [b"ok 1 a\n", b"ok 1 b\n"]


def test_guests_are_in_the_order_of_their_numbers_whoever_ends_first(tmp_path):
    of = ledger(tmp_path)

    for index, text in ((1, b"second\n"), (0, b"first\n")):
        console = part(tmp_path, f"console-{index}", text)
        of.add_guest(GuestResult(index, {}), console, part(tmp_path, "leak", text.upper()))

    saved = record.load(tmp_path / "run")
    console, ktap = ((tmp_path / "run" / name).read_bytes() for name in ("console.log", "results.ktap"))
    assert [guest.index for guest in saved.guests] == [0, 1]
    assert [console[o : o + n] for o, n in (g.console for g in saved.guests)] == [b"first\n", b"second\n"]
    assert [ktap[o : o + n] for o, n in (g.leaks for g in saved.guests)] == [b"FIRST\n", b"SECOND\n"]


def test_a_guest_that_left_nothing_has_an_empty_span(tmp_path):
    of = ledger(tmp_path)

    of.add_guest(GuestResult(0, {}), tmp_path / "none", tmp_path / "none")

    assert record.load(tmp_path / "run").guests[0].console == (0, 0)


def test_a_guest_that_goes_on_has_a_number_of_its_own(tmp_path):
    of = ledger(tmp_path, guests=3)

    assert [of.another_guest(), of.another_guest()] == [3, 4]


def test_nothing_is_lost_when_many_write_at_once(tmp_path):
    of = ledger(tmp_path)

    def work(number):
        for step in range(20):
            name = f"{number}-{step}"
            text = f"{name}\n".encode() * (number + 1)
            of.add_job(JobResult(name, number, "exit"), part(tmp_path, f"part-{number}", text))
            of.add_seconds("tests", 1.0)
            of.problem(name)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    text = (tmp_path / "run/results.ktap").read_bytes()
    for result in of.run.results:
        mine = text[result.offset : result.offset + result.length]
        assert mine == f"{result.name}\n".encode() * (result.guest + 1)
    assert len(of.run.results) == len(of.run.problems) == of.run.seconds["tests"] == 80


def test_a_source_says_which_guest_it_needs(tmp_path):
    suite = tmp_path / "memsafe_x_kunit.c"
    suite.write_text('MEMSAFE_GUEST("pc");\n\tKUNIT_CASE(a),\n')
    other = tmp_path / "x_test.c"
    other.write_text('TEST(a)\n{\n\tputs("MEMSAFE_GUEST(\\"pc\\");");\n}\n')

    assert kunit(suite).guest == "pc"
    assert program(other).guest == ""
