/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Do something in another context than that of the case, and wait until it is
 * done.
 */
#ifndef MEMSAFE_CONTEXT_H
#define MEMSAFE_CONTEXT_H

#include <kunit/test.h>
#include <linux/bottom_half.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/preempt.h>
#include <linux/workqueue.h>

enum context { IN_TASK, IN_WORKER, IN_HARDIRQ, IN_HARD_TIMER, IN_SOFTIRQ, IN_SOFT_TIMER };

static const char * const context_names[] = {
	[IN_TASK] = "task",
	[IN_WORKER] = "worker",
	[IN_HARDIRQ] = "hard interrupt",
	[IN_HARD_TIMER] = "hard timer interrupt",
	[IN_SOFTIRQ] = "soft interrupt",
	[IN_SOFT_TIMER] = "soft timer interrupt",
};

struct errand {
	void (*act)(void *ctx);
	void *ctx;
	bool done;
	struct completion end;
	union {
		struct work_struct work;
		struct irq_work irq_work;
		struct hrtimer timer;
		struct tasklet_struct tasklet;
	};
};

static inline void run_errand(struct errand *errand)
{
	errand->act(errand->ctx);
	WRITE_ONCE(errand->done, true);
	complete(&errand->end);
}

static inline void run_work(struct work_struct *work)
{
	run_errand(container_of(work, struct errand, work));
}

static inline void run_irq_work(struct irq_work *work)
{
	run_errand(container_of(work, struct errand, irq_work));
}

static inline enum hrtimer_restart run_timer(struct hrtimer *timer)
{
	run_errand(container_of(timer, struct errand, timer));
	return HRTIMER_NORESTART;
}

static inline void run_tasklet(struct tasklet_struct *tasklet)
{
	run_errand(container_of(tasklet, struct errand, tasklet));
}

/*
 * The interrupt finds this task in the kernel: not user space, and not another
 * task, whose case would be failed by a report.  Preemption is disabled.
 */
static inline void wait_for_interrupt(struct errand *errand)
{
	unsigned long deadline = jiffies + 10 * HZ;

	while (!READ_ONCE(errand->done) && time_before(jiffies, deadline))
		cpu_relax();
}

static inline void interrupt_yourself(struct errand *errand)
{
	init_irq_work(&errand->irq_work, run_irq_work);
	preempt_disable();
	irq_work_queue(&errand->irq_work);
	wait_for_interrupt(errand);
	preempt_enable();
	irq_work_sync(&errand->irq_work);
}

/* At the end of the outermost section without bottom halves they run at once. */
static inline void run_bottom_half(struct errand *errand)
{
	tasklet_setup(&errand->tasklet, run_tasklet);
	local_bh_disable();
	tasklet_schedule(&errand->tasklet);
	local_bh_enable();
	tasklet_kill(&errand->tasklet);
}

static inline void start_timer(struct errand *errand, enum hrtimer_mode mode)
{
	hrtimer_init(&errand->timer, CLOCK_MONOTONIC, mode);
	errand->timer.function = run_timer;
	preempt_disable();
	hrtimer_start(&errand->timer, ms_to_ktime(1), mode);
	wait_for_interrupt(errand);
	preempt_enable();
	hrtimer_cancel(&errand->timer);
}

/* Whether it was done. */
static inline bool run_in(struct kunit *test, enum context context, void (*act)(void *ctx),
			  void *ctx)
{
	struct errand *errand = kunit_kzalloc(test, sizeof(*errand), GFP_KERNEL);

	if (!errand)
		return false;
	errand->act = act;
	errand->ctx = ctx;
	init_completion(&errand->end);

	switch (context) {
	case IN_TASK:
		run_errand(errand);
		break;
	case IN_WORKER:
		INIT_WORK(&errand->work, run_work);
		schedule_work(&errand->work);
		flush_work(&errand->work);
		break;
	case IN_HARDIRQ:
		interrupt_yourself(errand);
		break;
	case IN_HARD_TIMER:
		start_timer(errand, HRTIMER_MODE_REL_PINNED_HARD);
		break;
	case IN_SOFTIRQ:
		run_bottom_half(errand);
		break;
	case IN_SOFT_TIMER:
		start_timer(errand, HRTIMER_MODE_REL_PINNED_SOFT);
		break;
	}
	return errand->done;
}

#endif
