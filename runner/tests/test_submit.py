# SPDX-License-Identifier: GPL-2.0
"""An array job: what its tasks run, what becomes of those that begin again, and what
is said when the array has ended.

Little scripts stand for Slurm and for the command; `make slurm` has real ones.
"""

import os
import shlex
import subprocess
import time
from pathlib import Path

import pytest

import judge
import merge
import record
import results
import run
import submit
from cache import Cache
from errors import NoVerdict, UsageError
from expect import Expectations
from proc import Commands
from progress import Progress
from test_cli import refused
from test_merge import JOBS, shards

ODD = "a b'c\"d%a$e"


@pytest.fixture
def bins(tmp_path, monkeypatch):
    """A folder in PATH for scripts that a test writes; log() is what they were told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(submit, "POLL_S", 0)
    monkeypatch.setattr(submit, "SETTLE_S", 0)
    return folder


def script(folder, name, text="exit 0"):
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder.parent}/log\n{text}\n')
    path.chmod(0o755)
    return path


def log(folder, name):
    path = folder.parent / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.startswith(f"{name} ")]


@pytest.fixture
def array(tmp_path):
    """An array job in a folder whose name a shell would take apart."""
    folder = tmp_path / ODD / "slurm"
    folder.mkdir(parents=True)

    def make(*words, count=3, sbatch=()):
        return submit.Array(count, words, sbatch, folder, "memsafe-x", tmp_path)

    return make


def task(array, bins, monkeypatch, text, number=2, tries=0):
    """Run one task, whose command does `text`."""
    monkeypatch.setattr(submit, "PROGRAM", script(bins, "program", text))
    job = array.folder / "job.sh"
    job.write_text(submit.script(array))
    env = {**os.environ, "SLURM_ARRAY_TASK_ID": str(number)}
    env |= {"SLURM_RESTART_COUNT": str(tries)} if tries else {}
    return subprocess.run(["sh", str(job)], env=env, cwd="/", timeout=60).returncode


def tools(said=None):
    heard = Progress(quiet=True)
    if said is not None:
        heard.say = said.append
    return run.Tools(Cache(Path("/nonexistent"), print), Commands(print), heard)


def test_the_script_says_that_it_is_an_array(array):
    lines = submit.script(array("run")).splitlines()

    assert lines[0] == "#!/bin/sh"
    assert {"#SBATCH --array=1-3", "#SBATCH --requeue"} < set(lines)


def test_a_task_runs_its_shard_with_the_words_as_they_were_given(array, bins, monkeypatch):
    words = ["--kernel_args", "a  b; c", "--env", "X=$(id)", ODD]
    wanted = array("run", *words)

    task(wanted, bins, monkeypatch, f'pwd > {bins}/words; printf "%s\\n" "$@" >> {bins}/words')

    shard = ["--shard", "2/3", "--results", str(wanted.folder / "shard-2")]
    assert (bins / "words").read_text().splitlines() == [str(wanted.here), "run", *shard, *words]


@pytest.mark.parametrize("status", [0, 1, 2, 130])
def test_the_status_of_the_command_is_kept(array, bins, monkeypatch, status):
    wanted = array("run")

    assert task(wanted, bins, monkeypatch, f"exit {status}") == 0

    assert wanted.ended() == {2: str(status)}


def test_a_task_that_is_killed_has_no_status(array, bins, monkeypatch):
    wanted = array("run")

    assert task(wanted, bins, monkeypatch, "kill -9 $PPID") != 0

    assert wanted.ended() == {}


def test_a_run_that_begins_again_begins_anew(array, bins, monkeypatch):
    wanted = array("run")
    half = wanted.shard(2) / "20000101-000000/t"
    half.mkdir(parents=True)
    (wanted.shard(2) / "latest").symlink_to(half.parent.name)
    (wanted.shard(2) / "status").write_text("0\n")

    task(wanted, bins, monkeypatch, f'ls "$5" > {bins}/found; exit 1', tries=1)

    assert (bins / "found").read_text().split() == ["try"]
    assert wanted.status(2) == "1" and not half.exists()


def test_a_campaign_that_begins_again_goes_on(array, bins, monkeypatch):
    wanted = array("mutate", "--full", ODD)
    said = f'printf "%s\\n" "$@" > {bins}/words; ls "$5" > {bins}/found'
    shard = ["mutate", "--shard", "2/3", "--results", str(wanted.shard(2))]

    task(wanted, bins, monkeypatch, said)
    assert (bins / "words").read_text().splitlines() == [*shard, "--full", ODD]

    (wanted.shard(2) / "20000101-000000/mutants").mkdir(parents=True)
    (wanted.shard(2) / "latest").symlink_to("20000101-000000")
    task(wanted, bins, monkeypatch, said, tries=1)
    assert (bins / "words").read_text().splitlines() == [
        *shard, "--resume", str(wanted.shard(2) / "latest"), "--full", ODD
    ]  # fmt: skip
    assert "status" not in (bins / "found").read_text().split()


def test_a_try_that_was_given_up_says_nothing(array, bins, monkeypatch):
    """Its node was taken for dead; the task has begun elsewhere."""
    wanted = array("run")

    assert task(wanted, bins, monkeypatch, 'echo 1 > "$5/try"; exit 2') != 0

    assert wanted.ended() == {}


def test_what_shards_rely_on_overrides_the_words_of_the_user(array):
    words = submit.command(array("run", sbatch=("--partition=x", "--array=1-2")))

    assert words[:4] == ["sbatch", "--parsable", "--partition=x", "--array=1-2"]
    assert words.index("--array=1-3") > 3 and "--requeue" in words[4:]


def test_no_name_of_a_folder_is_taken_for_a_placeholder(array):
    (log,) = [word for word in submit.command(array("run")) if word.startswith("--output=")]

    assert log.endswith("/slurm/shard-%a.log") and f"{ODD.replace('%', '%%')}/" in log


@pytest.mark.parametrize("words, part", [
    ([], "required: COMMAND"),
    (["ruin"], "invalid choice: 'ruin'"),
    (["list"], "list has no shards: submit is for run, exec and mutate"),
    (["gate"], "gate has no shards"),
    (["run", "--shard", "1/2"], "--shard is for a call that is not shared"),
    (["run", "--dry-run"], "--dry_run is for a call that is not shared"),
    (["mutate", "x", "--resume", "y"], "--resume is for a call that is not shared"),
    (["run", "--results", "x"], "--results is a word of submit: it stands before run"),
    (["run", "--jobs", "many"], "argument --jobs: "),
    (["run", "no_such_suite"], "no suite or program matches 'no_such_suite'"),
    (["run", "--target", "x"], "no target 'x'"),
], ids=lambda part: " ".join(part) if isinstance(part, list) else "")  # fmt: skip
def test_what_has_no_shards_is_refused(memsafe, tmp_path, words, part):
    ended = memsafe("submit", "--slurm", "2", "--results", tmp_path / "results", *words)

    assert refused(ended, 64, part)
    assert not (tmp_path / "results").exists()


def test_what_git_bisect_asks_has_no_shards():
    with pytest.raises(UsageError, match="--bisect is for a call that is not shared"):
        submit.asked(["run", "--bisect", "x"])


@pytest.mark.parametrize("count", ["0", "-1", "x", "10000"])
def test_a_number_of_shards_that_is_none_is_refused(memsafe, count):
    assert refused(memsafe("submit", "--slurm", count, "run"), 64, "argument --slurm: ")


def test_without_sbatch_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NoVerdict, match="no sbatch on this machine: install the package slurm-client"):
        submit.submit(2, ["run"], [], tmp_path / "results", tools())
    assert not (tmp_path / "results").exists()


def test_words_for_sbatch_stay_as_they_are(memsafe, bins, tmp_path):
    """They look like ours, whose dashes are underscores."""
    script(bins, "sbatch", "exit 1")
    script(bins, "scancel")
    words = ("--sbatch", "--cpus-per-task=2", "--sbatch=--mail-type=END", "run", "memsafe_gfp")

    ended = memsafe("submit", "--slurm", "2", "--results", tmp_path / "results", *words)

    assert ended.status == 2, ended.err
    (told,) = log(bins, "sbatch")
    assert " --cpus-per-task=2 --mail-type=END --array=1-2 " in told


@pytest.fixture
def cluster(bins, tmp_path, monkeypatch):
    """Submitted tasks run at once.  The command puts a shard where it is asked to, and
    those in `broken` do not end; squeue answers what it is told."""

    def make(broken=(), squeue="exit 0"):
        made = shards(tmp_path / "made", 3, red=("b",))
        program = (
            f'mkdir -p "$5/run" && cp -r {tmp_path}/made/${{3%/*}}/t "$5/run/t" && ln -s run "$5/latest"\n'
            f'case " {" ".join(map(str, broken))} " in *" ${{3%/*}} "*) kill -9 $PPID;; esac'
        )
        monkeypatch.setattr(submit, "PROGRAM", script(bins, "program", program))
        tasks = 'for job; do :; done; for i in 3 1 2; do SLURM_ARRAY_TASK_ID=$i sh "$job"; done >&2; echo 7'
        script(bins, "sbatch", tasks)
        script(bins, "squeue", squeue)
        script(bins, "scancel")
        return made

    return make


def judged(folder):
    texts = results.texts(folder)
    return judge.judge(record.load(folder), texts["results.ktap"], texts["console.log"], Expectations(), {})


def test_the_shards_of_all_tasks_are_the_run(cluster, bins, tmp_path):
    made, heard = cluster(), []

    found = submit.submit(3, ["run"], [], tmp_path / "results", tools(heard))

    whole = merge.merge(found, tmp_path / "merged", print)
    assert judged(whole) == judged(merge.merge(made, tmp_path / "expected", print))
    assert sorted(job.name for job in record.load(whole).manifest) == [job.name for job in JOBS]
    assert sum("has ended with status 0" in line for line in heard) == 3
    assert log(bins, "scancel") == []


def test_a_shard_that_did_not_end_is_named(cluster, tmp_path):
    """It has left half of its results, which nothing tells from all of them."""
    cluster(broken=(2,))

    with pytest.raises(NoVerdict, match=r"shard 2/3 is missing: see .*/shard-2\.log"):
        submit.submit(3, ["run"], [], tmp_path / "results", tools())


@pytest.mark.parametrize("status", ["0", "64", "130"])
def test_a_shard_that_has_no_results_is_missing(array, status):
    wanted = array("run", count=1)
    (wanted.shard(1) / "latest").mkdir(parents=True)
    (wanted.shard(1) / "status").write_text(status)

    assert wanted.missing() == [1]


def test_while_slurm_does_not_answer_nothing_has_ended(cluster, bins, tmp_path):
    answers = 'test $(grep -c "^squeue" "$log") = 3 || exit 1'
    cluster(squeue=f"log={bins.parent}/log\n{answers}")

    submit.submit(3, ["run"], [], tmp_path / "results", tools())

    assert len(log(bins, "squeue")) == 3


def test_an_array_has_ended_when_no_task_is_left(cluster, bins, tmp_path):
    """Not when all have a status: one whose node dies now begins again."""
    cluster(squeue=f'test $(grep -c "^squeue" {bins.parent}/log) = 3 || echo "COMPLETING (None)"')

    submit.submit(3, ["run"], [], tmp_path / "results", tools())

    assert len(log(bins, "squeue")) == 3


def test_a_status_may_be_seen_late(cluster, tmp_path, monkeypatch):
    cluster(broken=(2,))
    monkeypatch.setattr(submit, "SETTLE_S", 60)

    def sleep(seconds):
        (shard,) = tmp_path.glob("results/2*/slurm/shard-2")
        (shard / "status").write_text("0\n")

    monkeypatch.setattr(time, "sleep", sleep)

    assert len(submit.submit(3, ["run"], [], tmp_path / "results", tools())) == 3


def test_an_interrupt_cancels_the_array(cluster, bins, tmp_path, monkeypatch):
    cluster(squeue='echo "RUNNING (None)"')

    def sleep(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)

    with pytest.raises(KeyboardInterrupt):
        submit.submit(3, ["run"], [], tmp_path / "results", tools())
    (submitted,) = log(bins, "sbatch")
    (name,) = [word for word in shlex.split(submitted) if word.startswith("--job-name=")]
    assert log(bins, "scancel") == [f"scancel --name={name.removeprefix('--job-name=')}"]


def test_what_sbatch_refuses_is_said(bins, tmp_path):
    script(bins, "sbatch", "echo 'invalid partition specified: x' >&2; exit 1")
    script(bins, "scancel")

    with pytest.raises(NoVerdict, match="invalid partition specified: x"):
        submit.submit(2, ["run"], ["--partition=x"], tmp_path / "results", tools())
