# SPDX-License-Identifier: GPL-2.0
"""run.json: what is saved is what is loaded, and anything else is no verdict."""

import json

import pytest

import record
from errors import NoVerdict
from record import GuestResult, Job, JobResult, Run

RUN = Run(
    "x86_64-kasan",
    (Job("memsafe_buddy", "kunit", ("memsafe_buddy.splits",)), Job("guard_page", "program")),
    (JobResult("memsafe_buddy", 0, "gone", detail="\x1b[31mred\n\N{SNOWMAN}", marks=((12, 5), (40, 9))),
     JobResult("guard_page", 1, "exit", 1, begin_ms=5, end_ms=9, taint=512, dropped=3, offset=7, length=9)),
    (GuestResult(0, {"release": "6.12"}, "quiet", "on", False, "ended", 1, (0, 10), (2, 3)),
     GuestResult(1, {}, ended=True)),
    facts={"hz": "1000"}, seconds={"boot": 1.5}, problems=("no clock",), filtered=True,
)  # fmt: skip


def saved(folder):
    RUN.save(folder)
    return json.loads((folder / "run.json").read_text())


def write(folder, data):
    (folder / "run.json").write_text(json.dumps(data))


def test_round_trip(tmp_path):
    RUN.save(tmp_path)

    assert record.load(tmp_path) == RUN


def test_saving_leaves_one_whole_file(tmp_path):
    RUN.save(tmp_path)
    RUN.add(JobResult("late", 1, "exit")).save(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert record.load(tmp_path).results[-1].name == "late"


def test_a_folder_without_a_run_is_no_verdict(tmp_path):
    with pytest.raises(NoVerdict, match="holds no run"):
        record.load(tmp_path)


@pytest.mark.parametrize("data", [
    b"", b"{", b"\xff\xfe\0", b"null", b"5", b'"run"', b"[]", b"{}", b'{"format": 1}',
    b'{"format": 2, "target": "x"}', b"[" * 100_000,
], ids=lambda data: repr(data[:30]))  # fmt: skip
def test_garbage_is_no_verdict(tmp_path, data):
    (tmp_path / "run.json").write_bytes(data)

    with pytest.raises(NoVerdict, match="not a run of this version"):
        record.load(tmp_path)


def spoilt(data, path, value):
    *above, last = path
    for key in above:
        data = data[key]
    data[last] = value


@pytest.mark.parametrize("path, value", [
    (["format"], 2),
    (["target"], 5),
    (["manifest"], None),
    (["manifest", 0, "cases"], 5),
    (["manifest", 0, "kind"], "script"),
    (["results", 0], []),
    (["results", 0, "offset"], "0"),
    (["results", 0, "length"], -1),
    (["results", 0, "outcome"], None),
    (["results", 0, "marks"], [[1]]),
    (["results", 0, "unknown"], 1),
    (["guests", 0, "console"], [0]),
    (["guests", 0, "hello"], []),
    (["guests", 0, "ended"], "no"),
    (["facts"], []),
    (["facts", "hz"], 1000),
    (["seconds"], None),
    (["problems"], 5),
    (["filtered"], "yes"),
    (["unknown"], 1),
], ids=lambda part: str(part))  # fmt: skip
def test_a_foreign_field_is_no_verdict(tmp_path, path, value):
    data = saved(tmp_path)
    spoilt(data, path, value)
    write(tmp_path, data)

    with pytest.raises(NoVerdict, match="not a run of this version"):
        record.load(tmp_path)
