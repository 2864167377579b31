# SPDX-License-Identifier: GPL-2.0
"""Guests that go on from one that has booted before."""

import os
from contextlib import contextmanager

import pytest

import cache
import run
from proc import Commands
from progress import Progress
from record import Run

pytestmark = pytest.mark.guest

TARGET = "x86_64-kasan"
FIRST_LINE = "Linux version "


@contextmanager
def built(tmp_path):
    """Options, what is built, and tools; the snapshots go into <tmp_path>/cache."""
    options = run.Options(TARGET, (), tmp_path, pattern="guard_page")
    tools = run.Tools(cache.Cache(cache.default_root(), print), Commands(print), Said())
    builder = run.make_builder(options, tools, tmp_path / "build.log")
    with run.built(options, run.load(options), builder, tools) as ready:
        yield options, ready, tools


class Said(Progress):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def step(self, text):
        self.lines.append(text)

    say = step


def collected(options, ready, tools, folder, keep=False):
    """One run; how its guest began."""
    folder.mkdir()
    tools.progress.lines.clear()
    jobs = tuple(run.selected(options))
    start = Run(TARGET, jobs, filtered=True)
    store = cache.Cache(folder.parent / "cache", print)
    done = run.in_guests(options, ready, start, folder, tools, keep=keep, store=store)
    assert [(each.name, each.outcome, each.number) for each in done.results] == [("guard_page", "exit", 0)]
    assert all(guest.ended for guest in done.guests)
    assert FIRST_LINE in (folder / "console.log").read_text()
    return tools.progress.lines[0]


def test_a_guest_goes_on_from_one_that_has_booted(tmp_path):
    with built(tmp_path) as (options, ready, tools):
        assert collected(options, ready, tools, tmp_path / "not-kept") == f"boot {TARGET}"
        assert collected(options, ready, tools, tmp_path / "kept", keep=True) == f"boot {TARGET}"
        assert collected(options, ready, tools, tmp_path / "again") == f"restore {TARGET}"
        cut = next((tmp_path / "cache/snapshots").glob("*/disk.qcow2"))
        os.truncate(cut, cut.stat().st_size // 2)

        assert collected(options, ready, tools, tmp_path / "bad") == f"restore {TARGET}"
        assert "guest 1 does not go on from its snapshot: boot it" in tools.progress.lines
        assert not cut.exists()


def test_cold_boots_every_guest(memsafe, results):
    ended = memsafe("run", "--results", results, "--cold", "--no_leaks", "guard_page", timeout=3600)

    assert ended.status == 0, ended.out + ended.err
    assert f"boot {TARGET}" in ended.err and "restore" not in ended.err
