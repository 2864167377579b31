# SPDX-License-Identifier: GPL-2.0
"""A run in parts, each on a machine of its own.

Jobs and mutants are dealt out by their place in the list of all, so that every
machine knows its own without asking.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Shard `number` of `count`, from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        return list(items[self.number - 1 :: self.count])


def part(text: str) -> Part:
    """I/N as a Part; ValueError says what is wrong."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    found = Part(*map(int, match.groups())) if match else Part(0, 0)
    if not 1 <= found.number <= found.count:
        raise ValueError(f"{text!r} is no shard such as 2/3")
    return found


def facts(of: Part, names: Sequence[str], filtered: bool) -> dict[str, str]:
    """What a shard's record says of the whole, whose jobs have these names."""
    whole = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    return {"shard": str(of), "whole": whole, "whole_filtered": "yes" if filtered else ""}
