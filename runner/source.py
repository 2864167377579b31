# SPDX-License-Identifier: GPL-2.0
"""Kernel sources: the distribution's, unpacked once, or any tree of the user's."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import packages
from cache import Cache
from errors import NoVerdict
from proc import Commands
from progress import Progress
from target import numbers

TARBALLS = Path("/usr/src")
OLDEST = (6, 1)


@dataclass(frozen=True)
class Source:
    """A kernel tree.  `version` as its Makefile says, `content` changes when a
    file does; `pinned` trees are ours and never change."""

    path: Path
    version: str
    content: str
    pinned: bool


def distribution(package: str, cache: Cache, commands: Commands, progress: Progress) -> Source:
    """The tree of a Debian source package, unpacked into the cache.  Debian
    replaces these with point releases: the version found is part of the key."""
    packages.ensure([package])
    installed = commands.output(["dpkg-query", "-W", "-f", "${Version}", package])
    key = f"{package}_{installed}"
    path = cache.entry("sources", key)
    if commands.dry and not path.exists():
        commands.show(f"unpack {TARBALLS / package}.tar.xz to {path}")
        return Source(path, installed.partition("-")[0], f"debian:{key}", pinned=True)
    if not (path / "Makefile").is_file():
        with cache.hold("sources", key, exclusive=True):
            if not (path / "Makefile").is_file():
                progress.step(f"unpack {package} {installed}")
                _unpack(TARBALLS / f"{package}.tar.xz", path, commands)
    return Source(path, version_of(path), f"debian:{key}", pinned=True)


def _unpack(tarball: Path, path: Path, commands: Commands) -> None:
    """Into a folder beside the final one, renamed when complete."""
    half = path.with_name(path.name + ".unpacking")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    done = commands.run(["tar", "-xf", str(tarball), "-C", str(half), "--strip-components=1"])
    if done.status:
        raise NoVerdict("\n".join([f"can't unpack {tarball.name}:", *done.tail]))
    half.rename(path)


def tree(path: Path, commands: Commands) -> Source:
    """Any kernel tree.  NoVerdict when it is none or older than 6.1."""
    path = path.resolve()
    return Source(path, supported(path), _content(path, commands), pinned=False)


def supported(path: Path) -> str:
    """The version of a tree that we work with; NoVerdict as above."""
    version = version_of(path)
    if numbers(version) < OLDEST:
        raise NoVerdict(f"{path} is Linux {version}; 6.1 is the oldest that works")
    return version


def version_of(path: Path) -> str:
    """ "6.12.117" from the top Makefile; NoVerdict when it is no kernel tree."""
    try:
        text = (path / "Makefile").read_text(errors="replace")[:2000]
    except OSError:
        text = ""
    found = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION) *= *(.*)$", text, re.M))
    if not {"VERSION", "PATCHLEVEL"} <= found.keys() or not (path / "Kconfig").is_file():
        raise NoVerdict(f"{path} is no kernel tree")
    sublevel = "." + found["SUBLEVEL"] if found.get("SUBLEVEL") else ""
    return f"{found['VERSION']}.{found['PATCHLEVEL']}{sublevel}{found.get('EXTRAVERSION', '')}"


def _content(path: Path, commands: Commands) -> str:
    """For a git tree HEAD, the difference to it and the untracked files; for
    any other the name, size and change time of every file."""
    if (path / ".git").exists():
        git = ["git", "-C", str(path)]
        head = commands.output([*git, "rev-parse", "HEAD"]).strip()
        changes = commands.output([*git, "diff", "HEAD", "--binary"], timeout=300)
        others = commands.output([*git, "ls-files", "-o", "--exclude-standard"], timeout=300)
        digest = hashlib.sha256(changes.encode())
        for name in others.splitlines():
            digest.update(f"{name}\0{_stamp(path / name)}\n".encode())
        return f"git:{head}:{digest.hexdigest()[:16]}"
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            full = Path(folder, name)
            digest.update(f"{full.relative_to(path)}\0{_stamp(full)}\n".encode())
    return f"tree:{path}:{digest.hexdigest()[:16]}"


def _stamp(path: Path) -> str:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"
