// SPDX-License-Identifier: GPL-2.0
/*
 * A scatterlist is the bytes of its entries, one after the other, wherever in which
 * page each of them begins and ends: what copies, clears or maps it meets these and
 * no others (include/linux/scatterlist.h, lib/scatterlist.c).
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/string.h>

enum { PIECES = 3, AROUND = 0xee, ORDER = 1 };

/* Within a page, over the border of two, and a whole page. */
static const struct {
	unsigned int offset, length;
} entries[PIECES] = {
	{ 100, 300 },
	{ PAGE_SIZE - 50, 200 },
	{ 0, PAGE_SIZE },
};

#define TOTAL (300 + 200 + PAGE_SIZE)

struct list {
	struct scatterlist sg[PIECES];
	struct page *block[PIECES]; /* two pages each */
	u8 bytes[TOTAL];	     /* what is copied to or from */
};

/* Different for neighbours, and for bytes a page apart. */
static u8 pattern(size_t i)
{
	return i % 191 + 1;
}

static void free_list(void *ctx)
{
	struct list *list = ctx;
	int i;

	for (i = 0; i < PIECES; i++)
		if (list->block[i])
			__free_pages(list->block[i], ORDER);
}

static void fill_block(struct page *block, u8 value)
{
	int i;

	for (i = 0; i < 1 << ORDER; i++) {
		u8 *page = kmap_local_page(block + i);

		memset(page, value, PAGE_SIZE);
		kunmap_local(page);
	}
}

static u8 byte_of_block(struct page *block, size_t at)
{
	u8 *page = kmap_local_page(block + at / PAGE_SIZE);
	u8 value = page[at % PAGE_SIZE];

	kunmap_local(page);
	return value;
}

static void set_byte_of_block(struct page *block, size_t at, u8 value)
{
	u8 *page = kmap_local_page(block + at / PAGE_SIZE);

	page[at % PAGE_SIZE] = value;
	kunmap_local(page);
}

/* A list whose blocks are full of AROUND. */
static struct list *make_list(struct kunit *test)
{
	struct list *list = kunit_kzalloc(test, sizeof(*list), GFP_KERNEL);
	int i;

	if (!list || kunit_add_action_or_reset(test, free_list, list))
		return NULL;
	sg_init_table(list->sg, PIECES);
	for (i = 0; i < PIECES; i++) {
		list->block[i] = alloc_pages(GFP_HIGHUSER, ORDER);
		if (!list->block[i])
			return NULL;
		fill_block(list->block[i], AROUND);
		sg_set_page(&list->sg[i], list->block[i], entries[i].length, entries[i].offset);
	}
	return list;
}

static void write_pattern(struct list *list)
{
	size_t at = 0;
	int i, j;

	for (i = 0; i < PIECES; i++)
		for (j = 0; j < entries[i].length; j++)
			set_byte_of_block(list->block[i], entries[i].offset + j, pattern(at++));
}

/* Which byte of the list is not @value(its place)? TOTAL: none. */
static size_t first_other(struct list *list, u8 (*value)(size_t at))
{
	size_t at = 0;
	int i, j;

	for (i = 0; i < PIECES; i++)
		for (j = 0; j < entries[i].length; j++, at++)
			if (byte_of_block(list->block[i], entries[i].offset + j) != value(at))
				return at;
	return at;
}

/* How many bytes before and behind the entries have been written? */
static int written_around(struct list *list)
{
	int i, at, count = 0;

	for (i = 0; i < PIECES; i++)
		for (at = 0; at < PAGE_SIZE << ORDER; at++)
			if (at < entries[i].offset || at >= entries[i].offset + entries[i].length)
				count += byte_of_block(list->block[i], at) != AROUND;
	return count;
}

static void copy_to_a_buffer_is_the_entries_in_order(struct kunit *test)
{
	struct list *list = make_list(test);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, list);
	write_pattern(list);

	KUNIT_EXPECT_EQ(test, TOTAL,
			sg_copy_to_buffer(list->sg, PIECES, list->bytes, sizeof(list->bytes)));

	for (i = 0; i < TOTAL; i++)
		KUNIT_ASSERT_EQ_MSG(test, pattern(i), list->bytes[i], "byte %zu", i);
}

static void copy_from_a_buffer_writes_the_entries_and_nothing_else(struct kunit *test)
{
	struct list *list = make_list(test);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, list);
	for (i = 0; i < TOTAL; i++)
		list->bytes[i] = pattern(i);

	KUNIT_EXPECT_EQ(test, TOTAL,
			sg_copy_from_buffer(list->sg, PIECES, list->bytes, TOTAL));

	KUNIT_EXPECT_EQ(test, TOTAL, first_other(list, pattern));
	KUNIT_EXPECT_EQ(test, 0, written_around(list));
}

/* Places in the list: within the first entry, in the second page of the second one. */
static const size_t skips[] = { 1, 299, 300, 300 + 60, 500 };

static void describe_skip(const size_t *skip, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *skip);
}
KUNIT_ARRAY_PARAM(skip, skips, describe_skip);

static void copy_begins_behind_what_is_skipped(struct kunit *test)
{
	size_t skip = *(const size_t *)test->param_value;
	struct list *list = make_list(test);
	size_t i;

	KUNIT_ASSERT_NOT_NULL(test, list);
	write_pattern(list);

	KUNIT_EXPECT_EQ(test, TOTAL - skip,
			sg_pcopy_to_buffer(list->sg, PIECES, list->bytes, TOTAL, skip));

	for (i = 0; i < TOTAL - skip; i++)
		KUNIT_ASSERT_EQ_MSG(test, pattern(skip + i), list->bytes[i], "byte %zu", i);
	KUNIT_EXPECT_NULL(test, memchr_inv(list->bytes + TOTAL - skip, 0, skip));
}

static void copy_ends_where_the_buffer_does(struct kunit *test)
{
	struct list *list = make_list(test);
	enum { LEN = 300 + 100 };

	KUNIT_ASSERT_NOT_NULL(test, list);
	write_pattern(list);

	KUNIT_EXPECT_EQ(test, LEN, sg_copy_to_buffer(list->sg, PIECES, list->bytes, LEN));

	KUNIT_EXPECT_EQ(test, pattern(LEN - 1), list->bytes[LEN - 1]);
	KUNIT_EXPECT_NULL(test, memchr_inv(list->bytes + LEN, 0, TOTAL - LEN));
}

static u8 pattern_with_a_hole(size_t i)
{
	return i >= 200 && i < 400 ? 0 : pattern(i);
}

static void zero_clears_the_range_and_nothing_else(struct kunit *test)
{
	struct list *list = make_list(test);

	KUNIT_ASSERT_NOT_NULL(test, list);
	write_pattern(list);

	KUNIT_EXPECT_EQ(test, 200, sg_zero_buffer(list->sg, PIECES, 200, 200));

	KUNIT_EXPECT_EQ(test, TOTAL, first_other(list, pattern_with_a_hole));
	KUNIT_EXPECT_EQ(test, 0, written_around(list));
}

static const unsigned int miter_flags[] = { SG_MITER_FROM_SG, SG_MITER_FROM_SG | SG_MITER_ATOMIC };

static void describe_flags(const unsigned int *flags, char *desc)
{
	strscpy(desc, *flags & SG_MITER_ATOMIC ? "atomic" : "may sleep", KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(flags, miter_flags, describe_flags);

static void pieces_that_are_mapped_lie_in_one_page_each(struct kunit *test)
{
	struct list *list = make_list(test);
	struct sg_mapping_iter miter;
	size_t at = 0, other = 0, longest = 0;
	int pieces = 0;

	KUNIT_ASSERT_NOT_NULL(test, list);
	write_pattern(list);
	sg_miter_start(&miter, list->sg, PIECES, *(const unsigned int *)test->param_value);

	for (; sg_miter_next(&miter); pieces++) {
		u8 *piece = miter.addr;
		size_t i;

		longest = max(longest, offset_in_page(piece) + miter.length);
		for (i = 0; i < miter.length; i++)
			other += piece[i] != pattern(at++);
	}
	sg_miter_stop(&miter);

	KUNIT_EXPECT_EQ(test, 4, pieces);
	KUNIT_EXPECT_EQ(test, TOTAL, at);
	KUNIT_EXPECT_EQ(test, 0, other);
	KUNIT_EXPECT_LE(test, longest, PAGE_SIZE);
}

static void each_page_is_met_once(struct kunit *test)
{
	struct list *list = make_list(test);
	struct sg_page_iter iter;
	struct page *met[PIECES + 1] = {};
	int nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, list);

	for_each_sg_page(list->sg, &iter, PIECES, 0)
		if (nr++ < ARRAY_SIZE(met))
			met[nr - 1] = sg_page_iter_page(&iter);

	KUNIT_EXPECT_EQ(test, 4, nr);
	KUNIT_EXPECT_PTR_EQ(test, list->block[0], met[0]);
	KUNIT_EXPECT_PTR_EQ(test, list->block[1], met[1]);
	KUNIT_EXPECT_PTR_EQ(test, list->block[1] + 1, met[2]);
	KUNIT_EXPECT_PTR_EQ(test, list->block[2], met[3]);
}

static void as_many_entries_are_needed_as_hold_the_bytes(struct kunit *test)
{
	struct list *list = make_list(test);

	KUNIT_ASSERT_NOT_NULL(test, list);

	KUNIT_EXPECT_EQ(test, 0, sg_nents_for_len(list->sg, 0));
	KUNIT_EXPECT_EQ(test, 1, sg_nents_for_len(list->sg, 1));
	KUNIT_EXPECT_EQ(test, 1, sg_nents_for_len(list->sg, entries[0].length));
	KUNIT_EXPECT_EQ(test, 2, sg_nents_for_len(list->sg, entries[0].length + 1));
	KUNIT_EXPECT_EQ(test, PIECES, sg_nents_for_len(list->sg, TOTAL));
	KUNIT_EXPECT_EQ(test, -EINVAL, sg_nents_for_len(list->sg, TOTAL + 1));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(copy_to_a_buffer_is_the_entries_in_order),
	KUNIT_CASE(copy_from_a_buffer_writes_the_entries_and_nothing_else),
	KUNIT_CASE_PARAM(copy_begins_behind_what_is_skipped, skip_gen_params),
	KUNIT_CASE(copy_ends_where_the_buffer_does),
	KUNIT_CASE(zero_clears_the_range_and_nothing_else),
	KUNIT_CASE_PARAM(pieces_that_are_mapped_lie_in_one_page_each, flags_gen_params),
	KUNIT_CASE(each_page_is_met_once),
	KUNIT_CASE(as_many_entries_are_needed_as_hold_the_bytes),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_scatterlist",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of scatterlists");
MODULE_LICENSE("GPL");
