# SPDX-License-Identifier: GPL-2.0
"""Did the code that a patch changes run, and in which tests?

Each function that is changed is marked: the kernel then says once in the window of
each job that the function ran.  The mark stands in the line of the brace, so that
every other line keeps its number:

    { int memsafe_mark = ({ ... memsafe_reached(&memsafe_seen, "mm/util.c:vmemdup_user"); 0; });

Texts in, texts out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import schemata
import windows
from record import Run

# In every configuration, and early in the boot.
MARKS_FILE = schemata.SWITCH_FILE
# The window is 1 up to the first job; init counts on.
MARKS = """
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>

static unsigned int memsafe_window = 1;
core_param(memsafe_window, memsafe_window, uint, 0644);

void memsafe_reached(unsigned int *seen, const char *where);
notrace void memsafe_reached(unsigned int *seen, const char *where)
{
	unsigned int now = READ_ONCE(memsafe_window);

	if (READ_ONCE(*seen) != now && xchg(seen, now) != now)
		printk_deferred("memsafe: REACHED %s\\n", where);
}
EXPORT_SYMBOL(memsafe_reached);
"""
MARK = (
    "{{ int memsafe_mark __attribute__((__unused__)) = ({{ "
    "extern void memsafe_reached(unsigned int *seen, const char *where); "
    'static unsigned int memsafe_seen; memsafe_reached(&memsafe_seen, "{where}"); 0; }});'
)
REACHED = re.compile(r"memsafe: REACHED (\S+)$")

# What comments and blanks are, and the strings that only look as if they had some.
TOKEN = re.compile(r"""/\*.*?\*/|//[^\n]*|\s+|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'/]+|.""", re.S)
COMMENTS = ("/*", "//")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include\b.*$", re.M)
PRINTED = re.compile(r"[\w./:+-]+", re.ASCII)

# Code of the kernel, and beside it programs that run while it is built.
CODE = (".c", ".h", ".S", ".rs")
NOT_THE_KERNEL = ("Documentation/", "tools/", "scripts/", "usr/")
# Where a function may run before the kernel does, outside of it, or inside of printk().
APART = re.compile(
    r"arch/\w+/(?:boot|entry/vdso|kernel/vdso(?:32|64)?|vdso|purgatory|realmode|kernel/pi)/"
    r"|arch/\w+/lib/(?:cmdline|insn|inat|error|misc)\.c"
    r"|arch/\w+/kernel/(?:head\w*|asm-offsets|machine_kexec\w*)\.c|arch/\w+/mm/mem_encrypt_identity\.c"
    r"|drivers/firmware/efi/libstub/|lib/(?:vdso|zlib_\w+|zstd|xz|lz4|lzo|fonts)/"
    r"|lib/(?:cmdline|ctype|string|vsprintf|decompress\w*|inflate|fdt\w*|bootconfig)\.c"
    r"|kernel/(?:printk/|irq_work\.c|bounds\.c)"
)
BOOT = re.compile(r"\b__(?:init\w*|meminit|exit|head|ref)\b")
BARE = re.compile(r"\b(?:noinstr|__noinstr_section|__cpuidle|__naked|__entry_text)\b")

# Functions that are listed on a terminal.
SHOWN = 12


@dataclass(frozen=True)
class Changed:
    """A function that a patch changes or adds; `function` is empty for what is outside
    of any.  `why` says why it can't be followed."""

    file: str
    function: str
    why: str = ""

    @property
    def is_followed(self) -> bool:
        return bool(self.function) and not self.why

    @property
    def where(self) -> str:
        return f"{self.file}:{self.function}"

    def not_followed(self, why: str) -> Changed:
        return replace(self, why=self.why or why)


@dataclass(frozen=True)
class _Function:
    name: str
    head: str
    brace: int
    text: str


def changed(file: str, base: str | None, patched: str | None) -> list[Changed]:
    """What a patch changes in a file of these texts, None where there is none."""
    if not file.endswith(CODE) or file.startswith(NOT_THE_KERNEL) or patched is None:
        return []
    if not file.endswith((".c", ".h")):
        return [Changed(file, "", "no C")] if _bare(base or "") != _bare(patched) else []
    before, before_outside = _functions(base or "")
    after, outside = _functions(patched)
    old = _by_name(before)
    found = [
        Changed(file, name, _why_not(file, its))
        for name, its in _by_name(after).items()
        if [one.text for one in its] != [one.text for one in old.get(name, [])]
    ]
    if outside != before_outside:
        found.append(Changed(file, "", "data, a macro or a declaration"))
    return found


def _functions(text: str) -> tuple[list[_Function], str]:
    """Those that have a name we can read, and all else; both without comments."""
    lines = text.splitlines(keepends=True)
    found, outside, at = [], [], 0
    for each in schemata.functions(lines):
        try:
            name, head = schemata.head_of("".join(lines[each.first : each.brace]))
        except schemata.NotWoven:
            continue
        found.append(_Function(name, head, each.brace, _bare("".join(lines[each.first : each.last]))))
        outside.append("".join(lines[at : each.first]))
        at = each.last + 1
    rest = INCLUDE.sub("", "".join([*outside, *lines[at:]]))
    return found, _bare(rest)


def _by_name(functions: Iterable[_Function]) -> dict[str, list[_Function]]:
    """More than one of a name where a configuration chooses."""
    found: dict[str, list[_Function]] = {}
    for one in functions:
        found.setdefault(one.name, []).append(one)
    return found


def _bare(text: str) -> str:
    """Code without comments and with one blank between its words."""
    found: list[str] = []
    for part in TOKEN.findall(text):
        if not part.isspace() and not part.startswith(COMMENTS):
            found.append(part)
        elif found and found[-1] != " ":
            found.append(" ")
    return "".join(found).strip()


def _why_not(file: str, its: Sequence[_Function]) -> str:
    """Why the functions of a name can't be followed, "" when they can."""
    heads = " ".join(one.head for one in its)
    reasons = {
        "a header": file.endswith(".h"),
        "it runs before the kernel, or outside of it": APART.match(file),
        "code of the boot": BOOT.search(heads),
        "it must not call anything": BARE.search(heads),
        "a macro makes it": its[0].name.isupper(),
        "a name that the kernel can't print": not PRINTED.fullmatch(f"{file}:{its[0].name}"),
    }
    return next((why for why, is_so in reasons.items() if is_so), "")


def marked(texts: Mapping[str, str], changes: Iterable[Changed]) -> dict[str, str]:
    """The files with a mark in each function that is followed.  `texts` are those of
    the patched files, and of MARKS_FILE."""
    wanted: dict[str, set[str]] = {}
    for one in changes:
        if one.is_followed:
            wanted.setdefault(one.file, set()).add(one.function)
    if not wanted:
        return {}
    found = {file: _marked(texts[file], file, names) for file, names in wanted.items()}
    found[MARKS_FILE] = found.get(MARKS_FILE, texts[MARKS_FILE]) + MARKS
    return found


def _marked(text: str, file: str, names: set[str]) -> str:
    lines = text.splitlines(keepends=True)
    for one in _functions(text)[0]:
        if one.name in names:
            lines[one.brace] = lines[one.brace].replace("{", MARK.format(where=f"{file}:{one.name}"), 1)
    return "".join(lines)


def ran(run: Run, console: bytes) -> dict[str, tuple[str, ...]]:
    """What has said that it ran, with the jobs in whose windows: "" for the boot and
    what is between jobs."""
    found: dict[str, list[str]] = {}
    for guest in run.guests:
        lines = windows.lines_of(guest, console)
        spans = list(windows.spans_of(lines))
        for number, line in enumerate(lines):
            match = REACHED.match(windows.message(line))
            if match:
                job = next((name for name, start, end in spans if start <= number < end), "")
                found.setdefault(match.group(1), []).append(job)
    return {where: tuple(dict.fromkeys(jobs)) for where, jobs in found.items()}


def objects(
    changes: Iterable[Changed],
    jobs: Mapping[str, Sequence[str]],
    absent: Collection[str] = (),
    lost: bool = False,
) -> list[dict[str, Any]]:
    """gate.json's changed_functions.  `absent` are in no binary of the kernel; `lost`:
    the console has not all that was said."""
    found = []
    for one in changes:
        its = tuple(jobs.get(one.where, ())) if one.is_followed else ()
        reached, why = _reached(one, its, one.where in absent, lost)
        by = [job for job in its if job]
        found.append({
            "file": one.file, "function": one.function, "reached": reached,
            "job": by[0] if by else "", "jobs": by, "why": why,
        })  # fmt: skip
    return found


def _reached(one: Changed, jobs: Sequence[str], absent: bool, lost: bool) -> tuple[bool | None, str]:
    if not one.is_followed:
        return None, one.why
    if jobs:
        return True, ""
    if absent:
        return False, "this kernel is built without it"
    return (None, "the console has lost messages") if lost else (False, "no test runs it")


def verdict(said: str, reason: str, found: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """That of the gate: a pass says nothing of code that never ran."""
    followed = [one for one in found if one["reached"] is not None]
    if said != "pass" or not followed or any(one["reached"] for one in followed):
        return said, reason
    more = f" and {len(followed) - 1} more" if len(followed) > 1 else ""
    return "none", f"UNREACHED: nothing ran {followed[0]['file']}:{followed[0]['function']}{more}"


def lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """For a terminal: the worst first, and not too many."""
    order = {False: 0, True: 1, None: 2}
    shown = [_line(one) for one in sorted(found, key=lambda one: (order[one["reached"]], one["why"]))]
    if len(shown) > SHOWN:
        count = Counter(one["reached"] for one in found)
        told = f"{count[True]} reached, {count[False]} not, {count[None]} not followed"
        shown[SHOWN:] = [f"and {len(shown) - SHOWN} more, all in gate.json: {told}"]
    if all(one["reached"] is None for one in found):
        shown.append("the patch changes no code that can be followed")
    return shown


def _line(one: Mapping[str, Any]) -> str:
    where = f"{one['file']}:{one['function']}" if one["function"] else one["file"]
    if one["reached"] is None:
        return f"not followed: {where}  ({one['why']})"
    if not one["reached"]:
        return f"UNREACHED {where}  ({one['why']})"
    more = f" and {len(one['jobs']) - 1} more" if len(one["jobs"]) > 1 else ""
    by = f"by {one['job']}{more}" if one["job"] else "at boot or between the tests only"
    return f"reached   {where}  {by}"
