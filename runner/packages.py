# SPDX-License-Identifier: GPL-2.0
"""Debian packages: which are missing, and installing them.

A name may be a glob: then any package that matches will do, and the newest is
installed.  Standard library only: this runs before anything that it installs.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from errors import NoVerdict


def listed(path: Path) -> list[str]:
    """The names in a file such as configs/packages.txt."""
    lines = path.read_text().splitlines()
    return [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]


def missing(names: Sequence[str]) -> list[str]:
    """Those of `names` that dpkg does not know as installed."""
    if not shutil.which("dpkg-query"):
        return []
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n", *names],
        capture_output=True,
        text=True,
        timeout=60,
    )
    installed = {
        line.split()[0].split(":")[0]
        for line in shown.stdout.splitlines()
        if line.endswith(" installed")
    }
    return [name for name in names if not fnmatch.filter(installed, name)]


def install(names: Sequence[str]) -> None:
    """apt-get as root or through sudo.  Raises NoVerdict with the names when
    neither is possible or apt fails."""
    if os.geteuid() == 0:
        prefix: list[str] = []
    elif shutil.which("sudo") and _may_sudo():
        prefix = ["sudo", "-n"]
    else:
        raise NoVerdict("missing Debian packages: " + " ".join(names))
    env = ["env", "DEBIAN_FRONTEND=noninteractive"]
    get = [*prefix, *env, "apt-get", "-q"]
    print("installing " + " ".join(names), file=sys.stderr)
    _apt([*get, "update"])
    newest = [_newest(name) for name in names]
    _apt([*get, "install", "-y", "--no-install-recommends", *newest])


def _apt(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-10:]
        raise NoVerdict("\n".join([f"{argv[-1]}: apt failed:", *lines]))
    return done.stdout


def _newest(name: str) -> str:
    """The package itself, or the highest version among those that a glob names."""
    if "*" not in name:
        return name
    known = _apt(["apt-cache", "pkgnames", name.partition("*")[0]]).split()
    found = fnmatch.filter(known, name)
    if not found:
        raise NoVerdict(f"no package is named {name}")
    return max(found, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])


def _may_sudo() -> bool:
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=60)
    return asked.returncode == 0


def ensure(names: Sequence[str]) -> None:
    """Install what is missing; nothing is run when nothing is."""
    lacking = missing(names)
    if lacking:
        install(lacking)
