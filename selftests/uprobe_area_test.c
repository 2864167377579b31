// SPDX-License-Identifier: GPL-2.0
/*
 * A probe on an instruction of a program gives its process a page, "[uprobes]", in
 * which copies of such instructions run: it has nothing else, and is nobody else's
 * (__create_xol_area(), kernel/events/uprobes.c).
 */
#include "memsafe.h"

#include <linux/perf_event.h>

#define UPROBE_TYPE "/sys/bus/event_source/devices/uprobe/type"
#define SECRET 0xa5
#define SECRET_PAGES 256
#define ROUNDS 8

/* Its first instruction is not emulated, as a push or a nop would be. */
int probed(int value);
#ifdef __x86_64__
#define KNOWN_INSTRUCTION true
asm(".text\nprobed:\n\tmov %edi, %eax\n\tadd %edi, %eax\n\tret\n");
#else
#define KNOWN_INSTRUCTION false
int probed(int value)
{
	return 2 * value;
}
#endif

/* A probe on probed(), an event of this thread; an fd, or -1. */
static int probe_open(void)
{
	struct perf_event_attr attr = {
		.type = sysctl_get(UPROBE_TYPE),
		.size = sizeof(attr),
		.uprobe_path = (uintptr_t) "/proc/self/exe",
	};
	struct vma text;

	if (!find_vma((void *)probed, &text))
		return -1;
	attr.probe_offset = (uintptr_t)probed - text.start + text.offset;
	return syscall(__NR_perf_event_open, &attr, 0, -1, -1,
		       PERF_FLAG_FD_CLOEXEC);
}

FIXTURE(uprobe_area)
{
	size_t ps;
};

FIXTURE_SETUP(uprobe_area)
{
	self->ps = page_size();
	if (!KNOWN_INSTRUCTION)
		SKIP(return, "needs x86_64");
	if (sysctl_get(UPROBE_TYPE) < 0)
		SKIP(return, "needs CONFIG_UPROBE_EVENTS=y");
	if (!has_capability(CAP_SYS_ADMIN))
		SKIP(return, "needs CAP_SYS_ADMIN");
}

FIXTURE_TEARDOWN(uprobe_area)
{
}

static bool leave_secret(size_t len)
{
	unsigned char *p = map_alone(len, PROT_RW, MAP_PRIVATE, -1);

	if (p == MAP_FAILED)
		return false;
	memset(p, SECRET, len);
	return !munmap(p, len);
}

/* The first slots have a breakpoint and the instruction: less than half a page. */
static int look_at_area(void *fixture)
{
	size_t ps = ((FIXTURE_DATA(uprobe_area) *)fixture)->ps;
	struct vma area;

	if (probe_open() < 0 || !leave_secret(SECRET_PAGES * ps) ||
	    probed(21) != 42 || !find_named_vma("[uprobes]", &area))
		return 2;
	return first_nonzero((unsigned char *)area.start + ps / 2, ps / 2) ==
	       ps / 2;
}

/* One page for each process: several, or the secret may not be in that page. */
TEST_F(uprobe_area, holds_no_secret)
{
	ACT(perf_event_open);
	for (int round = 0; round < ROUNDS; round++)
		EXPECT_EQ(1, in_child(look_at_area, self));
}

TEST_F(uprobe_area, can_not_be_written)
{
	struct vma area;

	ACT(perf_event_open);
	ASSERT_LE(0, probe_open());
	ASSERT_EQ(42, probed(21));
	ASSERT_TRUE(find_named_vma("[uprobes]", &area));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, area.start,
		     probe_write((void *)area.start));
	EXPECT_ERRNO(EACCES, mprotect((void *)area.start, self->ps, PROT_RW));
}

static int has_area(void *unused)
{
	struct vma area;

	(void)unused;
	return find_named_vma("[uprobes]", &area);
}

TEST_F(uprobe_area, child_does_not_get_it)
{
	ACT(perf_event_open);
	ASSERT_LE(0, probe_open());
	ASSERT_EQ(42, probed(21));
	ASSERT_EQ(1, has_area(NULL));
	EXPECT_EQ(0, in_child(has_area, NULL));
}

TEST_HARNESS_MAIN
