// SPDX-License-Identifier: GPL-2.0
/*
 * A MAP_GROWSDOWN mapping grows on an access below it, until it comes within
 * stack_guard_gap of an accessible neighbour (mmap(2), commit 1be7107fbe18
 * "mm: larger stack guard gap, between vmas") or reaches RLIMIT_STACK. The
 * neighbour stays as it was. Thread stacks end at the guard page of the
 * thread library.
 */
#include <pthread.h>

#include "memsafe.h"

/* Default of the stack_guard_gap= boot parameter, in pages. */
#define GUARD_GAP_PAGES 256

static bool guard_gap_is_default(void)
{
	struct line_reader lines;
	bool changed = false;

	if (!lines_open(&lines, "/proc/cmdline"))
		return false;
	while (lines_next(&lines))
		changed |= !!strstr(lines.line, "stack_guard_gap=");
	lines_close(&lines);
	return !changed;
}

/*
 *	| room: free, gap + 16 pages         | stack, 1 page |
 *	^low                                 ^stack
 *
 * A neighbour goes to a page in the room; growth is an access below stack.
 */
#define ROOM_PAGES (GUARD_GAP_PAGES + 16)

FIXTURE(stack_guard)
{
	unsigned char *low;
	unsigned char *stack;
	size_t ps;
	size_t gap;
};

FIXTURE_SETUP(stack_guard)
{
	size_t room;

	if (!guard_gap_is_default())
		SKIP(return, "needs a kernel without stack_guard_gap=");
	self->ps = page_size();
	self->gap = GUARD_GAP_PAGES * self->ps;
	room = ROOM_PAGES * self->ps;
	/* One gap more below, so that nothing else is near. */
	self->low = free_range(self->gap + room + 2 * self->ps, self->ps);
	ASSERT_NE(MAP_FAILED, self->low);
	self->low += self->gap;
	self->stack = self->low + room;
}

FIXTURE_TEARDOWN(stack_guard)
{
}

/* One page that grows down, at @at. */
static unsigned char *map_stack(unsigned char *at)
{
	return mmap(at, page_size(), PROT_RW,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
			    MAP_FIXED_NOREPLACE,
		    -1, 0);
}

/* One page of @prot that holds 0x33 throughout, at @at. */
static unsigned char *map_neighbour(unsigned char *at, int prot)
{
	size_t ps = page_size();
	unsigned char *p =
		mmap(at, ps, PROT_RW,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != MAP_FAILED) {
		memset(p, 0x33, ps);
		mprotect(p, ps, prot);
	}
	return p;
}

TEST_F(stack_guard, access_right_below_grows_the_mapping)
{
	unsigned char *below = self->stack - 1;
	struct vma vma;

	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));
	EXPECT_UNMAPPED(below, 1);

	EXPECT_NO_FAULT(probe_write(below));
	ASSERT_TRUE(find_vma(below, &vma));
	EXPECT_EQ((uintptr_t)(self->stack - self->ps), vma.start);
	EXPECT_EQ((uintptr_t)(self->stack + self->ps), vma.end);
}

TEST_F(stack_guard, read_grows_it_too_and_gives_zero)
{
	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));

	EXPECT_EQ(0, peek(self->stack - 1));
	EXPECT_MAPPED(self->stack - self->ps, self->ps);
}

TEST_F(stack_guard, growth_covers_all_pages_down_to_the_access)
{
	unsigned char *deep = self->stack - 8 * self->ps;

	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));

	EXPECT_NO_FAULT(probe_write(deep));
	EXPECT_MAPPED(deep, 9 * self->ps);
	EXPECT_UNMAPPED(deep - self->ps, self->ps);
}

TEST_F(stack_guard, ordinary_mapping_does_not_grow)
{
	unsigned char *below = self->stack - 1;

	ACT(mmap);
	ASSERT_EQ(self->stack,
		  mmap(self->stack, self->ps, PROT_RW,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		       0));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, below, probe_write(below));
	EXPECT_UNMAPPED(below, 1);
}

TEST_F(stack_guard, growth_is_not_shared_with_a_page_above)
{
	unsigned char *above = self->stack + self->ps;

	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));

	EXPECT_NO_FAULT(probe_write(self->stack));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, above, probe_write(above));
}

/* @neighbour ends exactly one gap below the lowest page that may grow. */
TEST_F(stack_guard, growth_stops_one_gap_above_a_neighbour)
{
	unsigned char *end = self->low + self->ps;
	unsigned char *last = end + self->gap; /* the lowest allowed page */
	unsigned char *over = last - 1;

	ASSERT_EQ(self->low, map_neighbour(self->low, PROT_RW));

	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));

	EXPECT_NO_FAULT(probe_write(last));
	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, over, probe_write(over));
	EXPECT_UNMAPPED(end, self->gap);
	EXPECT_EQ(0x33, peek(self->low));
	EXPECT_EQ(0x33, peek(end - 1));
}

TEST_F(stack_guard, growth_may_enter_the_gap_of_a_prot_none_neighbour)
{
	unsigned char *end = self->low + self->ps;

	ASSERT_EQ(self->low, map_neighbour(self->low, PROT_NONE));

	ACT(mmap);
	ASSERT_EQ(self->stack, map_stack(self->stack));

	EXPECT_NO_FAULT(probe_write(end));
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, end - 1, probe_write(end - 1));
	ASSERT_EQ(0, mprotect(self->low, self->ps, PROT_READ));
	EXPECT_EQ(0x33, peek(end - 1));
}

TEST_F(stack_guard, mprotect_that_opens_a_neighbour_stops_growth)
{
	unsigned char *below = self->stack - 1;
	unsigned char *near = self->stack - 4 * self->ps;

	ASSERT_EQ(near, map_neighbour(near, PROT_NONE));
	ASSERT_EQ(self->stack, map_stack(self->stack));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(near, self->ps, PROT_RW));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, below, probe_write(below));
	EXPECT_UNMAPPED(near + self->ps, 3 * self->ps);
	EXPECT_EQ(0x33, peek(near + self->ps - 1));
}

TEST_F(stack_guard, mremap_of_a_neighbour_into_the_gap_stops_growth)
{
	unsigned char *below = self->stack - 1;
	unsigned char *near = self->stack - 4 * self->ps;

	ASSERT_EQ(self->low, map_neighbour(self->low, PROT_RW));
	ASSERT_EQ(self->stack, map_stack(self->stack));

	ACT(mremap);
	ASSERT_EQ(near, mremap(self->low, self->ps, self->ps,
			       MREMAP_MAYMOVE | MREMAP_FIXED, near));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, below, probe_write(below));
	EXPECT_EQ(0x33, peek(near + self->ps - 1));
}

TEST_F(stack_guard, growth_continues_when_the_neighbour_goes)
{
	unsigned char *below = self->stack - 1;
	unsigned char *near = self->stack - 4 * self->ps;

	ASSERT_EQ(near, map_neighbour(near, PROT_RW));
	ASSERT_EQ(self->stack, map_stack(self->stack));
	ASSERT_FAULT(SIGSEGV, SEGV_MAPERR, below, probe_write(below));

	ACT(munmap);
	ASSERT_EQ(0, munmap(near, self->ps));

	EXPECT_NO_FAULT(probe_write(below));
	EXPECT_MAPPED(self->stack - self->ps, self->ps);
}

TEST_F(stack_guard, growth_stops_at_rlimit_stack)
{
	unsigned char *last = self->stack - 3 * self->ps;
	unsigned char *over = last - 1;

	ASSERT_EQ(self->stack, map_stack(self->stack));

	/* The limit counts the whole mapping: one page and three more. */
	ACT(prlimit64);
	ASSERT_TRUE(limit_set(RLIMIT_STACK, 4 * self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, over, probe_write(over));
	EXPECT_NO_FAULT(probe_write(last));
	EXPECT_UNMAPPED(over, 1);
}

TEST_F(stack_guard, growth_keeps_the_protection_of_the_mapping)
{
	unsigned char *page = self->stack - self->ps;

	ASSERT_EQ(self->stack, map_stack(self->stack));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(self->stack, self->ps, PROT_READ));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, page, probe_write(page));
	EXPECT_NO_FAULT(probe_read(page));
}

TEST_F(stack_guard, prot_growsdown_changes_all_down_to_the_start)
{
	unsigned char *deep = self->stack - 3 * self->ps;

	ASSERT_EQ(self->stack, map_stack(self->stack));
	ASSERT_NO_FAULT(probe_write(deep));

	ACT(mprotect);
	ASSERT_EQ(0,
		  mprotect(self->stack, self->ps, PROT_READ | PROT_GROWSDOWN));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, deep, probe_write(deep));
	EXPECT_NO_FAULT(probe_read(deep));
}

/* The main thread's stack: the same rule, on the mapping exec() made. */
TEST_F(stack_guard, main_stack_grows_and_is_no_further_than_its_limit)
{
	unsigned char *start, *last;
	struct vma vma;

	ASSERT_TRUE(find_vma(&vma, &vma));
	start = (unsigned char *)vma.start;

	/* Four more pages than it has; the limit counts its whole length. */
	last = start - 4 * self->ps;
	ACT(prlimit64);
	ASSERT_TRUE(
		limit_set(RLIMIT_STACK, vma.end - vma.start + 4 * self->ps));

	EXPECT_FAULT(SIGSEGV, SEGV_MAPERR, last - 1, probe_write(last - 1));
	EXPECT_NO_FAULT(probe_write(last));
}

struct thread_probe {
	struct fault fault;
	struct vma stack;
	struct vma guard;
	bool found;
};

/* Probes the byte below its own stack, from that stack. */
static void *probe_own_guard(void *arg)
{
	struct thread_probe *result = arg;
	unsigned char *end;

	result->found = find_vma(&end, &result->stack);
	if (!result->found)
		return NULL;
	end = (unsigned char *)result->stack.start;
	result->fault = probe_write(end - 1);
	result->found = find_vma(end - 1, &result->guard);
	return NULL;
}

TEST_F(stack_guard, thread_stack_ends_at_a_guard_page)
{
	struct thread_probe result = {};
	pthread_t thread;

	ACT_PROBE();
	ASSERT_EQ(0, pthread_create(&thread, NULL, probe_own_guard, &result));
	ASSERT_EQ(0, pthread_join(thread, NULL));

	ASSERT_TRUE(result.found);
	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, result.stack.start - 1,
		     result.fault);
	EXPECT_EQ(0, strncmp("---", result.guard.perms, 3));
}

/*
 *	| neighbour | guard | thread stack |
 *	^area               ^stack
 */
TEST_F(stack_guard, guard_below_an_own_thread_stack_saves_the_neighbour)
{
	const size_t size = 4 * PROBE_STACK_SIZE; /* one of them is TLS */
	struct thread_probe result = {};
	unsigned char *area, *stack;
	pthread_attr_t attr;
	pthread_t thread;

	area = map_alone(size + 2 * self->ps, PROT_RW, MAP_PRIVATE, -1);
	ASSERT_NE(MAP_FAILED, area);
	memset(area, 0x33, 2 * self->ps);
	stack = area + 2 * self->ps;
	ASSERT_EQ(0, pthread_attr_init(&attr));
	ASSERT_EQ(0, pthread_attr_setstack(&attr, stack, size));

	ACT(mprotect);
	ASSERT_EQ(0, mprotect(area + self->ps, self->ps, PROT_NONE));
	ASSERT_EQ(0, pthread_create(&thread, &attr, probe_own_guard, &result));
	ASSERT_EQ(0, pthread_join(thread, NULL));

	EXPECT_FAULT(SIGSEGV, SEGV_ACCERR, stack - 1, result.fault);
	EXPECT_EQ(0x33, peek(area + self->ps - 1));
}

TEST_HARNESS_MAIN
