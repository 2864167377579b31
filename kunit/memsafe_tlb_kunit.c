// SPDX-License-Identifier: GPL-2.0
/*
 * No CPU reaches a page under an address that was unmapped, once
 * vm_unmap_aliases() has returned: before, unmapping is lazy (mm/vmalloc.c).
 *
 *	this CPU			another CPU
 *	map
 *					read: its TLB has the address
 *	unmap, vm_unmap_aliases()	spin in the kernel
 *					read: must fault
 */
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "memsafe_block.h"
#include "memsafe_guest.h"
#include "memsafe_probe.h"

MEMSAFE_GUEST("smp");

enum { ROUNDS = 32, NPAGES = 4 };

/* What can be mapped and unmapped: pages of its own, or those that are given. */
struct mapping {
	const char *name;
	void *(*map)(struct page **pages);
	void (*unmap)(void *start);
};

static void *map_vmalloc(struct page **pages)
{
	return vmalloc(NPAGES * PAGE_SIZE);
}

static void unmap_vmalloc(void *start)
{
	vfree(start);
}

static void *map_vmap(struct page **pages)
{
	return vmap(pages, NPAGES, VM_MAP, PAGE_KERNEL);
}

static void unmap_vmap(void *start)
{
	vunmap(start);
}

static void *map_ram(struct page **pages)
{
	return vm_map_ram(pages, NPAGES, NUMA_NO_NODE);
}

static void unmap_ram(void *start)
{
	vm_unmap_ram(start, NPAGES);
}

static const struct mapping mapping[] = {
	{ "vmalloc", map_vmalloc, unmap_vmalloc },
	{ "vmap", map_vmap, unmap_vmap },
	{ "vm_map_ram", map_ram, unmap_ram },
};

static void describe_mapping(const struct mapping *mapping, char *desc)
{
	strscpy(desc, mapping->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(mapping, mapping, describe_mapping);

/* A thread on another CPU, told by @turn when to read. */
enum turn { MAPPED, TOUCHED, UNMAPPED, PROBED, STOPPED };

struct observer {
	struct task_struct *task;
	enum turn turn;
	u8 *start;
	int before[NPAGES];
	int after[NPAGES];
};

static void set_turn(struct observer *observer, enum turn turn)
{
	smp_store_release(&observer->turn, turn);
}

/*
 * Busy, so that nothing but a flush takes the entries away: with page-table
 * isolation each return from user space reloads the tables, and with them the TLB.
 */
static enum turn wait_while(struct observer *observer, enum turn turn)
{
	while (smp_load_acquire(&observer->turn) == turn)
		cond_resched();
	return smp_load_acquire(&observer->turn);
}

static void read_pages(u8 *start, int byte[NPAGES])
{
	int i;

	for (i = 0; i < NPAGES; i++)
		byte[i] = probe_read(start + i * PAGE_SIZE);
}

static int observe(void *ctx)
{
	struct observer *observer = ctx;

	while (wait_while(observer, PROBED) == MAPPED) {
		read_pages(observer->start, observer->before);
		set_turn(observer, TOUCHED);
		wait_while(observer, TOUCHED);
		read_pages(observer->start, observer->after);
		set_turn(observer, PROBED);
	}
	return 0;
}

static void stop_observer(void *ctx)
{
	struct observer *observer = ctx;

	set_turn(observer, STOPPED);
	kthread_stop(observer->task);
	put_task_struct(observer->task);
}

/* On any CPU but this one, which must stay this one.  NULL without memory. */
static struct observer *start_observer(struct kunit *test)
{
	struct observer *observer = kunit_kzalloc(test, sizeof(*observer), GFP_KERNEL);
	struct task_struct *task;

	if (!observer)
		return NULL;
	observer->turn = PROBED;
	task = kthread_create(observe, observer, "memsafe_observer");
	if (IS_ERR(task))
		return NULL;
	observer->task = get_task_struct(task);
	kthread_bind(task, cpumask_any_but(cpu_online_mask, smp_processor_id()));
	wake_up_process(task);
	return kunit_add_action_or_reset(test, stop_observer, observer) ? NULL : observer;
}

static bool has_page(u8 *start)
{
	int i;

	for (i = 0; i < NPAGES; i++)
		if (vmalloc_to_page(start + i * PAGE_SIZE))
			return true;
	return false;
}

static struct page **alloc_pages_to_map(struct kunit *test)
{
	struct page **pages = kunit_kcalloc(test, NPAGES, sizeof(*pages), GFP_KERNEL);
	int i;

	for (i = 0; pages && i < NPAGES; i++) {
		struct block *block = alloc_block(test, GFP_KERNEL, 0);

		if (!block)
			return NULL;
		pages[i] = block->page;
	}
	return pages;
}

/*
 * One round of the drawing above.  False if the addresses were someone else's
 * when the observer read them: then nothing can be said.
 */
static bool unmap_under(struct observer *observer, const struct mapping *mapping,
			struct page **pages)
{
	u8 *start = mapping->map(pages);
	bool is_ours;

	if (!start)
		return false;
	memset(start, 0x5a, NPAGES * PAGE_SIZE);
	observer->start = start;
	set_turn(observer, MAPPED);
	wait_while(observer, MAPPED);

	mapping->unmap(start);
	vm_unmap_aliases();

	is_ours = !has_page(start);
	set_turn(observer, UNMAPPED);
	wait_while(observer, UNMAPPED);
	return is_ours && !has_page(start);
}

static void unmapped_page_faults_on_another_cpu(struct kunit *test)
{
	const struct mapping *mapping = test->param_value;
	struct observer *observer;
	int round, rounds = 0, i;
	struct page **pages;

	skip_without_probe(test);
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	pages = alloc_pages_to_map(test);
	KUNIT_ASSERT_NOT_NULL(test, pages);
	migrate_disable();
	observer = start_observer(test);

	for (round = 0; observer && round < ROUNDS; round++) {
		if (!unmap_under(observer, mapping, pages))
			continue;
		rounds++;
		for (i = 0; i < NPAGES; i++) {
			KUNIT_EXPECT_EQ_MSG(test, 0x5a, observer->before[i],
					    "round %d, page %d", round, i);
			KUNIT_EXPECT_EQ_MSG(test, -EFAULT, observer->after[i],
					    "round %d, page %d", round, i);
		}
	}
	migrate_enable();
	KUNIT_EXPECT_GT(test, rounds, ROUNDS / 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(unmapped_page_faults_on_another_cpu, mapping_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_tlb",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of translations that other CPUs remember");
MODULE_LICENSE("GPL");
