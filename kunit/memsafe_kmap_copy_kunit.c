// SPDX-License-Identifier: GPL-2.0
/*
 * What copies to, from and between pages and clears them, wherever they are in
 * memory, changes its range and nothing else (include/linux/highmem.h).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_block.h"
#include "memsafe_highmem.h"

/* [FROM, TO) of a page: no end on a word, neither at an end of the page. */
enum { FROM = 1021, TO = 3001 };

static void memcpy_to_page_writes_its_range_only(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	u8 *data = kunit_kmalloc(test, TO - FROM, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, data);
	memset(data, 0x5a, TO - FROM);

	memcpy_to_page(page, FROM, data, TO - FROM);

	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 0, FROM, 0));
	KUNIT_EXPECT_EQ(test, TO, find_other(page, FROM, TO, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, TO, PAGE_SIZE, 0));
}

static void memcpy_from_page_reads_its_range_only(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	u8 *data = kunit_kzalloc(test, TO - FROM + 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, data);
	memset_page(page, 0, 0x77, PAGE_SIZE);
	memset_page(page, FROM, 0x5a, TO - FROM);

	memcpy_from_page(data, page, FROM, TO - FROM);

	KUNIT_EXPECT_NULL(test, memchr_inv(data, 0x5a, TO - FROM));
	KUNIT_EXPECT_EQ(test, 0, data[TO - FROM]);
}

static void memcpy_page_copies_between_offsets(struct kunit *test)
{
	enum { LEN = 100, AT = 200 };
	struct page *from = alloc_highuser_page(test), *to = alloc_highuser_page(test);

	KUNIT_ASSERT_NOT_NULL(test, from);
	KUNIT_ASSERT_NOT_NULL(test, to);
	memset_page(from, FROM, 0x5a, LEN);

	memcpy_page(to, AT, from, FROM, LEN);

	KUNIT_EXPECT_EQ(test, AT, find_other(to, 0, AT, 0));
	KUNIT_EXPECT_EQ(test, AT + LEN, find_other(to, AT, AT + LEN, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(to, AT + LEN, PAGE_SIZE, 0));
}

/* What copies a whole page, for the kernel or for a user who has it at an address. */
struct copier {
	const char *name;
	void (*copy)(struct page *to, struct page *from);
};

static void copy_for_kernel(struct page *to, struct page *from)
{
	copy_highpage(to, from);
}

static void copy_for_user(struct page *to, struct page *from)
{
	copy_user_highpage(to, from, 0, NULL);
}

static const struct copier copier[] = {
	{ "copy_highpage", copy_for_kernel },
	{ "copy_user_highpage", copy_for_user },
};

static void describe_copier(const struct copier *copier, char *desc)
{
	strscpy(desc, copier->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(copier, copier, describe_copier);

static void every_byte_of_a_page_is_copied(struct kunit *test)
{
	const struct copier *copier = test->param_value;
	struct page *from = alloc_highuser_page(test), *to = alloc_highuser_page(test);

	KUNIT_ASSERT_NOT_NULL(test, from);
	KUNIT_ASSERT_NOT_NULL(test, to);
	memset_page(from, 0, 0x5a, PAGE_SIZE);

	copier->copy(to, from);

	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(to, 0, PAGE_SIZE, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(from, 0, PAGE_SIZE, 0x5a));
}

/* What clears a whole page. */
struct cleaner {
	const char *name;
	void (*clear)(struct page *page);
};

static void clear_for_kernel(struct page *page)
{
	clear_highpage(page);
}

static void clear_for_user(struct page *page)
{
	clear_user_highpage(page, 0);
}

static void clear_by_range(struct page *page)
{
	memzero_page(page, 0, PAGE_SIZE);
}

static const struct cleaner cleaner[] = {
	{ "clear_highpage", clear_for_kernel },
	{ "clear_user_highpage", clear_for_user },
	{ "memzero_page", clear_by_range },
};

static void describe_cleaner(const struct cleaner *cleaner, char *desc)
{
	strscpy(desc, cleaner->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(cleaner, cleaner, describe_cleaner);

static void every_byte_of_a_page_is_cleared(struct kunit *test)
{
	const struct cleaner *cleaner = test->param_value;
	struct page *page = alloc_highuser_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	cleaner->clear(page);

	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, 0, PAGE_SIZE, 0));
}

static void zero_user_clears_its_range_only(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	zero_user(page, FROM, TO - FROM);

	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 0, FROM, 0x5a));
	KUNIT_EXPECT_EQ(test, TO, find_other(page, FROM, TO, 0));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, TO, PAGE_SIZE, 0x5a));
}

static void zero_user_segments_clears_both_ranges(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	zero_user_segments(page, 3, FROM, TO, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, 3, find_other(page, 0, 3, 0x5a));
	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 3, FROM, 0));
	KUNIT_EXPECT_EQ(test, TO, find_other(page, FROM, TO, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, TO, PAGE_SIZE, 0));
}

/*
 * Both ranges begin in one page of a block and end in the next:
 *
 *	page 0    page 1    page 2    page 3
 *	|   [FROM |  5)     |  [7     |   9)    |
 */
static void zero_user_segments_clears_across_pages(struct kunit *test)
{
	enum { ORDER = 2 };
	struct block *block = alloc_block(test, GFP_HIGHUSER | __GFP_COMP, ORDER);
	struct page *page;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, block);
	page = block->page;
	for (i = 0; i < 1 << ORDER; i++)
		memset_page(page + i, 0, 0x5a, PAGE_SIZE);

	zero_user_segments(page, FROM, PAGE_SIZE + 5, 2 * PAGE_SIZE + 7, 3 * PAGE_SIZE + 9);

	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 0, FROM, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, FROM, PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, 5, find_other(page + 1, 0, 5, 0));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page + 1, 5, PAGE_SIZE, 0x5a));
	KUNIT_EXPECT_EQ(test, 7, find_other(page + 2, 0, 7, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page + 2, 7, PAGE_SIZE, 0));
	KUNIT_EXPECT_EQ(test, 9, find_other(page + 3, 0, 9, 0));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page + 3, 9, PAGE_SIZE, 0x5a));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(memcpy_to_page_writes_its_range_only),
	KUNIT_CASE(memcpy_from_page_reads_its_range_only),
	KUNIT_CASE(memcpy_page_copies_between_offsets),
	KUNIT_CASE_PARAM(every_byte_of_a_page_is_copied, copier_gen_params),
	KUNIT_CASE_PARAM(every_byte_of_a_page_is_cleared, cleaner_gen_params),
	KUNIT_CASE(zero_user_clears_its_range_only),
	KUNIT_CASE(zero_user_segments_clears_both_ranges),
	KUNIT_CASE(zero_user_segments_clears_across_pages),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_kmap_copy",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of copying and clearing pages");
MODULE_LICENSE("GPL");
