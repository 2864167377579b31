# SPDX-License-Identifier: GPL-2.0
"""Code that a patch brings along, kbuild's own scripts among it, is run without a
network and without write access outside its build folders (bubblewrap)."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import packages
from errors import NoVerdict

PACKAGE = "bubblewrap"
TIMEOUT_S = 30.0
# In the /dev that the jail has to itself.
TMP = "/dev/shm"


@dataclass(frozen=True)
class Jail:
    """How commands are confined."""

    def wrap(self, argv: Sequence[str], *writable: Path) -> list[str]:
        """The command inside: everything is there to read, some folders and a temporary
        one of its own are there to write, no network, no other process."""
        words = ["bwrap", "--die-with-parent", "--new-session", "--unshare-all", "--cap-drop", "ALL",
                 "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--setenv", "TMPDIR", TMP]  # fmt: skip
        for path in writable:
            words += ["--bind", str(path.resolve()), str(path.resolve())]
        return [*words, "--", *argv]


def open_jail() -> Jail:
    """A jail that was seen to close.  NoVerdict where the host allows none."""
    packages.ensure([PACKAGE])
    jail = Jail()
    try:
        done = subprocess.run(jail.wrap(["true"]), capture_output=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoVerdict(f"can't run bwrap: {error}") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise NoVerdict(f"this host allows no sandbox ({why}): with --no-sandbox a patch is built without")
    return jail
