// SPDX-License-Identifier: GPL-2.0
/*
 * kmap() gives a highmem page an address in the pkmap window, which holds on every
 * CPU until the last kunmap(); afterwards nobody sees the page there again
 * (Documentation/mm/highmem.rst, mm/highmem.c).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define MEMSAFE_SUITE "memsafe_pkmap"
#include "memsafe_report.h"
#include "memsafe_debugfs.h"
#include "memsafe_highmem.h"
#include "memsafe_pool.h"

static void highmem_page_gets_an_address_in_the_window(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	void *address, *named;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap(page);
	named = page_address(page);
	kunmap(page);

	KUNIT_EXPECT_TRUE_MSG(test, is_in_pool(address), "%px", address);
	KUNIT_EXPECT_TRUE(test, is_kmap_addr(address));
	KUNIT_EXPECT_EQ(test, 0, offset_in_page(address));
	KUNIT_EXPECT_PTR_EQ(test, address, named);
}

static void page_has_an_address_from_kmap_to_flush(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	void *before, *inside, *address;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, is_flushed(page, 0));

	before = page_address(page[0]);
	address = kmap(page[0]);
	inside = page_address(page[0]);
	kunmap(page[0]);

	KUNIT_EXPECT_NULL(test, before);
	KUNIT_EXPECT_NOT_NULL(test, inside);
	KUNIT_EXPECT_PTR_EQ(test, address, inside);
	KUNIT_EXPECT_TRUE(test, is_flushed(page, 0));
}

static void local_mapping_gives_the_page_no_address(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	void *inside, *local;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_TRUE(test, is_flushed(page, 0));

	local = kmap_local_page(page[0]);
	inside = page_address(page[0]);
	kunmap_local(local);

	KUNIT_EXPECT_NOT_NULL(test, local);
	KUNIT_EXPECT_NULL(test, inside);
	KUNIT_EXPECT_FALSE(test, is_in_pool(local));
}

static void kmap_to_page_finds_the_page_and_warns(struct kunit *test)
{
	const struct memsafe_report deprecated = {
		.kind = "WARNING", .function = "__kmap_to_page",
	};
	struct page *page = alloc_highuser_page(test), *found = NULL;
	void *address;

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_EQ(test, 0, write_debugfs(test, "clear_warn_once", "1"));

	address = kmap(page);
	EXPECT_REPORT(test, &deprecated, found = kmap_to_page(address));
	kunmap(page);

	KUNIT_EXPECT_PTR_EQ(test, page, found);
}

static void page_mapped_twice_has_one_address(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test), *other = alloc_highuser_page(test);
	void *first, *second, *others;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, other);

	first = kmap(page);
	second = kmap(page);
	others = kmap(other);
	kunmap(other);
	kunmap(page);
	kunmap(page);

	KUNIT_EXPECT_PTR_EQ(test, first, second);
	KUNIT_EXPECT_PTR_NE(test, first, others);
}

static void mapping_lasts_until_the_last_kunmap(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	bool was_flushed;
	u32 *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap(page[7]);
	kmap(page[7]);
	kunmap(page[7]);
	was_flushed = flush_pool(page);

	KUNIT_EXPECT_TRUE(test, was_flushed);
	KUNIT_EXPECT_PTR_EQ(test, address, page_address(page[7]));
	KUNIT_EXPECT_EQ(test, 7, *address);
	kunmap(page[7]);
	KUNIT_EXPECT_TRUE(test, is_flushed(page, 7));
}

/* The slot with which the pool begins again is used at once. */
static void flushed_address_faults(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	void *address;
	u8 byte;

	KUNIT_ASSERT_NOT_NULL(test, page);
	do {
		address = kmap(page[0]);
		KUNIT_EXPECT_EQ(test, 0, copy_from_kernel_nofault(&byte, address, 1));
		kunmap(page[0]);
		KUNIT_ASSERT_TRUE(test, is_flushed(page, 0));
	} while ((unsigned long)address == POOL_START);

	KUNIT_EXPECT_EQ(test, -EFAULT, copy_from_kernel_nofault(&byte, address, 1));
}

/* What every CPU finds at an address. */
struct sight {
	const u32 *address;
	u32 seen[NR_CPUS];
};

static void look_from_here(void *ctx)
{
	struct sight *sight = ctx;

	sight->seen[smp_processor_id()] = READ_ONCE(*sight->address);
}

static void expect_on_each_cpu(struct kunit *test, u32 expected, const u32 *address)
{
	struct sight sight = { .address = address };
	int cpu;

	memset(sight.seen, 0xff, sizeof(sight.seen));
	on_each_cpu(look_from_here, &sight, true);
	for_each_online_cpu(cpu)
		KUNIT_EXPECT_EQ_MSG(test, expected, sight.seen[cpu], "CPU %d", cpu);
}

/* Map other pages than the first until one is at @address; its index, or 0. */
static int map_another_at(struct page **page, const void *address)
{
	int tries, i;

	for (tries = 0; tries < 3; tries++) {
		for (i = 1; i < POOL_PAGES; i++) {
			if (kmap(page[i]) == address)
				return i;
			kunmap(page[i]);
		}
	}
	return 0;
}

static void no_cpu_sees_the_last_page_of_a_slot(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	u32 *address;
	int next;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap(page[0]);
	expect_on_each_cpu(test, 0, address);
	kunmap(page[0]);
	next = map_another_at(page, address);

	KUNIT_ASSERT_NE(test, 0, next);
	expect_on_each_cpu(test, next, address);
	kunmap(page[next]);
}

static void local_mapping_outlives_the_kmap_of_its_page(struct kunit *test)
{
	struct page **page = alloc_pool_pages(test);
	bool was_flushed;
	u32 *local, seen;

	KUNIT_ASSERT_NOT_NULL(test, page);

	kmap(page[7]);
	local = kmap_local_page(page[7]);
	kunmap(page[7]);
	was_flushed = flush_pool(page);
	seen = *local;
	kunmap_local(local);

	KUNIT_EXPECT_TRUE(test, was_flushed);
	KUNIT_EXPECT_EQ(test, 7, seen);
	KUNIT_EXPECT_TRUE(test, is_flushed(page, 7));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(highmem_page_gets_an_address_in_the_window),
	KUNIT_CASE(page_has_an_address_from_kmap_to_flush),
	KUNIT_CASE(local_mapping_gives_the_page_no_address),
	KUNIT_CASE(kmap_to_page_finds_the_page_and_warns),
	KUNIT_CASE(page_mapped_twice_has_one_address),
	KUNIT_CASE(mapping_lasts_until_the_last_kunmap),
	KUNIT_CASE(flushed_address_faults),
	KUNIT_CASE(no_cpu_sees_the_last_page_of_a_slot),
	KUNIT_CASE(local_mapping_outlives_the_kmap_of_its_page),
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

MODULE_DESCRIPTION("KUnit tests of kmap with high memory");
MODULE_LICENSE("GPL");
