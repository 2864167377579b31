# SPDX-License-Identifier: GPL-2.0
"""What a module says of itself (.modinfo), and in which order modules must be
inserted.  Takes contents, returns values: no I/O."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping

# Strings that end in NUL, after the padding of the one before or of the section.
FIELD = re.compile(rb"(?<=\0)(name|depends|vermagic)=([^\0]*)\0")


def fields(module: bytes) -> dict[str, str]:
    """name, depends and vermagic, as far as they are there; the first one counts."""
    found: dict[str, str] = {}
    for key, value in FIELD.findall(module):
        found.setdefault(key.decode(), value.decode(errors="replace"))
    return found


def kernel_name(file: str) -> str:
    """ "snd_dummy" of "snd-dummy.ko"."""
    return file.removesuffix(".ko").replace("-", "_")


def load_order(modules: Mapping[str, bytes]) -> str:
    """One line a module: its name as the kernel says it, and the files to insert for
    it in their order, its own at the end.  `modules` are contents by file name."""
    files = {kernel_name(file): file for file in modules}
    needs = {
        name: [kernel_name(word) for word in fields(modules[file]).get("depends", "").split(",")]
        for name, file in files.items()
    }
    lines = []
    for name in sorted(files):
        order = graphlib.TopologicalSorter(_closure(name, needs)).static_order()
        lines.append(" ".join([name, *(files[each] for each in order)]))
    return "".join(f"{line}\n" for line in lines)


def _closure(name: str, needs: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What a module needs of what there is, and what that needs."""
    found: dict[str, list[str]] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found[each] = [other for other in needs[each] if other in needs]
            waiting += found[each]
    return found
