// SPDX-License-Identifier: GPL-2.0
/* The kernel panics half way through the suite. */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/panic.h>

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test);
}

static void dies(struct kunit *test)
{
	panic("memsafe_panic was here");
}

static struct kunit_case panic_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(dies),
	{}
};

static struct kunit_suite panic_suite = {
	.name = "memsafe_panic",
	.test_cases = panic_cases,
};
kunit_test_suite(panic_suite);

MODULE_DESCRIPTION("a suite that panics");
MODULE_LICENSE("GPL");
