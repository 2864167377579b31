// SPDX-License-Identifier: GPL-2.0
/* Does what it says: green beside all the others, with a report it announces. */
#include <kunit/test.h>
#include <linux/module.h>

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, kunit_kmalloc(test, 8, GFP_KERNEL));
}

static noinline void memsafe_warn_here(void)
{
	WARN(1, "announced\n");
}

static void reports_what_it_announces(struct kunit *test)
{
	pr_info("memsafe: EXPECT memsafe_good.%s: WARNING in memsafe_warn_here\n",
		test->name);

	memsafe_warn_here();
}

static struct kunit_case good_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(reports_what_it_announces),
	{}
};

static struct kunit_suite good_suite = {
	.name = "memsafe_good",
	.test_cases = good_cases,
};
kunit_test_suite(good_suite);

MODULE_DESCRIPTION("a suite that must be green");
MODULE_LICENSE("GPL");
