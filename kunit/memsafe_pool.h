/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages to use every slot of the kmap() pool with, and how to make it forget what
 * is no longer mapped.
 */
#ifndef MEMSAFE_POOL_H
#define MEMSAFE_POOL_H

#include <kunit/test.h>
#include <linux/highmem.h>
#include <linux/mm.h>

#include "memsafe_highmem.h"

/* A page for every slot and one more.  Each page starts with its index. */
enum { SPARE = POOL_SLOTS, POOL_PAGES };

static inline void write_index(struct page *page, u32 index)
{
	u32 *start = kmap_local_page(page);

	*start = index;
	kunmap_local(start);
}

static inline void free_pool_pages(void *ctx)
{
	struct page **page = ctx;
	int i;

	for (i = 0; i < POOL_PAGES && page[i]; i++)
		__free_page(page[i]);
}

/* The pages, until the case ends; NULL without as much high memory. */
static inline struct page **alloc_pool_pages(struct kunit *test)
{
	struct page **page = kunit_kcalloc(test, POOL_PAGES, sizeof(*page), GFP_KERNEL);
	int i;

	if (!page || kunit_add_action(test, free_pool_pages, page))
		return NULL;
	for (i = 0; i < POOL_PAGES; i++) {
		page[i] = alloc_page(GFP_HIGHUSER);
		if (!page[i] || !PageHighMem(page[i]))
			return NULL;
		write_index(page[i], i);
	}
	return page;
}

/*
 * Whether the page of this index, which no one maps any more, loses its address when
 * slot after slot is used: at its end the pool flushes what is unmapped and begins
 * again.
 */
static inline bool is_flushed(struct page **page, int index)
{
	int i;

	for (i = 0; i < POOL_PAGES && page_address(page[index]); i++) {
		if (i == index)
			continue;
		kmap(page[i]);
		kunmap(page[i]);
	}
	return !page_address(page[index]);
}

/* Flush the pool, as told by a page that was mapped last. */
static inline bool flush_pool(struct page **page)
{
	kmap(page[SPARE]);
	kunmap(page[SPARE]);
	return is_flushed(page, SPARE);
}

#endif
