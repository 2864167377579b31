// SPDX-License-Identifier: GPL-2.0
/*
 * kmap(), kmap_local_page() and kmap_atomic() give an address under which a page
 * is read and written, and nothing else changes: a lowmem page keeps its logical
 * address, a highmem page gets one in a window of its own
 * (Documentation/mm/highmem.rst).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "memsafe_block.h"

/* The ways to map a page. */
struct method {
	const char *name;
	void *(*map)(struct page *page);
	void (*unmap)(struct page *page, void *address);
};

static void *map_long(struct page *page)
{
	return kmap(page);
}

static void unmap_long(struct page *page, void *address)
{
	kunmap(page);
}

static void *map_local(struct page *page)
{
	return kmap_local_page(page);
}

static void unmap_local(struct page *page, void *address)
{
	kunmap_local(address);
}

static void *map_atomic(struct page *page)
{
	return kmap_atomic(page);
}

static void unmap_atomic(struct page *page, void *address)
{
	kunmap_atomic(address);
}

static const struct method method[] = {
	{ "kmap", map_long, unmap_long },
	{ "kmap_local_page", map_local, unmap_local },
	{ "kmap_atomic", map_atomic, unmap_atomic },
};

static void describe_method(const struct method *method, char *desc)
{
	strscpy(desc, method->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(method, method, describe_method);

static struct page *alloc_lowmem_page(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_ZERO, 0);

	return block ? block->page : NULL;
}

/* Read and written through its mappings only: any page will do. */
static struct page *alloc_any_page(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_HIGHUSER | __GFP_ZERO, 0);

	return block ? block->page : NULL;
}

/* What is in a page at an offset, through a mapping of its own. */
static u8 peek_page(struct page *page, size_t offset)
{
	u8 *start = kmap_local_page(page);
	u8 byte = start[offset];

	kunmap_local(start);
	return byte;
}

/* The offset of the first byte that is not @value in [from, to), or @to. */
static size_t find_other(struct page *page, size_t from, size_t to, u8 value)
{
	while (from < to && peek_page(page, from) == value)
		from++;
	return from;
}

static void lowmem_page_keeps_its_logical_address(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_lowmem_page(test);
	void *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = method->map(page);
	method->unmap(page, address);

	KUNIT_EXPECT_PTR_EQ(test, page_to_virt(page), address);
}

static void lowmem_page_mapped_twice_has_one_address(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_lowmem_page(test);
	void *first, *second;

	KUNIT_ASSERT_NOT_NULL(test, page);

	first = method->map(page);
	second = method->map(page);
	method->unmap(page, second);
	method->unmap(page, first);

	KUNIT_EXPECT_PTR_EQ(test, first, second);
}

static void byte_written_in_one_mapping_is_read_in_another(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_any_page(test);
	u8 *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = method->map(page);
	address[0] = 0x11;
	address[PAGE_SIZE - 1] = 0x22;
	method->unmap(page, address);

	KUNIT_EXPECT_EQ(test, 0x11, peek_page(page, 0));
	KUNIT_EXPECT_EQ(test, 0x22, peek_page(page, PAGE_SIZE - 1));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE - 1, find_other(page, 1, PAGE_SIZE - 1, 0));
}

static void mapping_takes_no_reference(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_any_page(test);
	int inside;
	void *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = method->map(page);
	inside = page_count(page);
	method->unmap(page, address);

	KUNIT_EXPECT_EQ(test, 1, inside);
	KUNIT_EXPECT_EQ(test, 1, page_count(page));
}

/* Eight pages, each written in its own mapping while all are mapped. */
static void local_mappings_nest(struct kunit *test)
{
	enum { DEPTH = 8 };
	struct page *page[DEPTH];
	u8 *address[DEPTH];
	int i;

	for (i = 0; i < DEPTH; i++) {
		page[i] = alloc_any_page(test);
		KUNIT_ASSERT_NOT_NULL(test, page[i]);
	}

	for (i = 0; i < DEPTH; i++)
		address[i] = kmap_local_page(page[i]);
	for (i = 0; i < DEPTH; i++)
		address[i][i] = 0x80 + i;
	for (i = DEPTH - 1; i >= 0; i--)
		kunmap_local(address[i]);

	for (i = 0; i < DEPTH; i++) {
		KUNIT_EXPECT_EQ_MSG(test, 0x80 + i, peek_page(page[i], i), "mapping %d", i);
		KUNIT_EXPECT_EQ_MSG(test, i, find_other(page[i], 0, PAGE_SIZE, 0),
				    "mapping %d", i);
	}
}

static void kunmap_local_takes_any_address_in_the_page(struct kunit *test)
{
	struct page *page = alloc_any_page(test);
	int before = preempt_count();
	u8 *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap_local_page(page);
	kunmap_local(address + PAGE_SIZE - 1);

	KUNIT_EXPECT_EQ(test, before, preempt_count());
	KUNIT_EXPECT_EQ(test, 0, peek_page(page, 0));
}

static void kmap_local_folio_maps_the_page_of_its_offset(struct kunit *test)
{
	enum { ORDER = 2, OFFSET = 2 * PAGE_SIZE + 5 };
	struct block *block = alloc_block(test, GFP_HIGHUSER | __GFP_COMP | __GFP_ZERO, ORDER);
	u8 *address;

	KUNIT_ASSERT_NOT_NULL(test, block);

	address = kmap_local_folio(page_folio(block->page), OFFSET);
	*address = 0x33;
	kunmap_local(address);

	KUNIT_EXPECT_EQ(test, 0x33, peek_page(block->page + 2, 5));
	KUNIT_EXPECT_EQ(test, 0, peek_page(block->page, 5));
}

static void only_kmap_atomic_disables_page_faults(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_any_page(test);
	bool inside;
	void *address;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_FALSE(test, pagefault_disabled());

	address = method->map(page);
	inside = pagefault_disabled();
	method->unmap(page, address);

	KUNIT_EXPECT_EQ(test, method->map == map_atomic, inside);
	KUNIT_EXPECT_FALSE(test, pagefault_disabled());
}

static void only_kmap_atomic_disables_preemption(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_any_page(test);
	int before = preempt_count(), inside;
	void *address;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "needs CONFIG_PREEMPT_RT=n");
	KUNIT_ASSERT_NOT_NULL(test, page);

	address = method->map(page);
	inside = preempt_count();
	method->unmap(page, address);

	KUNIT_EXPECT_EQ(test, before + (method->map == map_atomic ? PREEMPT_OFFSET : 0), inside);
	KUNIT_EXPECT_EQ(test, before, preempt_count());
}

static void nested_kmap_atomic_enables_page_faults_with_the_last(struct kunit *test)
{
	struct page *page = alloc_any_page(test);
	void *outer, *inner;
	bool between;

	KUNIT_ASSERT_NOT_NULL(test, page);

	outer = kmap_atomic(page);
	inner = kmap_atomic(page);
	kunmap_atomic(inner);
	between = pagefault_disabled();
	kunmap_atomic(outer);

	KUNIT_EXPECT_TRUE(test, between);
	KUNIT_EXPECT_FALSE(test, pagefault_disabled());
}

/* [FROM, TO) of a page: no end on a word, neither at an end of the page. */
enum { FROM = 1021, TO = 3001 };

static void memcpy_to_page_writes_its_range_only(struct kunit *test)
{
	struct page *page = alloc_any_page(test);
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
	struct page *page = alloc_any_page(test);
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
	struct page *from = alloc_any_page(test), *to = alloc_any_page(test);

	KUNIT_ASSERT_NOT_NULL(test, from);
	KUNIT_ASSERT_NOT_NULL(test, to);
	memset_page(from, FROM, 0x5a, LEN);

	memcpy_page(to, AT, from, FROM, LEN);

	KUNIT_EXPECT_EQ(test, AT, find_other(to, 0, AT, 0));
	KUNIT_EXPECT_EQ(test, AT + LEN, find_other(to, AT, AT + LEN, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(to, AT + LEN, PAGE_SIZE, 0));
}

static void copy_highpage_copies_every_byte(struct kunit *test)
{
	struct page *from = alloc_any_page(test), *to = alloc_any_page(test);

	KUNIT_ASSERT_NOT_NULL(test, from);
	KUNIT_ASSERT_NOT_NULL(test, to);
	memset_page(from, 0, 0x5a, PAGE_SIZE);

	copy_highpage(to, from);

	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(to, 0, PAGE_SIZE, 0x5a));
}

static void clear_highpage_clears_every_byte(struct kunit *test)
{
	struct page *page = alloc_any_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	clear_highpage(page);

	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, 0, PAGE_SIZE, 0));
}

static void zero_user_clears_its_range_only(struct kunit *test)
{
	struct page *page = alloc_any_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	zero_user(page, FROM, TO - FROM);

	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 0, FROM, 0x5a));
	KUNIT_EXPECT_EQ(test, TO, find_other(page, FROM, TO, 0));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, TO, PAGE_SIZE, 0x5a));
}

static void zero_user_segments_clears_both_ranges(struct kunit *test)
{
	struct page *page = alloc_any_page(test);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset_page(page, 0, 0x5a, PAGE_SIZE);

	zero_user_segments(page, 3, FROM, TO, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, 3, find_other(page, 0, 3, 0x5a));
	KUNIT_EXPECT_EQ(test, FROM, find_other(page, 3, FROM, 0));
	KUNIT_EXPECT_EQ(test, TO, find_other(page, FROM, TO, 0x5a));
	KUNIT_EXPECT_EQ(test, PAGE_SIZE, find_other(page, TO, PAGE_SIZE, 0));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(lowmem_page_keeps_its_logical_address, method_gen_params),
	KUNIT_CASE_PARAM(lowmem_page_mapped_twice_has_one_address, method_gen_params),
	KUNIT_CASE_PARAM(byte_written_in_one_mapping_is_read_in_another, method_gen_params),
	KUNIT_CASE_PARAM(mapping_takes_no_reference, method_gen_params),
	KUNIT_CASE(local_mappings_nest),
	KUNIT_CASE(kunmap_local_takes_any_address_in_the_page),
	KUNIT_CASE(kmap_local_folio_maps_the_page_of_its_offset),
	KUNIT_CASE_PARAM(only_kmap_atomic_disables_page_faults, method_gen_params),
	KUNIT_CASE_PARAM(only_kmap_atomic_disables_preemption, method_gen_params),
	KUNIT_CASE(nested_kmap_atomic_enables_page_faults_with_the_last),
	KUNIT_CASE(memcpy_to_page_writes_its_range_only),
	KUNIT_CASE(memcpy_from_page_reads_its_range_only),
	KUNIT_CASE(memcpy_page_copies_between_offsets),
	KUNIT_CASE(copy_highpage_copies_every_byte),
	KUNIT_CASE(clear_highpage_clears_every_byte),
	KUNIT_CASE(zero_user_clears_its_range_only),
	KUNIT_CASE(zero_user_segments_clears_both_ranges),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_kmap",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kmap and its relatives");
MODULE_LICENSE("GPL");
