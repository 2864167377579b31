# SPDX-License-Identifier: GPL-2.0
"""Tests import the runner's modules as the runner does, by their bare names, and
call its command line as its users do, in a folder of results of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(RUNNER))

# Needs daemons of its own: make slurm.
collect_ignore = ["slurm"]

LONGEST = ("test_check", "test_drive", "test_targets", "test_noop", "test_mutate", "test_guest")


@dataclass(frozen=True)
class Ended:
    """What a command line left."""

    status: int
    out: str
    err: str


def command(*words):
    return [str(RUNNER / "memsafe.py"), *map(str, words)]


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """A folder of results that no run of the user's is in."""
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="session")
def memsafe():
    """Call the command line; a call that does not end in its time fails."""

    def call(*words, timeout=60, env=None, **more):
        done = subprocess.run(
            command(*words),
            env={**os.environ, **(env or {})},
            capture_output=True,
            timeout=timeout,
            **{"stdin": subprocess.DEVNULL, **more},
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


def pytest_configure(config):
    config.addinivalue_line("markers", "guest: boots guests (minutes)")


def pytest_collection_modifyitems(items):
    """Files that take longest come first: workers then end together."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def pytest_unconfigure(config):
    """The last line, alone: what scripts read."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not hasattr(config, "workerinput"):
        count = {key: len(reporter.stats.get(key, ())) for key in ("passed", "failed", "error", "skipped")}
        failed = count["failed"] + count["error"]
        print(f"{count['passed']} passed, {failed} failed, {count['skipped']} skipped", flush=True)
