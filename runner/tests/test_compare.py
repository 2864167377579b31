# SPDX-License-Identifier: GPL-2.0
"""What is different between base and patched, and how sure that is."""

from dataclasses import asdict, replace

import pytest

import compare
from compare import Difference, Tally


def case(name, status, reason="", known=""):
    return {"name": name, "status": status, "reason": reason, **({"known": known} if known else {})}


def report(signature, state="NEW", where="", type=""):
    return {"signature": signature, "state": state, "case": where, "class": signature, "type": type}


def shown(*cases, reports=(), verdict="pass", silenced=()):
    return {"cases": list(cases), "reports": list(reports), "verdict": verdict, "silenced": list(silenced)}


def silenced(reporter, *jobs):
    return {"reporter": reporter, "jobs": list(jobs), "guest": 0, "sentence": "it was off"}


def found(base, patched):
    return [(one.type, one.name) for one in compare.differences(base, patched)]


def one_case(was, now):
    return [kind for kind, _ in found(shown(case("s.a", was)), shown(case("s.a", now)))]


@pytest.mark.parametrize("was, now, kind", [
    ("pass", "fail", ["NEW"]),
    ("pass", "error", ["NEW"]),
    ("skip", "fail", ["NEW"]),
    ("miss", "fail", ["NEW"]),
    ("fail", "pass", ["FIXED"]),
    ("fail", "error", ["KNOWN"]),
    ("pass", "miss", ["NOT RUN"]),
    ("pass", "skip", ["NOT RUN"]),
    ("fail", "miss", ["NOT RUN"]),
    ("fail", "skip", ["NOT RUN"]),
    ("miss", "miss", ["NOT RUN"]),
    ("pass", "pass", []),
    ("skip", "skip", []),
    ("skip", "pass", []),
    ("miss", "pass", []),
])  # fmt: skip
def test_class_of_a_case(was, now, kind):
    assert one_case(was, now) == kind


def test_a_case_that_is_gone_did_not_run_and_one_that_came_may_be_new():
    assert found(shown(case("s.a", "pass")), shown()) == [("NOT RUN", "s.a")]
    assert found(shown(), shown(case("s.a", "fail"))) == [("NEW", "s.a")]
    assert found(shown(), shown(case("s.a", "pass"))) == []


def test_class_of_a_report():
    base = shown(reports=[report("KASAN: old"), report("gone")])
    patched = shown(reports=[report("KASAN: old"), report("KASAN: new"), report("announced", "EXPECTED")])

    assert found(base, patched) == [("NEW", "KASAN: new"), ("KNOWN", "KASAN: old"), ("FIXED", "gone")]


@pytest.mark.parametrize("told, off, kind", [
    (report("possible deadlock in f", "NEW", "s.a", "LOCKDEP"), silenced("lockdep", "s"), "MASKED"),
    (report("possible deadlock in f", "NEW", "s.a", "LOCKDEP"), silenced("lockdep", "t"), "FIXED"),
    (report("possible deadlock in f", "NEW", "s.a", "LOCKDEP"), silenced("KASAN", "s"), "FIXED"),
    (report("KASAN: use-after-free Read in f", "NEW", "s", "KASAN-READ"), silenced("KASAN", "t", "s"), "MASKED"),
    (report("WARNING in f", "NEW", "s.a"), silenced("KASAN", "s"), "FIXED"),
])  # fmt: skip
def test_a_report_is_not_fixed_where_its_reporter_was_off(told, off, kind):
    assert found(shown(reports=[told]), shown(silenced=[off])) == [(kind, told["signature"])]


def test_a_report_that_came_though_its_reporter_was_off_later_is_known():
    told = report("possible deadlock in f", "NEW", "s.a", "LOCKDEP")

    assert found(shown(reports=[told]), shown(reports=[told], silenced=[silenced("lockdep", "s")])) == [
        ("KNOWN", "possible deadlock in f")
    ]


def test_a_report_that_is_excused_is_known_even_if_only_patched_has_it():
    assert found(shown(), shown(reports=[report("leak", "KNOWN")])) == [("KNOWN", "leak")]


def test_the_worst_comes_first():
    base = shown(case("s.a", "fail"), case("s.b", "pass"), case("s.c", "pass"))
    patched = shown(case("s.a", "pass"), case("s.b", "miss"), case("s.c", "fail"))

    assert found(base, patched) == [("NEW", "s.c"), ("NOT RUN", "s.b"), ("FIXED", "s.a")]


def new(on_base=Tally(0, 1), on_patched=Tally(1, 1)):
    return Difference("case", "s.a", "NEW", "pass", "fail", job="s", on_base=on_base, on_patched=on_patched)


@pytest.mark.parametrize("on_base, on_patched, chance", [
    (Tally(0, 1), Tally(1, 1), 1 / 2),
    (Tally(0, 2), Tally(2, 2), 1 / 6),
    (Tally(0, 10), Tally(10, 10), 1 / 184756),
    (Tally(1, 2), Tally(1, 2), 5 / 6),
    (Tally(2, 2), Tally(2, 2), 1.0),
    (Tally(0, 3), Tally(0, 3), 1.0),
    (Tally(0, 0), Tally(0, 0), 1.0),
    # Fisher's tea: 1 of 4 against 3 of 4.
    (Tally(1, 4), Tally(3, 4), 17 / 70),
])  # fmt: skip
def test_chance_is_fishers(on_base, on_patched, chance):
    assert compare.chance(new(on_base, on_patched)) == pytest.approx(chance)


def test_false_alarms_stay_below_alpha_however_many_cases_and_looks():
    assert compare.threshold(0.01, 2500, 4) == pytest.approx(1e-6)
    assert compare.threshold(0.01, 0, 0) == 0.01


def repeated(difference, *rounds):
    for was, now in rounds:
        base = was and shown(case("s.a", was))
        difference = compare.again(difference, base, now and shown(case("s.a", now)))
    return difference


def test_a_run_on_each_side_counts():
    one = repeated(new(), ("pass", "fail"), ("fail", "pass"), (None, "fail"), ("pass", None))

    assert (one.on_base, one.on_patched) == (Tally(1, 4), Tally(3, 4))


@pytest.mark.parametrize("silent", ["miss", "skip"])
def test_a_run_that_said_nothing_does_not_count(silent):
    assert repeated(new(), (silent, silent)) == new()


def test_a_job_that_ended_well_is_no_case_and_counts():
    one = replace(new(), name="s", job="s", base="absent", patched="error")
    died = shown(case("s.a", "pass"), case("s", "error"))

    one = compare.again(one, shown(case("s.a", "pass")), died)
    one = compare.again(one, shown(case("s.a", "miss")), shown(case("t.a", "pass")))

    assert (one.on_base, one.on_patched) == (Tally(0, 2), Tally(2, 2))


def test_a_report_is_counted_by_its_signature():
    one = replace(new(), kind="report", name="KASAN: x")
    ran = shown(case("s.a", "pass"))
    bad = shown(case("s.a", "pass"), reports=[report("KASAN: x")])
    dead = shown(case("s.a", "miss"))

    one = compare.again(compare.again(one, ran, bad), dead, dead)

    assert (one.on_base, one.on_patched) == (Tally(0, 2), Tally(2, 2))


@pytest.mark.parametrize("on_base, on_patched, kind, more", [
    # Sure: the sides are apart.
    (Tally(0, 10), Tally(10, 10), "NEW", False),
    # Not yet: too few runs.
    (Tally(0, 3), Tally(3, 3), "NEW", True),
    # Patched has said both: flaky, unless it gets clearer.
    (Tally(0, 3), Tally(2, 3), "FLAKY", True),
    # Base has it as often.
    (Tally(1, 3), Tally(1, 3), "FLAKY", False),
    # Often enough to be sure although it does not always fail.
    (Tally(0, 40), Tally(20, 40), "NEW", False),
])  # fmt: skip
def test_what_more_runs_make_of_it(on_base, on_patched, kind, more):
    one = new(on_base, on_patched)

    assert compare.settled(one, 1e-5).type == kind
    assert compare.is_open(one, 1e-5) == more


def test_what_no_job_can_say_again_is_not_asked():
    assert not compare.is_open(replace(new(), job=""), 1e-5)


@pytest.mark.parametrize("differences, of, said", [
    ([], ("pass", "pass"), "pass"),
    ([], ("fail", "fail"), "pass"),
    ([], ("none", "pass"), "none"),
    ([], ("pass", "none"), "none"),
    ([new(Tally(0, 10), Tally(10, 10))], ("pass", "fail"), "fail"),
    ([new()], ("pass", "fail"), "none"),
    ([replace(new(), type="FLAKY")], ("pass", "fail"), "pass"),
    ([replace(new(), type="KNOWN")], ("fail", "fail"), "pass"),
    ([replace(new(), type="FIXED")], ("fail", "pass"), "pass"),
    ([replace(new(), type="NOT RUN")], ("pass", "none"), "none"),
])  # fmt: skip
def test_verdict_on_the_patch(differences, of, said):
    assert compare.verdict(differences, *of, limit=1e-5)[0] == said


def test_what_was_not_run_again_counts_as_it_is():
    verdict, why = compare.verdict([new()], "pass", "fail")

    assert (verdict, why) == ("fail", "1 new, the first: s.a")


def test_all_classes_are_counted():
    assert compare.counts([new(), replace(new(), type="FLAKY")]) == {
        "NEW": 1, "NOT RUN": 0, "FLAKY": 1, "MASKED": 0, "KNOWN": 0, "FIXED": 0,
    }  # fmt: skip


def test_lines_name_the_difference_and_how_sure_it_is():
    sure = replace(new(Tally(0, 10), Tally(10, 10)), reason="Expected 1 == 2\nmore")
    document = {
        "differences": [{**asdict(sure), "chance": compare.chance(sure)}],
        "counts": compare.counts([sure]), "compared": 7, "verdict": "fail", "reason": "1 new",
        "seconds": {"base": 1.5}, "folder": "results/x",
    }  # fmt: skip

    assert compare.lines(document) == [
        "NEW      s.a  pass -> fail (base 0 of 10, patched 10 of 10, chance 5.4e-06)  Expected 1 == 2",
        "7 compared: 1 new, 0 not run, 0 flaky, 0 masked, 0 known, 0 fixed",
        "time: base 1.5 s",
        "results: results/x",
        "verdict on the patch: fail (1 new)",
    ]
