// SPDX-License-Identifier: GPL-2.0
/*
 * A byte of memory, its page, its pfn, its physical address and its virtual
 * address lead to each other and back, on the first, middle and last byte of
 * each kind of memory; logical addresses differ from physical ones by a
 * constant; and virt_addr_valid() and is_vmalloc_addr() know which are which.
 */
#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "memsafe_block.h"

enum { VMAP_PAGES = 3, BLOCK_ORDER = 3 };

/* Pages mapped in reverse, so that no address is right by accident. */
struct vmapped {
	struct page *page[VMAP_PAGES];
	void *start;
};

KUNIT_DEFINE_ACTION_WRAPPER(kfree_action, kfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(vfree_action, vfree, const void *);
KUNIT_DEFINE_ACTION_WRAPPER(vunmap_action, vunmap, const void *);

static void *get_page_memory(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	return block ? page_address(block->page) : NULL;
}

static void *get_block_memory(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, BLOCK_ORDER);

	return block ? page_address(block->page) : NULL;
}

static void *get_slab_memory(struct kunit *test)
{
	void *start = kmalloc(128, GFP_KERNEL);

	return kunit_add_action_or_reset(test, kfree_action, start) ? NULL : start;
}

static void *get_large_slab_memory(struct kunit *test)
{
	void *start = kmalloc(2 * KMALLOC_MAX_CACHE_SIZE, GFP_KERNEL);

	return kunit_add_action_or_reset(test, kfree_action, start) ? NULL : start;
}

static void *get_vmalloc_memory(struct kunit *test)
{
	void *start = vmalloc(VMAP_PAGES * PAGE_SIZE);

	return kunit_add_action_or_reset(test, vfree_action, start) ? NULL : start;
}

/* NULL without memory; the pages outlive the mapping. */
static struct vmapped *map_in_reverse(struct kunit *test)
{
	struct vmapped *map = kunit_kzalloc(test, sizeof(*map), GFP_KERNEL);
	struct block *block = alloc_block(test, GFP_KERNEL, 2);
	int i;

	if (!map || !block)
		return NULL;
	for (i = 0; i < VMAP_PAGES; i++)
		map->page[i] = block->page + VMAP_PAGES - 1 - i;
	map->start = vmap(map->page, VMAP_PAGES, VM_MAP, PAGE_KERNEL);
	if (!map->start || kunit_add_action_or_reset(test, vunmap_action, map->start))
		return NULL;
	return map;
}

static void *get_vmap_memory(struct kunit *test)
{
	struct vmapped *map = map_in_reverse(test);

	return map ? map->start : NULL;
}

struct memory {
	const char *name;
	void *(*get)(struct kunit *test);
	size_t size;
};

static const struct memory logical[] = {
	{ "page", get_page_memory, PAGE_SIZE },
	{ "block of order 3", get_block_memory, PAGE_SIZE << BLOCK_ORDER },
	{ "slab", get_slab_memory, 128 },
	{ "large slab", get_large_slab_memory, 2 * KMALLOC_MAX_CACHE_SIZE },
};

static const struct memory mapped[] = {
	{ "vmalloc", get_vmalloc_memory, VMAP_PAGES * PAGE_SIZE },
	{ "vmap", get_vmap_memory, VMAP_PAGES * PAGE_SIZE },
};

static void describe_memory(const struct memory *memory, char *desc)
{
	strscpy(desc, memory->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(logical, logical, describe_memory);
KUNIT_ARRAY_PARAM(mapped, mapped, describe_memory);

/* The bytes that every conversion is tried on. */
enum { POINTS = 3 };
static const char * const point_name[POINTS] = { "first byte", "middle byte", "last byte" };

/* The addresses of these bytes; false if there is no memory. */
static bool get_points(struct kunit *test, u8 *point[POINTS])
{
	const struct memory *memory = test->param_value;
	u8 *start = memory->get(test);

	if (!start)
		return false;
	point[0] = start;
	point[1] = start + memory->size / 2;
	point[2] = start + memory->size - 1;
	return true;
}

static void virt_to_page_inverts_page_address(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++) {
		struct page *page = virt_to_page(point[i]);

		KUNIT_EXPECT_PTR_EQ_MSG(test, point[i],
					(u8 *)page_address(page) + offset_in_page(point[i]),
					"%s", point_name[i]);
		KUNIT_EXPECT_PTR_EQ_MSG(test, page_address(page), page_to_virt(page),
					"%s", point_name[i]);
	}
}

static void phys_to_virt_inverts_virt_to_phys(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++)
		KUNIT_EXPECT_PTR_EQ_MSG(test, point[i],
					(u8 *)phys_to_virt(virt_to_phys(point[i])),
					"%s", point_name[i]);
}

static void physical_address_is_that_of_page_and_pfn(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++) {
		struct page *page = virt_to_page(point[i]);
		phys_addr_t start = virt_to_phys(point[i]) - offset_in_page(point[i]);

		KUNIT_EXPECT_EQ_MSG(test, start, page_to_phys(page), "%s", point_name[i]);
		KUNIT_EXPECT_EQ_MSG(test, start, PFN_PHYS(page_to_pfn(page)), "%s", point_name[i]);
		KUNIT_EXPECT_PTR_EQ_MSG(test, page, pfn_to_page(PHYS_PFN(start)),
					"%s", point_name[i]);
	}
}

/* One offset for all: that of a page which has nothing to do with the memory. */
static void logical_address_has_a_constant_offset(struct kunit *test)
{
	struct block *other = alloc_block(test, GFP_KERNEL, 0);
	unsigned long offset;
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	offset = (unsigned long)page_address(other->page) - page_to_phys(other->page);
	for (i = 0; i < POINTS; i++)
		KUNIT_EXPECT_EQ_MSG(test, offset,
				    (unsigned long)point[i] - (unsigned long)virt_to_phys(point[i]),
				    "%s", point_name[i]);
}

static void logical_address_is_valid_and_not_vmalloc(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++) {
		KUNIT_EXPECT_TRUE_MSG(test, virt_addr_valid(point[i]), "%s", point_name[i]);
		KUNIT_EXPECT_FALSE_MSG(test, is_vmalloc_addr(point[i]), "%s", point_name[i]);
	}
}

static void mapped_address_is_vmalloc_and_not_valid(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++) {
		KUNIT_EXPECT_TRUE_MSG(test, is_vmalloc_addr(point[i]), "%s", point_name[i]);
		KUNIT_EXPECT_FALSE_MSG(test, virt_addr_valid(point[i]), "%s", point_name[i]);
	}
}

/* Written through the mapping, read in the page that it is said to lead to. */
static void vmalloc_to_page_finds_the_byte(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));
	for (i = 0; i < POINTS; i++)
		*point[i] = 0xa0 + i;

	for (i = 0; i < POINTS; i++) {
		u8 *page = kmap_local_page(vmalloc_to_page(point[i]));

		KUNIT_EXPECT_EQ_MSG(test, 0xa0 + i, page[offset_in_page(point[i])],
				    "%s", point_name[i]);
		kunmap_local(page);
	}
}

static void vmalloc_to_pfn_is_the_pfn_of_its_page(struct kunit *test)
{
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++)
		KUNIT_EXPECT_EQ_MSG(test, page_to_pfn(vmalloc_to_page(point[i])),
				    vmalloc_to_pfn(point[i]), "%s", point_name[i]);
}

/* A virtual address need not be linear: neighbours lie where vmap() was told. */
static void vmap_keeps_the_sequence_of_its_pages(struct kunit *test)
{
	struct vmapped *map = map_in_reverse(test);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, map);

	for (i = 0; i < VMAP_PAGES; i++)
		KUNIT_EXPECT_PTR_EQ_MSG(test, map->page[i],
					vmalloc_to_page(map->start + i * PAGE_SIZE), "page %d", i);
}

static void page_table_agrees_with_the_arithmetic(struct kunit *test)
{
#if defined(CONFIG_X86) && !defined(CONFIG_UML)
	u8 *point[POINTS];
	int i;

	KUNIT_ASSERT_TRUE(test, get_points(test, point));

	for (i = 0; i < POINTS; i++)
		KUNIT_EXPECT_EQ_MSG(test, slow_virt_to_phys(point[i]), virt_to_phys(point[i]),
				    "%s", point_name[i]);
#else
	kunit_skip(test, "needs slow_virt_to_phys() (x86)");
#endif
}

/* Addresses that are neither logical nor in the vmalloc area. */
struct address {
	const char *name;
	unsigned long value;
};

static const struct address nowhere[] = {
	{ "null", 0 },
	{ "end of the first page", PAGE_SIZE - 1 },
	{ "error pointer", (unsigned long)-ENOMEM },
	{ "last byte", ~0UL },
};

static void describe_address(const struct address *address, char *desc)
{
	strscpy(desc, address->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(nowhere, nowhere, describe_address);

static void address_that_is_nowhere_is_neither(struct kunit *test)
{
	const struct address *address = test->param_value;

	KUNIT_EXPECT_FALSE(test, virt_addr_valid((void *)address->value));
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr((void *)address->value));
}

static void vmalloc_area_ends_where_it_says(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr((void *)(VMALLOC_START - 1)));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr((void *)VMALLOC_START));
	KUNIT_EXPECT_TRUE(test, is_vmalloc_addr((void *)(VMALLOC_END - 1)));
	KUNIT_EXPECT_FALSE(test, is_vmalloc_addr((void *)VMALLOC_END));
}

static void stack_is_where_its_configuration_says(struct kunit *test)
{
	u8 byte = 0;

	KUNIT_EXPECT_EQ(test, IS_ENABLED(CONFIG_VMAP_STACK), is_vmalloc_addr(&byte));
	KUNIT_EXPECT_EQ(test, !IS_ENABLED(CONFIG_VMAP_STACK), virt_addr_valid(&byte));
}

/* The page that a byte of any kind of kernel memory lies in. */
static struct page *page_of(const void *p)
{
	if (virt_addr_valid(p))
		return virt_to_page(p);
	return vmalloc_to_page(p);
}

/* What its page holds there, read through another mapping. */
static u8 read_through_page(const void *p)
{
	u8 *start = kmap_local_page(page_of(p));
	u8 value = READ_ONCE(start[offset_in_page(p)]);

	kunmap_local(start);
	return value;
}

static void stack_bytes_are_found_through_their_page(struct kunit *test)
{
	u8 byte[POINTS];
	int i;

	for (i = 0; i < POINTS; i++) {
		WRITE_ONCE(byte[i], 0xb0 + i);
		KUNIT_EXPECT_EQ_MSG(test, 0xb0 + i, read_through_page(&byte[i]), "byte %d", i);
	}
}

static void percpu_bytes_are_found_through_their_page(struct kunit *test)
{
	enum { BYTES = 64 };
	u8 __percpu *percpu = __alloc_percpu(BYTES, 8);
	int cpu;

	KUNIT_ASSERT_NOT_NULL(test, (void __force *)percpu);
	for_each_possible_cpu(cpu) {
		u8 *start = per_cpu_ptr(percpu, cpu);

		start[0] = 0x80 + 2 * cpu;
		start[BYTES - 1] = 0x81 + 2 * cpu;
	}

	for_each_possible_cpu(cpu) {
		u8 *start = per_cpu_ptr(percpu, cpu);

		KUNIT_EXPECT_EQ_MSG(test, 0x80 + 2 * cpu, read_through_page(start), "cpu %d", cpu);
		KUNIT_EXPECT_EQ_MSG(test, 0x81 + 2 * cpu, read_through_page(start + BYTES - 1),
				    "cpu %d", cpu);
	}
	free_percpu(percpu);
}

#ifdef MODULE
static u8 module_data[2 * PAGE_SIZE];
static const u8 module_rodata[3] = { 0xd0, 0xd1, 0xd2 };
#endif

/* Modules are mapped like vmalloc() memory; a built-in suite is in the image. */
static void module_bytes_are_found_through_their_page(struct kunit *test)
{
#ifdef MODULE
	const u8 *text = (const u8 *)((unsigned long)module_bytes_are_found_through_their_page & ~3);
	const size_t point[POINTS] = { 0, sizeof(module_data) / 2, sizeof(module_data) - 1 };
	int i;

	for (i = 0; i < POINTS; i++) {
		WRITE_ONCE(module_data[point[i]], 0xe0 + i);
		KUNIT_EXPECT_EQ_MSG(test, 0xe0 + i, read_through_page(module_data + point[i]),
				    "data, %s", point_name[i]);
		KUNIT_EXPECT_EQ_MSG(test, 0xd0 + i, read_through_page(module_rodata + i),
				    "rodata, byte %d", i);
		KUNIT_EXPECT_EQ_MSG(test, READ_ONCE(text[i]), read_through_page(text + i),
				    "text, byte %d", i);
	}
	KUNIT_EXPECT_FALSE(test, virt_addr_valid(module_data));
	KUNIT_EXPECT_FALSE(test, virt_addr_valid(text));
#else
	kunit_skip(test, "needs a suite that is a module");
#endif
}

static void pfn_beyond_all_memory_is_invalid(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_TRUE(test, pfn_valid(block_pfn(block)));
	KUNIT_EXPECT_FALSE(test, pfn_valid(~0UL));
	KUNIT_EXPECT_FALSE(test, pfn_valid(PHYS_PFN(~(phys_addr_t)0)));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(virt_to_page_inverts_page_address, logical_gen_params),
	KUNIT_CASE_PARAM(phys_to_virt_inverts_virt_to_phys, logical_gen_params),
	KUNIT_CASE_PARAM(physical_address_is_that_of_page_and_pfn, logical_gen_params),
	KUNIT_CASE_PARAM(logical_address_has_a_constant_offset, logical_gen_params),
	KUNIT_CASE_PARAM(logical_address_is_valid_and_not_vmalloc, logical_gen_params),
	KUNIT_CASE_PARAM(page_table_agrees_with_the_arithmetic, logical_gen_params),
	KUNIT_CASE_PARAM(mapped_address_is_vmalloc_and_not_valid, mapped_gen_params),
	KUNIT_CASE_PARAM(vmalloc_to_page_finds_the_byte, mapped_gen_params),
	KUNIT_CASE_PARAM(vmalloc_to_pfn_is_the_pfn_of_its_page, mapped_gen_params),
	KUNIT_CASE(vmap_keeps_the_sequence_of_its_pages),
	KUNIT_CASE_PARAM(address_that_is_nowhere_is_neither, nowhere_gen_params),
	KUNIT_CASE(vmalloc_area_ends_where_it_says),
	KUNIT_CASE(stack_is_where_its_configuration_says),
	KUNIT_CASE(stack_bytes_are_found_through_their_page),
	KUNIT_CASE(percpu_bytes_are_found_through_their_page),
	KUNIT_CASE(module_bytes_are_found_through_their_page),
	KUNIT_CASE(pfn_beyond_all_memory_is_invalid),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_page_addr",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of conversions between addresses and pages");
MODULE_LICENSE("GPL");
