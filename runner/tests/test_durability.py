# SPDX-License-Identifier: GPL-2.0
"""Power cuts: what msync() has promised is there, and it is seen when it is not."""

import json

import pytest

import durability
from durability import Plan, Round

GOOD = Round(1, 1.0, 20, 3, "all 20 records are on the disk", True)
BAD = Round(2, 1.0, 30, 0, "record 7 of 30 is not on the disk", False)


@pytest.mark.parametrize("done, verdict", [
    ([GOOD], "durability: pass, 1 power cuts, 20 records, seed 5"),
    ([GOOD, BAD], "durability: fail, 2 power cuts, 50 records, seed 5"),
    ([], "durability: fail, 0 power cuts, 0 records, seed 5"),
])  # fmt: skip
def test_one_lost_record_is_red(done, verdict):
    shown = durability.lines(Plan(9, 5), done)

    assert shown[-1] == verdict
    assert [line.partition(": ")[2] for line in shown[:-1]] == [one.found for one in done]


@pytest.mark.guest
def test_records_survive_a_power_cut(memsafe, results):
    ended = memsafe("durability", "--rounds", "1", "--results", results, timeout=3600)

    assert ended.status == 0, ended.out + ended.err
    saved = json.loads((results / "latest/x86_64-kasan-durability/durability.json").read_text())
    assert saved["rounds"][0]["good"] and saved["rounds"][0]["records"] > 0


@pytest.mark.guest
@pytest.mark.parametrize("how", [
    ("--env", "MEMSAFE_NOOP=success"),
    ("--mount", "nobarrier"),
], ids=["msync_does_nothing", "no_flush_reaches_the_disk"])  # fmt: skip
def test_a_record_that_is_not_there_is_seen(memsafe, results, how):
    ended = memsafe("durability", "--rounds", "2", *how, "--results", results, timeout=3600)

    assert ended.status == 1, ended.out + ended.err
    assert "is not on the disk" in ended.out.splitlines()[-2]


@pytest.mark.guest
def test_a_disk_that_can_not_be_mounted_is_no_verdict(memsafe, results):
    ended = memsafe("durability", "--mount", "no_such_option", "--results", results, timeout=3600)

    assert ended.status == 2
    assert "the records could not be written: msync_records: mount" in ended.err
