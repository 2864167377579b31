# SPDX-License-Identifier: GPL-2.0
"""Everything that goes into a guest beside the kernel: modules, programs, init,
and the disk that carries them.

The programs, their harness and init come from the project and a pinned source,
never from the tree under test: a patch can't change its judge.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import modinfo
from build import Builder, Kernel, compiler_name, compiler_version, digest, with_ccache
from errors import NoVerdict
from overlay import copy_changed
from source import Source
from target import PROJECT, Target

MODULES, PROGRAMS = "modules", "programs"
SCRATCH_MB = 64
DRIVER_MB = 64


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
    only: Sequence[str] = (),
) -> Iterator[Stage]:
    """Build what has changed and pack it.  `modules` is a folder of modules built
    elsewhere; `tests` one of suites and programs to take instead of ours, `driver`
    one, called module too, instead of module/.  With `only` there is nothing but these
    programs and the kernel's own modules."""
    module_dirs = [] if only else [driver or PROJECT / "module", tests or PROJECT / "kunit"]
    programs = tests or PROJECT / "selftests"
    headers = _headers(target, pinned, builder)
    inputs = digest(
        kernel.content,
        pinned.content,
        *(battery_hashes(only) if only else _hashes([*module_dirs, programs])),
        *_hashes([PROJECT / "runner/guest"]),
        *([file_hash(path) for path in sorted(modules.rglob("*.ko"))] if modules else []),
    )
    key = f"{target.name}-{inputs}"
    images = builder.cache.entry("images", key)
    work = builder.cache.entry("stages", f"{target.name}-{digest(str(kernel.folder), *only)}")
    with builder.cache.hold("stages", work.name, exclusive=True):
        if not (images / "payload.img").exists():
            with (
                builder.timed("build"),
                builder.cache.hold("headers", headers.parent.name, exclusive=False),
            ):
                builder.progress.step("build modules and programs")
                if modules:
                    built = sorted(_take_modules(modules, work).glob("*.ko"))
                else:
                    folders = _modules(target, kernel, module_dirs, work, builder)
                    built = [path for folder in folders for path in sorted(folder.glob("*.ko"))]
                    built += in_tree(kernel)
                _programs(target, pinned, headers, programs, only, work, builder)
                _init(target, work, builder)
                _pack(target, built, work, images, builder)
    with builder.cache.hold("images", key, exclusive=False):
        found = {modinfo.kernel_name(path.name): path for path in (images / "debug").glob("*.ko")}
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


def battery_hashes(names: Iterable[str]) -> list[str]:
    """The same of some programs, and of all that they may include or be linked with."""
    folder = PROJECT / "selftests"
    files = [*(folder / f"{name}_test.c" for name in names), folder / "Makefile",
             *sorted(folder.glob("*.h")), *sorted((folder / "drivers").glob("*.c")),
             *sorted((PROJECT / "module").glob("*uapi.h"))]  # fmt: skip
    return [f"{path.name}:{file_hash(path)}" for path in files]


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
    target: Target, kernel: Kernel, folders: Sequence[Path], work: Path, builder: Builder
) -> list[Path]:
    """The folders in which the modules of `folders` are built.  Others beside
    them are of other runs: what is packed comes from these alone."""
    copies = []
    # They include each other's headers.
    wanted = digest(kernel.content, *_hashes(folders))
    for folder in folders:
        copy = work / MODULES / folder.name
        known = copy / ".built"
        copies.append(copy)
        if known.exists() and known.read_text() == wanted:
            continue
        if not builder.commands.dry:
            copy_changed(folder, copy)
            known.unlink(missing_ok=True)
        place = ["-C", str(kernel.source.path), f"O={kernel.folder}", f"M={copy}"]
        builder.make(target, [*place, "modules"], f"{folder.name}/", work, kernel.folder)
        if not builder.commands.dry:
            known.write_text(wanted)
    return copies


def in_tree(kernel: Kernel) -> list[Path]:
    """The modules that were built with the kernel."""
    order = kernel.folder / "modules.order"
    lines = order.read_text().splitlines() if order.is_file() else []
    return [kernel.folder / Path(line).with_suffix(".ko") for line in lines]


def _programs(
    target: Target,
    pinned: Source,
    headers: Path,
    folder: Path,
    only: Sequence[str],
    work: Path,
    builder: Builder,
) -> None:
    """With the kernel's own lib.mk, those whose source has changed: which they are is
    told by content, not by time stamps that another checkout may have set."""
    out = work / PROGRAMS
    known, wanted = out / ".built", _program_contents(target, pinned, folder, builder)
    if not builder.commands.dry:
        _remove_changed(out, known, wanted)
    argv = [
        "make", f"-j{builder.jobs}", "-C", str(folder), f"KSRC={pinned.path}",
        f"OUTPUT={out}", f"KHDR_INCLUDES=-isystem {headers}",
        f"CC={with_ccache(compiler_name(target))}", f"ARCH={target.arch}",
        *([str(out / f"{name}_test") for name in only] or ["all"]),
    ]  # fmt: skip
    done = builder.commands.run(argv, log=builder.log, env=builder.environment(), timeout=600)
    if done.status:
        raise NoVerdict("\n".join([f"{folder.name}/ does not build:", *done.tail]))
    if not builder.commands.dry:
        known.write_text(json.dumps(wanted))


def _program_contents(
    target: Target, pinned: Source, folder: Path, builder: Builder
) -> dict[str, str]:
    """What each program is made of, and under "" what all of them are."""
    shared = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    shared = [path for path in shared if path.suffix != ".c" or path.parent != folder]
    found = {path.stem: file_hash(path) for path in sorted(folder.glob("*.c"))}
    compiler = compiler_version(target, builder.commands)
    return found | {"": digest(compiler, pinned.content, *map(file_hash, shared))}


def _remove_changed(out: Path, known: Path, wanted: dict[str, str]) -> None:
    """What is left in `out` is of the sources that will be built; while they are
    built, nothing is known of it."""
    try:
        before = json.loads(known.read_text())
    except (OSError, ValueError):
        before = {}
    if before.get("") != wanted[""]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        return
    known.unlink()
    for name in before.keys() | wanted.keys():
        if name and before.get(name) != wanted.get(name):
            (out / name).unlink(missing_ok=True)


def battery(
    target: Target, pinned: Source, adapter: Path, names: Sequence[str], out: Path, builder: Builder
) -> None:
    """The battery's programs in `out`, with one adapter: a file of the user's, which is
    read by nothing but the compiler."""
    headers = _headers(target, pinned, replace(builder, jail=None))
    argv = [
        "make", f"-j{builder.jobs}", "-C", str(PROJECT / "selftests"), f"KSRC={pinned.path}",
        f"OUTPUT={out}", f"KHDR_INCLUDES=-isystem {headers}", f"ADAPTERS={adapter}",
        f"CC={with_ccache(compiler_name(target))}", f"ARCH={target.arch}",
        *(str(out / f"{name}_test") for name in names),
    ]  # fmt: skip
    argv = builder.jail.wrap(argv, out) if builder.jail else argv
    done = builder.commands.run(argv, log=builder.log, env=builder.environment(), timeout=600)
    if done.status:
        raise NoVerdict("\n".join([f"{adapter.name} does not build:", *done.tail]))


def driver_disk(
    modules: Sequence[Path], programs: Sequence[Path], image: Path, target: Target, builder: Builder
) -> None:
    """A read-only disk with modules/ and bin/, always of one size: a snapshot goes on
    with any of them."""
    tree = image.with_suffix(".tree")
    strip = f"{target.cross_compile}strip"
    for name in ("modules", "bin"):
        (tree / name).mkdir(parents=True)
    for module in modules:
        _tool([strip, "--strip-debug", "-o", str(tree / "modules" / module.name), str(module)], builder)
    for program in programs:
        _tool([strip, "-o", str(tree / "bin" / program.name), str(program)], builder)
    _tool(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(tree), str(image),
           f"{DRIVER_MB}M"], builder)  # fmt: skip
    shutil.rmtree(tree)


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
    target: Target, built: Sequence[Path], work: Path, images: Path, builder: Builder
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
    for module in built:
        shutil.copyfile(module, half / "debug" / module.name)
        shutil.copyfile(module, tree / "modules" / module.name)
    if built:
        _tool([strip, "--strip-debug", *(str(tree / "modules" / path.name) for path in built)], builder)
    order = modinfo.load_order({path.name: path.read_bytes() for path in built})
    (tree / "modules/load").write_text(order)
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
