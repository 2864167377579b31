// SPDX-License-Identifier: GPL-2.0
/* KUnit passes a case whose work item, in another task, is reported by KASAN. */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#define OBJECT_BYTES	24

static noinline void memsafe_write_past_end(struct work_struct *work)
{
	u8 *object = kmalloc(OBJECT_BYTES, GFP_KERNEL);

	if (!object)
		return;
	OPTIMIZER_HIDE_VAR(object);
	WRITE_ONCE(object[OBJECT_BYTES], 0);
	kfree(object);
}

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_NOT_NULL(test, test);
}

static void passes_over_a_report(struct kunit *test)
{
	struct work_struct work;

	INIT_WORK_ONSTACK(&work, memsafe_write_past_end);
	schedule_work(&work);
	flush_work(&work);
	destroy_work_on_stack(&work);
}

static struct kunit_case reporting_cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(passes_over_a_report),
	{}
};

static struct kunit_suite reporting_suite = {
	.name = "memsafe_reporting",
	.test_cases = reporting_cases,
};
kunit_test_suite(reporting_suite);

MODULE_DESCRIPTION("a suite with a report that KUnit does not see");
MODULE_LICENSE("GPL");
