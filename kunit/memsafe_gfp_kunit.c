// SPDX-License-Identifier: GPL-2.0
/*
 * Each GFP flag does what include/linux/gfp_types.h says, an impossible order is
 * refused with one warning or none, and callers of the page allocator survive
 * that it has nothing to give.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_gfp"
#include "memsafe_report.h"
#include "memsafe_block.h"
#include "memsafe_debugfs.h"

/* Orders that live on per-CPU lists, and some that don't. */
static const void *small_order_gen_params(const void *prev, char *desc)
{
	return next_param_order(prev, desc, FIRST_UNCACHED_ORDER + 2);
}

/*
 * Free a block with a secret in it and take blocks until it comes back, or NULL.
 * Its buddy is held, so that it stays a block of its order.
 */
static struct block *reuse_block(struct kunit *test, gfp_t gfp, unsigned int order)
{
	struct page *pair = alloc_pages(GFP_KERNEL, order + 1);
	struct page *used = pair + (1UL << order);
	struct block *block;
	unsigned long nr;

	if (!pair)
		return NULL;
	init_page_count(used);
	memset(page_address(used), 0x5a, PAGE_SIZE << order);
	__free_pages(used, order);
	if (!keep_block(test, pair, order))
		return NULL;

	for (nr = count_free_blocks(order) + TRIES; nr; nr--) {
		block = alloc_block(test, gfp, order);
		if (!block || block->page == used)
			return block;
	}
	return NULL;
}

static void zero_flag_clears_a_block_that_was_used(struct kunit *test)
{
	unsigned int order = param_order(test);
	struct block *block = NULL;
	int tries;

	for (tries = 0; tries < TRIES && !block; tries++)
		block = reuse_block(test, GFP_KERNEL | __GFP_ZERO, order);

	KUNIT_ASSERT_NOT_NULL_MSG(test, block, "never got the block back");
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(block->page), 0, PAGE_SIZE << order));
}

static const unsigned int impossible_order[] = {
	MAX_PAGE_ORDER + 1, MAX_PAGE_ORDER + 2, BITS_PER_LONG - PAGE_SHIFT,
};

static void describe_order(const unsigned int *order, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "order %u", *order);
}
KUNIT_ARRAY_PARAM(impossible_order, impossible_order, describe_order);

static void impossible_order_is_refused_silently_with_nowarn(struct kunit *test)
{
	unsigned int order = *(const unsigned int *)test->param_value;
	struct page *page = ERR_PTR(-EINVAL);

	skip_without_console(test);

	EXPECT_NO_REPORT(test, page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order));

	KUNIT_EXPECT_NULL(test, page);
}

static noinline struct page *memsafe_alloc_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp, order);

	/* Stay on the stack while a report is made: no tail call. */
	barrier();
	return page;
}

static void impossible_order_warns_once(struct kunit *test)
{
	const struct memsafe_report refused = {
		.kind = "WARNING", .function = "memsafe_alloc_pages",
	};
	struct page *first = ERR_PTR(-EINVAL), *second = first;

	skip_without_console(test);
	if (write_debugfs(test, "clear_warn_once", "1") == -ENOENT)
		kunit_skip(test, "needs CONFIG_DEBUG_FS=y");

	EXPECT_REPORT(test, &refused,
		      first = memsafe_alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER + 1));
	EXPECT_NO_REPORT(test, second = memsafe_alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER + 1));

	KUNIT_EXPECT_NULL(test, first);
	KUNIT_EXPECT_NULL(test, second);
}

/* Flags that promise not to sleep. */
struct atomic_flag {
	const char *name;
	gfp_t gfp;
};

static const struct atomic_flag atomic_flag[] = {
	{ "GFP_ATOMIC", GFP_ATOMIC },
	{ "GFP_NOWAIT", GFP_NOWAIT },
};

static void describe_flag(const struct atomic_flag *flag, char *desc)
{
	strscpy(desc, flag->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(atomic_flag, atomic_flag, describe_flag);

static struct page *alloc_with_irqs_off(gfp_t gfp)
{
	unsigned long flags;
	struct page *page;

	local_irq_save(flags);
	page = memsafe_alloc_pages(gfp, 0);
	local_irq_restore(flags);
	return page;
}

static void atomic_allocation_does_not_sleep(struct kunit *test)
{
	const struct atomic_flag *flag = test->param_value;
	struct page *page = NULL;

	if (!IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "needs CONFIG_DEBUG_ATOMIC_SLEEP=y");
	skip_without_console(test);

	EXPECT_NO_REPORT(test, page = alloc_with_irqs_off(flag->gfp));

	KUNIT_ASSERT_NOT_NULL(test, page);
	__free_page(page);
}

/* Slow: __might_resched() reports once a second at most. */
static void blocking_allocation_with_irqs_off_is_reported(struct kunit *test)
{
	const struct memsafe_report asleep = {
		.kind = "BUG: sleeping function called from invalid context",
		.function = "memsafe_alloc_pages",
	};
	struct page *page = NULL;

	if (!IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "needs CONFIG_DEBUG_ATOMIC_SLEEP=y");
	skip_without_console(test);
	schedule_timeout_uninterruptible(HZ + 1);

	EXPECT_REPORT(test, &asleep, page = alloc_with_irqs_off(GFP_KERNEL));

	KUNIT_ASSERT_NOT_NULL(test, page);
	__free_page(page);
}

#ifdef CONFIG_ZONE_DMA
static void free_page_list(void *ctx)
{
	struct list_head *pages = ctx;

	while (!list_empty(pages)) {
		struct page *page = list_first_entry(pages, struct page, lru);

		list_del(&page->lru);
		__free_page(page);
	}
}

/* Take pages onto a list until none comes; how many came, at most @most. */
static unsigned long take_pages(struct list_head *pages, gfp_t gfp, unsigned long most)
{
	unsigned long nr = 0;
	struct page *page;

	for (; nr < most && (page = alloc_page(gfp)); nr++)
		list_add(&page->lru, pages);
	return nr;
}

/* One page of the DMA zone, on a list that is freed when the case ends; or NULL. */
static struct list_head *take_dma_page(struct kunit *test)
{
	struct list_head *pages = kunit_kmalloc(test, sizeof(*pages), GFP_KERNEL);

	if (!pages)
		return NULL;
	INIT_LIST_HEAD(pages);
	if (kunit_add_action_or_reset(test, free_page_list, pages))
		return NULL;
	return take_pages(pages, GFP_DMA | __GFP_NOWARN, 1) ? pages : NULL;
}

static unsigned long count_zone_pages(const struct list_head *pages)
{
	return zone_managed_pages(page_zone(list_first_entry(pages, struct page, lru)));
}
#endif

/*
 * The DMA zone is the one that can be emptied without harm to others.  It gives
 * its last pages to those only who can't wait.
 */
static void atomic_allocation_reaches_reserves_that_others_do_not(struct kunit *test)
{
#ifdef CONFIG_ZONE_DMA
	struct list_head *pages = take_dma_page(test);
	unsigned long managed;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	managed = count_zone_pages(pages);
	KUNIT_ASSERT_LT(test, take_pages(pages, GFP_DMA | GFP_NOWAIT | __GFP_NOWARN, managed),
			managed);

	KUNIT_EXPECT_GT(test, take_pages(pages, GFP_DMA | GFP_ATOMIC | __GFP_NOWARN, managed), 0);
#else
	kunit_skip(test, "needs CONFIG_ZONE_DMA=y");
#endif
}

static void noretry_allocation_gives_up_silently(struct kunit *test)
{
#ifdef CONFIG_ZONE_DMA
	const gfp_t gfp = GFP_KERNEL | GFP_DMA | __GFP_NORETRY | __GFP_NOWARN;
	unsigned long managed, nr = 0;
	struct list_head *pages;
	struct page *page;

	skip_without_console(test);
	pages = take_dma_page(test);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	managed = count_zone_pages(pages);

	EXPECT_NO_REPORT(test, nr = take_pages(pages, gfp, managed));

	KUNIT_EXPECT_LT(test, nr, managed);
	list_for_each_entry(page, pages, lru)
		KUNIT_EXPECT_EQ(test, ZONE_DMA, page_zonenum(page));
#else
	kunit_skip(test, "needs CONFIG_ZONE_DMA=y");
#endif
}

/* Callers that need a block of several pages at once, and can't wait for it. */
struct caller {
	const char *name;
	void *(*alloc)(void);
	void (*free)(void *start);
};

#define CALLER_BYTES	(2 * KMALLOC_MAX_CACHE_SIZE)
#define CALLER_GFP	(GFP_NOWAIT | __GFP_NOWARN)

static void *call_alloc_pages(void)
{
	struct page *page = alloc_pages(CALLER_GFP, get_order(CALLER_BYTES));

	return page ? page_address(page) : NULL;
}

static void *call_get_free_pages(void)
{
	return (void *)__get_free_pages(CALLER_GFP, get_order(CALLER_BYTES));
}

static void free_block_at(void *start)
{
	free_pages((unsigned long)start, get_order(CALLER_BYTES));
}

static void *call_alloc_pages_exact(void)
{
	return alloc_pages_exact(CALLER_BYTES - PAGE_SIZE, CALLER_GFP);
}

static void free_exact_at(void *start)
{
	free_pages_exact(start, CALLER_BYTES - PAGE_SIZE);
}

static void *call_kmalloc(void)
{
	return kmalloc(CALLER_BYTES, CALLER_GFP);
}

static void free_object_at(void *start)
{
	kfree(start);
}

static const struct caller caller[] = {
	{ "alloc_pages", call_alloc_pages, free_block_at },
	{ "__get_free_pages", call_get_free_pages, free_block_at },
	{ "alloc_pages_exact", call_alloc_pages_exact, free_exact_at },
	{ "kmalloc of several pages", call_kmalloc, free_object_at },
};

static void describe_caller(const struct caller *caller, char *desc)
{
	strscpy(desc, caller->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(caller, caller, describe_caller);

static void injected_failure_reaches_the_caller_once(struct kunit *test)
{
#ifdef CONFIG_FAIL_PAGE_ALLOC
	const struct caller *caller = test->param_value;
	unsigned int left;
	void *first, *second;

	current->fail_nth = 1;
	first = caller->alloc();
	left = current->fail_nth;
	current->fail_nth = 0;
	second = caller->alloc();

	KUNIT_EXPECT_EQ_MSG(test, 0, left, "nothing was injected");
	KUNIT_EXPECT_NULL(test, first);
	KUNIT_EXPECT_NOT_NULL(test, second);
	if (first)
		caller->free(first);
	if (second)
		caller->free(second);
#else
	kunit_skip(test, "needs CONFIG_FAIL_PAGE_ALLOC=y");
#endif
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(zero_flag_clears_a_block_that_was_used, small_order_gen_params),
	KUNIT_CASE_PARAM(impossible_order_is_refused_silently_with_nowarn,
			 impossible_order_gen_params),
	KUNIT_CASE(impossible_order_warns_once),
	KUNIT_CASE_PARAM(atomic_allocation_does_not_sleep, atomic_flag_gen_params),
	KUNIT_CASE_SLOW(blocking_allocation_with_irqs_off_is_reported),
	KUNIT_CASE(atomic_allocation_reaches_reserves_that_others_do_not),
	KUNIT_CASE(noretry_allocation_gives_up_silently),
	KUNIT_CASE_PARAM(injected_failure_reaches_the_caller_once, caller_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of GFP flags and failing allocations");
MODULE_LICENSE("GPL");
