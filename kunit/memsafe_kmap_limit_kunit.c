// SPDX-License-Identifier: GPL-2.0
/*
 * A task that maps one page too many with kmap_local_page() meets a BUG, and
 * whatever a task leaves mapped when it ends is unmapped (mm/highmem.c).
 */
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/highmem.h>
#include <linux/kdebug.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#define MEMSAFE_SUITE "memsafe_kmap_limit"
#include "memsafe_report.h"
#include "memsafe_guest.h"
#include "memsafe_highmem.h"
#include "memsafe_oops.h"

MEMSAFE_GUEST("oops");

/* A task that maps a page again and again, and where it did so. */
struct climb {
	struct page *page;
	int wanted;
	int held;
	int cpu;
	u8 *address[LOCAL_LIMIT + 1];
};

static void map_and_forget(void *ctx)
{
	struct climb *climb = ctx;

	while (climb->held < climb->wanted) {
		climb->address[climb->held] = kmap_local_page(climb->page);
		climb->cpu = raw_smp_processor_id();
		climb->held++;
	}
}

/* How many of the addresses can be read on the CPU where they were mapped. */
static int count_readable(const struct climb *climb)
{
	unsigned long flags;
	int i, readable = 0;
	u8 byte;

	if (set_cpus_allowed_ptr(current, cpumask_of(climb->cpu)))
		return -EINVAL;
	local_irq_save(flags);
	for (i = 0; i < climb->held; i++)
		readable += !copy_from_kernel_nofault(&byte, climb->address[i], 1);
	local_irq_restore(flags);
	return readable;
}

/* A mapping that lies in a slot still taken is a BUG: this ends, or kills. */
static void map_to_the_limit(void *ctx)
{
	struct climb *climb = ctx;
	u8 *address[LOCAL_LIMIT];
	unsigned long flags;
	int i;

	set_cpus_allowed_ptr(current, cpumask_of(climb->cpu));
	local_irq_save(flags);
	for (i = 0; i < LOCAL_LIMIT; i++)
		address[i] = kmap_local_page(climb->page);
	while (i--)
		kunmap_local(address[i]);
	local_irq_restore(flags);
}

/*
 * The task dies with a count that is one step past the end of its table.  Whenever
 * it is scheduled before it is gone, __kmap_local_sched_out() reads there.
 */
static int step_back(struct notifier_block *nb, unsigned long event, void *data)
{
#ifdef CONFIG_KMAP_LOCAL
	if (event == DIE_OOPS && current->kmap_ctrl.idx >= KM_MAX_IDX)
		current->kmap_ctrl.idx -= SLOTS_PER_LOCAL;
#endif
	return NOTIFY_DONE;
}

static struct notifier_block deaths = { .notifier_call = step_back };

static void one_mapping_too_many_is_a_bug(struct kunit *test)
{
	const struct memsafe_report too_many = {
		.kind = "kernel BUG", .function = "__kmap_local_pfn_prot",
	};
	struct climb climb = { .page = alloc_highuser_page(test), .wanted = LOCAL_LIMIT + 1 };
	bool died = false;

	skip_without_console(test);
	skip_unless_oops_is_survived(test);
	KUNIT_ASSERT_NOT_NULL(test, climb.page);

	KUNIT_ASSERT_EQ(test, 0, register_die_notifier(&deaths));
	EXPECT_REPORT(test, &too_many, died = dies_of(map_and_forget, &climb));
	unregister_die_notifier(&deaths);

	KUNIT_EXPECT_TRUE(test, died);
	KUNIT_EXPECT_EQ(test, LOCAL_LIMIT, climb.held);
	KUNIT_EXPECT_EQ(test, 0, count_readable(&climb));
	KUNIT_EXPECT_FALSE(test, dies_of(map_to_the_limit, &climb));
}

static void mappings_of_a_task_that_ends_are_gone(struct kunit *test)
{
	struct climb climb = { .page = alloc_highuser_page(test), .wanted = LOCAL_LIMIT };

	skip_unless_oops_is_survived(test);
	KUNIT_ASSERT_NOT_NULL(test, climb.page);

	KUNIT_EXPECT_FALSE(test, dies_of(map_and_forget, &climb));

	KUNIT_EXPECT_EQ(test, LOCAL_LIMIT, climb.held);
	KUNIT_EXPECT_EQ(test, 0, count_readable(&climb));
	KUNIT_EXPECT_FALSE(test, dies_of(map_to_the_limit, &climb));
}

static struct kunit_case cases[] = {
	KUNIT_CASE(mappings_of_a_task_that_ends_are_gone),
	KUNIT_CASE(one_mapping_too_many_is_a_bug),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = highmem_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the limit of kmap_local_page");
MODULE_LICENSE("GPL");
