# SPDX-License-Identifier: GPL-2.0
"""The runner's types, as strict as mypy can be (.mypy.ini)."""

import subprocess

from conftest import RUNNER


def test_the_runner_is_typed(tmp_path):
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "mypy", "--cache-dir", tmp_path,
         RUNNER / "memsafe.py", RUNNER / "commands.py"],
        cwd=RUNNER.parent, capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
