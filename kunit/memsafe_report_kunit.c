// SPDX-License-Identifier: GPL-2.0
/*
 * The text of a report is read alike in every dialect that kernels print: the
 * kind, the access and its address, and the function.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_report"
#include "memsafe_report.h"

struct text {
	const char *name;
	const char *lines[12];
	struct memsafe_report says;
};

static const struct text texts[] = {
	{
		.name = "KASAN, access",
		.lines = {
			"BUG: KASAN: slab-out-of-bounds in f+0x5f/0x70 [m]",
			"Write of size 8 at addr 00c0ffee by task kunit_try_catch/77",
			" f+0x5f/0x70 [m]",
		},
		.says = {
			.kind = "KASAN: slab-out-of-bounds", .access = "Write", .size = 8,
			.address = (void *)0xc0ffee, .function = "f",
		},
	}, {
		.name = "KASAN, free",
		.lines = {
			"BUG: KASAN: double-free in kfree+0xc0/0x2a0",
			"Free of addr ffff888006c1c380 by task kunit_try_catch/78",
			" kfree+0xc0/0x2a0",
			" f+0x5f/0x70 [m]",
			"Allocated by task 78:",
			" g+0x5f/0x70 [m]",
		},
		.says = { .kind = "KASAN: double-free", .function = "f" },
	}, {
		.name = "page fault, x86_64",
		.lines = {
			"BUG: unable to handle page fault for address: 0000000000c0ffee",
			"#PF: supervisor read access in kernel mode",
			"Oops: Oops: 0000 [#4] PREEMPT SMP KASAN NOPTI",
			"RIP: 0010:f.isra.0+0x0/0x10 [m]",
			"---[ end trace 0000000000000000 ]---",
			"RIP: 0010:first+0xa6/0x100",
		},
		.says = {
			.kind = "BUG: unable to handle kernel paging request", .access = "Read",
			.address = (void *)0xc0ffee, .function = "f",
		},
	}, {
		.name = "page fault, i386",
		.lines = {
			"BUG: unable to handle page fault for address: 00c0ffee",
			"#PF: supervisor write access in kernel mode",
			"Oops: Oops: 0002 [#1] PREEMPT SMP",
			"EIP: memcpy+0x2c/0x60",
			" ? vprintk_func+0x30/0x60",
			" f+0x2c/0x60 [m]",
		},
		.says = {
			.kind = "BUG: unable to handle kernel paging request", .access = "Write",
			.address = (void *)0xc0ffee, .function = "f",
		},
	}, {
		.name = "page fault, arm",
		.lines = {
			"8<--- cut here ---",
			"Unable to handle kernel paging request at virtual address 00c0ffee when write",
			"Internal error: Oops: a06 [#1] SMP ARM",
			"PC is at f+0x10/0x30 [m]",
			"LR is at g+0x58/0x90 [m]",
		},
		.says = {
			.kind = "BUG: unable to handle kernel paging request", .access = "Write",
			.address = (void *)0xc0ffee, .function = "f",
		},
	}, {
		.name = "null pointer, x86_64",
		.lines = {
			"BUG: kernel NULL pointer dereference, address: 0000000000000010",
			"#PF: supervisor read access in kernel mode",
			"RIP: 0010:f+0x14/0x40",
		},
		.says = {
			.kind = "BUG: unable to handle kernel NULL pointer dereference",
			.access = "Read", .address = (void *)0x10, .function = "f",
		},
	}, {
		.name = "null pointer, arm",
		.lines = {
			"Unable to handle kernel NULL pointer dereference at virtual address 00000010 when read",
			"PC is at f+0x14/0x40",
		},
		.says = {
			.kind = "BUG: unable to handle kernel NULL pointer dereference",
			.access = "Read", .address = (void *)0x10, .function = "f",
		},
	}, {
		.name = "BUG(), x86_64",
		.lines = {
			"------------[ cut here ]------------",
			"kernel BUG at mm/highmem.c:622!",
			"Oops: invalid opcode: 0000 [#2] PREEMPT SMP KASAN NOPTI",
			"RIP: 0010:f+0x4/0x10",
			"note: memsafe_victim[61] exited with preempt_count 1",
			"WARNING: CPU: 0 PID: 61 at kernel/exit.c:886 do_exit+0x10/0x20",
		},
		.says = { .kind = "kernel BUG", .function = "f" },
	}, {
		.name = "BUG(), arm",
		.lines = {
			"kernel BUG at mm/highmem.c:525!",
			"Internal error: Oops - BUG: 0 [#1] SMP ARM",
			"PC is at f+0x4/0x10",
			" f from g+0x58/0x90 [m]",
		},
		.says = { .kind = "kernel BUG", .function = "f" },
	}, {
		.name = "WARN(), called by an allocator",
		.lines = {
			"WARNING: CPU: 1 PID: 77 at mm/page_alloc.c:4709 __alloc_pages+0x4f/0x60",
			"RIP: 0010:__alloc_pages+0x4f/0x60",
			" ? f+0x5f/0x70 [m]",
			" f+0x5f/0x70 [m]",
		},
		.says = { .kind = "WARNING", .function = "f" },
	}, {
		.name = "WARN(), arm",
		.lines = {
			"WARNING: CPU: 0 PID: 77 at mm/page_alloc.c:4709 __alloc_pages+0x4f/0x60",
			" __alloc_pages from f+0x5f/0x70 [m]",
			" f [m] from g+0x5f/0x70 [m]",
		},
		.says = { .kind = "WARNING", .function = "f" },
	}, {
		.name = "corrupted list",
		.lines = {
			"list_add corruption. next->prev should be prev (c1), but was c2. (next=c3).",
			"kernel BUG at lib/list_debug.c:31!",
			"RIP: 0010:__list_add_valid_or_report+0xa6/0x100",
			" f+0x5f/0x70 [m]",
		},
		.says = { .kind = "BUG: corrupted list", .function = "f" },
	}, {
		.name = "sleeping function",
		.lines = {
			"BUG: sleeping function called from invalid context at mm/util.c:1",
			" __might_resched+0x319/0x490",
			" f+0x7f/0xd0 [m]",
		},
		.says = {
			.kind = "BUG: sleeping function called from invalid context",
			.function = "f",
		},
	}, {
		.name = "bad page",
		.lines = {
			"BUG: Bad page state in process memsafe/15  pfn:065f1",
			"page dumped because: non-NULL mapping",
			" f+0x7f/0xd0 [m]",
		},
		.says = { .kind = "BUG: Bad page state", .function = "f" },
	}, {
		.name = "UBSAN",
		.lines = {
			"UBSAN: array-index-out-of-bounds in f.c:31:89",
			"index 5 is out of range for type 'u8 [4]'",
			" f.cold+0x14/0x21 [m]",
		},
		.says = { .kind = "UBSAN: array-index-out-of-bounds", .function = "f" },
	}, {
		.name = "slab",
		.lines = {
			"BUG box (Tainted: G    B              ): Objects remaining in box",
		},
		.says = { .kind = "BUG: Objects remaining in box" },
	},
};

static void describe_text(const struct text *text, char *desc)
{
	strscpy(desc, text->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(text, texts, describe_text);

/* What memsafe_report_seen() answers to lines that a console has shown. */
static const char *read_lines(const struct memsafe_report *expected, const char *const *lines)
{
	memsafe_watch.expected = expected;
	memsafe_watch.dying = NULL;
	memsafe_watch.reports = 0;
	memsafe_watch.test = current->kunit_test;
	for (; *lines; lines++)
		memsafe_read_line(*lines);
	return memsafe_report_seen();
}

static const char *expected_text(char *text, size_t len, const struct memsafe_report *report)
{
	text[0] = '\0';
	memsafe_describe(text, len, report);
	return text;
}

static void report_says_what_it_is_about(struct kunit *test)
{
	const struct text *text = test->param_value;
	char expected[192];

	KUNIT_EXPECT_STREQ(test, expected_text(expected, sizeof(expected), &text->says),
			   read_lines(&text->says, text->lines));
}

static void report_about_another_is_told_apart(struct kunit *test)
{
	const struct text *text = test->param_value;
	struct memsafe_report says = text->says;
	char expected[192];

	if (says.function)
		says.function = "another";
	else
		says.kind = "another";

	KUNIT_EXPECT_STRNEQ(test, expected_text(expected, sizeof(expected), &says),
			    read_lines(&says, text->lines));
}

static void silence_is_no_report(struct kunit *test)
{
	static const char * const lines[] = {
		"memsafe_dev: loading out-of-tree module taints kernel.",
		" f+0x14/0x40 [m]", "---[ end trace 0000000000000000 ]---", NULL
	};

	KUNIT_EXPECT_STREQ(test, "no report", read_lines(NULL, lines));
}

static void second_report_is_seen(struct kunit *test)
{
	static const char * const lines[] = {
		"kernel BUG at f.c:1!", "RIP: 0010:f+0x4/0x10", "---[ end trace 0 ]---", NULL
	};
	static const char * const more[] = {
		"BUG: KASAN: use-after-free in g+0x1/0x2", "UBSAN: shift in h.c:1:2", NULL
	};
	static const struct memsafe_report bug = { .kind = "kernel BUG", .function = "f" };

	read_lines(&bug, lines);
	/* Said by another than the task that died. */
	memsafe_watch.dying = NULL;
	memsafe_read_line(more[0]);
	KUNIT_EXPECT_STREQ(test, "kernel BUG in f, then KASAN: use-after-free in g",
			   memsafe_report_seen());

	memsafe_read_line(more[1]);
	KUNIT_EXPECT_STREQ(test, "kernel BUG in f, then KASAN: use-after-free in g, and 1 more",
			   memsafe_report_seen());
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(report_says_what_it_is_about, text_gen_params),
	KUNIT_CASE_PARAM(report_about_another_is_told_apart, text_gen_params),
	KUNIT_CASE(silence_is_no_report),
	KUNIT_CASE(second_report_is_seen),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of how the suites read a report");
MODULE_LICENSE("GPL");
