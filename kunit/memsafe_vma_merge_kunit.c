// SPDX-License-Identifier: GPL-2.0
/*
 * A mapping that continues its neighbour, in memory and in the file, becomes one
 * VMA with it, in which each page keeps its offset; one that does not stays
 * apart; and no VMA whose ->close waits to be called disappears in a merge
 * (vma_merge_new_range() in mm/vma.c).  Nothing that a module can call changes a
 * mapping in place: the merges of mprotect() and madvise() are not tested here.
 */
#include <kunit/test.h>
#include <linux/mm.h>

#include "memsafe_vma.h"

/* Pages of the mappings that are put together, three of them at most. */
enum { THIRD = 2 };

/* The first of them in the file. */
enum { PGOFF = 2 };

/* In which order the thirds of a mapping are made. */
struct order {
	const char *name;
	int third[3];
};

static const struct order orders[] = {
	{ "upwards", { 0, 1, 2 } },
	{ "downwards", { 2, 1, 0 } },
	{ "the middle last", { 0, 2, 1 } },
	{ "the middle first", { 1, 0, 2 } },
};

static void order_to_desc(const struct order *order, char *desc)
{
	strscpy(desc, order->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(order, orders, order_to_desc);

/* Where a mapping of three thirds has room, between pages that nobody may access. */
static unsigned long make_room(struct kunit *test)
{
	unsigned long room = user_map(test, NULL, (3 * THIRD + 2) * PAGE_SIZE, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);

	return IS_ERR_VALUE(room) ? room : room + PAGE_SIZE;
}

static unsigned long map_third(struct kunit *test, unsigned long addr, int third,
			       unsigned long pgoff, unsigned long prot)
{
	struct mmap_file *mf = test->priv;

	return user_map_at(test, addr + third * THIRD * PAGE_SIZE, mf->file, THIRD * PAGE_SIZE,
			   prot, MAP_SHARED | MAP_FIXED, pgoff * PAGE_SIZE);
}

static const struct vm_operations_struct no_close_ops = {};

static void neighbours_in_the_file_become_one_vma(struct kunit *test)
{
	const struct order *order = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr = make_room(test);
	int i;

	ASSERT_MAPPED(test, addr);
	mf->vm_ops = &no_close_ops;

	for (i = 0; i < 3; i++) {
		const int third = order->third[i];

		ASSERT_MAPPED(test, map_third(test, addr, third, PGOFF + third * THIRD, PROT_READ));
	}

	EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, 3 * THIRD);
	KUNIT_EXPECT_EQ(test, 2, file_count(mf->file));
	vm_munmap(addr, 3 * THIRD * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 1, file_count(mf->file));
}

/* Its ->close has to be called for each ->mmap and ->open. */
static void vma_with_close_is_never_merged_away(struct kunit *test)
{
	const struct order *order = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr = make_room(test);
	int i;

	ASSERT_MAPPED(test, addr);

	for (i = 0; i < 3; i++) {
		const int third = order->third[i];

		ASSERT_MAPPED(test, map_third(test, addr, third, PGOFF + third * THIRD, PROT_READ));
		KUNIT_EXPECT_EQ(test, 1 + count_vmas(mf), file_count(mf->file));
	}

	KUNIT_EXPECT_EQ(test, 0, mf->closes);
	KUNIT_EXPECT_EQ(test, PGOFF, view_vma(addr).pgoff);
	vm_munmap(addr, 3 * THIRD * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, 0, count_vmas(mf));
	KUNIT_EXPECT_EQ(test, 1, file_count(mf->file));
}

struct stranger {
	const char *name;
	unsigned long pgoff, prot, vm_flags;
};

static const struct stranger strangers[] = {
	{ "a gap in the file", PGOFF + THIRD + 1, PROT_READ },
	{ "the same pages again", PGOFF, PROT_READ },
	{ "another protection", PGOFF + THIRD, PROT_READ | PROT_WRITE },
	{ "VM_DONTEXPAND", PGOFF + THIRD, PROT_READ, VM_DONTEXPAND },
	{ "VM_PFNMAP", PGOFF + THIRD, PROT_READ, VM_PFNMAP },
	{ "VM_MIXEDMAP", PGOFF + THIRD, PROT_READ, VM_MIXEDMAP },
	{ "VM_IO", PGOFF + THIRD, PROT_READ, VM_IO },
};

static void stranger_to_desc(const struct stranger *stranger, char *desc)
{
	strscpy(desc, stranger->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(stranger, strangers, stranger_to_desc);

static int set_strangers_flags(struct mmap_file *mf, struct vm_area_struct *vma)
{
	const struct stranger *stranger = mf->arg;

	vm_flags_set(vma, stranger->vm_flags);
	return 0;
}

static void neighbour_that_does_not_continue_it_stays_apart(struct kunit *test)
{
	const struct stranger *stranger = test->param_value;
	struct mmap_file *mf = test->priv;
	unsigned long addr = make_room(test), second = addr + THIRD * PAGE_SIZE;

	ASSERT_MAPPED(test, addr);
	mf->arg = stranger;
	mf->mmap = set_strangers_flags;
	mf->vm_ops = &no_close_ops;

	ASSERT_MAPPED(test, map_third(test, addr, 0, PGOFF, PROT_READ));
	ASSERT_MAPPED(test, map_third(test, addr, 1, stranger->pgoff, stranger->prot));

	EXPECT_FILE_VMA(test, mf, PGOFF, addr, 0, THIRD);
	KUNIT_EXPECT_EQ(test, second, view_vma(second).start);
	KUNIT_EXPECT_EQ(test, stranger->pgoff, view_vma(second).pgoff);
	KUNIT_EXPECT_EQ(test, 3, file_count(mf->file));
}

/* A hole between pages of one anon_vma. */
static void hole_filled_with_anonymous_memory_is_one_vma_again(struct kunit *test)
{
	unsigned long addr = make_room(test), middle = addr + THIRD * PAGE_SIZE;
	unsigned long len = 3 * THIRD * PAGE_SIZE;

	ASSERT_MAPPED(test, addr);
	ASSERT_MAPPED(test, user_map_at(test, addr, NULL, len, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));
	KUNIT_ASSERT_EQ(test, 0, user_poke(addr, 'l'));
	KUNIT_ASSERT_EQ(test, 0, user_poke(middle, 'm'));
	KUNIT_ASSERT_EQ(test, 0, user_poke(addr + len - 1, 'u'));
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(middle, THIRD * PAGE_SIZE));
	KUNIT_ASSERT_EQ(test, middle, view_vma(addr).end);

	ASSERT_MAPPED(test, user_map_at(test, middle, NULL, THIRD * PAGE_SIZE,
					PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0));

	KUNIT_EXPECT_EQ(test, addr, view_vma(middle).start);
	KUNIT_EXPECT_EQ(test, addr + len, view_vma(middle).end);
	KUNIT_EXPECT_EQ(test, addr >> PAGE_SHIFT, view_vma(middle).pgoff);
	KUNIT_EXPECT_EQ(test, 'l', user_peek(addr));
	KUNIT_EXPECT_EQ(test, 0, user_peek(middle));
	KUNIT_EXPECT_EQ(test, 'u', user_peek(addr + len - 1));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(neighbours_in_the_file_become_one_vma, order_gen_params),
	KUNIT_CASE_PARAM(vma_with_close_is_never_merged_away, order_gen_params),
	KUNIT_CASE_PARAM(neighbour_that_does_not_continue_it_stays_apart, stranger_gen_params),
	KUNIT_CASE(hole_filled_with_anonymous_memory_is_one_vma_again),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_vma_merge",
	.init = open_mmap_file,
	.exit = close_mmap_file,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of how VMAs merge");
MODULE_LICENSE("GPL");
