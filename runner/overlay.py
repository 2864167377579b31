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
OURS = Path("lib/memsafe")
HOOKS = {
    Path("lib/Kconfig.debug"): 'source "lib/memsafe/Kconfig"\n',
    Path("lib/Makefile"): "obj-y += memsafe/\n",
}
BUILT_NAMES = {".git", ".config", ".config.old", "vmlinux", "vmlinux.a", "System.map",
               "Module.symvers", "modules.order", "modules.builtin"}  # fmt: skip
BUILT_SUFFIXES = {".o", ".ko", ".a", ".cmd", ".mod", ".order", ".symvers", ".dtb"}
BUILT_FOLDERS = {"include/config", "include/generated"}


def make(tree: Path, output: Path, project: Path, *, pinned: bool = False) -> None:
    """Make the overlay of `tree` in `output`, or bring an old one up to date; a
    pinned tree never changes.  NoVerdict when `output` holds something else."""
    version_of(tree)
    if not (output / MARK).exists() and output.exists() and any(output.iterdir()):
        raise NoVerdict(f"{output} is not empty and no overlay of ours")
    if not (pinned and (output / MARK).exists()):
        mirror(tree, output, keep={*HOOKS, Path(MARK), OURS})
    for name, line in HOOKS.items():
        write_changed(output / name, (tree / name).read_text() + "\n" + line)
    write_changed(output / MARK, f"{tree.resolve()}\n")
    ours = output / OURS
    for part in PARTS:
        copy_changed(project / part, ours / part)
    lines = "".join(f'source "lib/memsafe/{part}/Kconfig"\n' for part in PARTS)
    write_changed(ours / "Kconfig", "# SPDX-License-Identifier: GPL-2.0\n" + lines)
    lines = "".join(f"obj-y += {part}/\n" for part in PARTS)
    write_changed(ours / "Makefile", "# SPDX-License-Identifier: GPL-2.0\n" + lines)
    write_changed(ours / ".kunitconfig", (project / "kunit/.kunitconfig").read_text())


def is_built_in_place(tree: Path) -> bool:
    """Would kbuild refuse O= on this tree?  (outputmakefile in the top Makefile)"""
    return any((tree / name).exists() for name in (".config", "include/config"))


def mirror(tree: Path, output: Path, keep: set[Path]) -> None:
    """Make `output` hold exactly the sources of `tree`, as hard links; an old
    mirror is brought up to date.  Paths in `keep` are not ours to touch."""
    kept = keep | {parent for path in keep for parent in path.parents}
    for folder, folders, files in sources_of(tree, output):
        here = output / folder
        here.mkdir(parents=True, exist_ok=True)
        wanted = {*folders, *files}
        for old in here.iterdir():
            if old.name not in wanted and folder / old.name not in kept:
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for name in files:
            if folder / name not in keep:
                _link(tree / folder / name, here / name)


def _link(source: Path, copy: Path) -> None:
    if copy.is_symlink() or copy.exists():
        new, old = source.lstat(), copy.lstat()
        if (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino):
            return
        if new.st_size == old.st_size and new.st_mtime_ns == old.st_mtime_ns:
            return
        copy.unlink()
    if source.is_symlink():
        copy.symlink_to(os.readlink(source))
        shutil.copystat(source, copy, follow_symlinks=False)
        return
    try:
        os.link(source, copy)
    except OSError:  # another file system, or not our file
        shutil.copy2(source, copy)


def sources_of(tree: Path, output: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """(folder, folders in it, files in it) of everything that is source."""
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
        # os.walk counts a symlink to a folder as a folder, and does not enter it.
        links = [name for name in folders if (Path(top) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links]
        yield folder, folders, [name for name in [*files, *links] if _is_source(name)]


def _is_source(name: str) -> bool:
    return (
        name not in BUILT_NAMES
        and os.path.splitext(name)[1] not in BUILT_SUFFIXES
        and not name.startswith(".tmp_")
        and not name.endswith(".mod.c")
    )


def write_changed(path: Path, text: str) -> None:
    """Write a file unless it says so already; a link is replaced, not followed."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
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
