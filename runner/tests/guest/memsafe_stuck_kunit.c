// SPDX-License-Identifier: GPL-2.0
/*
 * A case that never ends: insmod waits for KUnit's own time limit of minutes and
 * can't be killed meanwhile.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/sched.h>

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test);
}

static void never_ends(struct kunit *test)
{
	for (;;)
		schedule_timeout_uninterruptible(MAX_SCHEDULE_TIMEOUT);
}

static struct kunit_case stuck_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(never_ends),
	{}
};

static struct kunit_suite stuck_suite = {
	.name = "memsafe_stuck",
	.test_cases = stuck_cases,
};
kunit_test_suite(stuck_suite);

MODULE_DESCRIPTION("a suite that hangs and can't be killed");
MODULE_LICENSE("GPL");
