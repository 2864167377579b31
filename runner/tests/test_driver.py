# SPDX-License-Identifier: GPL-2.0
"""memsafe_dev: builds on the kernels of Debian, and a broken line in it is seen
by a case whose name says what broke."""

import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import RUNNER

PROJECT = RUNNER.parent
HEADERS = sorted(Path("/usr/src").glob("linux-headers-*-amd64"))


@pytest.mark.parametrize("series", ["6.1.", "6.12."])
def test_the_driver_builds_with_the_headers_of(series, tmp_path):
    headers = [path for path in HEADERS if path.name.startswith(f"linux-headers-{series}")]
    assert headers, "linux-headers are not installed: runner/memsafe.py setup test"
    shutil.copytree(PROJECT / "module", tmp_path / "module")

    done = subprocess.run(
        ["make", "-C", headers[-1], f"M={tmp_path / 'module'}", "KCFLAGS=-Werror", "modules"],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "module/memsafe_dev.ko").exists()


@pytest.mark.guest
def test_a_dropped_bound_check_is_seen_by_name(tmp_path, memsafe):
    broken = tmp_path / "project"
    shutil.copytree(PROJECT, broken, ignore=shutil.ignore_patterns(".git", "results"))
    source = broken / "module/memsafe_dev_buffer.c"
    text = source.read_text()
    bound = "if (pgoff >= buf->npages)"
    assert bound in text
    source.write_text(text.replace(bound, "if (pgoff > buf->npages)"))

    done = subprocess.run(
        ["/usr/bin/python3", broken / "runner/memsafe.py", "run", "dev_fault",
         "--results", tmp_path / "results"],
        capture_output=True, text=True, timeout=3600,
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr
    assert "dev_fault.page.access_past_the_end_is_sigbus" in done.stdout
