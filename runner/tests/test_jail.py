# SPDX-License-Identifier: GPL-2.0
"""What a patch brings along can write into its build folder and nowhere else, and
talks to nobody."""

import os
import socket
import subprocess

import pytest

import jail
from errors import NoVerdict


@pytest.fixture(scope="module")
def closed():
    return jail.open_jail()


def inside(closed, script, *writable, **more):
    argv = closed.wrap(["sh", "-c", script], *writable)
    return subprocess.run(argv, capture_output=True, timeout=30, text=True, **more)


def test_a_build_folder_can_be_written(closed, tmp_path):
    done = inside(closed, f"echo built > {tmp_path}/vmlinux", tmp_path)

    assert (done.returncode, (tmp_path / "vmlinux").read_text()) == (0, "built\n")


@pytest.mark.parametrize("where", ["{tmp}/outside", "/etc/memsafe", "$HOME/memsafe", "/dev/shm/memsafe"])
def test_nothing_else_can(closed, tmp_path, where):
    (tmp_path / "build").mkdir()
    path = os.path.expandvars(where.format(tmp=tmp_path))

    inside(closed, f"echo damage > {path}", tmp_path / "build")

    assert not os.path.exists(path)


def test_a_link_out_of_the_build_folder_leads_nowhere(closed, tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "build/link").symlink_to(tmp_path / "kept")

    done = inside(closed, f"echo damage > {tmp_path}/build/link", tmp_path / "build")

    assert done.returncode != 0
    assert (tmp_path / "kept").read_text() == "kept"


def test_there_is_no_network(closed):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        script = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        argv = ["/usr/bin/python3", "-c", script]

        outside = subprocess.run(argv, capture_output=True, timeout=30)
        done = subprocess.run(closed.wrap(argv), capture_output=True, timeout=30)

    assert (outside.returncode, done.returncode) == (0, 1)


def test_other_processes_are_not_seen(closed):
    done = inside(closed, f"kill -0 {os.getpid()}")

    assert done.returncode != 0


def test_its_status_is_the_commands(closed):
    assert inside(closed, "exit 7").returncode == 7


def test_a_host_without_namespaces_is_told_so(monkeypatch, tmp_path):
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(NoVerdict, match="allows no sandbox .*No permissions.*--no-sandbox"):
        jail.open_jail()
