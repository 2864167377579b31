// SPDX-License-Identifier: GPL-2.0
/* insmod's own task waits for ever, and can be killed. */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

static int wait_for_ever(struct kunit_suite *suite)
{
	while (!fatal_signal_pending(current))
		schedule_timeout_killable(MAX_SCHEDULE_TIMEOUT);
	return -EINTR;
}

static void never_runs(struct kunit *test)
{
}

static struct kunit_case waiting_cases[] = {
	KUNIT_CASE(never_runs),
	{}
};

static struct kunit_suite waiting_suite = {
	.name = "memsafe_waiting",
	.suite_init = wait_for_ever,
	.test_cases = waiting_cases,
};
kunit_test_suite(waiting_suite);

MODULE_DESCRIPTION("a suite that hangs and can be killed");
MODULE_LICENSE("GPL");
