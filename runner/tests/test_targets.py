# SPDX-License-Identifier: GPL-2.0
"""The KUnit suites with high memory: real kernels, real guests."""

import json

import pytest

import manifest
from conftest import RUNNER

pytestmark = pytest.mark.guest

HOUR_S = 3600
HIGHMEM = ["arm-highmem-kasan", "i386-highmem"]
# What only high memory can show.
HIGHMEM_ONLY = ("memsafe_pkmap.", "memsafe_pkmap_full.", "memsafe_kmap_local.", "memsafe_kmap_limit.")


@pytest.fixture(scope="module")
def checked(request, memsafe, tmp_path_factory):
    top = tmp_path_factory.mktemp(request.param)
    ended = memsafe("run", "--target", request.param, "--no_leaks", "--results", top, "memsafe_*",
                    timeout=HOUR_S)  # fmt: skip
    target, = json.loads((top / "latest" / request.param / "verdict.json").read_text())["targets"]
    return ended, target


@pytest.mark.parametrize("checked", HIGHMEM, indirect=True)
def test_every_suite_passes(checked):
    ended, target = checked

    assert (ended.status, ended.out.splitlines()[-1]) == (0, "verdict: pass"), ended.out + ended.err
    suites = {job.name for job in manifest.jobs(RUNNER.parent) if job.kind == "kunit"}
    assert suites == {case["name"].partition(".")[0] for case in target["cases"]}


@pytest.mark.parametrize("checked", HIGHMEM, indirect=True)
def test_high_memory_is_real(checked):
    _, target = checked
    cases = [case for case in target["cases"] if case["name"].startswith(HIGHMEM_ONLY)]

    assert {case["status"] for case in cases} == {"pass"}
    assert {case["name"].partition(".")[0] + "." for case in cases} == set(HIGHMEM_ONLY)


@pytest.mark.parametrize("checked", HIGHMEM, indirect=True)
def test_one_local_mapping_too_many_is_a_bug(checked):
    _, target = checked
    bugs = [report for report in target["reports"] if report["case"].startswith("memsafe_kmap_limit.")]

    assert "kernel BUG in __kmap_local_pfn_prot" in {report["signature"] for report in bugs}
    assert {report["state"] for report in bugs} == {"EXPECTED"}
