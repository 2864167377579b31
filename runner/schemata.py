# SPDX-License-Identifier: GPL-2.0
"""Mutant schemata: many mutants of the kernel in one image, each asleep until its
number is written to a parameter of the kernel.  Text in, text out.

Of each function that a mutant changes there is one more, and the original goes to
it first when that mutant is awake:

    static int f__mutant_5(int a)
    {
            the mutant's lines
    }

    static int f(int a)
    {
            if (unlikely(memsafe_mutant == 5) && memsafe_mutant_runs("name"))
                    return f__mutant_5(a);

Only mutants that change nothing but the insides of functions can be woven.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# In every configuration, and early in the boot.
SWITCH_FILE = "mm/util.c"
SWITCH = """
#include <linux/moduleparam.h>
#include <linux/printk.h>

int memsafe_mutant;
EXPORT_SYMBOL(memsafe_mutant);
core_param(memsafe_mutant, memsafe_mutant, int, 0600);

bool memsafe_mutant_runs(const char *name);
bool memsafe_mutant_runs(const char *name)
{
	static bool said;

	if (!said) {
		said = true;
		printk_deferred("memsafe: MUTANT %s\\n", name);
	}
	return true;
}
EXPORT_SYMBOL(memsafe_mutant_runs);
"""
DECLARED = "extern int memsafe_mutant;\nextern bool memsafe_mutant_runs(const char *name);\n"

# What stands behind the parameters of a function, or in front of its name, with
# parentheses of its own.
ATTRIBUTE = re.compile(
    r"__(?:attribute__|acquires|releases|must_hold|cond_acquires|printf|section|aligned"
    r"|alloc_size|realloc_size|no_sanitize_\w+)$"
)
SYSCALL = re.compile(r"SYSCALL_DEFINE[0-6]$")
NAME = re.compile(r"[A-Za-z_]\w*")
PRINTED = re.compile(r"[\w.+-]+", re.ASCII)
COMMENT = re.compile(r"/\*.*?\*/", re.S)


class NotWoven(ValueError):
    """This mutant needs a kernel of its own: `str` says why."""


@dataclass(frozen=True)
class Function:
    """Lines `first` to `last` of a file, from 0, `brace` the one that opens the body."""

    first: int
    brace: int
    last: int


@dataclass(frozen=True)
class Signature:
    """`head` with {name} in place of the name; `arguments` as a call gives them."""

    head: str
    name: str
    arguments: tuple[str, ...]
    returns: bool


def functions(lines: Sequence[str]) -> list[Function]:
    """All functions of a C file in the kernel's style: braces in the first column."""
    found: list[Function] = []
    brace = -1
    for number, line in enumerate(lines):
        if line.rstrip() == "{" and line[0] == "{":
            brace = number
        elif line.startswith("}") and brace >= 0:
            first = _first_line(lines, brace)
            if first < brace and line.rstrip() == "}":
                found.append(Function(first, brace, number))
            brace = -1
    return found


def _first_line(lines: Sequence[str], brace: int) -> int:
    """Where the signature above a brace begins."""
    first = brace
    while first and not _ends_something(lines[first - 1]):
        first -= 1
    return first


def _ends_something(line: str) -> bool:
    text = line.rstrip()
    return not text or text.endswith((";", "}", "*/")) or text.startswith(("#", "EXPORT_", "}"))


def _name_at(text: str) -> tuple[int, int]:
    """Where the name stands in a signature without comments.  NotWoven."""
    spans = [
        match.span()
        for match in re.finditer(r"[A-Za-z_]\w*(?=\s*\()", text)
        if not _depth(text[: match.start()]) and not ATTRIBUTE.match(match.group())
    ]
    if not spans:
        raise NotWoven(f"no function: {text.split(chr(10))[0]}")
    return spans[-1]


def head_of(text: str) -> tuple[str, str]:
    """The name of any function, and what its signature says beside it.  NotWoven."""
    text = COMMENT.sub(" ", text)
    start, end = _name_at(text)
    name = text[start:end]
    call = re.match(r"(COMPAT_)?SYSCALL_DEFINE[0-6]$", name)
    if call:
        argument = re.match(r"\s*\(\s*(\w+)", text[end:])
        if not argument:
            raise NotWoven(f"no system call: {name}")
        name = f"{'compat_' if call.group(1) else ''}sys_{argument.group(1)}"
    return name, text[:start] + text[end:]


def signature(text: str) -> Signature:
    """What a function's lines before its body say.  NotWoven when we can't read it."""
    text = COMMENT.sub(" ", text)
    start, end = _name_at(text)
    name = text[start:end]
    opens = text.index("(", end)
    closes = _closing(text, opens)
    parameters = _split(text[opens + 1 : closes])
    if SYSCALL.match(name):
        return _system_call(parameters)
    before = NAME.findall(text[:start])
    returns = "void" not in before or "*" in text[:start]
    arguments = tuple(_argument(parameter) for parameter in parameters if parameter != "void")
    head = text[:start] + "{name}" + text[end:]
    return Signature(head, name, arguments, returns)


def _system_call(parameters: Sequence[str]) -> Signature:
    """SYSCALL_DEFINE2(name, type, name, type, name)"""
    name, pairs = parameters[0], parameters[1:]
    arguments = tuple(pairs[1::2])
    takes = ", ".join(f"{kind} {argument}" for kind, argument in zip(pairs[::2], arguments, strict=True))
    return Signature(f"static long {{name}}({takes or 'void'})\n", f"sys_{name}", arguments, True)


def _depth(text: str) -> int:
    return text.count("(") - text.count(")")


def _closing(text: str, opens: int) -> int:
    depth = 0
    for at in range(opens, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return at
    raise NotWoven("parentheses that do not close")


def _split(text: str) -> list[str]:
    """Parameters; a comma in parentheses is none."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _argument(parameter: str) -> str:
    """The name of a parameter: int a, char a[4], void (*a)(int)."""
    if parameter == "...":
        raise NotWoven("a variable number of arguments")
    pointer = re.search(r"\(\s*\*\s*(\w+)[^)]*\)\s*\(", parameter)
    if pointer:
        return str(pointer.group(1))
    names = NAME.findall(re.sub(r"\[.*", "", parameter))
    if len(names) < 2:
        raise NotWoven(f"a parameter without a name: {parameter}")
    return str(names[-1])


def _bodies(text: str) -> tuple[list[str], list[Function], list[str]]:
    """Lines, functions, and all that is not the inside of one."""
    lines = text.splitlines(keepends=True)
    found = functions(lines)
    outside: list[str] = []
    at = 0
    for each in found:
        outside.append("".join(lines[at : each.brace + 1]))
        at = each.last
    return lines, found, [*outside, "".join(lines[at:])]


def changed(original: str, mutated: str) -> dict[int, str]:
    """The bodies that a mutant changes, by the number of the function in the file.
    NotWoven when it changes anything else."""
    lines, found, outside = _bodies(original)
    other, others, around = _bodies(mutated)
    if outside != around:
        raise NotWoven("changes more than the insides of functions")
    bodies = {}
    for number, (mine, its) in enumerate(zip(found, others, strict=True)):
        body = "".join(other[its.brace + 1 : its.last])
        if body != "".join(lines[mine.brace + 1 : mine.last]):
            bodies[number] = body
            signature("".join(lines[mine.first : mine.brace]))
    return bodies


def _woven(original: str, bodies: Mapping[int, Mapping[int, tuple[str, str]]]) -> str:
    """A file with more functions: by function, by number of the mutant, its name and
    the body it gives."""
    lines = original.splitlines(keepends=True)
    result: list[str] = []
    at = 0
    for number, function in enumerate(functions(lines)):
        if number not in bodies:
            continue
        said = signature("".join(lines[function.first : function.brace]))
        result += [*lines[at : function.first], DECLARED]
        if any(re.search(rf"\b{said.name}\b", body) for _, body in bodies[number].values()):
            result.append(said.head.replace("{name}", said.name).rstrip() + ";\n")
        switch = ""
        for mutant, (name, body) in bodies[number].items():
            own = f"{said.name}__mutant_{mutant}"
            head = said.head.replace("{name}", own)
            static = "" if re.search(r"\bstatic\b", head) else "static "
            result.append(f"{static}{head.rstrip()}\n{{\n{body}}}\n\n")
            call = f"{own}({', '.join(said.arguments)});"
            then = f"\t\treturn {call}\n" if said.returns else f"\t\t{{ {call} return; }}\n"
            switch += f'\tif (unlikely(memsafe_mutant == {mutant}) && memsafe_mutant_runs("{name}"))\n'
            switch += then
        result += [*lines[function.first : function.brace + 1], switch]
        at = function.brace + 1
    return "".join([*result, *lines[at:]])


def weave(
    mutants: Mapping[str, Mapping[str, str]], read: Callable[[str], str]
) -> tuple[dict[str, str], dict[str, int], dict[str, str]]:
    """Mutants as the texts of their files, woven into the texts that `read` gives:
    the texts, the number of each mutant from 1, and of each that could not be woven
    the reason."""
    numbers: dict[str, int] = {}
    refused: dict[str, str] = {}
    bodies: dict[str, dict[int, dict[int, tuple[str, str]]]] = {}
    for name, texts in mutants.items():
        try:
            if not PRINTED.fullmatch(name):
                raise NotWoven("a name that the kernel can't print")
            found = {path: changed(read(path), text) for path, text in texts.items()}
        except NotWoven as error:
            refused[name] = str(error)
            continue
        numbers[name] = len(numbers) + 1
        for path, its in found.items():
            for function, body in its.items():
                of_function = bodies.setdefault(path, {}).setdefault(function, {})
                of_function[numbers[name]] = (name, body)
    woven = {path: _woven(read(path), its) for path, its in bodies.items()}
    if numbers:
        woven[SWITCH_FILE] = (woven.get(SWITCH_FILE) or read(SWITCH_FILE)) + SWITCH
    return woven, numbers, refused
