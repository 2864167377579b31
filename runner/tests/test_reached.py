# SPDX-License-Identifier: GPL-2.0
"""Which functions a patch changes, what marks them, and who is said to have run them."""

import re
import subprocess

import pytest

import reached
from reached import Changed
from record import GuestResult, Job, Run

SOURCE = """\
/* one file */
#include <stdio.h>

static int calls = 1;

static int add(int a, int b)
{
	/* the sum */
	return a + b;
}

static int fact(unsigned int n)
{
	if (n <= 1)
		return 1;
	return n * fact(n - 1);
}

static const char *
name(void)
{
	static const char *it = "a  b";

	return it;
}

static void __init start(void)
{
	calls = 2;
}

SYSCALL_DEFINE2(pair, int, a, unsigned long, n)
{
	return a + n;
}

static int old(void)
{
	return 0;
}
"""


def changes(*edits, file="mm/f.c", base=SOURCE):
    patched = base
    for old, new in edits:
        assert old in patched
        patched = patched.replace(old, new)
    return reached.changed(file, base, patched)


def names(*edits, **more):
    return [(one.function, one.why) for one in changes(*edits, **more)]


OUTSIDE = ("", "data, a macro or a declaration")


@pytest.mark.parametrize("edits, found", [
    ([("a + b", "b + a")], [("add", "")]),
    ([("(int a, int b)", "(int a, short b)")], [("add", "")]),
    ([("/* the sum */", "/* of both */")], []),
    ([("	return a + b;", "	return a\n		+  b;	// both")], []),
    ([("#include <stdio.h>", "#include <stdlib.h>")], []),
    ([("a  b", "a b")], [("name", "")]),
    ([("a + b", "b + a"), ("n <= 1", "n < 2")], [("add", ""), ("fact", "")]),
    ([("calls = 1", "calls = 3")], [OUTSIDE]),
    ([("calls = 2", "calls = 3")], [("start", "code of the boot")]),
    ([("return a + n", "return n + a")], [("sys_pair", "")]),
    ([("static int old(void)\n{\n	return 0;\n}\n", "")], []),
    ([("static int old(void)", "int fresh(int a)\n{\n	return a;\n}\n\nstatic int old(void)")], [("fresh", "")]),
    ([("old(void)", "renamed(void)")], [("renamed", "")]),
])  # fmt: skip
def test_what_a_patch_changes(edits, found):
    assert names(*edits) == found


@pytest.mark.parametrize("file, why", [
    ("include/linux/f.h", "a header"),
    ("arch/x86/boot/compressed/f.c", "it runs before the kernel, or outside of it"),
    ("arch/x86/entry/vdso/vgetcpu.c", "it runs before the kernel, or outside of it"),
    ("drivers/firmware/efi/libstub/f.c", "it runs before the kernel, or outside of it"),
    ("kernel/printk/printk.c", "it runs before the kernel, or outside of it"),
    ("lib/vsprintf.c", "it runs before the kernel, or outside of it"),
    ("drivers/a file.c", "a name that the kernel can't print"),
    ('drivers/a"b.c', "a name that the kernel can't print"),
    ("lib/iov_iter.c", ""),
    ("arch/x86/lib/usercopy_64.c", ""),
])  # fmt: skip
def test_where_nothing_is_followed(file, why):
    assert names(("a + b", "b + a"), file=file) == [("add", why)]


@pytest.mark.parametrize("head, name, why", [
    ("static noinstr void f(void)", "f", "it must not call anything"),
    ("static __naked void f(void)", "f", "it must not call anything"),
    ("DEFINE_IDTENTRY(exc_page_fault)", "DEFINE_IDTENTRY", "a macro makes it"),
    ("COMPAT_SYSCALL_DEFINE1(pair, int, a)", "compat_sys_pair", ""),
    ("int printed(const char *format, ...)", "printed", ""),
    ("void __init_rwsem(struct rw_semaphore *sem)", "__init_rwsem", ""),
    ("static int __meminit f(void)", "f", "code of the boot"),
])  # fmt: skip
def test_a_function_that_is_new(head, name, why):
    new = SOURCE + f"\n{head}\n{{\n\tcalls++;\n}}\n"

    assert [(one.function, one.why) for one in reached.changed("mm/f.c", SOURCE, new)] == [(name, why)]


@pytest.mark.parametrize("file", ["mm/Kconfig", "mm/Makefile", "Documentation/mm/a.rst", "tools/mm/a.c", "scripts/a.c"])
def test_what_is_no_code_of_the_kernel(file):
    assert reached.changed(file, "int a;\n", "int b;\n") == []


def test_files_that_come_and_go():
    assert [one.function for one in reached.changed("mm/f.c", None, SOURCE)] == [
        "add", "fact", "name", "start", "sys_pair", "old", "",
    ]  # fmt: skip
    assert reached.changed("mm/f.c", SOURCE, None) == []
    assert reached.changed("arch/x86/lib/f.S", "nop\n", "/* more */ nop\n") == []
    assert reached.changed("arch/x86/lib/f.S", "nop\n", "ret\n") == [Changed("arch/x86/lib/f.S", "", "no C")]


def test_either_of_two_with_one_name_is_the_function():
    both = "#ifdef A\nint f(void)\n{\n\treturn 1;\n}\n#else\nint f(void)\n{\n\treturn 2;\n}\n#endif\n"
    found = changes(("return 2", "return 3"), base=both)

    marked = reached.marked({"mm/f.c": both, reached.MARKS_FILE: ""}, found)

    assert [one.where for one in found] == ["mm/f.c:f"]
    assert marked["mm/f.c"].count('"mm/f.c:f"') == 2


# A kernel's worth of environment.
SHIM = """\
#define __init
#define SYSCALL_DEFINE2(name, t1, a1, t2, a2) static long sys_##name(t1 a1, t2 a2)
#define EXPORT_SYMBOL(name)
#define core_param(...)
#define notrace
#define READ_ONCE(x) (x)
#define xchg(at, value) __atomic_exchange_n(at, value, __ATOMIC_RELAXED)
#define printk_deferred printf
"""
MAIN = """
int main(void)
{
	for (memsafe_window = 2; memsafe_window < 4; memsafe_window++) {
		start();
		printf("%d %ld %s\\n", fact(4), sys_pair(1, 2), name());
	}
	return add(calls, old()) - 2;
}
"""


def test_what_is_marked_says_so_once_in_each_window(tmp_path):
    edits = [("n <= 1", "n < 2"), ("calls = 2", "calls = (2)"), ("a + n", "n + a"), ("calls = 1", "calls = 7")]
    found = changes(*edits)
    patched = SOURCE
    for edit in edits:
        patched = patched.replace(*edit)
    marked = reached.marked({"mm/f.c": patched, reached.MARKS_FILE: "/* util */"}, found)
    source = tmp_path / "f.c"
    runs = re.sub(r"#include <linux/\S+>", "", marked[reached.MARKS_FILE])
    source.write_text(SHIM + marked["mm/f.c"] + runs + MAIN)
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wdeclaration-after-statement"]

    subprocess.run(["gcc", *options, "-o", tmp_path / "f", source], check=True)
    done = subprocess.run([tmp_path / "f"], capture_output=True, text=True, check=True, timeout=20)

    # printf() has its arguments from the last to the first.
    once = {"memsafe: REACHED mm/f.c:fact", "memsafe: REACHED mm/f.c:sys_pair"}
    lines = done.stdout.splitlines()
    assert [set(lines[:2]), lines[2], set(lines[3:5]), lines[5]] == [once, "24 3 a  b"] * 2


def test_no_line_moves():
    found = changes(("a + b", "b + a"), ("n <= 1", "n < 2"))
    marked = reached.marked({"mm/f.c": SOURCE, reached.MARKS_FILE: SOURCE}, found)["mm/f.c"]

    assert [(old, new) for old, new in zip(SOURCE.splitlines(), marked.splitlines(), strict=True) if old != new] == [
        ("{", reached.MARK.format(where="mm/f.c:add")), ("{", reached.MARK.format(where="mm/f.c:fact")),
    ]  # fmt: skip


def test_without_a_function_to_follow_nothing_is_marked():
    assert reached.marked({reached.MARKS_FILE: ""}, changes(("calls = 1", "calls = 3"))) == {}


def test_the_file_of_the_marks_may_be_patched_itself():
    file = reached.MARKS_FILE
    marked = reached.marked({file: SOURCE}, changes(("a + b", "b + a"), file=file))

    assert list(marked) == [file]
    assert f'"{file}:add"' in marked[file] and marked[file].endswith(reached.MARKS)


CONSOLE = [
    "[    0.100000][    T0] memsafe: REACHED mm/f.c:boot",
    "[    0.200000][    T0] memsafe: REACHED mm/f.c:all",
    "[    1.000000][    T1] memsafe: BEGIN one",
    "[    1.100000][   T55] memsafe: REACHED mm/f.c:all",
    "[    1.200000][   T55] not a memsafe: REACHED mm/f.c:none",
    "[    1.300000][    T1] memsafe: END one",
    "[    1.400000][   T55] memsafe: REACHED mm/f.c:between",
    "[    2.000000][    T1] memsafe: BEGIN two",
    "[    2.100000][    C0] memsafe: REACHED mm/f.c:all\r",
    "[    2.200000][   T77] memsafe: REACHED mm/f.c:second",
]


def test_a_function_belongs_to_the_jobs_in_whose_windows_it_ran():
    console = "".join(f"{line}\n" for line in CONSOLE).encode()
    again = b"[    1.000000][    T1] memsafe: BEGIN three\n[    1.000000][ T9] memsafe: REACHED mm/f.c:second\n"
    guests = (
        GuestResult(0, {}, console=(0, len(console))),
        GuestResult(1, {}, console=(len(console), len(again))),
    )
    jobs = tuple(Job(name, "program") for name in ("one", "two", "three"))

    assert reached.ran(Run("x", jobs, guests=guests), console + again) == {
        "mm/f.c:boot": ("",),
        "mm/f.c:all": ("", "one", "two"),
        "mm/f.c:between": ("",),
        "mm/f.c:second": ("two", "three"),
    }


ALL = Changed("mm/f.c", "all")
BOOT = Changed("mm/f.c", "boot")
NEVER = Changed("mm/f.c", "never")
DATA = Changed("mm/f.c", "", "data")
RAN = {"mm/f.c:all": ("", "one", "two"), "mm/f.c:boot": ("",)}


def told(*changes, **more):
    return [(one["reached"], one["job"], one["jobs"], one["why"]) for one in reached.objects(changes, RAN, **more)]


def test_each_changed_function_is_reached_or_not_or_nobody_knows():
    assert told(ALL, BOOT, NEVER, DATA) == [
        (True, "one", ["one", "two"], ""),
        (True, "", [], ""),
        (False, "", [], "no test runs it"),
        (None, "", [], "data"),
    ]


def test_why_a_function_did_not_run():
    assert told(NEVER, absent={"mm/f.c:never"}, lost=True) == [(False, "", [], "this kernel is built without it")]
    assert told(NEVER, ALL, lost=True)[0] == (None, "", [], "the console has lost messages")
    assert told(NEVER.not_followed("no marks"), DATA.not_followed("no marks")) == [
        (None, "", [], "no marks"), (None, "", [], "data"),
    ]  # fmt: skip


@pytest.mark.parametrize("changes, said, verdict", [
    ([NEVER], "pass", ("none", "UNREACHED: nothing ran mm/f.c:never")),
    ([NEVER, DATA, NEVER], "pass", ("none", "UNREACHED: nothing ran mm/f.c:never and 1 more")),
    ([NEVER, ALL], "pass", ("pass", "because")),
    ([BOOT], "pass", ("pass", "because")),
    ([DATA], "pass", ("pass", "because")),
    ([], "pass", ("pass", "because")),
    ([NEVER], "fail", ("fail", "because")),
    ([NEVER], "none", ("none", "because")),
])  # fmt: skip
def test_a_pass_needs_code_that_ran(changes, said, verdict):
    assert reached.verdict(said, "because", reached.objects(changes, RAN)) == verdict


def test_lines_begin_with_what_did_not_run():
    assert reached.lines(reached.objects([ALL, BOOT, DATA, NEVER], RAN)) == [
        "UNREACHED mm/f.c:never  (no test runs it)",
        "reached   mm/f.c:all  by one and 1 more",
        "reached   mm/f.c:boot  at boot or between the tests only",
        "not followed: mm/f.c  (data)",
    ]


@pytest.mark.parametrize("changes, last", [
    ([], "the patch changes no code that can be followed"),
    ([DATA], "the patch changes no code that can be followed"),
    ([ALL] * 16 + [NEVER] * 3 + [DATA], "and 8 more, all in gate.json: 16 reached, 3 not, 1 not followed"),
])  # fmt: skip
def test_the_last_line(changes, last):
    assert reached.lines(reached.objects(changes, RAN))[-1] == last
