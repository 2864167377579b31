// SPDX-License-Identifier: GPL-2.0
/*
 * A mapping by kmap_local_page() holds while other tasks and interrupts map on the
 * same CPU, and its task does not leave that CPU before kunmap_local() (mm/highmem.c,
 * Documentation/mm/highmem.rst).
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/highmem.h>
#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include "memsafe_guest.h"
#include "memsafe_highmem.h"

MEMSAFE_GUEST("smp");

static void each_mapping_keeps_the_task_on_its_cpu(struct kunit *test)
{
	struct page *page = alloc_highuser_page(test);
	int before = count_migrate_disable(), one, two;
	void *outer, *inner;

	if (!IS_ENABLED(CONFIG_SMP))
		kunit_skip(test, "needs CONFIG_SMP=y");
	KUNIT_ASSERT_NOT_NULL(test, page);

	outer = kmap_local_page(page);
	one = count_migrate_disable();
	inner = kmap_local_page(page);
	two = count_migrate_disable();
	kunmap_local(inner);
	kunmap_local(outer);

	KUNIT_EXPECT_EQ(test, before + 1, one);
	KUNIT_EXPECT_EQ(test, before + 2, two);
	KUNIT_EXPECT_EQ(test, before, count_migrate_disable());
}

/* Another task that maps a page of its own and holds it until it is told. */
struct rival {
	struct page *page;
	struct completion mapped, leave, done;
	u8 *address;
	u8 seen;
};

static int map_beside(void *ctx)
{
	struct rival *rival = ctx;

	rival->address = kmap_local_page(rival->page);
	complete(&rival->mapped);
	wait_for_completion(&rival->leave);
	rival->seen = READ_ONCE(*rival->address);
	kunmap_local(rival->address);
	kthread_complete_and_exit(&rival->done, 0);
}

/*
 * Switch to the rival on this CPU while a mapping is held, and back while the rival
 * holds its own; false if it did not come to that.
 */
static bool switch_to_rival(struct rival *rival)
{
	struct task_struct *task = kthread_create(map_beside, rival, "memsafe_rival");

	if (IS_ERR(task))
		return false;
	kthread_bind(task, raw_smp_processor_id());
	wake_up_process(task);
	wait_for_completion(&rival->mapped);
	return true;
}

static void mapping_holds_while_another_task_has_the_slot(struct kunit *test)
{
	struct rival rival = { .page = alloc_filled_page(test, 0x22) };
	struct page *page = alloc_filled_page(test, 0x11);
	bool was_switched;
	u8 *address, seen;

	init_completion(&rival.mapped);
	init_completion(&rival.leave);
	init_completion(&rival.done);
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, rival.page);

	address = kmap_local_page(page);
	was_switched = switch_to_rival(&rival);
	seen = READ_ONCE(*address);
	complete(&rival.leave);
	if (was_switched)
		wait_for_completion(&rival.done);
	KUNIT_EXPECT_EQ(test, 0x11, READ_ONCE(*address));
	kunmap_local(address);

	KUNIT_ASSERT_TRUE(test, was_switched);
	KUNIT_EXPECT_PTR_EQ(test, address, rival.address);
	KUNIT_EXPECT_EQ(test, 0x11, seen);
	KUNIT_EXPECT_EQ(test, 0x22, rival.seen);
}

/* Someone who sends a task to another CPU, and waits until it is there. */
struct mover {
	struct task_struct *task, *whom;
	int cpu;
	struct completion done;
};

static int move_task(void *ctx)
{
	struct mover *mover = ctx;

	set_cpus_allowed_ptr(mover->whom, cpumask_of(mover->cpu));
	kthread_complete_and_exit(&mover->done, 0);
}

static bool start_mover(struct mover *mover)
{
	mover->task = kthread_create(move_task, mover, "memsafe_mover");
	if (IS_ERR(mover->task))
		return false;
	get_task_struct(mover->task);
	wake_up_process(mover->task);
	return true;
}

/* Whether the mover has to wait for the one that it moves. */
static bool comes_to_wait(struct mover *mover)
{
	return wait_for(READ_ONCE(mover->task->__state) == TASK_UNINTERRUPTIBLE ||
			completion_done(&mover->done)) &&
	       !completion_done(&mover->done);
}

/* The task of a case ends with the case: it may stay where it has been sent. */
static void holder_is_moved_only_when_it_has_unmapped(struct kunit *test)
{
	struct mover mover = { .whom = current };
	struct page *page = alloc_filled_page(test, 0x11);
	bool was_started, has_waited;
	int home, cpu;
	u8 *address, seen;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs a second CPU");
	KUNIT_ASSERT_NOT_NULL(test, page);
	init_completion(&mover.done);

	address = kmap_local_page(page);
	home = raw_smp_processor_id();
	mover.cpu = cpumask_any_but(cpu_online_mask, home);
	was_started = start_mover(&mover);
	has_waited = was_started && comes_to_wait(&mover);
	cpu = raw_smp_processor_id();
	seen = READ_ONCE(*address);
	kunmap_local(address);

	KUNIT_ASSERT_TRUE(test, was_started);
	wait_for_completion(&mover.done);
	put_task_struct(mover.task);
	KUNIT_EXPECT_TRUE(test, has_waited);
	KUNIT_EXPECT_EQ(test, home, cpu);
	KUNIT_EXPECT_EQ(test, 0x11, seen);
	KUNIT_EXPECT_EQ(test, mover.cpu, raw_smp_processor_id());
}

/* An interrupt that maps a page in the middle of a task that holds a mapping. */
struct intruder {
	struct irq_work work;
	struct page *page;
	struct task_struct *whom;
	u8 *address;
	u8 seen;
};

static void map_in_interrupt(struct irq_work *work)
{
	struct intruder *intruder = container_of(work, struct intruder, work);

	intruder->whom = current;
	intruder->address = kmap_local_page(intruder->page);
	intruder->seen = READ_ONCE(*intruder->address);
	kunmap_local(intruder->address);
}

/* In the task that calls it, whatever else is to be run. */
static void interrupt_with(struct irq_work *work)
{
	unsigned long end = jiffies + 20 * HZ;

	preempt_disable();
	irq_work_queue(work);
	while (irq_work_is_busy(work) && time_before(jiffies, end))
		cpu_relax();
	preempt_enable();
	irq_work_sync(work);
}

static void interrupt_maps_on_top_of_its_task(struct kunit *test)
{
	struct intruder intruder = { .page = alloc_filled_page(test, 0x22) };
	struct page *page = alloc_filled_page(test, 0x11);
	u8 *address, seen;
	int held;

	if (!IS_ENABLED(CONFIG_IRQ_WORK))
		kunit_skip(test, "needs CONFIG_IRQ_WORK=y");
	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, intruder.page);
	init_irq_work(&intruder.work, map_in_interrupt);

	address = kmap_local_page(page);
	interrupt_with(&intruder.work);
	seen = READ_ONCE(*address);
	held = count_local_mappings();
	kunmap_local(address);

	KUNIT_EXPECT_PTR_EQ(test, current, intruder.whom);
	KUNIT_EXPECT_PTR_NE(test, address, intruder.address);
	KUNIT_EXPECT_EQ(test, 0x22, intruder.seen);
	KUNIT_EXPECT_EQ(test, 0x11, seen);
	KUNIT_EXPECT_EQ(test, 1, held);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(each_mapping_keeps_the_task_on_its_cpu),
	KUNIT_CASE(mapping_holds_while_another_task_has_the_slot),
	KUNIT_CASE(holder_is_moved_only_when_it_has_unmapped),
	KUNIT_CASE(interrupt_maps_on_top_of_its_task),
	{}
};

static struct kunit_suite suite = {
	.name = "memsafe_kmap_switch",
	.init = highmem_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of kmap_local_page over rescheduling");
MODULE_LICENSE("GPL");
