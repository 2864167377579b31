/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A block of the page allocator that a case holds, and how to look at one that
 * it has given back.
 */
#ifndef MEMSAFE_BLOCK_H
#define MEMSAFE_BLOCK_H

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/page_ref.h>

/*
 * Blocks from here up go straight to the buddy lists when freed; smaller ones,
 * and those of the PMD's order, wait on a per-CPU list first.
 */
#define FIRST_UNCACHED_ORDER	(PAGE_ALLOC_COSTLY_ORDER + 1)

/* A freed page can be taken by anyone at once: look again so many times. */
#define TRIES 32

struct block {
	struct page *page;
	unsigned int order;
};

static inline void free_block(void *ctx)
{
	struct block *block = ctx;

	__free_pages(block->page, block->order);
}

/* Take over a block; NULL if there is no memory to remember it with. */
static inline struct block *keep_block(struct kunit *test, struct page *page,
				       unsigned int order)
{
	struct block *block = kunit_kmalloc(test, sizeof(*block), GFP_KERNEL);

	if (!block) {
		__free_pages(page, order);
		return NULL;
	}
	*block = (struct block){ .page = page, .order = order };
	return kunit_add_action_or_reset(test, free_block, block) ? NULL : block;
}

/* A block that is freed when the case ends, or NULL. */
static inline struct block *alloc_block(struct kunit *test, gfp_t gfp,
					unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	return page ? keep_block(test, page, order) : NULL;
}

/* Free a block before the case ends. */
static inline void drop_block(struct kunit *test, struct block *block)
{
	kunit_release_action(test, free_block, block);
}

static inline unsigned long block_pfn(const struct block *block)
{
	return page_to_pfn(block->page);
}

/*
 * The order of the free block that @page lies in, -1 if it is not on a buddy
 * list.  The answer can be stale when it arrives: the block is not ours.
 */
static inline int free_order(struct page *page)
{
	unsigned long pfn = page_to_pfn(page);
	int order;

	for (order = 0; order <= MAX_PAGE_ORDER; order++) {
		unsigned long head = ALIGN_DOWN(pfn, 1UL << order);

		if (!pfn_valid(head) || !PageBuddy(pfn_to_page(head)))
			continue;
		if (page_private(pfn_to_page(head)) >= order)
			return page_private(pfn_to_page(head));
	}
	return -1;
}

/* Blocks of exactly this order on the buddy lists, about. */
static inline unsigned long count_free_blocks(unsigned int order)
{
	unsigned long nr = 0;
	int nid, i;

	for_each_online_node(nid)
		for (i = 0; i < MAX_NR_ZONES; i++)
			nr += NODE_DATA(nid)->node_zones[i].free_area[order].nr_free;
	return nr;
}

/*
 * Parameters that are orders: order n is parameter n + 1, so that order 0 is
 * not the NULL that ends a list.
 */
static inline const void *next_param_order(const void *prev, char *desc, unsigned long last)
{
	unsigned long next = (unsigned long)prev + 1;

	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %lu", next - 1);
	return next - 1 <= last ? (void *)next : NULL;
}

static inline const void *order_gen_params(const void *prev, char *desc)
{
	return next_param_order(prev, desc, MAX_PAGE_ORDER);
}

/* Orders whose freed blocks can be seen on the buddy lists, below the top. */
static inline const void *uncached_order_gen_params(const void *prev, char *desc)
{
	if (!prev)
		prev = (void *)(unsigned long)FIRST_UNCACHED_ORDER;
	return next_param_order(prev, desc, min(MAX_PAGE_ORDER, PMD_SHIFT - PAGE_SHIFT) - 1);
}

static inline unsigned int param_order(struct kunit *test)
{
	return (unsigned long)test->param_value - 1;
}

#endif
