// SPDX-License-Identifier: GPL-2.0
/*
 * vrealloc() keeps what fits in both sizes, and gives exactly the new size: the
 * bytes that were added are the caller's, those that were given up are not
 * (mm/vmalloc.c).  Modules reach it through kvrealloc().
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#define MEMSAFE_SUITE "memsafe_vrealloc"
#include "memsafe_report.h"
#include "memsafe_access.h"
#include "memsafe_probe.h"

/* In place within a page, in place over pages, and to another area. */
struct change {
	const char *name;
	size_t small;
	size_t large;
	bool moves;	/* when it grows */
};

static const struct change change[] = {
	{ "inside a granule", PAGE_SIZE + 1, PAGE_SIZE + 7 },
	{ "inside a page", PAGE_SIZE + 13, 2 * PAGE_SIZE - 3 },
	{ "to the end of a page", PAGE_SIZE + 13, 2 * PAGE_SIZE },
	{ "over pages", 3 * PAGE_SIZE + 5, 11 * PAGE_SIZE + 3, true },
};

static void describe_change(const struct change *change, char *desc)
{
	strscpy(desc, change->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(change, change, describe_change);

/* The area, for the end of the case wherever it has moved. */
struct area {
	u8 *start;
};

static void free_area(void *ctx)
{
	vfree(((struct area *)ctx)->start);
}

static u8 *alloc_area(struct kunit *test, size_t size)
{
	struct area *area = kunit_kzalloc(test, sizeof(*area), GFP_KERNEL);

	if (!area || kunit_add_action_or_reset(test, free_area, area))
		return NULL;
	test->priv = area;
	area->start = vmalloc(size);
	if (area->start)
		memset(area->start, 0x5a, size);
	return area->start;
}

static u8 *resize_area(struct kunit *test, size_t size, gfp_t gfp)
{
	struct area *area = test->priv;
	u8 *start = NULL;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	start = kvrealloc(area->start, size, gfp);
#endif
	if (start || !size)
		area->start = start;
	return start;
}

static int vrealloc_init(struct kunit *test)
{
	if (LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0))
		kunit_skip(test, "needs vrealloc(), v6.12");
	skip_without_console(test);
	return 0;
}

/* A page that is full has no room for a redzone, and a guard page behind it. */
static void expect_end(struct kunit *test, u8 *end)
{
	if (PAGE_ALIGNED(end) && !IS_ENABLED(CONFIG_UML))
		KUNIT_EXPECT_EQ(test, -EFAULT, probe_read(end));
	else if (!PAGE_ALIGNED(end) && IS_ENABLED(CONFIG_KASAN_VMALLOC))
		expect_bad_access(test, "KASAN: vmalloc-out-of-bounds", "Read", end);
}

static void growing_keeps_the_old_bytes_and_adds_usable_ones(struct kunit *test)
{
	const struct change *change = test->param_value;
	u8 *start = alloc_area(test, change->small), *grown;

	KUNIT_ASSERT_NOT_NULL(test, start);

	grown = resize_area(test, change->large, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, grown);
	KUNIT_EXPECT_EQ(test, change->moves, grown != start);
	KUNIT_EXPECT_NULL(test, memchr_inv(grown, 0x5a, change->small));
	EXPECT_NO_REPORT(test, memsafe_write_byte(grown + change->small));
	EXPECT_NO_REPORT(test, memsafe_write_byte(grown + change->large - 1));
	expect_end(test, grown + change->large);
}

static void shrinking_keeps_the_bytes_that_stay_and_no_others(struct kunit *test)
{
	const struct change *change = test->param_value;
	u8 *start, *shrunk;

	if (!IS_ENABLED(CONFIG_KASAN_VMALLOC))
		kunit_skip(test, "needs CONFIG_KASAN_VMALLOC=y");
	start = alloc_area(test, change->large);
	KUNIT_ASSERT_NOT_NULL(test, start);

	shrunk = resize_area(test, change->small, GFP_KERNEL);

	KUNIT_ASSERT_PTR_EQ(test, start, shrunk);
	KUNIT_EXPECT_NULL(test, memchr_inv(start, 0x5a, change->small));
	EXPECT_NO_REPORT(test, memsafe_write_byte(start + change->small - 1));
	expect_bad_access(test, "KASAN: vmalloc-out-of-bounds", "Write", start + change->small);
	expect_bad_access(test, "KASAN: vmalloc-out-of-bounds", "Read", start + change->large - 1);
}

static void shrunk_area_grows_back(struct kunit *test)
{
	const struct change *change = test->param_value;
	u8 *start = alloc_area(test, change->large);

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_ASSERT_PTR_EQ(test, start, resize_area(test, change->small, GFP_KERNEL));

	KUNIT_EXPECT_PTR_EQ(test, start, resize_area(test, change->large, GFP_KERNEL));

	EXPECT_NO_REPORT(test, memsafe_write_byte(start + change->large - 1));
	KUNIT_EXPECT_NULL(test, memchr_inv(start, 0x5a, change->small));
}

static void zero_flag_clears_what_grows_back(struct kunit *test)
{
	const struct change *change = test->param_value;
	size_t grown = change->large - change->small;
	u8 *start = alloc_area(test, change->large);

	KUNIT_ASSERT_NOT_NULL(test, start);

	start = resize_area(test, change->small, GFP_KERNEL | __GFP_ZERO);
	KUNIT_ASSERT_NOT_NULL(test, start);
	start = resize_area(test, change->large, GFP_KERNEL | __GFP_ZERO);

	KUNIT_ASSERT_NOT_NULL(test, start);
	KUNIT_EXPECT_NULL(test, memchr_inv(start, 0x5a, change->small));
	KUNIT_EXPECT_NULL(test, memchr_inv(start + change->small, 0, grown));
}

static void size_0_frees_the_area(struct kunit *test)
{
	const struct change *change = test->param_value;
	u8 *start = alloc_area(test, change->large);

	KUNIT_ASSERT_NOT_NULL(test, start);

	KUNIT_EXPECT_NULL(test, resize_area(test, 0, GFP_KERNEL));

	KUNIT_EXPECT_NULL(test, vmalloc_to_page(start));
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(growing_keeps_the_old_bytes_and_adds_usable_ones, change_gen_params),
	KUNIT_CASE_PARAM(shrinking_keeps_the_bytes_that_stay_and_no_others, change_gen_params),
	KUNIT_CASE_PARAM(shrunk_area_grows_back, change_gen_params),
	KUNIT_CASE_PARAM(zero_flag_clears_what_grows_back, change_gen_params),
	KUNIT_CASE_PARAM(size_0_frees_the_area, change_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = MEMSAFE_SUITE,
	.init = vrealloc_init,
	.suite_init = memsafe_report_init,
	.suite_exit = memsafe_report_exit,
	.test_cases = cases,
};
kunit_test_suite(suite);

MODULE_DESCRIPTION("KUnit tests of vrealloc");
MODULE_LICENSE("GPL");
