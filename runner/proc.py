# SPDX-License-Identifier: GPL-2.0
"""The only file that starts processes: time-out, logged command, reaped end.

Every child runs in a session of its own, dies when the runner dies
(setpriv --pdeathsig) and is killed with its whole group on the way out, so that
an interrupted run leaves no process behind.
"""

from __future__ import annotations

import os
import queue
import shlex
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from errors import NoVerdict

TAIL_LINES = 20
POLITE_S = 3.0


@dataclass(frozen=True)
class Done:
    """A process that has ended: `status` is negative for a signal."""

    argv: tuple[str, ...]
    status: int
    tail: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Commands:
    """How processes are started: for real, or (`dry`) only shown."""

    show: Callable[[str], None]
    dry: bool = False

    def run(
        self,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 3600,
        on_line: Callable[[str], None] | None = None,
    ) -> Done:
        """Run to the end.  Output goes to `log` (appended, the command first);
        the last lines stay in `Done.tail`.  Raises NoVerdict on time-out and
        when the program can't be started, never for its exit status."""
        if self.dry:
            self.show(printable(argv, cwd=cwd, env=env))
            return Done(tuple(argv), 0, (), 0.0)
        start = time.monotonic()
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with _sink(log) as sink:
            sink.write(f"$ {printable(argv, cwd=cwd, env=env)}\n")
            with spawn(argv, cwd=cwd, env=env, stdout=subprocess.PIPE) as child:
                for line in _lines(child, start + timeout, argv):
                    sink.write(line)
                    sink.flush()
                    tail.append(line.rstrip("\n"))
                    if on_line:
                        on_line(line.rstrip("\n"))
                status = child.wait()
        return Done(tuple(argv), status, tuple(tail), time.monotonic() - start)

    def output(self, argv: Sequence[str], *, cwd: Path | None = None, timeout: float = 60) -> str:
        """What a quick question prints; also asked in a dry run.  Raises
        NoVerdict when the program is missing, fails or does not answer."""
        try:
            done = subprocess.run(
                argv, cwd=cwd, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoVerdict(f"can't run {argv[0]}: {error}") from None
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip()
            raise NoVerdict(f"{printable(argv)} failed: {text or done.returncode}")
        return done.stdout.decode(errors="replace")


# Who asks to die with its parent is too late when that has died before.
AS_LONG_AS = ("sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


def printable(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """The command as a shell would take it."""
    words = [f"{name}={shlex.quote(value)}" for name, value in sorted((env or {}).items())]
    words += [shlex.quote(word) for word in argv]
    text = " ".join(words)
    return f"(cd {shlex.quote(str(cwd))} && {text})" if cwd else text


@contextmanager
def spawn(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A running child; its process group is killed and reaped at the end."""
    try:
        child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *AS_LONG_AS, str(os.getpid()), *argv],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    except OSError as error:
        raise NoVerdict(f"can't run {argv[0]}: {error.strerror}") from None
    try:
        yield child
    finally:
        # make takes half-written targets away when it is asked to end first.
        if child.poll() is None and _signal_group(child, signal.SIGTERM):
            with suppress(subprocess.TimeoutExpired):
                child.wait(POLITE_S)
        _signal_group(child, signal.SIGKILL)
        child.wait()
        if child.stdout:
            child.stdout.close()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> bool:
    """Signal all that a child has started; False when nothing is left."""
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def _sink(log: Path | None) -> Iterator[IO[str]]:
    with open(log or os.devnull, "a", encoding="utf-8", errors="replace") as file:
        yield file


def _lines(
    child: subprocess.Popen[bytes], deadline: float, argv: Sequence[str]
) -> Iterator[str]:
    """Lines of a child until it closes its output; NoVerdict past the deadline."""
    assert child.stdout is not None
    lines: queue.Queue[bytes | None] = queue.Queue()

    def pump(stream: IO[bytes]) -> None:
        try:
            for line in stream:
                lines.put(line)
        except ValueError:  # closed under us: the deadline has passed
            pass
        lines.put(None)

    threading.Thread(target=pump, args=(child.stdout,), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise NoVerdict(f"{printable(argv)} did not end in time") from None
        if line is None:
            return
        yield line.decode(errors="replace")
