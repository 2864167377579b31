# SPDX-License-Identifier: GPL-2.0
"""ktap against the text files in ktap/, hostile input, and logs of others.

A text file has headers, an empty line, and the log: `EXPECT: status name`
with `: reason` for each case in order, `PARENT:` likewise, `PROBLEM:` a part of
each problem in any order, `DIAG:` a line kept with some case. `TRUNCATED: yes`
takes the newline from the end of the log.
"""

import random
from pathlib import Path

import pytest

import ktap
from steps import steps

HERE = Path(__file__).parent
TEXTS = sorted((HERE / "ktap").glob("*.txt"))
GOOD = [path for path in TEXTS if "\nPROBLEM: " not in "\n" + path.read_text()]


def headers_and_log(path):
    head, _, log = path.read_text().partition("\n\n")
    headers = [line.partition(": ")[::2] for line in head.split("\n") if not line.startswith("# ")]
    if ("TRUNCATED", "yes") in headers:
        log = log.rstrip("\n")
    return headers, log


def values(headers, key):
    return [value for name, value in headers if name == key]


def shown(case):
    return f"{case.status} {case.name}" + (f": {case.reason}" if case.reason else "")


def passes(result):
    return sum(case.status == "pass" for case in result.cases)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_text(path):
    headers, log = headers_and_log(path)

    result = ktap.parse(log)

    assert [shown(case) for case in result.cases] == values(headers, "EXPECT")
    assert [shown(case) for case in result.parents] == values(headers, "PARENT")
    left = list(result.problems)
    for part in values(headers, "PROBLEM"):
        found = [problem for problem in left if part in problem]
        assert found, f"no problem says {part!r}: {left}"
        left.remove(found[0])
    assert not left
    kept = {line for case in result.cases for line in case.diagnostics}
    assert kept >= set(values(headers, "DIAG"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_truncation_never_gains_a_pass(path):
    _, log = headers_and_log(path)
    whole = passes(ktap.parse(log))

    for length in range(len(log)):
        assert passes(ktap.parse(log[:length])) <= whole, log[:length][-80:]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_a_lost_line_never_gains_a_pass(path):
    _, log = headers_and_log(path)
    whole = {case.name for case in ktap.parse(log).cases if case.status == "pass"}
    lines = log.splitlines(keepends=True)

    for index in range(len(lines)):
        less = ktap.parse("".join(lines[:index] + lines[index + 1:]))
        names = {case.name for case in less.cases if case.status == "pass"}
        # What lost its name or its parent may be called otherwise: not green.
        assert less.problems or names <= whole, lines[index]


@pytest.mark.parametrize("seed", range(20))
def test_damage_never_raises(seed):
    chance = random.Random(seed)
    logs = [headers_and_log(path)[1] for path in TEXTS]
    dirt = ["", "\0", "\n", "\r", "\ufffd", "# ", "    ", "ok 1 ", "["]

    for _ in range(50):
        text = list("".join(chance.sample(logs, 3)))
        for _ in range(chance.randrange(1, 40)):
            at = chance.randrange(len(text))
            text[at:at + chance.randrange(4)] = chance.choice(dirt)
        ktap.parse("".join(text))


MEG = 1 << 20
INDENTS = [" " * depth for depth in range(14)]
LONG_NAMES = "".join(f"{indent}# Subtest: {'n' * 9999}\n{indent}1..1\n" for indent in INDENTS)
FOREIGN = "1..\u0662\nok \u0663 a\n\x0b\x0cok 1 b\x85ok 2\u2028ok 3\n"
HOSTILE = {
    "nesting that only grows": "".join(" " * depth + "1..2\n" for depth in range(1440)),
    "nesting up and down": "\n".join(" " * (line % 40) + "1..2" for line in range(60_000)),
    "runners in runners": "".join("# " * depth + "# selftests: a: b\n" for depth in range(1000)),
    "long names over many cases": LONG_NAMES + (" " * 14 + "ok 1 a\n") * 20_000,
    "hashes": "# " * (MEG // 2),
    "huge plans": "KTAP version 1\n1..999999999\n" * (MEG // 28),
    "huge numbers": "ok 99999999999999999999 a\nnot ok 999999999 b\n" * (MEG // 46),
    "NULs": "\0" * MEG,
    "NUL lines": "\0\n" * (MEG // 2),
    "carriage returns": "ok 1 a\r" * (MEG // 7),
    "half stamps": "[ 1.00" * (MEG // 6),
    "stamps": "ok 1 a[1.000]" * (MEG // 13),
    "torn for ever": "x[1.000] y\n" * (MEG // 11),
    "a long name": "ok 1 " + "x" * MEG + "\n",
    "spaces": "ok 1" + " " * MEG + "#" + " " * MEG + "\n",
    "hashes in a name": "ok 1 " + " #" * (MEG // 2) + "\n",
    "summaries": "1..90000\n" + "ok 1 a\n# Totals: pass:1 fail:1 skip:1\n" * (MEG // 42),
    "failures with much to say": "x" * 40_000 + "\n" + "not ok 1 a\n" * (MEG // 11),
    "bail outs": "Bail out!\n" * (MEG // 10),
    "other alphabets' digits and lines": FOREIGN * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_takes_work_in_proportion(name):
    result, calls = steps(ktap.parse, HOSTILE[name])

    # A few calls a character at most; quadratic would be thousands.
    assert calls < 20 * len(HOSTILE[name])
    assert result.problems
    assert len(result.problems) <= ktap.MAX_PROBLEMS + 1
    assert sum(len(case.name) for case in result.cases) < 20 * MEG


def test_diagnostics_are_those_of_their_case_and_bounded():
    much = "".join(f"# of b {number}\n" for number in range(1000))
    text = f"1..4\n# of a\nnot ok 1 a\n{much}not ok 2 b\n# of c\nok 3 c\n# of d\nnot ok 4 d\n"

    a, b, c, d = ktap.parse(text).cases

    assert (a.diagnostics, c.diagnostics, d.diagnostics) == (("# of a",), (), ("# of d",))
    assert len(b.diagnostics) == ktap.MAX_DIAGNOSTICS
    assert b.diagnostics[-1] == "# of b 999"


def test_nul_and_carriage_return_around_a_line_are_no_part_of_it():
    assert [shown(case) for case in ktap.parse("\0\r1..1\r\n\0ok 1 a\0\r\n").cases] == ["pass a"]


def test_line_is_the_index_of_the_result_line():
    assert [case.line for case in ktap.parse("noise\n1..2\nok 1 a\n\nok 2 b\n").cases] == [2, 4]
