# SPDX-License-Identifier: GPL-2.0
"""Build a target's kernel out of tree in the cache.

A build folder belongs to a source, a configuration and a compiler; built.json
in it says what was last built there completely.  When that is what is wanted,
nothing is started.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import jail
import overlay
import target as targets
from cache import Cache
from errors import NotBuilt, NoVerdict
from proc import Commands
from progress import Progress
from source import Source
from target import Target

KERNEL_TIMEOUT_S = 5400


@dataclass(frozen=True)
class Kernel:
    """A built kernel.  `folder` is kbuild's O=, `content` names what was built."""

    folder: Path
    image: Path
    config: Path
    source: Source
    compiler: str
    content: str


@dataclass(frozen=True)
class Builder:
    """What every build step needs: where things are and how to start them.  With a
    jail everything that a tree brings along runs in it."""

    cache: Cache
    commands: Commands
    progress: Progress
    jobs: int
    log: Path
    seconds: dict[str, float] = field(default_factory=dict)
    jail: jail.Jail | None = None

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add what the block takes to `seconds[part]`."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begin

    def make(self, target: Target, arguments: list[str], what: str, *writes: Path) -> None:
        """kbuild for a target; `writes` are the folders that it may change.  NotBuilt
        with the last lines when it fails."""
        argv = ["make", f"-j{self.jobs}", *arguments, *kbuild_variables(target)]
        argv = self.jail.wrap(argv, *writes) if self.jail else argv
        count = 0

        def on_line(line: str) -> None:
            nonlocal count
            if line.startswith("  "):
                count += 1
                self.progress.detail(f"{count} files, {line.strip()}")

        done = self.commands.run(
            argv, log=self.log, env=self.environment(), timeout=KERNEL_TIMEOUT_S, on_line=on_line
        )
        if done.status:
            lines = [line for line in done.tail if not line.startswith("  ")]
            raise NotBuilt("\n".join([f"{what} does not build:", *lines, f"log: {self.log}"]))

    def environment(self) -> Mapping[str, str]:
        """ccache keeps its objects with ours and forgets where they were built.  What
        is built in a jail only takes from it."""
        return {
            **({"CCACHE_READONLY": "1", "CCACHE_TEMPDIR": jail.TMP} if self.jail else {}),
            "CCACHE_DIR": str(self.cache.root / "ccache"),
            "CCACHE_BASEDIR": str(self.cache.root),
            "CCACHE_NOHASHDIR": "1",
            "CCACHE_MAXSIZE": "5G",
            # Not the number of times that an image was linked in this folder.
            "KBUILD_BUILD_VERSION": "1",
            "LC_ALL": "C",
        }


def compiler_name(target: Target) -> str:
    return f"{target.cross_compile}gcc"


def with_ccache(compiler: str) -> str:
    """The compiler through ccache, where that is installed."""
    return f"ccache {compiler}" if shutil.which("ccache") else compiler


def compiler_version(target: Target, commands: Commands) -> str:
    """The first line that the compiler says of itself."""
    return commands.output([compiler_name(target), "--version"]).splitlines()[0]


def kbuild_variables(target: Target) -> list[str]:
    """Command line variables of every kbuild call; fixed KBUILD_BUILD_* values
    make the same sources give the same objects."""
    variables = [
        f"ARCH={target.arch}",
        f"CC={with_ccache(compiler_name(target))}",
        "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
        "KBUILD_BUILD_USER=memsafe",
        "KBUILD_BUILD_HOST=memsafe",
    ]
    if target.cross_compile:
        variables.append(f"CROSS_COMPILE={target.cross_compile}")
    if target.kcflags:
        variables.append(f"KCFLAGS={target.kcflags}")
    return variables


def digest(*parts: str) -> str:
    """A short name for everything that a result depends on."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@contextmanager
def kernel(target: Target, source: Source, extra: str, builder: Builder) -> Iterator[Kernel]:
    """The target's kernel, built if need be and held against pruning and
    rebuilding while in use.  `extra` is a fragment of the user's."""
    if target.arch == "um" or not target.make_targets:
        raise NoVerdict(f"{target.name} has no kernel to build")
    source = _clean(source, builder)
    target = targets.for_version(target, source.version)
    fragments = targets.fragment_text(target) + targets.older_text(source.version)
    fragments += "\n" + extra
    compiler = compiler_version(target, builder.commands)
    recipe = digest(fragments, compiler, *kbuild_variables(target), *target.make_targets)
    identity = source.content if source.pinned else str(source.path)
    key = f"{target.name}-{digest(identity, recipe)}"
    wanted = digest(source.content, recipe)
    folder = builder.cache.entry("kernels", key)
    with builder.cache.hold("kernels", key, exclusive=False):
        ready = _built(folder) == wanted
    if not ready:
        with builder.cache.hold("kernels", key, exclusive=True):
            if _built(folder) != wanted:
                _build(target, source, fragments, folder, builder)
                _say_built(folder, wanted, builder)
    with builder.cache.hold("kernels", key, exclusive=False):
        yield Kernel(
            folder, folder / target.image, folder / ".config", source, compiler, wanted
        )


def _clean(source: Source, builder: Builder) -> Source:
    """The tree itself, or a mirror without what an in-place build left in it."""
    if source.pinned or not overlay.is_built_in_place(source.path):
        return source
    mirror = builder.cache.entry("overlays", f"clean-{digest(str(source.path))}")
    with builder.cache.hold("overlays", mirror.name, exclusive=True):
        builder.progress.step(f"mirror {source.path}, which was built in place")
        overlay.mirror(source.path, mirror, keep=set())
    return replace(source, path=mirror)


def _built(folder: Path) -> str:
    try:
        return str(json.loads((folder / "built.json").read_text())["content"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _say_built(folder: Path, content: str, builder: Builder) -> None:
    if builder.commands.dry:
        return
    half = folder / "built.json.half"
    half.write_text(json.dumps({"content": content}) + "\n")
    half.rename(folder / "built.json")


def _build(target: Target, source: Source, fragments: str, folder: Path, builder: Builder) -> None:
    if not builder.commands.dry:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "built.json").unlink(missing_ok=True)
    with builder.timed("config"):
        _configure(target, source, fragments, folder, builder)
    builder.progress.step(f"build Linux {source.version} for {target.name}")
    place = ["-C", str(source.path), f"O={folder}"]
    with builder.timed("build"):
        builder.make(target, [*place, *target.make_targets], f"Linux {source.version}", folder)


def _configure(
    target: Target, source: Source, fragments: str, folder: Path, builder: Builder
) -> None:
    """tinyconfig, then the fragments on top; every option is checked."""
    builder.progress.step(f"configure {target.name}")
    place = ["-C", str(source.path), f"O={folder}"]
    config = folder / ".config"
    before = config.read_bytes() if config.exists() else b""
    builder.make(target, [*place, "tinyconfig"], "the configuration", folder)
    if builder.commands.dry:
        builder.commands.show(f"cat fragments of {target.name} >> {config}")
        return builder.make(target, [*place, "olddefconfig"], "the configuration", folder)
    with config.open("a") as file:
        file.write(fragments)
    builder.make(target, [*place, "olddefconfig"], "the configuration", folder)
    targets.check_config(targets.requested(fragments), config.read_text())
    if before and before != config.read_bytes():
        builder.progress.say("the configuration has changed: building again")


def cpus() -> int:
    """Cores that this process may use: affinity and the cgroup's quota."""
    usable = len(os.sched_getaffinity(0))
    for name in ("/sys/fs/cgroup/cpu.max",):
        try:
            quota, period = Path(name).read_text().split()
            usable = min(usable, max(1, int(quota) // int(period)))
        except (OSError, ValueError):
            continue
    return usable
