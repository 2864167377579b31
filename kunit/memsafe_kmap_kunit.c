// SPDX-License-Identifier: GPL-2.0
/*
 * kmap(), kmap_local_page() and kmap_atomic() give an address under which a page
 * is read and written, and nothing else changes: a lowmem page keeps its logical
 * address, and only kmap_atomic() disables page faults and preemption
 * (Documentation/mm/highmem.rst).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_kmap"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_highmem.h"

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

/* Lowmem has no mapping but its logical one, unless the kernel is to debug the others. */
static bool is_mapped_by_force(const struct method *method)
{
	return method->map != map_long && IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP);
}

static struct page *alloc_lowmem_page(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL | __GFP_ZERO, 0);

	return block ? block->page : NULL;
}

static void lowmem_page_keeps_its_logical_address(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_lowmem_page(test);
	void *address;

	if (is_mapped_by_force(method))
		kunit_skip(test, "needs CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP=n");
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

	if (is_mapped_by_force(method))
		kunit_skip(test, "needs CONFIG_DEBUG_KMAP_LOCAL_FORCE_MAP=n");
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
	struct page *page = alloc_highuser_page(test);
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

static void *map_contiguous(struct page *page)
{
	return vmap(&page, 1, VM_MAP, PAGE_KERNEL);
}

static void unmap_contiguous(struct page *page, void *address)
{
	vunmap(address);
}

/* All ways into a page, those first that may sleep: they can't follow kmap_atomic(). */
static const struct method way[] = {
	{ "vmap", map_contiguous, unmap_contiguous },
	{ "kmap", map_long, unmap_long },
	{ "kmap_local_page", map_local, unmap_local },
	{ "kmap_atomic", map_atomic, unmap_atomic },
};
KUNIT_ARRAY_PARAM(way, way, describe_method);

/* What is read in one mapping where another, made at the same time, has the value written. */
static u8 pass_byte(struct page *page, const struct method *writer,
		    const struct method *reader, u8 value)
{
	const struct method *first = min(writer, reader), *second = max(writer, reader);
	u8 *outer = first->map(page), *inner = second->map(page), read = 0;

	if (outer && inner) {
		WRITE_ONCE(*(writer == first ? outer : inner), value);
		flush_dcache_page(page);
		read = READ_ONCE(*(writer == first ? inner : outer));
	}
	second->unmap(page, inner);
	first->unmap(page, outer);
	return read;
}

static void byte_written_is_read_in_every_other_mapping(struct kunit *test)
{
	const struct method *writer = test->param_value;
	struct page *page = alloc_highuser_page(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, page);

	for (i = 0; i < ARRAY_SIZE(way); i++)
		KUNIT_EXPECT_EQ_MSG(test, 0x40 + i, pass_byte(page, writer, &way[i], 0x40 + i),
				    "read through %s", way[i].name);
}

static void mapping_takes_no_reference(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_highuser_page(test);
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
		page[i] = alloc_highuser_page(test);
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
	struct page *page = alloc_highuser_page(test);
	int preempt = preempt_count(), mapped = count_local_mappings();
	u8 *address;

	KUNIT_ASSERT_NOT_NULL(test, page);

	address = kmap_local_page(page);
	kunmap_local(address + PAGE_SIZE - 1);

	KUNIT_EXPECT_EQ(test, preempt, preempt_count());
	KUNIT_EXPECT_EQ(test, mapped, count_local_mappings());
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
	struct page *page = alloc_highuser_page(test);
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

static void only_kmap_atomic_refuses_to_fault_a_user_page_in(struct kunit *test)
{
	enum { LEN = 8 };
	const struct method *method = test->param_value;
	struct page *page = alloc_highuser_page(test);
	unsigned long user = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					   MAP_ANONYMOUS | MAP_PRIVATE, 0);
	unsigned long left;
	void *address;

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(user));

	address = method->map(page);
	left = copy_from_user(address, (void __user *)user, LEN);
	method->unmap(page, address);

	KUNIT_EXPECT_EQ(test, method->map == map_atomic ? LEN : 0, left);
	KUNIT_EXPECT_EQ(test, 0, copy_to_user((void __user *)user, "", 1));
}

static void only_kmap_atomic_disables_preemption(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page *page = alloc_highuser_page(test);
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

/*
 * The scheduler makes the task preemptible again when it reports: what is left to
 * undo is the rest of kunmap_atomic().
 */
static noinline void memsafe_schedule_in_kmap_atomic(struct page *page)
{
	void *address = kmap_atomic(page);

	schedule();
	kunmap_local(address);
	pagefault_enable();
}

static void schedule_inside_kmap_atomic_is_reported(struct kunit *test)
{
	const struct memsafe_report atomic = {
		.kind = "BUG: scheduling while atomic",
		.function = "memsafe_schedule_in_kmap_atomic",
	};
	struct page *page = alloc_highuser_page(test);
	int before = preempt_count();

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");
	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "needs CONFIG_PREEMPT_RT=n");
	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, page);

	EXPECT_REPORT(test, &atomic, memsafe_schedule_in_kmap_atomic(page));

	KUNIT_EXPECT_EQ(test, before, preempt_count());
}

static void nested_kmap_atomic_enables_page_faults_with_the_last(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
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

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(lowmem_page_keeps_its_logical_address, method_gen_params),
	KUNIT_CASE_PARAM(lowmem_page_mapped_twice_has_one_address, method_gen_params),
	KUNIT_CASE_PARAM(byte_written_in_one_mapping_is_read_in_another, method_gen_params),
	KUNIT_CASE_PARAM(byte_written_is_read_in_every_other_mapping, way_gen_params),
	KUNIT_CASE_PARAM(mapping_takes_no_reference, method_gen_params),
	KUNIT_CASE(local_mappings_nest),
	KUNIT_CASE(kunmap_local_takes_any_address_in_the_page),
	KUNIT_CASE(kmap_local_folio_maps_the_page_of_its_offset),
	KUNIT_CASE_PARAM(only_kmap_atomic_disables_page_faults, method_gen_params),
	KUNIT_CASE_PARAM(only_kmap_atomic_refuses_to_fault_a_user_page_in, method_gen_params),
	KUNIT_CASE_PARAM(only_kmap_atomic_disables_preemption, method_gen_params),
	KUNIT_CASE(schedule_inside_kmap_atomic_is_reported),
	KUNIT_CASE(nested_kmap_atomic_enables_page_faults_with_the_last),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kmap and its relatives");
MODULE_LICENSE("GPL");
