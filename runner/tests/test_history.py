# SPDX-License-Identifier: GPL-2.0
"""results/history.db: every run is in it once, whatever else happens to it, and
what is wrong with it costs a sentence."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import history
import record
from another import Another
from conftest import RUNNER
from errors import NoVerdict

CASES = [("page.holds", "pass", 0.5), ("page.races", "pass", 1.0), ("page.keeps", "skip", None)]


def saved(results, name, cases=CASES, verdict="pass", reports=(), target="x86_64-kasan"):
    """A run's folder with the files that the history reads."""
    folder = results / name / target
    folder.mkdir(parents=True)
    record.Run(target, (), facts={"started": f"2026-01-{name[-2:]}T00:00:00Z"}).save(folder)
    shown = {
        "target": target, "kernel": "6.12.117", "kernel_release": "6.12.117", "config_hash": "0" * 16,
        "accel": "tcg", "verdict": verdict, "seconds": {"total": 100.0},
        "cases": [{"name": case, "status": status, "reason": "", "seconds": seconds}
                  for case, status, seconds in cases],
        "reports": [{"signature": signature, "case": "", "state": "NEW"} for signature in reports],
    }  # fmt: skip
    document = {"commit": "0" * 40, "dirty": False, "targets": [shown]}
    (folder / "verdict.json").write_text(json.dumps(document))
    return folder


def rows(results, query):
    with sqlite3.connect(results / history.NAME) as database:
        return database.execute(query).fetchall()


def count(results):
    return rows(results, "SELECT count(*) FROM runs")[0][0]


@pytest.fixture
def three(tmp_path):
    """Three runs, the second of which fails in page.races."""
    saved(tmp_path, "20260101")
    saved(tmp_path, "20260102", [("page.holds", "pass", 0.7), ("page.races", "fail", 9.0)], "fail", ["WARNING in f"])
    saved(tmp_path, "20260103")
    assert [history.add(path.parent) for path in sorted(tmp_path.glob("*/*/run.json"))] == [""] * 3
    return tmp_path


def test_the_past_of_a_case_is_its_rate_and_its_times(three):
    holds, races = history.past(three)

    assert holds == history.Past("page.holds", 3, 0, "", 0.5, 0.7)
    assert races == history.Past("page.races", 3, 1, "2026-01-02T00:00:00Z", 1.0, 9.0)
    assert round(races.rate, 3) == 0.333


@pytest.mark.parametrize("pattern, target, names", [
    ("*", "*", ["page.holds", "page.races"]),
    ("*.races", "x86_64-*", ["page.races"]),
    ("*", "arm*", []),
    ("' OR 1=1 --", "*", []),
])  # fmt: skip
def test_globs_choose_cases_and_targets(three, pattern, target, names):
    assert [each.name for each in history.past(three, pattern, target)] == names


def test_runs_are_given_oldest_first_and_only_the_newest(three):
    found = history.runs(three, "x86_64-kasan", 2)

    assert [(run["started"][8:10], run["verdict"], run["bad"]) for run in found] == [("02", "fail", 1), ("03", "pass", 0)]


def test_a_run_is_entered_once(three):
    assert history.add(three / "20260102" / "x86_64-kasan") == ""

    assert count(three) == 3
    assert rows(three, "SELECT count(*), sum(number) FROM reports") == [(1, 1)]


def test_a_case_listed_twice_ended_as_its_worst(tmp_path):
    history.add(saved(tmp_path, "20260101", [("page", "pass", 1.0), ("page", "error", 2.0), ("page", "pass", 3.0)]))

    assert history.past(tmp_path)[0].failures == 1


WRITE = """
import history, pathlib
say("ready"); wait()
for folder in args:
    print(history.add(pathlib.Path(folder)), end="")
say("")
"""


def test_writers_wait_for_each_other(tmp_path):
    folders = [saved(tmp_path, f"202601{day:02}") for day in range(1, 17)]

    writers = [Another(WRITE, *folders[at::4]) for at in range(4)]
    said = [writer.line() for writer in writers]
    for writer in writers:
        writer.go_on()
    said += [writer.line() for writer in writers]
    for writer in writers:
        writer.__exit__()

    assert said == ["ready"] * 4 + [""] * 4
    assert count(tmp_path) == 16


HALF = """
import history, pathlib
with history._opened(pathlib.Path(args[0])) as database:
    database.execute("PRAGMA cache_size = 5")
    for number in range(5000):
        database.execute("INSERT INTO names (name) VALUES (?)", (f"half {number}",))
    say("half"); wait()
"""


def test_a_writer_that_is_killed_has_written_nothing(three):
    with Another(HALF, three / history.NAME) as writer:
        assert writer.line() == "half"
        writer.child.send_signal(signal.SIGKILL)
        writer.child.wait()
    assert (three / f"{history.NAME}-journal").stat().st_size, "nothing was on its way to the disk"

    assert len(history.past(three)) == 2
    assert history.add(saved(three, "20260104")) == ""

    assert (count(three), rows(three, "PRAGMA integrity_check")) == (4, [("ok",)])
    assert rows(three, "SELECT count(*) FROM names WHERE name LIKE 'half %'") == [(0,)]


def damaged(path):
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))


@pytest.mark.parametrize("damage", [damaged, lambda path: path.write_bytes(b"no database" * 99)])
def test_a_damaged_database_is_said_and_read_again_from_the_runs(three, damage):
    damage(three / history.NAME)

    sentence = history.add(saved(three, "20260104"))

    assert history.NAME in sentence and "history rebuild" in sentence
    assert history.rebuild(three) == (4, [])
    assert (count(three), rows(three, "PRAGMA integrity_check")) == (4, [("ok",)])
    assert (three / f"{history.NAME}.old").exists()


@pytest.mark.parametrize("name, text", [
    ("verdict.json", "{"), ("verdict.json", '{"targets": [{}]}'), ("verdict.json", "[]"), ("run.json", "[]"),
    ("verdict.json", '{"commit": "", "dirty": false, "targets": [{"cases": [{"status": "new"}]}]}'),
], ids=str)  # fmt: skip
def test_a_run_that_cannot_be_read_is_named_and_the_others_are_there(three, name, text):
    (three / "20260102" / "x86_64-kasan" / name).write_text(text)

    found, (problem,) = history.rebuild(three)

    assert (found, count(three)) == (2, 2)
    assert "20260102/x86_64-kasan" in problem


def test_sides_of_a_gate_are_no_runs(three):
    (three / "20260103" / "x86_64-kasan").rename(three / "20260103" / "patched")

    assert (history.rebuild(three), count(three)) == ((2, []), 2)


def test_a_newer_database_is_left_alone(three):
    rows(three, "PRAGMA user_version = 2")
    before = (three / history.NAME).read_bytes()

    sentence = history.add(saved(three, "20260104"))

    assert sentence == f"{three / history.NAME} is of a newer memsafe: version 2, this one knows 1"
    assert (three / history.NAME).read_bytes() == before
    with pytest.raises(NoVerdict, match="newer memsafe"):
        history.past(three)


FULL = f"""
import pathlib, resource, signal, sys
sys.path.insert(0, {str(RUNNER)!r})
import history
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
print(history.add(pathlib.Path(sys.argv[1])))
"""


def test_no_room_is_a_sentence(tmp_path):
    folder = saved(tmp_path, "20260101", [(f"page.{number}", "pass", None) for number in range(3000)])

    done = subprocess.run([sys.executable, "-c", FULL, folder], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{tmp_path / history.NAME}: ")


@pytest.mark.parametrize("name", [history.NAME, ".history.lock"])
def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, name):
    (tmp_path / name).mkdir()

    assert history.add(saved(tmp_path, "20260101")).startswith(f"{tmp_path / history.NAME}: ")


def test_without_a_history_there_is_a_sentence(memsafe, tmp_path):
    ended = memsafe("history", "--results", tmp_path)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"memsafe: {tmp_path / history.NAME}: there is no history yet\n"


def test_history_prints_what_a_glob_names(memsafe, three):
    ended = memsafe("history", "--results", three, "--target", "x86_64-kasan", "*.races")

    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[1].split() == [
        "3", "1", "33.3%", "2026-01-02T00:00:00Z", "1.000", "9.000", "page.races",
    ]  # fmt: skip


def test_rebuild_says_what_it_read(memsafe, three):
    (three / history.NAME).unlink()
    Path(three / "20260101" / "x86_64-kasan" / "verdict.json").write_text("{")

    ended = memsafe("history", "--results", three, "rebuild")

    assert (ended.status, ended.out) == (2, "2 runs\n")
    assert "20260101/x86_64-kasan/verdict.json is no verdict" in ended.err
