# SPDX-License-Identifier: GPL-2.0
"""Unified diffs: what they change and what a file is afterwards.  Text in, values
out.

A patch is anybody's text, so nothing but hunks is taken from it, for regular
files whose names stay below the tree; and no hunk is applied with fuzz: every
line of its context must be there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
# What git can say that hunks can't, from its own header on.
UNSUPPORTED = re.compile(
    r"(?:rename|copy) (?:from|to) |(?:old|new) mode |new file mode (?!100)|GIT binary patch|Binary files "
)


class BadPatch(ValueError):
    """No unified diff, or one that asks for what no mutant needs."""


class DoesNotApply(ValueError):
    """The lines that a hunk changes are not there."""


@dataclass(frozen=True)
class Hunk:
    """Lines with their ends; `start` is the first old line, from 1."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """`path` is relative to the tree, as for patch -p1."""

    path: str
    creates: bool
    removes: bool
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True)
class Patch:
    """`header` is the text before the first file."""

    header: str
    changes: tuple[Change, ...]


def parse(text: str) -> Patch:
    """The patch in a text.  BadPatch says what is wrong with it."""
    lines = text.split("\n")
    changes: list[Change] = []
    header, at = len(lines), 0
    while at < len(lines):
        if lines[at].startswith("--- ") and lines[at + 1 : at + 2] and lines[at + 1].startswith("+++ "):
            header = min(header, at)
            change, at = _change(lines, at)
            changes.append(change)
            continue
        if lines[at].startswith("diff --git "):
            header = min(header, at)
        if HUNK.match(lines[at]):
            raise BadPatch(f"line {at + 1}: a hunk of no file")
        if header < len(lines) and UNSUPPORTED.match(lines[at]):
            raise BadPatch(f"line {at + 1}: only the text of files can change: {lines[at]}")
        at += 1
    paths = [change.path for change in changes]
    if not paths:
        raise BadPatch("no unified diff in it")
    if len(set(paths)) < len(paths):
        raise BadPatch("changes a file twice")
    return Patch("\n".join(lines[:header]), tuple(changes))


def _change(lines: Sequence[str], at: int) -> tuple[Change, int]:
    """The file whose --- and +++ lines are at `at`, and where the rest begins."""
    old, new = _name(lines[at]), _name(lines[at + 1])
    if not (old or new) or (old and new and old != new):
        raise BadPatch(f"line {at + 1}: renames are not supported")
    at += 2
    hunks = []
    while at < len(lines) and HUNK.match(lines[at]):
        hunk, at = _hunk(lines, at)
        hunks.append(hunk)
    if not hunks:
        raise BadPatch(f"line {at + 1}: no hunk of {new or old}")
    return Change(new or old, creates=not old, removes=not new, hunks=tuple(hunks)), at


def _name(line: str) -> str:
    """The path below the tree, empty for /dev/null."""
    name = line[4:].partition("\t")[0].rstrip("\r ")
    if name == "/dev/null":
        return ""
    first, _, path = name.partition("/")
    parts = path.split("/")
    if not first or first == ".." or any(part in ("", ".", "..") for part in parts):
        raise BadPatch(f"changes what is not below the tree: {name}")
    if not name.isprintable() or name.startswith('"') or ".git" in parts:
        raise BadPatch(f"changes a file of an unusual name: {name!r}")
    return path


def _hunk(lines: Sequence[str], at: int) -> tuple[Hunk, int]:
    match = HUNK.match(lines[at])
    assert match
    first = at + 1
    start, old_left, _, new_left = (1 if part is None else int(part) for part in match.groups())
    old: list[str] = []
    new: list[str] = []
    at += 1
    while old_left or new_left or lines[at : at + 1] and lines[at].startswith("\\"):
        line = lines[at] if at < len(lines) else "?"
        kind, rest = line[:1] or " ", line[1:] + "\n"
        at += 1
        if kind == "\\":
            _cut_end(old, new, lines[at - 2])
            continue
        old_left -= kind in " -"
        new_left -= kind in " +"
        if kind not in " -+" or old_left < 0 or new_left < 0:
            raise BadPatch(f"line {at}: not what the hunk in line {first} announces")
        old += [rest] if kind in " -" else []
        new += [rest] if kind in " +" else []
    return Hunk(start, tuple(old), tuple(new)), at


def _cut_end(old: list[str], new: list[str], before: str) -> None:
    """\\ No newline at end of file: of the line before it."""
    for lines, kinds in ((old, " -"), (new, " +")):
        if lines and (before[:1] or " ") in kinds:
            lines[-1] = lines[-1].removesuffix("\n")


def apply(text: str, hunks: Sequence[Hunk]) -> tuple[str, int]:
    """The text with the hunks applied, and by how many lines the farthest one was
    off.  DoesNotApply when one has no place."""
    lines = _lines(text)
    result: list[str] = []
    done = offset = farthest = 0
    for hunk in hunks:
        # A hunk that only adds names the line after which it does.
        wanted = hunk.start - (1 if hunk.old else 0) + offset
        at = _place(lines, hunk.old, wanted, done)
        offset += at - wanted
        farthest = max(farthest, abs(offset))
        result += [*lines[done:at], *hunk.new]
        done = at + len(hunk.old)
    return "".join([*result, *lines[done:]]), farthest


def _lines(text: str) -> list[str]:
    """Lines with their ends; a form feed or a carriage return is no end."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    return lines if lines[-1] else lines[:-1]


def _place(lines: Sequence[str], old: Sequence[str], wanted: int, first: int) -> int:
    """Where the old lines are, nearest to `wanted`, not before `first`."""
    last = len(lines) - len(old)
    if not old:
        if first <= wanted <= last:
            return wanted
        raise DoesNotApply(f"there is no line {wanted}")
    for distance in range(len(lines) + 1):
        for at in (wanted + distance, wanted - distance):
            if first <= at <= last and list(lines[at : at + len(old)]) == list(old):
                return at
    raise DoesNotApply(f"the lines at {wanted + 1} are not there: {old[0].strip()}")
