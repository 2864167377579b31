// SPDX-License-Identifier: GPL-2.0
/*
 * An interrupt runs on a stack of its CPU, which is no task's and has a guard
 * page where a stack of vmalloc() has one
 * (Documentation/arch/x86/kernel-stacks.rst).
 */
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#include "memsafe_context.h"
#include "memsafe_guest.h"

MEMSAFE_GUEST("smp");

/* The lowest byte; NULL where a module can't find it. */
static const void *interrupt_stack(void)
{
#if defined(CONFIG_X86_64) && !defined(CONFIG_UML) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	/* It points to the last word. */
	return this_cpu_read(pcpu_hot.hardirq_stack_ptr) + sizeof(long) - IRQ_STACK_SIZE;
#else
	return NULL;
#endif
}

#if defined(CONFIG_X86_64) && !defined(CONFIG_UML)
#define INTERRUPT_STACK_BYTES IRQ_STACK_SIZE
#else
#define INTERRUPT_STACK_BYTES THREAD_SIZE
#endif

static bool is_within(const void *p, const void *start, size_t bytes)
{
	return p >= start && p < start + bytes;
}

/* Where an interrupt was. */
struct spot {
	bool in_hardirq;
	const void *local;		/* on its stack */
	const void *stack;		/* of this CPU, as far as modules see it */
	int cpu;
};

static noinline void look_around(void *ctx)
{
	struct spot *spot = ctx;

	*spot = (struct spot){
		.in_hardirq = in_hardirq(),
		.local = __builtin_frame_address(0),
		.stack = interrupt_stack(),
		.cpu = raw_smp_processor_id(),
	};
}

/*
 * On i386 only interrupts of devices and soft ones leave the task's stack, not
 * those of the local APIC (arch/x86/include/asm/idtentry.h).
 */
static bool has_stack_of_its_own(enum context context)
{
	if (IS_ENABLED(CONFIG_UML))
		return false;
	return !IS_ENABLED(CONFIG_X86_32) || context == IN_SOFTIRQ;
}

static const enum context interrupts[] = { IN_HARDIRQ, IN_SOFTIRQ };

static void describe_context(const enum context *context, char *desc)
{
	strscpy(desc, context_names[*context], KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(interrupt, interrupts, describe_context);

static void interrupt_runs_on_no_stack_of_a_task(struct kunit *test)
{
	const enum context context = *(const enum context *)test->param_value;
	struct spot spot;

	if (!has_stack_of_its_own(context))
		kunit_skip(test, "needs a stack for interrupts (not UML; i386: for devices)");
	KUNIT_ASSERT_TRUE(test, run_in(test, context, look_around, &spot));

	KUNIT_EXPECT_FALSE(test, is_within(spot.local, task_stack_page(current), THREAD_SIZE));
	if (spot.stack)
		KUNIT_EXPECT_TRUE(test, is_within(spot.local, spot.stack, INTERRUPT_STACK_BYTES));
}

static void interrupt_stack_is_guarded(struct kunit *test)
{
	const u8 *stack = interrupt_stack();
	u8 byte;

	if (!stack)
		kunit_skip(test, "needs an interrupt stack that modules can find (x86_64)");
	if (!IS_ENABLED(CONFIG_VMAP_STACK))
		kunit_skip(test, "needs CONFIG_VMAP_STACK=y");

	KUNIT_EXPECT_EQ(test, 0, copy_from_kernel_nofault(&byte, stack, 1));
	KUNIT_EXPECT_EQ(test, -EFAULT, copy_from_kernel_nofault(&byte, stack - 1, 1));
}

struct tour {
	struct kunit *test;
	struct spot spot;
	bool done;
};

static long interrupt_this_cpu(void *ctx)
{
	struct tour *tour = ctx;

	tour->done = run_in(tour->test, IN_HARDIRQ, look_around, &tour->spot);
	return 0;
}

static void each_cpu_has_an_interrupt_stack_of_its_own(struct kunit *test)
{
	struct tour *tours = kunit_kcalloc(test, nr_cpu_ids, sizeof(*tours), GFP_KERNEL);
	int cpu, other;

	if (!has_stack_of_its_own(IN_HARDIRQ))
		kunit_skip(test, "needs a stack for interrupts (not UML; i386: for devices)");
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	KUNIT_ASSERT_NOT_NULL(test, tours);

	for_each_online_cpu(cpu) {
		tours[cpu].test = test;
		work_on_cpu(cpu, interrupt_this_cpu, &tours[cpu]);
		KUNIT_ASSERT_TRUE(test, tours[cpu].done);
		KUNIT_ASSERT_TRUE(test, tours[cpu].spot.in_hardirq);
		KUNIT_ASSERT_EQ(test, cpu, tours[cpu].spot.cpu);
	}

	/* All of them were as deep: what is near is on the same stack. */
	for_each_online_cpu(cpu)
		for_each_online_cpu(other)
			if (cpu < other)
				KUNIT_EXPECT_GT(test, abs(tours[cpu].spot.local -
							  tours[other].spot.local),
						INTERRUPT_STACK_BYTES / 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(interrupt_runs_on_no_stack_of_a_task, interrupt_gen_params),
	KUNIT_CASE(interrupt_stack_is_guarded),
	KUNIT_CASE(each_cpu_has_an_interrupt_stack_of_its_own),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_interrupt_stack",
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of the stacks of interrupts");
MODULE_LICENSE("GPL");
