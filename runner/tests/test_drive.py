# SPDX-License-Identifier: GPL-2.0
"""memsafe.py drive: an out-of-tree driver that keeps its promises, and the same one
with a bug: each ends in a verdict that names it, or in none that says why."""

import json
import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE / "drivers/toy"
NODE = ("--node", "/dev/memsafe_toy", "--size", "64K")


@pytest.fixture
def drive(memsafe, tmp_path):
    """(exit status, verdict.json's object, what was said beside it)"""

    def call(*words):
        done = memsafe("drive", "--json", "--results", tmp_path, *words, timeout=1800)
        return done.status, json.loads(done.out or "null"), done.err

    return call


def names(document, status):
    return [case["name"] for case in document["targets"][0]["cases"] if case["status"] == status]


@pytest.mark.guest
def test_a_driver_that_keeps_its_promises_passes(drive):
    status, document, err = drive("--module", SOURCE, "--adapter", HERE / "drivers/toy.c")

    assert status == 0, (document["targets"][0]["reasons"], err)
    assert {"driver_open.toy.object_is_mapped_and_read", "driver_mmap.toy.part_starts_at_its_offset",
            "driver_module.module_goes_when_nobody_uses_it"} <= {*names(document, "pass")}  # fmt: skip
    assert not [path for path in SOURCE.iterdir() if path.suffix in (".o", ".ko")]


@pytest.mark.guest
@pytest.mark.parametrize(
    "bug, words, broken",
    [
        ("offset", ("--only", "driver_mmap"), "driver_mmap.node.part_starts_at_its_offset"),
        ("stays", ("--only", "driver_mmap"), "driver_module.module_goes_when_nobody_uses_it"),
        ("oops_at_open", (), "kernel BUG in toy_open"),
        ("hang_at_open", ("--no_leaks",), "driver_open.node.object_is_mapped_and_read"),
        # Its own functions have no names any more when it is gone.
        ("leak", ("--only", "driver_mmap"), "memory leak in misc_open in driver_open"),
    ],
)
def test_a_bug_is_named(bug, words, broken, drive):
    status, document, err = drive("--module", SOURCE, *NODE, "--parameters", f"bug={bug}", *words)

    assert status == 1, (document, err)
    assert any(reason.startswith(broken) for reason in document["targets"][0]["reasons"])


@pytest.mark.guest
def test_a_module_that_does_not_load_gives_no_verdict(drive):
    status, document, _ = drive("--module", SOURCE, *NODE, "--parameters", "bug=refuse")

    assert status == 2
    assert "memsafe_toy.ko bug=refuse: errno 6 (No such device or address)" in document["reason"]


@pytest.mark.guest
def test_a_node_that_is_not_there_gives_no_verdict(drive):
    status, document, _ = drive("--node", "/dev/memsafe_none", "--size", "64K")

    assert status == 2
    assert "needs /dev/memsafe_none" in document["reason"]


@pytest.mark.guest
def test_a_node_without_mmap_fails_by_its_errno(drive):
    status, document, _ = drive("--node", "/dev/null", "--size", "4K")

    assert status == 1
    assert names(document, "fail") == ["driver_open.node.object_is_mapped_and_read"]
    assert any("19" in line for line in document["targets"][0]["cases"][0]["diagnostics"])


def module_for(release, tmp_path):
    path = tmp_path / "foo.ko"
    path.write_bytes(b"\x7fELF\0name=foo\0vermagic=" + release + b" SMP preempt mod_unload \0")
    return path


@pytest.mark.guest
def test_a_module_for_another_kernel_gives_no_verdict(memsafe, tmp_path):
    path = module_for(b"5.4.0", tmp_path)

    done = memsafe("drive", "--module", path, *NODE, "--results", tmp_path / "results", timeout=1800)

    assert done.status == 2
    assert "foo.ko was built for Linux 5.4.0" in done.err


@pytest.mark.guest
@pytest.mark.parametrize(
    "text, reason", [("", "has no Kbuild and no Makefile"), ("obj-m := x.o\n", "does not build")]
)
def test_a_folder_that_builds_nothing_gives_no_verdict(text, reason, memsafe, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    if text:
        (source / "Kbuild").write_text(text)

    done = memsafe("drive", "--module", source, *NODE, "--results", tmp_path / "results", timeout=1800)

    assert done.status == 2
    assert reason in done.err


@pytest.mark.parametrize(
    "words, reason",
    [
        ((), "--node and its --size, or an --adapter"),
        (("--node", "/dev/x"), "--size is missing"),
        (("--node", "/dev/x", "--size", "64Q"), "--size 64Q"),
        (("--node", "/dev/x y", "--size", "4K"), "no blanks"),
        ((*NODE, "--adapter", "x.c"), "or an --adapter"),
        ((*NODE, "--on-this-host", "--module", "."), "no --module"),
    ],
)
def test_what_can_mean_nothing_is_usage(words, reason, memsafe):
    done = memsafe("drive", *words)

    assert done.status == 64
    assert reason in done.err


def test_a_file_of_this_host_passes(memsafe, tmp_path):
    if not os.access("/dev/kmsg", os.R_OK):
        pytest.skip("needs to read /dev/kmsg")
    node = tmp_path / "node"
    node.write_bytes(bytes(65536))

    done = memsafe("drive", "--on-this-host", "--node", node, "--size", "64K", "--contract", "not_zeroed",
                   "--only", "driver_mmap", "--results", tmp_path / "results", timeout=600)  # fmt: skip

    assert done.status == 0, done.out + done.err
    assert "(this host)" in done.out
