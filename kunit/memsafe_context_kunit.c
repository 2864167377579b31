// SPDX-License-Identifier: GPL-2.0
/*
 * A task, a hard and a soft interrupt each know what they are, only a task that
 * nothing forbids it may sleep (Documentation/kernel-hacking/hacking.rst), and
 * what forbids it nests.
 */
#include <kunit/test.h>
#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#define MEMSAFE_SUITE "memsafe_context"
#include "memsafe_report.h"
#include "memsafe_context.h"

/* What code says of itself where it runs. */
struct self {
	bool in_task;
	bool in_hardirq;
	bool in_softirq;
	bool irqs_disabled;
	struct task_struct *task;
};

static noinline void look_at_self(void *ctx)
{
	struct self *self = ctx;

	*self = (struct self){
		.in_task = in_task(),
		.in_hardirq = in_hardirq(),
		.in_softirq = in_serving_softirq(),
		.irqs_disabled = irqs_disabled(),
		.task = current,
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
	/* What a hard interrupt has interrupted may be a soft one. */
	KUNIT_EXPECT_EQ(test, place->is_softirq, self.in_softirq && !self.in_hardirq);
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

static void sleep_with_interrupts_disabled(struct kunit *test)
{
	local_irq_disable();
	memsafe_sleep(NULL);
	local_irq_enable();
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
	{ "interrupts disabled", sleep_with_interrupts_disabled },
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

/* The scheduler reports that preemption is disabled, and enables it. */
static noinline void memsafe_schedule(void)
{
	schedule_timeout_uninterruptible(1);
	/* No tail call. */
	barrier();
}

static void schedule_with_preemption_disabled(void)
{
	preempt_disable();
	memsafe_schedule();
}

static void schedule_under_spinlock(void)
{
	static DEFINE_RAW_SPINLOCK(lock);

	raw_spin_lock(&lock);
	memsafe_schedule();
	preempt_disable();
	raw_spin_unlock(&lock);
}

struct atomic_section {
	const char *name;
	void (*schedule)(void);
};

static const struct atomic_section atomic_section[] = {
	{ "preemption disabled", schedule_with_preemption_disabled },
	{ "spinlock held", schedule_under_spinlock },
};

static void describe_section(const struct atomic_section *section, char *desc)
{
	strscpy(desc, section->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(atomic_section, atomic_section, describe_section);

static void scheduling_in_an_atomic_section_is_reported(struct kunit *test)
{
	const struct atomic_section *section = test->param_value;
	const struct memsafe_report atomic = {
		.kind = "BUG: scheduling while atomic", .function = "memsafe_schedule",
	};

	if (!IS_ENABLED(CONFIG_PREEMPT_COUNT))
		kunit_skip(test, "needs CONFIG_PREEMPT_COUNT=y");
	skip_without_console(test);

	EXPECT_NO_REPORT(test, memsafe_schedule());
	EXPECT_REPORT(test, &atomic, section->schedule());

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
	KUNIT_CASE_PARAM_ATTR(only_a_task_may_sleep, bed_gen_params,
			      ((struct kunit_attributes){ .speed = KUNIT_SPEED_SLOW })),
	KUNIT_CASE_PARAM(scheduling_in_an_atomic_section_is_reported, atomic_section_gen_params),
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
