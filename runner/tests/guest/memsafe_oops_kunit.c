// SPDX-License-Identifier: GPL-2.0
/* The kernel dies of a bad access half way through the suite. */
#include <kunit/test.h>
#include <linux/module.h>

static noinline void memsafe_write_to_null(u8 *nothing)
{
	OPTIMIZER_HIDE_VAR(nothing);
	WRITE_ONCE(*nothing, 0);
}

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test);
}

static void dies(struct kunit *test)
{
	memsafe_write_to_null(NULL);
}

static void never_runs(struct kunit *test)
{
}

static struct kunit_case oops_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(dies),
	KUNIT_CASE(never_runs),
	{}
};

static struct kunit_suite oops_suite = {
	.name = "memsafe_oops",
	.test_cases = oops_cases,
};
kunit_test_suite(oops_suite);

MODULE_DESCRIPTION("a suite that oopses");
MODULE_LICENSE("GPL");
