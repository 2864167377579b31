// SPDX-License-Identifier: GPL-2.0
/*
 * Each GFP flag is served from the zone that it promises or from one below;
 * zones lie side by side, with consistent counts of pages and watermarks; and a
 * page has a permanent address exactly if it lies below high_memory
 * (include/linux/gfp_types.h, Documentation/mm/highmem.rst).
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "memsafe_block.h"
#include "memsafe_highmem.h"

/* A flag and the highest zone that may serve it. */
struct promise {
	const char *name;
	gfp_t gfp;
	enum zone_type highest;
};

static const struct promise promise[] = {
	{ "GFP_DMA", GFP_KERNEL | GFP_DMA, OPT_ZONE_DMA },
	{ "GFP_DMA32", GFP_KERNEL | GFP_DMA32, OPT_ZONE_DMA32 },
	{ "GFP_KERNEL", GFP_KERNEL, ZONE_NORMAL },
	{ "GFP_HIGHUSER", GFP_HIGHUSER, OPT_ZONE_HIGHMEM },
	{ "GFP_HIGHUSER_MOVABLE", GFP_HIGHUSER_MOVABLE, ZONE_MOVABLE },
};

static void describe_promise(const struct promise *promise, char *desc)
{
	strscpy(desc, promise->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(promise, promise, describe_promise);

/* Every zone with pages, of every node. */
static const void *zone_gen_params(const void *prev, char *desc)
{
	bool is_next = !prev;
	int nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			struct zone *zone = &NODE_DATA(nid)->node_zones[i];

			if (is_next && populated_zone(zone)) {
				snprintf(desc, KUNIT_PARAM_DESC_SIZE, "node %d %s", nid, zone->name);
				return zone;
			}
			is_next |= zone == prev;
		}
	}
	return NULL;
}

static struct zone *first_node_zone(enum zone_type type)
{
	return &NODE_DATA(first_online_node)->node_zones[type];
}

/* The first pfn that has no logical address any more. */
static unsigned long lowmem_end_pfn(void)
{
	return PHYS_PFN(__pa(high_memory - 1)) + 1;
}

static void block_lies_in_the_promised_zone_or_below(struct kunit *test)
{
	const struct promise *promise = test->param_value;
	unsigned int order;

	for (order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++) {
		struct block *block = alloc_block(test, promise->gfp, order);
		struct page *last;

		KUNIT_ASSERT_NOT_NULL_MSG(test, block, "order %u", order);
		last = block->page + (1UL << order) - 1;
		KUNIT_EXPECT_LE_MSG(test, page_zonenum(block->page), promise->highest,
				    "order %u", order);
		KUNIT_EXPECT_PTR_EQ_MSG(test, page_zone(block->page), page_zone(last),
					"order %u", order);
		KUNIT_EXPECT_TRUE_MSG(test, zone_spans_pfn(page_zone(last), page_to_pfn(last)),
				      "order %u", order);
	}
}

static void highmem_flag_takes_highmem_while_there_is_some(struct kunit *test)
{
	const struct promise *promise = test->param_value;
	struct block *block;

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		kunit_skip(test, "needs CONFIG_HIGHMEM=y");
	block = alloc_block(test, promise->gfp, 0);
	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_EQ(test, !!(promise->gfp & __GFP_HIGHMEM), !!PageHighMem(block->page));
}

/* What the flags are for on x86: ISA devices, and PCI devices with 32 address bits. */
struct reach {
	const char *name;
	gfp_t gfp;
	enum zone_type zone;
	u64 end;
};

static const struct reach reach[] = {
	{ "GFP_DMA", GFP_KERNEL | GFP_DMA, OPT_ZONE_DMA, SZ_16M },
	{ "GFP_DMA32", GFP_KERNEL | GFP_DMA32, OPT_ZONE_DMA32, SZ_4G },
};

static void describe_reach(const struct reach *reach, char *desc)
{
	strscpy(desc, reach->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(reach, reach, describe_reach);

static void dma_block_ends_where_the_device_can_reach(struct kunit *test)
{
	const struct reach *reach = test->param_value;
	struct block *block;

	if (!IS_ENABLED(CONFIG_X86) || IS_ENABLED(CONFIG_UML))
		kunit_skip(test, "needs the DMA zones of x86");
	if (reach->zone == ZONE_NORMAL)
		kunit_skip(test, "needs CONFIG_ZONE_%s=y", reach->name + strlen("GFP_"));
	block = alloc_block(test, reach->gfp, PAGE_ALLOC_COSTLY_ORDER);
	KUNIT_ASSERT_NOT_NULL(test, block);

	KUNIT_EXPECT_LE(test, (u64)page_to_phys(block->page) + (PAGE_SIZE << block->order),
			reach->end);
}

static void zone_spans_what_is_present_and_manages_no_more(struct kunit *test)
{
	const struct zone *zone = test->param_value;

	KUNIT_EXPECT_GE(test, zone->spanned_pages, zone->present_pages);
	KUNIT_EXPECT_GE(test, zone->present_pages, zone_managed_pages((struct zone *)zone));
	KUNIT_EXPECT_GT(test, zone_managed_pages((struct zone *)zone), 0);
}

static void zones_manage_all_ram(struct kunit *test)
{
	unsigned long managed = 0;
	int nid, i;

	for_each_online_node(nid)
		for (i = 0; i < MAX_NR_ZONES; i++)
			managed += zone_managed_pages(&NODE_DATA(nid)->node_zones[i]);

	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
}

static void watermarks_are_ordered(struct kunit *test)
{
	const struct zone *zone = test->param_value;

	KUNIT_EXPECT_GT(test, zone->_watermark[WMARK_MIN], 0);
	KUNIT_EXPECT_LE(test, zone->_watermark[WMARK_MIN], zone->_watermark[WMARK_LOW]);
	KUNIT_EXPECT_LE(test, zone->_watermark[WMARK_LOW], zone->_watermark[WMARK_HIGH]);
}

static void zone_begins_where_those_below_have_ended(struct kunit *test)
{
	const struct zone *zone = test->param_value, *below;

	for (below = zone->zone_pgdat->node_zones; below < zone; below++)
		if (populated_zone((struct zone *)below))
			KUNIT_EXPECT_LE_MSG(test, zone_end_pfn(below), zone->zone_start_pfn,
					    "zone %s", below->name);
}

/* The first pfn in the zone's span whose page names another zone, or the end. */
static unsigned long first_foreign_pfn(const struct zone *zone)
{
	unsigned long pfn;

	for (pfn = zone->zone_start_pfn; pfn < zone_end_pfn(zone); pfn++)
		if (pfn_valid(pfn) && page_zone(pfn_to_page(pfn)) != zone)
			break;
	return pfn;
}

static void every_page_in_the_span_names_the_zone(struct kunit *test)
{
	const struct zone *zone = test->param_value;

	KUNIT_EXPECT_EQ(test, zone_end_pfn(zone), first_foreign_pfn(zone));
}

static bool has_right_address(struct page *page, bool is_lowmem)
{
	void *address = page_address(page);

	if (is_lowmem)
		return !PageHighMem(page) && address == __va(page_to_phys(page));
	return PageHighMem(page) && (!address || is_in_pool(address));
}

/* The first pfn in the zone's span whose page has another kind of address, or the end. */
static unsigned long first_misplaced_pfn(const struct zone *zone, bool is_lowmem)
{
	unsigned long pfn;

	for (pfn = zone->zone_start_pfn; pfn < zone_end_pfn(zone); pfn++)
		if (pfn_valid(pfn) && !has_right_address(pfn_to_page(pfn), is_lowmem))
			break;
	return pfn;
}

static void only_lowmem_has_permanent_addresses(struct kunit *test)
{
	const struct zone *zone = test->param_value;
	bool is_lowmem = zone_end_pfn(zone) <= lowmem_end_pfn();

	KUNIT_EXPECT_EQ(test, zone_end_pfn(zone), first_misplaced_pfn(zone, is_lowmem));
}

static void lowmem_zones_end_at_high_memory(struct kunit *test)
{
	enum zone_type i;
	unsigned long end = 0;

	for (i = 0; i <= ZONE_NORMAL; i++)
		if (populated_zone(first_node_zone(i)))
			end = zone_end_pfn(first_node_zone(i));

	KUNIT_EXPECT_EQ(test, lowmem_end_pfn(), end);
}

static void highmem_zone_begins_at_high_memory(struct kunit *test)
{
	const struct zone *highmem = first_node_zone(OPT_ZONE_HIGHMEM);

	if (!IS_ENABLED(CONFIG_HIGHMEM))
		kunit_skip(test, "needs CONFIG_HIGHMEM=y");

	KUNIT_EXPECT_EQ(test, lowmem_end_pfn(), highmem->zone_start_pfn);
	KUNIT_EXPECT_GT(test, zone_managed_pages((struct zone *)highmem), 0);
}

/* The classic 896 MiB: a gigabyte less 128 MiB for vmalloc, less what lies above it. */
static void lowmem_of_i386_leaves_128_mib_for_vmalloc(struct kunit *test)
{
#ifdef CONFIG_X86_32
	unsigned long end = (unsigned long)high_memory;

	KUNIT_EXPECT_LE(test, end - PAGE_OFFSET, 896UL * SZ_1M);
	KUNIT_EXPECT_EQ(test, VMALLOC_END - end, 128UL * SZ_1M);
#else
	kunit_skip(test, "needs CONFIG_X86_32=y");
#endif
}

static void normal_zone_is_what_lies_above_4_gib(struct kunit *test)
{
	const unsigned long end = PHYS_PFN(SZ_4G);
	struct zone *normal = first_node_zone(ZONE_NORMAL);

	if (!IS_ENABLED(CONFIG_ZONE_DMA32))
		kunit_skip(test, "needs CONFIG_ZONE_DMA32=y");

	KUNIT_EXPECT_EQ(test, lowmem_end_pfn() > end, populated_zone(normal));
	if (populated_zone(normal))
		KUNIT_EXPECT_EQ(test, end, normal->zone_start_pfn);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(block_lies_in_the_promised_zone_or_below, promise_gen_params),
	KUNIT_CASE_PARAM(highmem_flag_takes_highmem_while_there_is_some, promise_gen_params),
	KUNIT_CASE_PARAM(dma_block_ends_where_the_device_can_reach, reach_gen_params),
	KUNIT_CASE_PARAM(zone_spans_what_is_present_and_manages_no_more, zone_gen_params),
	KUNIT_CASE_PARAM(watermarks_are_ordered, zone_gen_params),
	KUNIT_CASE_PARAM(zone_begins_where_those_below_have_ended, zone_gen_params),
	KUNIT_CASE_PARAM(every_page_in_the_span_names_the_zone, zone_gen_params),
	KUNIT_CASE_PARAM(only_lowmem_has_permanent_addresses, zone_gen_params),
	KUNIT_CASE(zones_manage_all_ram),
	KUNIT_CASE(lowmem_zones_end_at_high_memory),
	KUNIT_CASE(highmem_zone_begins_at_high_memory),
	KUNIT_CASE(lowmem_of_i386_leaves_128_mib_for_vmalloc),
	KUNIT_CASE(normal_zone_is_what_lies_above_4_gib),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_zone",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of memory zones");
MODULE_LICENSE("GPL");
