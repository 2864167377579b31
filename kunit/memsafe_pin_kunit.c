// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of user memory that are pinned for a device are those of the process, are known
 * to be pinned, and are dirty when they come back with data
 * (Documentation/core-api/pin_user_pages.rst, mm/gup.c).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page-flags.h>
#include <linux/pagemap.h>

#include "memsafe_user.h"

enum { PAGES = 4 };

struct pinned {
	unsigned long user;
	struct page *page[PAGES];
	int nr;
};

static void unpin_all(void *ctx)
{
	struct pinned *pinned = ctx;

	if (pinned->nr > 0)
		unpin_user_pages(pinned->page, pinned->nr);
	pinned->nr = 0;
}

/* Four pages of the value 1 to 4, nothing pinned yet. */
static struct pinned *make_user(struct kunit *test)
{
	struct pinned *pinned = kunit_kzalloc(test, sizeof(*pinned), GFP_KERNEL);
	int i;

	if (!pinned)
		return NULL;
	pinned->user = user_map(test, NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(pinned->user))
		return NULL;
	for (i = 0; i < PAGES; i++)
		if (user_poke(pinned->user + i * PAGE_SIZE, i + 1))
			return NULL;
	return kunit_add_action_or_reset(test, unpin_all, pinned) ? NULL : pinned;
}

static int pin(struct pinned *pinned, unsigned int flags)
{
	pinned->nr = pin_user_pages_fast(pinned->user, PAGES, flags, pinned->page);
	return pinned->nr;
}

static u8 first_byte(struct page *page)
{
	u8 *at = kmap_local_page(page);
	u8 value = *at;

	kunmap_local(at);
	return value;
}

static void pinned_pages_are_those_of_the_process(struct kunit *test)
{
	struct pinned *pinned = make_user(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pinned);

	KUNIT_ASSERT_EQ(test, PAGES, pin(pinned, FOLL_WRITE));

	for (i = 0; i < PAGES; i++) {
		KUNIT_EXPECT_EQ(test, user_pte(pinned->user + i * PAGE_SIZE).pfn,
				page_to_pfn(pinned->page[i]));
		KUNIT_EXPECT_EQ(test, i + 1, first_byte(pinned->page[i]));
	}
}

static void pinned_page_is_known_to_be_until_it_is_given_back(struct kunit *test)
{
	struct pinned *pinned = make_user(test);
	struct page *page;
	int before;

	KUNIT_ASSERT_NOT_NULL(test, pinned);
	page = pfn_to_page(user_pte(pinned->user).pfn);
	before = page_count(page);
	KUNIT_ASSERT_FALSE(test, folio_maybe_dma_pinned(page_folio(page)));

	KUNIT_ASSERT_EQ(test, PAGES, pin(pinned, FOLL_WRITE));
	KUNIT_EXPECT_TRUE(test, folio_maybe_dma_pinned(page_folio(page)));
	unpin_all(pinned);

	KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(page_folio(page)));
	KUNIT_EXPECT_EQ(test, before, page_count(page));
}

static void clean_all(struct pinned *pinned)
{
	int i;

	for (i = 0; i < PAGES; i++)
		ClearPageDirty(pinned->page[i]);
}

static int count_dirty(struct page * const *page)
{
	int i, dirty = 0;

	for (i = 0; i < PAGES; i++)
		dirty += !!PageDirty(page[i]);
	return dirty;
}

static void pages_that_come_back_with_data_are_dirty(struct kunit *test)
{
	struct pinned *pinned = make_user(test);
	struct page *page[PAGES];

	KUNIT_ASSERT_NOT_NULL(test, pinned);
	KUNIT_ASSERT_EQ(test, PAGES, pin(pinned, FOLL_WRITE));
	memcpy(page, pinned->page, sizeof(page));
	clean_all(pinned);

	pinned->nr = 0;
	unpin_user_pages_dirty_lock(pinned->page, PAGES, true);

	KUNIT_EXPECT_EQ(test, PAGES, count_dirty(page));
}

static void pages_that_come_back_without_data_stay_clean(struct kunit *test)
{
	struct pinned *pinned = make_user(test);
	struct page *page[PAGES];

	KUNIT_ASSERT_NOT_NULL(test, pinned);
	KUNIT_ASSERT_EQ(test, PAGES, pin(pinned, 0));
	memcpy(page, pinned->page, sizeof(page));
	clean_all(pinned);

	pinned->nr = 0;
	unpin_user_pages_dirty_lock(pinned->page, PAGES, false);

	KUNIT_EXPECT_EQ(test, 0, count_dirty(page));
}

static void pin_ends_at_a_hole(struct kunit *test)
{
	struct pinned *pinned = make_user(test);

	KUNIT_ASSERT_NOT_NULL(test, pinned);
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(pinned->user + 2 * PAGE_SIZE, PAGE_SIZE));

	KUNIT_EXPECT_EQ(test, 2, pin(pinned, FOLL_WRITE));
	unpin_all(pinned);
	pinned->user += 2 * PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, -EFAULT, pin(pinned, FOLL_WRITE));
}

static void pin_for_writing_needs_the_right_to_write(struct kunit *test)
{
	struct pinned *pinned = kunit_kzalloc(test, sizeof(*pinned), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pinned);
	pinned->user = user_map(test, NULL, PAGES * PAGE_SIZE, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(pinned->user));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, unpin_all, pinned));

	KUNIT_EXPECT_EQ(test, -EFAULT, pin(pinned, FOLL_WRITE));
	KUNIT_EXPECT_EQ(test, PAGES, pin(pinned, 0));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(pinned_pages_are_those_of_the_process),
	KUNIT_CASE(pinned_page_is_known_to_be_until_it_is_given_back),
	KUNIT_CASE(pages_that_come_back_with_data_are_dirty),
	KUNIT_CASE(pages_that_come_back_without_data_stay_clean),
	KUNIT_CASE(pin_ends_at_a_hole),
	KUNIT_CASE(pin_for_writing_needs_the_right_to_write),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_pin",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of pages that are pinned for a device");
MODULE_LICENSE("GPL");
