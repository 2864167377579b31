// SPDX-License-Identifier: GPL-2.0
/*
 * brk(2): the heap ends where the break is, to the page; what it gains is
 * zeroed memory, what it loses is not mapped any more; and a break that can't
 * be, below its start, into a neighbour or over a limit, changes nothing.
 */
#include "memsafe.h"

#define SEED 0x5a

/* The kernel's answer, the break as it is now: libc's brk() keeps its own. */
static unsigned char *set_break(const void *wanted)
{
	return (unsigned char *)syscall(__NR_brk, wanted);
}

/*
 *	| heap of libc | hole ... |
 *	               ^end, the break, page-aligned
 */
FIXTURE(brk)
{
	size_t ps;
	unsigned char *end;
};

FIXTURE_SETUP(brk)
{
	uintptr_t now = (uintptr_t)set_break(NULL);

	self->ps = page_size();
	self->end = (void *)((now + 2 * self->ps - 1) & ~(self->ps - 1));
	ASSERT_EQ(self->end, set_break(self->end));
	ASSERT_EQ(0, count_vmas(self->end, 8 * self->ps));
}

FIXTURE_TEARDOWN(brk)
{
}

TEST_F(brk, growth_is_zeroed_memory_and_no_more)
{
	unsigned char *end = self->end + 3 * self->ps;

	ACT(brk);
	ASSERT_EQ(end, set_break(end));

	ASSERT_MAPPED(self->end, 3 * self->ps);
	EXPECT_EQ(3 * self->ps, first_nonzero(self->end, 3 * self->ps));
	EXPECT_NO_FAULT(probe_write(end - 1));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, end, probe_read(end));
}

TEST_F(brk, break_inside_a_page_maps_the_whole_page)
{
	unsigned char *next = self->end + self->ps;

	ACT(brk);
	ASSERT_EQ(self->end + 1, set_break(self->end + 1));

	EXPECT_NO_FAULT(probe_write(next - 1));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, next, probe_write(next));
	EXPECT_EQ(self->end + 1, set_break(NULL));
}

TEST_F(brk, moving_inside_a_page_keeps_its_data)
{
	ASSERT_EQ(self->end + self->ps, set_break(self->end + self->ps));
	fill(self->end, self->ps, SEED);

	ACT(brk);
	ASSERT_EQ(self->end + 1, set_break(self->end + 1));
	ASSERT_EQ(self->end + 100, set_break(self->end + 100));

	EXPECT_EQ(self->ps, first_difference(self->end, self->ps, SEED));
}

TEST_F(brk, shrinking_unmaps_exactly_what_is_above)
{
	unsigned char *middle = self->end + self->ps;
	unsigned char *end = self->end + 3 * self->ps;

	ASSERT_EQ(end, set_break(end));
	fill(self->end, 3 * self->ps, SEED);

	ACT(brk);
	ASSERT_EQ(middle, set_break(middle));

	EXPECT_EQ(self->ps, first_difference(self->end, self->ps, SEED));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, middle, probe_read(middle));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, end - 1, probe_write(end - 1));
	EXPECT_UNMAPPED(middle, 2 * self->ps);
}

TEST_F(brk, memory_that_was_given_back_returns_zeroed)
{
	unsigned char *end = self->end + 3 * self->ps;

	ASSERT_EQ(end, set_break(end));
	fill(self->end, 3 * self->ps, SEED);

	ACT(brk);
	ASSERT_EQ(self->end, set_break(self->end));
	ASSERT_EQ(end, set_break(end));

	EXPECT_EQ(3 * self->ps, first_nonzero(self->end, 3 * self->ps));
}

TEST_F(brk, heap_is_private_and_not_executable)
{
	unsigned char *end = self->end + 3 * self->ps;
	struct vma vma;

	ACT(brk);
	ASSERT_EQ(end, set_break(end));

	ASSERT_TRUE(find_vma(self->end, &vma));
	EXPECT_EQ((uintptr_t)end, vma.end);
	EXPECT_STREQ("[heap]", vma.name);
	EXPECT_STREQ("rw-p", vma.perms);
	put_return(self->end);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, self->end, probe_exec(self->end));
}

TEST_F(brk, growth_is_charged_as_data)
{
	long data = vm_status_kb("VmData");
	long size = vm_status_kb("VmSize");
	long grown = 3 * (long)self->ps / 1024;

	ACT(brk);
	ASSERT_NE(NULL, set_break(self->end + 3 * self->ps));

	EXPECT_EQ(data + grown, vm_status_kb("VmData"));
	EXPECT_EQ(size + grown, vm_status_kb("VmSize"));
}

TEST_F(brk, growth_populates_nothing)
{
	ACT(brk);
	ASSERT_NE(NULL, set_break(self->end + 3 * self->ps));

	EXPECT_MAPPED(self->end, 3 * self->ps);
	EXPECT_EQ(0, present_pages(self->end, 3 * self->ps));
}

TEST_F(brk, growth_under_mlockall_is_present_and_locked)
{
	if (mlockall(MCL_FUTURE))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");

	ACT(brk);
	ASSERT_EQ(self->end + 3 * self->ps,
		  set_break(self->end + 3 * self->ps));

	EXPECT_EQ(3, present_pages(self->end, 3 * self->ps));
	EXPECT_TRUE(is_locked(self->end));
}

TEST_F(brk, growth_under_mlockall_is_counted_as_locked)
{
	long before, kb = 3 * self->ps / 1024;

	if (mlockall(MCL_FUTURE))
		SKIP(return, "needs RLIMIT_MEMLOCK or CAP_IPC_LOCK");
	before = vm_status_kb("VmLck");

	ACT(brk);
	ASSERT_EQ(self->end + 3 * self->ps,
		  set_break(self->end + 3 * self->ps));
	EXPECT_EQ(before + kb, vm_status_kb("VmLck"));
	ASSERT_EQ(self->end, set_break(self->end));
	EXPECT_EQ(before, vm_status_kb("VmLck"));
}

/* Where the heap starts: field 47 of proc_pid_stat(5), and all before it. */
#define START_BRK 47

static unsigned char *heap_start(void)
{
	struct line_reader lines;
	unsigned long long start;
	char *p;

	if (!lines_open(&lines, "/proc/self/stat"))
		return NULL;
	lines_next(&lines);
	lines_close(&lines);
	/* Fields after the second, the name, which may contain anything. */
	p = strrchr(lines.line, ')');
	for (int field = 2; p && field < START_BRK; field++)
		p = strchr(p + 1, ' ');
	return p && sscanf(p, "%llu", &start) == 1 ?
		       (unsigned char *)(uintptr_t)start :
		       NULL;
}

TEST_F(brk, below_the_start_of_the_heap_is_refused)
{
	unsigned char *start = heap_start();

	ASSERT_NE(NULL, start);
	ASSERT_EQ(self->end + self->ps, set_break(self->end + self->ps));
	fill(self->end, self->ps, SEED);

	ACT(brk);
	EXPECT_EQ(self->end + self->ps, set_break(start - 1));
	EXPECT_EQ(self->end + self->ps, set_break((void *)1));
	EXPECT_EQ(self->ps, first_difference(self->end, self->ps, SEED));
}

/* A mapping that anyone put there stays as it is. */
TEST_F(brk, growth_into_a_neighbour_is_refused)
{
	unsigned char *next = self->end + 3 * self->ps;

	ASSERT_EQ(next, mmap(next, self->ps, PROT_RW,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			     -1, 0));
	fill(next, self->ps, SEED);

	ACT(brk);
	EXPECT_EQ(self->end, set_break(next + 1));
	EXPECT_EQ(self->end, set_break(next + 4 * self->ps));
	EXPECT_UNMAPPED(self->end, 3 * self->ps);
	EXPECT_EQ(self->ps, first_difference(next, self->ps, SEED));
	EXPECT_EQ(self->end + self->ps, set_break(self->end + self->ps));
	EXPECT_EQ(0, peek(self->end));
}

TEST_F(brk, growth_past_the_address_space_is_refused)
{
	ACT(brk);
	EXPECT_EQ(self->end, set_break((void *)(UINTPTR_MAX - self->ps)));
	EXPECT_UNMAPPED(self->end, 8 * self->ps);
}

static int grow_by_a_page(void *arg)
{
	unsigned char *end = arg;

	return set_break(end + page_size()) != end && poke(end, 7) ? 7 : 255;
}

TEST_F(brk, growth_of_a_child_is_not_that_of_its_parent)
{
	ACT(brk);
	ASSERT_EQ(7, in_child(grow_by_a_page, self->end));

	EXPECT_EQ(self->end, set_break(NULL));
	EXPECT_UNMAPPED(self->end, self->ps);
}

/* RLIMIT_DATA and RLIMIT_AS hold to the page. */
FIXTURE(brk_limit)
{
	size_t ps;
	unsigned char *end;
};

FIXTURE_VARIANT(brk_limit)
{
	int resource;
	const char *counter;
};

FIXTURE_VARIANT_ADD(brk_limit, rlimit_data){
	.resource = RLIMIT_DATA,
	.counter = "VmData",
};

FIXTURE_VARIANT_ADD(brk_limit, rlimit_as){
	.resource = RLIMIT_AS,
	.counter = "VmSize",
};

FIXTURE_SETUP(brk_limit)
{
	uintptr_t now = (uintptr_t)set_break(NULL);

	self->ps = page_size();
	self->end = (void *)((now + self->ps - 1) & ~(self->ps - 1));
	ASSERT_EQ(self->end, set_break(self->end));
	ASSERT_TRUE(limit_set(variant->resource,
			      vm_status_kb(variant->counter) * 1024 +
				      2 * self->ps));
}

FIXTURE_TEARDOWN(brk_limit)
{
}

TEST_F(brk_limit, growth_up_to_it_works_and_one_page_more_does_not)
{
	unsigned char *most = self->end + 2 * self->ps;

	ACT(brk);
	EXPECT_EQ(self->end, set_break(most + 1));
	EXPECT_UNMAPPED(self->end, 3 * self->ps);
	EXPECT_EQ(most, set_break(most));
	EXPECT_NO_FAULT(probe_write(most - 1));
	EXPECT_EQ(most, set_break(most + 1));
	EXPECT_UNMAPPED(most, self->ps);
}

TEST_F(brk_limit, shrinking_gives_the_allowance_back)
{
	unsigned char *most = self->end + 2 * self->ps;

	ASSERT_EQ(most, set_break(most));

	ACT(brk);
	ASSERT_EQ(self->end, set_break(self->end));

	EXPECT_UNMAPPED(self->end, self->ps);
	EXPECT_EQ(most, set_break(most));
	EXPECT_NO_FAULT(probe_write(most - 1));
}

TEST_HARNESS_MAIN
