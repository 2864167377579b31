// SPDX-License-Identifier: GPL-2.0
/* The module's own init says no: the suite never runs. */
#include <kunit/test.h>
#include <linux/module.h>

static void never_runs(struct kunit *test)
{
}

static struct kunit_case refused_cases[] = {
	KUNIT_CASE(never_runs),
	{}
};

static struct kunit_suite refused_suite = {
	.name = "memsafe_refused",
	.test_cases = refused_cases,
};
kunit_test_suite(refused_suite);

static int __init refuse(void)
{
	return -ENODEV;
}
module_init(refuse);

MODULE_DESCRIPTION("a suite that can't be loaded");
MODULE_LICENSE("GPL");
