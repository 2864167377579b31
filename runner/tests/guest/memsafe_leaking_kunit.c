// SPDX-License-Identifier: GPL-2.0
/* Forgets an object: only kmemleak sees it, at the end of the guest. */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>

#define OBJECT_BYTES	200

static noinline void memsafe_forget_an_object(void)
{
	void *object = kmalloc(OBJECT_BYTES, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(object);
	/* Stay on the stack while the object is made: no tail call. */
	barrier();
}

static void forgets_an_object(struct kunit *test)
{
	memsafe_forget_an_object();
}

static struct kunit_case leaking_cases[] = {
	KUNIT_CASE(forgets_an_object),
	{}
};

static struct kunit_suite leaking_suite = {
	.name = "memsafe_leaking",
	.test_cases = leaking_cases,
};
kunit_test_suite(leaking_suite);

MODULE_DESCRIPTION("a suite that leaks");
MODULE_LICENSE("GPL");
