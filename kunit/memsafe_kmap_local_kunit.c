// SPDX-License-Identifier: GPL-2.0
/*
 * kmap_local_page() of a highmem page is an address for this task on this CPU: such
 * mappings nest to a limit, must go in reverse order, and are gone for good with
 * kunmap_local() (mm/highmem.c, Documentation/mm/highmem.rst).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define MEMSAFE_SUITE "memsafe_kmap_local"
#include "memsafe_report.h"
#include "memsafe_debugfs.h"
#include "memsafe_highmem.h"

/* Whether the byte can't be read. */
static bool faults(const u8 *address)
{
	u8 byte;

	return copy_from_kernel_nofault(&byte, address, 1) == -EFAULT;
}

static void mapping_lies_outside_the_pool(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	void *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap_local_page(page);
	kunmap_local(address);

	KUNIT_EXPECT_EQ(test, 0, offset_in_page(address));
	KUNIT_EXPECT_FALSE(test, is_in_pool(address));
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr(address));
	KUNIT_EXPECT_GE(test, (unsigned long)address, (unsigned long)high_memory);
}

/*
 * Every mapping that a task may hold.  With interrupts off: one that maps would
 * find no room.
 */
static void mappings_nest_to_the_limit(struct kunit *test)
{
	struct page *page[LOCAL_LIMIT];
	u8 *address[LOCAL_LIMIT], *view;
	unsigned long flags;
	int i, j;

	KUNIT_ASSERT_EQ(test, 0, count_local_mappings());
	for (i = 0; i < LOCAL_LIMIT; i++) {
		page[i] = alloc_filled_page(test, 0);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
	}

	local_irq_save(flags);
	for (i = 0; i < LOCAL_LIMIT; i++)
		address[i] = kmap_local_page(page[i]);
	for (i = 0; i < LOCAL_LIMIT; i++)
		address[i][i] = 0x80 + i;
	for (i = LOCAL_LIMIT - 1; i >= 0; i--)
		kunmap_local(address[i]);
	local_irq_restore(flags);

	for (i = 0; i < LOCAL_LIMIT; i++) {
		for (j = 0; j < i; j++)
			KUNIT_EXPECT_PTR_NE_MSG(test, address[j], address[i], "mapping %d", i);
		view = view_page(test, page[i]);
		KUNIT_ASSERT_NOT_NULL(test, view);
		KUNIT_EXPECT_EQ_MSG(test, 0x80 + i, view[i], "mapping %d", i);
		view[i] = 0;
		KUNIT_EXPECT_NULL_MSG(test, memchr_inv(view, 0, PAGE_SIZE), "mapping %d", i);
	}
}

/*
 * When a task ends nothing tells of a mapping that it forgot: its count does.  (A
 * warning comes when it forks or returns to user space: kmap_local_fork(),
 * kmap_assert_nomap().)
 */
static void mapping_is_counted_until_it_goes(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	int one, two, again;
	void *outer, *inner;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, count_local_mappings());

	outer = kmap_local_page(page);
	one = count_local_mappings();
	inner = kmap_local_page(page);
	two = count_local_mappings();
	kunmap_local(inner);
	again = count_local_mappings();
	kunmap_local(outer);

	KUNIT_EXPECT_EQ(test, 1, one);
	KUNIT_EXPECT_EQ(test, 2, two);
	KUNIT_EXPECT_EQ(test, 1, again);
	KUNIT_EXPECT_EQ(test, 0, count_local_mappings());
}

/* On one CPU both pages get the same slot. */
static void slot_shows_the_page_that_has_it_now(struct kunit *test)
{
	struct page *first = alloc_filled_page(test, 0x11);
	struct page *second = alloc_filled_page(test, 0x22);
	u8 *before, *after, was, is;

	KUNIT_ASSERT_NOT_NULL(test, first);
	KUNIT_ASSERT_NOT_NULL(test, second);

	preempt_disable();
	before = kmap_local_page(first);
	was = READ_ONCE(*before);
	kunmap_local(before);
	after = kmap_local_page(second);
	is = READ_ONCE(*after);
	kunmap_local(after);
	preempt_enable();

	KUNIT_EXPECT_PTR_EQ(test, before, after);
	KUNIT_EXPECT_EQ(test, 0x11, was);
	KUNIT_EXPECT_EQ(test, 0x22, is);
}

static void unmapped_address_faults(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	bool before, after;
	unsigned long flags;
	u8 *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	local_irq_save(flags);
	address = kmap_local_page(page);
	before = faults(address);
	kunmap_local(address);
	after = faults(address);
	local_irq_restore(flags);

	KUNIT_EXPECT_FALSE(test, before);
	KUNIT_EXPECT_TRUE(test, after);
}

static void bytes_beside_a_mapping_fault(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	u8 *outer, *inner;

	if (!IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL))
		kunit_skip(test, "needs CONFIG_DEBUG_KMAP_LOCAL=y");
	KUNIT_ASSERT_NOT_NULL(test, page);

	outer = kmap_local_page(page);
	inner = kmap_local_page(page);
	KUNIT_EXPECT_TRUE(test, faults(outer - 1));
	KUNIT_EXPECT_TRUE(test, faults(outer + PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, faults(inner - 1));
	KUNIT_EXPECT_TRUE(test, faults(inner + PAGE_SIZE));
	kunmap_local(inner);
	kunmap_local(outer);
}

/* Nobody else may map here in between: until both are gone, one slot is wrong. */
static void unmap_in_wrong_order(struct page *page)
{
	unsigned long flags;
	void *outer, *inner;

	local_irq_save(flags);
	outer = kmap_local_page(page);
	inner = kmap_local_page(page);
	kunmap_local(outer);
	kunmap_local(inner);
	local_irq_restore(flags);
}

static void unmapping_in_the_wrong_order_is_reported(struct kunit *test)
{
	const struct memsafe_report disorder = {
		.kind = "WARNING", .function = "kunmap_local_indexed",
	};
	struct page *page = alloc_highuser_page(test);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "clear_warn_once", "1"));

	EXPECT_REPORT(test, &disorder, unmap_in_wrong_order(page));

	KUNIT_EXPECT_EQ(test, 0, count_local_mappings());
}

static void kmap_to_page_finds_the_local_page_and_warns(struct kunit *test)
{
	const struct memsafe_report deprecated = {
		.kind = "WARNING", .function = "__kmap_to_page",
	};
	struct page *page = alloc_highuser_page(test), *other = alloc_highuser_page(test);
	struct page *found = NULL;
	void *outer, *inner;

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "clear_warn_once", "1"));

	outer = kmap_local_page(other);
	inner = kmap_local_page(page);
	EXPECT_REPORT(test, &deprecated, found = kmap_to_page(inner));
	kunmap_local(inner);
	kunmap_local(outer);

	KUNIT_EXPECT_PTR_EQ(test, page, found);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(mapping_lies_outside_the_pool),
	KUNIT_CASE(mappings_nest_to_the_limit),
	KUNIT_CASE(mapping_is_counted_until_it_goes),
	KUNIT_CASE(slot_shows_the_page_that_has_it_now),
	KUNIT_CASE(unmapped_address_faults),
	KUNIT_CASE(bytes_beside_a_mapping_fault),
	KUNIT_CASE(unmapping_in_the_wrong_order_is_reported),
	KUNIT_CASE(kmap_to_page_finds_the_local_page_and_warns),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = highmem_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kmap_local_page with high memory");
MODULE_LICENSE("GPL");
