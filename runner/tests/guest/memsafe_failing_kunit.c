// SPDX-License-Identifier: GPL-2.0
/* One of two cases fails; insmod returns 0 all the same. */
#include <kunit/test.h>
#include <linux/module.h>

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test);
}

static void breaks(struct kunit *test)
{
	KUNIT_EXPECT_NULL(test, test);
}

static struct kunit_case failing_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(breaks),
	{}
};

static struct kunit_suite failing_suite = {
	.name = "memsafe_failing",
	.test_cases = failing_cases,
};
kunit_test_suite(failing_suite);

MODULE_DESCRIPTION("a suite with a failing case");
MODULE_LICENSE("GPL");
