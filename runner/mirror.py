# SPDX-License-Identifier: GPL-2.0
"""A private kernel tree that is changed for a while and changed back.

Hard links of every source file; a file that changes becomes one of its own, so
the source stays as it was.  Whatever changes here, back included, has the present
time: a build folder that belongs to this tree is never older than what is in it,
and make builds exactly what has changed since.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import overlay
from build import digest
from cache import Cache
from errors import UsageError
from progress import Progress
from source import Source

MARK = Path(".memsafe-mirror")
# ext4 takes the time of files from the timer tick: 10 ms at most.
TICK_S = 0.01


@contextmanager
def hold(source: Source, cache: Cache, progress: Progress) -> Iterator[Path]:
    """The mirror of a source, held against other runs and pruning.  One that an
    earlier run has left changed, or that the source has left behind, is brought
    up to date first."""
    key = f"mutants-{digest(source.content if source.pinned else str(source.path))}"
    path = cache.entry("overlays", key).resolve()
    with cache.hold("overlays", key, exclusive=True):
        progress.step(f"mirror {source.path}")
        if not (path / MARK).exists():
            _forget_builds(path, cache)
            overlay.mirror(source.path, path, keep={MARK})
            (path / MARK).touch()
        for name in follow(source.path, path):
            progress.say(f"brought up to date: {name}")
        progress.done()
        yield path


def _forget_builds(mirror: Path, cache: Cache) -> None:
    """A new mirror has the old times of its source: what was built from one that
    is gone may be of a changed file and yet newer."""
    for folder in (cache.root / "kernels").glob("*"):
        link = folder / "source"
        if link.is_symlink() and Path(os.readlink(link)) == mirror:
            with cache.hold("kernels", folder.name, exclusive=True):
                shutil.rmtree(folder)


def follow(tree: Path, mirror: Path) -> list[str]:
    """Make the mirror hold what the tree does; returns the files that it did not."""
    changed = []
    for folder, folders, files in overlay.sources_of(tree, mirror):
        here = mirror / folder
        if here.is_symlink() or not here.is_dir():
            _remove(here)
            here.mkdir()
        for old in here.iterdir():
            if old.name not in {*folders, *files, str(MARK)}:
                _remove(old)
                changed.append(str(folder / old.name))
        for name in files:
            if not _same(tree / folder / name, here / name):
                restore(tree, mirror, str(folder / name))
                changed.append(str(folder / name))
    return changed


def _same(file: Path, copy: Path) -> bool:
    """Unchanged files are the same file, or (on another file system) of the same
    size and time; changed back ones have only the same text."""
    if file.is_symlink() or copy.is_symlink():
        return file.is_symlink() and copy.is_symlink() and os.readlink(file) == os.readlink(copy)
    if not copy.is_file():
        return False
    new, old = file.stat(), copy.stat()
    if (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino):
        return True
    if new.st_size != old.st_size:
        return False
    return new.st_mtime_ns == old.st_mtime_ns or filecmp.cmp(file, copy, shallow=False)


@contextmanager
def changed(tree: Path, mirror: Path, files: Mapping[str, str | None]) -> Iterator[None]:
    """Files of the mirror with other texts, None for one that is gone; `tree` has
    what they are before and after."""
    for name in files:
        check_place(mirror, name)
    try:
        for name, text in files.items():
            put(mirror / name, text)
        yield
    finally:
        for name in files:
            restore(tree, mirror, name)


def check_place(tree: Path, name: str) -> None:
    """UsageError when a file is behind a symlink: it may be anywhere."""
    path = tree / name
    for part in (path, *path.parents):
        if part == tree:
            return
        if part.is_symlink():
            raise UsageError(f"{name} is a symlink, or behind one: it is not changed")
    raise UsageError(f"{name} is not below {tree}")


def read(path: Path) -> str:
    """A source file as it is, whatever its encoding."""
    return path.read_bytes().decode(errors="surrogateescape")


def put(path: Path, text: str | None) -> None:
    """Replace a file by one of its own, never write into it: it may be a link."""
    mode = path.stat().st_mode if path.exists() else 0o644
    path.unlink(missing_ok=True)
    if text is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(errors="surrogateescape"))
        path.chmod(mode)


def restore(tree: Path, mirror: Path, name: str) -> None:
    """A file as the tree has it, with the present time."""
    file, copy = tree / name, mirror / name
    _remove(copy)
    if file.is_symlink():
        copy.symlink_to(os.readlink(file))
    elif file.exists():
        time.sleep(TICK_S)
        shutil.copyfile(file, copy)
        shutil.copymode(file, copy)
    else:
        _remove_new_folders(tree, mirror, copy.parent)


def _remove_new_folders(tree: Path, mirror: Path, folder: Path) -> None:
    """Up to the first that the tree has too."""
    while not (tree / folder.relative_to(mirror)).exists():
        if folder.exists():
            folder.rmdir()
        folder = folder.parent


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
