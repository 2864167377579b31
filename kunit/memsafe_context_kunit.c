// SPDX-License-Identifier: GPL-2.0
/*
 * A task, a hard and a soft interrupt each know what they are, an interrupt runs
 * on a stack of its CPU, only a task that nothing forbids it may sleep
 * (Documentation/kernel-hacking/hacking.rst), and what forbids it nests.
 */
#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/sched/task_stack.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#define MEMSAFE_SUITE "memsafe_context"
#include "memsafe_report.h"
#include "memsafe_context.h"

#ifndef KUNIT_CASE_PARAM_ATTR
#define KUNIT_CASE_PARAM_ATTR(name, gen_params, attributes) KUNIT_CASE_PARAM(name, gen_params)
#endif

/* What code says of itself where it runs. */
struct self {
	bool in_task;
	bool in_hardirq;
	bool in_softirq;
	bool irqs_disabled;
	struct task_struct *task;
	const void *local;		/* on the stack */
	const void *stack;		/* of interrupts on this CPU, as far as modules see it */
	int cpu;
};

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

static noinline void look_at_self(void *ctx)
{
	struct self *self = ctx;

	*self = (struct self){
		.in_task = in_task(),
		.in_hardirq = in_hardirq(),
		.in_softirq = in_serving_softirq(),
		.irqs_disabled = irqs_disabled(),
		.task = current,
		.local = __builtin_frame_address(0),
		.stack = interrupt_stack(),
		.cpu = raw_smp_processor_id(),
	};
}

struct place {
	enum context context;
	bool is_task;
	bool is_hardirq;
	bool is_softirq;
};

static const struct place place[] = {
	{ IN_TASK, .is_task = true },
	{ IN_WORKER, .is_task = true },
	{ IN_HARDIRQ, .is_hardirq = true },
	{ IN_HARD_TIMER, .is_hardirq = true },
	{ IN_SOFTIRQ, .is_softirq = true },
	{ IN_SOFT_TIMER, .is_softirq = true },
};

static void describe_place(const struct place *place, char *desc)
{
	strscpy(desc, context_names[place->context], KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(place, place, describe_place);

static void code_knows_its_context(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct self self;

	KUNIT_ASSERT_TRUE(test, run_in(test, place->context, look_at_self, &self));

	KUNIT_EXPECT_EQ(test, place->is_task, self.in_task);
	KUNIT_EXPECT_EQ(test, place->is_hardirq, self.in_hardirq);
	KUNIT_EXPECT_EQ(test, place->is_softirq, self.in_softirq);
}

static void only_hard_interrupts_run_with_interrupts_disabled(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct self self;

	KUNIT_ASSERT_TRUE(test, run_in(test, place->context, look_at_self, &self));

	KUNIT_EXPECT_EQ(test, place->is_hardirq, self.irqs_disabled);
}

/* An interrupt is nobody: current is whom it interrupted, here this task. */
static const struct place interrupting[] = {
	{ IN_HARDIRQ, .is_hardirq = true },
	{ IN_SOFTIRQ, .is_softirq = true },
};
KUNIT_ARRAY_PARAM(interrupting, interrupting, describe_place);

static void interrupt_leaves_current_as_it_was(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct self self;

	KUNIT_ASSERT_TRUE(test, run_in(test, place->context, look_at_self, &self));

	KUNIT_EXPECT_FALSE(test, self.in_task);
	KUNIT_EXPECT_PTR_EQ(test, current, self.task);
}

/*
 * On i386 only interrupts of devices and soft ones leave the task's stack, not
 * those of the local APIC (arch/x86/include/asm/idtentry.h).
 */
static bool has_stack_of_its_own(const struct place *place)
{
	if (IS_ENABLED(CONFIG_UML))
		return false;
	return !IS_ENABLED(CONFIG_X86_32) || place->is_softirq;
}

static void interrupt_runs_on_no_stack_of_a_task(struct kunit *test)
{
	const struct place *place = test->param_value;
	struct self self;

	if (!has_stack_of_its_own(place))
		kunit_skip(test, "needs a stack for interrupts (not UML; i386: for devices)");
	KUNIT_ASSERT_TRUE(test, run_in(test, place->context, look_at_self, &self));

	KUNIT_EXPECT_FALSE(test, is_within(self.local, task_stack_page(current), THREAD_SIZE));
	if (self.stack)
		KUNIT_EXPECT_TRUE(test, is_within(self.local, self.stack, INTERRUPT_STACK_BYTES));
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
	struct self self;
	bool done;
};

static long interrupt_this_cpu(void *ctx)
{
	struct tour *tour = ctx;

	tour->done = run_in(tour->test, IN_HARDIRQ, look_at_self, &tour->self);
	return 0;
}

static void each_cpu_has_an_interrupt_stack_of_its_own(struct kunit *test)
{
	struct tour *tours = kunit_kcalloc(test, nr_cpu_ids, sizeof(*tours), GFP_KERNEL);
	const struct place hardirq = { IN_HARDIRQ };
	int cpu, other;

	if (!has_stack_of_its_own(&hardirq))
		kunit_skip(test, "needs a stack for interrupts (not UML; i386: for devices)");
	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");
	KUNIT_ASSERT_NOT_NULL(test, tours);

	for_each_online_cpu(cpu) {
		tours[cpu].test = test;
		work_on_cpu(cpu, interrupt_this_cpu, &tours[cpu]);
		KUNIT_ASSERT_TRUE(test, tours[cpu].done);
		KUNIT_ASSERT_TRUE(test, tours[cpu].self.in_hardirq);
		KUNIT_ASSERT_EQ(test, cpu, tours[cpu].self.cpu);
	}

	/* All of them were as deep: what is near is on the same stack. */
	for_each_online_cpu(cpu)
		for_each_online_cpu(other)
			if (cpu < other)
				KUNIT_EXPECT_GT(test, abs(tours[cpu].self.local -
							  tours[other].self.local),
						INTERRUPT_STACK_BYTES / 2);
}

/* The function that reports of sleeping must name. */
static noinline void memsafe_sleep(void *unused)
{
	might_sleep();
	/* Stay on the stack while a report is made: no tail call. */
	barrier();
}

static void sleep_in_hardirq(struct kunit *test)
{
	run_in(test, IN_HARDIRQ, memsafe_sleep, NULL);
}

static void sleep_in_softirq(struct kunit *test)
{
	run_in(test, IN_SOFTIRQ, memsafe_sleep, NULL);
}

static void sleep_with_preemption_disabled(struct kunit *test)
{
	preempt_disable();
	memsafe_sleep(NULL);
	preempt_enable();
}

static void sleep_with_interrupts_disabled(struct kunit *test)
{
	local_irq_disable();
	memsafe_sleep(NULL);
	local_irq_enable();
}

static void sleep_under_spinlock(struct kunit *test)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	memsafe_sleep(NULL);
	spin_unlock(&lock);
}

static void sleep_in_rcu_reader(struct kunit *test)
{
	rcu_read_lock();
	memsafe_sleep(NULL);
	rcu_read_unlock();
}

struct bed {
	const char *name;
	void (*sleep)(struct kunit *test);
};

static const struct bed bed[] = {
	{ "hard interrupt", sleep_in_hardirq },
	{ "soft interrupt", sleep_in_softirq },
	{ "preemption disabled", sleep_with_preemption_disabled },
	{ "interrupts disabled", sleep_with_interrupts_disabled },
	{ "spinlock held", sleep_under_spinlock },
	{ "RCU reader", sleep_in_rcu_reader },
};

static void describe_bed(const struct bed *bed, char *desc)
{
	strscpy(desc, bed->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(bed, bed, describe_bed);

/*
 * Slow: __might_resched() reports once a second at most.  That it reports the bad
 * sleep shows that it could have reported the good one just before.
 */
static void only_a_task_may_sleep(struct kunit *test)
{
	const struct bed *bed = test->param_value;
	const struct memsafe_report asleep = {
		.kind = "BUG: sleeping function called from invalid context",
		.function = "memsafe_sleep",
	};

	if (!IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "needs CONFIG_DEBUG_ATOMIC_SLEEP=y");
	skip_without_console(test);
	schedule_timeout_uninterruptible(HZ + 1);

	EXPECT_NO_REPORT(test, memsafe_sleep(NULL));
	EXPECT_REPORT(test, &asleep, bed->sleep(test));
}

static noinline void memsafe_schedule(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	/* No tail call.  The scheduler has set the count right: nothing is to enable. */
	barrier();
}

static void scheduling_with_preemption_disabled_is_reported(struct kunit *test)
{
	const struct memsafe_report atomic = {
		.kind = "BUG: scheduling while atomic", .function = "memsafe_schedule",
	};

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");
	skip_without_console(test);

	EXPECT_NO_REPORT(test, schedule_timeout_uninterruptible(1));
	EXPECT_REPORT(test, &atomic, memsafe_schedule());

	KUNIT_EXPECT_EQ(test, 0, preempt_count());
}

static void preemption_is_enabled_by_the_last_enable(struct kunit *test)
{
	bool before = preemptible(), between;

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");

	preempt_disable();
	preempt_disable();
	preempt_enable();
	between = preemptible();
	preempt_enable();

	KUNIT_EXPECT_TRUE(test, before);
	KUNIT_EXPECT_FALSE(test, between);
	KUNIT_EXPECT_TRUE(test, preemptible());
}

static void note_it(void *ctx)
{
	*(bool *)ctx = true;
}

static void soft_interrupt_waits_for_the_last_enable(struct kunit *test)
{
	bool ran = false, between;
	struct errand errand = { .act = note_it, .ctx = &ran };

	init_completion(&errand.end);
	tasklet_setup(&errand.tasklet, run_tasklet);

	local_bh_disable();
	local_bh_disable();
	tasklet_schedule(&errand.tasklet);
	local_bh_enable();
	between = ran;
	local_bh_enable();

	KUNIT_EXPECT_FALSE(test, between);
	KUNIT_EXPECT_TRUE(test, ran);
	tasklet_kill(&errand.tasklet);
}

static void interrupts_are_enabled_by_the_outermost_restore(struct kunit *test)
{
	bool before = irqs_disabled(), inside, between;
	unsigned long outer, inner;

	local_irq_save(outer);
	local_irq_save(inner);
	inside = irqs_disabled();
	local_irq_restore(inner);
	between = irqs_disabled();
	local_irq_restore(outer);

	KUNIT_EXPECT_FALSE(test, before);
	KUNIT_EXPECT_TRUE(test, inside);
	KUNIT_EXPECT_TRUE(test, between);
	KUNIT_EXPECT_FALSE(test, irqs_disabled());
}

/* A task that holds soft interrupts off is not one. */
static void task_without_bottom_halves_is_still_a_task(struct kunit *test)
{
	struct self self;
	bool is_off;

	local_bh_disable();
	look_at_self(&self);
	is_off = in_softirq();
	local_bh_enable();

	KUNIT_EXPECT_TRUE(test, is_off);
	KUNIT_EXPECT_TRUE(test, self.in_task);
	KUNIT_EXPECT_FALSE(test, self.in_softirq);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(code_knows_its_context, place_gen_params),
	KUNIT_CASE_PARAM(only_hard_interrupts_run_with_interrupts_disabled, place_gen_params),
	KUNIT_CASE_PARAM(interrupt_leaves_current_as_it_was, interrupting_gen_params),
	KUNIT_CASE_PARAM(interrupt_runs_on_no_stack_of_a_task, interrupting_gen_params),
	KUNIT_CASE(interrupt_stack_is_guarded),
	KUNIT_CASE(each_cpu_has_an_interrupt_stack_of_its_own),
	KUNIT_CASE_PARAM_ATTR(only_a_task_may_sleep, bed_gen_params,
			      ((struct kunit_attributes){ .speed = KUNIT_SPEED_SLOW })),
	KUNIT_CASE(scheduling_with_preemption_disabled_is_reported),
	KUNIT_CASE(preemption_is_enabled_by_the_last_enable),
	KUNIT_CASE(soft_interrupt_waits_for_the_last_enable),
	KUNIT_CASE(interrupts_are_enabled_by_the_outermost_restore),
	KUNIT_CASE(task_without_bottom_halves_is_still_a_task),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of process and interrupt context");
MODULE_LICENSE("GPL");
