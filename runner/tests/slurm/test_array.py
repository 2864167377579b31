# SPDX-License-Identifier: GPL-2.0
"""submit on a real Slurm: tasks whose node dies, that are requeued, cancelled or
interrupted.  `make slurm` runs it; `make test` does not."""

import json
import os
import signal
import subprocess
from collections import Counter

import pytest

import cluster
from another import wait_until
from conftest import RUNNER, command

# The program hammer goes on for so many seconds on each kind of memory: what is done
# to a task when it has begun is done half way.
JOBS = "memsafe_page_addr,memsafe_gfp,guard_page,hammer"
RUN = ("run", "--no_leaks", "--hammer", "10", JOBS)
MUTANTS = [RUNNER.parent / f"configs/mutants/dev_{name}.patch" for name in (
    "access_ignores_permissions", "fault_takes_no_reference", "read_only_stays_maywrite")]  # fmt: skip
LONG_S, END_S = 3600, 60


@pytest.fixture(scope="module")
def slurm():
    before = cluster.descendants()
    with cluster.cluster() as made:
        yield made
    assert cluster.descendants() <= before


@pytest.fixture
def submitted(slurm, tmp_path):
    """A call of submit into a folder whose name has a blank."""
    slurm.wait_until_idle()
    # A shell's background job ignores SIGINT, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = []

    def start(count, *words):
        results = tmp_path / "re sults"
        started.append(subprocess.Popen(
            command("submit", "--slurm", count, "--sbatch", "--partition=all", "--results", results, *words),
            env={**os.environ, **slurm.env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        ))  # fmt: skip
        wait_until(lambda: list(results.glob("2*/slurm/job.sh")) or started[-1].poll() is not None, LONG_S)
        (job,) = results.glob("2*/slurm/job.sh")
        return started[-1], job.parent

    yield start
    for each in started:
        each.kill()
        each.communicate()


def reach(child, folder, number, line):
    """Until a task's command has said so."""
    log = folder / f"shard-{number}.log"

    def said():
        assert child.poll() is None, child.communicate()
        return log.exists() and line in log.read_text().splitlines()

    wait_until(said, LONG_S)


def task(slurm, number):
    """(job, node) of the only task with this number."""
    ((job, node),) = [(job, node) for job, each, _, node in slurm.tasks() if each == str(number)]
    return job, node


def names(results):
    document = json.loads((results / "latest/x86_64-kasan/verdict.json").read_text())
    return Counter(case["name"] for target in document["targets"] for case in target["cases"])


def test_a_task_whose_node_dies_begins_again_and_nothing_is_lost(slurm, submitted, memsafe, tmp_path):
    whole = memsafe(*RUN, "--results", tmp_path / "whole", timeout=LONG_S)
    assert whole.status == 0, whole.out + whole.err
    child, folder = submitted(3, *RUN)
    reach(child, folder, 1, "run hammer")
    (half,) = (folder / "shard-1").glob("2*")

    slurm.kill(task(slurm, 1)[1])
    out, err = child.communicate(timeout=LONG_S)

    assert (child.returncode, out.splitlines()[-1]) == (0, "verdict: pass"), out + err
    assert names(tmp_path / "re sults") == names(tmp_path / "whole")
    assert set(names(tmp_path / "whole").values()) == {1}
    assert [(folder / f"shard-{number}/try").read_text().strip() for number in (1, 2, 3)] == ["1", "0", "0"]
    assert not half.exists()
    for node in set(cluster.NODES) - set(slurm.nodes):
        slurm.start(node)


def test_a_campaign_that_is_requeued_goes_on(slurm, submitted):
    child, folder = submitted(2, "mutate", "--only", "dev_access,dev_fault", *map(str, MUTANTS))
    first, last = MUTANTS[0].stem, MUTANTS[2].stem
    reach(child, folder, 1, f"mutant {last}")

    slurm.ask("scontrol", "requeue", f"{task(slurm, 1)[0]}_1")
    out, err = child.communicate(timeout=LONG_S)

    assert child.returncode == 0, out + err
    lines = out.splitlines()
    assert all(sum(mutant.stem in line for line in lines) == 1 for mutant in MUTANTS), out
    said = (folder / "shard-1.log").read_text().splitlines()
    assert (said.count(f"mutant {first}"), said.count(f"mutant {last}")) == (1, 2)


def test_a_task_that_is_cancelled_is_missing(slurm, submitted):
    child, folder = submitted(2, *RUN)
    reach(child, folder, 2, "run hammer")

    slurm.ask("scancel", f"{task(slurm, 2)[0]}_2")
    out, err = child.communicate(timeout=LONG_S)

    assert (child.returncode, out) == (2, ""), out + err
    assert err.splitlines()[-1] == f"memsafe: shard 2/2 is missing: see {folder}/shard-2.log"


def test_an_interrupt_ends_all_tasks(slurm, submitted):
    child, folder = submitted(2, *RUN)
    reach(child, folder, 2, "run hammer")

    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=END_S)

    assert (child.returncode, out, err.splitlines()[-1]) == (130, "", "memsafe: interrupted")
    wait_until(lambda: slurm.tasks() == [], END_S)
    name = str(folder).encode()
    wait_until(lambda: not any(name in cluster.cmdline(pid) for pid in cluster.descendants()), END_S)
