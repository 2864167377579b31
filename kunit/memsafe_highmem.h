/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages of high memory, the pool of kmap() and the stack of kmap_local_page().
 * Everything compiles without CONFIG_HIGHMEM, where suites of it skip.
 */
#ifndef MEMSAFE_HIGHMEM_H
#define MEMSAFE_HIGHMEM_H

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "memsafe_block.h"

#ifdef CONFIG_HIGHMEM
#define POOL_SLOTS	LAST_PKMAP
#define POOL_START	PKMAP_ADDR(0)
#define POOL_END	PKMAP_ADDR(LAST_PKMAP)
#else
#define POOL_SLOTS	1
#define POOL_START	0UL
#define POOL_END	0UL
#endif

static inline bool is_in_pool(const void *address)
{
	return (unsigned long)address >= POOL_START && (unsigned long)address < POOL_END;
}

/* With DEBUG_KMAP_LOCAL a mapping takes two slots, the other one guards it. */
#define SLOTS_PER_LOCAL	(IS_ENABLED(CONFIG_DEBUG_KMAP_LOCAL) ? 2 : 1)

/* How many local mappings a task may hold: the count of slots stays below KM_MAX_IDX. */
#ifdef CONFIG_KMAP_LOCAL
#define LOCAL_LIMIT	((KM_MAX_IDX - 1) / SLOTS_PER_LOCAL)
#else
#define LOCAL_LIMIT	1
#endif

/* How many local mappings the task holds. */
static inline int count_local_mappings(void)
{
#ifdef CONFIG_KMAP_LOCAL
	return current->kmap_ctrl.idx / SLOTS_PER_LOCAL;
#else
	return 0;
#endif
}

/* How often the task has said that it must stay on its CPU. */
static inline int count_migrate_disable(void)
{
#ifdef CONFIG_SMP
	return current->migration_disabled;
#else
	return 0;
#endif
}

/*
 * A cleared page such as user processes get: of high memory, where there is any.
 * Freed when the case ends; NULL without memory.
 */
static inline struct page *alloc_highuser_page(struct kunit *test)
{
	struct block *block = alloc_block(test, GFP_HIGHUSER | __GFP_ZERO, 0);

	if (!block || (IS_ENABLED(CONFIG_HIGHMEM) && !PageHighMem(block->page)))
		return NULL;
	return block->page;
}

/* The same full of @value. */
static inline struct page *alloc_filled_page(struct kunit *test, u8 value)
{
	struct page *page = alloc_highuser_page(test);

	if (page)
		memset_page(page, 0, value, PAGE_SIZE);
	return page;
}

/* What is in a page at an offset, through a mapping of its own. */
static inline u8 peek_page(struct page *page, size_t offset)
{
	u8 *start = kmap_local_page(page);
	u8 byte = start[offset];

	kunmap_local(start);
	return byte;
}

/* The offset of the first byte that is not @value in [from, to), or @to. */
static inline size_t find_other(struct page *page, size_t from, size_t to, u8 value)
{
	u8 *start = kmap_local_page(page);

	while (from < to && start[from] == value)
		from++;
	kunmap_local(start);
	return from;
}

static inline void unmap_view(void *address)
{
	vunmap(address);
}

/*
 * The page, seen through neither kmap() nor kmap_local_page() until the case ends;
 * NULL without memory.
 */
static inline u8 *view_page(struct kunit *test, struct page *page)
{
	u8 *view = vmap(&page, 1, VM_MAP, PAGE_KERNEL);

	return view && !kunit_add_action_or_reset(test, unmap_view, view) ? view : NULL;
}

/* Whether the condition came true within a time that nothing here needs. */
#define wait_for(condition) ({							\
	unsigned long __end = jiffies + 20 * HZ;				\
	bool __is;								\
										\
	while (!(__is = (condition)) && time_before(jiffies, __end))		\
		msleep(1);							\
	__is;									\
})

/* For the .init of suites that are about nothing but high memory. */
static inline int highmem_case_init(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_HIGHMEM))
		kunit_skip(test, "needs CONFIG_HIGHMEM=y");
	return 0;
}

#endif
