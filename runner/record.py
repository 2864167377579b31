# SPDX-License-Identifier: GPL-2.0
"""What a run leaves behind for the judge: run.json beside the texts it points into.

Output of tests is never parsed for where it begins and ends: run.json holds the
offsets, so a test can't print its way into another one's results.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from errors import NoVerdict

FORMAT = 1
Kind = Literal["kunit", "program", "unload"]


@dataclass(frozen=True)
class Job:
    """One module or program of the manifest; `cases` are the names its source
    declares, to notice one that vanishes.  `guest` is the kind that it asks for,
    `detects` the detector that it proves to see, if it does.
    Where a program is in `folder`, and an unload has its modules' names in `words`.
    Unless a `gate` passes, nothing after it in its batch is run."""

    name: str
    kind: Kind
    cases: tuple[str, ...] = ()
    guest: str = ""
    folder: str = "/memsafe/bin"
    words: tuple[str, ...] = ()
    gate: bool = False
    detects: str = ""


@dataclass(frozen=True)
class JobResult:
    """How a job ended.  `outcome`: exit, signal, timeout, stuck, errno, unload
    (from init), or gone (the guest ended in it), hung (the host gave up on it).
    Times are the guest's, in ms since boot; offset and length in results.ktap;
    `marks` say when output came: bytes so far, ms since the job began."""

    name: str
    guest: int
    outcome: str
    number: int = 0
    detail: str = ""
    begin_ms: int = 0
    end_ms: int = 0
    taint: int = 0
    dropped: int = 0
    offset: int = 0
    length: int = 0
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class GuestResult:
    """One boot.  `console` and `leaks` are offset and length in console.log and
    results.ktap; `ended` says that the end mark was reached.  Guests of one `batch`
    follow each other: each goes on where the one before it has died."""

    index: int
    hello: dict[str, str]
    cmdline: str = ""
    kmemleak: str = ""
    ended: bool = False
    detail: str = ""
    begin_taint: int = 0
    console: tuple[int, int] = (0, 0)
    leaks: tuple[int, int] = (0, 0)
    kind: str = ""
    batch: int = 0


@dataclass(frozen=True)
class Run:
    """Everything known about one run of one target but its texts."""

    target: str
    manifest: tuple[Job, ...]
    results: tuple[JobResult, ...] = ()
    guests: tuple[GuestResult, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    filtered: bool = False

    def save(self, folder: Path) -> None:
        """Write run.json, whole or not at all."""
        half = folder / "run.json.half"
        half.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n")
        half.replace(folder / "run.json")

    def add(self, result: JobResult) -> "Run":
        return replace(self, results=(*self.results, result))


def load(folder: Path) -> Run:
    """Read a saved run; NoVerdict when the folder holds none that we know."""
    try:
        data = json.loads((folder / "run.json").read_text())
        return _run(data)
    except OSError:
        raise NoVerdict(f"{folder} holds no run (no run.json)") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoVerdict(f"{folder}/run.json is not a run of this version: {error}") from None


def _run(data: Any) -> Run:
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError("another format")
    run = _as(Run, data)
    assert isinstance(run, Run)
    return run


def _as(kind: Any, value: Any) -> Any:
    """A value as JSON gave it, as the type that a field declares."""
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        known = get_type_hints(kind)
        return kind(**{name: _as(known[name], item) for name, item in _is(dict, value).items()})
    if origin is tuple:
        items = _is(list, value)
        kinds = [parts[0]] * len(items) if parts[-1] is Ellipsis else parts
        return tuple(_as(part, item) for part, item in zip(kinds, items, strict=True))
    if origin is dict:
        return {name: _as(parts[1], item) for name, item in _is(dict, value).items()}
    if origin is Literal:
        if value not in parts:
            raise ValueError(f"{value!r} is none of {parts}")
        return value
    if kind is int and _is(int, value) < 0:
        raise ValueError(f"{value} is negative")
    return float(value) if kind is float and type(value) is int else _is(kind, value)


def _is(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
