# SPDX-License-Identifier: GPL-2.0
"""A kernel tree with the suites built in, for kunit.py.

Hard links of every source file; files that change are replaced, never edited in
place, so the source stays as it was.  What an in-place build left in the source
stays behind, since kbuild refuses O= on a tree that has it.  No symlinks to the
tree: kunit.py would follow them and configure the original.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from errors import NoVerdict
from source import version_of

MARK = ".memsafe-overlay"
PARTS = ("module", "kunit")
BUILT_NAMES = {".git", ".config", ".config.old", "vmlinux", "vmlinux.a", "System.map",
               "Module.symvers", "modules.order", "modules.builtin"}  # fmt: skip
BUILT_SUFFIXES = {".o", ".ko", ".a", ".cmd", ".mod", ".order", ".symvers", ".dtb"}
BUILT_FOLDERS = {"include/config", "include/generated"}


def make(tree: Path, output: Path, project: Path) -> None:
    """Make the overlay of `tree` in `output`, or bring an old one up to date.
    NoVerdict when `output` holds something else."""
    version_of(tree)
    if not (output / MARK).exists():
        if output.exists() and any(output.iterdir()):
            raise NoVerdict(f"{output} is not empty and no overlay of ours")
        output.mkdir(parents=True, exist_ok=True)
        _link_tree(tree, output)
        _hook(output / "lib/Kconfig.debug", 'source "lib/memsafe/Kconfig"\n')
        _hook(output / "lib/Makefile", "obj-y += memsafe/\n")
        (output / MARK).write_text(f"{tree.resolve()}\n")
    ours = output / "lib/memsafe"
    for part in PARTS:
        copy_changed(project / part, ours / part)
    lines = "".join(f'source "lib/memsafe/{part}/Kconfig"\n' for part in PARTS)
    _write_changed(ours / "Kconfig", "# SPDX-License-Identifier: GPL-2.0\n" + lines)
    lines = "".join(f"obj-y += {part}/\n" for part in PARTS)
    _write_changed(ours / "Makefile", "# SPDX-License-Identifier: GPL-2.0\n" + lines)
    _write_changed(ours / ".kunitconfig", (project / "kunit/.kunitconfig").read_text())


def _link_tree(tree: Path, output: Path) -> None:
    for folder, files in _sources(tree, output):
        here = output / folder
        here.mkdir(exist_ok=True)
        for name in files:
            old, new = tree / folder / name, here / name
            if old.is_symlink():
                new.symlink_to(os.readlink(old))
                continue
            try:
                os.link(old, new)
            except OSError:  # another file system, or not our file
                shutil.copy2(old, new)


def _sources(tree: Path, output: Path) -> Iterator[tuple[Path, list[str]]]:
    """(folder, file names) of everything that is source, parents first."""
    for top, folders, files in os.walk(tree):
        folder = Path(top).relative_to(tree)
        folders[:] = [
            name
            for name in folders
            if name not in BUILT_NAMES
            and str(folder / name) not in BUILT_FOLDERS
            and not str(folder / name).endswith("/include/generated")
            and (Path(top) / name).resolve() != output.resolve()
        ]
        yield folder, [name for name in files if _is_source(name)]


def _is_source(name: str) -> bool:
    return (
        name not in BUILT_NAMES
        and os.path.splitext(name)[1] not in BUILT_SUFFIXES
        and not name.startswith(".tmp_")
        and not name.endswith(".mod.c")
    )


def _hook(path: Path, line: str) -> None:
    """Add a line to a linked file: a new file takes its place."""
    text = path.read_text()
    path.unlink()
    path.write_text(text + "\n" + line)


def _write_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def copy_changed(source: Path, copy: Path) -> None:
    """Bring a copy up to date, touching only what differs, so that make builds
    only that; objects stay, sources that are gone go."""
    copy.mkdir(parents=True, exist_ok=True)
    wanted = {path.name for path in source.iterdir() if path.is_file() and _is_source(path.name)}
    for path in copy.iterdir():
        if path.suffix in (".c", ".h") and path.name not in wanted and _is_source(path.name):
            path.unlink()
    for name in wanted:
        new, old = source / name, copy / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            shutil.copyfile(new, old)
