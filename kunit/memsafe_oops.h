/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Do what must kill the task that does it, in a task of its own:
 *
 *	skip_unless_oops_is_survived(test);
 *
 *	EXPECT_REPORT(test, &report, died = dies_of(unmap_out_of_order, pages));
 *	KUNIT_EXPECT_TRUE(test, died);
 *
 * The dead keep their locks and references, and interrupts must be able to
 * happen: with bottom halves disabled the kernel panics (make_task_dead()).
 */
#ifndef MEMSAFE_OOPS_H
#define MEMSAFE_OOPS_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/sched/task.h>

/* Also true when nobody knows. */
static inline bool oops_is_panic(void)
{
	struct file *file = filp_open("/proc/sys/kernel/panic_on_oops", O_RDONLY, 0);
	char answer = '?';
	loff_t pos = 0;

	if (IS_ERR(file))
		return true;
	if (kernel_read(file, &answer, 1, &pos) != 1)
		answer = '?';
	fput(file);
	return answer != '0';
}

#define skip_unless_oops_is_survived(test) do {					\
	if (IS_ENABLED(CONFIG_UML))						\
		kunit_skip(test, "needs a BUG() that is no panic (not UML)");	\
	if (oops_is_panic())							\
		kunit_skip(test, "needs panic_on_oops=0");			\
} while (0)

struct memsafe_victim {
	void (*act)(void *ctx);
	void *ctx;
	struct completion started;
	bool survived;
};

static inline int memsafe_victim_thread(void *ctx)
{
	struct memsafe_victim *victim = ctx;

	complete(&victim->started);
	victim->act(victim->ctx);
	victim->survived = true;
	return 0;
}

/* Whether the act ends the kthread that does it; waits until it is gone. */
static inline bool dies_of(void (*act)(void *ctx), void *ctx)
{
	struct memsafe_victim victim = { .act = act, .ctx = ctx };
	struct task_struct *task;

	init_completion(&victim.started);
	task = kthread_create(memsafe_victim_thread, &victim, "memsafe_victim");
	if (IS_ERR(task))
		return false;

	get_task_struct(task);
	wake_up_process(task);
	/* One that is told to stop before it starts does not act at all. */
	wait_for_completion(&victim.started);
	kthread_stop(task);
	put_task_struct(task);
	return !victim.survived;
}

#endif
