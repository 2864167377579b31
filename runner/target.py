# SPDX-License-Identifier: GPL-2.0
"""A target is one file, configs/targets/<name>.toml, and its fragments."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import NoVerdict, UsageError

PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"


@dataclass(frozen=True)
class Qemu:
    """The machine: everything that QEMU and the kernel's command line need."""

    binary: str
    machine: str
    bus: str
    cpu: str
    cpus: int
    memory_mb: int
    cmdline: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True)
class Timeouts:
    """Seconds on a guest that does init's piece of work in `calibration_ns`."""

    job: float
    boot: float = 60.0
    calibration_ns: int = 0


@dataclass(frozen=True)
class Target:
    """`kernel` names a distribution's source package; `fragments` are in order."""

    name: str
    arch: str
    kernel: str
    timeouts: Timeouts
    packages: tuple[str, ...] = ()
    fragments: tuple[str, ...] = ()
    kcflags: str = ""
    cross_compile: str = ""
    make_targets: tuple[str, ...] = ()
    image: str = ""
    modules: tuple[str, ...] = ()
    kunit_py: bool = False
    qemu: Qemu | None = None


def names() -> list[str]:
    """All targets."""
    return sorted(path.stem for path in (CONFIGS / "targets").glob("*.toml"))


def load(name: str) -> Target:
    """Read a target.  UsageError names the nearest one when there is none."""
    path = CONFIGS / "targets" / f"{name}.toml"
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.3) or names()
        raise UsageError(f"no target {name!r}; nearest: {', '.join(near)}")
    try:
        data = tomllib.loads(path.read_text())
        return _target(name, data)
    except KeyError as error:
        raise UsageError(f"{path.name}: no {error}") from None
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise UsageError(f"{path.name}: {error}") from None


def _target(name: str, data: Mapping[str, Any]) -> Target:
    fields: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    machine: dict[str, Any] | None = fields.pop("qemu", None)
    qemu = None
    if machine:
        machine["args"] = tuple(machine.get("args", ()))
        qemu = Qemu(**machine)
    timeouts = Timeouts(**fields.pop("timeouts"))
    return Target(name=name, qemu=qemu, timeouts=timeouts, **fields)


def fragment_text(target: Target) -> str:
    """All fragments of a target, one after the other."""
    return "\n".join(
        (CONFIGS / f"{fragment}.config").read_text() for fragment in target.fragments
    )


def requested(text: str) -> dict[str, str]:
    """Option to wanted value; "n" for `# CONFIG_X is not set`.  The last wins."""
    wanted: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_"):
            option, _, value = line.partition("=")
            wanted[option] = value
        elif line.startswith("# CONFIG_") and line.endswith(" is not set"):
            wanted[line[2:].split()[0]] = "n"
    return wanted


def check_config(wanted: Mapping[str, str], final: str) -> None:
    """NoVerdict naming every option that the final .config lost."""
    have = requested(final)
    lost = [
        f"{option}: wanted {value}, is {have.get(option, 'n')}"
        for option, value in wanted.items()
        if have.get(option, "n") != value
    ]
    if lost:
        raise NoVerdict("options lost in the final .config:\n  " + "\n  ".join(lost))
