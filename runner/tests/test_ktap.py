# SPDX-License-Identifier: GPL-2.0
"""ktap against the text files in ktap/, hostile input, and logs of others.

A text file has headers, an empty line, and the log: `EXPECT: status name`
with `: reason` for each case in order, `PARENT:` likewise, `PROBLEM:` a part of
each problem in order of appearance or not, `DIAG:` a line kept with some case.
"""

import random
import time
from pathlib import Path

import pytest

import ktap

HERE = Path(__file__).parent
TEXTS = sorted((HERE / "ktap").glob("*.txt"))


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
    kept = "\n".join(line for case in result.cases for line in case.diagnostics)
    assert all(line in kept for line in values(headers, "DIAG"))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_only_good_logs_have_no_problems(path):
    headers, log = headers_and_log(path)

    assert bool(ktap.parse(log).problems) == bool(values(headers, "PROBLEM"))
