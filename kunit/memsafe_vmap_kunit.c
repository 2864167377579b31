// SPDX-License-Identifier: GPL-2.0
/*
 * vmap() and vm_map_ram() show pages that the caller holds, in the sequence that
 * it asks for and with the protection that it asks for; they take no reference,
 * and none of the caller's unless told to (mm/vmalloc.c).
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_vmap"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_probe.h"
#include "memsafe_walk.h"

/* More than vm_map_ram() serves from its blocks: VMAP_MAX_ALLOC is BITS_PER_LONG. */
enum { MANY = BITS_PER_LONG + 3 };

/* The ways to map pages, and how many of them. */
struct method {
	const char *name;
	void *(*map)(struct page **pages, unsigned int nr);
	void (*unmap)(void *start, unsigned int nr);
	unsigned int nr;
};

static void *map_vmap(struct page **pages, unsigned int nr)
{
	return vmap(pages, nr, VM_MAP, PAGE_KERNEL);
}

static void unmap_vmap(void *start, unsigned int nr)
{
	vunmap(start);
}

static void *map_ram(struct page **pages, unsigned int nr)
{
	return vm_map_ram(pages, nr, NUMA_NO_NODE);
}

static void unmap_ram(void *start, unsigned int nr)
{
	vm_unmap_ram(start, nr);
}

static const struct method method[] = {
	{ "vmap of 1 page", map_vmap, unmap_vmap, 1 },
	{ "vmap of 5 pages", map_vmap, unmap_vmap, 5 },
	{ "vmap of many pages", map_vmap, unmap_vmap, MANY },
	{ "vm_map_ram of 1 page", map_ram, unmap_ram, 1 },
	{ "vm_map_ram of 5 pages", map_ram, unmap_ram, 5 },
	{ "vm_map_ram of many pages", map_ram, unmap_ram, MANY },
};

static void describe_method(const struct method *method, char *desc)
{
	strscpy(desc, method->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(method, method, describe_method);

/* Pages from anywhere, in no order. */
static struct page **alloc_page_array(struct kunit *test, unsigned int nr)
{
	struct page **pages = kunit_kcalloc(test, nr, sizeof(*pages), GFP_KERNEL);
	unsigned int i;

	for (i = 0; pages && i < nr; i++) {
		struct block *block = alloc_block(test, GFP_HIGHUSER | __GFP_ZERO, 0);

		if (!block)
			return NULL;
		pages[nr - 1 - i] = block->page;
	}
	return pages;
}

static void poke_page(struct page *page, u8 value)
{
	u8 *start = kmap_local_page(page);

	*start = value;
	kunmap_local(start);
}

static u8 peek_page(struct page *page)
{
	u8 *start = kmap_local_page(page);
	u8 value = *start;

	kunmap_local(start);
	return value;
}

static void pages_are_read_in_sequence(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page **pages = alloc_page_array(test, method->nr);
	unsigned int i;
	u8 *start;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 0; i < method->nr; i++)
		poke_page(pages[i], i + 1);

	start = method->map(pages, method->nr);

	KUNIT_ASSERT_NOT_NULL(test, start);
	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, i + 1, start[i * PAGE_SIZE], "page %u", i);
	method->unmap(start, method->nr);
}

static void pages_are_written_in_sequence(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page **pages = alloc_page_array(test, method->nr);
	unsigned int i;
	u8 *start;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	start = method->map(pages, method->nr);
	KUNIT_ASSERT_NOT_NULL(test, start);
	for (i = 0; i < method->nr; i++)
		start[i * PAGE_SIZE] = i + 1;
	method->unmap(start, method->nr);

	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, i + 1, peek_page(pages[i]), "page %u", i);
}

static void mapping_leaves_the_references_alone(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page **pages = alloc_page_array(test, method->nr);
	unsigned int i;
	void *start;

	KUNIT_ASSERT_NOT_NULL(test, pages);

	start = method->map(pages, method->nr);
	KUNIT_ASSERT_NOT_NULL(test, start);
	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(pages[i]), "page %u mapped", i);
	method->unmap(start, method->nr);

	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(pages[i]), "page %u unmapped", i);
}

/* The range is nobody's before it is flushed everywhere: what is there is ours. */
static void unmapped_range_is_empty(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page **pages = alloc_page_array(test, method->nr);
	unsigned int i;
	void *start;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	start = method->map(pages, method->nr);
	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_PTR_EQ(test, pages[0], vmalloc_to_page(start));

	method->unmap(start, method->nr);

	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_NULL_MSG(test, vmalloc_to_page(start + i * PAGE_SIZE), "page %u", i);
}

/* Two addresses need not be two pages. */
static void page_is_mapped_as_often_as_it_is_listed(struct kunit *test)
{
	const struct method *method = test->param_value;
	struct page **pages = alloc_page_array(test, method->nr);
	unsigned int i;
	u8 *start;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	for (i = 1; i < method->nr; i++)
		pages[i] = pages[0];

	start = method->map(pages, method->nr);

	KUNIT_ASSERT_NOT_NULL(test, start);
	*start = 0x5a;
	for (i = 0; i < method->nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, 0x5a, start[i * PAGE_SIZE], "page %u", i);
	method->unmap(start, method->nr);
	KUNIT_EXPECT_EQ(test, 0x5a, peek_page(pages[0]));
}

KUNIT_DEFINE_ACTION_WRAPPER(vunmap_action, vunmap, const void *);

/* A mapping of one page that goes with the case, or NULL. */
static u8 *map_page(struct kunit *test, struct page **pages, pgprot_t prot)
{
	u8 *start = vmap(pages, 1, VM_MAP, prot);

	if (!start || kunit_add_action_or_reset(test, vunmap_action, start))
		return NULL;
	return start;
}

static void page_behind_the_mapping_faults(struct kunit *test)
{
	struct page **pages;
	u8 *start;

	skip_without_probe(test);
	pages = alloc_page_array(test, 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);

	start = map_page(test, pages, PAGE_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_EQ(test, 0, probe_read(start + PAGE_SIZE - 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_read(start + PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_write(start + PAGE_SIZE, 1));
}

static void read_only_mapping_refuses_writes(struct kunit *test)
{
	struct page **pages;
	u8 *start;

	skip_without_probe(test);
	skip_without_read_only(test);
	pages = alloc_page_array(test, 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	poke_page(pages[0], 0x11);

	start = map_page(test, pages, PAGE_KERNEL_RO);

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_EQ(test, 0x11, probe_read(start));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_write(start, 0x22));
	KUNIT_EXPECT_EQ(test, 0x11, peek_page(pages[0]));
}

static void two_protections_of_a_page_are_independent(struct kunit *test)
{
	u8 *read_only, *writable;
	struct page **pages;

	skip_without_probe(test);
	skip_without_read_only(test);
	pages = alloc_page_array(test, 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);

	read_only = map_page(test, pages, PAGE_KERNEL_RO);
	writable = map_page(test, pages, PAGE_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, read_only);
	KUNIT_ASSERT_NOT_NULL(test, writable);
	KUNIT_EXPECT_EQ(test, 0, probe_write(writable, 0x33));
	KUNIT_EXPECT_EQ(test, -EFAULT, probe_write(read_only, 0x44));
	KUNIT_EXPECT_EQ(test, 0x33, probe_read(read_only));
}

static void executable_mapping_is_not_given(struct kunit *test)
{
	pgprot_t exec = PAGE_KERNEL_EXEC, nx = pgprot_nx(exec);
	struct page **pages;
	struct walk walk;
	u8 *start;

	skip_without_walk(test);
	if (pgprot_val(nx) == pgprot_val(exec))
		kunit_skip(test, "needs a protection against execution in the page tables");
	pages = alloc_page_array(test, 1);
	KUNIT_ASSERT_NOT_NULL(test, pages);

	start = map_page(test, pages, PAGE_KERNEL_EXEC);

	KUNIT_ASSERT_NOT_NULL(test, start);
	walk = walk_kernel(start);
	KUNIT_EXPECT_TRUE(test, walk.mapped);
	KUNIT_EXPECT_TRUE(test, walk.all.write);
	KUNIT_EXPECT_FALSE(test, walk.all.exec);
}

/* vfree() of such a mapping puts the pages, and frees the array. */
static void put_pages_flag_drops_one_reference_of_each_page(struct kunit *test)
{
	enum { NR = 5 };
	struct page **pages = alloc_page_array(test, NR), **given;
	void *start;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	given = kmemdup(pages, NR * sizeof(*pages), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, given);
	for (i = 0; i < NR; i++)
		get_page(pages[i]);

	start = vmap(given, NR, VM_MAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, start);
	for (i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ_MSG(test, 2, page_count(pages[i]), "page %d mapped", i);
	vfree(start);

	for (i = 0; i < NR; i++)
		KUNIT_EXPECT_EQ_MSG(test, 1, page_count(pages[i]), "page %d freed", i);
	KUNIT_EXPECT_NULL(test, vmalloc_to_page(start));
}

static void vmap_of_no_pages_is_null(struct kunit *test)
{
	struct page **pages = alloc_page_array(test, 1);
	void *start = ERR_PTR(-EINVAL);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, pages);

	EXPECT_NO_REPORT(test, start = vmap(pages, 0, VM_MAP, PAGE_KERNEL));

	KUNIT_EXPECT_NULL(test, start);
}

/* Refused before anyone looks at the array. */
static void vmap_of_more_pages_than_memory_is_null(struct kunit *test)
{
	struct page **pages = alloc_page_array(test, 1);
	void *start = ERR_PTR(-EINVAL);

	skip_without_console(test);
	KUNIT_ASSERT_NOT_NULL(test, pages);

	EXPECT_NO_REPORT(test, start = vmap(pages, totalram_pages() + 1, VM_MAP, PAGE_KERNEL));

	KUNIT_EXPECT_NULL(test, start);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(pages_are_read_in_sequence, method_gen_params),
	KUNIT_CASE_PARAM(pages_are_written_in_sequence, method_gen_params),
	KUNIT_CASE_PARAM(mapping_leaves_the_references_alone, method_gen_params),
	KUNIT_CASE_PARAM(unmapped_range_is_empty, method_gen_params),
	KUNIT_CASE_PARAM(page_is_mapped_as_often_as_it_is_listed, method_gen_params),
	KUNIT_CASE(page_behind_the_mapping_faults),
	KUNIT_CASE(read_only_mapping_refuses_writes),
	KUNIT_CASE(two_protections_of_a_page_are_independent),
	KUNIT_CASE(executable_mapping_is_not_given),
	KUNIT_CASE(put_pages_flag_drops_one_reference_of_each_page),
	KUNIT_CASE(vmap_of_no_pages_is_null),
	KUNIT_CASE(vmap_of_more_pages_than_memory_is_null),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of vmap and vm_map_ram");
MODULE_LICENSE("GPL");
