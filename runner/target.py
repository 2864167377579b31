# SPDX-License-Identifier: GPL-2.0
"""A target is one file, configs/targets/<name>.toml, and its fragments."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class Guest:
    """A kind of guest: its machine and the modules that stay loaded, as file name
    and parameters.  `alone`: one job a guest.  `cold`: it boots each time, since what it
    has does not come back from a snapshot.  Without `leaks` no kmemleak scans.
    `disk` is a disk of the modules' own, mounted before they are loaded."""

    qemu: Qemu
    modules: tuple[str, ...] = ()
    alone: bool = False
    cold: bool = False
    leaks: bool = True
    disk: str = ""


@dataclass(frozen=True)
class Timeouts:
    """Seconds on a guest that does init's piece of work in `calibration_ns`."""

    job: float
    boot: float = 60.0
    calibration_ns: int = 0


@dataclass(frozen=True)
class Target:
    """`kernel` names a distribution's source package, `tree` another one where the
    kernel under test is not of that version; `fragments` are in order.
    `guests` are by kind, "" is the main one; none when there is no QEMU.
    `before` is what is different for kernels before a version."""

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
    kunit_py: bool = False
    tree: str = ""
    guests: Mapping[str, Guest] = field(default_factory=dict)
    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def guest(self, kind: str) -> Guest:
        """The guest for jobs of a kind: the main one where the target has no other."""
        return self.guests.get(kind) or self.guests[""]


def names() -> list[str]:
    """All targets."""
    return sorted(path.stem for path in (CONFIGS / "targets").glob("*.toml"))


def load(name: str) -> Target:
    """Read a target, NAME or NAME@VERSION for another kernel of the distribution.
    UsageError names the nearest one when there is none."""
    base, at, version = name.partition("@")
    path = CONFIGS / "targets" / f"{base}.toml"
    if base not in names() or (at and not re.fullmatch(r"\d+\.\d+", version)):
        near = difflib.get_close_matches(name, names(), n=3, cutoff=0.3) or names()
        raise UsageError(f"no target {name!r}; nearest: {', '.join(near)}")
    try:
        data = tomllib.loads(path.read_text())
        if at:
            data["tree"] = f"linux-source-{version}"
        return _target(name, data)
    except KeyError as error:
        raise UsageError(f"{path.name}: no {error}") from None
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise UsageError(f"{path.name}: {error}") from None


def _target(name: str, data: Mapping[str, Any]) -> Target:
    fields = _tuples(data)
    machine, modules = fields.pop("qemu", None), fields.pop("modules", ())
    changes = {"": {}} | fields.pop("guests", {})
    guests = {
        kind: _guest(machine, {"modules": modules} | change) for kind, change in changes.items()
    } if machine else {}  # fmt: skip
    timeouts = Timeouts(**fields.pop("timeouts"))
    return Target(name=name, guests=guests, timeouts=timeouts, **fields)


def _guest(machine: Mapping[str, Any], changes: Mapping[str, Any]) -> Guest:
    """The main machine with what is different; `cmdline_add` goes at the end."""
    fields = _tuples(machine) | _tuples(changes)
    own = {key: fields.pop(key) for key in ("modules", "alone", "cold", "leaks") if key in fields}
    fields["cmdline"] = f"{fields['cmdline']} {fields.pop('cmdline_add', '')}".strip()
    return Guest(Qemu(**fields), **own)


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


def for_version(target: Target, version: str) -> Target:
    """The target with what is different for a kernel of this version."""
    for bound in sorted(target.before, key=numbers, reverse=True):
        if numbers(version) < numbers(bound):
            target = replace(target, **_tuples(target.before[bound]))
    return target


def fragment_text(target: Target) -> str:
    """All fragments of a target, one after the other."""
    return "\n".join(
        (CONFIGS / f"{fragment}.config").read_text() for fragment in target.fragments
    )


def older_text(version: str) -> str:
    """configs/before/<version>.config of every version that came after this one:
    what its options were called, or that it has none."""
    found = (CONFIGS / "before").glob("*.config")
    later = {numbers(path.stem): path for path in found if numbers(path.stem) > numbers(version)}
    return "\n".join(later[key].read_text() for key in sorted(later, reverse=True))


def numbers(version: str) -> tuple[int, ...]:
    """(6, 12) of "6.12.117"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


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
