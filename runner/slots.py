# SPDX-License-Identifier: GPL-2.0
"""The host's cores, shared out over all guests of all runs on it.

A guest that is starved of a core prints RCU stalls that look like bugs.  One
lock file a core; a guest holds as many as it has vCPUs.  Who waits holds the
queue's lock, so nobody waits with half of what it needs.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from errors import Stopped
from stop import Stop

POLL_S = 0.1


def _folder() -> Path:
    """Shared by all users of the host, so not in anybody's cache."""
    folder = Path(tempfile.gettempdir()) / "memsafe-cores"
    try:
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
    except FileExistsError:
        pass
    return folder


def _open(path: Path) -> int:
    """Without O_CREAT first: fs.protected_regular refuses it on files of others."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.fchmod(lock, 0o666)
        return lock


@contextmanager
def _held(path: Path) -> Iterator[int]:
    lock = _open(path)
    try:
        yield lock
    finally:
        os.close(lock)


def _try(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def _pause(stop: Stop) -> None:
    if stop.wait(POLL_S):
        raise Stopped


@contextmanager
def cores(
    wanted: int, total: int, say: Callable[[str], None], stop: Stop
) -> Iterator[None]:
    """Hold `wanted` of the host's `total` cores (never more than all of them);
    says so once when it has to wait for another run.  Stopped when `stop` is set
    before they are there."""
    folder = _folder()
    wanted = min(wanted, total)
    with ExitStack() as held:
        with _held(folder / "queue") as queue:
            told = False
            while not _try(queue):
                told = told or not say("waiting for cores: another run's guest has them")
                _pause(stop)
            have = 0
            free = [held.enter_context(_held(folder / f"core-{n}")) for n in range(total)]
            while True:
                for lock in list(free):
                    if have < wanted and _try(lock):
                        free.remove(lock)
                        have += 1
                if have == wanted:
                    break
                told = told or not say("waiting for cores: another run's guest has them")
                _pause(stop)
        yield
