// SPDX-License-Identifier: GPL-2.0
/*
 * The pool of kmap() has LAST_PKMAP slots.  Who finds all of them taken sleeps until
 * a kunmap() frees one (mm/highmem.c).  Nothing else in a kernel for these tests
 * keeps a page mapped by kmap().
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "memsafe_highmem.h"
#include "memsafe_pool.h"

/*
 * A thread that maps pages one after the other, until it has all or enough.  Only
 * threads ever wait for a slot, so that the case can always free some.
 */
struct mapper {
	struct task_struct *task;
	struct page **page;
	unsigned int nr;
	unsigned int mapped;	/* counted by the thread */
	unsigned int unmapped;	/* counted by the case */
	bool enough;
};

enum { FILLER, FIRST_WAITER, SECOND_WAITER, MAPPERS };

struct pool {
	struct page **page;
	struct mapper mapper[MAPPERS];
};

static int map_pages(void *ctx)
{
	struct mapper *mapper = ctx;

	while (mapper->mapped < mapper->nr && !READ_ONCE(mapper->enough)) {
		kmap(mapper->page[mapper->mapped]);
		smp_store_release(&mapper->mapped, mapper->mapped + 1);
	}
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static bool start_mapper(struct mapper *mapper, struct page **page, unsigned int nr)
{
	struct task_struct *task;

	mapper->page = page;
	mapper->nr = nr;
	task = kthread_run(map_pages, mapper, "memsafe_mapper");
	if (!IS_ERR(task))
		mapper->task = task;
	return !IS_ERR(task);
}

static bool has_all(struct mapper *mapper)
{
	return smp_load_acquire(&mapper->mapped) == mapper->nr;
}

/* The only uninterruptible sleep of a mapper is that of kmap(). */
static bool waits_for_slot(struct mapper *mapper)
{
	return READ_ONCE(mapper->task->__state) == TASK_UNINTERRUPTIBLE;
}

/* Whether it comes to waiting, and not to having all. */
static bool comes_to_wait(struct mapper *mapper)
{
	return wait_for(waits_for_slot(mapper) || has_all(mapper)) && waits_for_slot(mapper);
}

/* Free the slot that the mapper took first. */
static void unmap_first(struct mapper *mapper)
{
	kunmap(mapper->page[mapper->unmapped++]);
}

static void unmap_all(struct mapper *mapper)
{
	unsigned int mapped = smp_load_acquire(&mapper->mapped);

	while (mapper->unmapped < mapped)
		unmap_first(mapper);
}

/* Those who wait can't be stopped: first free the slots of all. */
static void close_pool(void *ctx)
{
	struct pool *pool = ctx;
	struct mapper *mapper;

	for (mapper = pool->mapper; mapper < pool->mapper + MAPPERS; mapper++)
		WRITE_ONCE(mapper->enough, true);
	for (mapper = pool->mapper; mapper < pool->mapper + MAPPERS; mapper++)
		unmap_all(mapper);
	for (mapper = pool->mapper; mapper < pool->mapper + MAPPERS; mapper++) {
		if (mapper->task)
			kthread_stop(mapper->task);
		unmap_all(mapper);
	}
}

static struct pool *open_pool(struct kunit *test)
{
	struct pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);

	if (!pool)
		return NULL;
	pool->page = alloc_pool_pages(test);
	return pool->page && !kunit_add_action(test, close_pool, pool) ? pool : NULL;
}

/* A pool without a free slot, or NULL. */
static struct pool *fill_pool(struct kunit *test)
{
	struct pool *pool = open_pool(test);
	struct mapper *filler;

	if (!pool)
		return NULL;
	filler = &pool->mapper[FILLER];
	if (!start_mapper(filler, pool->page, POOL_SLOTS))
		return NULL;
	return wait_for(has_all(filler)) ? pool : NULL;
}

static void each_slot_maps_its_own_page(struct kunit *test)
{
	DECLARE_BITMAP(taken, POOL_SLOTS) = {};
	struct pool *pool = fill_pool(test);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);

	for (i = 0; i < POOL_SLOTS; i++) {
		u32 *address = page_address(pool->page[i]);

		KUNIT_ASSERT_TRUE_MSG(test, is_in_pool(address), "page %u", i);
		KUNIT_EXPECT_EQ_MSG(test, i, *address, "page %u", i);
		__set_bit(((unsigned long)address - POOL_START) >> PAGE_SHIFT, taken);
	}
	KUNIT_EXPECT_TRUE(test, bitmap_full(taken, POOL_SLOTS));
}

/* Whether the mapper comes to wait for a slot to map the spare page with. */
static bool is_kept_waiting(struct pool *pool, int who)
{
	struct mapper *mapper = &pool->mapper[who];

	return start_mapper(mapper, &pool->page[SPARE], 1) && comes_to_wait(mapper);
}

static void kmap_sleeps_while_no_slot_is_free(struct kunit *test)
{
	struct pool *pool = fill_pool(test);

	KUNIT_ASSERT_NOT_NULL(test, pool);

	KUNIT_EXPECT_TRUE(test, is_kept_waiting(pool, FIRST_WAITER));

	KUNIT_EXPECT_EQ(test, 0, pool->mapper[FIRST_WAITER].mapped);
	KUNIT_EXPECT_NULL(test, page_address(pool->page[SPARE]));
}

static void kunmap_wakes_the_sleeper_with_the_freed_slot(struct kunit *test)
{
	struct pool *pool = fill_pool(test);
	u32 *address;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_TRUE(test, is_kept_waiting(pool, FIRST_WAITER));
	address = page_address(pool->page[0]);

	unmap_first(&pool->mapper[FILLER]);

	KUNIT_ASSERT_TRUE(test, wait_for(has_all(&pool->mapper[FIRST_WAITER])));
	KUNIT_EXPECT_PTR_EQ(test, address, page_address(pool->page[SPARE]));
	KUNIT_EXPECT_EQ(test, SPARE, *address);
}

static void sleepers_for_one_page_share_a_slot(struct kunit *test)
{
	struct pool *pool = fill_pool(test);

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_TRUE(test, is_kept_waiting(pool, FIRST_WAITER));
	KUNIT_ASSERT_TRUE(test, is_kept_waiting(pool, SECOND_WAITER));

	unmap_first(&pool->mapper[FILLER]);

	KUNIT_EXPECT_TRUE(test, wait_for(has_all(&pool->mapper[FIRST_WAITER])));
	KUNIT_EXPECT_TRUE(test, wait_for(has_all(&pool->mapper[SECOND_WAITER])));
}

static void mapping_never_unmapped_takes_a_slot_away(struct kunit *test)
{
	struct pool *pool = open_pool(test);
	struct mapper *filler;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	filler = &pool->mapper[FILLER];

	kmap(pool->page[SPARE]);
	KUNIT_EXPECT_TRUE(test, start_mapper(filler, pool->page, POOL_SLOTS));
	KUNIT_EXPECT_TRUE(test, comes_to_wait(filler));
	KUNIT_EXPECT_EQ(test, POOL_SLOTS - 1, smp_load_acquire(&filler->mapped));
	kunmap(pool->page[SPARE]);

	KUNIT_EXPECT_TRUE(test, wait_for(has_all(filler)));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_slot_maps_its_own_page),
	KUNIT_CASE(kmap_sleeps_while_no_slot_is_free),
	KUNIT_CASE(kunmap_wakes_the_sleeper_with_the_freed_slot),
	KUNIT_CASE(sleepers_for_one_page_share_a_slot),
	KUNIT_CASE(mapping_never_unmapped_takes_a_slot_away),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_pkmap_full",
	.init = highmem_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the kmap pool when it is full");
MODULE_LICENSE("GPL");
