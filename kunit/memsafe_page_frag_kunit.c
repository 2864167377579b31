// SPDX-License-Identifier: GPL-2.0
/*
 * A page fragment cache cuts blocks of pages into fragments that do not overlap;
 * a block that is used up has one reference for each of its fragments, and is
 * freed with the last one, not before (Documentation/mm/page_frags.rst).
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>

#include "memsafe_block.h"

/* More of the smallest fragments below than a block of 32 KiB holds. */
enum { MAX_FRAGMENTS = 512 };

struct fragments {
	struct page_frag_cache cache;
	u8 *start[MAX_FRAGMENTS];
	int nr;
};

static void free_fragments(void *ctx)
{
	struct fragments *fragments = ctx;

	while (fragments->nr)
		page_frag_free(fragments->start[--fragments->nr]);
	page_frag_cache_drain(&fragments->cache);
}

static struct fragments *open_cache(struct kunit *test)
{
	struct fragments *fragments = kunit_kzalloc(test, sizeof(*fragments), GFP_KERNEL);

	if (!fragments || kunit_add_action_or_reset(test, free_fragments, fragments))
		return NULL;
	return fragments;
}

static u8 *take_fragment(struct fragments *fragments, size_t size)
{
	u8 *start = page_frag_alloc(&fragments->cache, size, GFP_KERNEL);

	if (start)
		fragments->start[fragments->nr++] = start;
	return start;
}

static struct page *block_of(const struct fragments *fragments, int i)
{
	return virt_to_head_page(fragments->start[i]);
}

/*
 * Take fragments until one comes from another block than the first, which is
 * used up then.  How many it has, or -1.
 */
static int use_up_block(struct fragments *fragments, size_t size)
{
	while (fragments->nr < MAX_FRAGMENTS && take_fragment(fragments, size))
		if (block_of(fragments, fragments->nr - 1) != block_of(fragments, 0))
			return fragments->nr - 1;
	return -1;
}

static const size_t sizes[] = { 97, 512, 1500, PAGE_SIZE };

static void describe_size(const size_t *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%zu bytes", *size);
}
KUNIT_ARRAY_PARAM(size, sizes, describe_size);

static void fragments_do_not_overlap(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct fragments *fragments = open_cache(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, fragments);
	KUNIT_ASSERT_GT(test, use_up_block(fragments, size), 0);

	for (i = 0; i < fragments->nr; i++)
		memset(fragments->start[i], i, size);

	for (i = 0; i < fragments->nr; i++)
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(fragments->start[i], i, size),
				      "fragment %d", i);
}

static void each_fragment_lies_in_one_block(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct fragments *fragments = open_cache(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, fragments);

	KUNIT_ASSERT_GT(test, use_up_block(fragments, size), 0);

	for (i = 0; i < fragments->nr; i++)
		KUNIT_EXPECT_PTR_EQ_MSG(test, block_of(fragments, i),
					virt_to_head_page(fragments->start[i] + size - 1),
					"fragment %d", i);
}

static void used_up_block_has_a_reference_for_each_fragment(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct fragments *fragments = open_cache(test);
	int nr;

	KUNIT_ASSERT_NOT_NULL(test, fragments);

	nr = use_up_block(fragments, size);

	KUNIT_ASSERT_GT(test, nr, 0);
	KUNIT_EXPECT_EQ(test, nr, page_count(block_of(fragments, 0)));
}

/*
 * A block that has no fragments left when it is used up is not freed but cut
 * again.
 */
static void block_that_is_cut_again_is_counted_like_a_new_one(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct fragments *fragments = open_cache(test);
	u8 *first, *start;
	int nr, i;

	KUNIT_ASSERT_NOT_NULL(test, fragments);
	first = page_frag_alloc(&fragments->cache, size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, first);
	page_frag_free(first);
	for (i = 1; i < MAX_FRAGMENTS; i++) {
		start = page_frag_alloc(&fragments->cache, size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, start);
		if (start == first)
			break;
		page_frag_free(start);
	}
	KUNIT_ASSERT_PTR_EQ(test, first, start);
	fragments->start[fragments->nr++] = start;

	nr = use_up_block(fragments, size);

	KUNIT_ASSERT_GT(test, nr, 0);
	KUNIT_EXPECT_EQ(test, nr, page_count(block_of(fragments, 0)));
}

static void block_is_freed_with_its_last_fragment(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	int tries, left = 1;

	for (tries = 0; tries < TRIES && left; tries++) {
		struct fragments *fragments = open_cache(test);
		struct page *block;
		int nr;

		KUNIT_ASSERT_NOT_NULL(test, fragments);
		nr = use_up_block(fragments, size);
		KUNIT_ASSERT_GT(test, nr, 0);
		block = block_of(fragments, 0);
		swap(fragments->start[0], fragments->start[nr]);
		while (fragments->nr > 2) {
			page_frag_free(fragments->start[--fragments->nr]);
			/* The one from the next block has changed places with the first. */
			KUNIT_ASSERT_EQ(test, fragments->nr - 1, page_count(block));
		}

		page_frag_free(fragments->start[--fragments->nr]);

		/* Anyone may have it now. */
		left = page_count(block);
	}
	KUNIT_EXPECT_EQ(test, 0, left);
}

static void fragment_outlives_its_cache(struct kunit *test)
{
	size_t size = *(const size_t *)test->param_value;
	struct fragments *fragments = open_cache(test);
	u8 *start;

	KUNIT_ASSERT_NOT_NULL(test, fragments);
	start = take_fragment(fragments, size);
	KUNIT_ASSERT_NOT_NULL(test, start);
	memset(start, 'x', size);

	page_frag_cache_drain(&fragments->cache);

	KUNIT_EXPECT_EQ(test, 1, page_count(virt_to_head_page(start)));
	KUNIT_EXPECT_NULL(test, memchr_inv(start, 'x', size));
}

static void aligned_fragment_is_aligned(struct kunit *test)
{
	struct fragments *fragments = open_cache(test);
	unsigned int align;

	KUNIT_ASSERT_NOT_NULL(test, fragments);
	KUNIT_ASSERT_NOT_NULL(test, take_fragment(fragments, 97));

	for (align = 8; align < PAGE_SIZE; align *= 2) {
		void *start = page_frag_alloc_align(&fragments->cache, 97, GFP_KERNEL, align);

		KUNIT_ASSERT_NOT_NULL(test, start);
		fragments->start[fragments->nr++] = start;
		KUNIT_EXPECT_TRUE_MSG(test, IS_ALIGNED((unsigned long)start, align),
				      "align %u", align);
	}
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(fragments_do_not_overlap, size_gen_params),
	KUNIT_CASE_PARAM(each_fragment_lies_in_one_block, size_gen_params),
	KUNIT_CASE_PARAM(used_up_block_has_a_reference_for_each_fragment, size_gen_params),
	KUNIT_CASE_PARAM(block_that_is_cut_again_is_counted_like_a_new_one, size_gen_params),
	KUNIT_CASE_PARAM(block_is_freed_with_its_last_fragment, size_gen_params),
	KUNIT_CASE_PARAM(fragment_outlives_its_cache, size_gen_params),
	KUNIT_CASE(aligned_fragment_is_aligned),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_page_frag",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of page fragments");
MODULE_LICENSE("GPL");
