// SPDX-License-Identifier: GPL-2.0
/*
 * The books of the page allocator: each block on a free list is free, aligned,
 * of that list's order and in that zone, the lists hold as many blocks as they
 * count, and a zone loses and regains exactly what is taken and returned
 * (struct zone in include/linux/mmzone.h, __free_one_page() in mm/page_alloc.c).
 */
#include <kunit/test.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/vmstat.h>

#include "memsafe_block.h"

/* What a walk over the free lists of one zone finds. */
struct audit {
	unsigned long blocks;
	unsigned long pages;
	unsigned long counted_pages;	/* by the zone */
	unsigned long miscounted;	/* orders whose lists and count differ */
	unsigned long not_free;		/* no PageBuddy, or referenced */
	unsigned long wrong_order;
	unsigned long misaligned;
	unsigned long foreign;		/* of another zone */
	unsigned long unmerged;		/* next to a free buddy in one pageblock */
};

static void audit_block(struct audit *audit, struct zone *zone, struct page *page,
			unsigned int order)
{
	unsigned long pfn = page_to_pfn(page), buddy = pfn ^ (1UL << order);

	audit->blocks++;
	audit->pages += 1UL << order;
	audit->not_free += !PageBuddy(page) || page_count(page);
	audit->wrong_order += page_private(page) != order;
	audit->misaligned += !IS_ALIGNED(pfn, 1UL << order);
	audit->foreign += page_zone(page) != zone;

	/* Larger ones may be kept apart by the migrate type of their pageblocks. */
	if (order >= pageblock_order || !pfn_valid(buddy))
		return;
	page = pfn_to_page(buddy);
	audit->unmerged += PageBuddy(page) && page_private(page) == order &&
			   page_zone(page) == zone;
}

static void audit_area(struct audit *audit, struct zone *zone, unsigned int order)
{
	struct free_area *area = zone->free_area + order;
	unsigned long before = audit->blocks;
	struct page *page;
	int type;

	for (type = 0; type < MIGRATE_TYPES; type++)
		list_for_each_entry(page, area->free_list + type, buddy_list)
			audit_block(audit, zone, page, order);
	audit->miscounted += audit->blocks - before != area->nr_free;
}

/* The zone stands still meanwhile. */
static struct audit audit_zone(struct zone *zone)
{
	struct audit audit = {};
	unsigned long flags;
	int order;

	spin_lock_irqsave(&zone->lock, flags);
	for (order = 0; order <= MAX_PAGE_ORDER; order++)
		audit_area(&audit, zone, order);
	audit.counted_pages = zone_page_state_snapshot(zone, NR_FREE_PAGES);
	spin_unlock_irqrestore(&zone->lock, flags);
	return audit;
}

/* Parameters: the zones that have memory. */
static const void *zone_gen_params(const void *prev, char *desc)
{
	const struct zone *zone = prev ? (const struct zone *)prev + 1 :
					 NODE_DATA(first_online_node)->node_zones;
	const struct zone *end = NODE_DATA(first_online_node)->node_zones + MAX_NR_ZONES;

	while (zone < end && !zone->present_pages)
		zone++;
	if (zone == end)
		return NULL;
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "zone %s", zone->name);
	return zone;
}

static void free_blocks_are_what_their_list_says(struct kunit *test)
{
	struct audit audit = audit_zone((struct zone *)test->param_value);

	KUNIT_EXPECT_GT(test, audit.blocks, 0);
	KUNIT_EXPECT_EQ(test, 0, audit.not_free);
	KUNIT_EXPECT_EQ(test, 0, audit.wrong_order);
	KUNIT_EXPECT_EQ(test, 0, audit.misaligned);
	KUNIT_EXPECT_EQ(test, 0, audit.foreign);
}

static void free_lists_hold_as_many_blocks_as_they_count(struct kunit *test)
{
	struct audit audit = audit_zone((struct zone *)test->param_value);

	KUNIT_EXPECT_GT(test, audit.blocks, 0);
	KUNIT_EXPECT_EQ(test, 0, audit.miscounted);
}

static void free_buddies_are_never_left_apart(struct kunit *test)
{
	struct audit audit = audit_zone((struct zone *)test->param_value);

	KUNIT_EXPECT_GT(test, audit.blocks, 0);
	KUNIT_EXPECT_EQ(test, 0, audit.unmerged);
}

/*
 * Per-CPU parts of the count are folded without the lock, and are nowhere for a
 * moment: look again.
 */
static void zone_counts_the_pages_of_its_free_lists(struct kunit *test)
{
	struct audit audit;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		audit = audit_zone((struct zone *)test->param_value);
		if (audit.pages == audit.counted_pages)
			break;
	}
	KUNIT_EXPECT_EQ(test, audit.pages, audit.counted_pages);
}

/* Pages on the lists of each type. */
struct census {
	unsigned long pages[MIGRATE_TYPES];
};

static struct census count_types(struct zone *zone)
{
	struct census census = {};
	unsigned long flags;
	struct list_head *entry;
	int order, type;

	spin_lock_irqsave(&zone->lock, flags);
	for (order = 0; order <= MAX_PAGE_ORDER; order++)
		for (type = 0; type < MIGRATE_TYPES; type++)
			list_for_each(entry, zone->free_area[order].free_list + type)
				census.pages[type] += 1UL << order;
	spin_unlock_irqrestore(&zone->lock, flags);
	return census;
}

/* How many types have another number of pages, and by how many one has more. */
static int count_changes(const struct census *before, const struct census *after, long *gained)
{
	int type, changes = 0;

	*gained = 0;
	for (type = 0; type < MIGRATE_TYPES; type++) {
		if (before->pages[type] == after->pages[type])
			continue;
		changes++;
		*gained = after->pages[type] - before->pages[type];
	}
	return changes;
}

/* Others free meanwhile: one undisturbed try is the proof. */
static void freed_block_returns_to_one_type(struct kunit *test)
{
	unsigned int order = param_order(test);
	long gained = 0, size = 1L << order;
	int tries, changes = 0;

	for (tries = 0; tries < TRIES && (changes != 1 || gained != size); tries++) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		struct census before, after;
		struct zone *zone;

		KUNIT_ASSERT_NOT_NULL(test, page);
		zone = page_zone(page);
		before = count_types(zone);

		__free_pages(page, order);

		after = count_types(zone);
		changes = count_changes(&before, &after, &gained);
	}
	KUNIT_EXPECT_EQ(test, 1, changes);
	KUNIT_EXPECT_EQ(test, size, gained);
}

static long count_zone(struct zone *zone)
{
	return zone_page_state_snapshot(zone, NR_FREE_PAGES);
}

/* Others allocate meanwhile: one undisturbed try is the proof. */
static void zone_loses_and_regains_what_is_taken_and_returned(struct kunit *test)
{
	unsigned int order = param_order(test);
	long lost = 0, regained = 0, size = 1L << order;
	int tries;

	for (tries = 0; tries < TRIES && (lost != size || regained != size); tries++) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		struct zone *zone;
		long before, between;

		KUNIT_ASSERT_NOT_NULL(test, page);
		zone = page_zone(page);
		between = count_zone(zone);
		__free_pages(page, order);
		before = count_zone(zone);
		regained = before - between;

		page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		KUNIT_ASSERT_NOT_NULL(test, page);
		lost = before - count_zone(zone);
		__free_pages(page, order);
	}
	KUNIT_EXPECT_EQ(test, size, regained);
	KUNIT_EXPECT_EQ(test, size, lost);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(free_blocks_are_what_their_list_says, zone_gen_params),
	KUNIT_CASE_PARAM(free_lists_hold_as_many_blocks_as_they_count, zone_gen_params),
	KUNIT_CASE_PARAM(free_buddies_are_never_left_apart, zone_gen_params),
	KUNIT_CASE_PARAM(zone_counts_the_pages_of_its_free_lists, zone_gen_params),
	KUNIT_CASE_PARAM(zone_loses_and_regains_what_is_taken_and_returned,
			 uncached_order_gen_params),
	KUNIT_CASE_PARAM(freed_block_returns_to_one_type, uncached_order_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_free_lists",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the page allocator's accounting");
MODULE_LICENSE("GPL");
