# SPDX-License-Identifier: GPL-2.0
"""Everything that goes into a guest beside the kernel: modules, programs, init,
and the disk that carries them.

The programs, their harness and init come from the project and a pinned source,
never from the tree under test: a patch can't change its judge.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from build import Builder, Kernel, compiler_name, digest, with_ccache
from errors import NoVerdict
from overlay import copy_changed
from source import Source
from target import PROJECT, Target

MODULES, PROGRAMS = "modules", "programs"
SCRATCH_MB = 64


@dataclass(frozen=True)
class Stage:
    """`modules` are unstripped .ko files by name, built in `sources` (for decoding
    reports)."""

    initrd: Path
    payload: Path
    scratch: Path
    modules: dict[str, Path]
    sources: Path


@contextmanager
def prepare(
    target: Target,
    kernel: Kernel,
    pinned: Source,
    modules: Path | None,
    tests: Path | None,
    builder: Builder,
    driver: Path | None = None,
) -> Iterator[Stage]:
    """Build what has changed and pack it.  `modules` is a folder of modules built
    elsewhere; `tests` one of suites and programs to take instead of ours, `driver`
    one, called module too, instead of module/."""
    module_dirs = [driver or PROJECT / "module", tests or PROJECT / "kunit"]
    programs = tests or PROJECT / "selftests"
    headers = _headers(target, pinned, builder)
    inputs = digest(
        kernel.content,
        pinned.content,
        *_hashes([*module_dirs, programs, PROJECT / "runner/guest"]),
        *([file_hash(path) for path in sorted(modules.rglob("*.ko"))] if modules else []),
    )
    key = f"{target.name}-{inputs}"
    images = builder.cache.entry("images", key)
    work = builder.cache.entry("stages", f"{target.name}-{digest(str(kernel.folder))}")
    with builder.cache.hold("stages", work.name, exclusive=True):
        if not (images / "payload.img").exists():
            with (
                builder.timed("build"),
                builder.cache.hold("headers", headers.parent.name, exclusive=False),
            ):
                builder.progress.step("build modules and programs")
                if modules:
                    built = [_take_modules(modules, work)]
                else:
                    built = _modules(target, kernel, module_dirs, work, builder)
                _programs(target, pinned, headers, programs, work, builder)
                _init(target, work, builder)
                _pack(target, built, work, images, builder)
    with builder.cache.hold("images", key, exclusive=False):
        found = {path.stem: path for path in (images / "debug").glob("*.ko")}
        yield Stage(
            images / "initrd.cpio",
            images / "payload.img",
            images / "scratch.qcow2",
            found,
            work / MODULES,
        )


def _hashes(folders: Iterable[Path]) -> list[str]:
    """Names and contents of all source files below some folders."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in ("", ".c", ".h", ".sh", ".S"):
                found.append(f"{path.name}:{file_hash(path)}")
    return found


def _headers(target: Target, pinned: Source, builder: Builder) -> Path:
    """The user API headers of the pinned source."""
    key = f"{target.arch}-{digest(pinned.content)}"
    path = builder.cache.entry("headers", key)
    # Renamed when complete: who only looks does not wait for who builds with them.
    if (path / "include").is_dir():
        return path / "include"
    with builder.cache.hold("headers", key, exclusive=True):
        if not (path / "include").is_dir():
            builder.progress.step("install user headers")
            half = path.with_name(path.name + ".half")
            shutil.rmtree(half, ignore_errors=True)
            place = ["-C", str(pinned.path), f"O={half / 'build'}"]
            builder.make(
                target, [*place, f"INSTALL_HDR_PATH={half}", "headers_install"], "user headers"
            )
            shutil.rmtree(half / "build", ignore_errors=True)
            if not builder.commands.dry:
                half.rename(path)
    return path / "include"


def file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take_modules(modules: Path, work: Path) -> Path:
    taken = work / MODULES / "taken"
    shutil.rmtree(taken, ignore_errors=True)
    taken.mkdir(parents=True)
    for path in modules.rglob("*.ko"):
        shutil.copyfile(path, taken / path.name)
    return taken


def _modules(
    target: Target, kernel: Kernel, folders: Iterable[Path], work: Path, builder: Builder
) -> list[Path]:
    """The folders in which the modules of `folders` are built.  Others beside
    them are of other runs: what is packed comes from these alone."""
    copies = []
    for folder in folders:
        copy = work / MODULES / folder.name
        copies.append(copy)
        if not builder.commands.dry:
            copy_changed(folder, copy)
        place = ["-C", str(kernel.source.path), f"O={kernel.folder}", f"M={copy}"]
        builder.make(target, [*place, "modules"], f"{folder.name}/")
    return copies


def _programs(
    target: Target, pinned: Source, headers: Path, folder: Path, work: Path, builder: Builder
) -> None:
    """With the kernel's own lib.mk; what an older source has left there goes."""
    out = work / PROGRAMS
    if not builder.commands.dry:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
    argv = [
        "make", f"-j{builder.jobs}", "-C", str(folder), f"KSRC={pinned.path}",
        f"OUTPUT={out}", f"KHDR_INCLUDES=-isystem {headers}",
        f"CC={with_ccache(compiler_name(target))}", f"ARCH={target.arch}", "all",
    ]  # fmt: skip
    done = builder.commands.run(argv, log=builder.log, env=builder.environment(), timeout=600)
    if done.status:
        raise NoVerdict("\n".join([f"{folder.name}/ does not build:", *done.tail]))


def _init(target: Target, work: Path, builder: Builder) -> None:
    """init alone is the initramfs: the less there is to unpack, the sooner it runs."""
    root = work / "initramfs"
    if not builder.commands.dry:
        shutil.rmtree(root, ignore_errors=True)
        for name in ("dev", "proc", "sys", "tmp"):
            (root / name).mkdir(parents=True)
    sources = [str(path) for path in sorted((PROJECT / "runner/guest").glob("*.c"))]
    argv = [compiler_name(target), "-D_GNU_SOURCE", "-static", "-Os", "-s", "-Wall", "-Wextra",
            "-o", str(root / "init"), *sources]
    pack = ["sh", "-c", 'cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet > "$2"', "pack",
            str(root), str(work / "initrd.cpio")]
    for command in (argv, pack):
        done = builder.commands.run(command, log=builder.log, timeout=300)
        if done.status:
            raise NoVerdict("\n".join(["the guest's init does not build:", *done.tail]))


def _pack(
    target: Target, built: Iterable[Path], work: Path, images: Path, builder: Builder
) -> None:
    """A read-only ext4 disk with modules/ and bin/, and an empty scratch disk."""
    if builder.commands.dry:
        return builder.commands.show(f"pack {images}/payload.img")
    strip = f"{target.cross_compile}strip"
    half = images.with_name(images.name + ".half")
    shutil.rmtree(half, ignore_errors=True)
    tree = half / "tree"
    for name in ("modules", "bin"):
        (tree / name).mkdir(parents=True)
    (half / "debug").mkdir()
    for module in (path for folder in built for path in folder.glob("*.ko")):
        shutil.copyfile(module, half / "debug" / module.name)
        _tool([strip, "--strip-debug", "-o", str(tree / "modules" / module.name), str(module)],
              builder)  # fmt: skip
    for program in (work / PROGRAMS).iterdir():
        if program.is_file() and os.access(program, os.X_OK):
            _tool([strip, "-o", str(tree / "bin" / program.name), str(program)], builder)
    shutil.copyfile(work / "initrd.cpio", half / "initrd.cpio")
    _disks(tree, half, builder)
    shutil.rmtree(tree)
    half.rename(images)


def _disks(tree: Path, half: Path, builder: Builder) -> None:
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    megabytes = size * 5 // 4 // (1 << 20) + 4
    plain = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0"]
    _tool([*plain, "-d", str(tree), str(half / "payload.img"), f"{megabytes}M"], builder)
    _tool([*plain, str(half / "scratch.img"), f"{SCRATCH_MB}M"], builder)
    _tool(["qemu-img", "convert", "-O", "qcow2", str(half / "scratch.img"),
           str(half / "scratch.qcow2")], builder)
    (half / "scratch.img").unlink()


def _tool(argv: list[str], builder: Builder) -> None:
    done = builder.commands.run(argv, log=builder.log, timeout=300)
    if done.status:
        raise NoVerdict("\n".join([f"{argv[0]} failed:", *done.tail]))
