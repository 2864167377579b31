# SPDX-License-Identifier: GPL-2.0
"""Shards of a run and the run they are: nothing is lost, nothing counted twice."""

import dataclasses
import json

import pytest

import judge
import merge
import record
import results
import shard
from errors import NoVerdict, UsageError
from expect import Expectations
from record import GuestResult, Job, JobResult, Run
from shard import Part

JOBS = [Job(name, "program", (f"{name}.holds",)) for name in ("a", "b", "c", "d", "e")]
WARNING = [
    "[ 2.000000][ T101] ------------[ cut here ]------------",
    "[ 2.000000][ T101] WARNING: CPU: 0 PID: 101 at mm/place.c:12 place_{0}+0x20/0x30",
    "[ 2.000000][ T101] RIP: 0010:place_{0}+0x20/0x30",
    "[ 2.000000][ T101] ---[ end trace 0000000000000000 ]---",
]


def save(folder, jobs, facts, filtered=True, red=()):
    """A run of some jobs in one guest; a job in `red` warns and fails."""
    console, ktap, ended = [], "", []
    for job in jobs:
        console += ["[ 1.000000][ T1] memsafe: BEGIN " + job.name]
        console += [line.format(job.name) for line in WARNING if job.name in red]
        console += ["[ 3.000000][ T1] memsafe: END " + job.name]
        word = "not ok" if job.name in red else "ok"
        text = f"TAP version 13\n1..1\n{word} 1 {job.name}.holds\n"
        number = 1 if job.name in red else 0
        ended.append(JobResult(job.name, 0, "exit", number, offset=len(ktap), length=len(text)))
        ktap += text
    text = "\n".join([*console, ""])
    folder.mkdir(parents=True)
    (folder / "console.log").write_text(text)
    (folder / "results.ktap").write_text(ktap)
    (folder / "config").write_text("CONFIG_X=y\n")
    (folder / "decoded.json").write_text(json.dumps({jobs[0].name: "mm/place.c:12"} if jobs else {}))
    guest = GuestResult(0, {"uptime_ms": "1"}, kmemleak="absent", ended=True, console=(0, len(text)))
    known = {"kernel": "6.12.1", "config_hash": "c", **facts}
    Run("t", tuple(jobs), tuple(ended), (guest,), known, {"tests": 2.0}, filtered=filtered).save(folder)
    return folder.parent


def shards(tmp_path, count, filtered=False, red=()):
    names = [job.name for job in JOBS]
    found = []
    for number in range(1, count + 1):
        part = Part(number, count)
        facts = shard.facts(part, names, filtered)
        found.append(save(tmp_path / f"{number}" / "t", part.of(JOBS), facts, red=red))
    return found


def judged(folder):
    run = record.load(folder)
    texts = results.texts(folder)
    return judge.judge(run, texts["results.ktap"], texts["console.log"], Expectations(), {})


def said(verdict):
    return (
        verdict.verdict,
        sorted(verdict.reasons),
        sorted((case.name, case.status) for case in verdict.cases),
        sorted((report.signature, report.state, report.case) for report in verdict.reports),
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("red", [(), ("b", "e")])
def test_the_shards_are_the_whole(tmp_path, count, red):
    whole = save(tmp_path / "whole" / "t", JOBS, {}, filtered=False, red=red)

    folder = merge.merge(shards(tmp_path, count, red=red), tmp_path / "results", print)

    assert said(judged(folder)) == said(judged(whole / "t"))
    assert [job.name for job in sorted(record.load(folder).manifest, key=lambda job: job.name)] == list("abcde")
    assert (folder / "config").read_text() == "CONFIG_X=y\n"


def test_the_order_of_the_folders_does_not_matter(tmp_path):
    found = shards(tmp_path, 3, red=("b",))

    one = merge.merge(found, tmp_path / "results", print)
    other = merge.merge(found[::-1], tmp_path / "results", print)

    assert record.load(one) == record.load(other)
    assert results.texts(one) == results.texts(other)


def test_what_is_known_of_frames_is_of_all(tmp_path):
    folder = merge.merge(shards(tmp_path, 2), tmp_path / "results", print)

    assert set(json.loads((folder / "decoded.json").read_text())) == {"a", "b"}


def test_a_shard_that_is_missing_is_no_verdict(tmp_path):
    found = shards(tmp_path, 3)

    with pytest.raises(NoVerdict, match="shard 2/3 is missing"):
        merge.merge([found[0], found[2]], tmp_path / "results", print)
    assert not (tmp_path / "results").exists()


def test_a_shard_that_was_repeated_counts_once(tmp_path):
    """The first try was killed after one job."""
    found = shards(tmp_path, 2)
    half = tmp_path / "half"
    facts = shard.facts(Part(1, 2), [job.name for job in JOBS], False)
    save(half / "t", Part(1, 2).of(JOBS)[:1], facts)
    broken = record.load(half / "t")
    dataclasses.replace(broken, manifest=tuple(Part(1, 2).of(JOBS))).save(half / "t")
    heard = []

    folder = merge.merge([found[0], half, found[1]], tmp_path / "results", heard.append)

    assert judged(folder).verdict == "pass"
    assert len(heard) == 1 and heard[0].startswith("shard 1/2 is there twice")


@pytest.mark.parametrize("fact, value", [("kernel", "6.1.2"), ("config_hash", "d"), ("whole", "x")])
def test_shards_of_other_runs_are_refused(tmp_path, fact, value):
    found = shards(tmp_path, 2)
    run = record.load(found[1] / "t")
    dataclasses.replace(run, facts={**run.facts, fact: value}).save(found[1] / "t")

    with pytest.raises(UsageError, match=f"its {fact} is another"):
        merge.merge(found, tmp_path / "results", print)


def test_a_run_that_is_no_shard_is_refused(tmp_path):
    whole = save(tmp_path / "whole" / "t", JOBS, {})

    with pytest.raises(UsageError, match="is no shard of a run"):
        merge.merge([whole], tmp_path / "results", print)


def test_what_runs_it_again_runs_all_of_it(tmp_path):
    found = shards(tmp_path, 2)
    for folder, number in zip(found, (1, 2), strict=True):
        again = f"runner/memsafe.py run --env 'A=b  c' --shard {number}/2 'memsafe_*'"
        run = record.load(folder / "t")
        dataclasses.replace(run, facts={**run.facts, "reproduce": again}).save(folder / "t")

    folder = merge.merge(found, tmp_path / "results", print)

    assert record.load(folder).facts["reproduce"] == "runner/memsafe.py run --env 'A=b  c' 'memsafe_*'"


def test_a_filter_of_the_whole_stays(tmp_path):
    folder = merge.merge(shards(tmp_path, 2, filtered=True), tmp_path / "results", print)

    assert record.load(folder).filtered


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1/0", "1", "-1/2", "1/2/3", "a/b", "99999/99999"])
def test_what_is_no_shard_is_64(memsafe, text):
    ended = memsafe("run", "--shard", text)

    assert (ended.status, "Traceback" in ended.err) == (64, False)


@pytest.mark.guest
def test_shards_of_a_real_run_are_the_run(memsafe, results):
    """Two kinds of jobs, in guests of their own."""
    which, folders, names = "memsafe_gfp,guard_page", [], set()
    for number in (1, 2):
        ended = memsafe("run", "--no_leaks", "--shard", f"{number}/2", which, "--results", results, timeout=3600)
        assert ended.status == 0, ended.out + ended.err
        folders.append((results / "latest").resolve())
        document = json.loads((folders[-1] / "x86_64-kasan/verdict.json").read_text())
        names |= {case["name"] for case in document["targets"][0]["cases"]}

    ended = memsafe("merge", *folders, "--results", results)

    assert (ended.status, ended.out.splitlines()[-1]) == (0, "verdict: pass"), ended.out + ended.err
    document = json.loads((results / "latest/x86_64-kasan/verdict.json").read_text())
    found = [case["name"] for case in document["targets"][0]["cases"]]
    assert sorted(found) == sorted(names) and len({name.partition(".")[0] for name in found}) == 2
