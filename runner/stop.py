# SPDX-License-Identifier: GPL-2.0
"""The word that ends work which goes on side by side."""

from __future__ import annotations

import threading


class Stop:
    """Said once, and heard by all that share it; what is said `above` is heard here as
    well."""

    def __init__(self, above: Stop | None = None) -> None:
        self._said = threading.Event()
        self._above = above

    def set(self) -> None:
        self._said.set()

    def is_set(self) -> bool:
        return self._said.is_set() or (self._above is not None and self._above.is_set())

    def wait(self, seconds: float) -> bool:
        """Sleep, or less when it is said here; whether it is said by now."""
        return self._said.wait(seconds) or self.is_set()
