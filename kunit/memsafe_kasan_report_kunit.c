// SPDX-License-Identifier: GPL-2.0
/*
 * A KASAN report comes each time, from any task, names the width of the access
 * that was made, and follows an object that changes its size.
 */
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#define MEMSAFE_SUITE "memsafe_kasan_report"
#include "memsafe_report.h"
#include "memsafe_access.h"
#include "memsafe_context.h"

/* No multiple of 8: the last byte shares its granule with the first bad one. */
#define OBJECT_BYTES	123

/* Reports come, and not only the first since boot (kasan_multi_shot). */
static void sanitizer_is_alive(struct kunit *test)
{
	u8 *object = kunit_kmalloc(test, OBJECT_BYTES, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, object);

	expect_bad_access(test, "KASAN: slab-out-of-bounds", "Read", object + OBJECT_BYTES);
	expect_bad_access(test, "KASAN: slab-out-of-bounds", "Read", object + OBJECT_BYTES);
}

/* An aligned access of each width, whose last byte is the first bad one. */
static const unsigned int width[] = { 1, 2, 4, 8 };

static void describe_width(const unsigned int *bytes, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%u bytes", *bytes);
}
KUNIT_ARRAY_PARAM(width, width, describe_width);

static noinline void memsafe_read_width(u8 *p, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		READ_ONCE(*p);
		break;
	case 2:
		READ_ONCE(*(u16 *)p);
		break;
	case 4:
		READ_ONCE(*(u32 *)p);
		break;
	case 8:
		(void)*(const volatile u64 *)p;
		break;
	}
}

static void report_names_the_width_of_the_access(struct kunit *test)
{
	enum { OFFSET = 64 };
	unsigned int bytes = *(const unsigned int *)test->param_value;
	const struct memsafe_report report = {
		.kind = "KASAN: slab-out-of-bounds", .access = "Read", .size = bytes,
		.function = "memsafe_read_width",
	};
	u8 *object = kunit_kzalloc(test, OFFSET + bytes - 1, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, object);

	EXPECT_REPORT(test, &report, memsafe_read_width(object + OFFSET, bytes));
}

static noinline void memsafe_clear(u8 *p, size_t bytes)
{
	memset(p, 0, bytes);
	barrier();
}

/*
 * Before gcc 13 and clang 15, architectures that must not instrument their
 * entry code don't have memset() instrumented at all.
 */
static void memset_past_the_end_is_reported_with_its_length(struct kunit *test)
{
	const struct memsafe_report report = {
		.kind = "KASAN: slab-out-of-bounds", .access = "Write", .size = OBJECT_BYTES + 1,
		.function = "memsafe_clear",
	};
	u8 *object;

	if (IS_ENABLED(CONFIG_GENERIC_ENTRY) &&
	    !IS_ENABLED(CONFIG_CC_HAS_KASAN_MEMINTRINSIC_PREFIX))
		kunit_skip(test, "needs CONFIG_CC_HAS_KASAN_MEMINTRINSIC_PREFIX=y");
	object = kunit_kmalloc(test, OBJECT_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, object);

	EXPECT_REPORT(test, &report, memsafe_clear(object, OBJECT_BYTES + 1));
}

static void krealloc_takes_the_tail_away(struct kunit *test)
{
	enum { LESS = OBJECT_BYTES - 20 };
	u8 *object = kunit_kmalloc(test, OBJECT_BYTES, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_ASSERT_PTR_EQ(test, object, krealloc(object, LESS, GFP_KERNEL));

	EXPECT_NO_REPORT(test, memsafe_read_byte(object + LESS - 1));
	expect_bad_access(test, "KASAN: slab-out-of-bounds", "Read", object + LESS);
}

static void krealloc_gives_the_tail_back(struct kunit *test)
{
	enum { LESS = OBJECT_BYTES - 20 };
	u8 *object = kunit_kmalloc(test, LESS, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, object);
	KUNIT_ASSERT_PTR_EQ(test, object, krealloc(object, OBJECT_BYTES, GFP_KERNEL));

	EXPECT_NO_REPORT(test, memsafe_write_byte(object + OBJECT_BYTES - 1));
	expect_bad_access(test, "KASAN: slab-out-of-bounds", "Read", object + OBJECT_BYTES);
}

static const enum context contexts[] = {
	IN_WORKER, IN_HARDIRQ, IN_HARD_TIMER, IN_SOFTIRQ, IN_SOFT_TIMER,
};

static void describe_context(const enum context *context, char *desc)
{
	strscpy(desc, context_names[*context], KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(context, contexts, describe_context);

static void read_byte(void *p)
{
	memsafe_read_byte(p);
}

static void use_after_free_is_reported_from_another_context(struct kunit *test)
{
	enum context context = *(const enum context *)test->param_value;
	struct memsafe_report report = {
		.kind = SLAB_USE_AFTER_FREE, .access = "Read", .size = 1,
		.function = "memsafe_read_byte",
	};
	bool done = false;
	u8 *object;

	/* Interrupted in its handler of SIGSEGV, UML prints no stack. */
	if (IS_ENABLED(CONFIG_UML) && context != IN_WORKER)
		kunit_skip(test, "needs a stack in the reports of interrupts (not UML)");
	object = kmalloc(OBJECT_BYTES, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, object);
	report.address = object;
	/* It waits in KASAN's quarantine meanwhile. */
	kfree(object);

	EXPECT_REPORT(test, &report, done = run_in(test, context, read_byte, object));

	KUNIT_EXPECT_TRUE(test, done);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(sanitizer_is_alive),
	KUNIT_CASE_PARAM(report_names_the_width_of_the_access, width_gen_params),
	KUNIT_CASE(memset_past_the_end_is_reported_with_its_length),
	KUNIT_CASE(krealloc_takes_the_tail_away),
	KUNIT_CASE(krealloc_gives_the_tail_back),
	KUNIT_CASE_PARAM(use_after_free_is_reported_from_another_context, context_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.init = kasan_case_init,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of when KASAN reports");
MODULE_LICENSE("GPL");
