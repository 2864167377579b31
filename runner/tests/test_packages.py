# SPDX-License-Identifier: GPL-2.0
"""Missing packages: installed where that is allowed, else named.

A folder of little scripts stands for the host's tools: dpkg-query, apt-get, sudo.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import packages
from errors import NoVerdict

RUNNER = Path(packages.__file__).parent
NOBODY = 65534
DPKG = 'echo "gcc installed"; echo "libc6-dev:amd64 installed"; echo "old deinstalled"'


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """PATH holds only the scripts that a test writes; log() is what they were told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(folder, name, text="exit 0"):
    log = folder.parent / "log"
    (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{text}\n')
    (folder / name).chmod(0o755)


def log(folder):
    path = folder.parent / "log"
    return path.read_text().splitlines() if path.exists() else []


def as_nobody(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)


def test_missing_is_what_dpkg_does_not_call_installed(tools):
    script(tools, "dpkg-query", DPKG)

    assert packages.missing(["gcc", "libc6-dev", "old", "new"]) == ["old", "new"]


def test_nothing_is_run_when_nothing_is_missing(tools):
    script(tools, "dpkg-query", DPKG)

    packages.ensure(["gcc", "libc6-dev"])

    assert not any("apt-get" in line for line in log(tools))


def test_a_host_without_dpkg_is_left_alone(tools):
    packages.ensure(["gcc", "new"])

    assert log(tools) == []


def test_without_root_and_sudo_the_names_are_said(tools, monkeypatch):
    script(tools, "dpkg-query", DPKG)
    script(tools, "apt-get")
    as_nobody(monkeypatch)

    with pytest.raises(NoVerdict, match="missing Debian packages: new1 new2"):
        packages.ensure(["gcc", "new1", "new2"])
    assert not any("apt-get" in line for line in log(tools))


def test_a_sudo_that_asks_for_a_password_is_no_sudo(tools, monkeypatch):
    script(tools, "dpkg-query", DPKG)
    script(tools, "sudo", "exit 1")
    as_nobody(monkeypatch)

    with pytest.raises(NoVerdict, match="missing Debian packages: new"):
        packages.ensure(["new"])


def test_sudo_installs_what_is_missing(tools, monkeypatch):
    script(tools, "dpkg-query", DPKG)
    script(tools, "sudo")
    as_nobody(monkeypatch)

    packages.ensure(["gcc", "new"])

    told = [line for line in log(tools) if "apt-get" in line]
    assert [line.startswith("sudo -n ") for line in told] == [True, True]
    assert told[0].endswith(" update") and told[1].endswith(" new") and "gcc" not in told[1]


def test_a_failing_apt_is_no_verdict_with_its_words(tools, monkeypatch):
    script(tools, "dpkg-query", DPKG)
    script(tools, "sudo", 'case "$*" in *install*) echo "E: no such package" >&2; exit 100;; esac')
    as_nobody(monkeypatch)

    with pytest.raises(NoVerdict, match="E: no such package"):
        packages.ensure(["new"])


def test_names_are_the_first_words_of_lines(tmp_path):
    path = tmp_path / "packages.txt"
    path.write_text("# why\n\ngcc\t\tthe kernel\nmake\n")

    assert packages.listed(path) == ["gcc", "make"]


def test_the_command_line_says_the_names_and_ends_with_2(tools):
    """A user without root, on a host that lacks everything."""
    script(tools, "dpkg-query", "exit 1")
    source = f"""
import os, runpy, sys
os.geteuid = lambda: {NOBODY}
sys.path.insert(0, {str(RUNNER)!r})
sys.argv = ["memsafe.py", "list"]
runpy.run_path({str(RUNNER / "memsafe.py")!r}, run_name="__main__")
"""

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)

    names = packages.listed(RUNNER.parent / "configs/packages.txt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "memsafe: missing Debian packages: " + " ".join(names) + "\n"
