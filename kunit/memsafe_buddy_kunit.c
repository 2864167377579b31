// SPDX-License-Identifier: GPL-2.0
/*
 * The buddy allocator hands out 2^n contiguous, 2^n-aligned pages that no one
 * else holds, cuts larger blocks into buddies, and merges them back when they
 * are freed (Documentation/mm/page_allocator.rst, mm/page_alloc.c).
 */
#include <kunit/test.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/string.h>

#include "memsafe_block.h"
#include "memsafe_free_pages.h"

/*
 * Cut a plain block into @nr equal pieces that are freed one by one.  As with
 * split_page(), a piece is what starts with a counted page; pieces of order 0
 * would wait on per-CPU lists when freed.
 */
static void cut_block(struct page *page, unsigned int piece_order, int nr)
{
	int i;

	for (i = 1; i < nr; i++)
		init_page_count(page + ((unsigned long)i << piece_order));
}

/* How many of the @nr pages starting at @page someone holds. */
static unsigned long count_held(struct page *page, unsigned long nr)
{
	unsigned long i, held = 0;

	for (i = 0; i < nr; i++)
		held += page_count(page + i) != 0;
	return held;
}

static void stamp_pages(void *start, unsigned long nr, unsigned long value)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		*(unsigned long *)(start + i * PAGE_SIZE) = value + i;
}

/* The first page without its stamp, or @nr. */
static unsigned long find_bad_stamp(void *start, unsigned long nr, unsigned long value)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		if (*(unsigned long *)(start + i * PAGE_SIZE) != value + i)
			break;
	return i;
}

static void block_is_aligned_to_its_size(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);

	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(block_pfn(block), 1UL << order));
	KUNIT_EXPECT_TRUE(test, IS_ALIGNED(page_to_phys(block->page), PAGE_SIZE << order));
}

/* Written page after page from its start, read through each page's own address. */
static void block_is_contiguous_memory(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);

	stamp_pages(page_address(block->page), 1UL << order, order);

	for (i = 0; i < 1UL << order; i++) {
		struct page *page = pfn_to_page(block_pfn(block) + i);

		KUNIT_EXPECT_EQ_MSG(test, order + i, *(unsigned long *)page_address(page),
				    "page %lu", i);
		KUNIT_EXPECT_PTR_EQ_MSG(test, page_zone(block->page), page_zone(page),
					"page %lu", i);
	}
}

static void held_block_is_on_no_free_list(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);

	for (i = 0; i < 1UL << order; i++)
		KUNIT_EXPECT_EQ_MSG(test, -1, free_order(block->page + i), "page %lu", i);
}

/* Allocate and free at random; whoever finds a foreign stamp shares its pages. */
static void live_blocks_never_overlap(struct kunit *test)
{
	enum { SLOTS = 64, STEPS = 2000, ORDERS = 6 };
	struct block **slot = kunit_kcalloc(test, SLOTS, sizeof(*slot), GFP_KERNEL);
	u32 step, random = 1;

	KUNIT_ASSERT_NOT_NULL(test, slot);
	for (step = 0; step < STEPS; step++) {
		unsigned long i, nr;

		random = next_pseudo_random32(random);
		i = random >> 8 & (SLOTS - 1);
		if (!slot[i]) {
			slot[i] = alloc_block(test, GFP_KERNEL, (random >> 16) % ORDERS);
			KUNIT_ASSERT_NOT_NULL(test, slot[i]);
			stamp_pages(page_address(slot[i]->page), 1UL << slot[i]->order, i << 16);
			continue;
		}
		nr = 1UL << slot[i]->order;
		KUNIT_EXPECT_EQ_MSG(test, nr,
				    find_bad_stamp(page_address(slot[i]->page), nr, i << 16),
				    "slot %lu, step %u", i, step);
		drop_block(test, slot[i]);
		slot[i] = NULL;
	}
}

/*
 * Once the lists of an order are empty, the next block is cut from a larger one
 * and the one after that is its other half.
 */
static void halves_of_a_block_differ_in_one_bit(struct kunit *test)
{
	unsigned int order = param_order(test);
	unsigned long i, j, nr = count_free_blocks(order) + TRIES;
	struct block **block = kunit_kcalloc(test, nr, sizeof(*block), GFP_KERNEL);
	bool buddies = false;

	KUNIT_ASSERT_NOT_NULL(test, block);
	for (i = 0; i < nr && !buddies; i++) {
		block[i] = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);
		KUNIT_ASSERT_NOT_NULL(test, block[i]);
		for (j = 0; j < i; j++)
			buddies |= (block_pfn(block[i]) ^ block_pfn(block[j])) == 1UL << order;
	}
	KUNIT_EXPECT_TRUE_MSG(test, buddies, "no buddies among %lu blocks", i);
}

static void freed_block_waits_for_its_buddy(struct kunit *test)
{
	unsigned int order = param_order(test);
	int tries, seen = -1;

	for (tries = 0; tries < TRIES && seen != order; tries++) {
		struct page *page = alloc_pages(GFP_KERNEL, order + 1);

		KUNIT_ASSERT_NOT_NULL(test, page);
		cut_block(page, order, 2);

		__free_pages(page, order);

		seen = PageBuddy(page) ? page_private(page) : -1;
		__free_pages(page + (1UL << order), order);
		KUNIT_EXPECT_LE(test, seen, (int)order);
	}
	KUNIT_EXPECT_EQ(test, seen, (int)order);
}

static void freed_buddies_merge(struct kunit *test)
{
	unsigned int order = param_order(test);
	int tries, seen = -1;

	for (tries = 0; tries < TRIES && seen <= (int)order; tries++) {
		struct page *page = alloc_pages(GFP_KERNEL, order + 1);

		KUNIT_ASSERT_NOT_NULL(test, page);
		cut_block(page, order, 2);

		__free_pages(page + (1UL << order), order);
		__free_pages(page, order);

		seen = free_order(page);
	}
	KUNIT_EXPECT_GT(test, seen, (int)order);
}

/* Four pieces, freed in the order that the parameter spells. */
static const char * const free_sequence[] = {
	"0123", "3210", "0213", "1302", "0312", "2031",
};

static void describe_sequence(const char * const *sequence, char *desc)
{
	strscpy(desc, *sequence, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(free_sequence, free_sequence, describe_sequence);

static void pieces_merge_whatever_the_sequence(struct kunit *test)
{
	enum { PIECE = FIRST_UNCACHED_ORDER, WHOLE = PIECE + 2 };
	const char *sequence = *(const char * const *)test->param_value;
	int i, tries, before, after = -1;

	for (tries = 0; tries < TRIES && after < WHOLE; tries++) {
		struct page *page = alloc_pages(GFP_KERNEL, WHOLE);

		KUNIT_ASSERT_NOT_NULL(test, page);
		cut_block(page, PIECE, 4);

		for (i = 0; i < 4; i++) {
			before = free_order(page);
			__free_pages(page + ((sequence[i] - '0') << PIECE), PIECE);
		}

		after = free_order(page);
		KUNIT_EXPECT_LT_MSG(test, before, WHOLE, "merged while a piece was held");
	}
	KUNIT_EXPECT_GE(test, after, (int)WHOLE);
}

static void split_page_gives_each_page_a_count(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, page);

	split_page(page, order);

	for (i = 0; i < 1UL << order; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(page + i), "page %lu", i);
		if (page_count(page + i) == 1)
			__free_page(page + i);
	}
}

static void split_page_leaves_its_neighbours_alone_when_freed(struct kunit *test)
{
	enum { ORDER = 3 };
	struct page *page = alloc_pages(GFP_KERNEL, ORDER);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	stamp_pages(page_address(page), 1 << ORDER, 0);
	split_page(page, ORDER);

	for (i = 1; i < 1 << ORDER; i += 2)
		__free_page(page + i);

	for (i = 0; i < 1 << ORDER; i += 2) {
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(page + i), "page %d", i);
		KUNIT_EXPECT_EQ_MSG(test, i, *(long *)page_address(page + i), "page %d", i);
		__free_page(page + i);
	}
}

static const size_t exact_size[] = {
	1, PAGE_SIZE, PAGE_SIZE + 1, 3 * PAGE_SIZE, 5 * PAGE_SIZE - 1, 9 * PAGE_SIZE,
};

static void describe_size(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}
KUNIT_ARRAY_PARAM(exact_size, exact_size, describe_size);

static void alloc_pages_exact_returns_its_tail(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	unsigned long used = PAGE_ALIGN(size) >> PAGE_SHIFT;
	unsigned long tail = (1UL << get_order(size)) - used, kept = ~0UL;
	int tries;

	for (tries = 0; tries < TRIES && kept; tries++) {
		void *start = alloc_pages_exact(size, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, start);
		KUNIT_EXPECT_EQ(test, used, count_held(virt_to_page(start), used));
		kept = count_held(virt_to_page(start) + used, tail);
		free_pages_exact(start, size);
	}
	KUNIT_EXPECT_EQ(test, 0, kept);
}

static void free_pages_exact_frees_every_page(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	unsigned long held = ~0UL;
	int tries;

	for (tries = 0; tries < TRIES && held; tries++) {
		void *start = alloc_pages_exact(size, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, start);

		free_pages_exact(start, size);

		held = count_held(virt_to_page(start), PAGE_ALIGN(size) >> PAGE_SHIFT);
	}
	KUNIT_EXPECT_EQ(test, 0, held);
}

/*
 * A page of the tail that was never freed has no count either: that none is lost
 * shows when it is done often enough.
 */
static void alloc_pages_exact_loses_no_page(struct kunit *test)
{
	enum { ROUNDS = 1024, USED = 9, LOSABLE = ROUNDS * (16 - USED) };
	long before = count_free_pages();
	int i;

	for (i = 0; i < ROUNDS; i++) {
		void *start = alloc_pages_exact(USED * PAGE_SIZE, GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, start);
		free_pages_exact(start, USED * PAGE_SIZE);
	}
	KUNIT_EXPECT_LT(test, before - count_free_pages(), LOSABLE / 2);
}

/*
 * What the last owner kept in page->private must not be what the next one finds,
 * as a head or as a tail of any block.  A buddy list keeps its order there.
 */
static void freed_page_forgets_its_private(struct kunit *test)
{
	const unsigned long kept = 0x5eed;
	unsigned int order = param_order(test);
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	split_page(page, order);

	for (i = 0; i < 1UL << order; i++) {
		set_page_private(page + i, kept);
		__free_page(page + i);
	}

	for (i = 0; i < 1UL << order; i++)
		KUNIT_EXPECT_NE_MSG(test, kept, page_private(page + i), "page %lu", i);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(block_is_aligned_to_its_size, order_gen_params),
	KUNIT_CASE_PARAM(block_is_contiguous_memory, order_gen_params),
	KUNIT_CASE_PARAM(held_block_is_on_no_free_list, order_gen_params),
	KUNIT_CASE(live_blocks_never_overlap),
	KUNIT_CASE_PARAM(halves_of_a_block_differ_in_one_bit, uncached_order_gen_params),
	KUNIT_CASE_PARAM(freed_block_waits_for_its_buddy, uncached_order_gen_params),
	KUNIT_CASE_PARAM(freed_buddies_merge, uncached_order_gen_params),
	KUNIT_CASE_PARAM(pieces_merge_whatever_the_sequence, free_sequence_gen_params),
	KUNIT_CASE_PARAM(split_page_gives_each_page_a_count, order_gen_params),
	KUNIT_CASE(split_page_leaves_its_neighbours_alone_when_freed),
	KUNIT_CASE_PARAM(alloc_pages_exact_returns_its_tail, exact_size_gen_params),
	KUNIT_CASE_PARAM(free_pages_exact_frees_every_page, exact_size_gen_params),
	KUNIT_CASE(alloc_pages_exact_loses_no_page),
	KUNIT_CASE_PARAM(freed_page_forgets_its_private, order_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_buddy",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the buddy allocator's promises");
MODULE_LICENSE("GPL");
