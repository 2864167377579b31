# SPDX-License-Identifier: GPL-2.0
"""The main job on the default target, as `make check` does it: real build, real
guest, every suite and program."""

import json
from dataclasses import replace

import jsonschema
import pytest

import history
import manifest
import run
from conftest import RUNNER

pytestmark = pytest.mark.guest

TARGET = "x86_64-kasan"
HOUR_S = 3600
SCHEMA = json.loads((RUNNER / "verdict.schema.json").read_text())


@pytest.fixture(scope="session")
def checked(memsafe, results):
    ended = memsafe("run", "--results", results, timeout=HOUR_S)
    return ended, results / "latest" / TARGET


def test_check_passes(checked):
    ended, _ = checked

    assert (ended.status, ended.out.splitlines()[-1]) == (0, "verdict: pass"), ended.out + ended.err


def test_check_runs_everything_there_is(checked):
    _, folder = checked
    names = {case["name"] for case in json.loads((folder / "verdict.json").read_text())["targets"][0]["cases"]}
    groups = {name.partition(".")[0] for name in names}

    assert groups == {job.name for job in manifest.jobs(RUNNER.parent)}
    assert sum(len(job.cases) for job in manifest.jobs(RUNNER.parent)) >= 100


def test_verdict_json_is_valid(checked):
    _, folder = checked

    jsonschema.validate(json.loads((folder / "verdict.json").read_text()), SCHEMA)


@pytest.mark.parametrize(
    "name",
    ["config", "build.log", "console.log", "results.ktap", "summary.txt", "junit.xml", "report.html", "kcidb.json"],
)
def test_check_leaves(checked, name):
    _, folder = checked

    # Nothing is built when it was built before: then the log stays empty.
    assert (folder / name).exists() and ((folder / name).stat().st_size or name == "build.log")


def test_check_is_in_the_history(checked, results):
    _, folder = checked
    passed = {case["name"] for case in json.loads((folder / "verdict.json").read_text())["targets"][0]["cases"]
              if case["status"] == "pass"}  # fmt: skip

    assert {each.name for each in history.past(results, target=TARGET)} >= passed


def test_the_sanitizer_reports_what_is_provoked(checked):
    _, folder = checked
    reports = json.loads((folder / "verdict.json").read_text())["targets"][0]["reports"]

    assert {report["state"] for report in reports} == {"EXPECTED"}
    kinds = {report["class"].split()[1] for report in reports if report["class"].startswith("KASAN")}
    assert {"slab-out-of-bounds", "slab-use-after-free"} <= kinds | {
        "slab-use-after-free" if kind == "use-after-free" else kind for kind in kinds
    }


def test_reports_decode_to_file_and_line(checked):
    _, folder = checked
    reports = json.loads((folder / "verdict.json").read_text())["targets"][0]["reports"]
    frames = [frame for report in reports for frame in report["frames"]]

    assert any("_kunit.c:" in frame for frame in frames)
    assert any(" mm/" in frame for frame in frames)


def test_a_saved_run_is_judged_again_alike(checked, memsafe):
    ended, folder = checked

    again = memsafe("judge", folder)

    assert (again.status, again.out) == (ended.status, ended.out)


def test_a_second_run_builds_nothing(checked, memsafe, results):
    ended = memsafe("run", "--results", results, "--no_leaks", "memsafe_page_addr", timeout=HOUR_S)

    assert ended.status == 0, ended.out + ended.err
    assert (results / "latest" / TARGET / "build.log").read_text() == ""


def test_what_build_prints_is_what_exec_takes(checked, memsafe, results):
    words = memsafe("build", timeout=HOUR_S).out.split()

    ended = memsafe("exec", *words, "--results", results, "--no_leaks", "guard_page", timeout=HOUR_S)

    assert (ended.status, ended.out.splitlines()[-1]) == (0, "verdict: pass"), ended.out + ended.err


def test_hammering_gets_its_time_and_says_so(tmp_path):
    options = run.Options(target=TARGET, argv=(), results=tmp_path, hammer=60)
    plain = run.load(replace(options, hammer=0)).timeouts.job

    assert run.load(options).timeouts.job == plain + run.HAMMERED * 60
    assert run.environment(options) == ("MEMSAFE_HAMMER_SECONDS=60",)
    assert "--hammer 60" in run.reproduce(options)
