# SPDX-License-Identifier: GPL-2.0
"""Many mutants in one image: what is woven compiles, and each does what its own
patch does, and only when it is awake."""

import subprocess

import pytest

import schemata
from schemata import NotWoven

SOURCE = """\
/* one file */
#include <stdio.h>
#include <stdlib.h>

static int calls;

static int add(int a, int b)
{
	return a + b;
}

/*
 * Arguments of all kinds.
 */
static void
count(int by[4],
      void (*then)(int, char *))
{
	calls += by[0];
	if (then)
		then(calls, "x");
}

static __attribute__((noinline)) int *place(void)
	__attribute__((pure));

static int fact(unsigned int n)
{
	if (n <= 1)
		return 1;
	return n * fact(n - 1);
}

struct pair {
	int a;
};

SYSCALL_DEFINE2(pair, struct pair *, p, unsigned long, n)
{
	return p->a + n;
}

static int *place(void)
{
	return &calls;
}
"""
# A kernel's worth of environment for it.
SHIM = """\
#include <stdbool.h>
#include <string.h>
#define unlikely(x) (x)
#define SYSCALL_DEFINE2(name, t1, a1, t2, a2) static long sys_##name(t1 a1, t2 a2)
int memsafe_mutant;
bool memsafe_mutant_runs(const char *name) { puts(name); return true; }
int main(int argc, char **argv)
{
	int by[4] = {1};
	struct pair p = {2};

	memsafe_mutant = atoi(argv[1]);
	count(by, NULL);
	printf("%d %d %d %ld\\n", add(1, 2), *place(), fact(4), sys_pair(&p, 3));
	return argc - 2;
}
"""
MUTANTS = {
    "add-subtracts": ("return a + b;", "return a - b;"),
    "count-is-lost": ("calls += by[0];", "(void)by;"),
    "fact-ends-late": ("if (n <= 1)", "if (n <= 0)"),
    "pair-forgets": ("return p->a + n;", "return n;"),
    "add-is-zero": ("return a + b;", "return 0;"),
    "place-moves": ("return &calls;", "static int other = 9;\n\n\treturn &other;"),
}


def weave(mutants, source=SOURCE):
    files = {"f.c": source, schemata.SWITCH_FILE: "int util;\n"}
    texts = {name: {"f.c": source.replace(old, new)} for name, (old, new) in mutants.items()}
    return schemata.weave(texts, files.__getitem__)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The woven file, compiled; called with the number that is awake."""
    folder = tmp_path_factory.mktemp("woven")
    woven, numbers, refused = weave(MUTANTS)
    assert not refused
    source = folder / "f.c"
    source.write_text(woven["f.c"].replace("#include <stdio.h>", "#include <stdio.h>\n#include <stdbool.h>")
                      .replace("static int calls;", "#define unlikely(x) (x)\n#define SYSCALL_DEFINE2(name, t1, a1, t2, a2) static long sys_##name(t1 a1, t2 a2)\nstatic int calls;")
                      + SHIM)  # fmt: skip
    subprocess.run(["gcc", "-Wall", "-Werror", "-Wno-unused-function", "-o", folder / "f", source], check=True)

    def called(name):
        number = numbers.get(name, 0)
        done = subprocess.run([folder / "f", str(number)], capture_output=True, text=True, timeout=20)
        return done.stdout.splitlines()

    return called


@pytest.mark.parametrize("name, said", [
    ("", "3 1 24 5"),
    ("add-subtracts", "-1 1 24 5"),
    ("count-is-lost", "3 0 24 5"),
    ("pair-forgets", "3 1 24 3"),
    ("add-is-zero", "0 1 24 5"),
    ("place-moves", "3 9 24 5"),
    ("fact-ends-late", "3 1 24 5"),
])  # fmt: skip
def test_only_the_mutant_that_is_awake_runs(program, name, said):
    *ran, last = program(name)

    assert last == said
    assert set(ran) == ({name} if name else set())


def test_the_switch_is_where_every_kernel_has_it():
    woven, numbers, _ = weave(MUTANTS)

    assert numbers == {name: number for number, name in enumerate(MUTANTS, 1)}
    assert woven[schemata.SWITCH_FILE].startswith("int util;\n")
    assert "core_param(memsafe_mutant," in woven[schemata.SWITCH_FILE]


@pytest.mark.parametrize("old, new, reason", [
    ("static int calls;", "static int calls = 1;", "more than the insides"),
    ("int a, int b)", "int b, int a)", "more than the insides"),
    ("return a + b;\n}", "return a + b;\n}\n\nint other(void)\n{\n\treturn 1;\n}", "more than the insides"),
])  # fmt: skip
def test_what_changes_more_than_a_body_is_not_woven(old, new, reason):
    woven, numbers, refused = weave({"one": (old, new)})

    assert (woven, numbers) == ({}, {})
    assert reason in refused["one"]


def test_a_name_is_not_taken_into_the_source_as_it_is():
    _, numbers, refused = weave({'x"); panic("': ("return a + b;", "return 0;")})

    assert not numbers and len(refused) == 1


@pytest.mark.parametrize("text, name, arguments, returns", [
    ("static int f(int a, char *b)\n", "f", ("a", "b"), True),
    ("void f(void)\n", "f", (), False),
    ("void *f(void)\n", "f", (), True),
    ("static void __iomem *\n__f(struct a *b, enum c d)\n", "__f", ("b", "d"), True),
    ("static inline int f(int a /* of b */, int c[2][3])\n", "f", ("a", "c"), True),
    ("int f(int (*each)(void *, int), void *arg)\n", "f", ("each", "arg"), True),
    ("static void f(struct rq *rq)\n\t__must_hold(&rq->lock)\n", "f", ("rq",), False),
    ("__printf(1, 0) int f(const char *text, va_list ap)\n", "f", ("text", "ap"), True),
    ("SYSCALL_DEFINE3(msync, unsigned long, start, size_t, len, int, flags)\n",
     "sys_msync", ("start", "len", "flags"), True),
])  # fmt: skip
def test_a_signature_is_read(text, name, arguments, returns):
    found = schemata.signature(text)

    assert (found.name, found.arguments, found.returns) == (name, arguments, returns)


@pytest.mark.parametrize("text", ["int f(const char *format, ...)\n", "int f(int)\n", "struct a\n"])
def test_what_can_not_be_called_on_is_said(text):
    with pytest.raises(NotWoven):
        schemata.signature(text)


def test_an_initialiser_is_no_function():
    lines = "struct a b = {\n\t.c = 1,\n};\n\nint d[] =\n{\n\t1\n};\n\nint f(void)\n{\n\treturn 1;\n}\n".splitlines(True)

    assert [(each.first, each.last) for each in schemata.functions(lines)] == [(9, 12)]
