# SPDX-License-Identifier: GPL-2.0
"""What long work is doing and how far it is: a live line on a terminal, plain
lines in a log.  Everything goes to standard error: standard output is for
results."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.status import Status

PLAIN_EVERY_S = 20.0


class Progress:
    """Steps of a run.  `step` starts one, `detail` says how far it is.  Guests side
    by side share one: the last step is the one that is shown."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._lock = threading.RLock()
        self._step = ""
        self._since = time.monotonic()
        self._last_plain = 0.0

    def say(self, text: str) -> None:
        """One line that stays."""
        self._console.print(escape(text))

    def step(self, text: str) -> None:
        """A new step begins; the one before it is over."""
        with self._lock:
            self.done()
            self._step, self._since = text, time.monotonic()
            self._last_plain = self._since
            if self._console.is_terminal:
                self._status = self._console.status(escape(text))
                self._status.start()
            else:
                self.say(text)

    def detail(self, text: str) -> None:
        """How far the present step is; in a log at most one line in 20 s."""
        with self._lock:
            now = time.monotonic()
            line = f"{self._step}: {text} ({now - self._since:.0f} s)"
            if self._status:
                self._status.update(escape(line))
            elif now - self._last_plain >= PLAIN_EVERY_S:
                self._last_plain = now
                self.say(line)

    def done(self) -> None:
        """The present step is over."""
        with self._lock:
            if self._status:
                self._status.stop()
                self._status = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done()
