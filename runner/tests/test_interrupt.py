# SPDX-License-Identifier: GPL-2.0
"""Interrupted at any stage: status 130 and one sentence, no process left, and the
results so far and all earlier ones as they were."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path

import pytest

import record
from another import wait_until
from conftest import RUNNER, command
from proc import AS_LONG_AS

pytestmark = pytest.mark.guest

TESTS = RUNNER / "tests/guest"
TARGET = "x86_64-kasan"
EARLIER = "20000101-000000"
# What progress says when a stage begins.
BUILD, BOOT, TEST = "build modules and programs", f"boot {TARGET}", "run memsafe_good"
# How long a run may take to reach a stage, and to end when it is told to.
STAGE_S, END_S = 3600, 30


class Running:
    """A run of its own session of processes, known by a word in their environment."""

    def __init__(self, results, tests=TESTS, cores=None):
        self.results = results
        self.word = f"MEMSAFE_TEST_WORD={uuid.uuid4()}"
        # A shell's background job ignores SIGINT, and so would its children.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        words = command("run", "--target", TARGET, "--tests", tests, "--timeout", "4", "--cold",
                        "--results", results)  # fmt: skip
        if cores:
            words = ["taskset", "--cpu-list", ",".join(map(str, cores)), *words]
        self.child = subprocess.Popen(
            ["env", self.word, f"TMPDIR={private_tmp(results)}", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.lines = []

    def reach(self, stage):
        """Read its progress up to a line."""
        giving_up = threading.Timer(STAGE_S, self.child.kill)
        giving_up.start()
        for line in self.child.stderr:
            self.lines.append(line.decode().rstrip("\n"))
            if self.lines[-1] == stage:
                break
        giving_up.cancel()
        assert self.lines and self.lines[-1] == stage, self.lines

    def end(self):
        """Status, standard output and the last lines of standard error."""
        out, err = self.child.communicate(timeout=END_S)
        return self.child.returncode, out.decode(), err.decode()

    def processes(self):
        """Everything that has the word, except zombies, which have no environment."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if self.word.encode() in file.read().split(b"\0"):
                        with open(f"/proc/{name}/cmdline", "rb") as words:
                            found.append(words.read().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        return found

    def has(self, words):
        """Has it started such a program?  What is to become one is not yet the program."""
        return any(words in line and "PPID" not in line for line in self.processes())


@pytest.fixture
def running(tmp_path):
    """A run into a folder that holds an earlier one."""
    earlier = tmp_path / "results" / EARLIER / TARGET
    earlier.mkdir(parents=True)
    (earlier / "verdict.json").write_text("{}\n")
    (tmp_path / "results/latest").symlink_to(EARLIER)
    started = []

    def start(**more):
        started.append(Running(tmp_path / "results", **more))
        return started[-1]

    yield start
    for each in started:
        each.child.kill()
        each.child.wait()
        each.child.stdout.close()
        each.child.stderr.close()


def state(folder):
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def private_tmp(results):
    """A temporary folder that other runs leave nothing in; cores are shared with them."""
    folder = results.parent / "tmp"
    folder.mkdir(exist_ok=True)
    cores = folder / "memsafe-cores"
    if not cores.is_symlink():
        cores.symlink_to(Path(tempfile.gettempdir()) / "memsafe-cores")
    return folder


def scratch(results):
    """Temporary folders of runs."""
    return {path for path in private_tmp(results).iterdir() if not path.is_symlink()}


def endless(tmp_path):
    """Tests whose build never ends."""
    copy = tmp_path / "tests"
    shutil.copytree(TESTS, copy)
    (copy / "Makefile").write_text("all:\n\tsleep infinity\n")
    return copy


@pytest.mark.parametrize("stage, child", [
    (BUILD, "sleep infinity"),
    (BOOT, "qemu-system"),
    (TEST, "qemu-system"),
])  # fmt: skip
def test_ctrl_c_ends_the_run_and_everything_it_started(running, tmp_path, stage, child):
    run = running(tests=endless(tmp_path) if stage == BUILD else TESTS)
    before = state(run.results / EARLIER)
    run.reach(stage)
    # Modules are built before programs: minutes, when nothing of them is cached.
    wait_until(lambda: run.has(child) or run.child.poll() is not None, STAGE_S)

    run.child.send_signal(signal.SIGINT)
    status, out, err = run.end()

    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "memsafe: interrupted" and "Traceback" not in err
    assert run.processes() == []
    assert state(run.results / EARLIER) == before
    latest = run.results / "latest"
    assert latest.is_symlink() and (latest / TARGET).is_dir()
    assert scratch(run.results) == set()


def test_what_has_ended_before_is_kept(running, memsafe):
    # With one core one guest follows the other: what is kept is known.
    run = running(cores=sorted(os.sched_getaffinity(0))[:1])
    run.reach(TEST)
    run.child.send_signal(signal.SIGINT)
    run.end()

    kept = record.load(run.results / "latest" / TARGET)
    again = memsafe("judge", run.results / "latest")

    ended = [(result.name, result.outcome) for result in kept.results]
    assert ("memsafe_failing", "exit") in ended and "good" not in dict(ended)
    assert again.status == 1
    assert "FAIL  memsafe_failing.breaks" in again.out.splitlines()
    assert "  good: did not run" in again.out.splitlines()


@pytest.mark.parametrize("sent", [
    [signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT, signal.SIGINT, signal.SIGTERM],
], ids=["term", "hup", "impatient"])  # fmt: skip
def test_other_ways_to_say_it(running, sent):
    run = running()
    run.reach(BOOT)
    wait_until(lambda: run.has("qemu-system"))

    for each in sent:
        run.child.send_signal(each)
    status, _, err = run.end()

    assert (status, "Traceback" in err, run.processes()) == (130, False, [])


@pytest.mark.parametrize("parent, said", [(os.getpid(), b"here\n"), (1, b"")], ids=["alive", "dead"])
def test_who_has_lost_its_parent_does_not_begin(parent, said):
    ended = subprocess.run([*AS_LONG_AS, str(parent), "echo", "here"], stdout=subprocess.PIPE)

    assert ended.stdout == said


def test_a_killed_run_leaves_no_guest(running):
    run = running()
    run.reach(BOOT)
    wait_until(lambda: run.has("qemu-system"))

    run.child.kill()
    run.child.wait()

    wait_until(lambda: run.processes() == [])
