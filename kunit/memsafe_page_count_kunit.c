// SPDX-License-Identifier: GPL-2.0
/*
 * Each pfn has one struct page, and its count says who keeps it: alloc, get and
 * put move it by one, a block is freed with its last reference and not before,
 * and the tails of a compound page lead to its head (include/linux/mm.h,
 * __free_pages() in mm/page_alloc.c).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "memsafe_block.h"
#include "memsafe_free_pages.h"

static void each_pfn_has_its_own_page(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);

	for (i = 0; i < 1UL << order; i++) {
		struct page *page = pfn_to_page(block_pfn(block) + i);

		KUNIT_EXPECT_PTR_EQ_MSG(test, nth_page(block->page, i), page, "page %lu", i);
		KUNIT_EXPECT_EQ_MSG(test, block_pfn(block) + i, page_to_pfn(page), "page %lu", i);
	}
}

static void fresh_page_is_counted_once_and_unmapped(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_EQ(test, 1, page_count(block->page));
	KUNIT_EXPECT_FALSE(test, page_mapped(block->page));
	KUNIT_EXPECT_NULL(test, block->page->mapping);
	KUNIT_EXPECT_EQ(test, 0, block->page->flags & PAGE_FLAGS_CHECK_AT_PREP);
}

static void get_and_put_move_the_count_by_one(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, block);

	get_page(block->page);
	KUNIT_EXPECT_EQ(test, 2, page_count(block->page));
	put_page(block->page);
	KUNIT_EXPECT_EQ(test, 1, page_count(block->page));
}

static void get_page_unless_zero_refuses_a_free_page(struct kunit *test)
{
	bool refused = false;
	int tries;

	for (tries = 0; tries < TRIES && !refused; tries++) {
		struct page *page = alloc_page(GFP_KERNEL);

		KUNIT_ASSERT_NOT_NULL(test, page);
		__free_page(page);

		refused = !get_page_unless_zero(page);

		/* Whoever took the page meanwhile keeps it; this was our reference. */
		if (!refused)
			put_page(page);
	}
	KUNIT_EXPECT_TRUE(test, refused);
}

static void only_the_head_of_a_plain_block_is_counted(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);

	for (i = 0; i < 1UL << order; i++) {
		KUNIT_EXPECT_EQ_MSG(test, i == 0, page_count(block->page + i), "page %lu", i);
		KUNIT_EXPECT_FALSE_MSG(test, PageCompound(block->page + i), "page %lu", i);
	}
}

static void compound_page_knows_its_head_order_and_size(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_COMP | __GFP_NOWARN, order);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_EQ(test, order > 0, PageHead(block->page));
	KUNIT_EXPECT_EQ(test, order, compound_order(block->page));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE << order, page_size(block->page));
	for (i = 1; i < 1UL << order; i++) {
		KUNIT_EXPECT_TRUE_MSG(test, PageTail(block->page + i), "page %lu", i);
		KUNIT_EXPECT_PTR_EQ_MSG(test, block->page, compound_head(block->page + i),
					"page %lu", i);
	}
}

static void reference_to_a_tail_counts_on_the_head(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_COMP, 3);

	KUNIT_ASSERT_NOT_NULL(test, block);

	get_page(block->page + 5);
	KUNIT_EXPECT_EQ(test, 2, page_count(block->page));
	put_page(block->page + 5);
	KUNIT_EXPECT_EQ(test, 1, page_count(block->page));
}

static void compound_page_stays_whole_until_its_last_put(struct kunit *test)
{
	enum { ORDER = FIRST_UNCACHED_ORDER };
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, ORDER);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, page);
	get_page(page);

	__free_pages(page, ORDER);

	KUNIT_EXPECT_EQ(test, 1, page_count(page));
	KUNIT_EXPECT_EQ(test, ORDER, compound_order(page));
	for (i = 0; i < 1 << ORDER; i++) {
		KUNIT_EXPECT_PTR_EQ_MSG(test, page, compound_head(page + i), "page %d", i);
		KUNIT_EXPECT_EQ_MSG(test, -1, free_order(page + i), "page %d", i);
	}
	put_page(page);
}

static void last_put_frees_a_compound_page_whole(struct kunit *test)
{
	enum { ORDER = FIRST_UNCACHED_ORDER };
	int tries, first = -1, last = -1;

	for (tries = 0; tries < TRIES && (first < ORDER || last < ORDER); tries++) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP, ORDER);

		KUNIT_ASSERT_NOT_NULL(test, page);

		put_page(page + 1);

		first = free_order(page);
		last = free_order(page + (1 << ORDER) - 1);
	}
	KUNIT_EXPECT_GE(test, first, (int)ORDER);
	KUNIT_EXPECT_GE(test, last, (int)ORDER);
}

/*
 * Someone with a reference to the head keeps the head alone; the rest is freed
 * in halves, the largest first: of order 6, [32, 64) as one block of order 5.
 */
static void free_with_an_extra_reference_keeps_the_head_only(struct kunit *test)
{
	enum { ORDER = FIRST_UNCACHED_ORDER + 2 };
	int tries, half = -1, quarter = -1;

	for (tries = 0; tries < TRIES && (half < ORDER - 1 || quarter < ORDER - 2); tries++) {
		struct page *page = alloc_pages(GFP_KERNEL, ORDER);

		KUNIT_ASSERT_NOT_NULL(test, page);
		get_page(page);

		__free_pages(page, ORDER);

		KUNIT_EXPECT_EQ(test, 1, page_count(page));
		KUNIT_EXPECT_EQ(test, -1, free_order(page));
		half = free_order(page + (1 << (ORDER - 1)));
		quarter = free_order(page + (1 << (ORDER - 2)));
		__free_page(page);
	}
	KUNIT_EXPECT_EQ(test, ORDER - 1, half);
	KUNIT_EXPECT_EQ(test, ORDER - 2, quarter);
}

/*
 * The small pieces of such a free go to per-CPU lists, where they can't be
 * told apart; that none is lost shows when it is done often enough.
 */
static void free_with_an_extra_reference_loses_nothing(struct kunit *test)
{
	enum { ROUNDS = 4096, ORDER = 2 };
	long before = count_free_pages();
	int i;

	for (i = 0; i < ROUNDS; i++) {
		struct page *page = alloc_pages(GFP_KERNEL, ORDER);

		KUNIT_ASSERT_NOT_NULL(test, page);
		get_page(page);
		__free_pages(page, ORDER);
		__free_page(page);
	}
	/* Each piece, the smallest is a page, would be lost in every round. */
	KUNIT_EXPECT_LT(test, before - count_free_pages(), ROUNDS / 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(each_pfn_has_its_own_page, order_gen_params),
	KUNIT_CASE(fresh_page_is_counted_once_and_unmapped),
	KUNIT_CASE(get_and_put_move_the_count_by_one),
	KUNIT_CASE(get_page_unless_zero_refuses_a_free_page),
	KUNIT_CASE_PARAM(only_the_head_of_a_plain_block_is_counted, order_gen_params),
	KUNIT_CASE_PARAM(compound_page_knows_its_head_order_and_size, order_gen_params),
	KUNIT_CASE(reference_to_a_tail_counts_on_the_head),
	KUNIT_CASE(compound_page_stays_whole_until_its_last_put),
	KUNIT_CASE(last_put_frees_a_compound_page_whole),
	KUNIT_CASE(free_with_an_extra_reference_keeps_the_head_only),
	KUNIT_CASE(free_with_an_extra_reference_loses_nothing),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_page_count",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of page counts and compound pages");
MODULE_LICENSE("GPL");
