// SPDX-License-Identifier: GPL-2.0
/* Announces a report that never comes: a detector that is blind looks like this. */
#include <kunit/test.h>
#include <linux/module.h>

static void announces_a_report(struct kunit *test)
{
	pr_info("memsafe: EXPECT memsafe_quiet.%s: WARNING in memsafe_nowhere\n",
		test->name);
}

static struct kunit_case quiet_cases[] = {
	KUNIT_CASE(announces_a_report),
	{}
};

static struct kunit_suite quiet_suite = {
	.name = "memsafe_quiet",
	.test_cases = quiet_cases,
};
kunit_test_suite(quiet_suite);

MODULE_DESCRIPTION("a suite whose report does not come");
MODULE_LICENSE("GPL");
