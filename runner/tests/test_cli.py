# SPDX-License-Identifier: GPL-2.0
"""The command line: what it takes, and that what it does not take ends early, with
one sentence and the status that belongs to it, and leaves nothing behind."""

import json
import os
import re

import pytest

import manifest
from conftest import RUNNER

PROJECT = RUNNER.parent
PASSING = "TAP version 13\n1..1\nok 1 page.holds\n"
FAILING = "TAP version 13\n1..1\nnot ok 1 page.holds\n"
KASAN = "BUG: KASAN: use-after-free in f+0x1/0x2\nRead of size 1 at addr 0 by task x/1\n"


def refused(ended, status, part):
    """One sentence on standard error, nothing on standard output."""
    assert "Traceback" not in ended.err
    assert (ended.status, ended.out) == (status, ""), ended.err
    assert ended.err.startswith("memsafe: ") and part in ended.err, ended.err
    return True


@pytest.mark.parametrize("words, part", [
    (["run", "--target", "x86_64-kasam"], "no target 'x86_64-kasam'; nearest: x86_64-kasan"),
    (["build", "--target", ""], "no target ''; nearest: "),
    (["ruin"], "invalid choice: 'ruin'"),
    ([], "required: COMMAND"),
    (["run", "--verbosely"], "unrecognized arguments: --verbosely"),
    (["run", "--jobs", "many"], "argument --jobs: "),
    (["run", "--jobs", "-1"], "argument --jobs: "),
    (["run", "--timeout", "-1"], "argument --timeout: "),
    (["run", "--timeout", "1.5"], "argument --timeout: "),
    (["run", "--env", "NAME"], "argument --env: "),
    (["run", "--env", "NAME=a b"], "argument --env: "),
    (["run", "--hammer", "0"], "argument --hammer: "),
    (["run", "--kconfig_add", "KASAN"], "argument --kconfig_add: "),
    (["run", "--tests"], "argument --tests: expected one argument"),
    (["exec"], "required: --image, --modules, --config"),
    (["list", "no_such_suite"], "no suite or program matches 'no_such_suite'"),
    (["run", "no_such_suite"], "no suite or program matches 'no_such_suite'"),
    (["list", "mlock,no_such_suite"], "no suite or program matches 'no_such_suite'"),
    (["run", "memsafe_buddy.*x", "more"], "unrecognized arguments: more"),
    (["judge"], "required: folder"),
    (["expect"], "required: --from"),
    (["report"], "required: folder"),
    (["report", "x", "--format", "pdf"], "argument --format: invalid choice: 'pdf'"),
    (["parse"], "required: file"),
    (["cache", "eat"], "invalid choice: 'eat'"),
    (["cache", "prune", "--gib", "nan"], "argument --gib: "),
    (["cache", "prune", "--gib", "-1"], "argument --gib: "),
], ids=lambda part: " ".join(part) if isinstance(part, list) else "")  # fmt: skip
def test_a_wrong_command_line_is_64(memsafe, tmp_path, words, part):
    """In a cache of its own: a runner that takes it for right would prune ours."""
    before = sorted(path.name for path in (PROJECT / "results").iterdir())

    assert refused(memsafe(*words, env={"XDG_CACHE_HOME": str(tmp_path)}), 64, part)
    assert sorted(path.name for path in (PROJECT / "results").iterdir()) == before


def test_a_wrong_command_line_says_where_help_is(memsafe):
    assert "try: memsafe.py run --help" in memsafe("run", "--jobs", "many").err


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["judge", "--help"], ["expect", "--help"]], ids=str)
def test_help_is_no_failure(memsafe, words):
    ended = memsafe(*words)

    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("usage: memsafe.py")


def test_help_says_what_each_exit_status_means(memsafe):
    out = memsafe("--help").out

    for status in (0, 1, 2, 64, 130):
        assert re.search(rf"^ +{status} ", out, re.M), status


@pytest.fixture
def trees(tmp_path):
    """Folders that are no kernel, or one that is too old."""

    def make(name, makefile):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "Makefile").write_text(makefile)
        (folder / "Kconfig").write_text("")

    make("old", "VERSION = 5\nPATCHLEVEL = 10\nSUBLEVEL = 200\nEXTRAVERSION =\n")
    make("something", "all:\n\ttrue\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    return tmp_path


@pytest.mark.parametrize("verb", [["run"], ["build"], ["run", "--target", "um-kasan"]], ids=" ".join)
@pytest.mark.parametrize("name, part", [
    ("old", "is Linux 5.10.200; 6.1 is the oldest that works"),
    ("something", "is no kernel tree"),
    ("empty", "is no kernel tree"),
    ("file", "is no kernel tree"),
    ("absent", "is no kernel tree"),
])  # fmt: skip
def test_a_kernel_that_is_none_is_no_verdict(memsafe, trees, tmp_path, verb, name, part):
    more = ["--results", tmp_path / "results"] if verb[0] == "run" else []

    ended = memsafe(*verb, "--kernel", trees / name, *more)

    assert (ended.status, ended.out) == (2, ""), ended.err
    assert ended.err.splitlines()[-1] == f"memsafe: {trees / name} {part}"
    assert "Traceback" not in ended.err


def test_an_overlay_of_no_kernel_is_no_verdict(memsafe, trees, tmp_path):
    ended = memsafe("overlay", trees / "empty", "--output", tmp_path / "overlay")

    assert refused(ended, 2, "is no kernel tree")
    assert not (tmp_path / "overlay").exists()


@pytest.mark.parametrize("missing", ["image", "modules", "config"])
def test_exec_without_its_files_is_no_verdict(memsafe, tmp_path, missing):
    words = []
    for name in ("image", "modules", "config"):
        path = tmp_path / name
        path.mkdir() if name == "modules" else path.write_text("")
        words += [f"--{name}", tmp_path / "absent" if name == missing else path]

    ended = memsafe("exec", *words, "--results", tmp_path / "results")

    assert ended.status == 2 and f"{tmp_path / 'absent'}" in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize("make", [
    lambda path: path.mkdir(),
    lambda path: None,
    lambda path: path.write_text("a file"),
    lambda path: (path.mkdir(), (path / "run.json").write_bytes(b"\0\xff garbage")),
    lambda path: (path.mkdir(), (path / "run.json").write_text('{"format": 999}')),
    lambda path: (path.mkdir(), (path / "run.json").mkdir()),
], ids=["empty", "absent", "file", "garbage", "foreign", "folder"])  # fmt: skip
def test_judging_what_is_no_run_is_no_verdict(memsafe, tmp_path, make):
    make(tmp_path / "run")

    assert refused(memsafe("judge", tmp_path / "run"), 2, "run.json")


def test_a_run_without_a_verdict_is_2_and_one_sentence(memsafe, tmp_path):
    """A run that was interrupted before its first guest answered."""
    import record

    record.Run("x86_64-kasan", (record.Job("good", "program"),)).save(tmp_path)

    ended = memsafe("judge", tmp_path)

    assert (ended.status, ended.err) == (2, "")
    assert "  good: did not run" in ended.out.splitlines()
    assert ended.out.splitlines()[-1] == "verdict: none"


def test_expectations_that_are_not_there_are_no_verdict(memsafe, tmp_path):
    import record

    record.Run("x86_64-kasan", ()).save(tmp_path)

    assert refused(memsafe("judge", tmp_path, "--expect", tmp_path / "absent"), 2, "absent")


def test_expect_prints_what_a_run_has_undeclared(memsafe, tmp_path):
    import record

    results = (record.JobResult("good", 0, "signal", 11),)
    record.Run("x86_64-kasan", (record.Job("good", "program"),), results).save(tmp_path)
    (tmp_path / "own.txt").write_text('fail elsewhere "why" target=arm*\n')

    ended = memsafe("expect", "--from", tmp_path, "--expect", tmp_path / "own.txt")

    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[1] == 'fail good "REVIEW: killed by signal 11"'


@pytest.mark.parametrize("form, begin", [
    ("html", "<!DOCTYPE html>"), ("mail", "Subject: memsafe: none: x86_64-kasan"), ("kcidb", "{"),
    ("patchwork", "{"), ("b4", "["),
])  # fmt: skip
def test_a_saved_run_is_reported_in_each_form(memsafe, tmp_path, form, begin):
    """Of a run that never got to a verdict, without a history."""
    import record

    record.Run("x86_64-kasan", (record.Job("good", "program"),)).save(tmp_path)

    ended = memsafe("report", tmp_path, "--format", form)

    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(begin)


@pytest.mark.parametrize("where", ["/proc/memsafe", "/dev/null/results", "/dev/null"])
def test_results_that_cannot_be_written_are_no_verdict(memsafe, where):
    ended = memsafe("run", "--results", where)

    assert refused(ended, 2, where)
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("text, status", [
    (PASSING, 0),
    (FAILING, 1),
    (PASSING + KASAN, 1),
    (KASAN, 1),
    ("", 2),
    ("nothing of interest\n", 2),
    ("TAP version 13\n1..1\nok 1 page.holds # SKIP needs x\n", 2),
    ("TAP version 13\n1..2\nok 1 page.holds\n", 1),
    ("TAP version 13\n1..1\nok 1 page.holds", 1),
], ids=["pass", "fail", "report", "report alone", "empty", "prose", "skips", "cut", "half a line"])  # fmt: skip
def test_parse_says_what_a_log_says(memsafe, tmp_path, text, status):
    (tmp_path / "log").write_text(text)

    ended = memsafe("parse", tmp_path / "log")

    assert (ended.status, ended.err) == (status, ""), ended.out


def test_parse_reads_standard_input(memsafe):
    shell = ["sh", "-c", 'printf "$1" | /usr/bin/python3 "$0" parse -', RUNNER / "memsafe.py", PASSING]
    import subprocess

    done = subprocess.run(shell, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["PASS  page.holds", "1 cases, 0 reports"]


def test_parse_of_a_file_that_is_not_there_is_no_verdict(memsafe, tmp_path):
    assert refused(memsafe("parse", tmp_path / "absent"), 2, f"can't read {tmp_path / 'absent'}")
    assert refused(memsafe("parse", tmp_path), 2, f"can't read {tmp_path}")


def test_parse_survives_anything(memsafe, tmp_path):
    (tmp_path / "log").write_bytes(os.urandom(1 << 20))

    ended = memsafe("parse", tmp_path / "log", "--json")

    assert ended.status in (1, 2) and ended.err == ""
    assert set(json.loads(ended.out)) == {"cases", "reports", "problems"}


def test_parse_prints_nothing_that_acts_on_a_terminal(memsafe, tmp_path):
    (tmp_path / "log").write_text("1..1\nnot ok 1 \x1b[2Jpage\x07 # \x9b31m\n")

    out = memsafe("parse", tmp_path / "log").out

    assert "page" in out and not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out)


def test_list_names_every_job_and_case(memsafe):
    ended = memsafe("list")

    jobs = manifest.jobs(PROJECT)
    lines = [line for job in jobs for line in (f"{job.kind} {job.name}", *(f"  {case}" for case in job.cases))]
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == lines


def test_list_takes_a_glob(memsafe):
    ended = memsafe("list", "memsafe_*")

    names = [line.split()[1] for line in ended.out.splitlines() if not line.startswith(" ")]
    assert names == [job.name for job in manifest.jobs(PROJECT) if job.kind == "kunit"]


def contents(folder):
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} if folder.exists() else {}


def test_a_dry_run_prints_commands_and_changes_nothing(memsafe, tmp_path):
    """Not even in an empty cache, where everything would be to do."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    ended = memsafe("run", "--dry_run", "--results", tmp_path / "results", env=env)

    commands = "\n".join(ended.out.splitlines())
    assert (ended.status, "Traceback" in ended.err) == (0, False), ended.err
    assert re.search(r"\bmake\b.* olddefconfig", commands)
    assert re.search(r"\bmake\b.* modules\b", commands)
    assert "qemu-system-x86_64" in commands
    files = [path for path in contents(tmp_path) if path.is_file() and "locks" not in path.parts]
    assert files == [] and not (tmp_path / "results").exists()


@pytest.mark.parametrize("flag", ["--kconfig_add", "--kconfig-add"])
@pytest.mark.parametrize("equals", [True, False])
def test_flags_may_be_spelled_with_dashes(memsafe, tmp_path, flag, equals):
    option = 'CONFIG_LOCALVERSION="-with-dashes"'
    words = [f"{flag}={option}"] if equals else [flag, option]

    ended = memsafe("build", "--kernel", tmp_path / "absent", *words)

    # Beyond the command line, and stopped by the kernel that is none.
    assert (ended.status, ended.err.splitlines()[-1]) == (2, f"memsafe: {tmp_path / 'absent'} is no kernel tree")


def test_an_unforeseen_failure_is_no_verdict(memsafe, tmp_path):
    """Python's own status for a traceback is 1, which would be a no to the patch."""
    (tmp_path / "rich").mkdir()
    (tmp_path / "rich/__init__.py").write_text("raise RuntimeError('unforeseen')\n")

    ended = memsafe("list", env={"PYTHONPATH": str(tmp_path)})

    assert ended.status == 2
    assert "unforeseen" in ended.err


def test_a_full_disk_behind_standard_output_is_no_verdict(memsafe):
    with open("/dev/full", "wb") as full:
        import subprocess

        done = subprocess.run(
            ["/usr/bin/python3", str(RUNNER / "memsafe.py"), "list"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip

    assert (done.returncode, "the disk is full" in done.stderr) == (2, True), done.stderr
