// SPDX-License-Identifier: GPL-2.0
/*
 * Many single pages at once: each is a page of its own, what an array has already stays
 * as it is, and the count that comes back is true (__alloc_pages_bulk() in
 * mm/page_alloc.c).
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

enum { PAGES = 64, TRIES_TO_FILL = PAGES };

struct pages {
	struct page *page[PAGES];
	struct list_head list;
};

static void free_all(void *ctx)
{
	struct pages *pages = ctx;
	struct page *page, *next;
	int i;

	list_for_each_entry_safe(page, next, &pages->list, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	for (i = 0; i < PAGES; i++)
		if (pages->page[i])
			__free_page(pages->page[i]);
}

static struct pages *no_pages(struct kunit *test)
{
	struct pages *pages = kunit_kzalloc(test, sizeof(*pages), GFP_KERNEL);

	if (!pages)
		return NULL;
	INIT_LIST_HEAD(&pages->list);
	return kunit_add_action_or_reset(test, free_all, pages) ? NULL : pages;
}

/* One call may give fewer than asked for; how many there are in the end. */
static int fill_array(struct pages *pages, gfp_t gfp)
{
	int tries, nr = 0;

	for (tries = 0; tries < TRIES_TO_FILL && nr < PAGES; tries++)
		nr = alloc_pages_bulk_array(gfp, PAGES, pages->page);
	return nr;
}

static int count_pages(const struct pages *pages)
{
	int i, nr = 0;

	for (i = 0; i < PAGES; i++)
		nr += !!pages->page[i];
	return nr;
}

static void each_page_of_an_array_is_its_own(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	int i, j;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	KUNIT_ASSERT_EQ(test, PAGES, fill_array(pages, GFP_KERNEL));

	for (i = 0; i < PAGES; i++) {
		KUNIT_ASSERT_NOT_NULL(test, pages->page[i]);
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(pages->page[i]), "page %d", i);
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_PTR_NE(test, pages->page[i], pages->page[j]);
		memset(page_address(pages->page[i]), i, PAGE_SIZE);
	}
	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(page_address(pages->page[i]), i, PAGE_SIZE),
				      "page %d", i);
}

static void count_is_that_of_the_array(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	nr = alloc_pages_bulk_array(GFP_KERNEL, PAGES, pages->page);

	KUNIT_EXPECT_GT(test, nr, 0);
	KUNIT_EXPECT_EQ(test, nr, count_pages(pages));
}

/* Holes in front, in the middle and at the end. */
static void page_that_is_there_stays(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	static const int held[] = { 1, 7, PAGES - 2 };
	struct page *before[ARRAY_SIZE(held)];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		before[i] = pages->page[held[i]] = alloc_page(GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, before[i]);
	}

	KUNIT_EXPECT_EQ(test, PAGES, fill_array(pages, GFP_KERNEL));

	KUNIT_EXPECT_EQ(test, PAGES, count_pages(pages));
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		KUNIT_EXPECT_PTR_EQ(test, before[i], pages->page[held[i]]);
		KUNIT_EXPECT_EQ(test, 1, page_count(before[i]));
	}
}

static void full_array_gets_nothing(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	struct page *first, *last;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_ASSERT_EQ(test, PAGES, fill_array(pages, GFP_KERNEL));
	first = pages->page[0];
	last = pages->page[PAGES - 1];

	KUNIT_EXPECT_EQ(test, PAGES, alloc_pages_bulk_array(GFP_KERNEL, PAGES, pages->page));

	KUNIT_EXPECT_PTR_EQ(test, first, pages->page[0]);
	KUNIT_EXPECT_PTR_EQ(test, last, pages->page[PAGES - 1]);
}

static void no_page_is_given_behind_the_last(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	int tries, nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	for (tries = 0; tries < TRIES_TO_FILL && nr < PAGES / 2; tries++)
		nr = alloc_pages_bulk_array(GFP_KERNEL, PAGES / 2, pages->page);

	KUNIT_EXPECT_EQ(test, PAGES / 2, nr);
	KUNIT_EXPECT_EQ(test, PAGES / 2, count_pages(pages));
	KUNIT_EXPECT_EQ(test, 0, alloc_pages_bulk_array(GFP_KERNEL, 0, pages->page + PAGES / 2));
	KUNIT_EXPECT_NULL(test, pages->page[PAGES / 2]);
}

static void zero_flag_clears_every_page(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	KUNIT_ASSERT_EQ(test, PAGES, fill_array(pages, GFP_KERNEL));
	for (i = 0; i < PAGES; i++) {
		memset(page_address(pages->page[i]), 0x5a, PAGE_SIZE);
		__free_page(pages->page[i]);
		pages->page[i] = NULL;
	}

	KUNIT_ASSERT_EQ(test, PAGES, fill_array(pages, GFP_KERNEL | __GFP_ZERO));

	for (i = 0; i < PAGES; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(page_address(pages->page[i]), 0, PAGE_SIZE),
				      "page %d", i);
}

static void list_has_as_many_pages_as_were_given(struct kunit *test)
{
	struct pages *pages = no_pages(test);
	struct page *page;
	int nr, listed = 0;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	nr = alloc_pages_bulk_list(GFP_KERNEL, PAGES, &pages->list);

	KUNIT_EXPECT_GT(test, nr, 0);
	list_for_each_entry(page, &pages->list, lru) {
		listed++;
		KUNIT_EXPECT_EQ(test, 1, page_count(page));
	}
	KUNIT_EXPECT_EQ(test, nr, listed);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_page_of_an_array_is_its_own),
	KUNIT_CASE(count_is_that_of_the_array),
	KUNIT_CASE(page_that_is_there_stays),
	KUNIT_CASE(full_array_gets_nothing),
	KUNIT_CASE(no_page_is_given_behind_the_last),
	KUNIT_CASE(zero_flag_clears_every_page),
	KUNIT_CASE(list_has_as_many_pages_as_were_given),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_bulk",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of pages that are allocated many at a time");
MODULE_LICENSE("GPL");
